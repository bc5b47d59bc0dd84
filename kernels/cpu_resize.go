package kernels

import "sigmaz/kernels/internal/vec"

// taps is the resize along one axis, from m to n.
func taps(m, n int) *vec.Taps {
	return vec.NewTaps(n, m, func(i int) []vec.Tap {
		whole, fraction := source(i, m, n)
		if fraction == 0 {
			return []vec.Tap{{Row: whole, Weight: 1}}
		}
		return []vec.Tap{{Row: whole, Weight: 1 - fraction}, {Row: whole + 1, Weight: fraction}}
	})
}

// The CPU resizes along each image row, into scratch of (H, WOut, C), then down the columns; the gradient goes back the
// same way.

func (s ResizeShape) scratch() int { return s.H * s.WOut * s.C }

func lowerResize(mem []float32, o Resize) stage {
	rows, columns := taps(o.W, o.WOut), taps(o.H, o.HOut)
	return stage{rows: o.N, scratch: o.scratch(), run: func(lo, hi, _ int, _ bool, w *worker) {
		between := w.scratch[:o.scratch()]
		for n := lo; n < hi; n++ {
			x := row(mem, o.X, o.N, n)
			for i := range o.H {
				rows.Apply(part(between, i, o.H), part(x, i, o.H), o.C)
			}
			columns.Apply(row(mem, o.Y, o.N, n), between, o.WOut*o.C)
		}
	}}
}

func lowerResizeGrad(mem []float32, o ResizeGrad) stage {
	rows, columns := taps(o.W, o.WOut).Transposed(), taps(o.H, o.HOut).Transposed()
	return stage{rows: o.N, scratch: o.scratch(), run: func(lo, hi, _ int, _ bool, w *worker) {
		between := w.scratch[:o.scratch()]
		for n := lo; n < hi; n++ {
			columns.Apply(between, row(mem, o.DY, o.N, n), o.WOut*o.C)
			dx := row(mem, o.DX, o.N, n)
			for i := range o.H {
				rows.Apply(part(dx, i, o.H), part(between, i, o.H), o.C)
			}
		}
	}}
}
