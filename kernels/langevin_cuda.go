//go:build cgo && !nocuda

// Launches of what sampling runs beside the network, see langevin.cu.

package kernels

func (o Langevin) launch(l *launcher) {
	l.small(o.D)
	grid, block := byRow(o.Rows(), o.D, 1)
	l.langevin(grid, block, langevinArgs{
		x: o.X, s: o.S, alpha: o.Alpha, state: o.State, seed: o.Seed, rows: o.Rows(), d: o.D, t: o.T, levels: o.Alpha.N,
	})
}

func (o Denoise) launch(l *launcher) {
	d := o.X.N / o.Rows()
	l.small(d)
	grid, block := byRow(o.Rows(), d, 1)
	l.denoise(grid, block, denoiseArgs{x: o.X, s: o.S, sigma: o.Sigma, rows: o.Rows(), d: d})
}

func (o SetSigma) launch(l *launcher) {
	grid, block := each(o.Sigma.N)
	l.setSigma(grid, block, setSigmaArgs{
		sigma: o.Sigma, level: o.Level, ladder: o.Ladder, state: o.State, rows: o.Sigma.N, t: o.T, levels: o.Ladder.N,
	})
}

func (o Tick) launch(l *launcher) {
	l.tick(gridDim{1, 1, 1}, blockDim{1, 1, 1}, tickArgs{state: o.State})
}
