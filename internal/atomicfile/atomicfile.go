// How a whole file is replaced:
//
//	write .NAME.XXXXXXXX.tmp beside it, sync it, rename it to NAME, sync the folder
//
// so that at every moment, a power failure included, the name stands for either the old file or the whole new one. The
// eight digits are random, and the file is only ever made anew (O_EXCL): no other file and no link of that name is
// opened, and two processes never write to one. What a process leaves that is killed is known by [TempOf].

package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

const (
	tempExt    = ".tmp"
	tempDigits = 8
	longest    = 200 // bytes of a name that a temporary name repeats; most file systems take 255 in all
)

// Write replaces the file at path by what write puts into f. After an error the temporary file is gone and path is as
// it was. A link at path is replaced, never followed.
func Write(path string, write func(f *os.File) error) (err error) {
	f, err := Create(path, 0o666)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close() // may be the second Close, which does nothing
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return naming(path, f.Name(), err)
	}
	return Commit(f, path)
}

// naming returns an error of a temporary file as one of the file that it is for, which people know.
func naming(path, temp string, err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &linkErr) && linkErr.Old == temp:
		return &fs.PathError{Op: linkErr.Op, Path: path, Err: linkErr.Err}
	case errors.As(err, &pathErr) && pathErr.Path == temp:
		return &fs.PathError{Op: pathErr.Op, Path: path, Err: pathErr.Err}
	}
	return err
}

// Create makes a new temporary file for path, in its folder. [Commit] puts it in its place; whoever does not commit it
// closes and removes it.
func Create(path string, perm fs.FileMode) (*os.File, error) {
	dir, base := filepath.Split(path)
	if len(base) > longest {
		base = strings.ToValidUTF8(base[:longest], "")
	}
	for {
		name := fmt.Sprintf("%s.%s.%0*x%s", dir, base, tempDigits, rand.Uint32(), tempExt)
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) {
			return f, naming(path, name, err)
		}
	}
}

// Commit closes a file of [Create] and renames it to path when it is all on disk. An [fs.PathError] with the operation
// "rename" says that all went well but that.
func Commit(f *os.File, path string) error {
	if err := Sync(f); err != nil {
		return naming(path, f.Name(), err)
	}
	if err := f.Close(); err != nil {
		return naming(path, f.Name(), err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return naming(path, f.Name(), err)
	}
	return syncFolder(filepath.Dir(path))
}

// TempOf returns the name of the file that a temporary file was made for, by the temporary file's name; "" for any
// other name.
func TempOf(name string) string {
	name, dot := strings.CutPrefix(name, ".")
	name, ext := strings.CutSuffix(name, tempExt)
	at := len(name) - tempDigits
	if !dot || !ext || at < 2 || name[at-1] != '.' || strings.Trim(name[at:], "0123456789abcdef") != "" {
		return ""
	}
	return name[:at-1]
}

// Sync puts a file or a folder on disk. File systems that know no such request are taken at their word.
func Sync(f *os.File) error {
	err := f.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}

// syncFolder makes a rename in a folder durable. Windows cannot open folders and does not need this.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return Sync(d)
}
