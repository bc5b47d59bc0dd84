//go:build cgo && !nocuda

// Launches of group norm, see group_norm.cu.

package kernels

import "math"

// norm is the geometry without groups.
func (s GroupNormShape) norm() NormShape { return NormShape{s.N, s.P, s.C} }

// blocks returns the grid of a kernel with one block for each group of each image.
func (s GroupNormShape) blocks() (grid gridDim, block blockDim) {
	return gridDim{s.Groups, min(maxGrid, s.N), 1}, blockDim{min(256, powerOf2(s.width())), 1, 1}
}

func (o GroupNorm) cudaWorkspace() int { return o.norm().partsWords() }

func (o GroupNorm) launch(l *launcher) {
	l.small(o.P * o.C)
	s, width := o.norm(), o.width()
	pixels, chunks := s.cudaChunk()
	parts := work{0, s.partsWords()}
	v := wide(o.C, o.X)
	grid, block := s.columns(v)
	l.normSums(grid, block, normSumsArgs{parts: parts, x: o.X, v: v, images: o.N, p: o.P, c: o.C, chunk: pixels})
	grid, block = o.blocks()
	l.groupNormFinish(grid, block, groupNormFinishArgs{
		mean: o.Mean, rstd: o.Rstd, parts: parts,
		x:   some{o.X, o.N * o.C}, // the first pixels
		eps: math.Float64bits(GroupNormEpsilon), images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunks: chunks,
	})
	v = wide(o.C, o.X, o.Y)
	grid, block = s.columns(v)
	l.groupNormApply(grid, block, groupNormApplyArgs{
		y: o.Y, x: o.X, gamma: o.Gamma, beta: o.Beta, mean: o.Mean, rstd: o.Rstd, swish: flag(o.Swish), v: v,
		images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunk: pixels,
	})
}

// groupNormGradWork tells where in the working memory of a group norm's gradient things begin.
type groupNormGradWork struct {
	coef   int // what group_norm_grad_apply needs of an image: (N, 2, Groups)
	params int // the gradients of the parameters of each image: (N, 3, C), as norm_grad_params adds them up
	parts  int // the sums of each chunk
	words  int // of all
}

func (o GroupNormGrad) work() (w groupNormGradWork) {
	w.params = w.coef + 2*o.N*o.Groups
	w.parts = w.params + 3*o.N*o.C
	w.words = w.parts + o.norm().partsWords()
	return w
}

func (o GroupNormGrad) cudaWorkspace() int { return o.work().words }

func (o GroupNormGrad) launch(l *launcher) {
	l.small(o.P * o.C)
	s, width := o.norm(), o.width()
	pixels, chunks := s.cudaChunk()
	w := o.work()
	coef, params := work{w.coef, w.params - w.coef}, work{w.params, w.parts - w.params}
	parts := work{w.parts, w.words - w.parts}
	v := wide(o.C, o.X, o.DY)
	grid, block := s.columns(v)
	l.groupNormGradSums(grid, block, groupNormGradSumsArgs{
		parts: parts, x: o.X, dy: o.DY, gamma: o.Gamma, beta: o.Beta, mean: o.Mean, rstd: o.Rstd, swish: flag(o.Swish), v: v,
		images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunk: pixels,
	})
	grid, block = o.blocks()
	l.groupNormGradFinish(grid, block, groupNormGradFinishArgs{
		coef: coef, params: params, parts: parts, gamma: o.Gamma, rstd: o.Rstd,
		images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunks: chunks,
	})
	if o.DX.N > 0 {
		v = wide(o.C, o.X, o.DY, o.DX)
		grid, block = s.columns(v)
		l.groupNormGradApply(grid, block, groupNormGradApplyArgs{
			dx: o.DX, x: o.X, dy: o.DY, gamma: o.Gamma, beta: o.Beta, mean: o.Mean, rstd: o.Rstd, coef: coef,
			swish: flag(o.Swish), v: v, images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunk: pixels,
		})
	}
	if o.DGamma.N+o.DBeta.N > 0 {
		// Of the three parameters that norm_grad_params knows, the second is beta here, and there is no third.
		l.normGradParams(gridDim{ceil(o.C, 32), 2, 1}, blockDim{32, 8, 1}, normGradParamsArgs{
			dgamma: o.DGamma, dalpha: o.DBeta, dbeta: Buf{}, params: params, level: Buf{}, stride: 0,
			images: o.N, c: o.C, levels: 1,
		})
	}
}
