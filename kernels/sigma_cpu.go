// What depends on a row's noise level, on the CPU, see sigma.go.

package kernels

import "sigmaz/kernels/internal/vec"

func (o DivSigma) lower(mem []float32) stage {
	if o.X.N/o.N <= shortRow {
		return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
	}
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			vec.Divide(row(mem, o.Y, o.N, n), row(mem, o.X, o.N, n), o.Sigma.Of(mem)[n])
		}
	})
}

func (o RowMix) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
