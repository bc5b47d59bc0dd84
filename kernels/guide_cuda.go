//go:build cgo && !nocuda

// Launches of guidance, see guide.cu.

package kernels

func (o Twin) launch(l *launcher) {
	l.small(o.X.N)
	grid, block := each(o.X.N)
	l.twinRows(grid, block, twinRowsArgs{xTo: o.TwinX, sigmaTo: o.TwinSigma, levelTo: o.TwinLevel, x: o.X, sigma: o.Sigma,
		level: o.Level, rows: o.Rows(), values: o.X.N})
}

func (o Guide) launch(l *launcher) {
	l.small(o.S.N)
	grid, block := each(o.S.N)
	l.guide(grid, block, guideArgs{s: o.S, u: o.U, weight: o.Weight, d: o.S.N / o.Rows(), values: o.S.N})
}
