//go:build cgo && !nocuda

// Launches of what depends on a row's noise level, see sigma.cu.

package kernels

import "math"

func (o DivSigma) launch(l *launcher) {
	d := o.X.N / o.N
	l.small(d)
	grid, block := byRow(o.N, d, 1)
	l.divSigma(grid, block, divSigmaArgs{y: o.Y, x: o.X, sigma: o.Sigma, rows: o.N, d: d})
}

func (o MLPInput) launch(l *launcher) {
	d := o.X.N / o.N
	l.small(d)
	grid, block := byRow(o.N, 4*(d+1), 1) // an element a thread
	l.mlpInput(grid, block, mlpInputArgs{y: o.Y, x: o.X, sigma: o.Sigma, sd: math.Float64bits(o.SD), rows: o.N, d: d})
}

func (o MLPInputGrad) launch(l *launcher) {
	d := o.DX.N / o.N
	l.small(d)
	grid, block := byRow(o.N, 4*d, 1) // an element a thread
	l.mlpInputGrad(grid, block, mlpInputGradArgs{dx: o.DX, dy: o.DY, sigma: o.Sigma, sd: math.Float64bits(o.SD), rows: o.N,
		d: d})
}

func (o RowMix) launch(l *launcher) {
	d := o.Y.N / o.N
	l.small(d)
	grid, block := byRow(o.N, d, 1)
	l.rowMix(grid, block, rowMixArgs{y: o.Y, x: o.X, a: o.A, f: o.F, b: o.B, rows: o.N, d: d})
}
