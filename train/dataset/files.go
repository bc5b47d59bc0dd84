// Files of images one after the other: IDX (MNIST and its kin), the binary version of CIFAR-10, and NPY (array.go). Each
// may be compressed with gzip, as IDX files are published.
//
//	IDX       big-endian words: magic 00 00 08 03, N, H, W (or 00 00 08 04, N, H, W, C), then N*H*W*C bytes, row by row
//	          (http://yann.lecun.com/exdb/mnist: 08 is the type "unsigned byte", the last byte the number of dimensions)
//	CIFAR-10  records of 3073 bytes: a label 0..9, then 1024 red, 1024 green, 1024 blue bytes, each plane row by row
//	          (https://www.cs.toronto.edu/~kriz/cifar.html, "binary version")
//
// Labels are not used.
package dataset

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	cifarSide   = 32
	cifarRecord = 1 + 3*cifarSide*cifarSide

	// deflateRatio is the most that deflate shrinks: 258 bytes in two bits and a bit of block header, 1032:1
	// (https://zlib.net/zlib_tech.html). A header that claims more than this of compressed data lies.
	deflateRatio = 1032

	// headBytes is how much of a file tells what it is.
	headBytes = 4096
)

// kind is what a file holds, by its content.
type kind int

const (
	kindUnknown kind = iota
	kindIDX
	kindCIFAR
	kindNPY
	kindZIP
	kindTAR
	kindPicture
	kindTable
)

// source is an open file: r gives its content, unpacked if it is compressed.
type source struct {
	path   string
	file   *os.File
	r      *bufio.Reader
	info   fs.FileInfo
	size   int64  // of the file as it is
	packed string // "gzip" or "bzip2"; "" as it is
	head   []byte // the start of the content
	kind   kind
	idx    idxHeader
}

// openSource opens a file and finds out what it holds.
func openSource(path string) (*source, error) {
	// What it is comes first: to open a pipe waits for somebody who writes to it.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, notPlain(path, info.Mode())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, unreadable(path, err)
	}
	s := &source{path: path, file: f}
	if err := s.start(); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

func notPlain(path string, mode fs.FileMode) error {
	return fmt.Errorf("%s: expected a plain file, found a %s; copy the data into a file first", path, fileMode(mode))
}

func (s *source) close() { s.file.Close() }

// start looks at the beginning of the file.
func (s *source) start() (err error) {
	if s.info, err = s.file.Stat(); err != nil {
		return unreadable(s.path, err)
	}
	if !s.info.Mode().IsRegular() {
		return notPlain(s.path, s.info.Mode())
	}
	s.size = s.info.Size()
	in := bufio.NewReaderSize(s.file, 1<<16)
	s.r = in
	switch magic, _ := in.Peek(4); {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		s.packed = "gzip"
		z, err := gzip.NewReader(in)
		if err != nil {
			return s.damaged(err)
		}
		s.r = bufio.NewReaderSize(z, 1<<16)
	case bytes.HasPrefix(magic, []byte("BZh")):
		s.packed = "bzip2"
		s.r = bufio.NewReaderSize(bzip2.NewReader(in), 1<<16)
	}
	// Peek does not read past the head, and what it fails with the reader meets again.
	if s.head, err = s.r.Peek(headBytes); err != nil && err != io.EOF {
		return s.damaged(err)
	}
	if len(s.head) == 0 {
		return fmt.Errorf("%s: expected data, found an empty file; copy or download it again", s.path)
	}
	s.kind = s.tell()
	return nil
}

// tell finds out what the content is.
func (s *source) tell() kind {
	starts := func(magic string) bool { return bytes.HasPrefix(s.head, []byte(magic)) }
	h, idx := parseIDX(s.head)
	s.idx = h
	whole := s.packed == "" && s.size%cifarRecord == 0
	switch {
	case idx && whole && !h.fits(s.size):
		// The first bytes of an IDX file could also be those of a CIFAR-10 record of label 0 (black, 8, 3). The size has
		// decided: it is not that of the header, and it is a multiple of 3073.
		return kindCIFAR
	case h.images:
		return kindIDX
	case isIDX(s.head):
		if !idx && whole {
			return kindCIFAR
		}
		return kindUnknown
	case starts("\x93NUMPY"):
		return kindNPY
	case starts("PK\x03\x04"), starts("PK\x05\x06"), starts("PK\x07\x08"):
		return kindZIP
	case isTar(s.head):
		return kindTAR
	case isPicture(s.head):
		return kindPicture
	case isTable(s.head):
		return kindTable
	case whole:
		return kindCIFAR
	}
	return kindUnknown
}

// unchanged is an error if the file is not what it was when it was opened: somebody writes to it.
func (s *source) unchanged() error {
	info, err := os.Stat(s.path)
	if err != nil {
		return unreadable(s.path, err)
	}
	return sameFile(s.path, s.info, info)
}

func sameFile(path string, before, after fs.FileInfo) error {
	if before.Size() == after.Size() && before.ModTime().Equal(after.ModTime()) {
		return nil
	}
	return fmt.Errorf("%s: expected a file that stays as it is, but it changed while it was read (%d bytes, then %d); start again when it is complete", path, before.Size(), after.Size())
}

// damaged is the error for data that cannot be unpacked or read.
func (s *source) damaged(err error) error {
	if bad := s.unchanged(); bad != nil && s.info != nil {
		return bad
	}
	if s.packed == "" && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return unreadable(s.path, err)
	}
	return fmt.Errorf("%s: expected whole %s data, found damage (%w); copy or download the file again", s.path, s.packed, err)
}

// array is the images of one file.
type array struct {
	*source
	what       string // "IDX"
	n, h, w, c int
	// next reads one image (H, W, C) to row.
	next func(row []byte) error
	// end checks what comes after the last image; nil: nothing to check.
	end func() error
}

func (a *array) shape() string { return fmt.Sprintf("%dx%dx%d", a.h, a.w, a.c) }

// images opens the source as images.
func (s *source) images(set Settings) (*array, error) {
	switch s.kind {
	case kindIDX:
		return s.openIDX()
	case kindCIFAR:
		return s.openCIFAR(), nil
	case kindNPY:
		return s.openNPY(set)
	}
	return nil, s.unknown()
}

// isIDX reports whether head starts as an IDX file of any kind: two zeros, a type, 1 to 4 dimensions.
func isIDX(head []byte) bool {
	return len(head) >= 4 && head[0] == 0 && head[1] == 0 && head[2] >= 8 && head[2] <= 0x0e && head[3] >= 1 && head[3] <= 4
}

func isTar(head []byte) bool { return len(head) >= 262 && string(head[257:262]) == "ustar" }

// idxHeader is the header of an IDX file of bytes.
type idxHeader struct {
	images bool      // 3 or 4 dimensions
	dims   [4]uint32 // N, H, W, C
	bytes  int       // its length
	body   float64   // N*H*W*C, exact below 2^53; more than any file beyond
}

// parseIDX reads the header of an IDX file of bytes at the start of head.
func parseIDX(head []byte) (h idxHeader, ok bool) {
	if !isIDX(head) || head[2] != 8 || len(head) < 4+4*int(head[3]) {
		return h, false
	}
	n := int(head[3])
	h = idxHeader{images: n >= 3, dims: [4]uint32{1, 1, 1, 1}, bytes: 4 + 4*n, body: 1}
	for i := range n {
		h.dims[i] = binary.BigEndian.Uint32(head[4+4*i:])
		h.body *= float64(h.dims[i])
	}
	return h, true
}

// fits reports whether a file of the given size is the header and what it promises.
func (h idxHeader) fits(size int64) bool { return float64(h.bytes)+h.body == float64(size) }

func (h idxHeader) String() string {
	return fmt.Sprintf("%d images %dx%dx%d", h.dims[0], h.dims[1], h.dims[2], h.dims[3])
}

// openIDX reads an IDX file of images from its first byte.
func (s *source) openIDX() (*array, error) {
	h := s.idx
	if h.body == 0 {
		return nil, fmt.Errorf("%s: expected images, found a header of %s; choose another file", s.path, h)
	}
	want := float64(h.bytes) + h.body
	if s.packed == "" && !h.fits(s.size) {
		return nil, s.wrongLength(h, want, float64(s.size))
	}
	if s.packed == "gzip" && want > float64(s.size)*deflateRatio || want >= math.MaxInt {
		return nil, fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found %d bytes of %s data, which cannot hold them; copy or download the file again", s.path, want, h, s.size, s.packed)
	}
	if _, err := s.r.Discard(h.bytes); err != nil {
		return nil, s.damaged(err)
	}
	a := &array{source: s, what: "IDX", n: int(h.dims[0]), h: int(h.dims[1]), w: int(h.dims[2]), c: int(h.dims[3])}
	read := float64(h.bytes)
	a.next = func(row []byte) error {
		n, err := io.ReadFull(s.r, row)
		read += float64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF && s.short(h, read) {
			return s.changedOr(s.wrongLength(h, want, read))
		}
		if err != nil {
			return s.damaged(err)
		}
		return nil
	}
	a.end = func() error {
		_, err := s.r.ReadByte()
		switch {
		case err == nil:
			return s.changedOr(fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found more; cut the trailing bytes off or download the file again", s.path, want, h))
		case err != io.EOF:
			return s.damaged(err)
		}
		return nil
	}
	return a, nil
}

// short tells a file that ends too early from compressed data that does: io.ReadFull has one error for both. At the end
// of whole data the reader has come to a clean end.
func (s *source) short(h idxHeader, read float64) bool {
	_, err := s.r.Peek(1)
	return err == io.EOF
}

// changedOr is err, unless the file has changed, which then explains it.
func (s *source) changedOr(err error) error {
	if changed := s.unchanged(); changed != nil {
		return changed
	}
	return err
}

func (s *source) wrongLength(h idxHeader, want, found float64) error {
	what, todo := "the file is cut short", "copy or download it again"
	if found > want {
		what, todo = "it has trailing bytes", "cut them off or download the file again"
	}
	return fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found %.0f: %s; %s", s.path, want, h, found, what, todo)
}

// openCIFAR reads the records of a CIFAR-10 batch and turns their planes into pixels.
func (s *source) openCIFAR() *array {
	a := &array{source: s, what: "CIFAR-10", n: int(s.size / cifarRecord), h: cifarSide, w: cifarSide, c: 3}
	const plane = cifarSide * cifarSide
	var record [cifarRecord]byte
	i := 0
	a.next = func(row []byte) error {
		if _, err := io.ReadFull(s.r, record[:]); err != nil {
			return s.damaged(err)
		}
		if record[0] > 9 {
			return fmt.Errorf("%s: expected CIFAR-10 records, each with a label 0 to 9, found label %d in record %d; give IDX images or the binary version of CIFAR-10", s.path, record[0], i)
		}
		i++
		planes := record[1:]
		for p := range plane {
			row[3*p], row[3*p+1], row[3*p+2] = planes[p], planes[p+plane], planes[p+2*plane]
		}
		return nil
	}
	return a
}

// expectedFile is what an error says that files hold.
const expectedFile = "expected PNG or JPEG pictures, a ZIP or TAR of them, IDX images (magic 2051), CIFAR-10 batches (records of 3073 bytes), NPY or CSV"

// unknown is the error for a file that no reader takes.
func (s *source) unknown() error {
	starts := func(magic string) bool { return bytes.HasPrefix(s.head, []byte(magic)) }
	found, todo := "", ""
	switch head := s.head; {
	case isIDX(head) && head[2] == 8 && head[3] == 1:
		found, todo = "IDX labels (magic 2049)", "give the file of images, whose name has \"images-idx3\" in it"
	case isIDX(head) && head[2] == 8 && head[3] == 2:
		found, todo = "an IDX table of bytes (magic 2050)", "store the images with 3 dimensions (N, H, W) or 4 (N, H, W, C)"
	case isIDX(head) && head[2] == 8:
		found, todo = fmt.Sprintf("an IDX header that is cut short after %d bytes", len(head)), "copy or download the file again"
	case isIDX(head):
		found, todo = fmt.Sprintf("IDX data of type 0x%02x", head[2]), "store the images as unsigned bytes, type 0x08"
	case starts("\x80\x02"), starts("\x80\x03"), starts("\x80\x04"), starts("\x80\x05"):
		found, todo = "a Python pickle", "give the binary version of the data set, or save the array with numpy.save"
	case starts("GIF8"), starts("BM"), starts("II*\x00"), starts("MM\x00*"), starts("RIFF") && len(head) >= 12 && string(head[8:12]) == "WEBP":
		found, todo = "a picture that is neither PNG nor JPEG", "convert it to PNG"
	case starts("\x28\xb5\x2f\xfd"):
		found, todo = "Zstandard data", "unpack it with unzstd"
	case starts("\xfd7zXZ\x00"):
		found, todo = "xz data", "unpack it with unxz"
	case starts("7z\xbc\xaf"), starts("Rar!"):
		found, todo = "an archive of 7-Zip or RAR", "unpack it and give the folder"
	case starts("\x89HDF"):
		found, todo = "an HDF5 file", "save the array in it with numpy.save"
	case starts("\xff\xfe"), starts("\xfe\xff"):
		found, todo = "text in UTF-16", "save it as UTF-8"
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("<")):
		found, todo = "a web page or XML", "download the file itself"
	case s.packed != "":
		found, todo = fmt.Sprintf("%s data whose content starts with % x", s.packed, head[:min(4, len(head))]), "unpack it if it is a CIFAR-10 batch"
	default:
		found, todo = fmt.Sprintf("%d bytes, no multiple of %d, that start with % x", s.size, cifarRecord, head[:min(4, len(head))]), "copy or download it again, or give another file"
	}
	return fmt.Errorf("%s: %s, found %s; %s", s.path, expectedFile, found, todo)
}

// trainingFiles finds the data in a folder: one file of IDX images or all training batches of CIFAR-10, where test images
// are taken only if there are no others; or else the pictures at any depth; or else the one archive, array or table. Of
// pictures every file below the folder is returned, since only its content tells whether it is one.
func trainingFiles(folder string) (data []string, pictures []file, err error) {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, nil, unreadable(folder, err)
	}
	var idx, cifar, others, folders []string
	var loose []string // archives, arrays and tables
	for _, e := range entries {
		if hidden(e.Name()) {
			continue
		}
		path, name := filepath.Join(folder, e.Name()), strings.ToLower(e.Name())
		info, err := os.Stat(path) // follows links
		switch {
		case err == nil && info.IsDir():
			folders = append(folders, e.Name())
			continue
		case err != nil || !info.Mode().IsRegular() || namedPicture(name):
			others = append(others, e.Name())
			continue
		}
		k := kindUnknown
		s, err := openSource(path)
		if err == nil {
			k = s.kind
			if k == kindCIFAR && s.head[0] > 9 {
				k = kindUnknown
			}
			s.close()
		}
		// A name that promises training images counts as well: reading the file then says what is wrong with it, and a
		// damaged batch is not passed over.
		switch {
		case k == kindIDX, k == kindUnknown && strings.Contains(name, "images") && strings.Contains(name, "idx"):
			idx = append(idx, path)
		case k == kindCIFAR, k == kindUnknown && strings.HasPrefix(name, "data_batch"):
			cifar = append(cifar, path)
		case k == kindZIP, k == kindTAR, k == kindNPY, k == kindTable && (strings.HasSuffix(name, ".csv") || strings.HasSuffix(name, ".tsv")):
			loose = append(loose, path)
		default:
			others = append(others, e.Name())
		}
	}

	if idx, cifar = preferTraining(idx, "train"), preferTraining(cifar, "data_batch"); len(idx) > 0 && len(cifar) > 0 {
		return nil, nil, fmt.Errorf("%s: expected one data set, found IDX images (%s) and CIFAR-10 batches (%s); name the files to use", folder, baseNames(idx), baseNames(cifar))
	}
	// The same file is often there both plain and compressed.
	idx = slices.DeleteFunc(idx, func(p string) bool {
		plain, packed := strings.CutSuffix(p, ".gz")
		return packed && slices.Contains(idx, plain)
	})
	switch {
	case len(idx) == 1:
		return idx, nil, nil
	case len(idx) > 1:
		return nil, nil, fmt.Errorf("%s: expected one file of training images, found %d (%s); name the one to use", folder, len(idx), baseNames(idx))
	case len(cifar) > 0:
		return cifar, nil, nil
	}

	list, err := listFolder(folder)
	if err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(list, func(f file) bool { return namedPicture(strings.ToLower(f.name)) || f.holdsPicture() }) {
		return nil, list, nil
	}
	const expected = "expected PNG or JPEG pictures, IDX images (such as train-images-idx3-ubyte.gz), CIFAR-10 batches (data_batch_1.bin, ...), or one ZIP, TAR, NPY or CSV"
	switch {
	case len(loose) == 1:
		return loose, nil, nil
	case len(loose) > 1:
		return nil, nil, fmt.Errorf("%s: %s, found %d of the last (%s); name the one to use", folder, expected, len(loose), baseNames(loose))
	case len(folders) > 0:
		return nil, nil, fmt.Errorf("%s: %s, found none of these but the folders %s; name one of them, or a folder with such files", folder, expected, baseNames(folders))
	case len(others) > 0:
		return nil, nil, fmt.Errorf("%s: %s, found only %s; name a folder with such files", folder, expected, baseNames(others))
	}
	return nil, nil, fmt.Errorf("%s: %s, found an empty folder; copy the files into it", folder, expected)
}

// namedPicture tells whether a file is named as a picture is.
func namedPicture(lower string) bool {
	return slices.Contains([]string{".png", ".jpg", ".jpeg", ".jpe", ".jfif"}, filepath.Ext(lower))
}

// holdsPicture tells whether a file is a picture by its content.
func (f file) holdsPicture() bool {
	head, err := f.read(16)
	return err == nil && isPicture(head)
}

// preferTraining keeps the paths whose file name has the word of training files in it; failing that, those that do not
// say that they are for tests; failing that, all.
func preferTraining(paths []string, word string) []string {
	has := func(path string, words ...string) bool {
		name := strings.ToLower(filepath.Base(path))
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(name, w) })
	}
	var training, notTest []string
	for _, p := range paths {
		switch {
		case has(p, word):
			training = append(training, p)
		case !has(p, "test", "t10k"):
			notTest = append(notTest, p)
		}
	}
	if len(training) > 0 {
		return training
	}
	if len(notTest) > 0 {
		return notTest
	}
	return paths
}

// baseNames is the file names of paths with commas between, the first six of them.
func baseNames(paths []string) string {
	var names []string
	for i, p := range paths {
		if i == 6 {
			names = append(names, fmt.Sprintf("and %d more", len(paths)-i))
			break
		}
		names = append(names, filepath.Base(p))
	}
	return strings.Join(names, ", ")
}

// fileMode says what a file that is not plain is.
func fileMode(m os.FileMode) string {
	switch {
	case m.IsDir():
		return "folder"
	case m&os.ModeNamedPipe != 0:
		return "pipe"
	case m&os.ModeSocket != 0:
		return "socket"
	default:
		return "device"
	}
}
