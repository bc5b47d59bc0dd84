//go:build cgo && !nocuda

// Launches of instance norm++, see norm.cu.

package kernels

import "math"

// cudaChunk returns the number of pixels that one block sums, and how many such chunks an image has.
func (s NormShape) cudaChunk() (pixels, chunks int) {
	pixels = min(s.P, 4096/min(32, powerOf2(s.C)))
	return pixels, ceil(s.P, pixels)
}

// partsWords returns the room for the two sums of all chunks of all images.
func (s NormShape) partsWords() int {
	_, chunks := s.cudaChunk()
	return s.N * chunks * 2 * s.C
}

// columns returns the grid of a kernel over the chunks of pixels of every image, where a thread takes `wide` channels.
func (s NormShape) columns(wide int) (grid gridDim, block blockDim) {
	const threads = 256
	pixels, chunks := s.cudaChunk()
	lanes := min(32, powerOf2(ceil(s.C, wide)))
	grid = gridDim{chunks, min(maxGrid, s.N), ceil(s.C, lanes*wide)}
	return grid, blockDim{lanes, min(threads/lanes, powerOf2(pixels)), 1}
}

// images returns the grid of a kernel with one block for each image.
func (s NormShape) images() (grid gridDim, block blockDim) {
	return gridDim{s.N, 1, 1}, blockDim{min(256, powerOf2(s.C)), 1, 1}
}

func (o Norm) cudaWorkspace() int { return o.partsWords() }

func (o Norm) result() Buf        { return o.Y }
func (o Norm) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o Norm) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.P * o.C)
	pixels, chunks := o.cudaChunk()
	parts := work{0, o.partsWords()}
	v := wide(o.C, o.X)
	grid, block := o.columns(v)
	l.normSums(grid, block, normSumsArgs{parts: parts, x: o.X, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels})
	grid, block = o.images()
	l.normFinish(grid, block, normFinishArgs{
		mean: o.Mean, rstd: o.Rstd, muhat: o.MuHat, q: o.Q, parts: parts,
		x:   some{o.X, o.N * o.C}, // the first pixels
		eps: math.Float64bits(o.epsilon()), images: o.N, p: o.P, c: o.C, chunks: chunks,
	})
	v = wide(o.C, o.X, o.Y)
	grid, block = o.columns(v)
	p := o.params()
	l.normApply(grid, block, normApplyArgs{
		y: e.y, x: o.X, gamma: p.gamma, alpha: p.alpha, beta: p.beta, level: p.level, stride: p.stride,
		mean: o.Mean, rstd: o.Rstd, muhat: o.MuHat, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}

// normGradWork tells where in the working memory of a norm's gradient things begin.
type normGradWork struct {
	coef   int // what norm_grad_apply needs of an image: (N, 4, C)
	params int // the gradients of the parameters of each image: (N, 3, C)
	parts  int // the sums of each chunk
	words  int // of all
}

func (o NormGrad) work() (w normGradWork) {
	w.params = w.coef + 4*o.N*o.C
	w.parts = w.params + 3*o.N*o.C
	w.words = w.parts + o.partsWords()
	return w
}

func (o NormGrad) cudaWorkspace() int { return o.work().words }

func (o NormGrad) result() Buf        { return o.DX }
func (o NormGrad) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o NormGrad) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.P * o.C)
	pixels, chunks := o.cudaChunk()
	w := o.work()
	coef, params := work{w.coef, w.params - w.coef}, work{w.params, w.parts - w.params}
	parts := work{w.parts, w.words - w.parts}
	v := wide(o.C, o.X, o.DY, o.Mean)
	grid, block := o.columns(v)
	l.normGradSums(grid, block, normGradSumsArgs{
		parts: parts, x: o.X, dy: o.DY, mean: o.Mean, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels,
	})
	grid, block = o.images()
	p := o.params()
	l.normGradFinish(grid, block, normGradFinishArgs{
		coef: coef, params: params, parts: parts, gamma: p.gamma, alpha: p.alpha, level: p.level, stride: p.stride,
		rstd: o.Rstd, muhat: o.MuHat, q: o.Q, images: o.N, p: o.P, c: o.C, chunks: chunks,
	})
	if o.DX.N > 0 {
		v = wide(o.C, o.X, o.DY, o.DX)
		grid, block = o.columns(v)
		l.normGradApply(grid, block, normGradApplyArgs{
			dx: e.y, x: o.X, dy: o.DY, mean: o.Mean, coef: coef, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels,
			with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
			inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
		})
	}
	d := newNormParams(o.C, o.DGamma, o.DAlpha, o.DBeta, o.DEmbed, o.Level, o.Levels)
	if d.gamma.N+d.alpha.N+d.beta.N > 0 {
		levels := max(1, o.Levels)
		l.normGradParams(gridDim{ceil(o.C, 32), 3, min(maxGrid, levels)}, blockDim{32, 8, 1}, normGradParamsArgs{
			dgamma: d.gamma, dalpha: d.alpha, dbeta: d.beta, params: params, level: d.level, stride: d.stride,
			images: o.N, c: o.C, levels: levels,
		})
	}
}
