//go:build cgo && !nocuda

package kernels

func (o Adam) launch(l *launcher) {
	grid, block := flat(o.Param.N)
	grid[0] = min(grid[0], 8*l.backend.device.Multiprocessors())
	l.kernel("adam", grid, block, o.Param, o.Grad, o.M, o.V, o.EMA, o.State, uint64(o.Param.N),
		o.LR, o.Beta1, o.Beta2, o.Eps, o.Rate, o.Warmup)
}
