// Sums and maps, element by element.
//
//	add         dst = a + b
//	scaled_sum  dst = Outer (a + Inner b), without b: dst = Outer a
//	affine      y = Scale x + Shift
//	fill        dst = Value
//	narrow      dst = src

package kernels

// Add is Dst = A + B over N rows. Dst may be A or B.
type Add struct {
	N         int
	Dst, A, B Buf
}

func (o Add) Name() string                    { return "add" }
func (o Add) Operands() (reads, writes []Buf) { return []Buf{o.A, o.B}, []Buf{o.Dst} }
func (o Add) InPlace() [][2]Buf               { return [][2]Buf{{o.Dst, o.A}, {o.Dst, o.B}} }
func (o Add) Rows() int                       { return o.N }
func (o Add) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Add) RefRows(mem []float32, lo, hi int) {
	dst, a, b := rowsOf(mem, o.Dst, o.N, lo, hi), rowsOf(mem, o.A, o.N, lo, hi), rowsOf(mem, o.B, o.N, lo, hi)
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
}

// ScaledSum is Dst = Outer (A + Inner B) over N rows, or Outer A where B is absent. With Inner 1 it joins two branches,
// (a + b)/sqrt 2; without B it is the gradient of that, and with Outer 1 it adds this gradient to another. Dst may be A or B.
type ScaledSum struct {
	N            int
	Dst, A       Buf
	B            Buf // may be absent
	Inner, Outer float32
}

func (o ScaledSum) Name() string                    { return "scaled_sum" }
func (o ScaledSum) Operands() (reads, writes []Buf) { return present(o.A, o.B), []Buf{o.Dst} }
func (o ScaledSum) InPlace() [][2]Buf {
	if o.B.N == 0 {
		return [][2]Buf{{o.Dst, o.A}}
	}
	return [][2]Buf{{o.Dst, o.A}, {o.Dst, o.B}}
}
func (o ScaledSum) Rows() int         { return o.N }
func (o ScaledSum) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o ScaledSum) RefRows(mem []float32, lo, hi int) {
	dst, a := rowsOf(mem, o.Dst, o.N, lo, hi), rowsOf(mem, o.A, o.N, lo, hi)
	if o.B.N == 0 {
		for i, v := range a {
			dst[i] = float32(o.Outer*v) + 0 // as an affine map without a shift
		}
		return
	}
	b := rowsOf(mem, o.B, o.N, lo, hi)
	for i := range dst {
		dst[i] = o.Outer * (a[i] + float32(o.Inner*b[i]))
	}
}

// Affine is Y = Scale X + Shift over N rows; with Shift = 0 it is its own gradient. Y may be X.
type Affine struct {
	N            int
	Y, X         Buf
	Scale, Shift float32
}

func (o Affine) Name() string                    { return "affine" }
func (o Affine) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o Affine) InPlace() [][2]Buf               { return [][2]Buf{{o.Y, o.X}} }
func (o Affine) Rows() int                       { return o.N }
func (o Affine) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Affine) RefRows(mem []float32, lo, hi int) {
	y, x := rowsOf(mem, o.Y, o.N, lo, hi), rowsOf(mem, o.X, o.N, lo, hi)
	for i, v := range x {
		y[i] = float32(o.Scale*v) + o.Shift
	}
}

// Fill sets every word of Dst to Value.
type Fill struct {
	Dst   Buf
	Value float32
}

func (o Fill) Name() string                    { return "fill" }
func (o Fill) Operands() (reads, writes []Buf) { return nil, []Buf{o.Dst} }
func (o Fill) Ref(mem []float32) {
	dst := o.Dst.Of(mem)
	for i := range dst {
		dst[i] = o.Value
	}
}

// Narrow is Dst = Src, rounded to what Dst holds.
type Narrow struct{ Dst, Src Buf }

func (o Narrow) Name() string                    { return "narrow" }
func (o Narrow) Operands() (reads, writes []Buf) { return []Buf{o.Src}, []Buf{o.Dst} }
func (o Narrow) Ref(mem []float32)               { copy(o.Dst.Of(mem), o.Src.Of(mem)) }
