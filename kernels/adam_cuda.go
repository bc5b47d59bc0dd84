//go:build cgo && !nocuda

// Launches of Adam and of the norm of gradients, see adam.cu.

package kernels

import "math"

func (o Adam) launch(l *launcher) {
	grid, block := flat(o.Param.N)
	grid[0] = min(grid[0], 8*l.multiprocessors)
	l.adam(grid, block, adamArgs{
		param: o.Param, grad: o.Grad, m: o.M, v: o.V, ema: o.EMA, state: o.State, n: uint64(o.Param.N),
		lr: math.Float64bits(o.LR), beta1: math.Float64bits(o.Beta1), beta2: math.Float64bits(o.Beta2),
		eps: math.Float64bits(o.Eps), rate: math.Float64bits(o.Rate), warmup: flag(o.Warmup),
		norm: o.Norm, clip: math.Float64bits(o.Clip), lrWarmup: o.LRWarmup,
	})
}

func (o GradNorm) cudaWorkspace() int { return 2 * o.blocks() } // a double for each block

func (o GradNorm) launch(l *launcher) {
	sums := work{0, 2 * o.blocks()}
	l.gradNorm(gridDim{o.blocks(), 1, 1}, blockDim{256, 1, 1}, gradNormArgs{sums: sums, grad: o.Grad, n: uint64(o.Grad.N)})
	l.gradNormFinish(gridDim{1, 1, 1}, blockDim{256, 1, 1}, gradNormFinishArgs{norm: o.Norm, sums: sums, blocks: o.blocks()})
}
