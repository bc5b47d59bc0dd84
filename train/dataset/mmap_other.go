//go:build !unix

// Where files are not mapped, they are read into memory.

package dataset

import (
	"io"
	"os"
)

// mapFile reads the first size bytes of a file.
func mapFile(f *os.File, size int64) (b []byte, mapped bool, err error) {
	b = make([]byte, size)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, size), b)
	return b, false, err
}

// mapping says whether files are mapped on this system.
const mapping = false
