// Activations.

package graph

import "sigmaz/kernels"

// Activation is y = F(x), of any shape.
type Activation struct {
	F kernels.Activation

	sameShape
	noHidden
}

func (l Activation) String() string      { return string(l.F) }
func (Activation) gradients() []gradient { return []gradient{computed} }

func (l Activation) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Activate{F: l.F, N: in.rows(), Y: w.out, X: w.in[0]}}
}

func (l Activation) backward(in shapes, w windows) []kernels.Op {
	op := kernels.ActivateGrad{F: l.F, N: in.rows(), DX: w.din[0], DY: w.dout}
	if l.F.FromInput() {
		op.X = w.in[0]
	} else {
		op.Y = w.out
	}
	return []kernels.Op{op}
}
