//go:build cgo && !nocuda

package kernels

func (o Add) launch(l *launcher) {
	grid, block := flat(o.Dst.N)
	l.kernel("add", grid, block, o.Dst, o.A, o.B, uint64(o.Dst.N))
}

func (o Affine) launch(l *launcher) {
	grid, block := flat(o.Y.N)
	l.kernel("affine", grid, block, o.Y, o.X, o.Scale, o.Shift, uint64(o.Y.N))
}

func (o Fill) launch(l *launcher) {
	grid, block := flat(o.Dst.N)
	l.kernel("fill", grid, block, o.Dst, o.Value, uint64(o.Dst.N))
}
