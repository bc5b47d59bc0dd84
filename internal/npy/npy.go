// Reading and writing arrays. doc.go has the format.

package npy

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"strings"

	"sigmaz/internal/float16"
)

// Header describes an array, as the start of its file does.
type Header struct {
	Descr   string // the data type, such as "<f4": byte order, kind (f, i, u or b), bytes per value
	Shape   []int  // empty for a single value
	Fortran bool   // the first index is the fastest
	Offset  int64  // of the first value, in bytes from the start of the file
}

// Count returns the number of values, the product of the shape: at most MaxInt/8.
func (h *Header) Count() int {
	n := 1
	for _, d := range h.Shape {
		n *= d
	}
	return n
}

// Kind returns 'f' for floating point, 'i' and 'u' for signed and unsigned integers, 'b' for booleans.
func (h *Header) Kind() byte { return h.Descr[1] }

// Size returns the bytes of one value: 1, 2, 4 or 8.
func (h *Header) Size() int { return int(h.Descr[2] - '0') }

// Order returns the byte order of the values.
func (h *Header) Order() binary.ByteOrder {
	if h.Descr[0] == '>' {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// Type returns NumPy's name of the data type, such as float32 or uint8.
func (h *Header) Type() string {
	if h.Kind() == 'b' {
		return "bool"
	}
	return fmt.Sprintf("%s%d", map[byte]string{'f': "float", 'i': "int", 'u': "uint"}[h.Kind()], 8*h.Size())
}

// ShapeText returns the shape as NumPy prints it: (16, 28, 28), (3,).
func (h *Header) ShapeText() string { return tuple(h.Shape) }

// tuple formats a shape as Python does.
func tuple(shape []int) string {
	s := strings.ReplaceAll(strings.Trim(fmt.Sprint(shape), "[]"), " ", ", ")
	if len(shape) == 1 {
		s += ","
	}
	return "(" + s + ")"
}

// Reader reads the values of one array, in the order of the file.
type Reader struct {
	Header
	name  string
	r     io.Reader
	size  int64 // of the file in bytes, -1 where it is not known
	left  int   // values not read yet
	chunk []byte
}

// maxHeader bounds the header's length. It is the most that version 1 can state; headers of arrays have about 100
// bytes.
const maxHeader = 1<<16 - 1

// maxDims is NumPy's own bound on the number of dimensions.
const maxDims = 64

// NewReader reads the header of an array from r. Errors name the file by name. size is the length of the whole file
// in bytes, which the header is checked against, or -1 where it is not known, as with standard input.
func NewReader(name string, r io.Reader, size int64) (*Reader, error) {
	a := &Reader{name: name, r: r, size: size}
	cannot := func(err error) error {
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("%s ends within the header of an NPY array: expected a file of numpy.save, copy it again", name)
		}
		return fmt.Errorf("cannot read %s: %w", name, err)
	}
	var start [12]byte
	if n, err := io.ReadFull(r, start[:8]); err == io.EOF {
		return nil, fmt.Errorf("%s is empty: expected an NPY array, a file of numpy.save", name)
	} else if magic := "\x93NUMPY"[:min(n, 6)]; string(start[:len(magic)]) != magic {
		return nil, fmt.Errorf("%s is no NPY array (it starts with %q): expected a file of numpy.save", name, start[:n])
	} else if err != nil {
		return nil, cannot(err)
	}
	major, minor := start[6], start[7]
	if major < 1 || major > 3 || minor != 0 {
		return nil, fmt.Errorf("%s is an NPY array of version %d.%d: expected 1.0, 2.0 or 3.0, save it again with numpy.save",
			name, major, minor)
	}
	field := 2 // bytes of the length
	if major > 1 {
		field = 4
	}
	if _, err := io.ReadFull(r, start[8:8+field]); err != nil {
		return nil, cannot(err)
	}
	n := int64(binary.LittleEndian.Uint32(start[8:])) // version 1 has two of the four bytes; the others are still zero
	if n > maxHeader {
		return nil, fmt.Errorf("%s has an NPY header of %d bytes: expected at most %d", name, n, maxHeader)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, cannot(err)
	}
	h, err := parseHeader(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: its NPY header %w", name, err)
	}
	a.Header = h
	a.Offset = int64(8 + field + len(text))
	a.left = a.Count()
	if need := a.Offset + int64(a.left)*int64(a.Size()); size >= 0 && size < need {
		return nil, fmt.Errorf("%s is truncated: its header %s of shape %s asks for %d bytes, it has %d; copy it again",
			name, a.Type(), a.ShapeText(), need, size)
	}
	return a, nil
}

// Value lists the types that values can be read as.
type Value interface {
	float32 | float64 | uint8 | int
}

// Read fills dst with the next values, in the order of the file, converted to V:
//
//	V                 arrays that it takes
//	float32, float64  all; values are rounded
//	int               integers and bool; a value out of range is an error
//	uint8             uint8 and bool
func Read[V Value](a *Reader, dst []V) error {
	if len(dst) > a.left {
		return fmt.Errorf("%s: %d values are left in the array, %d were asked for", a.name, a.left, len(dst))
	}
	decode, err := decoder[V](&a.Header)
	if err != nil {
		return fmt.Errorf("%s %w", a.name, err)
	}
	size := a.Size()
	if want := min(len(dst)*size, 1<<18); len(a.chunk) < want {
		a.chunk = make([]byte, want)
	}
	for len(dst) > 0 {
		n := min(len(dst), len(a.chunk)/size)
		b := a.chunk[:n*size]
		if _, err := io.ReadFull(a.r, b); err == io.EOF || err == io.ErrUnexpectedEOF {
			return fmt.Errorf("%s is truncated: its array of %s and shape %s should have %d more values; copy it again",
				a.name, a.Type(), a.ShapeText(), a.left)
		} else if err != nil {
			return fmt.Errorf("cannot read %s: %w", a.name, err)
		}
		if bad := decode(dst[:n], b); bad >= 0 {
			return fmt.Errorf("%s holds a whole number that is out of range at value %d of its array",
				a.name, a.Count()-a.left+bad)
		}
		dst = dst[n:]
		a.left -= n
	}
	return nil
}

// ReadAll reads the whole array. The result has the last index fastest, whatever the order of the file.
func ReadAll[V Value](a *Reader) ([]V, error) {
	var all []V
	if a.size >= 0 { // NewReader has checked that the file holds them all
		all = make([]V, 0, a.left)
	}
	for a.left > 0 {
		n := min(a.left, 1<<16)
		all = append(all, make([]V, n)...)
		if err := Read(a, all[len(all)-n:]); err != nil {
			return nil, err
		}
	}
	if !a.Fortran || len(a.Shape) < 2 {
		return all, nil
	}
	return rowMajor(all, a.Shape), nil
}

// rowMajor reorders values that have the first index fastest to the last index fastest.
func rowMajor[V any](src []V, shape []int) []V {
	dst := make([]V, len(src))
	index := make([]int, len(shape))
	stride := make([]int, len(shape))
	for i, n := 0, 1; i < len(shape); i++ {
		stride[i] = n
		n *= shape[i]
	}
	at := 0
	for i := range dst {
		dst[i] = src[at]
		for k := len(shape) - 1; k >= 0; k-- {
			index[k]++
			at += stride[k]
			if index[k] < shape[k] {
				break
			}
			at -= index[k] * stride[k]
			index[k] = 0
		}
	}
	return dst
}

// decoder returns a function that decodes values of the header's type. That function returns the index of the first
// value that V cannot hold, or -1.
func decoder[V Value](h *Header) (func(dst []V, b []byte) (bad int), error) {
	var v V
	size, o := h.Size(), h.Order()
	float := func(f func([]byte) float64) func([]V, []byte) int {
		return func(dst []V, b []byte) int {
			for i := range dst {
				dst[i] = V(f(b[i*size:]))
			}
			return -1
		}
	}
	// whole decodes integers; ok is false for a value that V cannot hold.
	whole := func(f func([]byte) (v V, ok bool)) func([]V, []byte) int {
		return func(dst []V, b []byte) int {
			for i := range dst {
				var ok bool
				if dst[i], ok = f(b[i*size:]); !ok {
					return i
				}
			}
			return -1
		}
	}
	integer := true // whether V is an integer type
	switch any(v).(type) {
	case float32:
		if h.Descr == "<f4" { // needs no conversion
			return func(dst []V, b []byte) int { binary.Decode(b, binary.LittleEndian, dst); return -1 }, nil
		}
		integer = false
	case uint8:
		if h.Kind() == 'u' && size == 1 {
			return func(dst []V, b []byte) int { copy(any(dst).([]uint8), b); return -1 }, nil
		}
		if size > 1 || h.Kind() == 'i' {
			return nil, fmt.Errorf("holds %s: expected uint8", h.Type())
		}
	case int:
		if h.Kind() == 'f' {
			return nil, fmt.Errorf("holds %s: expected whole numbers, such as int64", h.Type())
		}
	case float64:
		integer = false
	}
	switch h.Descr[1:] {
	case "f2":
		return float(func(b []byte) float64 { return float64(float16.ToFloat32(o.Uint16(b))) }), nil
	case "f4":
		return float(func(b []byte) float64 { return float64(math.Float32frombits(o.Uint32(b))) }), nil
	case "f8":
		return float(func(b []byte) float64 { return math.Float64frombits(o.Uint64(b)) }), nil
	case "b1":
		return whole(func(b []byte) (V, bool) { return V(min(b[0], 1)), true }), nil
	case "u1":
		return whole(func(b []byte) (V, bool) { return V(b[0]), true }), nil
	case "i1":
		return whole(func(b []byte) (V, bool) { return V(int8(b[0])), true }), nil
	case "u2":
		return whole(func(b []byte) (V, bool) { return V(o.Uint16(b)), true }), nil
	case "i2":
		return whole(func(b []byte) (V, bool) { return V(int16(o.Uint16(b))), true }), nil
	case "u4":
		return whole(func(b []byte) (V, bool) {
			u := o.Uint32(b)
			return V(u), !integer || bits.UintSize > 32 || u <= math.MaxInt32
		}), nil
	case "i4":
		return whole(func(b []byte) (V, bool) { return V(int32(o.Uint32(b))), true }), nil
	case "u8":
		return whole(func(b []byte) (V, bool) { u := o.Uint64(b); return V(u), !integer || u <= math.MaxInt }), nil
	}
	return whole(func(b []byte) (V, bool) { // i8
		s := int64(o.Uint64(b))
		return V(s), !integer || s >= math.MinInt && s <= math.MaxInt
	}), nil
}

// Written lists the types that can be written.
type Written interface{ float32 | float64 | int64 }

// WriteHeader writes the start of an array of V. As many values as shape says must follow, by [WriteValues].
func WriteHeader[V Written](w io.Writer, shape []int) error {
	var v V
	descr := "<f4"
	switch any(v).(type) {
	case float64:
		descr = "<f8"
	case int64:
		descr = "<i8"
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", descr, tuple(shape))
	const before = 10 // bytes of magic, version and length; with them the header ends at a multiple of 64, as in NumPy
	header += strings.Repeat(" ", 63-(before+len(header))%64) + "\n"
	head := append([]byte("\x93NUMPY\x01\x00"), 0, 0)
	binary.LittleEndian.PutUint16(head[8:], uint16(len(header))) // 64 dimensions of 20 digits are far below 64 KiB
	_, err := w.Write(append(head, header...))
	return err
}

// WriteValues writes values in little-endian order.
func WriteValues[V Written](w io.Writer, data []V) error {
	buf := make([]byte, 0, 1<<16)
	for len(data) > 0 {
		n := min(len(data), cap(buf)/8)
		b, err := binary.Append(buf[:0], binary.LittleEndian, data[:n])
		if err != nil {
			panic("npy: " + err.Error()) // cannot happen with these types
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// Write writes a whole array, last index fastest, for numpy.load to read.
func Write[V Written](w io.Writer, shape []int, data []V) error {
	if h := (Header{Shape: shape}); h.Count() != len(data) {
		panic(fmt.Sprintf("npy: %d values for an array of shape %v", len(data), shape))
	}
	if err := WriteHeader[V](w, shape); err != nil {
		return err
	}
	return WriteValues(w, data)
}
