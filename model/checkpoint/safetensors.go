// Reading and writing safetensors files of any kind: the header, checked, and the tensors behind it.
//
//	8 bytes   n, the length of the header, little-endian
//	n bytes   the header: JSON, padded with spaces to a multiple of 8
//	          "__metadata__": strings by name
//	          one entry a tensor: dtype, shape, data_offsets (s, e)
//	the rest  the tensors' values, little-endian, row-major, without gaps: those of a tensor from byte s to byte e
//
// The letters n, s and e are used so below.

package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"

	"sigmaz/internal/float16"
	"sigmaz/model"
)

// ReadSafetensors reads any safetensors file of float32, float64 and int64 tensors that are not empty: its metadata (nil
// if there is none) and its tensors in the order of their values in the file. It checks nothing but the structure; an
// error about that is a [*FileError].
func ReadSafetensors(path string) (meta map[string]string, tensors []model.Named, err error) {
	f, size, err := open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	h, err := readHeader(path, f, size)
	if err != nil {
		return nil, nil, err
	}
	if err := h.check(); err != nil {
		return nil, nil, err
	}
	if tensors, err = h.tensors(f, io.Discard); err != nil {
		return nil, nil, err
	}
	return h.meta, tensors, nil
}

// open opens a regular file and returns its size.
func open(path string) (*os.File, int64, error) {
	// What it is comes first: to open a pipe waits for somebody who writes to it.
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is not a file: expected a .safetensors file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("cannot read checkpoint: %w; give a .safetensors file from a run's checkpoints "+
			"folder", err)
	}
	if st, err = f.Stat(); err != nil {
		f.Close()
		return nil, 0, err
	}
	return f, st.Size(), nil
}

// maxHeader is the bound that safetensors itself sets, in bytes.
const maxHeader = 100_000_000

// header is the checked start of a safetensors file.
type header struct {
	path   string
	length [8]byte
	raw    []byte // n bytes
	meta   map[string]string
	infos  []tensorInfo // without gaps from 0 to the end of the file
}

// tensorInfo is a tensor in the header.
type tensorInfo struct {
	name  string
	dtype safetensors.DType
	shape []int
	count int   // values
	s, e  int64 // bytes from the end of the header
}

func (h *header) error(kind error, format string, args ...any) error {
	return &FileError{Path: h.path, Kind: kind, Text: fmt.Sprintf(format, args...)}
}

// readHeader reads and checks the header of the size bytes of r. The library parses it. That the offsets fit the shapes
// and fill the file is checked here, because the library can do so only with the whole file in memory.
func readHeader(path string, r io.ReaderAt, size int64) (*header, error) {
	h := &header{path: path}
	if size < 8 {
		return nil, h.error(ErrTruncated, "is truncated (%d bytes: even an empty safetensors file has more): %s",
			size, h.again())
	}
	if _, err := r.ReadAt(h.length[:], 0); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	n := binary.LittleEndian.Uint64(h.length[:])
	first := []byte{'{'}
	if size > 8 {
		if _, err := r.ReadAt(first, 8); err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", path, err)
		}
	}
	switch {
	case n < 2 || n > maxHeader || first[0] != '{':
		return nil, h.error(ErrNotSafetensors, "is not a safetensors file (it does not start with the length of a "+
			"header and a header): give a .safetensors file from a run's checkpoints folder")
	case int64(n) > size-8:
		return nil, h.error(ErrTruncated,
			"is truncated (its header should have %d bytes, the file has %d in all): %s", n, size, h.again())
	}
	h.raw = make([]byte, n)
	if _, err := r.ReadAt(h.raw, 8); err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	var parsed safetensors.Metadata
	if err := json.Unmarshal(h.raw, &parsed); err != nil {
		if bytes.Contains(h.raw, []byte(`"`+formatKey+`":"`+formatPrefix)) {
			return nil, h.error(ErrDamaged, "is damaged (its header does not parse: %v): %s", err, h.again())
		}
		return nil, h.error(ErrNotSafetensors, "is not a safetensors file, or is a damaged one (its header does not "+
			"parse: %v): give a .safetensors file from a run's checkpoints folder", err)
	}
	h.meta = parsed.Metadata()
	for name, ti := range parsed.Tensors() {
		i, fault, kind := newTensorInfo(name, ti)
		switch {
		case kind == ErrDamaged, kind != nil && strings.HasPrefix(h.meta[formatKey], formatPrefix):
			return nil, h.error(ErrDamaged, "is damaged (%s): %s", fault, h.again())
		case kind != nil:
			return nil, h.error(kind, "holds what sigmaz cannot read (%s)", fault)
		}
		h.infos = append(h.infos, i)
	}
	sort.Slice(h.infos, func(i, j int) bool { return h.infos[i].s < h.infos[j].s })
	end := int64(0)
	for _, i := range h.infos {
		if i.s != end {
			return nil, h.error(ErrDamaged,
				"is damaged (the values of tensor %q start at byte %d, expected %d): %s", i.name, i.s, end, h.again())
		}
		end = i.e
	}
	if have := size - 8 - int64(n); have < end {
		return nil, h.error(ErrTruncated, "is truncated (its tensors should have %d bytes, it has %d): %s", end,
			have, h.again())
	} else if have > end {
		return nil, h.error(ErrDamaged, "is damaged (%d bytes follow its last tensor): %s", have-end, h.again())
	}
	return h, nil
}

// check refuses tensors that a checkpoint of this program, or a file for its tests, does not hold.
func (h *header) check() error {
	for _, i := range h.infos {
		fault := ""
		switch i.dtype {
		case safetensors.F32, safetensors.F64, safetensors.I64:
			if i.count == 0 {
				fault = fmt.Sprintf("tensor %q has shape %v", i.name, i.shape)
			}
		default:
			fault = fmt.Sprintf("tensor %q is %s", i.name, i.dtype)
		}
		switch {
		case fault == "":
		case strings.HasPrefix(h.meta[formatKey], formatPrefix):
			return h.error(ErrDamaged, "is damaged (%s): %s", fault, h.again())
		default:
			return h.error(ErrUnsupported, "holds what sigmaz cannot read (%s): expected float32, float64 and int64 "+
				"tensors that are not empty", fault)
		}
	}
	return nil
}

// newTensorInfo checks one tensor's entry by itself. Where kind is not nil, fault says what is wrong: ErrUnsupported
// for a tensor that no machine holds, ErrDamaged where e - s is not the size that dtype and shape give.
func newTensorInfo(name string, ti *safetensors.TensorInfo) (i tensorInfo, fault string, kind error) {
	i = tensorInfo{name: name, dtype: ti.DType, shape: make([]int, len(ti.Shape)), count: 1}
	// A product of at most MaxInt/8 keeps the bytes in an int too, on 32-bit machines as well.
	const most = math.MaxInt / 8
	for k, d := range ti.Shape {
		if d > most/uint64(max(i.count, 1)) {
			return i, fmt.Sprintf("tensor %q has shape %v", name, ti.Shape), ErrUnsupported
		}
		i.shape[k] = int(d)
		i.count *= int(d)
	}
	s, e := ti.DataOffsets[0], ti.DataOffsets[1]
	if e > math.MaxInt64 || e < s || e-s != uint64(i.count)*ti.DType.Size() {
		return i, fmt.Sprintf("tensor %q of %s and shape %v has its values at bytes %d to %d", name, ti.DType,
			ti.Shape, s, e), ErrDamaged
	}
	i.s, i.e = int64(s), int64(e)
	return i, "", nil
}

// tensors reads every value once, in the file's order, and writes the bytes that it read to w. Besides the values it
// holds at most 1 MiB.
func (h *header) tensors(r io.ReaderAt, w io.Writer) ([]model.Named, error) {
	tensors := make([]model.Named, 0, len(h.infos))
	largest := int64(0)
	for _, i := range h.infos {
		largest = max(largest, i.e-i.s)
	}
	chunk := make([]byte, min(largest, 1<<20))
	for _, i := range h.infos {
		t, err := h.tensor(r, w, i, chunk)
		if err != nil {
			return nil, err
		}
		tensors = append(tensors, model.Named{Name: i.name, T: t})
	}
	return tensors, nil
}

// tensor reads the values of one tensor through chunk, and writes the bytes that it read to w.
func (h *header) tensor(r io.ReaderAt, w io.Writer, i tensorInfo, chunk []byte) (t *tensor.Dense, err error) {
	in := io.TeeReader(io.NewSectionReader(r, 8+int64(len(h.raw))+i.s, i.e-i.s), w)
	switch i.dtype {
	case safetensors.F32:
		t, err = decode[float32](in, i, chunk)
	case safetensors.F64:
		t, err = decode[float64](in, i, chunk)
	case safetensors.I64:
		t, err = decode[int64](in, i, chunk)
	case safetensors.F16:
		t, err = decodeHalf(in, i, chunk, float16.ToFloat32)
	case safetensors.BF16:
		t, err = decodeHalf(in, i, chunk, float16.FromBFloat16)
	default:
		err = fmt.Errorf("it is %s: expected numbers with a fraction", dtypeNames[i.dtype])
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read tensor %s of %s: %w", i.name, h.path, err)
	}
	return t, nil
}

// decodeHalf reads the values of one tensor of 16-bit numbers through chunk, and widens them.
func decodeHalf(r io.Reader, i tensorInfo, chunk []byte, widen func(uint16) float32) (*tensor.Dense, error) {
	return decodeValues(r, i, chunk, func(dst []float32, b []byte) error {
		for k := range dst {
			dst[k] = widen(binary.LittleEndian.Uint16(b[2*k:]))
		}
		return nil
	})
}

// decode reads the values of one tensor through chunk.
func decode[V float32 | float64 | int64](r io.Reader, i tensorInfo, chunk []byte) (*tensor.Dense, error) {
	return decodeValues(r, i, chunk, func(dst []V, b []byte) error {
		_, err := binary.Decode(b, binary.LittleEndian, dst)
		return err
	})
}

// decodeValues reads the values of one tensor through chunk, whose bytes convert makes values of.
func decodeValues[V float32 | float64 | int64](r io.Reader, i tensorInfo, chunk []byte,
	convert func(dst []V, b []byte) error) (*tensor.Dense, error) {
	values := make([]V, i.count)
	size := int(i.dtype.Size())
	for done := 0; done < i.count; {
		m := min(i.count-done, len(chunk)/size)
		if _, err := io.ReadFull(r, chunk[:m*size]); err != nil {
			return nil, err
		}
		if err := convert(values[done:done+m], chunk[:m*size]); err != nil {
			return nil, err
		}
		done += m
	}
	if len(i.shape) == 0 {
		return tensor.New(tensor.FromScalar(values[0])), nil
	}
	return tensor.New(tensor.WithShape(i.shape...), tensor.WithBacking(values)), nil
}

// view is one tensor as safetensors' writer asks for it.
type view struct {
	dtype  safetensors.DType
	shape  []uint64
	values any // []float32, []float64 or []int64
	count  int
}

func (v view) DType() safetensors.DType { return v.dtype }
func (v view) Shape() []uint64          { return v.shape }
func (v view) DataLen() uint64          { return uint64(v.count) * v.dtype.Size() }

// Data encodes the values when they are about to be written, so that one tensor at a time is held twice.
func (v view) Data() []byte {
	b, err := binary.Append(make([]byte, 0, v.DataLen()), binary.LittleEndian, v.values)
	if err != nil {
		panic("checkpoint: " + err.Error()) // viewOf lets only the three slices through
	}
	return b
}

// viewOf checks a tensor and returns it as the writer asks for it.
func viewOf(nt model.Named) (view, error) {
	switch {
	case nt.Name == "" || nt.Name == "__metadata__" || !utf8.ValidString(nt.Name):
		return view{}, fmt.Errorf("%q cannot be the name of a tensor", nt.Name)
	case nt.T == nil:
		return view{}, fmt.Errorf("tensor %s is nil", nt.Name)
	case nt.T.RequiresIterator() || nt.T.DataOrder().IsColMajor() || !nt.T.IsNativelyAccessible():
		return view{}, fmt.Errorf("tensor %s is not contiguous and row-major in host memory", nt.Name)
	}
	v := view{shape: []uint64{}, count: nt.T.Shape().TotalSize()}
	for _, d := range nt.T.Shape() {
		v.shape = append(v.shape, uint64(d))
	}
	have := 0
	switch nt.T.Dtype() {
	case tensor.Float32:
		s := nt.T.Float32s()
		v.dtype, v.values, have = safetensors.F32, s, len(s)
	case tensor.Float64:
		s := nt.T.Float64s()
		v.dtype, v.values, have = safetensors.F64, s, len(s)
	case tensor.Int64:
		s := nt.T.Int64s()
		v.dtype, v.values, have = safetensors.I64, s, len(s)
	default:
		return view{}, fmt.Errorf("tensor %s is %v: expected float32, float64 or int64", nt.Name, nt.T.Dtype())
	}
	if v.count < 1 || have != v.count {
		return view{}, fmt.Errorf("tensor %s has shape %v and %d values: expected as many as its shape says, and at "+
			"least one", nt.Name, nt.T.Shape(), have)
	}
	return v, nil
}
