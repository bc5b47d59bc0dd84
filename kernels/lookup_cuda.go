//go:build cgo && !nocuda

// Launches of rows of a table, see lookup.cu.

package kernels

func (o Lookup) launch(l *launcher) {
	c := o.Y.N / o.N
	l.small(o.Y.N)
	grid, block := each(o.Y.N)
	l.lookup(grid, block, lookupArgs{y: o.Y, table: o.Table, index: o.Index, rows: o.N, c: c})
}

func (o LookupGrad) launch(l *launcher) {
	c := o.DY.N / o.N
	l.small(o.DTable.N)
	grid, block := each(o.DTable.N)
	l.lookupGrad(grid, block, lookupGradArgs{dtable: o.DTable, dy: o.DY, index: o.Index, tableRows: o.Rows(), rows: o.N, c: c})
}
