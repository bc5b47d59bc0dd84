//go:build !linux

// The children of -gpus where the system does nothing for them.

package traincmd

import "syscall"

// childAttributes are none: ranks other than 0 end with this process by their input, and rank 0 with them.
func childAttributes() *syscall.SysProcAttr { return nil }

// speakFromGroup does nothing: a child is in the group of this process.
func speakFromGroup() {}
