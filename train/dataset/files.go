// Image files: IDX (MNIST and its kin) and the binary version of CIFAR-10. IDX files may be compressed with gzip, as they
// are published.
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
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigmaz/kernels"
)

const (
	cifarSide   = 32
	cifarRecord = 1 + 3*cifarSide*cifarSide

	// deflateRatio is the most that deflate shrinks: 258 bytes in two bits and a bit of block header, 1032:1
	// (https://zlib.net/zlib_tech.html). A gzip file whose header claims more lies.
	deflateRatio = 1032
)

// readFiles reads files, all of one image size, as one set. paths is what the user named.
func readFiles(paths, files []string) (*Set, error) {
	s := &Set{}
	var pixels [][]byte
	var kind string
	for i, file := range files {
		d, k, err := readFile(file)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			s.Data, kind = *d, k
		} else if d.H != s.H || d.W != s.W || d.C != s.C {
			return nil, fmt.Errorf("%s: expected images %s as in %s, found %s; name only files of one image size", file, shape(&s.Data), files[0], shape(d))
		} else {
			s.N += d.N
		}
		pixels = append(pixels, d.U8)
	}
	s.U8 = pixels[0]
	if len(pixels) > 1 {
		s.U8 = slices.Concat(pixels...)
	}
	s.Name = fmt.Sprintf("%s: %s, %d images %s", title(paths), kind, s.N, shape(&s.Data))
	return s, nil
}

// readFile reads one file of images of either kind.
func readFile(path string) (d *kernels.Data, kind string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, "", unreadable(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, "", unreadable(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, "", fmt.Errorf("%s: expected a plain file, found a %s; copy the data into a file first", path, fileMode(info.Mode()))
	}

	in := bufio.NewReaderSize(f, 1<<16)
	src := &source{path: path, r: in, size: info.Size()}
	if magic, _ := in.Peek(2); bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, "", src.damaged(err)
		}
		src.r, src.gzip = bufio.NewReaderSize(z, 1<<16), true
	}
	// Peek does not read past its 512 bytes of header, and what it fails with the read below meets again.
	head, err := src.r.Peek(512)
	if err != nil && err != io.EOF {
		return nil, "", src.damaged(err)
	}
	if len(head) == 0 {
		return nil, "", fmt.Errorf("%s: expected images, found an empty file; copy or download it again", path)
	}

	h, idx := parseIDX(head)
	switch {
	case idx && !src.gzip && !h.fits(src.size) && src.size%cifarRecord == 0:
		// The first bytes of an IDX file could also be those of a CIFAR-10 record of label 0 (black, 8, 3). The size has
		// decided: it is not that of the header, and it is a multiple of 3073.
		d, err = src.readCIFAR()
		return d, "CIFAR-10", err
	case h.images:
		d, err = src.readIDX(h)
		return d, "IDX", err
	case !idx && !src.gzip && src.size%cifarRecord == 0:
		d, err = src.readCIFAR()
		return d, "CIFAR-10", err
	}
	return nil, "", src.unknown(head)
}

// source is an open file: r gives its content, unpacked if it is gzip.
type source struct {
	path string
	r    *bufio.Reader
	size int64 // of the file as it is
	gzip bool
}

// damaged is the error for data that cannot be unpacked or read.
func (s *source) damaged(err error) error {
	if !s.gzip && !errors.Is(err, gzip.ErrHeader) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return unreadable(s.path, err)
	}
	return fmt.Errorf("%s: expected whole gzip data, found damage (%w); copy or download the file again", s.path, err)
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

// readIDX reads an IDX file of images from its first byte.
func (s *source) readIDX(h idxHeader) (*kernels.Data, error) {
	if h.body == 0 {
		return nil, fmt.Errorf("%s: expected images, found a header of %s; choose another file", s.path, h)
	}
	want := float64(h.bytes) + h.body
	if !s.gzip && !h.fits(s.size) {
		return nil, s.wrongLength(h, want, float64(s.size))
	}
	if s.gzip && want > float64(s.size)*deflateRatio || want >= math.MaxInt {
		return nil, fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found %d bytes of gzip data, which cannot hold them; copy or download the file again", s.path, want, h, s.size)
	}
	content, err := s.readUpTo(int(want) + 1)
	if err != nil {
		return nil, err
	}
	if len(content) > int(want) {
		return nil, fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found more; cut the trailing bytes off or download the file again", s.path, want, h)
	}
	if len(content) < int(want) {
		return nil, s.wrongLength(h, want, float64(len(content)))
	}
	return &kernels.Data{N: int(h.dims[0]), H: int(h.dims[1]), W: int(h.dims[2]), C: int(h.dims[3]), U8: content[h.bytes:]}, nil
}

func (s *source) wrongLength(h idxHeader, want, found float64) error {
	what, todo := "the file is cut short", "copy or download it again"
	if found > want {
		what, todo = "it has trailing bytes", "cut them off or download the file again"
	}
	return fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found %.0f: %s; %s", s.path, want, h, found, what, todo)
}

// readUpTo reads the content, at most n bytes of it. Memory grows with what is there, not with n: for a gzip file 16
// times its size is taken at first (digits shrink to a fifth), more only when the data has filled that.
func (s *source) readUpTo(n int) ([]byte, error) {
	content := make([]byte, 0, min(int64(n), 16*s.size))
	for len(content) < n {
		if len(content) == cap(content) {
			content = slices.Grow(content, min(n-len(content), max(len(content), 4096)))
		}
		k, err := s.r.Read(content[len(content):min(cap(content), n)])
		content = content[:len(content)+k]
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, s.damaged(err)
		}
	}
	return content, nil
}

// readCIFAR reads the records of a CIFAR-10 batch and turns their planes into pixels.
func (s *source) readCIFAR() (*kernels.Data, error) {
	content, err := s.readUpTo(int(s.size))
	if err != nil {
		return nil, err
	}
	n := len(content) / cifarRecord
	if len(content)%cifarRecord != 0 || n == 0 {
		return nil, fmt.Errorf("%s: expected CIFAR-10 records of %d bytes, found %d bytes, which is no multiple; copy or download the file again", s.path, cifarRecord, len(content))
	}
	const plane = cifarSide * cifarSide
	d := &kernels.Data{N: n, H: cifarSide, W: cifarSide, C: 3}
	// Pixels are written over the records they come from, which saves a second copy: record i starts at byte 3073 i and
	// its pixels go to byte 3072 i, before it.
	var planes [3 * plane]byte
	for i := range n {
		record := content[i*cifarRecord : (i+1)*cifarRecord]
		if record[0] > 9 {
			return nil, fmt.Errorf("%s: expected CIFAR-10 records, each with a label 0 to 9, found label %d in record %d; give IDX images or the binary version of CIFAR-10", s.path, record[0], i)
		}
		copy(planes[:], record[1:])
		image := content[i*3*plane : (i+1)*3*plane]
		for p := range plane {
			image[3*p], image[3*p+1], image[3*p+2] = planes[p], planes[p+plane], planes[p+2*plane]
		}
	}
	d.U8 = slices.Clip(content[:n*3*plane])
	return d, nil
}

// unknown is the error for a file that starts with head and is neither IDX images nor CIFAR-10.
func (s *source) unknown(head []byte) error {
	const expected = "expected IDX images (magic 2051) or CIFAR-10 batches (records of 3073 bytes)"
	starts := func(magic string) bool { return strings.HasPrefix(string(head), magic) }
	found, todo := "", ""
	switch {
	case isIDX(head) && head[2] == 8 && head[3] == 1:
		found, todo = "IDX labels (magic 2049)", "give the file of images, whose name has \"images-idx3\" in it"
	case isIDX(head) && head[2] == 8 && head[3] == 2:
		found, todo = "an IDX table of bytes (magic 2050)", "store the images with 3 dimensions (N, H, W) or 4 (N, H, W, C)"
	case isIDX(head) && head[2] == 8:
		found, todo = fmt.Sprintf("an IDX header that is cut short after %d bytes", len(head)), "copy or download the file again"
	case isIDX(head):
		found, todo = fmt.Sprintf("IDX data of type 0x%02x", head[2]), "store the images as unsigned bytes, type 0x08"
	case isTar(head):
		found, todo = "a tar archive", "unpack it with tar -xf and give the folder"
	case starts("PK\x03\x04"):
		found, todo = "a zip archive", "unpack it and give the folder"
	case starts("\x80\x02"), starts("\x80\x03"), starts("\x80\x04"), starts("\x80\x05"):
		found, todo = "a Python pickle", "give the binary version of the data set"
	case starts("\x89PNG"), starts("\xff\xd8\xff"), starts("GIF8"):
		found, todo = "a single picture", "convert the pictures to one IDX file"
	case starts("\x93NUMPY"):
		found, todo = "a NumPy array", "store it as IDX"
	case starts("<"), starts("\r\n<"), starts("\n<"):
		found, todo = "a web page or XML", "download the file itself"
	case s.gzip:
		found, todo = fmt.Sprintf("gzip data whose content starts with % x", head[:min(4, len(head))]), "unpack it with gunzip if it is a CIFAR-10 batch"
	default:
		found, todo = fmt.Sprintf("%d bytes, no multiple of %d, that start with % x", s.size, cifarRecord, head[:min(4, len(head))]), "copy or download it again, or give another file"
	}
	return fmt.Errorf("%s: %s, found %s; %s", s.path, expected, found, todo)
}

// trainingFiles finds the files of training images in a folder: one IDX file, or all training batches of CIFAR-10. Test
// images are taken only where there are no others.
func trainingFiles(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder) // sorted by name
	if err != nil {
		return nil, unreadable(folder, err)
	}
	var idx, cifar, others, folders []string
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		info, err := os.Stat(path) // follows links
		switch {
		case err == nil && info.IsDir():
			folders = append(folders, e.Name())
		case err != nil || !info.Mode().IsRegular():
			others = append(others, e.Name())
		default:
			// A name that promises training images counts as well: reading the file then says what is wrong with it, and
			// a damaged batch is not passed over.
			kind, name := sniff(path, info.Size()), strings.ToLower(e.Name())
			switch {
			case kind == "idx", kind == "" && strings.Contains(name, "images") && strings.Contains(name, "idx"):
				idx = append(idx, path)
			case kind == "cifar", kind == "" && strings.HasPrefix(name, "data_batch"):
				cifar = append(cifar, path)
			default:
				others = append(others, e.Name())
			}
		}
	}

	if idx, cifar = preferTraining(idx, "train"), preferTraining(cifar, "data_batch"); len(idx) > 0 && len(cifar) > 0 {
		return nil, fmt.Errorf("%s: expected one data set, found IDX images (%s) and CIFAR-10 batches (%s); name the files to use", folder, baseNames(idx), baseNames(cifar))
	}
	// The same file is often there both plain and compressed.
	idx = slices.DeleteFunc(idx, func(p string) bool {
		plain, packed := strings.CutSuffix(p, ".gz")
		return packed && slices.Contains(idx, plain)
	})
	switch {
	case len(idx) == 1:
		return idx, nil
	case len(idx) > 1:
		return nil, fmt.Errorf("%s: expected one file of training images, found %d (%s); name the one to use", folder, len(idx), baseNames(idx))
	case len(cifar) > 0:
		return cifar, nil
	}
	const expected = "expected IDX images (such as train-images-idx3-ubyte.gz) or CIFAR-10 batches (data_batch_1.bin, ...)"
	switch {
	case len(folders) > 0:
		return nil, fmt.Errorf("%s: %s, found neither but the folders %s; name one of them, or a folder with such files", folder, expected, baseNames(folders))
	case len(others) > 0:
		return nil, fmt.Errorf("%s: %s, found only %s; name a folder with such files", folder, expected, baseNames(others))
	}
	return nil, fmt.Errorf("%s: %s, found an empty folder; copy the files into it", folder, expected)
}

// sniff tells "idx" images and "cifar" batches apart by the first bytes and the size; "" is anything else.
func sniff(path string, size int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	var in io.Reader = f
	var magic [2]byte
	if _, err := io.ReadFull(f, magic[:]); err != nil {
		return ""
	}
	in = io.MultiReader(bytes.NewReader(magic[:]), f)
	packed := magic == [2]byte{0x1f, 0x8b}
	if packed {
		if in, err = gzip.NewReader(in); err != nil {
			return ""
		}
	}
	head := make([]byte, 20)
	n, _ := io.ReadFull(in, head)
	h, idx := parseIDX(head[:n])
	switch whole := !packed && size%cifarRecord == 0; {
	case h.images && (!whole || h.fits(size)):
		return "idx"
	case whole && head[0] <= 9 && !(idx && h.fits(size)):
		return "cifar"
	}
	return ""
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
