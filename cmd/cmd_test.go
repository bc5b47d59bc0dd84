// Package cmd_test runs the commands as programs, from building them to their exit codes.
package cmd_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tags are the build tags of the programs: those of the test itself.
func tags() []string {
	if !withCUDA {
		return []string{"-tags", "nocuda"}
	}
	return nil
}

// build makes the programs in a folder of the test.
func build(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	args := append(append([]string{"build"}, tags()...), "-o", bin+string(filepath.Separator), "./train", "./sample", "./bench")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return bin
}

// command runs a program in dir with more environment. What the stand-in driver says for itself is left out.
func command(t *testing.T, bin, dir string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := exec.Command(filepath.Join(bin, args[0]), args[1:]...)
	var o, e bytes.Buffer
	c.Dir, c.Stdout, c.Stderr, c.Env = dir, &o, &e, append(os.Environ(), env...)
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%v: %v", args, err)
	}
	for line := range strings.Lines(e.String()) {
		if !strings.HasPrefix(line, "sigmaz stand-in:") {
			stderr += line
		}
	}
	return c.ProcessState.ExitCode(), o.String(), stderr
}

// must runs a program that has to succeed.
func must(t *testing.T, bin, dir string, args ...string) string {
	t.Helper()
	code, stdout, stderr := command(t, bin, dir, nil, args...)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// trained is the folder of a run of a few steps on the CPU.
func trained(t *testing.T, bin, dir string) string {
	t.Helper()
	must(t, bin, dir, "train", "-name", "cpu", "-ngf", "2", "-batch", "4", "-steps", "4", "-levels", "3", "-held-out", "4", "-preview-n", "0")
	return filepath.Join("runs", "cpu")
}
