// The layers of the networks as faces of kernels: shapes, attributes and which kernel does the work.
package model

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// convLayer is a convolution with inputs x (N, H, W, Cin), w (Cout, K, K, Cin) and, with bias, b (Cout); or a linear
// layer with x (N, Cin), w (Cout, Cin).
type convLayer struct {
	k, dilation int
	bias        bool
}

func (l convLayer) String() string {
	return fmt.Sprintf("conv%dx%d dilation=%d bias=%t", l.k, l.k, l.dilation, l.bias)
}

func (l convLayer) shape(in []tensor.Shape) kernels.ConvShape {
	s := kernels.ConvShape{N: in[0][0], H: 1, W: 1, Cin: in[0][len(in[0])-1], Cout: in[1][0], K: l.k, Dilation: l.dilation}
	if len(in[0]) == 4 {
		s.H, s.W = in[0][1], in[0][2]
	}
	return s
}

func (l convLayer) output(in []tensor.Shape) (tensor.Shape, error) {
	x, w := in[0], in[1]
	if w[len(w)-1] != x[len(x)-1] {
		return nil, fmt.Errorf("%v: input %v does not fit weights %v", l, x, w)
	}
	out := x.Clone()
	out[len(out)-1] = w[0]
	return out, nil
}
func (l convLayer) hidden([]tensor.Shape) []int { return nil }
func (l convLayer) grads() []bool               { return []bool{true, true, true}[:2+btoi(l.bias)] }

func (l convLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	c := kernels.Conv{ConvShape: l.shape(s.in), Y: out, X: in[0], Weight: in[1]}
	if l.bias {
		c.Bias = in[2]
	}
	return []kernels.Op{c}
}

func (l convLayer) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	var ops []kernels.Op
	if din[1].N > 0 {
		g := kernels.ConvGradWeight{ConvShape: l.shape(s.in), DWeight: din[1], X: in[0], DY: dout}
		if l.bias {
			g.DBias = din[2]
		}
		ops = append(ops, g)
	}
	if din[0].N > 0 {
		ops = append(ops, kernels.ConvGradInput{ConvShape: l.shape(s.in), DX: din[0], DY: dout, Weight: in[1]})
	}
	return ops
}

// normLayer is a norm with inputs x (N, H, W, C) and: of instance norm++ alpha, gamma, beta (C); of a conditional norm the
// table (L, 3C) or, without alpha, (L, 2C), and the level (N); of a plain instance norm nothing.
type normLayer struct{ norms }

func (l normLayer) String() string {
	return fmt.Sprintf("instance_norm plus=%t levels=%d epsilon=%g", l.plus, l.levels, l.epsilon)
}
func (normLayer) shape(in []tensor.Shape) kernels.NormShape {
	return kernels.NormShape{N: in[0][0], P: in[0][1] * in[0][2], C: in[0][3]}
}
func (l normLayer) output(in []tensor.Shape) (tensor.Shape, error) {
	if l.plus && in[0][3] < 2 {
		return nil, fmt.Errorf("%v: needs at least 2 channels for the variance over channels, got %d", l, in[0][3])
	}
	return in[0], nil
}
func (l normLayer) hidden(in []tensor.Shape) []int {
	s := l.shape(in)
	return []int{s.N * s.C, s.N * s.C, s.N * s.C, s.N}
}
func (l normLayer) grads() []bool {
	switch {
	case l.levels > 0:
		return []bool{true, true, false}
	case l.plus:
		return []bool{true, true, true, true}
	}
	return []bool{true}
}
func (normLayer) stats(h []kernels.Buf) kernels.NormStats {
	return kernels.NormStats{Mean: h[0], Rstd: h[1], MuHat: h[2], Q: h[3]}
}
func (l normLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, hidden []kernels.Buf) []kernels.Op {
	op := kernels.Norm{NormShape: l.shape(s.in), Y: out, X: in[0], Eps: l.epsilon, NormStats: l.stats(hidden)}
	switch {
	case l.levels > 0:
		op.Embed, op.Level, op.Levels = in[1], in[2], l.levels
	case l.plus:
		op.Alpha, op.Gamma, op.Beta = in[1], in[2], in[3]
	}
	return []kernels.Op{op}
}
func (l normLayer) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, hidden []kernels.Buf) []kernels.Op {
	op := kernels.NormGrad{NormShape: l.shape(s.in), DX: din[0], X: in[0], DY: dout, NormStats: l.stats(hidden)}
	switch {
	case l.levels > 0:
		op.DEmbed, op.Embed, op.Level, op.Levels = din[1], in[1], in[2], l.levels
	case l.plus:
		op.DAlpha, op.DGamma, op.DBeta, op.Alpha, op.Gamma = din[1], din[2], din[3], in[1], in[2]
	}
	return []kernels.Op{op}
}

// activationLayer is an activation of any shape.
type activationLayer struct{ f kernels.Activation }

func (l activationLayer) String() string                                 { return string(l.f) }
func (l activationLayer) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (l activationLayer) hidden([]tensor.Shape) []int                    { return nil }
func (l activationLayer) grads() []bool                                  { return []bool{true} }
func (l activationLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Activate{F: l.f, N: s.rows(), Y: out, X: in[0]}}
}
func (l activationLayer) backward(s *site, in []kernels.Buf, out, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	op := kernels.ActivateGrad{F: l.f, N: s.rows(), DX: din[0], DY: dout, Y: out}
	if l.f.FromInput() {
		op.X, op.Y = in[0], kernels.Buf{}
	}
	return []kernels.Op{op}
}

// maxPoolLayer is 5x5 max pooling with stride 1.
type maxPoolLayer struct{}

func (maxPoolLayer) String() string                                 { return "maxpool5" }
func (maxPoolLayer) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (maxPoolLayer) hidden(in []tensor.Shape) []int                 { return []int{in[0].TotalSize()} }
func (maxPoolLayer) grads() []bool                                  { return []bool{true} }
func (maxPoolLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, hidden []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MaxPool5{PoolShape: poolShape(s.in[0]), Y: out, X: in[0], Index: hidden[0]}}
}
func (maxPoolLayer) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, hidden []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MaxPool5Grad{PoolShape: poolShape(s.in[0]), DX: din[0], DY: dout, Index: hidden[0]}}
}

// avgPoolLayer is 5x5 average pooling with stride 1.
type avgPoolLayer struct{}

func (avgPoolLayer) String() string                                 { return "avgpool5" }
func (avgPoolLayer) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (avgPoolLayer) hidden([]tensor.Shape) []int                    { return nil }
func (avgPoolLayer) grads() []bool                                  { return []bool{true} }
func (avgPoolLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.AvgPool5{PoolShape: poolShape(s.in[0]), Y: out, X: in[0]}}
}
func (avgPoolLayer) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.AvgPool5{PoolShape: poolShape(s.in[0]), Y: din[0], X: dout}}
}

// meanPoolLayer is 2x2 mean pooling with stride 2.
type meanPoolLayer struct{}

func (meanPoolLayer) String() string { return "meanpool2" }
func (meanPoolLayer) output(in []tensor.Shape) (tensor.Shape, error) {
	x := in[0]
	if x[1]%2 != 0 || x[2]%2 != 0 {
		return nil, fmt.Errorf("height %d and width %d must both be even here to be halved", x[1], x[2])
	}
	return tensor.Shape{x[0], x[1] / 2, x[2] / 2, x[3]}, nil
}
func (meanPoolLayer) hidden([]tensor.Shape) []int { return nil }
func (meanPoolLayer) grads() []bool               { return []bool{true} }
func (meanPoolLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MeanPool2{PoolShape: poolShape(s.in[0]), Y: out, X: in[0]}}
}
func (meanPoolLayer) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MeanPool2Grad{PoolShape: poolShape(s.in[0]), DX: din[0], DY: dout}}
}

// resizeLayer is the bilinear resize with aligned corners to h x w.
type resizeLayer struct{ h, w int }

func (l resizeLayer) String() string { return fmt.Sprintf("resize to %dx%d", l.h, l.w) }
func (l resizeLayer) output(in []tensor.Shape) (tensor.Shape, error) {
	return tensor.Shape{in[0][0], l.h, l.w, in[0][3]}, nil
}
func (l resizeLayer) hidden([]tensor.Shape) []int { return nil }
func (l resizeLayer) grads() []bool               { return []bool{true} }
func (l resizeLayer) shape(s *site) kernels.ResizeShape {
	x := s.in[0]
	return kernels.ResizeShape{N: x[0], H: x[1], W: x[2], HOut: l.h, WOut: l.w, C: x[3]}
}
func (l resizeLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Resize{ResizeShape: l.shape(s), Y: out, X: in[0]}}
}
func (l resizeLayer) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.ResizeGrad{ResizeShape: l.shape(s), DX: din[0], DY: dout}}
}

// affineLayer is y = scale x + shift.
type affineLayer struct{ scale, shift float32 }

func (l affineLayer) String() string                                 { return fmt.Sprintf("%gx%+g", l.scale, l.shift) }
func (l affineLayer) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (l affineLayer) hidden([]tensor.Shape) []int                    { return nil }
func (l affineLayer) grads() []bool                                  { return []bool{true} }
func (l affineLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: s.rows(), Y: out, X: in[0], Scale: l.scale, Shift: l.shift}}
}
func (l affineLayer) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: s.rows(), Y: din[0], X: dout, Scale: l.scale}}
}

// divSigmaLayer divides each row of x by its sigma: inputs x (N, ...), sigma (N).
type divSigmaLayer struct{}

func (divSigmaLayer) String() string                                 { return "div_sigma" }
func (divSigmaLayer) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (divSigmaLayer) hidden([]tensor.Shape) []int                    { return nil }
func (divSigmaLayer) grads() []bool                                  { return []bool{true, false} }
func (divSigmaLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.DivSigma{N: s.rows(), Y: out, X: in[0], Sigma: in[1]}}
}
func (divSigmaLayer) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.DivSigma{N: s.rows(), Y: din[0], X: dout, Sigma: in[1]}}
}

// mlpInputLayer is [x / sqrt(sigma^2 + sd^2), ln sigma] with inputs x (N, D), sigma (N). Nothing upstream is trained, so
// it has no gradient.
type mlpInputLayer struct{ sd float64 }

func (l mlpInputLayer) String() string { return fmt.Sprintf("mlp_input sd=%g", l.sd) }
func (l mlpInputLayer) output(in []tensor.Shape) (tensor.Shape, error) {
	return tensor.Shape{in[0][0], in[0][1] + 1}, nil
}
func (l mlpInputLayer) hidden([]tensor.Shape) []int { return nil }
func (l mlpInputLayer) grads() []bool               { return []bool{false, false} }
func (l mlpInputLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MLPInput{N: s.rows(), Y: out, X: in[0], Sigma: in[1], SD: l.sd}}
}
func (l mlpInputLayer) backward(*site, []kernels.Buf, kernels.Buf, kernels.Buf, []kernels.Buf, []kernels.Buf) []kernels.Op {
	return nil
}

// addLayer is the sum of two inputs of one shape.
type addLayer struct{}

func (addLayer) String() string { return "add" }
func (l addLayer) output(in []tensor.Shape) (tensor.Shape, error) {
	if !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("cannot add %v and %v", in[0], in[1])
	}
	return in[0], nil
}
func (addLayer) hidden([]tensor.Shape) []int { return nil }
func (addLayer) grads() []bool               { return []bool{true, true} }
func (addLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Add{N: s.rows(), Dst: out, A: in[0], B: in[1]}}
}

// backward is never reached: the gradient of a sum is the gradient that came in, see siteOp.SymDiff.
func (addLayer) backward(*site, []kernels.Buf, kernels.Buf, kernels.Buf, []kernels.Buf, []kernels.Buf) []kernels.Op {
	return nil
}

// lossLayer is the weighted denoising score matching loss: inputs s, z (N, ...), sigma (N); output the mean, a scalar;
// hidden the loss of each row.
type lossLayer struct{ power float64 }

func (l lossLayer) String() string { return fmt.Sprintf("loss sigma^%g", l.power) }
func (l lossLayer) output(in []tensor.Shape) (tensor.Shape, error) {
	if !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("score %v and noise %v differ", in[0], in[1])
	}
	return tensor.ScalarShape(), nil
}
func (l lossLayer) hidden(in []tensor.Shape) []int { return []int{in[0][0]} }
func (l lossLayer) grads() []bool                  { return []bool{true, false, false} }
func (l lossLayer) forward(s *site, in []kernels.Buf, out kernels.Buf, hidden []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Loss{N: s.rows(), Mean: out, PerRow: hidden[0], S: in[0], Z: in[1], Sigma: in[2], Power: l.power}}
}
func (l lossLayer) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.LossGrad{N: s.rows(), DS: din[0], S: in[0], Z: in[1], Sigma: in[2], DMean: dout, Power: l.power}}
}

func poolShape(s tensor.Shape) kernels.PoolShape {
	return kernels.PoolShape{N: s[0], H: s[1], W: s[2], C: s[3]}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}
