// train -gpus N: the program starts itself N times, once for each GPU, and stands for all of them. Rank 0 has its input and
// output, so there is one display. A signal goes on to all, and they stop after the same step; where one fails, the others hear
// of it by their room, and whoever has not ended some seconds later is killed. None of them outlives this process.

package traincmd

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/train/ranks"
)

// checkGPUs judges -gpus by itself. Where something is trained it is of the device, too.
func (f *flags) checkGPUs() error {
	switch {
	case !f.Given("gpus"):
		return nil
	case f.gpus > maxGPUs || f.dryRun && f.gpus == cli.AllGPUs:
		return cli.Usagef("-gpus is %s: expected a number of GPUs, at most %d", &f.gpus, maxGPUs)
	case f.dryRun:
		return nil
	}
	f.device.GPUs = f.gpus
	return nil
}

// isChild says whether the process is one that -gpus started.
func (f *flags) isChild() bool { return os.Getenv(ranks.RunVariable) != "" }

// startsRanks says whether the process is to start others and stand for them.
func (f *flags) startsRanks() bool {
	return f.Given("gpus") && !f.dryRun && !f.listPresets && !f.isChild() && f.gpus != 1
}

// endAllTime is what children have to end by themselves after one has failed.
const endAllTime = 10 * time.Second

// child is a process of a rank.
type child struct {
	*exec.Cmd
	said  bytes.Buffer // on standard error; not of rank 0
	alive io.Closer    // its input, which ends with this process; not of rank 0
	err   error
}

// startRanks starts a process for each GPU, and ends when they have ended.
func startRanks(ctx context.Context, f *flags, s cli.Streams) error {
	n, err := f.gpus.Count()
	if err != nil {
		return err
	}
	if n == 1 { // -gpus all, of one
		return start(ctx, f, s)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("-gpus %d cannot find the program to start: %w", n, err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("-gpus %d: there is no port for its processes to meet at: %w", n, err)
	}
	defer l.Close()
	handed, err := handOver(l)
	if err != nil {
		return fmt.Errorf("-gpus %d cannot hand its port to rank 0: %w", n, err)
	}
	defer handed.Close()
	port := l.Addr().(*net.TCPAddr).Port
	// On Linux a child is killed when the thread that started it ends.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	run := rand.Text()
	all := make([]*child, n)
	ended := make(chan int, n)
	for rank := range all {
		c := &child{Cmd: exec.Command(self, os.Args[1:]...)}
		all[rank] = c
		c.Args[0], c.Env = os.Args[0], append(os.Environ(), ranks.Environment(rank, n, port, run)...)
		c.SysProcAttr = childAttributes()
		if c.Stderr = &c.said; rank == 0 {
			c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
			c.ExtraFiles, c.Env = []*os.File{handed}, append(c.Env, listenerVariable+"=3") // the first of them
		} else if c.alive, err = c.StdinPipe(); err != nil {
			err = fmt.Errorf("-gpus %d cannot start rank %d: %w", n, rank, err)
			break
		}
		if err = c.Start(); err != nil {
			err = fmt.Errorf("-gpus %d cannot start rank %d: %w", n, rank, err)
			break
		}
		go func() {
			c.err = c.Wait()
			ended <- rank
		}()
	}
	if err != nil {
		for _, c := range all {
			if c != nil && c.Process != nil {
				c.Process.Kill()
			}
		}
		return err
	}
	handed.Close() // or the port would stay when rank 0 ends
	l.Close()
	return await(ctx, all, ended)
}

// listenerVariable has the number of the file by which rank 0 listens: the port is taken before it starts, and nobody else gets it
// in between.
const listenerVariable = "SIGMAZ_LISTENER"

// handOver returns a listener as a file for a child.
func handOver(l net.Listener) (*os.File, error) { return l.(*net.TCPListener).File() }

// handedOver returns the listener that this process was given, nil where it was given none.
func handedOver() (net.Listener, error) {
	text := os.Getenv(listenerVariable)
	if text == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 3 {
		return nil, fmt.Errorf("the environment has %s=%q, which train -gpus sets for its own processes: unset it", listenerVariable, text)
	}
	f := os.NewFile(uintptr(n), "the listener of train -gpus")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("the environment has %s=%q, and that is no listener: unset it", listenerVariable, text)
	}
	return l, nil
}

// await waits for the processes, and says what they ended by.
func await(ctx context.Context, all []*child, ended <-chan int) error {
	var late <-chan time.Time
	stop := ctx.Done()
	first := -1 // the rank that failed first
	for left := len(all); left > 0; {
		select {
		case <-stop:
			stop = nil
			for _, c := range all {
				c.Process.Signal(stopSignal)
			}
		case <-late:
			late = nil
			for _, c := range all {
				c.Process.Kill()
			}
		case rank := <-ended:
			left--
			if all[rank].err != nil && first < 0 {
				first, late = rank, time.After(endAllTime)
			}
		}
	}
	if first < 0 {
		return nil
	}
	return verdict(all, first)
}

// verdict makes one sentence of what the processes said, unless rank 0 has said it.
func verdict(all []*child, first int) error {
	if text := strings.TrimSpace(all[first].said.String()); strings.Contains(text, "\n") { // more than a sentence: it broke
		for line := range strings.Lines(text) {
			fmt.Fprintf(os.Stderr, "rank %d: %s\n", first, strings.TrimSpace(line))
		}
	}
	var exit *exec.ExitError
	if errors.As(all[0].err, &exit) && exit.ExitCode() > 0 {
		return &cli.EndedError{Code: exit.ExitCode()}
	}
	for rank, c := range all[1:] {
		if text := strings.TrimSpace(c.said.String()); text != "" && !strings.Contains(text, "\n") {
			_, text, _ = strings.Cut(text, ": ") // the program's name
			return errors.New(text)
		} else if c.err != nil && rank+1 == first {
			return fmt.Errorf("rank %d has failed: %v", first, c.err)
		}
	}
	return fmt.Errorf("rank %d has failed: %v", first, all[first].err)
}

// endWithParent ends a child that is not rank 0 when the process that started it does, of whose life its input is the sign.
var endWithParent = sync.OnceFunc(func() {
	go func() {
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
})

// stopSignal asks a child to stop after the step at hand.
var stopSignal os.Signal = syscall.SIGTERM
