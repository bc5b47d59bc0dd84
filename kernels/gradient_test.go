package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
)

// gradientCheck is an operation, its result y with dy, the gradient of something with respect to it, and the
// operations that make the gradients with respect to its inputs of that.
type gradientCheck struct {
	name     string
	forward  kernels.Op
	backward []kernels.Op
	mem      []float32 // what they run on
	y, dy    kernels.Buf
	inputs   []input
	kink     bool // at 0, where there is no derivative
}

// input is a window and where its gradient is left.
type input struct{ x, dx kernels.Buf }

// gradientChecks lists the operations that have a gradient.
func gradientChecks() []gradientCheck {
	var list []gradientCheck
	for _, f := range []func() []gradientCheck{
		convGradients, normGradients, groupNormGradients, attentionGradients, firGradients, activationGradients,
		maxPool5Gradients, avgPool5Gradients, meanPool2Gradients,
		nearest2Gradients, patchesGradients, concatGradients, addRowGradients, dropoutGradients, lookupGradients, scaledSumGradients,
		resizeGradients, affineGradients, divSigmaGradients, mlpInputGradients, rowMixGradients, lossGradients,
	} {
		list = append(list, f()...)
	}
	return list
}

func convGradients() (list []gradientCheck) {
	for _, g := range []kernels.ConvShape{
		{N: 2, H: 4, W: 5, Cin: 3, Cout: 2, K: 3, Dilation: 1}, {N: 2, H: 5, W: 4, Cin: 2, Cout: 3, K: 3, Dilation: 2},
		{N: 3, H: 1, W: 1, Cin: 4, Cout: 3, K: 1, Dilation: 1},
	} {
		var m memory
		in, out, weights := g.N*g.H*g.W*g.Cin, g.N*g.H*g.W*g.Cout, g.Cout*g.K*g.K*g.Cin
		f := kernels.Conv{ConvShape: g, X: m.normals(in), Weight: m.normals(weights), Bias: m.normals(g.Cout),
			Y: m.normals(out)}
		dx := kernels.ConvGradInput{ConvShape: g, DY: m.normals(out), Weight: f.Weight, DX: m.normals(in)}
		dw := kernels.ConvGradWeight{ConvShape: g, X: f.X, DY: dx.DY,
			DWeight: m.normals(weights), DBias: m.normals(g.Cout)}
		list = append(list, gradientCheck{name: fmt.Sprintf("conv %+v", g),
			forward: f, backward: []kernels.Op{dx, dw}, mem: m.words,
			y: f.Y, dy: dx.DY, inputs: []input{{f.X, dx.DX}, {f.Weight, dw.DWeight}, {f.Bias, dw.DBias}}})
	}
	return list
}

func normGradients() (list []gradientCheck) {
	const n, p, c, levels = 3, 6, 3, 4
	shape := kernels.NormShape{N: n, P: p, C: c}
	for _, width := range []int{0, 1, 2, 3} { // no parameters, vectors, tables of gamma and beta, and with alpha
		var m memory
		x, y, dy, dx := m.normals(n*p*c), m.normals(n*p*c), m.normals(n*p*c), m.normals(n*p*c)
		stats := kernels.NormStats{Mean: m.normals(n * c), Rstd: m.normals(n * c),
			MuHat: m.normals(n * c), Q: m.normals(n)}
		f := kernels.Norm{NormShape: shape, X: x, Y: y, NormStats: stats, Eps: 0.1}
		b := kernels.NormGrad{NormShape: shape, X: x, DY: dy, DX: dx, NormStats: stats}
		inputs := []input{{x, dx}}
		switch width {
		case 1:
			f.Gamma, f.Alpha, f.Beta = m.normals(c), m.normals(c), m.normals(c)
			b.Gamma, b.Alpha, b.DGamma, b.DAlpha, b.DBeta = f.Gamma, f.Alpha, m.normals(c), m.normals(c), m.normals(c)
			inputs = append(inputs, input{f.Gamma, b.DGamma}, input{f.Alpha, b.DAlpha}, input{f.Beta, b.DBeta})
		case 2, 3:
			f.Embed, f.Level, f.Levels = m.normals(levels*width*c), m.normals(n), levels
			b.Embed, b.Level, b.Levels, b.DEmbed = f.Embed, f.Level, levels, m.normals(levels*width*c)
			for i, l := range []uint32{2, 0, 2} {
				kernels.SetWord(m.words, f.Level, i, l)
			}
			inputs = append(inputs, input{f.Embed, b.DEmbed})
		}
		list = append(list, gradientCheck{name: fmt.Sprintf("norm %d", width),
			forward: f, backward: []kernels.Op{b}, mem: m.words, y: y, dy: dy, inputs: inputs})
	}
	return list
}

func groupNormGradients() (list []gradientCheck) {
	for _, s := range []kernels.GroupNormShape{
		{N: 2, P: 6, C: 6, Groups: 2}, {N: 3, P: 5, C: 4, Groups: 1}, {N: 2, P: 1, C: 10, Groups: 2},
	} {
		for _, swish := range []bool{false, true} {
			var m memory
			all := s.N * s.P * s.C
			x, y, dy, dx := m.normals(all), m.normals(all), m.normals(all), m.normals(all)
			stats := kernels.GroupStats{Mean: m.normals(s.N * s.Groups), Rstd: m.normals(s.N * s.Groups)}
			f := kernels.GroupNorm{GroupNormShape: s, Swish: swish, X: x, Y: y, GroupStats: stats,
				Gamma: m.normals(s.C), Beta: m.normals(s.C)}
			b := kernels.GroupNormGrad{GroupNormShape: s, Swish: swish, X: x, DY: dy, DX: dx, GroupStats: stats,
				Gamma: f.Gamma, Beta: f.Beta, DGamma: m.normals(s.C), DBeta: m.normals(s.C)}
			list = append(list, gradientCheck{name: fmt.Sprintf("group_norm %+v, swish %t", s, swish),
				forward: f, backward: []kernels.Op{b}, mem: m.words, y: y, dy: dy,
				inputs: []input{{x, dx}, {f.Gamma, b.DGamma}, {f.Beta, b.DBeta}}})
		}
	}
	return list
}

// attentionGradients are those of the two products and of the softmax between them, as each needs the others.
func attentionGradients() (list []gradientCheck) {
	s := kernels.AttentionShape{N: 2, P: 5, C: 3}
	pixels, pairs, scale := s.N*s.P*s.C, s.N*s.P*s.P, float32(0.6)
	{
		var m memory
		f := kernels.AttentionScores{AttentionShape: s, A: m.normals(pixels), B: m.normals(pixels), S: m.normals(pairs), Scale: scale}
		ds, da, db := m.normals(pairs), m.normals(pixels), m.normals(pixels)
		list = append(list, gradientCheck{name: "attention_scores", forward: f, backward: []kernels.Op{
			kernels.AttentionMix{AttentionShape: s, S: ds, X: f.B, Y: da, Scale: scale},
			kernels.AttentionMix{AttentionShape: s, S: ds, X: f.A, Y: db, Transposed: true, Scale: scale},
		}, mem: m.words, y: f.S, dy: ds, inputs: []input{{f.A, da}, {f.B, db}}})
	}
	{
		var m memory
		f := kernels.AttentionMix{AttentionShape: s, S: m.normals(pairs), X: m.normals(pixels), Y: m.normals(pixels), Scale: scale}
		dy, ds, dx := m.normals(pixels), m.normals(pairs), m.normals(pixels)
		list = append(list, gradientCheck{name: "attention_mix", forward: f, backward: []kernels.Op{
			kernels.AttentionScores{AttentionShape: s, A: dy, B: f.X, S: ds, Scale: scale},
			kernels.AttentionMix{AttentionShape: s, S: f.S, X: dy, Y: dx, Transposed: true, Scale: scale},
		}, mem: m.words, y: f.Y, dy: dy, inputs: []input{{f.S, ds}, {f.X, dx}}})
	}
	var m memory
	f := kernels.Softmax{N: s.N, D: s.P, X: m.normals(pairs), Y: m.normals(pairs)}
	b := kernels.SoftmaxGrad{N: s.N, D: s.P, DY: m.normals(pairs), Y: f.Y, DX: m.normals(pairs)}
	return append(list, gradientCheck{name: "softmax", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}}})
}

func firGradients() (list []gradientCheck) {
	kernel := [4]float32{1, 2, 4, 3}
	for _, s := range []kernels.FIRShape{
		kernels.FIRDown(2, 4, 6, 2, kernel), kernels.FIRDown(1, 5, 3, 2, kernel), kernels.FIRUp(2, 3, 2, 2, kernel),
		kernels.FIRUp(1, 1, 1, 3, kernel), kernels.FIRFilter(2, 3, 4, 2, kernel), kernels.FIRFilter(1, 1, 2, 1, kernel),
	} {
		var m memory
		in, out := s.N*s.H*s.W*s.C, s.N*s.HOut*s.WOut*s.C
		f := kernels.FIR{FIRShape: s, X: m.normals(in), Y: m.normals(out)}
		dy, dx := m.normals(out), m.normals(in)
		list = append(list, gradientCheck{name: fmt.Sprintf("fir %+v", s),
			forward: f, backward: []kernels.Op{s.Grad(dx, dy)}, mem: m.words, y: f.Y, dy: dy, inputs: []input{{f.X, dx}}})
	}
	return list
}

func activationGradients() (list []gradientCheck) {
	for _, a := range kernels.Activations {
		var m memory
		f := kernels.Activate{F: a, N: 4, X: m.normals(40), Y: m.normals(40)}
		b := kernels.ActivateGrad{F: a, N: 4, DY: m.normals(40), DX: m.normals(40), Y: f.Y}
		if a.FromInput() {
			b.X, b.Y = f.X, kernels.Buf{}
		}
		list = append(list, gradientCheck{name: string(a),
			forward: f, backward: []kernels.Op{b}, mem: m.words, y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}},
			kink: a == kernels.ReLU || a == kernels.LReLU})
	}
	return list
}

func maxPool5Gradients() []gradientCheck {
	var m memory
	s := kernels.PoolShape{N: 2, H: 6, W: 7, C: 4}
	n := s.N * s.H * s.W * s.C
	f := kernels.MaxPool5{PoolShape: s, X: m.apart(n), Y: m.normals(n), Index: m.normals(s.IndexWords())}
	b := kernels.MaxPool5Grad{PoolShape: s, DY: m.normals(n), DX: m.normals(n), Index: f.Index}
	return []gradientCheck{{name: "maxpool5", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}}}}
}

func avgPool5Gradients() []gradientCheck {
	var m memory
	s := kernels.PoolShape{N: 2, H: 5, W: 7, C: 2}
	n := s.N * s.H * s.W * s.C
	f := kernels.AvgPool5{PoolShape: s, X: m.normals(n), Y: m.normals(n)}
	b := kernels.AvgPool5{PoolShape: s, X: m.normals(n), Y: m.normals(n)}
	return []gradientCheck{{name: "avgpool5", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.X, inputs: []input{{f.X, b.Y}}}}
}

func meanPool2Gradients() []gradientCheck {
	var m memory
	s := kernels.PoolShape{N: 2, H: 4, W: 6, C: 3}
	n := s.N * s.H * s.W * s.C
	f := kernels.MeanPool2{PoolShape: s, X: m.normals(n), Y: m.normals(n / 4)}
	b := kernels.MeanPool2Grad{PoolShape: s, DY: m.normals(n / 4), DX: m.normals(n)}
	return []gradientCheck{{name: "meanpool2", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}}}}
}

func resizeGradients() (list []gradientCheck) {
	for _, s := range []kernels.ResizeShape{
		{N: 2, H: 3, W: 4, HOut: 6, WOut: 7, C: 2}, {N: 2, H: 7, W: 5, HOut: 3, WOut: 1, C: 2},
	} {
		var m memory
		in, out := s.N*s.H*s.W*s.C, s.N*s.HOut*s.WOut*s.C
		f := kernels.Resize{ResizeShape: s, X: m.normals(in), Y: m.normals(out)}
		b := kernels.ResizeGrad{ResizeShape: s, DY: m.normals(out), DX: m.normals(in)}
		list = append(list, gradientCheck{name: fmt.Sprintf("resize %+v", s),
			forward: f, backward: []kernels.Op{b}, mem: m.words, y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}}})
	}
	return list
}

func nearest2Gradients() []gradientCheck {
	var m memory
	s := kernels.PoolShape{N: 2, H: 3, W: 2, C: 3}
	n := s.N * s.H * s.W * s.C
	f := kernels.Nearest2{PoolShape: s, X: m.normals(n), Y: m.normals(4 * n)}
	b := kernels.Nearest2Grad{PoolShape: s, DY: m.normals(4 * n), DX: m.normals(n)}
	return []gradientCheck{{name: "nearest2", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}}}}
}

func patchesGradients() (list []gradientCheck) {
	for _, s := range []kernels.PatchShape{{N: 2, H: 4, W: 5, C: 2}, {N: 1, H: 5, W: 6, C: 3}} {
		var m memory
		n := s.N * s.H * s.W * s.C
		f := kernels.Patches{PatchShape: s, X: m.normals(n), Y: m.normals(s.Words())}
		b := kernels.PatchesGrad{PatchShape: s, DY: m.normals(s.Words()), DX: m.normals(n)}
		list = append(list, gradientCheck{name: fmt.Sprintf("patches %+v", s), forward: f, backward: []kernels.Op{b},
			mem: m.words, y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}}})
	}
	return list
}

func concatGradients() (list []gradientCheck) {
	s := kernels.ConcatShape{N: 2, P: 3, CA: 2, CB: 5}
	all := s.N * s.P * (s.CA + s.CB)
	var m, d memory
	f := kernels.Concat{ConcatShape: s, A: m.normals(12), B: m.normals(30), Y: m.normals(all)}
	b := kernels.Split{ConcatShape: s, Y: m.normals(all), A: m.normals(12), B: m.normals(30)}
	g := kernels.Split{ConcatShape: s, Y: d.normals(all), B: d.normals(30)} // one side alone
	c := kernels.Concat{ConcatShape: s, A: d.add(make([]float32, 12)), B: d.normals(30), Y: d.normals(all)}
	return []gradientCheck{
		{name: "concat", forward: f, backward: []kernels.Op{b}, mem: m.words, y: f.Y, dy: b.Y,
			inputs: []input{{f.A, b.A}, {f.B, b.B}}},
		{name: "split", forward: g, backward: []kernels.Op{c}, mem: d.words, y: g.B, dy: c.B,
			inputs: []input{{g.Y, c.Y}}},
	}
}

func addRowGradients() []gradientCheck {
	var m memory
	s := kernels.NormShape{N: 2, P: 5, C: 3}
	f := kernels.AddRow{NormShape: s, X: m.normals(30), E: m.normals(6), Y: m.normals(30)}
	b := kernels.AddRowGrad{NormShape: s, DY: m.normals(30), DE: m.normals(6)}
	return []gradientCheck{{name: "add_row", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.DY, inputs: []input{{f.E, b.DE}, {f.X, b.DY}}}}
}

func dropoutGradients() []gradientCheck {
	var m memory
	f := kernels.Dropout{N: 4, X: m.normals(40), Y: m.normals(40), State: m.add(make([]float32, kernels.StateWords)),
		P: 0.3, Layer: 2, Seed: 5}
	b := f
	b.X, b.Y = m.normals(40), m.normals(40)
	return []gradientCheck{{name: "dropout", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.X, inputs: []input{{f.X, b.Y}}}}
}

func lookupGradients() []gradientCheck {
	var m memory
	index := []float32{2, 0, 2, 3, 2, 0} // row 1 of the table is never looked up
	for i, v := range index {
		index[i] = math.Float32frombits(uint32(v))
	}
	f := kernels.Lookup{N: 6, Table: m.normals(4 * 5), Index: m.add(index), Y: m.normals(6 * 5)}
	b := kernels.LookupGrad{N: 6, DTable: m.normals(4 * 5), DY: m.normals(6 * 5), Index: f.Index}
	return []gradientCheck{{name: "lookup", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.DY, inputs: []input{{f.Table, b.DTable}}}}
}

func scaledSumGradients() []gradientCheck {
	const root = 0.70710678
	var m memory
	f := kernels.ScaledSum{N: 4, A: m.normals(40), B: m.normals(40), Dst: m.normals(40), Inner: 1, Outer: root}
	b := kernels.ScaledSum{N: 4, A: m.normals(40), Dst: m.normals(40), Outer: root}
	var d memory // added to a gradient that is there: of y = a + root b
	g := kernels.ScaledSum{N: 4, A: d.normals(40), B: d.normals(40), Dst: d.normals(40), Inner: root, Outer: 1}
	c := kernels.ScaledSum{N: 4, A: d.add(make([]float32, 40)), B: d.normals(40), Dst: d.normals(40), Inner: root, Outer: 1}
	return []gradientCheck{
		{name: "scaled_sum", forward: f, backward: []kernels.Op{b}, mem: m.words, y: f.Dst, dy: b.A,
			inputs: []input{{f.A, b.Dst}, {f.B, b.Dst}}},
		{name: "scaled_sum onto", forward: g, backward: []kernels.Op{c}, mem: d.words, y: g.Dst, dy: c.B,
			inputs: []input{{g.A, c.B}, {g.B, c.Dst}}},
	}
}

func affineGradients() []gradientCheck {
	var m memory
	f := kernels.Affine{N: 4, X: m.normals(40), Y: m.normals(40), Scale: 2, Shift: -1}
	b := kernels.Affine{N: 4, X: m.normals(40), Y: m.normals(40), Scale: 2}
	return []gradientCheck{{name: "affine", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.X, inputs: []input{{f.X, b.Y}}}}
}

func divSigmaGradients() []gradientCheck {
	var m memory
	f := kernels.DivSigma{N: 4, X: m.normals(40), Sigma: m.positive(4), Y: m.normals(40)}
	b := kernels.DivSigma{N: 4, X: m.normals(40), Sigma: f.Sigma, Y: m.normals(40)}
	return []gradientCheck{{name: "div_sigma", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.X, inputs: []input{{f.X, b.Y}}}}
}

func mlpInputGradients() []gradientCheck {
	var m memory
	f := kernels.MLPInput{N: 4, X: m.normals(40), Sigma: m.positive(4), Y: m.normals(44), SD: 0.5}
	b := kernels.MLPInputGrad{N: 4, DY: m.normals(44), Sigma: f.Sigma, DX: m.normals(40), SD: 0.5}
	return []gradientCheck{{name: "mlp_input", forward: f, backward: []kernels.Op{b}, mem: m.words,
		y: f.Y, dy: b.DY, inputs: []input{{f.X, b.DX}}}}
}

func rowMixGradients() []gradientCheck {
	var m memory
	f := kernels.RowMix{N: 4, X: m.normals(40), F: m.normals(40), A: m.normals(4), B: m.normals(4), Y: m.normals(40)}
	dx := kernels.RowMix{N: 4, X: m.normals(40), A: f.A, Y: m.normals(40)}
	df := kernels.RowMix{N: 4, X: dx.X, A: f.B, Y: m.normals(40)}
	return []gradientCheck{{name: "row_mix", forward: f, backward: []kernels.Op{dx, df}, mem: m.words,
		y: f.Y, dy: dx.X, inputs: []input{{f.X, dx.Y}, {f.F, df.Y}}}}
}

func lossGradients() (list []gradientCheck) {
	for _, w := range []kernels.Weight{{Power: 2}, {Power: 1.5}, {Power: 2, SD: 0.25}, {Power: 2, Scale: 0.3}} {
		var m memory
		f := kernels.Loss{N: 4, S: m.normals(40), Z: m.normals(40), Sigma: m.positive(4),
			Mean: m.normals(1), PerRow: m.normals(4), Weight: w}
		b := kernels.LossGrad{N: 4, S: f.S, Z: f.Z, Sigma: f.Sigma,
			DMean: m.normals(1), DS: m.normals(40), Weight: w}
		if w.Scale != 0 {
			f.Factor = m.positive(4)
			b.Factor = f.Factor
		}
		for _, masked := range []bool{false, true} {
			if masked {
				f.Mask = m.add(slices.Repeat([]float32{1, 0, 0, 1, 1}, 8))
				b.Mask = f.Mask
			}
			list = append(list, gradientCheck{name: fmt.Sprintf("loss %v masked %v", w, masked),
				forward: f, backward: []kernels.Op{b}, mem: m.words, y: f.Mean, dy: b.DMean, inputs: []input{{f.S, b.DS}}})
		}
	}
	return list
}

// memory is windows one after the other.
type memory struct {
	words   []float32
	streams uint64
}

func (m *memory) normals(n int) kernels.Buf {
	v := make([]float32, n)
	m.streams++
	kernels.Stream{Seed: 6, Purpose: kernels.PurposeData, N: m.streams}.Normals(v)
	return m.add(v)
}

// add appends a window with these values.
func (m *memory) add(values []float32) kernels.Buf {
	m.words = append(m.words, values...)
	return kernels.Buf{Off: len(m.words) - len(values), N: len(values)}
}

// positive appends n values from 0.5 up.
func (m *memory) positive(n int) kernels.Buf {
	b := m.normals(n)
	for i, v := range b.Of(m.words) {
		b.Of(m.words)[i] = 0.5 + v*v
	}
	return b
}

// apart appends n values in no order, at least 0.1 apart.
func (m *memory) apart(n int) kernels.Buf {
	b := m.normals(n)
	for i := range n {
		b.Of(m.words)[i] = float32(kernels.Permutation(6, uint64(n), uint64(i))) * 0.1
	}
	return b
}

// Gradients of the plain Go references against central differences of sum(dy y), for every element of every input.
func TestReferenceGradients(t *testing.T) {
	for _, c := range gradientChecks() {
		mem := c.mem
		sum := func() (total float64) {
			c.forward.Ref(mem)
			dy := c.dy.Of(mem)
			for i, v := range c.y.Of(mem) {
				total += float64(v) * float64(dy[i])
			}
			return total
		}
		sum()
		for _, op := range c.backward {
			op.Ref(mem)
		}
		for k, w := range c.inputs {
			dx := append([]float32(nil), w.dx.Of(mem)...)
			largest := 0.0
			for _, g := range dx {
				largest = math.Max(largest, math.Abs(float64(g)))
			}
			x := w.x.Of(mem)
			for i, old := range x {
				const h = 1.0 / 256
				if c.kink && math.Abs(float64(old)) <= h {
					continue
				}
				x[i] = old + h
				up := sum()
				x[i] = old - h
				down := sum()
				x[i] = old
				if want := (up - down) / (2 * h); math.Abs(float64(dx[i])-want) > 2e-3*math.Max(largest, 0.1) {
					t.Errorf("%s, input %d, element %d: gradient %g, central difference %g", c.name, k, i, dx[i], want)
				}
			}
		}
	}
}
