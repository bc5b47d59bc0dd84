// What the adaptive solver runs beside the network on the CPU, see ode.go: the bits of the references.

package kernels

func (o ODEPoint) lower(mem []float32) stage {
	return byRows(o.Rows(), []Buf{o.Table, o.State, o.Sigmas, o.Levels}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o ODESlope) lower(mem []float32) stage {
	return byRows(o.Rows(), []Buf{o.Table, o.State, o.Sigmas, o.Scale}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o ODENorm) lower(mem []float32) stage {
	return byRows(o.Rows(), []Buf{o.Table, o.Tol}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o ODEAccept) lower(mem []float32) stage {
	return byRows(o.Rows(), nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
