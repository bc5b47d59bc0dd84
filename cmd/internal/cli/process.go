// A command as a process: streams, signals, exit codes.

package cli

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"sigmaz/internal/memory"
	"sigmaz/internal/terminal"
	"sigmaz/train/ranks"
)

// Streams are what a command reads and writes besides files.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer // for text: what could act on a terminal is written as it is between quotes, see [terminal.Text]
	Data     io.Writer // standard output as it is; set by [Command.Execute]
}

// Messages returns where a command talks that writes data to some outputs: standard error where one of them is standard
// output.
func (s Streams) Messages(outputs ...string) io.Writer {
	if slices.Contains(outputs, Stdout) {
		return s.Err
	}
	return s.Out
}

// Stopping says what a command does when it is asked to stop: by Ctrl-C, by SIGTERM, or by SIGHUP, which comes when the
// terminal or the connection to it is closed.
type Stopping int

const (
	EndsAtOnce Stopping = iota // the system ends the process
	Stops                      // Run's context ends; a second signal quits at once with exit code 130
)

// Unread says what a command does when nobody reads its output any more (SIGPIPE).
type Unread int

const (
	EndsUnread  Unread = iota // the system ends the process, as it ends a filter between two others
	GoesOn                    // the command goes on: what counts are the files that it writes
	StopsUnread               // Run's context ends, as by a signal
)

// StoppedError is for a command that was asked to stop before it had done anything: exit code 130, as a shell has it
// for a program that Ctrl-C ended.
type StoppedError struct{ Text string }

func (e *StoppedError) Error() string { return e.Text }

// EndedError is for a command whose work other processes did, one of which has said what is wrong.
type EndedError struct{ Code int } // that process's

func (e *EndedError) Error() string { return fmt.Sprintf("a process ended with exit code %d", e.Code) }

// Exit codes.
const (
	exitFailed  = 1
	exitUsage   = 2
	exitStopped = 130
)

// Main runs the command with the streams of the process, and ends the process.
func (c *Command) Main(args []string) {
	if code, ran := c.runLimited(); ran {
		os.Exit(code)
	}
	memory.Heed()
	ctx, stop := context.WithCancel(context.Background())
	c.listen(stop)
	os.Exit(c.Execute(ctx, args, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// Execute reads args, runs the command and returns its exit code.
func (c *Command) Execute(ctx context.Context, args []string, s Streams) int {
	s.Data, s.Out, s.Err = s.Out, terminal.Text(s.Out), terminal.Text(s.Err)
	err := c.Parse(args)
	if err == nil && c.Check != nil {
		err = c.Check()
	}
	if err == nil && c.Alone {
		err = c.checkAlone(os.LookupEnv)
	}
	if err == nil {
		err = c.Run(ctx, s)
	}
	return c.Exit(err, s.Out, s.Err)
}

// checkAlone refuses to be one of several processes. lookup is [os.LookupEnv].
func (c *Command) checkAlone(lookup func(string) (string, bool)) error {
	l, err := ranks.FromEnvironment(lookup)
	if err != nil || l.Size == 1 { // what is wrong with a launcher's variables is for those who are its ranks
		return nil
	}
	share := ""
	if c.flag("gpus") != nil {
		share = "; -gpus " + allWord + " shares its work among GPUs"
	}
	return fmt.Errorf("this is one of %d processes that a launcher started, and each would do the same and write the same files: start %s "+
		"in one process%s", l.Size, c.Name, share)
}

// listen calls stop when the command is asked to stop, as far as Stopping and Unread say so.
func (c *Command) listen(stop func()) {
	asked, broken := make(chan os.Signal, 2), make(chan os.Signal, 1)
	if stops := stopSignals(); c.Stopping == Stops && len(stops) > 0 {
		signal.Notify(asked, stops...)
	}
	if c.Unread != EndsUnread {
		signal.Notify(broken, syscall.SIGPIPE) // from now on writes fail, and the process does not end by them
	}
	go func() {
		for stopped := false; ; {
			select {
			case <-asked:
				if stopped {
					os.Exit(exitStopped)
				}
				if c.Notice != "" {
					fmt.Fprintf(os.Stderr, "\n%s; once more quits at once, without saving\n", c.Notice)
				}
			case <-broken:
				if stopped || c.Unread == GoesOn || !unread() {
					continue
				}
				fmt.Fprintf(os.Stderr, "%s: nobody reads the output any more: %s\n", c.Title(), cmp.Or(c.Notice, "stopping"))
			}
			stopped = true
			stop()
		}
	}()
}

// stopSignals are those that ask for an orderly end. One that the command was started to ignore, as nohup does, is
// left out.
func stopSignals() []os.Signal {
	var all []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// Exit says how the command ended and returns its exit code: 0 without an error and after the help text, which
// flag.ErrHelp asks for, 2 for a [*UsageError], 130 for a [*StoppedError], 1 for any other. An error is one line,
// whatever names it holds.
func (c *Command) Exit(err error, stdout, stderr io.Writer) int {
	if errors.Is(err, flag.ErrHelp) {
		if err = c.Help(stdout); errors.Is(err, syscall.EPIPE) {
			return 0 // the reader has seen enough
		}
		if err != nil {
			err = fmt.Errorf("cannot write the help text: %w", err)
		}
	}
	if err == nil {
		return 0
	}
	var ended *EndedError
	if errors.As(err, &ended) {
		return ended.Code
	}
	var usage *UsageError
	var stopped *StoppedError
	if errors.As(err, &usage) && usage.Help == "" && len(c.Groups) == 0 {
		usage.Help = "-h says more"
	}
	fmt.Fprintf(stderr, "%s: %s\n", c.Title(), shorten(Line(Flags(err.Error()))))
	switch {
	case usage != nil:
		return exitUsage
	case errors.As(err, &stopped):
		return exitStopped
	}
	return exitFailed
}
