// Rows of a table on the CPU, see lookup.go: the references, of which only the indices are gone through for every row of
// the table.

package kernels

func (o Lookup) lower(mem []float32) stage {
	return byRows(o.N, []Buf{o.Table}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o LookupGrad) lower(mem []float32) stage {
	return byRows(o.Rows(), []Buf{o.DY, o.Index}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
