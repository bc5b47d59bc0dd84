// The layers of model/graph in ONNX's operators. A layer without an operator of its own is composed of several; package
// kernels has the formulas.

package onnx

import (
	"fmt"
	"math"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// layer adds the operators of a layer and returns the name of its value.
func (t *translator) layer(l graph.Layer, c call) (string, error) {
	switch l := l.(type) {
	case graph.Conv:
		return t.conv(l, c), nil
	case graph.Norm:
		return t.norm(l, c), nil
	case graph.GroupNorm:
		return t.groupNorm(l, c), nil
	case graph.Activation:
		return t.activation(l.F, c.path, c.names[0])
	case graph.Sum:
		return t.op("Add", c.path, c.names), nil
	case graph.Join:
		return t.op("Mul", c.path, []string{t.op("Add", c.path, c.names), t.number(float64(l.Scale))}), nil
	case graph.AddRow:
		return t.op("Add", c.path, []string{c.names[0], t.unsqueeze(c.path, c.names[1], 2, 3)}), nil
	case graph.Affine:
		y := t.op("Mul", c.path, []string{c.names[0], t.number(float64(l.Scale))})
		return t.op("Add", c.path, []string{y, t.number(float64(l.Shift))}), nil
	case graph.Concat:
		return t.op("Concat", c.path, c.names, attribute{"axis", 1}), nil
	case graph.MaxPool:
		return t.op("MaxPool", c.path, c.names, attribute{"kernel_shape", []int{5, 5}}, attribute{"pads", []int{2, 2, 2, 2}}), nil
	case graph.AvgPool:
		return t.op("AveragePool", c.path, c.names, attribute{"kernel_shape", []int{5, 5}}, attribute{"pads", []int{2, 2, 2, 2}},
			attribute{"count_include_pad", 1}), nil
	case graph.MeanPool:
		return t.op("AveragePool", c.path, c.names, attribute{"kernel_shape", []int{2, 2}}, attribute{"strides", []int{2, 2}}), nil
	case graph.Resize, graph.Nearest:
		return t.resize(l, c), nil
	case graph.FIR:
		return t.fir(l, c), nil
	case graph.Crop:
		return t.op("Slice", c.path, []string{c.names[0], t.ints(1, 1), t.ints(-1, -1), t.ints(2, 3)}), nil
	case graph.Patches:
		return c.names[0], nil // the convolution on them takes the image itself
	case graph.Attention:
		return t.attention(c), nil
	case graph.Lookup:
		return t.op("Gather", c.path, c.names), nil
	case graph.DivSigma:
		return t.op("Div", c.path, []string{c.names[0], t.perRow(c, 0, c.names[1])}), nil
	case graph.MLPInput:
		return t.mlpInput(l, c), nil
	case graph.Embedding:
		return t.embedding(l, c), nil
	case graph.PreconditionRow:
		return t.numberAt(c.in[0], l.Which)
	case graph.PreconditionInput:
		n, err := t.numberAt(c.in[1], kernels.PreconditionIn)
		return t.op("Mul", c.path, []string{c.names[0], t.perRow(c, 0, n)}), err
	case graph.PreconditionScore:
		return t.preconditionScore(c)
	}
	return "", fmt.Errorf("cannot write the layer %v at %s in ONNX", l, c.path)
}

// unsqueeze puts axes of one element into a value.
func (t *translator) unsqueeze(path, name string, axes ...int) string {
	return t.op("Unsqueeze", path, []string{name, t.ints(axes...)})
}

// perRow is a number for each row (N) in the rank of input i.
func (t *translator) perRow(c call, i int, name string) string {
	var axes []int
	for a := range len(c.shape(i)) - 1 {
		axes = append(axes, a+1)
	}
	return t.unsqueeze(c.path, name, axes...)
}

// conv is a convolution of images, of stride 2 where it is one of patches, or a linear layer of rows.
func (t *translator) conv(l graph.Conv, c call) string {
	weights := t.params[c.in[1]]
	if len(c.shape(0)) == 2 {
		return t.op("Gemm", c.path, c.names, attribute{"transB", 1})
	}
	k, strides := l.K, []int{1, 1}
	pad := l.Dilation * (l.K / 2)
	pads := []int{pad, pad, pad, pad}
	if _, ok := sourceOf[graph.Patches](c.in[0]); ok {
		_, _, image, _ := graph.Source(c.in[0])
		k, strides, pads = 3, []int{2, 2}, []int{0, 0, 1, 1}
		for i := range 2 { // a zero after an even side alone
			pads[2+i] = 1 - image[0].Shape()[1+i]%2
		}
	}
	if s := weights.Shape; len(s) == 2 { // a linear map of pixels
		t.shapes[weights] = []int{s[0], s[1], 1, 1}
	}
	return t.op("Conv", c.path, c.names, attribute{"kernel_shape", []int{k, k}}, attribute{"strides", strides},
		attribute{"pads", pads}, attribute{"dilations", []int{l.Dilation, l.Dilation}})
}

// standardised is (x - mean)/sqrt(var + eps) over axes, with the mean and the biased variance.
func (t *translator) standardised(path, x string, eps float64, axes ...int) (y, mean string) {
	mean = t.mean(path, x, axes...)
	d := t.op("Sub", path, []string{x, mean})
	return t.overRoot(path, d, t.mean(path, t.op("Mul", path, []string{d, d}), axes...), eps), mean
}

func (t *translator) mean(path, x string, axes ...int) string {
	return t.op("ReduceMean", path, []string{x}, attribute{"axes", axes}, attribute{"keepdims", 1})
}

// overRoot is d/sqrt(variance + eps).
func (t *translator) overRoot(path, d, variance string, eps float64) string {
	return t.op("Div", path, []string{d, t.op("Sqrt", path, []string{t.op("Add", path, []string{variance, t.number(eps)})})})
}

// norm is an instance norm, plain or ++, with its parameters given or looked up by the level.
func (t *translator) norm(l graph.Norm, c call) string {
	eps, channels := l.Epsilon, c.out[3]
	if eps == 0 {
		eps = kernels.NormEpsilon
	}
	y, mean := t.standardised(c.path, c.names[0], eps, 2, 3)
	var alpha, gamma, beta string // of each channel
	switch {
	case l.Levels > 0:
		row := t.op("Gather", c.path, c.names[1:])
		part := func(i int) string {
			piece := t.op("Slice", c.path, []string{row, t.ints(i * channels), t.ints((i + 1) * channels), t.ints(1)})
			return t.unsqueeze(c.path, piece, 2, 3)
		}
		if gamma, beta = part(0), part(1); l.Plus {
			alpha, beta = beta, part(2)
		}
	case l.Plus:
		each := func(i int) string { return t.unsqueeze(c.path, c.names[i], 1, 2) }
		alpha, gamma, beta = each(1), each(2), each(3)
	default:
		return y
	}
	if l.Plus { // the variance of the means over channels is the unbiased one
		e := t.op("Sub", c.path, []string{mean, t.mean(c.path, mean, 1)})
		v := t.mean(c.path, t.op("Mul", c.path, []string{e, e}), 1)
		v = t.op("Mul", c.path, []string{v, t.number(float64(channels) / float64(channels-1))})
		hat := t.overRoot(c.path, e, v, kernels.NormEpsilon)
		y = t.op("Add", c.path, []string{y, t.op("Mul", c.path, []string{hat, alpha})})
	}
	return t.op("Add", c.path, []string{t.op("Mul", c.path, []string{y, gamma}), beta})
}

// groupNorm is a group norm, and the swish of its result where that belongs to it.
func (t *translator) groupNorm(l graph.GroupNorm, c call) string {
	groups := l.Groups
	if groups == 0 {
		groups = graph.Groups(c.out[3])
	}
	y, _ := t.standardised(c.path, t.op("Reshape", c.path, []string{c.names[0], t.ints(0, groups, -1)}),
		kernels.GroupNormEpsilon, 2)
	y = t.op("Reshape", c.path, []string{y, t.ints(0, c.out[3], c.out[1], c.out[2])})
	y = t.op("Mul", c.path, []string{y, t.unsqueeze(c.path, c.names[1], 1, 2)})
	y = t.op("Add", c.path, []string{y, t.unsqueeze(c.path, c.names[2], 1, 2)})
	if l.Swish {
		y = t.op("Mul", c.path, []string{y, t.op("Sigmoid", c.path, []string{y})})
	}
	return y
}

func (t *translator) activation(f kernels.Activation, path, x string) (string, error) {
	in := []string{x}
	switch f {
	case kernels.ELU:
		return t.op("Elu", path, in), nil
	case kernels.ReLU:
		return t.op("Relu", path, in), nil
	case kernels.LReLU:
		return t.op("LeakyRelu", path, in, attribute{"alpha", float32(kernels.Leak)}), nil
	case kernels.Swish:
		return t.op("Mul", path, []string{x, t.op("Sigmoid", path, in)}), nil
	case kernels.Softplus:
		return t.op("Softplus", path, in), nil
	}
	return "", fmt.Errorf("cannot write the activation %s in ONNX", f)
}

// resize is a bilinear resize with aligned corners, or each pixel twice along both axes.
func (t *translator) resize(l graph.Layer, c call) string {
	settings := []attribute{{"mode", "linear"}, {"coordinate_transformation_mode", "align_corners"}}
	if _, ok := l.(graph.Nearest); ok {
		settings = []attribute{{"mode", "nearest"}, {"coordinate_transformation_mode", "asymmetric"}, {"nearest_mode", "floor"}}
	}
	rows := t.op("Slice", c.path, []string{t.op("Shape", c.path, c.names), t.ints(0), t.ints(2)})
	size := t.op("Concat", c.path, []string{rows, t.ints(c.out[1], c.out[2])}, attribute{"axis", 0})
	return t.op("Resize", c.path, []string{c.names[0], "", "", size}, settings...)
}

// fir is a resampling with a filter: a convolution of each channel by itself, transposed where the image grows. There
// out[i] = sum of x[m] w'[i + begin - 2m], so the taps are turned around and begin is 3 - Pad.
func (t *translator) fir(l graph.FIR, c call) string {
	n, h, w, channels := 1, c.shape(0)[1], c.shape(0)[2], c.shape(0)[3]
	s := [...]func(n, h, w, c int, kernel [4]float32) kernels.FIRShape{kernels.FIRDown, kernels.FIRUp, kernels.FIRFilter,
		kernels.FIRUpWide}[l.Kind](n, h, w, channels, l.Kernel)
	taps := s.Taps
	if s.Up == 2 {
		taps = [4]float32{taps[3], taps[2], taps[1], taps[0]}
	}
	values := make([]float32, 0, 16*channels)
	for range channels {
		for _, a := range taps {
			for _, b := range taps {
				values = append(values, float32(float64(a)*float64(b)))
			}
		}
	}
	filter := t.floats("fir", []int{channels, 1, 4, 4}, values...)
	op, pads := "Conv", []int{s.Pad, s.Pad, (s.HOut-1)*s.Down + 4 - h - s.Pad, (s.WOut-1)*s.Down + 4 - w - s.Pad}
	if s.Up == 2 {
		op, pads = "ConvTranspose", []int{3 - s.Pad, 3 - s.Pad, 2*h - 1 + s.Pad - s.HOut, 2*w - 1 + s.Pad - s.WOut}
	}
	return t.op(op, c.path, []string{c.names[0], filter}, attribute{"kernel_shape", []int{4, 4}}, attribute{"group", channels},
		attribute{"strides", []int{s.Up * s.Down, s.Up * s.Down}}, attribute{"pads", pads})
}

// attention is self-attention of one head over pixels.
func (t *translator) attention(c call) string {
	channels := c.out[3]
	pixels := func(i int) string { return t.op("Reshape", c.path, []string{c.names[i], t.ints(0, channels, -1)}) } // (N, C, P)
	turned := attribute{"perm", []int{0, 2, 1}}
	q, k, v := pixels(0), pixels(1), pixels(2)
	scores := t.op("MatMul", c.path, []string{t.op("Transpose", c.path, []string{q}, turned), k})
	scores = t.op("Mul", c.path, []string{scores, t.number(1 / math.Sqrt(float64(channels)))})
	weights := t.op("Softmax", c.path, []string{scores}, attribute{"axis", -1})
	y := t.op("MatMul", c.path, []string{v, t.op("Transpose", c.path, []string{weights}, turned)})
	return t.op("Reshape", c.path, []string{y, t.ints(0, channels, c.out[1], c.out[2])})
}

// mlpInput is [x / sqrt(sigma^2 + sd^2), ln sigma].
func (t *translator) mlpInput(l graph.MLPInput, c call) string {
	e := expression{t, c.path}
	sigma := e.widen(c.names[1])
	variance := e.of("Add", e.of("Mul", sigma, sigma), e.doubles(l.SD*l.SD))
	scale := e.cast(string(e.of("Div", e.doubles(1), e.of("Sqrt", variance))), float32s)
	x := t.op("Mul", c.path, []string{c.names[0], t.perRow(c, 0, scale)})
	ln := e.cast(string(e.of("Log", sigma)), float32s)
	return t.op("Concat", c.path, []string{x, t.perRow(c, 0, ln)}, attribute{"axis", 1})
}

// embedding is the sines and cosines of phases, each product rounded in the order of kernels.Embedding.
func (t *translator) embedding(l graph.Embedding, c call) string {
	cond := c.names[0]
	if l.Fourier {
		e := expression{t, c.path}
		cond = e.cast(string(e.of("Log", e.widen(cond))), float32s)
	}
	column := t.unsqueeze(c.path, cond, 1)
	phase := t.op("Mul", c.path, []string{column, c.names[1]})
	if l.Fourier {
		phase = t.op("Mul", c.path, []string{t.op("Mul", c.path, []string{phase, t.number(2)}), t.number(math.Pi)})
	}
	parts := []string{t.op("Sin", c.path, []string{phase}), t.op("Cos", c.path, []string{phase})}
	if l.Values%2 == 1 {
		parts = append(parts, t.op("Mul", c.path, []string{column, t.number(0)}))
	}
	return t.op("Concat", c.path, parts, attribute{"axis", 1})
}

// preconditionScore is a x + b F.
func (t *translator) preconditionScore(c call) (string, error) {
	b, err := t.numberAt(c.in[2], kernels.PreconditionF)
	if err != nil {
		return "", err
	}
	y := t.op("Mul", c.path, []string{c.names[1], t.perRow(c, 0, b)})
	if p, _ := sourceOf[graph.Precondition](c.in[2]); p.Betas != (kernels.Betas{}) {
		return y, nil // a is 0
	}
	a, err := t.numberAt(c.in[2], kernels.PreconditionX)
	return t.op("Add", c.path, []string{t.op("Mul", c.path, []string{c.names[0], t.perRow(c, 0, a)}), y}), err
}

// sourceOf returns the layer whose output a node is, where it is one of that kind.
func sourceOf[L graph.Layer](n *gorgonia.Node) (l L, ok bool) {
	source, _, _, _ := graph.Source(n)
	l, ok = source.(L)
	return l, ok
}
