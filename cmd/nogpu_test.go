//go:build !cgo || nocuda

// What a program without CUDA says to -gpu.

package cmd_test

import (
	"path/filepath"
	"strings"
	"testing"
)

// A program built without CUDA says so when a GPU is asked for, and does nothing else.
func TestGPUIsRefused(t *testing.T) {
	dir := t.TempDir()
	run, toy := trained(t, dir), filepath.Join("runs", "toy")
	must(t, dir, "train", "-name", "toy", "-data", "toy:moons", "-steps", "2", "-held-out", "0", "-preview-n", "0")
	writeArray(t, filepath.Join(dir, "x.npy"), []int{1, 1, 28, 28}, make([]float32, 28*28))
	for _, args := range [][]string{{"train", "-gpu"}, {"train", "-gpu", "-device", "1"}, {"sample", "-gpu", run}, {"bench", "-gpu"},
		{"train", "-gpus", "8"}, {"sample", run, "-gpus", "2"}, {"eval", run, "toy:moons", "-gpus", "all"},
		{"likelihood", toy, "toy:moons", "-gpus", "2"}, {"score", run, "-input", "x.npy", "-level", "0", "-o", "s.npy", "-gpus", "all"},
		{"score", run, "-serve", "0", "-gpus", "2"}} {
		code, _, stderr := command(t, dir, nil, args...)
		if code != 1 || !strings.Contains(stderr, "-gpu: this program was built without CUDA") ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("%v: exit code %d, %q", args, code, stderr)
		}
	}
}
