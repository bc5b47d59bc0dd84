//go:build cgo && !nocuda

// Launches of sums and maps, see sum.cu.

package kernels

func (o Add) launch(l *launcher) {
	grid, block := flat(o.Dst.N)
	l.add(grid, block, addArgs{dst: o.Dst, a: o.A, b: o.B, n: uint64(o.Dst.N)})
}

func (o ScaledSum) launch(l *launcher) {
	grid, block := flat(o.Dst.N)
	l.scaledSum(grid, block, scaledSumArgs{dst: o.Dst, a: o.A, b: o.B, inner: o.Inner, outer: o.Outer, n: uint64(o.Dst.N)})
}

func (o Affine) launch(l *launcher) {
	grid, block := flat(o.Y.N)
	l.affine(grid, block, affineArgs{y: o.Y, x: o.X, scale: o.Scale, shift: o.Shift, n: uint64(o.Y.N)})
}

func (o Narrow) launch(l *launcher) {
	grid, block := flat(o.Dst.N)
	l.narrow(grid, block, narrowArgs{dst: o.Dst, src: o.Src, n: uint64(o.Dst.N)})
}

func (o Fill) launch(l *launcher) {
	grid, block := flat(o.Dst.N)
	l.fill(grid, block, fillArgs{dst: o.Dst, value: o.Value, n: uint64(o.Dst.N)})
}
