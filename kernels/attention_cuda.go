//go:build cgo && !nocuda

// Launches of attention, see attention.cu.

package kernels

// attentionTile is the side of a product's tile.
const attentionTile = 64

// tiles returns the grid of a product of P rows and so many columns.
func (s AttentionShape) tiles(columns int) (grid gridDim, block blockDim) {
	return gridDim{ceil(columns, attentionTile), ceil(s.P, attentionTile), min(maxGrid, s.N)}, blockDim{16, 16, 1}
}

// check refuses images that are too large for the kernels' counts.
func (s AttentionShape) check(l *launcher) { l.small(s.P*s.P, s.P*s.C) }

func (o AttentionScores) launch(l *launcher) {
	o.check(l)
	grid, block := o.tiles(o.P)
	l.attentionScores(grid, block, attentionScoresArgs{s: o.S, a: o.A, b: o.B, scale: o.Scale, images: o.N, p: o.P, c: o.C})
}

func (o AttentionMix) launch(l *launcher) {
	o.check(l)
	grid, block := o.tiles(o.C)
	if o.Transposed {
		l.attentionMixTransposed(grid, block, attentionMixTransposedArgs{
			y: o.Y, s: o.S, x: o.X, scale: o.Scale, images: o.N, p: o.P, c: o.C})
		return
	}
	l.attentionMix(grid, block, attentionMixArgs{y: o.Y, s: o.S, x: o.X, scale: o.Scale, images: o.N, p: o.P, c: o.C})
}

// warpRows returns the grid of a kernel with a warp for each row.
func warpRows(rows int) (grid gridDim, block blockDim) {
	const each = 4
	return gridDim{max(1, ceil(rows, each)), 1, 1}, blockDim{32, each, 1}
}

func (o Softmax) launch(l *launcher) {
	l.small(o.D)
	rows := o.Y.N / o.D
	grid, block := warpRows(rows)
	l.softmax(grid, block, softmaxArgs{y: o.Y, x: o.X, rows: uint64(rows), d: o.D})
}

func (o SoftmaxGrad) launch(l *launcher) {
	l.small(o.D)
	rows := o.DX.N / o.D
	grid, block := warpRows(rows)
	l.softmaxGrad(grid, block, softmaxGradArgs{dx: o.DX, dy: o.DY, y: o.Y, rows: uint64(rows), d: o.D})
}
