//go:build cgo && !nocuda

// The launch of the extremes of distances, see pairs.cu.

package kernels

func (o PairExtremes) launch(l *launcher) {
	l.small(o.K, o.HalfB.N, o.FirstA+o.HalfA.N)
	a, b := o.Tiles()
	grid, block := gridDim{b, a, 1}, blockDim{256, 1, 1}
	before := o.FirstA - o.FirstB
	if o.K%4 == 0 && aligned(o.A, o.B) {
		l.pairExtremes(grid, block, pairExtremesArgs{out: o.Out, a: o.A, b: o.B, halfA: o.HalfA, halfB: o.HalfB, m: o.HalfA.N,
			n: o.HalfB.N, k: o.K, before: before})
	} else {
		l.pairExtremesAny(grid, block, pairExtremesAnyArgs{out: o.Out, a: o.A, b: o.B, halfA: o.HalfA, halfB: o.HalfB, m: o.HalfA.N,
			n: o.HalfB.N, k: o.K, before: before})
	}
}
