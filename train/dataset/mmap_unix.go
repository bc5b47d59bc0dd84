//go:build unix

// Mapping files into memory.

package dataset

import (
	"os"

	"golang.org/x/sys/unix"
)

// mapFile maps the first size bytes of a file for reading, for as long as the process lives.
func mapFile(f *os.File, size int64) (b []byte, mapped bool, err error) {
	b, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	return b, true, err
}

// mapping says whether files are mapped on this system.
const mapping = true
