// Rows of a few values (vectors, not images) on the CPU. A call of a kernel for each would take longer than the row
// itself: they go through plain Go loops, or many of them share a call.

package kernels

import (
	"unsafe"

	"sigmaz/kernels/internal/vec"
)

const (
	// shortRow is the length up to which a row counts as short.
	shortRow = 16
	// drawRows is the number of rows whose random numbers are drawn together.
	drawRows = 64
)

// shortNormals are the standard normals of up to drawRows rows of d <= shortRow values: set the stream of each row,
// draw, then read the rows.
type shortNormals struct {
	key    [2]uint32
	blocks [drawRows * shortRow / 4][4]uint32
}

// set gives a row of d values its stream.
func (z *shortNormals) set(row, d int, s Stream) {
	z.key = s.words().Key
	each := (d + 3) / 4
	for b := range each {
		z.blocks[row*each+b] = s.counter(uint32(b))
	}
}

// draw draws the first rows.
func (z *shortNormals) draw(rows, d int) { vec.Normals4(z.blocks[:rows*((d+3)/4)], z.key) }

// row returns the normals of a row.
func (z *shortNormals) row(row, d int) []float32 {
	b := z.blocks[row*((d+3)/4):]
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), d)
}
