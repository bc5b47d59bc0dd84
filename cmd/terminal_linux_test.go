// The commands on a terminal, on full disks and on disks that may not be written.

package cmd_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// onTerminal runs a program on a terminal of that many columns and returns all that it showed.
func onTerminal(t *testing.T, cols uint16, dir string, env []string, words ...string) (code int, shown string) {
	t.Helper()
	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer ptmx.Close()
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	number, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	if err := unix.IoctlSetWinsize(int(ptmx.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: cols}); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	c := exec.Command(filepath.Join(bin, words[0]), words[1:]...)
	c.Dir, c.Env, c.Stdin, c.Stdout, c.Stderr = dir, append(bare(), env...), tty, tty, tty
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = c.Start()
	tty.Close()
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(ptmx) // ends with an error when the program does
	err = c.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), string(b)
}

// On 40 columns the help text and the bar fit, and a message is one line however long.
func TestNarrowTerminal(t *testing.T) {
	const cols = 40
	dir := world(t)
	for _, program := range []string{"sigmas", "train", "sample", "score", "likelihood", "eval", "export", "bench", "sigmaz"} {
		code, text := onTerminal(t, cols, dir, nil, program, "-h")
		if code != 0 || !strings.Contains(text, "Examples:") {
			t.Errorf("%s -h: code %d, %q", program, code, text)
		}
		for line := range strings.Lines(text) {
			if line = strings.TrimRight(line, "\r\n"); utf8.RuneCountInString(line) > cols &&
				strings.Contains(strings.TrimSpace(line), " ") {
				t.Errorf("%s -h: %d columns: %q", program, utf8.RuneCountInString(line), line)
			}
		}
	}

	// What is written over ends with a carriage return alone: such a line must not wrap, or the bar would climb.
	drawn := func(text string) (lines []string) {
		parts := strings.Split(text, "\r")
		for i, part := range parts[:len(parts)-1] {
			if last := part[strings.LastIndex(part, "\n")+1:]; last != "" && !strings.HasPrefix(parts[i+1], "\n") {
				lines = append(lines, last)
			}
		}
		return lines
	}
	long := []string{"train", "-data", "toy:moons", "-hidden", "8", "-batch", "64", "-steps", "2000", "-levels", "3", "-T",
		"2", "-held-out", "5", "-preview-n", "4", "-name"}
	for name, env := range map[string][]string{"xterm": {"TERM=xterm-256color"}, "plain": nil,
		"colourless": {"TERM=xterm", "NO_COLOR=1"}} {
		code, text := onTerminal(t, cols, dir, env, append(long, name)...)
		if code != 0 || len(drawn(text)) == 0 {
			t.Errorf("%s: code %d, no bar in %q", name, code, text)
		}
		for _, line := range drawn(text) {
			if n := utf8.RuneCountInString(line); n > cols {
				t.Errorf("%s: the bar has %d columns: %q", name, n, line)
			}
		}
		if strings.Contains(text, "\x1b[3") || strings.Contains(text, "\x1b[9") {
			t.Errorf("%s: colour in %q", name, text)
		}
	}
	code, text := onTerminal(t, cols, dir, []string{"TERM=dumb"}, append(long, "dumb")...)
	if code != 0 || strings.ContainsAny(strings.ReplaceAll(text, "\r\n", "\n"), "\r\x1b") ||
		!strings.Contains(text, "step 2000") {
		t.Errorf("TERM=dumb: code %d, %q", code, text)
	}
	if code, text = onTerminal(t, cols, dir, nil, "sample", "runs/toy", "-n", "20000"); code != 0 {
		t.Errorf("sample: code %d, %q", code, text)
	}
	for _, line := range drawn(text) {
		if n := utf8.RuneCountInString(line); n > cols {
			t.Errorf("sample: the bar has %d columns: %q", n, line)
		}
	}
	code, text = onTerminal(t, cols, dir, nil, "train", "-stpes", "3")
	if code != 2 || len(faults("train", strings.ReplaceAll(text, "\r\n", "\n"))) > 0 {
		t.Errorf("a misspelt flag: code %d, %q", code, text)
	}
}

// A disk that fills up while it is written: one sentence, and the checkpoints that were whole are whole.
func TestFullDisk(t *testing.T) {
	dir := world(t)
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("this user cannot make a small disk: %v", err)
	}
	defer syscall.Unmount(disk, 0)
	code, _, stderr := start(t, dir, nil,
		strings.Fields("train -runs disk -name full -data toy:moons -hidden 32 -batch 4 -steps 1000 -levels 3 -T 2 "+
			"-held-out 0 -preview-n 0 -checkpoint-every 10")...)
	if code != 1 || len(faults("train", stderr)) > 0 || !strings.Contains(stderr, "no space left") ||
		!strings.Contains(stderr, "the last good checkpoint is disk/full/checkpoints/step-") {
		t.Errorf("train: code %d, %q", code, stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(disk, "full/checkpoints/*.tmp")); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	for _, words := range []string{"sample disk/full -n 50000 -o a.png -npy disk/a.npy",
		"sample runs/toy -n 4000 -o disk/a.png"} {
		before := snapshot(t, disk)
		code, _, stderr := start(t, dir, nil, strings.Fields(words)...)
		if code != 1 || len(faults("sample", stderr)) > 0 || !strings.Contains(stderr, "cannot write disk/a") ||
			!strings.Contains(stderr, "has room") {
			t.Errorf("%s: code %d, %q", words, code, stderr)
		}
		if c := changes(before, snapshot(t, disk)); len(c) > 0 {
			t.Errorf("%s: %q", words, c)
		}
	}
	if code, _, stderr := start(t, dir, nil, "sample", "disk/full", "-n", "2", "-o", "b.png"); code != 0 {
		t.Errorf("the checkpoint that was kept: code %d, %q", code, stderr)
	}
}

// A disk that may not be written at all, also not by root.
func TestReadOnlyDisk(t *testing.T) {
	dir := world(t)
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(filepath.Join(dir, "runs"), disk, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("this user cannot mount: %v", err)
	}
	defer syscall.Unmount(disk, 0)
	if err := syscall.Mount("", disk, "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
		t.Skipf("this user cannot mount: %v", err)
	}
	for _, w := range []wrong{
		{args: "train -runs disk -data toy:moons", code: 1, offender: "disk/moons-1: read-only file system", advice: "-runs"},
		{args: "train -resume disk/toy -steps 9", code: 1, offender: "disk/toy/lock: read-only file system", advice: "can be written"},
		{args: "sample disk/toy", code: 1, offender: "disk/toy/samples", advice: "choose a place that can be written"},
		{args: "sample runs/toy -o disk/a.png", code: 1, offender: "disk/a.png: read-only file system", advice: "choose a place that can be written"},
	} {
		if all := judge(t, dir, w); len(all) > 0 {
			t.Errorf("%s\n\t%s", w.args, strings.Join(all, "\n\t"))
		}
	}
}
