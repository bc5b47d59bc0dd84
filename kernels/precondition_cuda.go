//go:build cgo && !nocuda

// Launches of what a network is given of noisy rows, see perturb.cu and sigma.cu.

package kernels

import "math"

func (o Precondition) launch(l *launcher) {
	grid, block := each(o.N)
	l.precondition(grid, block, preconditionArgs{y: o.Y, sigma: o.Sigma, level: o.Level, table: o.Table, steps: o.Table.N,
		betas: o.Betas.kind(), betaMin: math.Float64bits(o.Betas.Min), betaMax: math.Float64bits(o.Betas.Max),
		sd: math.Float64bits(o.SD), root: flag(o.Root), weighted: flag(o.Weighted), rows: o.N})
}

func (o RowMix) launch(l *launcher) {
	d := o.Y.N / o.N
	l.small(d)
	grid, block := byRow(o.N, d, 1)
	l.rowMix(grid, block, rowMixArgs{y: o.Y, x: o.X, a: o.A, f: o.F, b: o.B, rows: o.N, d: d})
}
