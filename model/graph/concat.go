// Channels of two images side by side.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Concat joins two images (N, H, W, C) of one size to one with the channels of both, those of the first before the others.
type Concat struct{ noHidden }

func (Concat) String() string        { return "concat" }
func (Concat) gradients() []gradient { return []gradient{computed, computed} }

func (Concat) output(in shapes) (tensor.Shape, error) {
	a, b := in[0], in[1]
	if !a[:3].Eq(b[:3]) {
		return nil, fmt.Errorf("cannot join the channels of %v and %v", a, b)
	}
	return tensor.Shape{a[0], a[1], a[2], a[3] + b[3]}, nil
}

func (Concat) shape(in shapes) kernels.ConcatShape {
	a, b := in[0], in[1]
	return kernels.ConcatShape{N: a[0], P: a[1] * a[2], CA: a[3], CB: b[3]}
}

func (l Concat) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Concat{ConcatShape: l.shape(in), Y: w.out, A: w.in[0], B: w.in[1]}}
}

func (l Concat) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Split{ConcatShape: l.shape(in), A: w.din[0], B: w.din[1], Y: w.dout}}
}
