// Channels of two images side by side, and apart again: each is the other's gradient.
//
//	concat  y[n,p] = [a[n,p] | b[n,p]]
//	split   a[n,p], b[n,p] = the channels of y[n,p]

package kernels

// ConcatShape is N rows of P pixels, of CA and of CB channels.
type ConcatShape struct{ N, P, CA, CB int }

// Concat writes Y. It must not overlap A and B.
type Concat struct {
	ConcatShape
	Y    Buf // (N, P, CA+CB)
	A, B Buf // (N, P, CA), (N, P, CB)
}

func (o Concat) Name() string                    { return "concat" }
func (o Concat) Operands() (reads, writes []Buf) { return []Buf{o.A, o.B}, []Buf{o.Y} }
func (o Concat) Rows() int                       { return o.N }
func (o Concat) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Concat) RefRows(mem []float32, lo, hi int) {
	o.pixels(mem, o.Y, o.A, lo, hi, 0, o.CA, func(y, a []float32) { copy(y, a) })
	o.pixels(mem, o.Y, o.B, lo, hi, o.CA, o.CB, func(y, b []float32) { copy(y, b) })
}

// Split writes A and B, of which one may be absent. Neither may overlap Y.
type Split struct {
	ConcatShape
	A, B Buf // (N, P, CA), (N, P, CB)
	Y    Buf // (N, P, CA+CB)
}

func (o Split) Name() string                    { return "split" }
func (o Split) Operands() (reads, writes []Buf) { return []Buf{o.Y}, present(o.A, o.B) }
func (o Split) Rows() int                       { return o.N }
func (o Split) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Split) RefRows(mem []float32, lo, hi int) {
	o.pixels(mem, o.Y, o.A, lo, hi, 0, o.CA, func(y, a []float32) { copy(a, y) })
	o.pixels(mem, o.Y, o.B, lo, hi, o.CA, o.CB, func(y, b []float32) { copy(b, y) })
}

// pixels calls f for every pixel of rows lo to hi: channels from on of y, and the c channels of one side, unless it is absent.
func (s ConcatShape) pixels(mem []float32, y, side Buf, lo, hi, from, c int, f func(y, side []float32)) {
	if side.N == 0 {
		return
	}
	all, some := rowsOf(mem, y, s.N, lo, hi), rowsOf(mem, side, s.N, lo, hi)
	for p := range (hi - lo) * s.P {
		f(all[p*(s.CA+s.CB)+from:][:c], some[p*c:][:c])
	}
}
