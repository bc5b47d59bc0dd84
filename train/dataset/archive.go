// Where pictures are: folders, ZIP and TAR archives, single files.
package dataset

import (
	"archive/tar"
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

// files is a folder, at any depth, or single files.
type files struct {
	list []file
	kind string // "folder" or ""
}

// file is a plain file and what it was when it was found.
type file struct {
	name, path string
	info       fs.FileInfo
}

func (f files) what() string { return f.kind }

func (f files) key() string {
	var b strings.Builder
	for _, file := range f.list {
		b.WriteString(fileKey(file.path, file.info))
	}
	return b.String()
}

func (f files) walk(ctx context.Context, visit func(entry) error) error {
	return parallel(ctx, len(f.list), func(i int) error {
		file := f.list[i]
		return visit(entry{name: file.name, path: file.path, size: file.info.Size(), seq: i, read: file.read})
	})
}

// read is the first limit bytes of the file, which must still be what it was.
func (f file) read(limit int64) ([]byte, error) {
	in, err := os.Open(f.path)
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return nil, unreadable(f.path, err)
	}
	if err := sameFile(f.path, f.info, info); err != nil {
		return nil, err
	}
	data := make([]byte, min(limit, info.Size()))
	if _, err := io.ReadFull(in, data); err != nil {
		if info, statErr := in.Stat(); statErr == nil {
			if err := sameFile(f.path, f.info, info); err != nil {
				return nil, err
			}
		}
		return nil, unreadable(f.path, err)
	}
	if info, err = in.Stat(); err != nil {
		return nil, unreadable(f.path, err)
	}
	return data, sameFile(f.path, f.info, info)
}

// listFolder finds all plain files below a folder, in the order of their names. Links are followed; one that leads to a
// folder that is in the data already, such as back to where it is, is an error. Hidden files are passed over.
func listFolder(root string) ([]file, error) {
	l := lister{seen: map[string]string{}}
	real, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, unreadable(root, err)
	}
	return l.list, l.folder(root, "", real)
}

type lister struct {
	list []file
	seen map[string]string // real path of a folder -> the path by which it was found
}

func (l *lister) folder(dir, below, real string) error {
	if before, ok := l.seen[real]; ok {
		why := "which is in the data already"
		if dir == before || strings.HasPrefix(dir, before+string(filepath.Separator)) {
			why = "which holds the link, without an end"
		}
		return fmt.Errorf("%s: expected each folder once, found a link to %s, %s; remove the link", dir, before, why)
	}
	l.seen[real] = dir
	entries, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return unreadable(dir, err)
	}
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		at, name, realAt := filepath.Join(dir, e.Name()), path.Join(below, e.Name()), filepath.Join(real, e.Name())
		info, err := os.Stat(at) // follows links
		link := e.Type()&fs.ModeSymlink != 0
		if err != nil {
			if link {
				return fmt.Errorf("%s: expected a file or folder, found a link that leads nowhere (%w); remove it", at, plain(err))
			}
			return unreadable(at, err)
		}
		switch {
		case info.IsDir():
			if link {
				if realAt, err = filepath.EvalSymlinks(at); err != nil {
					return unreadable(at, err)
				}
			}
			if err := l.folder(at, name, realAt); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			l.list = append(l.list, file{name, at, info})
		}
	}
	return nil
}

// archive is a ZIP or TAR file.
type archive struct{ *source }

// open opens the file anew: it is read twice. The second time it must be what it was.
func (a archive) open() (*source, error) {
	s, err := openSource(a.path)
	if err != nil {
		return nil, err
	}
	if err := sameFile(a.path, a.info, s.info); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (a archive) key() string { return fileKey(a.path, a.info) }

func (a archive) what() string {
	if a.kind == kindZIP {
		return "ZIP"
	}
	return "TAR"
}

func (a archive) walk(ctx context.Context, visit func(entry) error) error {
	s, err := a.open()
	if err != nil {
		return err
	}
	defer s.close()
	if a.kind == kindZIP {
		err = s.walkZIP(ctx, visit)
	} else {
		err = s.walkTAR(ctx, visit)
	}
	if err == nil {
		err = s.unchanged()
	}
	return err
}

// hiddenPath tells whether any part of a path in an archive is hidden, or it is no file of data.
func hiddenPath(name string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Clean("/"+strings.ReplaceAll(name, `\`, "/")), "/"), "/") {
		if hidden(part) {
			return true
		}
	}
	return false
}

func (s *source) walkZIP(ctx context.Context, visit func(entry) error) error {
	z, err := zip.NewReader(s.file, s.size)
	if err != nil {
		return s.changedOr(fmt.Errorf("%s: expected a whole ZIP, found damage (%w); copy or download the file again", s.path, err))
	}
	var list []*zip.File
	claim := 0.0
	for _, f := range z.File {
		if f.Mode().IsRegular() && !hiddenPath(f.Name) && !strings.HasSuffix(f.Name, "/") {
			list = append(list, f)
			claim += float64(f.UncompressedSize64)
		}
	}
	if claim > deflateRatio*float64(s.size) {
		return fmt.Errorf("%s: expected %.0f bytes in it as its headers say, found a ZIP of %d bytes, which cannot hold them; it is damaged or made to harm, choose another file", s.path, claim, s.size)
	}
	return parallel(ctx, len(list), func(i int) error {
		f := list[i]
		at := s.path + ": " + f.Name
		return visit(entry{name: path.Clean(f.Name), path: at, size: int64(f.UncompressedSize64), seq: i, read: func(limit int64) ([]byte, error) {
			switch {
			case f.Flags&1 != 0:
				return nil, fmt.Errorf("%s: expected a file without a password, found an encrypted one; unpack the ZIP and give the folder", at)
			case f.Method != zip.Store && f.Method != zip.Deflate:
				return nil, fmt.Errorf("%s: expected a file stored or deflated, found compression method %d; unpack the ZIP and give the folder", at, f.Method)
			}
			r, err := f.Open()
			if err != nil {
				return nil, s.changedOr(fmt.Errorf("%s: expected a whole file, found damage (%w); copy or download the ZIP again", at, err))
			}
			defer r.Close()
			data, err := readUpTo(r, int64(f.UncompressedSize64), limit)
			if err != nil {
				return nil, s.changedOr(fmt.Errorf("%s: expected a whole file, found damage (%w); copy or download the ZIP again", at, err))
			}
			return data, nil
		}})
	})
}

// readUpTo reads size bytes, at most limit. Memory grows with what is there, not with the size that a header claims.
// Where all is read the end is read too, which checks the sum that a ZIP keeps.
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

// walkTAR reads the archive once, in its order, and hands the files over to all processors. What is no picture is passed
// over without being held.
func (s *source) walkTAR(ctx context.Context, visit func(entry) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan entry)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var failed error
	fail := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if failed == nil || errors.Is(failed, context.Canceled) {
			failed = err
		}
		cancel()
	}
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for e := range work {
				if err := visit(e); err != nil {
					fail(err)
					return
				}
			}
		})
	}
	err := s.readTAR(ctx, work)
	close(work)
	wg.Wait()
	if failed != nil {
		return failed
	}
	return err
}

func (s *source) readTAR(ctx context.Context, work chan<- entry) error {
	t := tar.NewReader(s.r)
	damaged := func(err error) error {
		return s.changedOr(fmt.Errorf("%s: expected a whole TAR, found damage (%w); copy or download the file again", s.path, err))
	}
	for seq := 0; ; seq++ {
		h, err := t.Next()
		if err == io.EOF {
			// The rest has the checksum of gzip.
			if _, err := io.Copy(io.Discard, s.r); err != nil {
				return damaged(err)
			}
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		if h.Typeflag != tar.TypeReg || hiddenPath(h.Name) {
			continue
		}
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		data := make([]byte, min(h.Size, 16))
		if _, err := io.ReadFull(t, data); err != nil {
			return damaged(err)
		}
		if isPicture(data) && h.Size <= maxFile {
			rest, err := readUpTo(t, h.Size-int64(len(data)), maxFile)
			if err != nil {
				return damaged(err)
			}
			data = append(data, rest...)
		}
		e := entry{name: name, path: s.path + ": " + h.Name, size: h.Size, seq: seq, read: func(limit int64) ([]byte, error) {
			return data[:min(limit, int64(len(data)))], nil
		}}
		select {
		case work <- e:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
