//go:build unix

// Permissions, signals and pipes.

package cmd_test

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// nobody makes a call that of a user without rights. Where the test's user is root, for whom permissions do not
// count, it is another.
func nobody(t *testing.T) func(*exec.Cmd) {
	t.Helper()
	if os.Geteuid() != 0 {
		return func(*exec.Cmd) {}
	}
	as := func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	c := exec.Command(filepath.Join(bin, "train"), "-h")
	as(c)
	if err := c.Run(); err != nil {
		t.Skipf("this user can write anywhere and cannot become another: %v", err)
	}
	return as
}

// protect takes the right to write in dir away from everybody, for as long as the test runs.
func protect(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil { // testing.T makes it for one user only
		t.Fatal(err)
	}
	change := func(mode fs.FileMode) {
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				err = os.Chmod(path, mode)
			}
			return err
		})
	}
	change(0o555)
	t.Cleanup(func() { change(0o777) })
}

// Folders that cannot be written and files that cannot be read.
func TestPermissions(t *testing.T) {
	as := nobody(t)
	dir := world(t)
	for _, name := range []string{"data/tiny-images-idx3-ubyte", "bad/zero.yaml",
		"runs/cut/checkpoints/step-0000002.safetensors", "runs/flipped/config.yaml"} {
		if err := os.Chmod(filepath.Join(dir, name), 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Chmod(filepath.Join(dir, name), 0o666) })
	}
	protect(t, dir)
	for _, w := range []wrong{
		{args: "train -data toy:moons", code: 1, offender: "runs/moons-1: permission denied", advice: "-runs"},
		{args: "train -data toy:moons -runs other", code: 1, offender: "other: permission denied", advice: "-runs"},
		{args: "train -data toy:moons -name empty", code: 1, offender: "runs/empty", advice: "can be written"},
		{args: "train -resume runs/toy -steps 9", code: 1, offender: "runs/toy/lock: permission denied", advice: "can be written"},
		{args: "train -data data/tiny-images-idx3-ubyte -dry-run", code: 1, offender: "data/tiny-images-idx3-ubyte", advice: "check the path and its permissions"},
		{args: "train -config bad/zero.yaml", code: 1, offender: "bad/zero.yaml: permission denied", advice: "give the name of a file"},
		{args: "train -resume runs/flipped -dry-run", code: 1, offender: "runs/flipped/config.yaml: permission denied", advice: "cannot read the configuration"},
		{args: "sample runs/cut/checkpoints/step-0000002.safetensors", code: 1, offender: "step-0000002.safetensors", advice: "permission denied"},
		{args: "sample runs/toy", code: 1, offender: "runs/toy/samples", advice: "choose"},
		{args: "sample runs/toy -o a.png", code: 1, offender: "a.png: permission denied", advice: "choose a place that can be written"},
		{args: "sample runs/toy -o /dev/null/a.png", code: 1, offender: "/dev/null/a.png", advice: "choose a place that can be written"},
		{args: "sample runs/images -images new -o " + filepath.Join(os.TempDir(), "never-written.png"), code: 1, offender: "new: permission denied", advice: "choose another"},
	} {
		// Unreadable files are no concern of the snapshot, which root takes anyway.
		w.as = as
		if os.Geteuid() != 0 {
			code, _, stderr := start(t, dir, nil, w.words()...)
			if code != w.code || !strings.Contains(stderr, w.offender) || !strings.Contains(stderr, w.advice) ||
				len(faults(w.words()[0], stderr)) > 0 {
				t.Errorf("%s: code %d, %q", w.args, code, stderr)
			}
			continue
		}
		if all := judge(t, dir, w); len(all) > 0 {
			t.Errorf("%s\n\t%s", w.args, strings.Join(all, "\n\t"))
		}
	}
	// What needs no writing works.
	for _, words := range [][]string{{"train", "-resume", "runs/toy", "-dry-run"}, {"sample", "-h"}} {
		if code, _, stderr := startAs(t, as, dir, nil, words...); code != 0 {
			t.Errorf("%q: code %d, %q", words, code, stderr)
		}
	}
}

// A training whose reader goes away, and one whose terminal is closed, is saved.
func TestNothingIsLostWithTheReader(t *testing.T) {
	for name, leave := range map[string]func(c *exec.Cmd, out *os.File){
		"closed output": func(_ *exec.Cmd, out *os.File) { out.Close() },
		"SIGHUP":        func(c *exec.Cmd, _ *os.File) { c.Process.Signal(syscall.SIGHUP) },
		"SIGTERM":       func(c *exec.Cmd, _ *os.File) { c.Process.Signal(syscall.SIGTERM) },
	} {
		if name == "SIGHUP" && signal.Ignored(syscall.SIGHUP) {
			t.Log("these tests run under nohup: what is closed is no reason to stop")
			continue
		}
		dir := t.TempDir()
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(filepath.Join(bin, "train"),
			strings.Fields("-data toy:moons -hidden 4 -batch 2 -steps 100000000 -levels 2 -preview-n 0 -held-out 0 -log-every "+
				"50 -checkpoint-every 0")...)
		var stderr bytes.Buffer
		c.Dir, c.Env, c.Stdout, c.Stderr = dir, bare(), w, &stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		lines := bufio.NewScanner(r)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "step ") {
		}
		leave(c, r)
		done := make(chan error)
		go func() {
			for lines.Scan() { // a full pipe is no reason to wait
			}
			done <- c.Wait()
		}()
		if err := <-done; err != nil {
			t.Errorf("%s: %v\n%s", name, err, &stderr)
		}
		r.Close()
		if saved, _ := filepath.Glob(filepath.Join(dir, "runs/moons-1/checkpoints/*.safetensors")); len(saved) != 1 {
			t.Errorf("%s: %d checkpoints", name, len(saved))
		}
	}

	dir := world(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	c := exec.Command(filepath.Join(bin, "sample"), "runs/toy", "-n", "5", "-o", "a.png")
	c.Dir, c.Env, c.Stdout = dir, bare(), w
	if err := c.Run(); err != nil {
		t.Errorf("sample without a reader: %v", err)
	}
	w.Close()
	if _, err := os.Stat(filepath.Join(dir, "a.png")); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	for _, program := range []string{"sigmas", "train", "sample", "score", "likelihood", "eval", "export", "bench", "sigmaz"} {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		var stderr bytes.Buffer
		c := exec.Command(filepath.Join(bin, program), "-h")
		c.Env, c.Stdout, c.Stderr = bare(), full, &stderr
		if err := c.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 || len(faults(program, stderr.String())) > 0 {
			t.Errorf("%s -h onto a full disk: %v, %q", program, err, &stderr)
		}
		full.Close()
	}
}

// The first signal is answered, and a second one does not wait for a step that takes long.
func TestSecondSignal(t *testing.T) {
	for _, words := range [][]string{{"train"}, {"sigmaz", "train"}} {
		c := exec.Command(filepath.Join(bin, words[0]),
			append(words[1:], strings.Fields("-ngf 64 -batch 128 -steps 1000 -held-out 0 -preview-n 0 -log-every 1")...)...)
		c.Dir, c.Env = t.TempDir(), bare()
		stdout, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		stderr, err := c.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for lines.Scan() && !strings.HasPrefix(lines.Text(), "training ") {
		}
		c.Process.Signal(syscall.SIGINT)
		said := bufio.NewScanner(stderr)
		for said.Scan() && said.Text() != "stopping after this step; once more quits at once, without saving" {
		}
		c.Process.Signal(syscall.SIGINT)
		var exit *exec.ExitError
		if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
			t.Errorf("%q: %v, expected exit code 130", words, err)
		}
		if saved, _ := filepath.Glob(filepath.Join(c.Dir, "runs/glyphs-1/checkpoints/*.safetensors")); len(saved) > 0 {
			t.Errorf("%q: saved %q", words, saved)
		}
	}
}

// A pipe or a device in the place of a file is refused, and not waited for.
func TestPipesAndDevices(t *testing.T) {
	dir := world(t)
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Skip(err)
	}
	for _, w := range []wrong{
		{args: "sample pipe", code: 1, offender: "pipe is not a file", advice: "expected a .safetensors file"},
		{args: "sample runs/toy -npy pipe", code: 1, offender: "pipe: it is a pipe", advice: "choose the name of a new file"},
		{args: "train -data pipe", code: 1, offender: "pipe: expected a plain file", advice: "copy the data into a file first"},
		{args: "train -data /dev/zero", code: 1, offender: "/dev/zero: expected a plain file", advice: "copy the data into a file first"},
		{args: "train -config /dev/zero", code: 1, offender: "/dev/zero: is larger than a configuration can be", advice: "expected settings in YAML"},
		{args: "sample /dev/zero", code: 1, offender: "/dev/zero is not a file", advice: "expected a .safetensors file"},
		{args: "train -data full,pipe", code: 1, offender: "full", advice: "expected"},
		{args: "bench -check -json pipe", code: 1, offender: "pipe: it is a pipe", advice: "choose the name of a new file"},
	} {
		if all := judge(t, dir, w); len(all) > 0 {
			t.Errorf("%s\n\t%s", w.args, strings.Join(all, "\n\t"))
		}
	}
}
