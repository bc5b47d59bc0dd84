//go:build cgo && !nocuda

package kernels

func (o Langevin) launch(l *launcher) {
	l.small(o.D)
	grid, block := byRow(o.Rows(), o.D, 1)
	l.kernel("langevin", grid, block, o.X, o.S, o.Alpha, o.State, o.Seed, o.Rows(), o.D, o.T, o.Alpha.N)
}

func (o Denoise) launch(l *launcher) {
	d := o.X.N / o.Rows()
	l.small(d)
	grid, block := byRow(o.Rows(), d, 1)
	l.kernel("denoise", grid, block, o.X, o.S, o.Sigma, o.Rows(), d)
}

func (o SetSigma) launch(l *launcher) {
	grid, block := each(o.Sigma.N)
	l.kernel("set_sigma", grid, block, o.Sigma, o.Level, o.Ladder, o.State, o.Sigma.N, o.T, o.Ladder.N)
}

func (o Tick) launch(l *launcher) {
	l.kernel("tick", [3]int{1, 1, 1}, [3]int{1, 1, 1}, o.State)
}
