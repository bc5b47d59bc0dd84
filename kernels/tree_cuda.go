//go:build cgo && !nocuda

// Launches of the mean by a tree, see tree.cu.

package kernels

func (o TreeMean) launch(l *launcher) {
	o.check()
	grid, block := flat(o.Dst.N)
	l.treeMean(grid, block, treeMeanArgs{dst: o.Dst, windows: o.Windows, count: o.Count, own: o.Own, n: uint64(o.Dst.N)})
}
