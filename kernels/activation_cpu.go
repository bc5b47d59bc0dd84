// Activations on the CPU, see activation.go.

package kernels

import "sigmaz/kernels/internal/vec"

// fastActivations gives the kernels of each activation: y from x, and dx from dy and from what the derivative is
// taken of.
var fastActivations = map[Activation]struct {
	forward  func(y, x []float32)
	backward func(dx, dy, at []float32)
}{
	ELU:      {vec.ELU, vec.ELUBackward},
	ReLU:     {vec.ReLU, vec.ReLUBackward},
	LReLU:    {vec.LReLU, vec.LReLUBackward},
	Swish:    {vec.Swish, vec.SwishBackward},
	Softplus: {vec.Softplus, vec.SoftplusBackward},
}

func (o Activate) lower(mem []float32) stage {
	f := fastActivations[o.F].forward
	return byRows(o.N, nil, func(lo, hi int) { f(rowsOf(mem, o.Y, o.N, lo, hi), rowsOf(mem, o.X, o.N, lo, hi)) })
}

func (o ActivateGrad) lower(mem []float32) stage {
	f := fastActivations[o.F].backward
	return byRows(o.N, nil, func(lo, hi int) {
		f(rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi), rowsOf(mem, o.at(), o.N, lo, hi))
	})
}
