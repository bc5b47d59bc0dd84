// Limits of a process (ulimit -v): memory that the system refuses ends in a sentence, and all else stays as it is.

package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestAddressSpace(t *testing.T) {
	dir := world(t)
	limited := func(words ...string) *exec.Cmd {
		line := "ulimit -v 7000000 && exec " + filepath.Join(bin, words[0]) + ` "$@"`
		c := exec.Command("bash", append([]string{"-c", line, words[0]}, words[1:]...)...)
		c.Dir, c.Env = dir, bare()
		return c
	}
	run := func(c *exec.Cmd) (code int, stdout, stderr string) {
		var out, errs bytes.Buffer
		c.Stdout, c.Stderr = &out, &errs
		c.Run()
		return c.ProcessState.ExitCode(), out.String(), errs.String()
	}
	if code, _, stderr := run(limited("sigmaz", "version")); code != 0 {
		t.Skipf("no program runs under the limit here: %s", stderr)
	}
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"sample runs/toy -n 1073741823 -o a.png", 1, "memory ran out: this process may have 6.7 GiB of address space"},
		{"train -data glyphs -ngf 64 -batch 4096", 1, "the limit of this process (ulimit) leaves"},
		{"train -stpes 3", 2, "did you mean -steps?"},
		{"train -resume runs/none", 1, "runs/none does not exist"},
		{"train -data toy:moons -hidden 4 -steps 3 -preview-n 0 -name limited", 0, ""},
	} {
		words := strings.Fields(test.args)
		code, stdout, stderr := run(limited(words...))
		if code != test.code || !strings.Contains(stderr, test.want) || code == 0 && !strings.Contains(stdout, "done ") ||
			code != 0 && len(faults(words[0], stderr)) > 0 {
			t.Errorf("%s: code %d, stdout %q, stderr %q", test.args, code, stdout, stderr)
		}
	}

	// A signal to the first process stops the training, and when it is killed no second one is left behind.
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		name := fmt.Sprintf("signal-%d", signal)
		c := limited("train", "-data", "toy:moons", "-hidden", "4", "-steps", "1000000000", "-preview-n", "0", "-checkpoint-every",
			"0", "-name", name)
		var out bytes.Buffer
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		lock := filepath.Join(dir, "runs", name, "lock")
		waitFor(t, filepath.Join(dir, "runs", name, "config.yaml"))
		waitFor(t, lock)
		c.Process.Signal(signal)
		c.Wait()
		if signal == syscall.SIGTERM {
			if c.ProcessState.ExitCode() != 0 || !strings.Contains(out.String(), "stopped after step") {
				t.Errorf("SIGTERM: %v, %q", c.ProcessState, out.String())
			}
			continue
		}
		var pid int
		text, _ := os.ReadFile(lock)
		if _, err := fmt.Sscanf(string(text), "\x00process %d", &pid); err != nil || pid == c.Process.Pid {
			t.Fatalf("the lock says %q, error %v", text, err)
		}
		for end := time.Now().Add(10 * time.Second); syscall.Kill(pid, 0) == nil; time.Sleep(10 * time.Millisecond) {
			if state, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); strings.Contains(string(state), ") Z ") {
				break // it ended, and nobody has asked for its exit code
			}
			if time.Now().After(end) {
				t.Fatalf("process %d goes on", pid)
			}
		}
	}
}
