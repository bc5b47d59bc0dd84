// What conditions samplers on a measurement, on the CPU, see measure.go: the bits of the references.

package kernels

func (o SamplerMisfit) lower(mem []float32) stage {
	whole := append([]Buf{o.Table, o.State}, o.bufs()...)
	if o.Draws.N > 0 {
		whole = append(whole, o.Draws)
	}
	return byRows(o.Rows(), whole, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o SamplerFit) lower(mem []float32) stage {
	return byRows(o.Rows(), o.bufs(), func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
