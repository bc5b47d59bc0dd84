//go:build cgo && !nocuda

// Launches of what the adaptive solver runs beside the network, see ode.cu.

package kernels

// odeThreads is ODE_THREADS of ode.cu.
const odeThreads = 128

func (o ODE) byBlock() (gridDim, blockDim) {
	return gridDim{min(maxGrid, o.Rows()), 1, 1}, blockDim{odeThreads, 1, 1}
}

func (o ODEPoint) launch(l *launcher) {
	l.small(o.E)
	grid, block := byRow(o.Rows(), o.E, 1)
	l.odePoint(grid, block, odePointArgs{point: o.Point, sigma: o.Sigma, level: o.Level, v: o.V, at: o.At, x: o.X, k: o.K, h: o.H,
		sigmas: o.Sigmas, levels: o.Levels, table: o.Table, state: o.State, repeat: o.Repeat, rows: o.Rows(), d: o.D, e: o.E})
}

func (o ODESlope) launch(l *launcher) {
	l.small(o.E)
	grid, block := o.byBlock()
	l.odeSlope(grid, block, odeSlopeArgs{k: o.K, trace: o.Trace, s: o.S, v: o.V, vj: o.VJ, sigmas: o.Sigmas, scale: o.Scale,
		table: o.Table, state: o.State, units: flag(o.Units), repeat: o.Repeat, rows: o.Rows(), d: o.D, e: o.E})
}

func (o ODENorm) launch(l *launcher) {
	l.small(o.E)
	grid, block := o.byBlock()
	l.odeNorm(grid, block, odeNormArgs{err: o.Err, x: o.X, at: o.At, k: o.K, h: o.H, table: o.Table, tol: o.Tol, of: o.Of,
		rows: o.Rows(), e: o.E})
}

func (o ODEAccept) launch(l *launcher) {
	l.small(o.E)
	grid, block := byRow(o.Rows(), o.E, 1)
	l.odeAccept(grid, block, odeAcceptArgs{point: o.Point, x: o.X, k: o.K, at: o.At, taken: o.Taken, denoise: flag(o.Denoise),
		rows: o.Rows(), d: o.D, e: o.E})
}
