// Concatenation and split on the CPU, see concat.go: copies of each pixel's channels.

package kernels

func (o Concat) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o Split) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
