// The layers of the networks as faces of kernels: shapes, attributes and which kernel does the work.
package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Conv is a convolution with inputs x (N, H, W, Cin), w (Cout, K, K, Cin) and, with bias, b (Cout); or a linear
// layer with x (N, Cin), w (Cout, Cin).
type Conv struct {
	K, Dilation int
	Bias        bool
}

func (l Conv) String() string {
	return fmt.Sprintf("conv%dx%d dilation=%d bias=%t", l.K, l.K, l.Dilation, l.Bias)
}

func (l Conv) shape(in []tensor.Shape) kernels.ConvShape {
	s := kernels.ConvShape{N: in[0][0], H: 1, W: 1, Cin: in[0][len(in[0])-1], Cout: in[1][0], K: l.K, Dilation: l.Dilation}
	if len(in[0]) == 4 {
		s.H, s.W = in[0][1], in[0][2]
	}
	return s
}

func (l Conv) output(in []tensor.Shape) (tensor.Shape, error) {
	x, w := in[0], in[1]
	if w[len(w)-1] != x[len(x)-1] {
		return nil, fmt.Errorf("%v: input %v does not fit weights %v", l, x, w)
	}
	out := x.Clone()
	out[len(out)-1] = w[0]
	return out, nil
}
func (l Conv) hidden([]tensor.Shape) []int { return nil }
func (l Conv) grads() []bool               { return []bool{true, true, true}[:2+btoi(l.Bias)] }

func (l Conv) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	c := kernels.Conv{ConvShape: l.shape(s.in), Y: out, X: in[0], Weight: in[1]}
	if l.Bias {
		c.Bias = in[2]
	}
	return []kernels.Op{c}
}

func (l Conv) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	var ops []kernels.Op
	if din[1].N > 0 {
		g := kernels.ConvGradWeight{ConvShape: l.shape(s.in), DWeight: din[1], X: in[0], DY: dout}
		if l.Bias {
			g.DBias = din[2]
		}
		ops = append(ops, g)
	}
	if din[0].N > 0 {
		ops = append(ops, kernels.ConvGradInput{ConvShape: l.shape(s.in), DX: din[0], DY: dout, Weight: in[1]})
	}
	return ops
}

// Norm is a norm with inputs x (N, H, W, C) and: of instance norm++ alpha, gamma, beta (C); of a conditional norm the
// table (L, 3C) or, without alpha, (L, 2C), and the level (N); of a plain instance norm nothing.
type Norm struct {
	Plus    bool    // instance norm++
	Levels  int     // rows of the tables of a conditional norm; 0: unconditional
	Epsilon float64 // 0: 1e-5
}

func (l Norm) String() string {
	return fmt.Sprintf("instance_norm plus=%t levels=%d epsilon=%g", l.Plus, l.Levels, l.Epsilon)
}
func (Norm) shape(in []tensor.Shape) kernels.NormShape {
	return kernels.NormShape{N: in[0][0], P: in[0][1] * in[0][2], C: in[0][3]}
}
func (l Norm) output(in []tensor.Shape) (tensor.Shape, error) {
	if l.Plus && in[0][3] < 2 {
		return nil, fmt.Errorf("%v: needs at least 2 channels for the variance over channels, got %d", l, in[0][3])
	}
	return in[0], nil
}
func (l Norm) hidden(in []tensor.Shape) []int {
	s := l.shape(in)
	return []int{s.N * s.C, s.N * s.C, s.N * s.C, s.N}
}
func (l Norm) grads() []bool {
	switch {
	case l.Levels > 0:
		return []bool{true, true, false}
	case l.Plus:
		return []bool{true, true, true, true}
	}
	return []bool{true}
}
func (Norm) stats(h []kernels.Buf) kernels.NormStats {
	return kernels.NormStats{Mean: h[0], Rstd: h[1], MuHat: h[2], Q: h[3]}
}
func (l Norm) forward(s *site, in []kernels.Buf, out kernels.Buf, hidden []kernels.Buf) []kernels.Op {
	op := kernels.Norm{NormShape: l.shape(s.in), Y: out, X: in[0], Eps: l.Epsilon, NormStats: l.stats(hidden)}
	switch {
	case l.Levels > 0:
		op.Embed, op.Level, op.Levels = in[1], in[2], l.Levels
	case l.Plus:
		op.Alpha, op.Gamma, op.Beta = in[1], in[2], in[3]
	}
	return []kernels.Op{op}
}
func (l Norm) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, hidden []kernels.Buf) []kernels.Op {
	op := kernels.NormGrad{NormShape: l.shape(s.in), DX: din[0], X: in[0], DY: dout, NormStats: l.stats(hidden)}
	switch {
	case l.Levels > 0:
		op.DEmbed, op.Embed, op.Level, op.Levels = din[1], in[1], in[2], l.Levels
	case l.Plus:
		op.DAlpha, op.DGamma, op.DBeta, op.Alpha, op.Gamma = din[1], din[2], din[3], in[1], in[2]
	}
	return []kernels.Op{op}
}

// Activation is an activation of any shape.
type Activation struct{ F kernels.Activation }

func (l Activation) String() string                                 { return string(l.F) }
func (l Activation) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (l Activation) hidden([]tensor.Shape) []int                    { return nil }
func (l Activation) grads() []bool                                  { return []bool{true} }
func (l Activation) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Activate{F: l.F, N: s.rows(), Y: out, X: in[0]}}
}
func (l Activation) backward(s *site, in []kernels.Buf, out, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	op := kernels.ActivateGrad{F: l.F, N: s.rows(), DX: din[0], DY: dout, Y: out}
	if l.F.FromInput() {
		op.X, op.Y = in[0], kernels.Buf{}
	}
	return []kernels.Op{op}
}

// MaxPool is 5x5 max pooling with stride 1.
type MaxPool struct{}

func (MaxPool) String() string                                 { return "maxpool5" }
func (MaxPool) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (MaxPool) hidden(in []tensor.Shape) []int                 { return []int{in[0].TotalSize()} }
func (MaxPool) grads() []bool                                  { return []bool{true} }
func (MaxPool) forward(s *site, in []kernels.Buf, out kernels.Buf, hidden []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MaxPool5{PoolShape: poolShape(s.in[0]), Y: out, X: in[0], Index: hidden[0]}}
}
func (MaxPool) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, hidden []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MaxPool5Grad{PoolShape: poolShape(s.in[0]), DX: din[0], DY: dout, Index: hidden[0]}}
}

// AvgPool is 5x5 average pooling with stride 1.
type AvgPool struct{}

func (AvgPool) String() string                                 { return "avgpool5" }
func (AvgPool) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (AvgPool) hidden([]tensor.Shape) []int                    { return nil }
func (AvgPool) grads() []bool                                  { return []bool{true} }
func (AvgPool) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.AvgPool5{PoolShape: poolShape(s.in[0]), Y: out, X: in[0]}}
}
func (AvgPool) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.AvgPool5{PoolShape: poolShape(s.in[0]), Y: din[0], X: dout}}
}

// MeanPool is 2x2 mean pooling with stride 2.
type MeanPool struct{}

func (MeanPool) String() string { return "meanpool2" }
func (MeanPool) output(in []tensor.Shape) (tensor.Shape, error) {
	x := in[0]
	if x[1]%2 != 0 || x[2]%2 != 0 {
		return nil, fmt.Errorf("height %d and width %d must both be even here to be halved", x[1], x[2])
	}
	return tensor.Shape{x[0], x[1] / 2, x[2] / 2, x[3]}, nil
}
func (MeanPool) hidden([]tensor.Shape) []int { return nil }
func (MeanPool) grads() []bool               { return []bool{true} }
func (MeanPool) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MeanPool2{PoolShape: poolShape(s.in[0]), Y: out, X: in[0]}}
}
func (MeanPool) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MeanPool2Grad{PoolShape: poolShape(s.in[0]), DX: din[0], DY: dout}}
}

// Resize is the bilinear resize with aligned corners to h x w.
type Resize struct{ H, W int }

func (l Resize) String() string { return fmt.Sprintf("resize to %dx%d", l.H, l.W) }
func (l Resize) output(in []tensor.Shape) (tensor.Shape, error) {
	return tensor.Shape{in[0][0], l.H, l.W, in[0][3]}, nil
}
func (l Resize) hidden([]tensor.Shape) []int { return nil }
func (l Resize) grads() []bool               { return []bool{true} }
func (l Resize) shape(s *site) kernels.ResizeShape {
	x := s.in[0]
	return kernels.ResizeShape{N: x[0], H: x[1], W: x[2], HOut: l.H, WOut: l.W, C: x[3]}
}
func (l Resize) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Resize{ResizeShape: l.shape(s), Y: out, X: in[0]}}
}
func (l Resize) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.ResizeGrad{ResizeShape: l.shape(s), DX: din[0], DY: dout}}
}

// Affine is y = scale x + shift.
type Affine struct{ Scale, Shift float32 }

func (l Affine) String() string                                 { return fmt.Sprintf("%gx%+g", l.Scale, l.Shift) }
func (l Affine) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (l Affine) hidden([]tensor.Shape) []int                    { return nil }
func (l Affine) grads() []bool                                  { return []bool{true} }
func (l Affine) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: s.rows(), Y: out, X: in[0], Scale: l.Scale, Shift: l.Shift}}
}
func (l Affine) backward(s *site, _ []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: s.rows(), Y: din[0], X: dout, Scale: l.Scale}}
}

// DivSigma divides each row of x by its sigma: inputs x (N, ...), sigma (N).
type DivSigma struct{}

func (DivSigma) String() string                                 { return "div_sigma" }
func (DivSigma) output(in []tensor.Shape) (tensor.Shape, error) { return in[0], nil }
func (DivSigma) hidden([]tensor.Shape) []int                    { return nil }
func (DivSigma) grads() []bool                                  { return []bool{true, false} }
func (DivSigma) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.DivSigma{N: s.rows(), Y: out, X: in[0], Sigma: in[1]}}
}
func (DivSigma) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.DivSigma{N: s.rows(), Y: din[0], X: dout, Sigma: in[1]}}
}

// MLPInput is [x / sqrt(sigma^2 + sd^2), ln sigma] with inputs x (N, D), sigma (N). Nothing upstream is trained, so
// it has no gradient.
type MLPInput struct{ SD float64 }

func (l MLPInput) String() string { return fmt.Sprintf("mlp_input sd=%g", l.SD) }
func (l MLPInput) output(in []tensor.Shape) (tensor.Shape, error) {
	return tensor.Shape{in[0][0], in[0][1] + 1}, nil
}
func (l MLPInput) hidden([]tensor.Shape) []int { return nil }
func (l MLPInput) grads() []bool               { return []bool{false, false} }
func (l MLPInput) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.MLPInput{N: s.rows(), Y: out, X: in[0], Sigma: in[1], SD: l.SD}}
}
func (l MLPInput) backward(*site, []kernels.Buf, kernels.Buf, kernels.Buf, []kernels.Buf, []kernels.Buf) []kernels.Op {
	return nil
}

// Sum is the sum of two inputs of one shape.
type Sum struct{}

func (Sum) String() string { return "add" }
func (l Sum) output(in []tensor.Shape) (tensor.Shape, error) {
	if !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("cannot add %v and %v", in[0], in[1])
	}
	return in[0], nil
}
func (Sum) hidden([]tensor.Shape) []int { return nil }
func (Sum) grads() []bool               { return []bool{true, true} }
func (Sum) forward(s *site, in []kernels.Buf, out kernels.Buf, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Add{N: s.rows(), Dst: out, A: in[0], B: in[1]}}
}

// backward is never reached: the gradient of a sum is the gradient that came in, see siteOp.SymDiff.
func (Sum) backward(*site, []kernels.Buf, kernels.Buf, kernels.Buf, []kernels.Buf, []kernels.Buf) []kernels.Op {
	return nil
}

// Loss is the weighted denoising score matching loss: inputs s, z (N, ...), sigma (N); output the mean, a scalar;
// hidden the loss of each row.
type Loss struct{ Power float64 }

func (l Loss) String() string { return fmt.Sprintf("loss sigma^%g", l.Power) }
func (l Loss) output(in []tensor.Shape) (tensor.Shape, error) {
	if !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("score %v and noise %v differ", in[0], in[1])
	}
	return tensor.ScalarShape(), nil
}
func (l Loss) hidden(in []tensor.Shape) []int { return []int{in[0][0]} }
func (l Loss) grads() []bool                  { return []bool{true, false, false} }
func (l Loss) forward(s *site, in []kernels.Buf, out kernels.Buf, hidden []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.Loss{N: s.rows(), Mean: out, PerRow: hidden[0], S: in[0], Z: in[1], Sigma: in[2], Power: l.Power}}
}
func (l Loss) backward(s *site, in []kernels.Buf, _, dout kernels.Buf, din, _ []kernels.Buf) []kernels.Op {
	return []kernels.Op{kernels.LossGrad{N: s.rows(), DS: din[0], S: in[0], Z: in[1], Sigma: in[2], DMean: dout, Power: l.Power}}
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
