//go:build cgo && !nocuda

// Launches of Adam, see adam.cu.

package kernels

import "math"

func (o Adam) launch(l *launcher) {
	grid, block := flat(o.Param.N)
	grid[0] = min(grid[0], 8*l.multiprocessors)
	l.adam(grid, block, adamArgs{
		param: o.Param, grad: o.Grad, m: o.M, v: o.V, ema: o.EMA, state: o.State, n: uint64(o.Param.N),
		lr: math.Float64bits(o.LR), beta1: math.Float64bits(o.Beta1), beta2: math.Float64bits(o.Beta2),
		eps: math.Float64bits(o.Eps), rate: math.Float64bits(o.Rate), warmup: flag(o.Warmup),
	})
}
