// The weights: tensors by name from a file of torch.save, batch norm folded in,
//
//	w' = w gamma / sqrt(var + eps)     b' = beta - mean gamma / sqrt(var + eps)     eps = 1e-3

package layers

import (
	"fmt"
	"math"
	"slices"

	"sigmaz/internal/pytorch"
)

// Tensors looks up a weight by its name and returns its values, of that shape.
type Tensors func(name string, shape ...int) ([]float32, error)

// Open calls build with the tensors of a file of torch.save. whose says whose weights they are expected to be:
// "EfficientNet-Lite0, file.pth".
func Open(path, whose string, build func(Tensors) error) error {
	f, err := pytorch.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	root, ok := f.Root.(*pytorch.Dict)
	if !ok {
		return fmt.Errorf("%s holds %s: expected the weights of %s", path, pytorch.Kind(f.Root), whose)
	}
	return build(func(name string, shape ...int) ([]float32, error) {
		v, _ := root.Get(name)
		t, ok := v.(*pytorch.Tensor)
		switch {
		case !ok:
			return nil, fmt.Errorf("%s has no tensor %s: expected the weights of %s", path, name, whose)
		case !slices.Equal(t.Shape, shape):
			return nil, fmt.Errorf("%s has a tensor %s of shape %v, expected %v: these are not the weights of %s", path, name, t.Shape, shape, whose)
		}
		x := make([]float32, t.Count())
		return x, pytorch.Read(t, x)
	})
}

// epsilon is that of the batch norms.
const epsilon = 1e-3

// Reader reads layers until one fails, with Err; what it returns then is of no use.
type Reader struct {
	Get Tensors
	Err error
}

// Values reads a tensor; its values are zeros where that fails.
func (r *Reader) Values(name string, shape ...int) []float32 {
	if r.Err == nil {
		var x []float32
		if x, r.Err = r.Get(name, shape...); r.Err == nil {
			return x
		}
	}
	n := 1
	for _, d := range shape {
		n *= d
	}
	return make([]float32, n)
}

// Norm returns the factors and the biases that a batch norm becomes.
func (r *Reader) Norm(name string, channels int) (factor, bias []float32) {
	gamma, beta := r.Values(name+".weight", channels), r.Values(name+".bias", channels)
	mean, variance := r.Values(name+".running_mean", channels), r.Values(name+".running_var", channels)
	for c, g := range gamma {
		f := float64(g) / math.Sqrt(float64(variance[c])+epsilon)
		factor, bias = append(factor, float32(f)), append(bias, float32(float64(beta[c])-float64(mean[c])*f))
	}
	return factor, bias
}

// Conv reads a convolution (out, in, height, width) without biases and the batch norm behind it.
func (r *Reader) Conv(conv, norm string, s Shape) *Conv {
	w := r.Values(conv+".weight", s.Out, s.In, s.Height, s.Width)
	factor, bias := r.Norm(norm, s.Out)
	if r.Err != nil {
		return &Conv{Shape: s}
	}
	ordered := make([]float32, len(w)) // (out, height, width, in)
	area := s.Height * s.Width
	for o := range s.Out {
		for c := range s.In {
			for t := range area {
				ordered[(o*area+t)*s.In+c] = factor[o] * w[(o*s.In+c)*area+t]
			}
		}
	}
	return NewConv(s, ordered, bias)
}
