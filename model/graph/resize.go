// Resizing of images.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Resize is the bilinear resize with aligned corners of x (N, H', W', C) to (N, H, W, C).
type Resize struct {
	H, W int

	noHidden
}

func (l Resize) String() string { return fmt.Sprintf("resize to %dx%d", l.H, l.W) }

func (l Resize) output(in shapes) (tensor.Shape, error) {
	return tensor.Shape{in[0][0], l.H, l.W, in[0][3]}, nil
}

func (Resize) gradients() []gradient { return []gradient{computed} }

func (l Resize) shape(in shapes) kernels.ResizeShape {
	x := in[0]
	return kernels.ResizeShape{N: x[0], H: x[1], W: x[2], HOut: l.H, WOut: l.W, C: x[3]}
}

func (l Resize) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Resize{ResizeShape: l.shape(in), Y: w.out, X: w.in[0]}}
}

func (l Resize) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.ResizeGrad{ResizeShape: l.shape(in), DX: w.din[0], DY: w.dout}}
}
