// Package cmd_test runs the commands as programs, from building them to their exit codes.

package cmd_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sigmaz/internal/npy"
)

// tags are the build tags of the programs: those of the test itself.
func tags() []string {
	if !withCUDA {
		return []string{"-tags", "nocuda"}
	}
	return nil
}

// bin is the folder of the programs, which TestMain builds.
var bin string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "sigmaz-bin-"); err == nil {
		defer os.RemoveAll(bin)
		err = os.Chmod(bin, 0o755) // other users run them too
	}
	if err == nil {
		err = build()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes the programs.
func build() error {
	// Without symbols, which takes a third of the linker's time. -X is what the image gives.
	args := append(append([]string{"build"}, tags()...), "-ldflags=-s -w -X main.commit="+commit, "-o",
		bin+string(filepath.Separator), "./...")
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %v\n%s", err, out)
	}
	return nil
}

// sources looks at the files that the programs come from: go test keeps results by the files that a test has looked at.
// What TestMain looks at does not count.
var sources = sync.OnceFunc(func() {
	filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		switch filepath.Ext(path) {
		case ".go", ".s", ".ptx", ".mod", ".sum":
			_, err = os.Stat(path)
		}
		return err
	})
})

// command runs a program in dir with more environment. What the stand-in driver says for itself is left out.
func command(t *testing.T, dir string, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	sources()
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
func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	code, stdout, stderr := command(t, dir, nil, args...)
	if code != 0 {
		t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// trained is the folder of a run of a few steps on the CPU.
func trained(t *testing.T, dir string) string {
	t.Helper()
	must(t, dir, "train", "-name", "cpu", "-ngf", "2", "-batch", "4", "-steps", "4", "-levels", "3", "-held-out", "4",
		"-preview-n", "0")
	return filepath.Join("runs", "cpu")
}

// writeArray writes an NPY file.
func writeArray[V npy.Written](t *testing.T, path string, shape []int, values []V) {
	t.Helper()
	var b bytes.Buffer
	if err := npy.Write(&b, shape, values); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
}
