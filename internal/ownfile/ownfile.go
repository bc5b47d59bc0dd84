// Opening with a look at what it is.

package ownfile

import (
	"fmt"
	"os"
)

// Open opens a file that a program of sigmaz made, or makes it where flag says so. A link is refused, since what it
// names is somebody else's, and so is anything that is not a plain file.
func Open(path string, flag int) (*os.File, error) {
	// What it is comes first: to open a pipe waits for somebody at its other end.
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, NotPlain(path)
	}
	return os.OpenFile(path, flag|NoFollow, 0o666)
}

// OpenPlain opens a file for reading, also by a link. A pipe or a device, which might never end, is refused.
func OpenPlain(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, NotPlain(path)
	}
	return os.Open(path)
}

// NotPlain is the error for what is no plain file.
func NotPlain(path string) error {
	return fmt.Errorf("%s is no plain file: expected one that sigmaz wrote; move it away", path)
}
