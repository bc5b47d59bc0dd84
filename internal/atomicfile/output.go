// Files that a user named as a place for output: what is refused, and the sentences.

package atomicfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile is [Write] for a path that somebody chose. A symbolic link stays, and the file that it names is replaced;
// anything else that is not a regular file is refused. An error of the file is a sentence that names path; one that
// write made itself is returned as it is.
func WriteFile(path string, write func(io.Writer) error) error {
	path, err := follow(path)
	if err != nil {
		return err
	}
	own := false // the error is write's own
	err = Write(path, func(f *os.File) error {
		b := bufio.NewWriterSize(f, 1<<16)
		if err := write(b); err != nil {
			own = b.Flush() == nil // it remembers the file's first error
			return err
		}
		return b.Flush()
	})
	if err != nil && !own {
		return cannotWrite(path, err)
	}
	return err
}

// CheckWritable returns the error that WriteFile to path would meet, so that an hour of sampling is not lost to a
// mistyped folder.
func CheckWritable(path string) error {
	path, err := follow(path)
	if err != nil {
		return err
	}
	f, err := Create(path, 0o666)
	if err != nil {
		return cannotWrite(path, err)
	}
	f.Close()
	return os.Remove(f.Name())
}

// follow returns the file to replace in order to write path: path itself, or the end of its symbolic links, which
// need not exist yet. A rename onto path itself would replace the link. It would replace a device or a pipe too; these
// are refused.
func follow(path string) (string, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		what := "not a regular file"
		switch mode := info.Mode(); {
		case mode.IsDir():
			what = "a folder"
		case mode&fs.ModeNamedPipe != 0:
			what = "a pipe"
		case mode&fs.ModeDevice != 0:
			what = "a device"
		}
		return "", fmt.Errorf("cannot write %s: it is %s; choose the name of a new file or of a regular file to replace",
			path, what)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", cannotWrite(path, err)
	}
	// Stat returned without an error of links that form a loop, so this ends.
	for {
		info, err := os.Lstat(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", cannotWrite(path, err)
		}
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return path, nil
		}
		link, err := os.Readlink(path)
		if err != nil {
			return "", cannotWrite(path, err)
		}
		if !filepath.IsAbs(link) {
			// not filepath.Join, which shortens x/.. even where x is a link
			dir, _ := filepath.Split(path)
			link = dir + link
		}
		path = link
	}
}

// cannotWrite returns the error of writing path. The system's own error would name the temporary file.
func cannotWrite(path string, err error) error {
	var pathErr *fs.PathError
	var linkErr *os.LinkError
	switch {
	case errors.As(err, &pathErr):
		err = pathErr.Err
	case errors.As(err, &linkErr):
		err = linkErr.Err
	}
	return fmt.Errorf("cannot write %s: %w; choose a place that can be written, "+
		"or check that its folder exists and has room", path, err)
}
