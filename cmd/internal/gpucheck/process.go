//go:build linux

// Children: started with an end in sight, and ended with all that they have started.

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a child may take to end after it was asked to, and again after it was killed.
const patience = 2 * time.Second

// process is a child in a process group of its own.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of it, once it has
}

// living are the children that were started and have not ended.
var living struct {
	sync.Mutex
	pids []int
}

// spawn starts a child. It is killed when this program dies, however it dies: the thread that starts it waits for it,
// because the system takes the end of that thread for the end of this program.
func spawn(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		if err == nil {
			living.Lock()
			living.pids = append(living.pids, cmd.Process.Pid)
			living.Unlock()
		}
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		living.Lock()
		living.pids = slices.DeleteFunc(living.pids, func(pid int) bool { return pid == cmd.Process.Pid })
		living.Unlock()
		close(p.done)
	}()
	return p, <-started
}

// end asks the child's group to end, and then kills it and everything that it has started.
func (p *process) end() {
	pid := p.cmd.Process.Pid
	unix.Kill(-pid, unix.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
	}
	all := descendants(pid)
	unix.Kill(-pid, unix.SIGKILL)
	for _, d := range all {
		unix.Kill(d, unix.SIGKILL)
	}
	select {
	case <-p.done:
	case <-time.After(patience):
	}
}

// adopt makes this program the parent of orphans among what it has started, so that sweep finds them.
func adopt() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl(PR_SET_CHILD_SUBREAPER): %w", err)
	}
	return nil
}

// sweep kills what children have left running. The children that live are not touched.
func sweep() {
	for range 10 { // what is killed may have started more
		living.Lock()
		spare := slices.Clone(living.pids)
		living.Unlock()
		for _, pid := range spare {
			spare = append(spare, descendants(pid)...)
		}
		left := slices.DeleteFunc(descendants(os.Getpid()), func(pid int) bool { return slices.Contains(spare, pid) })
		if len(left) == 0 {
			return
		}
		for _, pid := range left {
			unix.Kill(pid, unix.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
		for _, pid := range left {
			unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// descendants lists the children of a process, their children, and so on.
func descendants(pid int) (all []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	children := map[int][]int{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// 12 (a name, which may hold anything) S 1 ...
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil || len(fields) < 2 {
			continue
		}
		if parent, err := strconv.Atoi(fields[1]); err == nil {
			children[parent] = append(children[parent], child)
		}
	}
	for next := children[pid]; len(next) > 0; {
		all = append(all, next...)
		var more []int
		for _, c := range next {
			more = append(more, children[c]...)
		}
		next = more
	}
	return all
}

// errLimit, errEnd and errStop are why a child was ended.
var (
	errLimit = errors.New("the part's time was over")
	errEnd   = errors.New("the budget was spent")
	errStop  = errors.New("the call was stopped")
)

// output is what a command has said and how it ended.
type output struct {
	text  string
	code  int   // exit code; -1 where a signal ended it
	start error // it could not be started
	ended error // why it was ended, nil where it was not
	took  time.Duration
}

func (o *output) ok() bool { return o.code == 0 && o.start == nil && o.ended == nil }

// why is the line of the output that says most about a failure.
func (o *output) why() string {
	switch {
	case o.start != nil:
		return o.start.Error()
	case o.ended != nil:
		return o.ended.Error()
	}
	best, last := "", ""
	for line := range strings.Lines(o.text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") {
			continue
		}
		last = line
		if best == "" && slices.ContainsFunc([]string{"panic", "FAIL", "error", "Error", ": cannot", "fatal"},
			func(word string) bool { return strings.Contains(line, word) }) {
			best = line
		}
	}
	switch {
	case best != "":
		return best
	case last != "":
		return last
	}
	return fmt.Sprintf("exit code %d and no word", o.code)
}

// command runs a program until it ends, or the context does. dir is below the work folder.
func (c *check) command(ctx context.Context, dir string, name string, args ...string) *output {
	name, args = c.injected(name, args)
	out := &output{code: -1}
	path := filepath.Join(c.work, "output")
	file, err := os.Create(path)
	if err != nil {
		out.start = err
		return out
	}
	defer file.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = filepath.Join(c.work, dir), c.env
	cmd.Stdout, cmd.Stderr = file, file
	title := strings.ReplaceAll(strings.Join(append([]string{name}, args...), " "), c.work+"/", "")
	c.log.begin(title, path)
	start := time.Now()
	p, err := spawn(cmd)
	if err != nil {
		out.start = err
		c.log.end(err.Error() + "\n")
		return out
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		out.ended = context.Cause(ctx)
		p.end()
	}
	out.took = time.Since(start)
	if state := p.cmd.ProcessState; state != nil && out.ended == nil {
		out.code = state.ExitCode()
	}
	text, _ := os.ReadFile(path)
	out.text = string(text)
	said := fmt.Sprintf("== exit code %d after %.1f s\n", out.code, out.took.Seconds())
	if out.ended != nil {
		said = fmt.Sprintf("== ended after %.1f s: %v\n", out.took.Seconds(), out.ended)
	}
	c.log.end(said)
	return out
}

// injected replaces a program of the part that a rehearsal names: by one that hangs with all its children, deaf to
// polite words, or by one that fails.
func (c *check) injected(name string, args []string) (string, []string) {
	switch {
	case c.part == "":
	case c.part == os.Getenv("SIGMAZ_GPUCHECK_HANG"):
		return "/bin/sh", []string{"-c", `trap "" TERM; echo hanging; setsid sleep 1234 & sleep 1234 & ` +
			`while :; do sleep 1234; done`}
	case c.part == os.Getenv("SIGMAZ_GPUCHECK_FAIL"):
		return "/bin/sh", []string{"-c", "echo 'error: as the rehearsal wants it'; exit 1"}
	}
	return name, args
}
