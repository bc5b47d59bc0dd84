// Guidance on the CPU, see guide.go: the references.

package kernels

func (o Twin) lower(mem []float32) stage {
	return byRows(o.Rows(), nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o Guide) lower(mem []float32) stage {
	return byRows(o.Rows(), nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
