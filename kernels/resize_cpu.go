// The resize on the CPU, see resize.go: one axis after the other.

package kernels

import "sigmaz/kernels/internal/vec"

// interpolation returns the resize along one axis, from m to n.
func interpolation(m, n int) *vec.Taps {
	return vec.NewTaps(n, m, func(i int) []vec.Tap {
		whole, fraction := source(i, m, n)
		if fraction == 0 {
			return []vec.Tap{{Row: whole, Weight: 1}}
		}
		return []vec.Tap{{Row: whole, Weight: 1 - fraction}, {Row: whole + 1, Weight: fraction}}
	})
}

func (o Resize) lower(mem []float32) stage {
	return alongAxes(mem, o.ResizeShape, o.Y, o.X, interpolation(o.W, o.WOut), interpolation(o.H, o.HOut))
}

// The gradient goes back the same way: columns first.
func (o ResizeGrad) lower(mem []float32) stage {
	rows, columns := interpolation(o.W, o.WOut).Transposed(), interpolation(o.H, o.HOut).Transposed()
	return stage{rows: o.N, scratch: o.betweenAxes(), run: func(lo, hi, _ int, _ bool, w *worker) {
		between := w.scratch[:o.betweenAxes()]
		for n := lo; n < hi; n++ {
			columns.Apply(between, row(mem, o.DY, o.N, n), o.WOut*o.C)
			dx := row(mem, o.DX, o.N, n)
			for i := range o.H {
				rows.Apply(part(dx, i, o.H), part(between, i, o.H), o.C)
			}
		}
	}}
}
