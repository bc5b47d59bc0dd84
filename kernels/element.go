// Elements: what the values of a window are in memory, and the references of operations on windows that are not of
// words.
//
//	Words      float32, or uint32 by its bit pattern      4 bytes
//	BFloat16   sign, 8 exponent bits, 7 fraction bits     2 bytes: the upper half of a float32
//
// Operations compute in float32 whatever their windows hold: what is read is widened, which is exact, and what is
// written is rounded to the nearest, ties to even. So a reference is written once, for words.

package kernels

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"unsafe"

	"sigmaz/internal/float16"
)

// Element is the kind of a window's values. A new kind is a line of each method here.
type Element uint8

const (
	Words    Element = iota // float32, or uint32 where an operation says so
	BFloat16                // bfloat16
)

func (e Element) String() string { return [...]string{"float32", "bf16"}[e] }

// Size returns the bytes of a value.
func (e Element) Size() int { return [...]int{4, 2}[e] }

// Load returns a copy of the values of b, in words.
func (b Buf) Load(mem []float32) []float32 {
	values := make([]float32, b.N)
	switch b.Element {
	case Words:
		copy(values, b.Of(mem))
	case BFloat16:
		for i, v := range halves(b, mem) {
			values[i] = float16.FromBFloat16(v)
		}
	}
	return values
}

// Store rounds src to the values of b.
func (b Buf) Store(mem, src []float32) {
	switch b.Element {
	case Words:
		copy(b.Of(mem), src)
	case BFloat16:
		for i, v := range src {
			halves(b, mem)[i] = ToBFloat16(v)
		}
	}
}

// halves views the memory of b as values of two bytes.
func halves(b Buf, mem []float32) []uint16 {
	f := mem[b.Off : b.Off+b.Words()]
	return unsafe.Slice((*uint16)(unsafe.Pointer(unsafe.SliceData(f))), b.N)
}

// ToBFloat16 rounds to the nearest, ties to even. A NaN becomes 0x7fff, as it does on a GPU.
func ToBFloat16(v float32) uint16 {
	bits := math.Float32bits(v)
	if v != v {
		return 0x7fff
	}
	return uint16((bits + 0x7fff + bits>>16&1) >> 16)
}

// Moved returns an operation whose windows, absent ones excepted, are those that f returns for them. Windows are
// exported fields.
func Moved(op Op, f func(Buf) Buf) Op {
	var move func(v reflect.Value)
	move = func(v reflect.Value) {
		if !v.CanInterface() {
			return
		}
		if b, ok := v.Interface().(Buf); ok {
			if b.N > 0 {
				v.Set(reflect.ValueOf(f(b)))
			}
		} else if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				move(v.Field(i))
			}
		}
	}
	moved := reflect.New(reflect.TypeOf(op)).Elem()
	moved.Set(reflect.ValueOf(op))
	move(moved)
	return moved.Interface().(Op)
}

// InWords returns an operation like op on words of its own, which hold the values of the operands in mem, and where it
// has each of op's windows. Two windows of op must be the same, or not overlap.
func InWords(op Op, mem []float32) (words Op, values []float32, at map[Buf]Buf) {
	reads, writes := op.Operands()
	windows := slices.Concat(reads, writes)
	at = map[Buf]Buf{}
	for i, b := range windows {
		if slices.ContainsFunc(windows[:i], func(o Buf) bool { return o != b && b.overlaps(o) }) {
			panic(fmt.Sprintf("kernels: %s: window %+v overlaps another one", op.Name(), b))
		}
		if _, ok := at[b]; !ok {
			at[b] = Buf{Off: len(values), N: b.N}
			values = append(values, b.Load(mem)...)
		}
	}
	return Moved(op, func(b Buf) Buf { return at[b] }), values, at
}

// Reference runs an operation's reference on windows of any kind. Where all are of words it is the method Ref.
func Reference(op Op, mem []float32) {
	reads, writes := op.Operands()
	if !slices.ContainsFunc(append(reads, writes...), func(b Buf) bool { return b.Element != Words }) {
		op.Ref(mem)
		return
	}
	words, values, at := InWords(op, mem)
	words.Ref(values)
	for _, b := range writes {
		b.Store(mem, at[b].Of(values))
	}
}
