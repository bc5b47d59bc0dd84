// Activations, element by element, and their derivatives written with the output y, so that the input need not be kept:
//
//	elu       y = x > 0 ? x : e^x - 1      dx = dy (y > 0 ? 1 : y + 1)
//	softplus  y = ln(1 + e^x)              dx = dy (1 - e^-y)
package kernels

import "math"

// Activation names an activation.
type Activation string

const (
	ELU      Activation = "elu"
	Softplus Activation = "softplus"
)

// Activate is y = f(x) over N rows. Y may be X.
type Activate struct {
	F    Activation
	N    int
	Y, X Buf
}

func (o Activate) Name() string                    { return string(o.F) }
func (o Activate) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o Activate) Rows() int                       { return o.N }
func (o Activate) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Activate) RefRows(mem []float32, lo, hi int) {
	x, y := rowsOf(mem, o.X, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi)
	for i, v := range x {
		switch {
		case o.F == Softplus:
			y[i] = float32(math.Max(float64(v), 0) + math.Log1p(math.Exp(-math.Abs(float64(v)))))
		case v > 0:
			y[i] = v
		default:
			y[i] = float32(math.Expm1(float64(v)))
		}
	}
}

// ActivateGrad is dx = dy f'(x), from the output y of f. DX may be DY or Y.
type ActivateGrad struct {
	F         Activation
	N         int
	DX, DY, Y Buf
}

func (o ActivateGrad) Name() string                    { return string(o.F) + "_grad" }
func (o ActivateGrad) Operands() (reads, writes []Buf) { return []Buf{o.DY, o.Y}, []Buf{o.DX} }
func (o ActivateGrad) Rows() int                       { return o.N }
func (o ActivateGrad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o ActivateGrad) RefRows(mem []float32, lo, hi int) {
	dx, dy, y := rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi)
	for i, v := range y {
		switch {
		case o.F == Softplus:
			dx[i] = dy[i] * float32(-math.Expm1(-float64(v)))
		case v > 0:
			dx[i] = dy[i]
		default:
			dx[i] = dy[i] * (v + 1)
		}
	}
}

// rowsOf is rows lo to hi of a window of N equal rows.
func rowsOf(mem []float32, b Buf, rows, lo, hi int) []float32 {
	d := b.N / rows
	return b.Slice(lo*d, (hi-lo)*d).Of(mem)
}
