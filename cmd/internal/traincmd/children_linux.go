// What Linux does for the children of -gpus.

package traincmd

import (
	"os/signal"
	"syscall"
)

// childAttributes put a child in a group of its own, so that a signal comes to it once, from here, and have the system kill it
// when this process ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// speakFromGroup lets rank 0 write to a terminal from a group that is not in the foreground there, also where the terminal stops
// those who do (stty tostop).
func speakFromGroup() { signal.Ignore(syscall.SIGTTOU) }
