// Rows of a table, one for each row of the batch by its index, as embeddings of classes are:
//
//	lookup       y[n,c] = t[i_n,c]
//	lookup_grad  dt[r,c] = sum over n with i_n = r of dy[n,c]
//
// The sum is in float64, in the order of n: its bits depend on no number of workers or threads.

package kernels

// Lookup writes Y.
type Lookup struct {
	N     int
	Y     Buf // (N, C)
	Table Buf // (R, C)
	Index Buf // (N) uint32, below R
}

func (o Lookup) Name() string                    { return "lookup" }
func (o Lookup) Operands() (reads, writes []Buf) { return []Buf{o.Table, o.Index}, []Buf{o.Y} }
func (o Lookup) Rows() int                       { return o.N }
func (o Lookup) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Lookup) RefRows(mem []float32, lo, hi int) {
	rows := o.Table.N / (o.Y.N / o.N)
	for n := lo; n < hi; n++ {
		copy(row(mem, o.Y, o.N, n), row(mem, o.Table, rows, int(word(mem, o.Index, n))))
	}
}

// LookupGrad writes DTable.
type LookupGrad struct {
	N      int
	DTable Buf // (R, C)
	DY     Buf // (N, C)
	Index  Buf // as in Lookup
}

func (o LookupGrad) Name() string                    { return "lookup_grad" }
func (o LookupGrad) Operands() (reads, writes []Buf) { return []Buf{o.DY, o.Index}, []Buf{o.DTable} }
func (o LookupGrad) Rows() int                       { return o.DTable.N / (o.DY.N / o.N) }
func (o LookupGrad) Ref(mem []float32)               { o.RefRows(mem, 0, o.Rows()) }
func (o LookupGrad) RefRows(mem []float32, lo, hi int) {
	sums := make([]float64, o.DY.N/o.N)
	for r := lo; r < hi; r++ {
		clear(sums)
		for n := range o.N {
			if int(word(mem, o.Index, n)) != r {
				continue
			}
			for c, v := range row(mem, o.DY, o.N, n) {
				sums[c] += float64(v)
			}
		}
		round(row(mem, o.DTable, o.Rows(), r), sums)
	}
}
