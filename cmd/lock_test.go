// Two trainers and one run folder.

package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// trainer starts a training that goes on until it is stopped.
func trainer(t *testing.T, dir string, words ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	words = append([]string{"-steps", "1000000000", "-checkpoint-every", "0", "-log-every", "1000"}, words...)
	c := exec.Command(filepath.Join(bin, "train"), words...)
	var out bytes.Buffer
	c.Dir, c.Env, c.Stdout, c.Stderr = dir, bare(), &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c, &out
}

// waitFor waits until a file has content.
func waitFor(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if info, err := os.Stat(path); err == nil && info.Size() > 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not there after 20 s", path)
		}
	}
}

// Two trainers never share a run folder, reading it meanwhile is free, and a trainer that was killed leaves no lock.
func TestTwoTrainersOnOneFolder(t *testing.T) {
	dir := world(t)
	first, _ := trainer(t, dir, "-resume", "runs/toy")
	waitFor(t, filepath.Join(dir, "runs/toy/lock"))
	holder := fmt.Sprintf("process %d", first.Process.Pid)

	for _, words := range [][]string{
		{"train", "-resume", "runs/toy"},
		{"train", "-resume", "toy", "-steps", "9"},
		{"train", "-resume", filepath.Join("runs", "toy", "checkpoints", "step-0000002.safetensors")},
	} {
		code, stdout, stderr := start(t, dir, nil, words...)
		if code != 1 || len(faults("train", stderr)) > 0 ||
			!strings.Contains(stderr, filepath.Join("runs", "toy")+" is being trained by "+holder) {
			t.Errorf("%q: code %d, stdout %q, stderr %q, faults %q", words, code, stdout, stderr, faults("train", stderr))
		}
	}
	for _, words := range [][]string{{"sample", "runs/toy", "-n", "2"}, {"train", "-resume", "runs/toy", "-dry-run"}} {
		if code, _, stderr := start(t, dir, nil, words...); code != 0 {
			t.Errorf("%q meanwhile: code %d, %q", words, code, stderr)
		}
	}

	// A new run in a folder that another trainer has just made.
	second, _ := trainer(t, dir, "-name", "new", "-data", "toy:moons", "-hidden", "4", "-preview-n", "0")
	waitFor(t, filepath.Join(dir, "runs/new/lock"))
	code, _, stderr := start(t, dir, nil, "train", "-name", "new", "-data", "toy:moons", "-hidden", "4")
	if code != 1 || len(faults("train", stderr)) > 0 || !strings.Contains(stderr, "runs/new") &&
		runtime.GOOS != "windows" {
		t.Errorf("the same name: code %d, %q", code, stderr)
	}
	second.Process.Kill()
	second.Wait()

	first.Process.Kill()
	first.Wait()
	if _, err := os.Stat(filepath.Join(dir, "runs/toy/lock")); err != nil {
		t.Errorf("the killed trainer was to leave its file: %v", err)
	}
	if code, _, stderr := start(t, dir, nil, "train", "-resume", "runs/toy", "-steps", "6"); code != 0 {
		t.Errorf("after the trainer was killed: code %d, %q", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "runs/toy/lock")); err == nil {
		t.Error("a training that is done leaves its lock's file")
	}
}

// Runs that are started together get folders of their own.
func TestTrainersStartedTogether(t *testing.T) {
	dir := t.TempDir()
	const n = 6
	var all [n]*exec.Cmd
	for i := range all {
		all[i] = exec.Command(filepath.Join(bin, "train"),
			strings.Fields("-data toy:moons -hidden 4 -batch 2 -steps 2 -levels 2 -preview-n 0 -held-out 0")...)
		all[i].Dir, all[i].Env = dir, bare()
		if err := all[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range all {
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	}
	for i := range all {
		if _, err := os.Stat(filepath.Join(dir, fmt.Sprintf("runs/moons-%d/checkpoints/step-0000002.safetensors",
			i+1))); err != nil {
			t.Error(err)
		}
	}
}
