// What a network is given of noisy rows, on the CPU, see precondition.go.

package kernels

func (o RowMix) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
