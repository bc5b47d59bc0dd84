// Dropout.

package graph

import (
	"fmt"

	"sigmaz/kernels"
)

// Dropout sets each value to 0 with probability P and scales the others by 1/(1-P); its inputs are x (N, ...) and the state
// block of the run, whose step decides which. A graph that is not trained does without the layer.
type Dropout struct {
	P     float32
	Index uint32 // tells the layers of a network apart
	Seed  uint64 // of a network in training it is the run's, see [kernels.SeedDropout]

	sameShape
	noHidden
}

func (l Dropout) String() string {
	return fmt.Sprintf("dropout p=%g index=%d seed=%d", l.P, l.Index, l.Seed)
}
func (Dropout) gradients() []gradient { return []gradient{computed, none} }

func (l Dropout) op(in shapes) kernels.Dropout {
	return kernels.Dropout{N: in.rows(), P: l.P, Layer: l.Index, Seed: l.Seed}
}

func (l Dropout) forward(in shapes, w windows) []kernels.Op {
	o := l.op(in)
	o.X, o.State, o.Y = w.in[0], w.in[1], w.out
	return []kernels.Op{o}
}

// backward drops the same values of the gradient: the step is the same.
func (l Dropout) backward(in shapes, w windows) []kernels.Op {
	o := l.op(in)
	o.X, o.State, o.Y = w.dout, w.in[1], w.din[0]
	return []kernels.Op{o}
}
