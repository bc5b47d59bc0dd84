//go:build cgo && !nocuda

package kernels

func (o DivSigma) launch(l *launcher) {
	d := o.X.N / o.N
	l.small(d)
	grid, block := byRow(o.N, d, 1)
	l.kernel("div_sigma", grid, block, o.Y, o.X, o.Sigma, o.N, d)
}

func (o MLPInput) launch(l *launcher) {
	d := o.X.N / o.N
	l.small(d)
	grid, block := byRow(o.N, 4*(d+1), 1) // an element a thread
	l.kernel("mlp_input", grid, block, o.Y, o.X, o.Sigma, o.SD, o.N, d)
}
