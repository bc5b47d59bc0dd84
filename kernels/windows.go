// Views of windows: rows and parts, words as other types, overlaps.

package kernels

import (
	"math"
	"unsafe"
)

// row returns row n of a window of equal rows.
func row(mem []float32, b Buf, rows, n int) []float32 {
	d := b.N / rows
	return b.Slice(n*d, d).Of(mem)
}

// rowsOf returns rows lo to hi of a window of equal rows.
func rowsOf(mem []float32, b Buf, rows, lo, hi int) []float32 {
	d := b.N / rows
	return b.Slice(lo*d, (hi-lo)*d).Of(mem)
}

// part returns part i of n equal parts.
func part(s []float32, i, n int) []float32 { d := len(s) / n; return s[i*d : (i+1)*d : (i+1)*d] }

// orNil returns window b, nil if it is absent.
func orNil(mem []float32, b Buf) []float32 {
	if b.N == 0 {
		return nil
	}
	return b.Of(mem)
}

// word reads word i of b as a uint32.
func word(mem []float32, b Buf, i int) uint32 { return math.Float32bits(b.Of(mem)[i]) }

// SetWord stores a uint32 as word i of b.
func SetWord(mem []float32, b Buf, i int, v uint32) { b.Of(mem)[i] = math.Float32frombits(v) }

// words views floats as the uint32 that they hold.
func words(f []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}

// bytesOf views the memory of floats as bytes.
func bytesOf(f []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// doublesOf views the memory of floats, which starts at a multiple of eight bytes, as float64.
func doublesOf(f []float32) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(f))), len(f)/2)
}

// round stores float64 sums as float32.
func round(dst []float32, src []float64) {
	for i, v := range src {
		dst[i] = float32(v)
	}
}

// present leaves out the absent windows.
func present(bufs ...Buf) []Buf {
	out := bufs[:0:0]
	for _, b := range bufs {
		if b.N > 0 {
			out = append(out, b)
		}
	}
	return out
}

// without returns list less the windows of remove.
func without(list, remove []Buf) []Buf {
	var out []Buf
next:
	for _, b := range list {
		for _, r := range remove {
			if b == r {
				continue next
			}
		}
		out = append(out, b)
	}
	return out
}

// anyOverlap says whether b shares words with a window of list. With sameRows an identical window does not count: its
// rows are those of b.
func anyOverlap(b Buf, list []Buf, sameRows bool) bool {
	for _, o := range list {
		if b.overlaps(o) && !(sameRows && b == o) {
			return true
		}
	}
	return false
}
