// Maps of images that work along each image row, then down the columns: resize and average pooling on the CPU.

package kernels

import "sigmaz/kernels/internal/vec"

// betweenAxes is the words of an image (H, WOut, C) between the two.
func (s ResizeShape) betweenAxes() int { return s.H * s.WOut * s.C }

// alongAxes returns the stage of y from x, with the taps along a row and those down a column.
func alongAxes(mem []float32, s ResizeShape, y, x Buf, rows, columns *vec.Taps) stage {
	return stage{rows: s.N, scratch: s.betweenAxes(), run: func(lo, hi, _ int, _ bool, w *worker) {
		between := w.scratch[:s.betweenAxes()]
		for n := lo; n < hi; n++ {
			x := row(mem, x, s.N, n)
			for i := range s.H {
				rows.Apply(part(between, i, s.H), part(x, i, s.H), s.C)
			}
			columns.Apply(row(mem, y, s.N, n), between, s.WOut*s.C)
		}
	}}
}
