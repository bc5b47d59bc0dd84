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

// segmentPixels is SEGMENT in moments.cuh.
const segmentPixels = 64

// segments returns the number of segments of an image; 0 where it is not made of whole ones, or where there is no
// convolution on tensor cores that has its channels.
func (s NormShape) segments() int {
	if s.C%tensorChannels != 0 || s.P%segmentPixels != 0 {
		return 0
	}
	return s.P / segmentPixels
}

// momentWords returns the room for the moments of all segments of all images.
func (s NormShape) momentWords() int { return s.N * s.segments() * 2 * s.C }

// sumsWords returns the room for the sums of a forward operation, and for the first pixels that they are about, or for
// moments.
func (s NormShape) sumsWords() int { return max(s.partsWords()+s.N*s.C, s.momentWords()) }

// launchSums launches the kernel that makes the sums of a forward operation, unless they are there, and returns where
// they are; segments is 0 where they are those of chunks.
func (s NormShape) launchSums(l *launcher, x Buf, sums normSums) (parts work, segments int) {
	if sums == chunkSums {
		pixels, _ := s.cudaChunk()
		parts, v := work{0, s.partsWords() + s.N*s.C}, wide(s.C, x)
		grid, block := s.columns(v)
		l.normSums(grid, block, normSumsArgs{parts: parts, x: x, v: v, images: s.N, p: s.P, c: s.C, chunk: pixels})
		return parts, 0
	}
	parts, segments = work{0, s.momentWords()}, s.segments()
	if sums == segmentMoments {
		lanes := min(32, s.C/4)
		l.normMoments(gridDim{segments, min(maxGrid, s.N), ceil(s.C, 4*lanes)}, blockDim{lanes, 4, 1},
			normMomentsArgs{moments: parts, x: x, images: s.N, p: s.P, c: s.C})
	}
	return parts, segments
}

func (o Norm) cudaWorkspace() int { return o.sumsWords() }

func (o Norm) normed() (NormShape, Buf) { return o.NormShape, o.X }

func (o Norm) result() Buf        { return o.Y }
func (o Norm) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o Norm) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.P * o.C)
	pixels, _ := o.cudaChunk()
	parts, segments := o.launchSums(l, o.X, e.sums)
	v := wide(o.C, o.X, o.Y)
	grid, block := o.columns(v)
	p := o.params()
	l.normApply(grid, block, normApplyArgs{
		y: e.y, x: o.X, gamma: p.gamma, alpha: p.alpha, beta: p.beta, level: p.level, stride: p.stride,
		mean: o.Mean, rstd: o.Rstd, muhat: o.MuHat, q: o.Q, parts: parts, eps: math.Float64bits(o.epsilon()),
		segments: segments, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}

// paramsWords returns the room for what each image adds to the gradients of its parameters, (N, 3, C): norm_grad_params
// adds them up. The sums of chunks lie behind it.
func (s NormShape) paramsWords() int { return 3 * s.N * s.C }

func (o NormGrad) cudaWorkspace() int { return o.paramsWords() + o.partsWords() }

func (o NormGrad) result() Buf        { return o.DX }
func (o NormGrad) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o NormGrad) launchWith(l *launcher, e cudaEpilogue) {
	l.small(o.P * o.C)
	pixels, _ := o.cudaChunk()
	params, parts := work{0, o.paramsWords()}, work{o.paramsWords(), o.partsWords()}
	v := wide(o.C, o.X, o.DY, o.Mean)
	grid, block := o.columns(v)
	l.normGradSums(grid, block, normGradSumsArgs{
		parts: parts, x: o.X, dy: o.DY, mean: o.Mean, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels,
	})
	p := o.params()
	v = wide(o.C, o.X, o.DY, o.DX)
	grid, block = o.columns(v)
	l.normGradApply(grid, block, normGradApplyArgs{ // without dx for the parameters alone
		dx: e.y, x: o.X, dy: o.DY, mean: o.Mean, params: params, parts: parts, gamma: p.gamma, alpha: p.alpha, level: p.level,
		stride: p.stride, rstd: o.Rstd, muhat: o.MuHat, q: o.Q, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
	d := newNormParams(o.C, o.DGamma, o.DAlpha, o.DBeta, o.DEmbed, o.Level, o.Levels)
	if d.gamma.N+d.alpha.N+d.beta.N > 0 {
		levels := max(1, o.Levels)
		l.normGradParams(gridDim{ceil(o.C, 32), 3, min(maxGrid, levels)}, blockDim{32, 8, 1}, normGradParamsArgs{
			dgamma: d.gamma, dalpha: d.alpha, dbeta: d.beta, params: params, level: d.level, stride: d.stride,
			images: o.N, c: o.C, levels: levels,
		})
	}
}
