// Dropout on the CPU, see dropout.go: the uniforms of a row, then a pass without branches.

package kernels

import (
	"math"

	"sigmaz/kernels/internal/vec"
)

func (o Dropout) lower(mem []float32) stage {
	s := stage{rows: o.N, readWhole: []Buf{o.State}, scratch: o.X.N / max(1, o.N)}
	s.run = func(lo, hi, _ int, _ bool, w *worker) {
		limit, scale := int32(math.Float32bits(o.P)), o.scale()
		for n := lo; n < hi; n++ {
			x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
			u := w.scratch[:len(x)]
			vec.Uniforms(u, o.stream(mem, n).words())
			for i, v := range x {
				// Positive floats have the order of their bits: the difference is negative where the value stays.
				keep := uint32((limit - int32(math.Float32bits(u[i]))) >> 31)
				y[i] = math.Float32frombits(math.Float32bits(v*scale) & keep)
			}
		}
	}
	return s
}
