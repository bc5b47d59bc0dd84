// Sampling on the CPU, see langevin.go: the bits of the references.

package kernels

import "sigmaz/kernels/internal/vec"

func (o SetSigma) lower(mem []float32) stage {
	return byRows(o.Sigma.N, []Buf{o.Ladder, o.State}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o Langevin) lower(mem []float32) stage {
	update := o.rows
	if o.D <= shortRow {
		update = o.shortRows
	}
	return byRows(o.Rows(), []Buf{o.Alpha, o.State}, func(lo, hi int) { update(mem, lo, hi) })
}

// rows updates rows lo to hi one by one.
func (o Langevin) rows(mem []float32, lo, hi int) {
	a, b := o.factors(mem)
	for n := lo; n < hi; n++ {
		vec.Langevin(row(mem, o.X, o.Rows(), n), row(mem, o.S, o.Rows(), n), a, b, o.stream(mem, n).words())
	}
}

// shortRows updates rows lo to hi, many at a time.
func (o Langevin) shortRows(mem []float32, lo, hi int) {
	a, b := o.factors(mem)
	for ; lo < hi; lo += drawRows {
		var z shortNormals
		rows := min(drawRows, hi-lo)
		for i := range rows {
			z.set(i, o.D, o.stream(mem, lo+i))
		}
		z.draw(rows, o.D)
		for i := range rows {
			x, s := row(mem, o.X, o.Rows(), lo+i), row(mem, o.S, o.Rows(), lo+i)
			for j, v := range z.row(i, o.D) {
				x[j] = float32(x[j]+float32(a*s[j])) + float32(b*v)
			}
		}
	}
}

func (o Denoise) lower(mem []float32) stage {
	return byRows(o.Rows(), nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			x, sigma := row(mem, o.X, o.Rows(), n), o.Sigma.Of(mem)[n]
			vec.AddScaled(x, x, row(mem, o.S, o.Rows(), n), sigma*sigma)
		}
	})
}
