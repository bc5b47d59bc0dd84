// The data set as the kernels see it: resident where they run, or streamed there step by step (cuda_feed.go).

package kernels

// Data is N rows of H*W*C values: images as bytes, which the perturbation maps to [0, 1], or vectors (H = W = 1) as
// they are. Exactly one of U8 and F32 is set. A backend with memory of its own copies its rows there once, or those of
// each step, see [Perturb].
//
// With Rows, row i is row Rows[i] of U8 or F32, which may hold more rows than N. A part of a data set in a mapped
// file thus takes no memory of its own.
type Data struct {
	N, H, W, C int
	U8         []byte    // (N, H, W, C), or more rows
	F32        []float32 // (N, C), or more rows
	Rows       []uint32  // (N); nil: the rows in order
	Labels     []uint32  // the class of each stored row; nil: there are none

	// Masks are masks of vectors, (masks, C), 0 where a value is missing and what stands in its place does not count in the
	// loss, and else 1. Mask is the one of each stored row. Both are nil where nothing is missing.
	Masks []float32
	Mask  []uint32
}

// D returns the number of values of one row.
func (d *Data) D() int { return d.H * d.W * d.C }

// Row returns the number of the stored row that is row i.
func (d *Data) Row(i int) int {
	if d.Rows != nil {
		return int(d.Rows[i])
	}
	return i
}

// Label returns the class of row i.
func (d *Data) Label(i int) uint32 { return d.Labels[d.Row(i)] }

// MaskOf returns the mask of row i, nil where nothing is missing in any row.
func (d *Data) MaskOf(i int) []float32 {
	if d.Masks == nil {
		return nil
	}
	m, n := int(d.Mask[d.Row(i)]), d.D()
	return d.Masks[m*n : (m+1)*n]
}

// There returns the part of all values that is there, 1 where nothing is missing.
func (d *Data) There() float64 {
	if d.Masks == nil {
		return 1
	}
	n := 0
	for i := range d.N {
		for _, v := range d.MaskOf(i) {
			if v != 0 {
				n++
			}
		}
	}
	return float64(n) / (float64(d.N) * float64(d.D()))
}

// Bytes returns row i of images.
func (d *Data) Bytes(i int) []byte {
	r, n := d.Row(i), d.D()
	return d.U8[r*n : (r+1)*n]
}

// Floats returns row i of vectors.
func (d *Data) Floats(i int) []float32 {
	r, n := d.Row(i), d.D()
	return d.F32[r*n : (r+1)*n]
}

// Size returns the bytes that the N rows take where they lie one after the other.
func (d *Data) Size() int64 { return int64(d.N) * d.rowSize() }

// rowSize returns the bytes of a row.
func (d *Data) rowSize() int64 {
	if d.F32 != nil {
		return 4 * int64(d.D())
	}
	return int64(d.D())
}

// StreamedSteps is the number of steps whose rows are under way where data is streamed: those of one are read, of one
// copied and of one gathered.
const StreamedSteps = 3

// StreamedSize returns the bytes that streaming takes of the device's memory, and of the host's, for batches of so many
// rows.
func (d *Data) StreamedSize(batch int) int64 { return StreamedSteps * int64(batch) * d.rowSize() }
