// Pooling of images (N, H, W, C).

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// MaxPool is 5x5 max pooling with stride 1, which keeps the size.
type MaxPool struct{ sameShape }

func (MaxPool) String() string        { return "maxpool5" }
func (MaxPool) gradients() []gradient { return []gradient{computed} }

// hidden lists one buffer: the place of each maximum.
func (MaxPool) hidden(in shapes) []hidden {
	return []hidden{{words: poolShape(in[0]).IndexWords(), forBackward: true}}
}

func (MaxPool) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.MaxPool5{PoolShape: poolShape(in[0]), Y: w.out, X: w.in[0], Index: w.hidden[0]}}
}

func (MaxPool) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.MaxPool5Grad{PoolShape: poolShape(in[0]), DX: w.din[0], DY: w.dout, Index: w.hidden[0]}}
}

// AvgPool is 5x5 average pooling with stride 1, which keeps the size.
type AvgPool struct {
	sameShape
	noHidden
}

func (AvgPool) String() string        { return "avgpool5" }
func (AvgPool) gradients() []gradient { return []gradient{computed} }

func (AvgPool) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.AvgPool5{PoolShape: poolShape(in[0]), Y: w.out, X: w.in[0]}}
}

// backward takes the same average: it is its own transpose.
func (AvgPool) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.AvgPool5{PoolShape: poolShape(in[0]), Y: w.din[0], X: w.dout}}
}

// MeanPool is 2x2 mean pooling with stride 2, which halves height and width.
type MeanPool struct{ noHidden }

func (MeanPool) String() string        { return "meanpool2" }
func (MeanPool) gradients() []gradient { return []gradient{computed} }

func (MeanPool) output(in shapes) (tensor.Shape, error) {
	x := in[0]
	if x[1]%2 != 0 || x[2]%2 != 0 {
		return nil, fmt.Errorf("height %d and width %d must both be even here to be halved", x[1], x[2])
	}
	return tensor.Shape{x[0], x[1] / 2, x[2] / 2, x[3]}, nil
}

func (MeanPool) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.MeanPool2{PoolShape: poolShape(in[0]), Y: w.out, X: w.in[0]}}
}

func (MeanPool) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.MeanPool2Grad{PoolShape: poolShape(in[0]), DX: w.din[0], DY: w.dout}}
}

// Nearest doubles height and width: each pixel twice along both.
type Nearest struct{ noHidden }

func (Nearest) String() string        { return "nearest2" }
func (Nearest) gradients() []gradient { return []gradient{computed} }

func (Nearest) output(in shapes) (tensor.Shape, error) {
	x := in[0]
	return tensor.Shape{x[0], 2 * x[1], 2 * x[2], x[3]}, nil
}

func (Nearest) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Nearest2{PoolShape: poolShape(in[0]), Y: w.out, X: w.in[0]}}
}

func (Nearest) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Nearest2Grad{PoolShape: poolShape(in[0]), DX: w.din[0], DY: w.dout}}
}

// poolShape returns the shape of an image that is pooled.
func poolShape(s tensor.Shape) kernels.PoolShape {
	return kernels.PoolShape{N: s[0], H: s[1], W: s[2], C: s[3]}
}
