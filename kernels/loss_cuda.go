//go:build cgo && !nocuda

// Launches of the loss, see loss.cu.

package kernels

import "math"

func (o Loss) launch(l *launcher) {
	d := o.S.N / o.N
	l.small(d)
	l.loss(gridDim{o.N, 1, 1}, blockDim{min(256, powerOf2(ceil(d, 4))), 1, 1}, lossArgs{
		perRow: o.PerRow, s: o.S, z: o.Z, sigma: o.Sigma, factor: o.Factor, mask: o.Mask,
		power: math.Float64bits(o.Weight.Power), sd: math.Float64bits(o.Weight.SD), scale: math.Float64bits(o.Weight.Scale),
		rows: o.N, d: d,
	})
	l.lossMean(gridDim{1, 1, 1}, blockDim{min(256, powerOf2(o.N)), 1, 1}, lossMeanArgs{
		mean: o.Mean, perRow: o.PerRow, rows: o.N,
	})
}

func (o LossGrad) launch(l *launcher) {
	d := o.S.N / o.N
	l.small(d)
	grid, block := byRow(o.N, d, 4)
	l.lossGrad(grid, block, lossGradArgs{
		ds: o.DS, s: o.S, z: o.Z, sigma: o.Sigma, dmean: o.DMean, factor: o.Factor, mask: o.Mask,
		power: math.Float64bits(o.Weight.Power), sd: math.Float64bits(o.Weight.SD), scale: math.Float64bits(o.Weight.Scale),
		rows: o.N, d: d,
	})
}

func (o Record) launch(l *launcher) {
	n := o.PerRow.N
	grid, block := each(n)
	l.record(grid, block, recordArgs{
		ring: o.Ring, perRow: o.PerRow, level: o.Level, state: o.State, rows: n, slots: o.Ring.N / (2 * n),
	})
}
