//go:build cgo && !nocuda

package kernels

func (o MaxPool5) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y, o.Index)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.kernel("maxpool5", grid, block, o.Y, o.Index, o.X, v, o.N, o.H, o.W, o.C)
}

func (o MaxPool5Grad) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.DX, o.DY, o.Index)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.kernel("maxpool5_grad", grid, block, o.DX, o.DY, o.Index, v, o.N, o.H, o.W, o.C)
}

func (o AvgPool5) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.kernel("avgpool5", grid, block, o.Y, o.X, v, o.N, o.H, o.W, o.C)
}

func (o MeanPool2) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.H/2*(o.W/2)*o.C, v)
	l.kernel("meanpool2", grid, block, o.Y, o.X, v, o.N, o.H/2, o.W/2, o.C)
}

func (o MeanPool2Grad) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.DX, o.DY)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.kernel("meanpool2_grad", grid, block, o.DX, o.DY, v, o.N, o.H, o.W, o.C)
}
