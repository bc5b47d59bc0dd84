// Signals that ask a command to stop.
package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// StopSignals are those that ask for an orderly end: Ctrl-C, SIGTERM, and SIGHUP, which comes when the terminal or the
// connection to it is closed. One that the command was started to ignore, as nohup does, is left out.
func StopSignals() []os.Signal {
	var all []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// ClosedOutput is told when the reader of the output has gone (SIGPIPE). From then on writes fail and the command does
// not end by them, which would lose what it has not saved.
func ClosedOutput() <-chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGPIPE)
	return c
}
