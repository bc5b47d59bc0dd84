//go:build unix

// Mapping files into memory.

package mapped

import (
	"os"

	"golang.org/x/sys/unix"
)

// File maps the first size bytes of a file for reading, for as long as the process lives. path is what an
// [Error] names it.
func File(f *os.File, size int64, path string) (b []byte, mapped bool, err error) {
	b, err = unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err == nil {
		record(path, b)
	}
	return b, true, err
}

// Mapping says whether files are mapped on this system.
const Mapping = true
