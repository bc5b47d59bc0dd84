//go:build cgo && !nocuda

package kernels

func (o Resize) launch(l *launcher) {
	l.small(o.H*o.W*o.C, o.HOut*o.WOut*o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.HOut*o.WOut*o.C, v)
	l.kernel("resize", grid, block, o.Y, o.X, v, o.N, o.H, o.W, o.HOut, o.WOut, o.C)
}

func (o ResizeGrad) launch(l *launcher) {
	l.small(o.H*o.W*o.C, o.HOut*o.WOut*o.C)
	v := wide(o.C, o.DX, o.DY)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.kernel("resize_grad", grid, block, o.DX, o.DY, v, o.N, o.H, o.W, o.HOut, o.WOut, o.C)
}
