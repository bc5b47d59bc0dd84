// Sums and maps, element by element, on the CPU, see sum.go.

package kernels

import "sigmaz/kernels/internal/vec"

func (o Add) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		vec.Add(rowsOf(mem, o.Dst, o.N, lo, hi), rowsOf(mem, o.A, o.N, lo, hi), rowsOf(mem, o.B, o.N, lo, hi))
	})
}

func (o ScaledSum) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		dst, a := rowsOf(mem, o.Dst, o.N, lo, hi), rowsOf(mem, o.A, o.N, lo, hi)
		if o.B.N == 0 {
			vec.Affine(dst, a, o.Outer, 0)
			return
		}
		vec.ScaledSum(dst, a, rowsOf(mem, o.B, o.N, lo, hi), o.Inner, o.Outer)
	})
}

func (o Affine) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		vec.Affine(rowsOf(mem, o.Y, o.N, lo, hi), rowsOf(mem, o.X, o.N, lo, hi), o.Scale, o.Shift)
	})
}
