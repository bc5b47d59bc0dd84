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
	return alongAxes(mem, o.ResizeShape, o.Y, o.X, taps(o.W, o.WOut), taps(o.H, o.HOut))
}

// lowerAvgPool5 is five pixels of a row, then five rows.
func lowerAvgPool5(mem []float32, o AvgPool5) stage {
	window := func(n int, weight float32) *vec.Taps {
		return vec.NewTaps(n, n, func(i int) (list []vec.Tap) {
			for j := max(0, i-2); j < min(n, i+3); j++ {
				list = append(list, vec.Tap{Row: j, Weight: weight})
			}
			return list
		})
	}
	s := ResizeShape{N: o.N, H: o.H, W: o.W, HOut: o.H, WOut: o.W, C: o.C}
	return alongAxes(mem, s, o.Y, o.X, window(o.W, 1), window(o.H, 1.0/25))
}

// alongAxes is y from x: rows along each image row, then columns.
func alongAxes(mem []float32, s ResizeShape, y, x Buf, rows, columns *vec.Taps) stage {
	return stage{rows: s.N, scratch: s.scratch(), run: func(lo, hi, _ int, _ bool, w *worker) {
		between := w.scratch[:s.scratch()]
		for n := lo; n < hi; n++ {
			x := row(mem, x, s.N, n)
			for i := range s.H {
				rows.Apply(part(between, i, s.H), part(x, i, s.H), s.C)
			}
			columns.Apply(row(mem, y, s.N, n), between, s.WOut*s.C)
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
