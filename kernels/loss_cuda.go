//go:build cgo && !nocuda

package kernels

func (o Loss) launch(l *launcher) {
	d := o.S.N / o.N
	l.small(d)
	l.kernel("loss", [3]int{o.N, 1, 1}, [3]int{min(256, powerOf2(ceil(d, 4))), 1, 1}, o.PerRow, o.S, o.Z, o.Sigma, o.Power, o.N, d)
	l.kernel("loss_mean", [3]int{1, 1, 1}, [3]int{min(256, powerOf2(o.N)), 1, 1}, o.Mean, o.PerRow, o.N)
}

func (o LossGrad) launch(l *launcher) {
	d := o.S.N / o.N
	l.small(d)
	grid, block := byRow(o.N, d, 4)
	l.kernel("loss_grad", grid, block, o.DS, o.S, o.Z, o.Sigma, o.DMean, o.Power, o.N, d)
}

func (o Record) launch(l *launcher) {
	n := o.PerRow.N
	grid, block := each(n)
	l.kernel("record", grid, block, o.Ring, o.PerRow, o.Level, o.State, n, o.Ring.N/(2*n))
}
