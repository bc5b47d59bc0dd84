// Archives of pictures: what ZIP and TAR share. An archive is read twice, first the headers of its pictures and then
// the pictures, and must be the same file both times.

package dataset

import (
	"context"
	"io"
	"path"
	"strings"
)

// archive is a ZIP or TAR file.
type archive struct {
	*dataFile
	visitAll func(ctx context.Context, f *dataFile, visit func(entry) error) error
}

func (a archive) place() string { return a.format.name }

func (a archive) identity() string { return fileIdentity(a.path, a.info) }

// walk opens the file anew and visits all that is in it.
func (a archive) walk(ctx context.Context, visit func(entry) error) error {
	f, err := openFile(a.path)
	if err != nil {
		return err
	}
	defer f.close()
	if err := sameFile(a.path, a.info, f.info); err != nil {
		return err
	}
	if err := a.visitAll(ctx, f, visit); err != nil {
		return err
	}
	return f.unchanged()
}

// belowRoot returns a path in an archive without what would lead out of it.
func belowRoot(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }

// linkTarget returns the path below the root that a symbolic link leads to; "." where it leads out of the archive.
func linkTarget(link, to string) string {
	if at := path.Join(path.Dir(link), to); !path.IsAbs(to) && at != ".." && !strings.HasPrefix(at, "../") {
		return at
	}
	return "."
}

// hiddenPath tells whether any part of a path in an archive is hidden.
func hiddenPath(name string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/"), "/") {
		if hidden(part) {
			return true
		}
	}
	return false
}

// readUpTo reads size bytes, or limit if that is less. Memory grows with what is there, not with the size that a
// header claims. Where all is read, the end is read too, because there a ZIP compares its checksum.
func readUpTo(r io.Reader, size, limit int64) ([]byte, error) {
	if size > limit {
		r, size = io.LimitReader(r, limit), limit
	}
	data, err := io.ReadAll(r)
	if err == nil && int64(len(data)) < size {
		err = io.ErrUnexpectedEOF
	}
	return data, err
}
