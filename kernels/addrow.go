// A row vector for each image, added to all its pixels:
//
//	add_row       y[n,p,c] = x[n,p,c] + e[n,c]
//	add_row_grad  de[n,c]  = sum over p of dy[n,p,c]        (that of x is dy itself)

package kernels

// AddRow writes Y. It may be X.
type AddRow struct {
	NormShape
	Y, X Buf // (N, P, C)
	E    Buf // (N, C)
}

func (o AddRow) Name() string                    { return "add_row" }
func (o AddRow) Operands() (reads, writes []Buf) { return []Buf{o.X, o.E}, []Buf{o.Y} }
func (o AddRow) InPlace() [][2]Buf               { return [][2]Buf{{o.Y, o.X}} }
func (o AddRow) Rows() int                       { return o.N }
func (o AddRow) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o AddRow) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		e, y := row(mem, o.E, o.N, n), row(mem, o.Y, o.N, n)
		for i, v := range row(mem, o.X, o.N, n) {
			y[i] = v + e[i%o.C]
		}
	}
}

// AddRowGrad writes DE. The reference sums in float64.
type AddRowGrad struct {
	NormShape
	DE Buf // (N, C)
	DY Buf // (N, P, C)
}

func (o AddRowGrad) Name() string                    { return "add_row_grad" }
func (o AddRowGrad) Operands() (reads, writes []Buf) { return []Buf{o.DY}, []Buf{o.DE} }
func (o AddRowGrad) Rows() int                       { return o.N }
func (o AddRowGrad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o AddRowGrad) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		sums := make([]float64, o.C)
		for i, v := range row(mem, o.DY, o.N, n) {
			sums[i%o.C] += float64(v)
		}
		round(row(mem, o.DE, o.N, n), sums)
	}
}
