// Sums and other affine maps of values.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Sum is the sum of two inputs of one shape. Its gradient is, for both, the gradient that came in.
type Sum struct {
	noHidden
	noBackward
}

func (Sum) String() string        { return "add" }
func (Sum) gradients() []gradient { return []gradient{passed, passed} }

func (Sum) output(in shapes) (tensor.Shape, error) {
	if !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("cannot add %v and %v", in[0], in[1])
	}
	return in[0], nil
}

func (Sum) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Add{N: in.rows(), Dst: w.out, A: w.in[0], B: w.in[1]}}
}

// Affine is y = Scale x + Shift, of any shape.
type Affine struct {
	Scale, Shift float32

	sameShape
	noHidden
}

func (l Affine) String() string      { return fmt.Sprintf("%gx%+g", l.Scale, l.Shift) }
func (Affine) gradients() []gradient { return []gradient{computed} }

func (l Affine) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: in.rows(), Y: w.out, X: w.in[0], Scale: l.Scale, Shift: l.Shift}}
}

func (l Affine) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: in.rows(), Y: w.din[0], X: w.dout, Scale: l.Scale}}
}
