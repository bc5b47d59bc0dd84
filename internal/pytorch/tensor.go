// Tensors: windows with strides on a storage,
//
//	value at (i_1, ..., i_k) = storage[offset + i_1 stride_1 + ... + i_k stride_k]
//
// so that tensors may share a storage, have their axes in any order, and repeat a value with stride 0. Values stay in
// the file until they are asked for.

package pytorch

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"sigmaz/internal/float16"
)

// DType describes the type of a storage's values.
type DType struct {
	Name string // PyTorch's name, such as float32
	Size int    // bytes of one value
	Kind byte   // 'f' floating point, 'i' whole numbers, bool and unsigned ones included
}

var dtypes = map[string]DType{
	"Float": {"float32", 4, 'f'}, "Double": {"float64", 8, 'f'},
	"Half": {"float16", 2, 'f'}, "BFloat16": {"bfloat16", 2, 'f'},
	"Long": {"int64", 8, 'i'}, "Int": {"int32", 4, 'i'}, "Short": {"int16", 2, 'i'}, "Char": {"int8", 1, 'i'},
	"Byte": {"uint8", 1, 'i'}, "Bool": {"bool", 1, 'i'},
}

// dtypeOf returns the type of a storage class: torch.FloatStorage, or torch.cuda.FloatStorage in old files.
func dtypeOf(class global) (DType, bool) {
	s := string(class)
	for _, prefix := range []string{"torch.cuda.", "torch."} {
		if len(s) > len(prefix)+len("Storage") && s[:len(prefix)] == prefix && s[len(s)-len("Storage"):] == "Storage" {
			if t, ok := dtypes[s[len(prefix):len(s)-len("Storage")]]; ok {
				return t, true
			}
		}
	}
	return DType{}, false
}

// storage is a row of values of one type in the file.
type storage struct {
	key   string
	dtype DType
	count int   // values
	at    int64 // where the first one is in the file, in bytes; in the stream known after the whole file was read
	root  *storage
	first int // of a view of root: the index of its first value there

	sum     uint32 // CRC-32 of the bytes, if hasSum
	hasSum  bool
	checked bool
	bytes   int64 // how many bytes sum covers
}

// Tensor is a tensor whose values lie in the file.
type Tensor struct {
	DType DType
	Shape []int // empty for a single value

	file    *File
	st      *storage
	offset  int
	strides []int
	count   int
}

// Count returns the number of values.
func (t *Tensor) Count() int { return t.count }

// maxDims is PyTorch's own bound on the number of dimensions.
const maxDims = 64

// newTensor does what torch._utils._rebuild_tensor does. The arguments are as the pickle has them.
func (f *File) newTensor(st *storage, offset, size, stride any) (any, error) {
	bad := malformed("a tensor of size %v and stride %v at %v", brief(size), brief(stride), brief(offset))
	at, ok := offset.(int64)
	shape, ok1 := ints(size)
	strides, ok2 := ints(stride)
	if !ok || !ok1 || !ok2 || at < 0 || len(shape) != len(strides) || len(shape) > maxDims {
		return nil, bad
	}
	t := &Tensor{DType: st.dtype, Shape: shape, file: f, st: st, offset: int(at), strides: strides, count: 1}
	if int64(t.offset) != at {
		return nil, bad
	}
	// The last value must lie in the storage, and neither its index nor the count may overflow: both are kept below
	// bound, which is far below MaxInt.
	bound := f.bound
	span := 1
	for i, d := range shape {
		if d == 0 {
			t.count = 0
			return t, nil
		}
		if d > bound/t.count {
			return nil, f.tooLarge(t.DType, shape)
		}
		t.count *= d
		if d > 1 && strides[i] > (st.count-span)/(d-1) {
			return nil, bad
		}
		span += (d - 1) * strides[i]
	}
	if t.offset > st.count-span {
		return nil, bad
	}
	// Tensors may share storages and repeat values, so a small file could hold many large tensors: their sum is
	// bounded too.
	f.total += max(t.count, span)
	if f.total > bound {
		return nil, f.tooLarge(t.DType, shape)
	}
	return t, nil
}

// tooLarge returns the error of a tensor by which the file's tensors have too many values.
func (f *File) tooLarge(t DType, shape []int) error {
	return fmt.Errorf("has tensors of more values than a file of its size (%d bytes) can need "+
		"(it came to one of %s %.60s): expected no tensor that repeats values many times; save them with clone()",
		f.size, t.Name, fmt.Sprint(shape))
}

// ints converts a tuple or list of whole numbers that are not negative.
func ints(v any) (list []int, ok bool) {
	items, ok := v.(Tuple)
	if l, isList := v.(*List); isList {
		items, ok = l.Items, true
	}
	if !ok || len(items) > maxDims {
		return nil, false
	}
	list = make([]int, len(items))
	for i, item := range items {
		n, ok := item.(int64)
		if !ok || n < 0 || n > math.MaxInt/16 {
			return nil, false
		}
		list[i] = int(n)
	}
	return list, true
}

// brief describes a value for an error's text, never longer than a line.
func brief(v any) string {
	if list, ok := ints(v); ok {
		return fmt.Sprintf("%.60v", fmt.Sprint(list))
	}
	if n, ok := v.(int64); ok {
		return fmt.Sprint(n)
	}
	return Kind(v)
}

// contiguous reports whether the values lie one after the other, last index fastest.
func (t *Tensor) contiguous() bool {
	n := 1
	for i := len(t.Shape) - 1; i >= 0; i-- {
		if t.Shape[i] > 1 && t.strides[i] != n {
			return false
		}
		n *= t.Shape[i]
	}
	return true
}

// span returns how many values of the storage the tensor stretches over: from its first to its last, gaps included.
func (t *Tensor) span() int {
	n := 1
	for i, d := range t.Shape {
		n += (d - 1) * t.strides[i]
	}
	return n
}

// Value lists the types that values can be read as.
type Value interface {
	float32 | float64 | int64
}

// Read fills dst with the tensor's values, last index fastest. V = float32 and float64 take all types and round;
// int64 takes whole numbers only. len(dst) must be t.Count().
func Read[V Value](t *Tensor, dst []V) error {
	if len(dst) != t.count {
		panic(fmt.Sprintf("pytorch: a tensor of %d values is read into %d", t.count, len(dst)))
	}
	var v V
	if _, whole := any(v).(int64); whole && t.DType.Kind != 'i' {
		return fmt.Errorf("%s: a tensor of %s: expected whole numbers", t.file.path, t.DType.Name)
	}
	if t.count == 0 {
		return nil
	}
	if err := t.file.check(t.st); err != nil {
		return err
	}
	if t.contiguous() {
		return read(t, dst, t.offset)
	}
	values := make([]V, t.span())
	if err := read(t, values, t.offset); err != nil {
		return err
	}
	index := make([]int, len(t.Shape))
	at := 0
	for i := range dst {
		dst[i] = values[at]
		for k := len(index) - 1; k >= 0; k-- {
			index[k]++
			at += t.strides[k]
			if index[k] < t.Shape[k] {
				break
			}
			at -= index[k] * t.strides[k]
			index[k] = 0
		}
	}
	return nil
}

// read fills dst with values of the tensor's storage, beginning with the one of index first.
func read[V Value](t *Tensor, dst []V, first int) error {
	f, size := t.file, t.DType.Size
	root := t.st
	if t.st.root != nil {
		root, first = t.st.root, first+t.st.first
	}
	at := root.at + int64(first)*int64(size)
	if want := min(len(dst)*size, 1<<20); len(f.chunk) < want {
		f.chunk = make([]byte, want)
	}
	for len(dst) > 0 {
		n := min(len(dst), len(f.chunk)/size)
		b := f.chunk[:n*size]
		if _, err := f.r.ReadAt(b, at); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("cannot read a tensor of %s: %w", f.path, err)
		}
		decode(dst[:n], b, t.DType, f.order)
		dst, at = dst[n:], at+int64(len(b))
	}
	return nil
}

// decode converts values of type t.
func decode[V Value](dst []V, b []byte, t DType, o binary.ByteOrder) {
	var v V
	if fmt.Sprintf("%T", v) == t.Name { // needs no conversion
		binary.Decode(b, o, dst)
		return
	}
	size := t.Size
	for i := range dst {
		p := b[i*size:]
		switch t.Name {
		case "float32":
			dst[i] = V(math.Float32frombits(o.Uint32(p)))
		case "float64":
			dst[i] = V(math.Float64frombits(o.Uint64(p)))
		case "float16":
			dst[i] = V(float16.ToFloat32(o.Uint16(p)))
		case "bfloat16":
			dst[i] = V(float16.FromBFloat16(o.Uint16(p)))
		case "int64":
			dst[i] = V(int64(o.Uint64(p)))
		case "int32":
			dst[i] = V(int32(o.Uint32(p)))
		case "int16":
			dst[i] = V(int16(o.Uint16(p)))
		case "int8":
			dst[i] = V(int8(p[0]))
		default: // uint8 and bool
			dst[i] = V(p[0])
		}
	}
}

// check compares the bytes of a storage with their checksum, if the container has one, the first time that it is
// called.
func (f *File) check(st *storage) error {
	if st.root != nil {
		st = st.root
	}
	if !st.hasSum || st.checked {
		return nil
	}
	sum := crc32.NewIEEE()
	if _, err := io.Copy(sum, io.NewSectionReader(f.r, st.at, st.bytes)); err != nil {
		return fmt.Errorf("cannot read %s: %w", f.path, err)
	}
	if got := sum.Sum32(); got != st.sum {
		return fmt.Errorf("%s is damaged (checksum of %.60q: it says %08x, its bytes give %08x): copy it again",
			f.path, st.key, st.sum, got)
	}
	st.checked = true
	return nil
}
