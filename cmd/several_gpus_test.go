//go:build cgo && !nocuda

// Samples that several GPUs share: the bytes of one GPU, and one sentence that names the one that fails.

package cmd_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSeveralGPUs(t *testing.T) {
	if !device(t) {
		t.Skip("a machine with three GPUs is made by the stand-in driver")
	}
	dir := t.TempDir()
	tiny(t, dir)
	must(t, dir, small("images", 2)...)
	must(t, dir, "train", "-name", "toy", "-data", "toy:swissroll", "-hidden", "16", "-levels", "5", "-T", "2",
		"-steps", "20", "-batch", "64", "-held-out", "0", "-preview-n", "0")
	three := []string{"SIGMAZ_SIM_DEVICES=3"}
	run := func(args ...string) (stdout string) {
		t.Helper()
		code, stdout, stderr := command(t, dir, three, args...)
		if code != 0 {
			t.Fatalf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	read := func(name string) []byte {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	shares := [][]string{nil, {"-gpus", "2"}, {"-gpus", "3"}, {"-gpus", "all", "-batch", "2"}}

	for _, what := range []string{"runs/images -n 7 -T 2", "runs/images -n 2 -sampler rk45 -tolerance 0.1 -anyway",
		"runs/toy -n 101 -sampler heun"} {
		var npy, png []byte
		for i, share := range shares {
			args := append([]string{"sample"}, strings.Fields(what)...)
			out := run(append(append(args, "-gpu", "-precision", "float32", "-o", "x.png", "-npy", "x.npy"), share...)...)
			if i == 0 {
				npy, png = read("x.npy"), read("x.png")
			}
			if !bytes.Equal(npy, read("x.npy")) || !bytes.Equal(png, read("x.png")) {
				t.Errorf("%s %v: other samples than by one GPU", what, share)
			}
			if n := "3 x cuda"; strings.HasPrefix(what, "runs/images -n 7") && strings.Contains(out, n) != (i >= 2) {
				t.Errorf("%s %v: expected %q only where three GPUs draw:\n%s", what, share, n, out)
			}
		}
	}

	var numbers []byte
	for i, share := range [][]string{nil, {"-gpus", "1"}, {"-gpus", "all"}} {
		run(append([]string{"eval", "runs/toy", "toy:swissroll", "-n", "61", "-against", "100", "-gpu", "-precision",
			"float32", "-json", "x.json"}, share...)...)
		var report struct{ Numbers, Columns json.RawMessage }
		if err := json.Unmarshal(read("x.json"), &report); err != nil {
			t.Fatal(err)
		}
		got := append(report.Numbers, report.Columns...)
		if i == 0 {
			numbers = got
		}
		if !bytes.Equal(numbers, got) {
			t.Errorf("eval %v: other numbers than by one GPU", share)
		}
	}

	for _, c := range []struct {
		fault, args string
		want        []string
	}{
		{"", "-n 4 -gpus 4", []string{"-gpus is 4, and this machine has 3 GPUs", "up to 3, or all"}},
		{"lost:20:1", "-n 7 -T 2 -gpus 3", []string{"GPU 1 of -gpus 3: ", "CUDA_ERROR_LAUNCH_FAILED"}},
		{"lost:20:2", "-n 7 -T 2 -gpus all", []string{"GPU 2 of -gpus 3: "}},
		{"lost:1:1", "-n 7 -T 2 -gpus 2", []string{"GPU 1 of -gpus 2: "}},
		{"no-device", "-n 7 -gpus all", []string{"no", "device"}},
		{"old-device", "-n 7 -gpus all", []string{"GPU 0: -gpu: ", "capability"}},
	} {
		args := append([]string{"sample", "runs/images", "-gpu", "-precision", "float32", "-o", "lost.png"},
			strings.Fields(c.args)...)
		code, stdout, stderr := command(t, dir, append(three, "SIGMAZ_SIM_FAULT="+c.fault), args...)
		last := stderr[strings.LastIndex(strings.TrimSuffix(stderr, "\n"), "\n")+1:]
		if code != 1 || strings.Contains(stderr, "goroutine") {
			t.Errorf("%+v: exit code %d\n%s%s", c, code, stdout, stderr)
		}
		for _, w := range c.want {
			if !strings.Contains(last, w) {
				t.Errorf("%+v: %q does not say %q", c, last, w)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "lost.png")); err == nil {
			t.Errorf("%+v: a picture was written", c)
		}
	}
}
