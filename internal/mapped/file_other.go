//go:build !unix

// Where files are not mapped, they are read into memory.

package mapped

import (
	"io"
	"os"
)

// File reads the first size bytes of a file.
func File(f *os.File, size int64, _ string) (b []byte, mapped bool, err error) {
	b = make([]byte, size)
	_, err = io.ReadFull(io.NewSectionReader(f, 0, size), b)
	return b, false, err
}

// Mapping says whether files are mapped on this system.
const Mapping = false
