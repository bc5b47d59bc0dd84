//go:build cgo && !nocuda

// Launches of the resize, see resize.cu.

package kernels

func (o Resize) result() Buf        { return o.Y }
func (o Resize) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o Resize) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.H*o.W*o.C, o.HOut*o.WOut*o.C)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, o.HOut*o.WOut*o.C, v)
	l.resize(grid, block, resizeArgs{
		y: e.y, x: o.X, v: v, images: o.N, h: o.H, w: o.W, hout: o.HOut, wout: o.WOut, c: o.C,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}

func (o ResizeGrad) launch(l *launcher) {
	l.small(o.H*o.W*o.C, o.HOut*o.WOut*o.C)
	v := wide(o.C, o.DX, o.DY)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.resizeGrad(grid, block, resizeGradArgs{
		dx: o.DX, dy: o.DY, v: v, images: o.N, h: o.H, w: o.W, hout: o.HOut, wout: o.WOut, c: o.C,
	})
}
