//go:build cgo && !nocuda

// Launches of dropout, see dropout.cu.

package kernels

func (o Dropout) launch(l *launcher) {
	d := o.X.N / max(1, o.N)
	l.small(d)
	grid, block := byRow(o.N, d, 1)
	l.dropout(grid, block, dropoutArgs{y: o.Y, x: o.X, state: o.State, p: o.P, scale: o.scale(), seed: o.Seed,
		purpose: uint32(o.purpose()), rows: o.N, d: d})
}
