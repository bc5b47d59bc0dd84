// A row vector added to all pixels, on the CPU, see addrow.go.

package kernels

import "sigmaz/kernels/internal/vec"

func (o AddRow) lower(mem []float32) stage {
	if o.C <= shortRow {
		return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
	}
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			x, y, e := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n), row(mem, o.E, o.N, n)
			for p := range o.P {
				vec.Add(part(y, p, o.P), part(x, p, o.P), e)
			}
		}
	})
}

func (o AddRowGrad) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			vec.ColumnSum(row(mem, o.DE, o.N, n), row(mem, o.DY, o.N, n))
		}
	})
}
