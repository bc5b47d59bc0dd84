// Encodings of single pictures: PNG, JPEG and WebP. To add one, add a row here.

package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bep/imagemeta"
	"golang.org/x/image/webp"
)

// encoding is one way to store a picture in a file.
type encoding struct {
	name         string   // for people
	mark         string   // how such a file begins; ? is any byte
	endings      []string // of the names of such files, in lower case
	decode       func(io.Reader) (image.Image, error)
	decodeConfig func(io.Reader) (image.Config, error) // the size and the colour model, from the header
	metadata     imagemeta.ImageFormat                 // where EXIF is in such a file, or in what exif returns of it
	exif         func(data []byte) []byte              // returns the EXIF in a file; nil: it is the file
	exifLast     func(head []byte) bool                // tells of the start of a file that EXIF comes at its end
	// isGrey, unless nil, tells of the start of a file that its picture is grey though its colour model does not say
	// so.
	isGrey func(head []byte) bool
	// density is the most pixels that a byte of a file with this start can hold; nil: without a useful bound. No JPEG
	// shrinks more than deflate: a block of 64 pixels takes a bit at least.
	density func(head []byte) int64
	// unread, unless nil, returns what is not read of such a file, though its header is.
	unread func(head []byte) error
}

var encodings = []encoding{
	{name: "PNG", mark: "\x89PNG\r\n\x1a\n", endings: []string{".png"},
		decode: png.Decode, decodeConfig: png.DecodeConfig, metadata: imagemeta.PNG,
		isGrey: isGreyAlphaPNG, density: densityOfPNG},
	{name: "JPEG", mark: "\xff\xd8\xff", endings: []string{".jpg", ".jpeg", ".jpe", ".jfif"},
		decode: jpeg.Decode, decodeConfig: jpeg.DecodeConfig, metadata: imagemeta.JPEG,
		density: func([]byte) int64 { return deflateRatio }},
	{name: "WebP", mark: "RIFF????WEBP", endings: []string{".webp"},
		decode: decodeWebP, decodeConfig: webp.DecodeConfig, metadata: imagemeta.TIFF, exif: exifOfWebP,
		exifLast: func(head []byte) bool { return hasFlagWebP(head, 8) }, unread: animatedWebP},
}

// encodingOf recognises the start of a picture; nil: it is none.
func encodingOf(head []byte) *encoding {
	for i := range encodings {
		if encodings[i].marks(head) {
			return &encodings[i]
		}
	}
	return nil
}

// marks tells whether a file begins with the mark of the encoding.
func (e *encoding) marks(head []byte) bool {
	if len(head) < len(e.mark) {
		return false
	}
	for i := range len(e.mark) {
		if e.mark[i] != '?' && e.mark[i] != head[i] {
			return false
		}
	}
	return true
}

// densityOfPNG: deflate shrinks lines of pixels of 1, 2, 4, 8 or 16 bits a channel.
func densityOfPNG(head []byte) int64 {
	if len(head) < 26 {
		return deflateRatio
	}
	bits := int64(head[24]) * map[byte]int64{2: 3, 4: 2, 6: 4}[head[25]]
	if bits == 0 {
		bits = int64(head[24])
	}
	return 8 * deflateRatio / max(1, bits)
}

// encodingNames lists the names of all encodings, such as "PNG or JPEG".
func encodingNames(last string) string {
	var names []string
	for _, e := range encodings {
		names = append(names, e.name)
	}
	return joinNames(names, last)
}

// joinNames joins "A", "B", "C" to "A, B or C", where last is "or".
func joinNames(names []string, last string) string {
	n := len(names) - 1
	if n < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:n], ", ") + " " + last + " " + names[n]
}

// namedPicture tells whether a file is named as a picture is.
func namedPicture(path string) bool {
	ending := strings.ToLower(filepath.Ext(path))
	return slices.ContainsFunc(encodings, func(e encoding) bool { return slices.Contains(e.endings, ending) })
}

// isPictureFile recognises a file that is one picture.
func isPictureFile(f *dataFile) bool { return encodingOf(f.head) != nil }

// openPicture returns a single picture.
func openPicture(f *dataFile) (collection, error) {
	if f.packed.name != "" {
		return nil, fmt.Errorf("%s: expected a picture as it is, found one in %s; unpack it", f.path, f.packed.name)
	}
	return fileList{files: []foundFile{{f.path, f.path, f.info}}}, nil
}

// isGreyAlphaPNG recognises PNG's colour type 4, grey with alpha, which its decoder makes coloured.
func isGreyAlphaPNG(head []byte) bool { return len(head) > 25 && head[25] == 4 }

// orientation returns the EXIF orientation of a picture, 1 (upright) where it says none. Metadata that cannot be read
// says nothing: the picture is taken as it is.
func (e *encoding) orientation(data []byte) int {
	o := 1
	if e.exif != nil {
		if data = e.exif(data); data == nil {
			return o
		}
	}
	imagemeta.Decode(imagemeta.Options{R: bytes.NewReader(data), ImageFormat: e.metadata, Sources: imagemeta.EXIF,
		ShouldHandleTag: func(t imagemeta.TagInfo) bool { return t.Tag == "Orientation" && t.Namespace == "IFD0" },
		HandleTag: func(t imagemeta.TagInfo) error {
			if v, ok := t.Value.(uint16); ok && v >= 1 && v <= 8 {
				o = int(v)
			}
			return imagemeta.ErrStopWalking
		}})
	return o
}

// damagedPicture is the error for a picture that cannot be decoded.
type damagedPicture struct {
	path, expected, found, todo string
	err                         error
}

func (d *damagedPicture) Error() string {
	return fmt.Sprintf("%s: expected %s, found %s; %s, remove it, or pass it over with `damaged` skip", d.path,
		d.expected, d.found, d.todo)
}

func (d *damagedPicture) Unwrap() error { return d.err }

// damaged is the error for a picture that cannot be decoded.
func (e *encoding) damaged(path string, err error) error {
	d := &damagedPicture{path: path, expected: "a whole " + e.name + " picture", err: err}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		d.found, d.todo = "one that is cut short", "copy or download it again"
		return d
	}
	d.found, d.todo = fmt.Sprintf("damage (%v)", err), "copy or download it again, convert it to PNG"
	var unsupported jpeg.UnsupportedError
	if errors.As(err, &unsupported) || err == errAnimated {
		d.found = fmt.Sprintf("a kind that is not read (%v)", err)
	}
	return d
}
