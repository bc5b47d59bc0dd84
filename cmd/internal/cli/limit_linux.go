// Memory that ends under a limit of the process (ulimit -v). Go's runtime cannot return from an allocation that the
// system refuses: it prints the stacks of all goroutines and ends. Under such a limit the command therefore runs as a
// second process, and this one makes a sentence of that text.

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"

	"sigmaz/internal/memory"
)

// limited is set in the environment of the second process.
const limited = "SIGMAZ_LIMITED"

// outOfMemory is how the runtime, or cgo's, begins to say that the system refused memory or a thread.
var outOfMemory = regexp.MustCompile(`^(fatal error: |runtime: |runtime/cgo: |SIGABRT: |mmap: ).*` +
	`(memory|cannot allocate|pthread_create|new OS thread|mmap)`)

// runLimited runs the command in a second process if there is a limit, and returns its exit code. ran is false in that
// process and where there is no limit.
func (c *Command) runLimited() (code int, ran bool) {
	limit, _, ok := memory.Limit()
	if second := os.Getenv(limited) != ""; second || !ok {
		os.Unsetenv(limited)
		return 0, false
	}
	self, err := os.Executable()
	if err != nil {
		return 0, false
	}
	// The second process ends when this thread does.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p := exec.Command(self, os.Args[1:]...)
	p.Args[0] = os.Args[0]
	p.Env = append(os.Environ(), limited+"=1")
	p.Stdin, p.Stdout = os.Stdin, os.Stdout
	// In a group of its own, so that a signal comes to it once, from here, whoever sent it to whom.
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	text, err := p.StderrPipe()
	if err != nil {
		return 0, false
	}
	asked := make(chan os.Signal, 4)
	if stops := stopSignals(); len(stops) > 0 {
		signal.Notify(asked, stops...)
	}
	if err := p.Start(); err != nil {
		return 0, false
	}
	go func() {
		for s := range asked {
			p.Process.Signal(s)
		}
	}()
	ended := passOn(text, os.Stderr)
	err = p.Wait()
	if ended {
		fmt.Fprintf(os.Stderr, "%s: memory ran out: this process may have %.1f GiB of address space (ulimit -v); raise the "+
			"limit, or make the batch, the network or the data smaller\n", c.Title(), limit/(1<<30))
		return exitFailed, true
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal()), true
		}
		return exit.ExitCode(), true
	}
	return 0, true
}

// passOn copies lines up to the one by which the runtime begins to say that memory ran out, and tells whether that
// came. What follows it is read and left out.
func passOn(from io.Reader, to io.Writer) (ended bool) {
	r := bufio.NewReader(from)
	for {
		line, err := r.ReadString('\n')
		if ended = ended || outOfMemory.MatchString(line); !ended {
			io.WriteString(to, line)
		}
		if err != nil {
			return ended
		}
	}
}
