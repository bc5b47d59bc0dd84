// IDX, the format of MNIST and its kin (http://yann.lecun.com/exdb/mnist). All numbers are big-endian:
//
//	00 00 T D      T is the type of the values, 08 for unsigned bytes; D is the number of dimensions
//	N, H, W[, C]   D words of 32 bits
//	values         row by row
//
// Images are unsigned bytes of 3 or 4 dimensions. Files of 1 dimension hold labels, see labels.go.

package dataset

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// isIDX recognises IDX of any type.
func isIDX(f *dataFile) bool {
	h := f.head
	return len(h) >= 4 && h[0] == 0 && h[1] == 0 && h[2] >= 8 && h[2] <= 0x0e && h[3] >= 1 && h[3] <= 4
}

// isIDXBytes recognises IDX of unsigned bytes in n dimensions.
func isIDXBytes(n byte) func(f *dataFile) bool {
	return func(f *dataFile) bool { return isIDX(f) && f.head[2] == 8 && f.head[3] == n }
}

// isIDXImages recognises files of images. The same first bytes could be those of a CIFAR-10 record of label 0 (a black
// pixel, then 8, 3). The size decides: such a file is no IDX if it is not as long as its header says and whole records
// of CIFAR-10 are.
func isIDXImages(f *dataFile) bool {
	h, ok := parseIDX(f)
	return ok && h.n >= 3 && (h.fits(f) || !isWholeCIFAR(f))
}

// promisesIDX tells whether a file is named as IDX images are. Such a file in a folder is opened whatever is in it, so
// that the reader says what is wrong with it.
func promisesIDX(name string) bool {
	return strings.Contains(name, "images") && strings.Contains(name, "idx")
}

// idxHeader is the header of an IDX file of unsigned bytes.
type idxHeader struct {
	n    int       // the number of dimensions
	dims [4]uint32 // N, H, W, C; 1 where there is none
	size int       // of the header
	body float64   // N*H*W*C: exact below 2^53, and beyond that more than any file has
}

// parseIDX reads the header; ok is false if there is none of unsigned bytes, or not the whole of it.
func parseIDX(f *dataFile) (h idxHeader, ok bool) {
	if !isIDX(f) || f.head[2] != 8 || len(f.head) < 4+4*int(f.head[3]) {
		return h, false
	}
	n := int(f.head[3])
	h = idxHeader{n: n, dims: [4]uint32{1, 1, 1, 1}, size: 4 + 4*n, body: 1}
	for i := range n {
		h.dims[i] = binary.BigEndian.Uint32(f.head[4+4*i:])
		h.body *= float64(h.dims[i])
	}
	return h, true
}

// whole is the length of a whole file.
func (h idxHeader) whole() float64 { return float64(h.size) + h.body }

// fits tells whether the file is as long as its header says.
func (h idxHeader) fits(f *dataFile) bool { return h.whole() == float64(f.size) }

func (h idxHeader) String() string {
	return fmt.Sprintf("%d images %dx%dx%d", h.dims[0], h.dims[1], h.dims[2], h.dims[3])
}

// openIDX reads the header of a file of images.
func openIDX(f *dataFile, set Settings) (*imageFile, error) {
	h, _ := parseIDX(f)
	if h.body == 0 {
		return nil, fmt.Errorf("%s: expected images, found a header of %s; choose another file", f.path, h)
	}
	if f.packed.name == "" && !h.fits(f) {
		return nil, wrongIDXLength(f, h, float64(f.size))
	}
	if !f.canHold(h.whole()) || h.whole() >= math.MaxInt {
		return nil, fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found %d bytes of %s data, "+
			"which cannot hold them; copy or download the file again", f.path, h.whole(), h, f.size, f.packed.name)
	}
	if _, err := f.r.Discard(h.size); err != nil {
		return nil, f.damaged(err)
	}
	a := &imageFile{dataFile: f, what: "IDX", n: int(h.dims[0]), h: int(h.dims[1]), w: int(h.dims[2]), c: int(h.dims[3])}
	if set.Labelled() {
		labels, err := idxLabels(f, a.n)
		if err != nil {
			return nil, err
		}
		a.label = func(i int) string { return labels[i] }
	}
	read := float64(h.size)
	a.next = func(image []byte) error {
		n, err := io.ReadFull(f.r, image)
		read += float64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF && endsCleanly(f) {
			return f.changedOr(wrongIDXLength(f, h, read))
		}
		if err != nil {
			return f.damaged(err)
		}
		return nil
	}
	a.end = func() error {
		_, err := f.r.ReadByte()
		switch {
		case err == nil:
			return f.changedOr(fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found more; "+
				"cut the trailing bytes off or download the file again", f.path, h.whole(), h))
		case err != io.EOF:
			return f.damaged(err)
		}
		return nil
	}
	return a, nil
}

// endsCleanly tells whether what has just ended is a whole file that is too short. io.ReadFull has the same error for
// that and for compressed data that is cut short, but in the second case the reader never comes to a clean end.
func endsCleanly(f *dataFile) bool {
	_, err := f.r.Peek(1)
	return err == io.EOF
}

func wrongIDXLength(f *dataFile, h idxHeader, found float64) error {
	what, todo := "the file is cut short", "copy or download it again"
	if found > h.whole() {
		what, todo = "it has trailing bytes", "cut them off or download the file again"
	}
	return fmt.Errorf("%s: expected %.0f bytes for the %s of its header, found %.0f: %s; %s", f.path, h.whole(), h, found,
		what, todo)
}

// refuseIDX is the error for what starts as IDX and is neither images, nor labels, nor a table of bytes.
func refuseIDX(f *dataFile) error {
	if f.head[2] == 8 {
		return refusal(f, fmt.Sprintf("an IDX header that is cut short after %d bytes", len(f.head)),
			"copy or download the file again")
	}
	return refusal(f, fmt.Sprintf("IDX data of type 0x%02x", f.head[2]), "store the images as unsigned bytes, type 0x08")
}
