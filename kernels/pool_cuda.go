//go:build cgo && !nocuda

// Launches of the pooling operations, see pool.cu.

package kernels

// channels returns the channels that a thread of the maximum takes: those whose places share a word of the index.
func (s PoolShape) channels() int {
	if s.C%4 == 0 {
		return 4
	}
	return 1
}

func (o MaxPool5) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := o.channels()
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.maxpool5(grid, block, maxpool5Args{
		y: o.Y, index: o.Index, x: o.X, v: v, images: o.N, h: o.H, w: o.W, c: o.C,
	})
}

func (o MaxPool5Grad) result() Buf        { return o.DX }
func (o MaxPool5Grad) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o MaxPool5Grad) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.H * o.W * o.C)
	v := o.channels()
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.maxpool5Grad(grid, block, maxpool5GradArgs{
		dx: e.y, dy: o.DY, index: o.Index, v: v, images: o.N, h: o.H, w: o.W, c: o.C,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}

func (o AvgPool5) result() Buf        { return o.Y }
func (o AvgPool5) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o AvgPool5) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.avgpool5(grid, block, avgpool5Args{y: e.y, x: o.X, v: v, images: o.N, h: o.H, w: o.W, c: o.C,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}

func (o MeanPool2) result() Buf        { return o.Y }
func (o MeanPool2) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o MeanPool2) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.H/2*(o.W/2)*o.C, v)
	l.meanpool2(grid, block, meanpool2Args{y: e.y, x: o.X, v: v, images: o.N, h: o.H / 2, w: o.W / 2, c: o.C,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}

func (o MeanPool2Grad) launch(l *launcher) {
	l.small(o.H * o.W * o.C)
	v := wide(o.C, o.DX, o.DY)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.meanpool2Grad(grid, block, meanpool2GradArgs{dx: o.DX, dy: o.DY, v: v, images: o.N, h: o.H, w: o.W, c: o.C})
}

func (o Nearest2) launch(l *launcher) {
	l.small(4 * o.H * o.W * o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, 4*o.H*o.W*o.C, v)
	l.nearest2(grid, block, nearest2Args{y: o.Y, x: o.X, v: v, images: o.N, h: 2 * o.H, w: 2 * o.W, c: o.C})
}

func (o Nearest2Grad) result() Buf        { return o.DX }
func (o Nearest2Grad) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o Nearest2Grad) launchWith(l *launcher, e cudaEpilogue) {
	l.small(4 * o.H * o.W * o.C)
	v := wide(o.C, o.DX, o.DY)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.nearest2Grad(grid, block, nearest2GradArgs{dx: e.y, dy: o.DY, v: v, images: o.N, h: o.H, w: o.W, c: o.C,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}
