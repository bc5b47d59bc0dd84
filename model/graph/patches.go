// Convolutions with stride 2.

package graph

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Patches is the 3x3 patches of an image at every second pixel, side by side: (N, H/2, W/2, 9C), whole parts. See
// [kernels.Patches] for what is beyond the image.
type Patches struct{ noHidden }

func (Patches) String() string        { return "patches" }
func (Patches) gradients() []gradient { return []gradient{computed} }

func (Patches) output(in shapes) (tensor.Shape, error) {
	x := in[0]
	if x[1] < 2 || x[2] < 2 {
		return nil, fmt.Errorf("height %d and width %d must both be at least 2 here to be halved", x[1], x[2])
	}
	h, w := patchShape(x).Out()
	return tensor.Shape{x[0], h, w, 9 * x[3]}, nil
}

func (Patches) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Patches{PatchShape: patchShape(in[0]), Y: w.out, X: w.in[0]}}
}

func (Patches) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.PatchesGrad{PatchShape: patchShape(in[0]), DX: w.din[0], DY: w.dout}}
}

func patchShape(s tensor.Shape) kernels.PatchShape {
	return kernels.PatchShape{N: s[0], H: s[1], W: s[2], C: s[3]}
}

// ApplyStrided adds a 3x3 convolution with stride 2 to the graph of x (N, H, W, C), w (Cout, 3, 3, C) and b (Cout), and
// returns its output (N, H/2, W/2, Cout).
func ApplyStrided(path string, x, w, b *gorgonia.Node) (*gorgonia.Node, error) {
	p, err := Apply(Patches{}, path+".patches", x)
	if err != nil {
		return nil, err
	}
	return Apply(Conv{K: 1, Dilation: 1, Bias: true}, path, p, w, b)
}
