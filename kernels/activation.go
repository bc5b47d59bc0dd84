// Activations, element by element, and their derivatives. A derivative is written with the output y where that is
// enough, so that the input need not be kept:
//
//	elu       y = x > 0 ? x : e^x - 1       dx = dy (y > 0 ? 1 : y + 1)
//	relu      y = max(x, 0)                 dx = y > 0 ? dy : 0
//	lrelu     y = x > 0 ? x : 0.2 x         dx = dy (y > 0 ? 1 : 0.2)
//	swish     y = x s, s = 1/(1 + e^-x)     dx = dy s (1 + x (1 - s))
//	softplus  y = ln(1 + e^x)               dx = dy (1 - e^-y)

package kernels

import "math"

// Activation is the name of an activation.
type Activation string

const (
	ELU      Activation = "elu"
	ReLU     Activation = "relu"
	LReLU    Activation = "lrelu"
	Swish    Activation = "swish"
	Softplus Activation = "softplus"
)

// Activations lists every activation.
var Activations = []Activation{ELU, ReLU, LReLU, Swish, Softplus}

// Leak is the slope of lrelu below 0.
const Leak = 0.2

// FromInput says whether the derivative needs the input, because the output does not tell it.
func (a Activation) FromInput() bool { return a == Swish }

// Activate is y = f(x) over N rows. Y may be X.
type Activate struct {
	F    Activation
	N    int
	Y, X Buf
}

func (o Activate) Name() string                    { return string(o.F) }
func (o Activate) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o Activate) InPlace() [][2]Buf               { return [][2]Buf{{o.Y, o.X}} }
func (o Activate) Rows() int                       { return o.N }
func (o Activate) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Activate) RefRows(mem []float32, lo, hi int) {
	x, y := rowsOf(mem, o.X, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi)
	switch o.F {
	case ELU:
		for i, v := range x {
			if y[i] = v; !(v > 0) {
				y[i] = float32(math.Expm1(float64(v)))
			}
		}
	case ReLU:
		for i, v := range x {
			y[i] = max(v, 0)
		}
	case LReLU:
		for i, v := range x {
			y[i] = max(v, Leak*v)
		}
	case Swish:
		for i, v := range x {
			y[i] = float32(float64(v) / (1 + math.Exp(-float64(v))))
		}
	case Softplus:
		for i, v := range x {
			y[i] = float32(math.Max(float64(v), 0) + math.Log1p(math.Exp(-math.Abs(float64(v)))))
		}
	default:
		panic("kernels: no activation " + string(o.F))
	}
}

// ActivateGrad is dx = dy f'(x), from the output y of f, or from its input x where [Activation.FromInput] says so. DX
// may be DY, Y or X.
type ActivateGrad struct {
	F      Activation
	N      int
	DX, DY Buf
	Y, X   Buf // one of the two
}

func (o ActivateGrad) Name() string { return string(o.F) + "_grad" }
func (o ActivateGrad) Operands() (reads, writes []Buf) {
	return present(o.DY, o.Y, o.X), []Buf{o.DX}
}
func (o ActivateGrad) InPlace() [][2]Buf { return [][2]Buf{{o.DX, o.DY}, {o.DX, o.at()}} }
func (o ActivateGrad) Rows() int         { return o.N }
func (o ActivateGrad) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o ActivateGrad) RefRows(mem []float32, lo, hi int) {
	dx, dy, at := rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi), rowsOf(mem, o.at(), o.N, lo, hi)
	switch o.F {
	case ELU:
		for i, v := range at {
			if dx[i] = dy[i]; !(v > 0) {
				dx[i] *= v + 1
			}
		}
	case ReLU:
		for i, v := range at {
			if dx[i] = dy[i]; !(v > 0) {
				dx[i] = 0
			}
		}
	case LReLU:
		for i, v := range at {
			if dx[i] = dy[i]; !(v > 0) {
				dx[i] *= Leak
			}
		}
	case Swish:
		for i, v := range at {
			s := 1 / (1 + math.Exp(-float64(v)))
			dx[i] = float32(float64(dy[i]) * s * (1 + float64(v)*(1-s)))
		}
	case Softplus:
		for i, v := range at {
			dx[i] = dy[i] * float32(-math.Expm1(-float64(v)))
		}
	default:
		panic("kernels: no activation " + string(o.F))
	}
}

// at returns the window that the derivative is taken from.
func (o ActivateGrad) at() Buf {
	if o.F.FromInput() {
		return o.X
	}
	return o.Y
}
