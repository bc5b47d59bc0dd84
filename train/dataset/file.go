// A file of data: opened, unpacked if it is compressed, and recognised. What an operating system may do to files while
// they are read (they grow, vanish, are no files at all) is told here.

package dataset

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// headBytes is how much of a file is looked at to recognise its format.
const headBytes = 4096

// dataFile is an open file.
type dataFile struct {
	path   string // for errors; that of a file in an archive is "a.zip: b.csv"
	within string // the format of the archive that it is in, "" if in none
	stored string // the path of what is on disk, the file or the archive
	file   *os.File
	r      *bufio.Reader // the content, unpacked
	info   fs.FileInfo   // when it was opened
	size   int64         // of the file as it is stored, or as the archive says
	packed packing
	head   []byte // the first headBytes of the content
	whole  bool   // head is all of it
	format *format
	again  func() (*dataFile, error) // opens it anew
	// beside opens another file of the same folder, or of the same folder in an archive; fs.ErrNotExist: there is none.
	beside func(name string) (*dataFile, error)
}

// packing is a way to compress a whole file. The zero value: the file is stored as it is.
type packing struct {
	name, magic string
	unpack      func(io.Reader) (io.Reader, error)
	ratio       float64 // the most that it shrinks data; 0: without a useful bound
}

// deflateRatio is the most that deflate shrinks data: 258 bytes to two bits and their share of a block header, 1032:1
// (https://zlib.net/zlib_tech.html). A header that claims more than this of compressed data lies.
const deflateRatio = 1032

var packings = []packing{
	{name: "gzip", magic: "\x1f\x8b", ratio: deflateRatio,
		unpack: func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{name: "bzip2", magic: "BZh", unpack: func(r io.Reader) (io.Reader, error) { return bzip2.NewReader(r), nil }},
}

// openFile opens a file and recognises its format.
func openFile(path string) (*dataFile, error) {
	// What the path is comes first: to open a pipe waits for somebody who writes to it.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, notPlain(path, info.Mode())
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	f := &dataFile{path: path, stored: path, file: file, again: func() (*dataFile, error) { return openFile(path) },
		beside: func(name string) (*dataFile, error) { return openFile(filepath.Join(filepath.Dir(path), name)) }}
	if err := f.start(); err != nil {
		file.Close()
		return nil, err
	}
	return f, nil
}

func (f *dataFile) close() { f.file.Close() }

// start begins to read the file on disk.
func (f *dataFile) start() (err error) {
	if f.info, err = f.file.Stat(); err != nil {
		return unreadable(f.path, err)
	}
	if !f.info.Mode().IsRegular() {
		return notPlain(f.path, f.info.Mode())
	}
	f.size = f.info.Size()
	return f.begin(f.file)
}

// begin unpacks what r has, reads the head and recognises the format.
func (f *dataFile) begin(r io.Reader) (err error) {
	f.r = bufio.NewReaderSize(r, 1<<16)
	magic, _ := f.r.Peek(4)
	for _, p := range packings {
		if bytes.HasPrefix(magic, []byte(p.magic)) {
			f.packed = p
			r, err := p.unpack(f.r)
			if err != nil {
				return f.damaged(err)
			}
			f.r = bufio.NewReaderSize(r, 1<<16)
			break
		}
	}
	// Peek does not move on, so an error here is met again by the reader of the format.
	if f.head, err = f.r.Peek(headBytes); err != nil && err != io.EOF {
		return f.damaged(err)
	}
	f.whole = err == io.EOF
	if len(f.head) == 0 {
		return fmt.Errorf("%s: expected data, found an empty file; copy or download it again", f.path)
	}
	f.format = recognise(f)
	return nil
}

// canHold tells whether n bytes of content can be in the file, if it is compressed.
func (f *dataFile) canHold(n float64) bool {
	return f.packed.ratio == 0 || n <= float64(f.size)*f.packed.ratio
}

// unchanged fails if the file is not what it was when it was opened: somebody writes to it.
func (f *dataFile) unchanged() error {
	info, err := os.Stat(f.stored)
	if err != nil {
		return unreadable(f.stored, err)
	}
	return sameFile(f.stored, f.info, info)
}

// changedOr returns err, unless the file has changed, which then explains it.
func (f *dataFile) changedOr(err error) error {
	if changed := f.unchanged(); changed != nil {
		return changed
	}
	return err
}

// damaged is the error for content that cannot be unpacked or read.
func (f *dataFile) damaged(err error) error {
	if changed := f.unchanged(); changed != nil {
		return changed
	}
	if f.packed.name == "" && f.within == "" && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return unreadable(f.path, err)
	}
	return fmt.Errorf("%s: expected whole %s data, found damage (%w); copy or download the file again", f.path,
		cmp.Or(f.packed.name, f.within), err)
}

// finish reads what comes after the data, at whose end what is packed compares its checksum, and fails if the file is
// damaged or is not what it was.
func (f *dataFile) finish() error {
	if f.packed.name != "" || f.within != "" {
		if _, err := io.CopyN(io.Discard, f.r, 1<<20); err != nil && err != io.EOF {
			return f.damaged(err)
		}
	}
	return f.unchanged()
}

// sameFile fails if a file's size or time have changed.
func sameFile(path string, before, after fs.FileInfo) error {
	if before.Size() == after.Size() && before.ModTime().Equal(after.ModTime()) {
		return nil
	}
	return fmt.Errorf("%s: expected a file that stays as it is, but it changed while it was read (%d bytes, then %d); "+
		"start again when it is complete", path, before.Size(), after.Size())
}

// unreadable wraps an error of the operating system.
func unreadable(path string, err error) error {
	if tooManyFiles(err) {
		return fmt.Errorf("%s: expected a file that can be opened, found that too many are open (%w); close other programs "+
			"or raise the limit (ulimit -n)", path, withoutPath(err))
	}
	return fmt.Errorf("%s: expected a file that can be read, found an error: %w; check the path and its permissions", path,
		withoutPath(err))
}

// tooManyFiles tells of an error that the process or the machine has too many open files, whichever it was to open.
func tooManyFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// withoutPath is an error of the operating system without the path in it, which our own sentences name already.
func withoutPath(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

func notPlain(path string, mode fs.FileMode) error {
	what := "device"
	switch {
	case mode.IsDir():
		what = "folder"
	case mode&fs.ModeNamedPipe != 0:
		what = "pipe"
	case mode&fs.ModeSocket != 0:
		what = "socket"
	}
	return fmt.Errorf("%s: expected a plain file, found a %s; copy the data into a file first", path, what)
}
