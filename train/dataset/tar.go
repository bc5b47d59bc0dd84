// TAR archives.

package dataset

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// isTAR recognises the mark of POSIX, which GNU tar writes too. An IDX file may have it among its pixels. The oldest
// form (tar --format=v7) has no mark: it is told by the checksum of its first header.
func isTAR(f *dataFile) bool {
	switch {
	case isIDX(f) || len(f.head) < tarBlock:
		return len(f.head) >= 262 && string(f.head[257:262]) == "ustar" && !isIDX(f)
	case string(f.head[257:262]) == "ustar":
		return true
	}
	return f.head[0] != 0 && tarSum(f.head[:tarBlock]) == tarSumStored(f.head)
}

const tarBlock = 512

// tarSum is the sum of the bytes of a header, with spaces for the checksum in it.
func tarSum(header []byte) int64 {
	sum := int64(0)
	for i, b := range header {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	return sum
}

// tarSumStored is the checksum that a header has, in octal; -1 if it has none.
func tarSumStored(header []byte) int64 {
	sum, err := strconv.ParseInt(strings.Trim(string(header[148:156]), " \x00"), 8, 64)
	if err != nil {
		return -1
	}
	return sum
}

// openTAR returns what is in a TAR, which may be compressed.
func openTAR(f *dataFile) (collection, error) { return archive{f, visitTAR, scanTAR}, nil }

// scanTAR visits the files of a TAR one after the other.
func scanTAR(f *dataFile, visit func(member) error) error {
	t := tar.NewReader(f.r)
	for {
		h, err := t.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return damagedTAR(f, err)
		}
		if h.Typeflag != tar.TypeReg || hiddenPath(h.Name) {
			continue
		}
		if err := visit(member{belowRoot(h.Name), h.Size, func() (io.Reader, error) { return t, nil }}); err != nil {
			return err
		}
	}
}

func damagedTAR(f *dataFile, err error) error {
	return f.changedOr(fmt.Errorf("%s: expected a whole TAR, found damage (%w); copy or download the file again",
		f.path, err))
}

// visitTAR reads the archive once, in its order, and hands its files to all processors.
func visitTAR(ctx context.Context, f *dataFile, visit func(entry) error) error {
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
	err := readTAR(ctx, f, work)
	close(work)
	wg.Wait()
	if failed != nil {
		return failed
	}
	return err
}

// readTAR sends all files of the archive to work. Of what is no picture only the start is held.
func readTAR(ctx context.Context, f *dataFile, work chan<- entry) error {
	t := tar.NewReader(f.r)
	damaged := func(err error) error { return damagedTAR(f, err) }
	send := func(e entry) error {
		select {
		case work <- e:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	for seq := 0; ; seq++ {
		h, err := t.Next()
		if err == io.EOF {
			// The end of the file, because there gzip compares its checksum.
			if _, err := io.Copy(io.Discard, f.r); err != nil {
				return damaged(err)
			}
			return nil
		}
		if err != nil {
			return damaged(err)
		}
		name := belowRoot(h.Name)
		e := entry{name: name, path: f.path + ": " + h.Name, seq: seq}
		switch {
		case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeLink && h.Typeflag != tar.TypeSymlink:
			continue
		case hiddenPath(h.Name):
			e.hidden = true
		case h.Typeflag == tar.TypeLink:
			e.link = cmp.Or(belowRoot(h.Linkname), ".")
		case h.Typeflag == tar.TypeSymlink:
			e.link = linkTarget(name, h.Linkname)
		}
		if e.hidden || e.link != "" {
			if err := send(e); err != nil {
				return err
			}
			continue
		}
		data := make([]byte, min(h.Size, 16))
		if _, err := io.ReadFull(t, data); err != nil {
			return damaged(err)
		}
		if encodingOf(data) == nil { // what it is will be told
			rest, err := readUpTo(t, h.Size-int64(len(data)), headBytes)
			if err != nil {
				return damaged(err)
			}
			data = append(data, rest...)
		} else if h.Size <= maxFile {
			rest, err := readUpTo(t, h.Size-int64(len(data)), maxFile)
			if err != nil {
				return damaged(err)
			}
			data = append(data, rest...)
		}
		e.size = h.Size
		e.read = func(limit int64) ([]byte, error) { return data[:min(limit, int64(len(data)))], nil }
		if err := send(e); err != nil {
			return err
		}
	}
}
