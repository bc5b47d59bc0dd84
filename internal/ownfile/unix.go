//go:build unix

// Links and owners on Unix.

package ownfile

import (
	"io/fs"
	"os"
	"syscall"
)

// NoFollow makes opening a link an error.
const NoFollow = syscall.O_NOFOLLOW

// Mine tells whether a file is this user's and nobody else may write to it.
func Mine(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return !ok || int(s.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
