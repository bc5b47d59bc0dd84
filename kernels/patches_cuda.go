//go:build cgo && !nocuda

// Launches of patches, see patches.cu.

package kernels

func (o Patches) launch(l *launcher) {
	words := o.Words() / max(1, o.N)
	l.small(o.H*o.W*o.C, words)
	v := wide(o.C, o.X, o.Y)
	grid, block := byPixel(o.N, words, v)
	l.patches(grid, block, patchesArgs{y: o.Y, x: o.X, v: v, images: o.N, h: o.H, w: o.W, c: o.C})
}

func (o PatchesGrad) result() Buf        { return o.DX }
func (o PatchesGrad) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o PatchesGrad) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.H*o.W*o.C, o.Words()/max(1, o.N))
	v := wide(o.C, o.DX, o.DY)
	grid, block := byPixel(o.N, o.H*o.W*o.C, v)
	l.patchesGrad(grid, block, patchesGradArgs{dx: e.y, dy: o.DY, v: v, images: o.N, h: o.H, w: o.W, c: o.C,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}
