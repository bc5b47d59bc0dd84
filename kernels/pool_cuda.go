//go:build cgo && !nocuda

// Launches of the pooling operations, see pool.cu.

package kernels

func (o MaxPool5) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y, o.Index)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.maxpool5(grid, block, maxpool5Args{
		y: o.Y, index: o.Index, x: o.X, v: v, images: o.N, h: o.H, w: o.W, c: o.C,
	})
}

func (o MaxPool5Grad) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.DX, o.DY, o.Index)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.maxpool5Grad(grid, block, maxpool5GradArgs{
		dx: o.DX, dy: o.DY, index: o.Index, v: v, images: o.N, h: o.H, w: o.W, c: o.C,
	})
}

func (o AvgPool5) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.avgpool5(grid, block, avgpool5Args{y: o.Y, x: o.X, v: v, images: o.N, h: o.H, w: o.W, c: o.C})
}

func (o MeanPool2) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.H/2*(o.W/2)*o.C, v)
	l.meanpool2(grid, block, meanpool2Args{y: o.Y, x: o.X, v: v, images: o.N, h: o.H / 2, w: o.W / 2, c: o.C})
}

func (o MeanPool2Grad) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.DX, o.DY)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.meanpool2Grad(grid, block, meanpool2GradArgs{dx: o.DX, dy: o.DY, v: v, images: o.N, h: o.H, w: o.W, c: o.C})
}
