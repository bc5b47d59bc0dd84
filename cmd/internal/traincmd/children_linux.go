// What Linux does for the children of -gpus.

package traincmd

import "syscall"

// childAttributes put a child in a group of its own, so that a signal comes to it once, from here, and have the system kill it
// when this process ends.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
