//go:build !cgo || nocuda

// What a program without CUDA says to -gpu.

package cmd_test

import (
	"strings"
	"testing"
)

// A program built without CUDA says so when a GPU is asked for, and does nothing else.
func TestGPUIsRefused(t *testing.T) {
	dir := t.TempDir()
	run := trained(t, dir)
	for _, args := range [][]string{{"train", "-gpu"}, {"train", "-gpu", "-device", "1"}, {"sample", "-gpu", run}, {"bench", "-gpu"},
		{"train", "-gpus", "8"}, {"sample", run, "-gpus", "2"}, {"eval", run, "toy:moons", "-gpus", "all"}} {
		code, _, stderr := command(t, dir, nil, args...)
		if code != 1 || !strings.Contains(stderr, "-gpu: this program was built without CUDA") ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}
