//go:build cgo && !nocuda

// Launches of a row vector added to all pixels, see addrow.cu.

package kernels

func (o AddRow) launch(l *launcher) {
	l.small(o.P * o.C)
	v := wide(o.C, o.X, o.Y, o.E)
	grid, block := byPixel(o.N, o.P*o.C, v)
	l.addRow(grid, block, addRowArgs{y: o.Y, x: o.X, e: o.E, v: v, images: o.N, p: o.P, c: o.C})
}

func (o AddRowGrad) launch(l *launcher) {
	l.small(o.P * o.C)
	grid := gridDim{ceil(o.C, 32), min(maxGrid, o.N), 1}
	l.addRowGrad(grid, blockDim{32, 8, 1}, addRowGradArgs{de: o.DE, dy: o.DY, images: o.N, p: o.P, c: o.C})
}
