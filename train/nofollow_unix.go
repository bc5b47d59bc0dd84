//go:build unix

// Opening without following a link.

package train

import "syscall"

// noFollow makes opening a link an error.
const noFollow = syscall.O_NOFOLLOW
