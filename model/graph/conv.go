// Convolutions and linear layers.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Conv is a convolution that keeps the size, or a linear layer:
//
//	inputs   x (N, H, W, Cin), w (Cout, K, K, Cin) and, with Bias, b (Cout); linear: x (N, Cin), w (Cout, Cin), b (Cout)
//	output   (N, H, W, Cout); linear: (N, Cout)
//
// The weights of a pixel may have any shape of as many values: with K = 1 on [Patches], (Cout, 3, 3, C) for 9C channels.
type Conv struct {
	K, Dilation int
	Bias        bool

	noHidden
}

func (l Conv) String() string {
	return fmt.Sprintf("conv%dx%d dilation=%d bias=%t", l.K, l.K, l.Dilation, l.Bias)
}

func (l Conv) shape(in shapes) kernels.ConvShape {
	s := kernels.ConvShape{N: in.rows(), H: 1, W: 1, Cin: in[0][len(in[0])-1], Cout: in[1][0], K: l.K,
		Dilation: l.Dilation}
	if len(in[0]) == 4 {
		s.H, s.W = in[0][1], in[0][2]
	}
	return s
}

// precision returns what the layer computes in: linear layers in float32, as PyTorch's do where its convolutions are in
// TF32.
func (l Conv) precision(in shapes, w windows) kernels.Precision {
	if len(in[0]) != 4 {
		return kernels.Float32
	}
	return w.precision
}

func (l Conv) output(in shapes) (tensor.Shape, error) {
	x, w := in[0], in[1]
	if c := x[len(x)-1]; w.TotalSize() != w[0]*c*l.K*l.K {
		return nil, fmt.Errorf("%v: input %v does not fit weights %v", l, x, w)
	}
	out := x.Clone()
	out[len(out)-1] = w[0]
	return out, nil
}

func (l Conv) gradients() []gradient {
	if l.Bias {
		return []gradient{computed, computed, computed}
	}
	return []gradient{computed, computed}
}

func (l Conv) forward(in shapes, w windows) []kernels.Op {
	c := kernels.Conv{ConvShape: l.shape(in), Y: w.out, X: w.in[0], Weight: w.in[1], Precision: l.precision(in, w)}
	if l.Bias {
		c.Bias = w.in[2]
	}
	return []kernels.Op{c}
}

func (l Conv) backward(in shapes, w windows) []kernels.Op {
	var ops []kernels.Op
	if w.din[1].N > 0 {
		g := kernels.ConvGradWeight{ConvShape: l.shape(in), DWeight: w.din[1], X: w.in[0], DY: w.dout,
			Precision: l.precision(in, w)}
		if l.Bias {
			g.DBias = w.din[2]
		}
		ops = append(ops, g)
	}
	if w.din[0].N > 0 {
		ops = append(ops, kernels.ConvGradInput{ConvShape: l.shape(in), DX: w.din[0], DY: w.dout, Weight: w.in[1],
			Precision: l.precision(in, w)})
	}
	return ops
}
