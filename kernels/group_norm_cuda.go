//go:build cgo && !nocuda

// Launches of group norm, see group_norm.cu.

package kernels

import "math"

// norm is the geometry without groups.
func (s GroupNormShape) norm() NormShape { return NormShape{s.N, s.P, s.C} }

func (o GroupNorm) cudaWorkspace() int { return o.norm().sumsWords() }

func (o GroupNorm) normed() (NormShape, Buf) { return o.norm(), o.X }

func (o GroupNorm) result() Buf                            { return o.Y }
func (o GroupNorm) launch(l *launcher)                     { o.launchWith(l, cudaEpilogue{y: o.Y}) }
func (o GroupNorm) launchWith(l *launcher, e cudaEpilogue) { o.launchDropped(l, Dropout{}, e) }

func (o GroupNorm) absorb(next operation) (both operation, s step, ok bool) {
	d, is := next.(Dropout)
	ok = is && d.X == o.Y && d.N == o.N && d.Y.Element == o.Y.Element
	return droppedNorm{o, d}, step{to: d.Y, op: d}, ok
}

// droppedNorm is a group norm with the dropout of its result.
type droppedNorm struct {
	GroupNorm
	drop Dropout
}

func (o droppedNorm) Name() string { return o.GroupNorm.Name() + ", " + o.drop.Name() }
func (o droppedNorm) Operands() (reads, writes []Buf) {
	reads, writes = o.GroupNorm.Operands()
	return append(reads, o.drop.State), append(without(writes, []Buf{o.Y}), o.drop.Y)
}
func (o droppedNorm) InPlace() [][2]Buf                      { return [][2]Buf{{o.drop.Y, o.X}} }
func (o droppedNorm) result() Buf                            { return o.drop.Y }
func (o droppedNorm) launch(l *launcher)                     { o.launchWith(l, cudaEpilogue{y: o.drop.Y}) }
func (o droppedNorm) launchWith(l *launcher, e cudaEpilogue) { o.launchDropped(l, o.drop, e) }

// absorb is not the norm's: one operation is all that is absorbed.
func (o droppedNorm) absorb(operation) (operation, step, bool) { return nil, step{}, false }

// launchDropped launches the norm, with the dropout of its result if there is one.
func (o GroupNorm) launchDropped(l *launcher, d Dropout, e cudaEpilogue) {
	l.small(o.P * o.C)
	s, width := o.norm(), o.width()
	pixels, _ := s.cudaChunk()
	parts, segments := s.launchSums(l, o.X, e.sums)
	v := wide(o.C, o.X, o.Y)
	grid, block := s.columns(v)
	l.groupNormApply(grid, block, groupNormApplyArgs{
		y: e.y, x: o.X, gamma: o.Gamma, beta: o.Beta, mean: o.Mean, rstd: o.Rstd, parts: parts,
		eps: math.Float64bits(GroupNormEpsilon), segments: segments, swish: flag(o.Swish), v: v,
		images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunk: pixels,
		state: d.State, drop: d.P, scale: d.scale(), seed: d.Seed, purpose: uint32(d.purpose()),
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
}

func (o GroupNormGrad) cudaWorkspace() int { return o.norm().paramsWords() + o.norm().partsWords() }

func (o GroupNormGrad) result() Buf                            { return o.DX }
func (o GroupNormGrad) launch(l *launcher)                     { o.launchWith(l, cudaEpilogue{y: o.DX}) }
func (o GroupNormGrad) launchWith(l *launcher, e cudaEpilogue) { o.launchDropped(l, Dropout{}, e) }

func (o GroupNormGrad) follow(before operation) (both operation, ok bool) {
	d, is := before.(Dropout)
	if !is || d.Y != o.DY || d.N != o.N || d.X.Element != o.DY.Element || o.X.overlaps(d.Y) {
		return nil, false
	}
	_, writes := o.Operands()
	for _, w := range writes {
		if w.overlaps(d.X) && !(w == o.DX && w == d.X) {
			return nil, false
		}
	}
	return droppedNormGrad{o, d}, true
}

// droppedNormGrad is the gradient of a dropout, and that of the group norm before it.
type droppedNormGrad struct {
	GroupNormGrad
	drop Dropout
}

func (o droppedNormGrad) Name() string { return o.drop.Name() + ", " + o.GroupNormGrad.Name() }
func (o droppedNormGrad) Operands() (reads, writes []Buf) {
	reads, writes = o.GroupNormGrad.Operands()
	return append(without(reads, []Buf{o.DY}), o.drop.X, o.drop.State), writes
}
func (o droppedNormGrad) InPlace() [][2]Buf {
	if o.DX.N == 0 {
		return nil
	}
	return [][2]Buf{{o.DX, o.drop.X}}
}
func (o droppedNormGrad) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }
func (o droppedNormGrad) launchWith(l *launcher, e cudaEpilogue) {
	grad := o.GroupNormGrad
	grad.DY = o.drop.X
	grad.launchDropped(l, o.drop, e)
}

// follow is not the norm's: one operation is all that is absorbed.
func (o droppedNormGrad) follow(operation) (operation, bool) { return nil, false }

// launchDropped launches the gradient. What it reads of DY is dropped first, if there is a dropout.
func (o GroupNormGrad) launchDropped(l *launcher, d Dropout, e cudaEpilogue) {
	l.small(o.P * o.C)
	s, width := o.norm(), o.width()
	pixels, _ := s.cudaChunk()
	params, parts := work{0, s.paramsWords()}, work{s.paramsWords(), s.partsWords()}
	v := wide(o.C, o.X, o.DY)
	grid, block := s.columns(v)
	l.groupNormGradSums(grid, block, groupNormGradSumsArgs{
		parts: parts, x: o.X, dy: o.DY, gamma: o.Gamma, beta: o.Beta, mean: o.Mean, rstd: o.Rstd, swish: flag(o.Swish), v: v,
		images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunk: pixels,
		state: d.State, drop: d.P, scale: d.scale(), seed: d.Seed, purpose: uint32(d.purpose()),
	})
	v = wide(o.C, o.X, o.DY, o.DX)
	grid, block = s.columns(v)
	l.groupNormGradApply(grid, block, groupNormGradApplyArgs{ // without dx for the parameters alone
		dx: e.y, x: o.X, dy: o.DY, gamma: o.Gamma, beta: o.Beta, mean: o.Mean, rstd: o.Rstd, params: params, parts: parts,
		swish: flag(o.Swish), v: v, images: o.N, p: o.P, c: o.C, groups: o.Groups, width: width, chunk: pixels,
		state: d.State, drop: d.P, scale: d.scale(), seed: d.Seed, purpose: uint32(d.purpose()),
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	})
	if o.DGamma.N+o.DBeta.N > 0 {
		// Of the three parameters that norm_grad_params knows, the second is beta here, and there is no third.
		l.normGradParams(gridDim{ceil(o.C, 32), 2, 1}, blockDim{32, 8, 1}, normGradParamsArgs{
			dgamma: o.DGamma, dalpha: o.DBeta, dbeta: Buf{}, params: params, level: Buf{}, stride: 0,
			images: o.N, c: o.C, levels: 1,
		})
	}
}
