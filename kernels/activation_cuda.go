//go:build cgo && !nocuda

package kernels

func (o Activate) launch(l *launcher) {
	grid, block := flat(o.Y.N)
	l.kernel(string(o.F), grid, block, o.Y, o.X, uint64(o.Y.N))
}

func (o ActivateGrad) launch(l *launcher) {
	grid, block := flat(o.DX.N)
	l.kernel(string(o.F)+"_grad", grid, block, o.DX, o.DY, o.at(), uint64(o.DX.N))
}
