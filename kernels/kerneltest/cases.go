// The cases of every operation, a function for each. The order in which a case takes its windows decides their values.

package kerneltest

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"sigmaz/kernels"
)

// Cases lists every operation at its sizes, in the given precisions or, where none is given, in all that it has.
func Cases(precisions ...kernels.Precision) []Case {
	var l list
	for _, f := range []func(*list){
		(*list).conv, (*list).convGradInput, (*list).convGradWeight,
		(*list).norm, (*list).normGrad,
		(*list).groupNorm, (*list).groupNormGrad,
		(*list).attentionScores, (*list).attentionMix, (*list).softmax, (*list).softmaxGrad,
		(*list).fir,
		(*list).activate, (*list).activateGrad,
		(*list).maxPool5, (*list).maxPool5Grad, (*list).avgPool5, (*list).meanPool2, (*list).meanPool2Grad,
		(*list).resize, (*list).resizeGrad,
		(*list).nearest2, (*list).nearest2Grad, (*list).patches, (*list).patchesGrad, (*list).concat, (*list).split,
		(*list).addRow, (*list).addRowGrad, (*list).dropout, (*list).embedding, (*list).lookup, (*list).scaledSum,
		(*list).add, (*list).affine, (*list).treeMean, (*list).fill, (*list).narrow,
		(*list).divSigma, (*list).mlpInput, (*list).mlpInputGrad, (*list).precondition, (*list).rowMix,
		(*list).perturb, (*list).drawClasses, (*list).loss, (*list).lossGrad, (*list).record, (*list).gradNorm, (*list).adam,
		(*list).tick,
		(*list).samplerSigma, (*list).samplerGain, (*list).samplerUpdate,
		(*list).samplerMisfit, (*list).samplerFit, (*list).samplerGuide, (*list).ode, (*list).twin, (*list).guide,
		(*list).pairExtremes,
	} {
		f(&l)
	}
	for _, c := range l.cases { // activations may be kept in bf16
		if c.Precision == kernels.Float32 && storesActivations(c.Op) {
			l.bf16(c, func(string) bool { return true })
		}
	}
	if len(precisions) == 0 {
		return l.cases
	}
	return slices.DeleteFunc(l.cases, func(c Case) bool { return !slices.Contains(precisions, c.Precision) })
}

// list collects cases.
type list struct{ cases []Case }

// approximate adds a case whose results are compared within a tolerance.
func (l *list) approximate(name string, b *builder, op kernels.Op) {
	l.cases = append(l.cases, Case{Name: name, Op: op, Precision: kernels.Float32, Init: b.mem})
}

// exact adds a case whose results are compared bit for bit.
func (l *list) exact(name string, b *builder, op kernels.Op) {
	l.cases = append(l.cases, Case{Name: name, Op: op, Precision: kernels.Float32, Exact: true, Init: b.mem})
}

// tensor adds two cases of a convolution, in TF32 and in BF16, whose sums have so many terms.
func (l *list) tensor(name string, b *builder, op kernels.Op, terms int) {
	kind, shape, _ := strings.Cut(name, "/")
	c := Case{Name: kind + "-tf32/" + shape, Op: op, Precision: kernels.TF32, Init: b.mem, Terms: terms}
	var s kernels.ConvShape
	bf16 := c
	switch o := op.(type) {
	case kernels.Conv:
		s, o.Precision = o.ConvShape, kernels.TF32
		c.Op = o
		o.Precision = kernels.BF16
		bf16.Op = o
	case kernels.ConvGradInput:
		s, o.Precision = o.ConvShape, kernels.TF32
		c.Op = o
		o.Precision = kernels.BF16
		bf16.Op = o
	case kernels.ConvGradWeight:
		s, o.Precision = o.ConvShape, kernels.TF32
		c.Op = o
		o.Precision = kernels.BF16
		bf16.Op = o
	}
	l.cases = append(l.cases, c)
	bf16.Name = name
	in, out := narrow(s.Cin), narrow(s.Cout)
	l.bf16(bf16, func(field string) bool {
		return map[string]bool{"X": in, "DX": in, "Y": out, "DY": out, "Weight": in && out}[field]
	})
}

// narrow says whether activations of so many channels are kept in bf16.
func narrow(channels int) bool { return kernels.BF16.Stored(channels) == kernels.BFloat16 }

// activations are the fields of operations that activations and their gradients are in.
var activations = []string{"X", "Y", "DX", "DY", "A", "B", "Dst"}

// storesActivations says whether a network may keep the activations of an operation, no convolution, in bf16.
func storesActivations(op kernels.Op) bool {
	i := slices.IndexFunc(kernels.Operations, func(o kernels.Operation) bool { return o.Op.Name() == op.Name() })
	return slices.Equal(kernels.Operations[i].Precisions, []kernels.Precision{kernels.Float32, kernels.BF16})
}

// bf16 adds a case once more, with activations in bf16, and weights: those whose field says so.
func (l *list) bf16(c Case, narrow func(field string) bool) {
	halved := map[kernels.Buf]bool{}
	v := reflect.ValueOf(c.Op)
	for _, field := range append([]string{"Weight"}, activations...) {
		f := v.FieldByName(field)
		if f.IsValid() && narrow(field) {
			halved[f.Interface().(kernels.Buf)] = true
		}
	}
	var b builder
	moved := map[kernels.Buf]kernels.Buf{}
	c.Op = kernels.Moved(c.Op, func(w kernels.Buf) kernels.Buf {
		if _, ok := moved[w]; !ok && halved[w] {
			moved[w] = b.halves(w.Of(c.Init))
		} else if !ok {
			moved[w] = b.add(w.Of(c.Init))
		}
		return moved[w]
	})
	kind, shape, _ := strings.Cut(c.Name, "/")
	c.Name, c.Precision, c.Init = kind+"-bf16/"+shape, kernels.BF16, b.mem
	l.cases = append(l.cases, c)
}

// image is n images of h x w pixels and c channels.
type image struct{ n, h, w, c int }

var images = []image{
	{1, 1, 1, 3}, {2, 1, 5, 2}, {3, 2, 2, 8}, {2, 7, 5, 17}, {5, 14, 14, 16}, {2, 28, 28, 8}, {1, 33, 47, 31},
	{17, 3, 4, 33}, {1, 8, 6, 96}, {2, 9, 11, 6}, {1, 4, 6, 32}, {2, 13, 8, 1},
}

func (m image) String() string          { return fmt.Sprintf("%dx%dx%dx%d", m.n, m.h, m.w, m.c) }
func (m image) words() int              { return m.n * m.h * m.w * m.c }
func (m image) norm() kernels.NormShape { return kernels.NormShape{N: m.n, P: m.h * m.w, C: m.c} }
func (m image) pool() kernels.PoolShape { return kernels.PoolShape{N: m.n, H: m.h, W: m.w, C: m.c} }
func (m image) even() bool              { return m.h%2 == 0 && m.w%2 == 0 }

// resizes lists the sizes that an image is resized to: a pixel, twice, its own, a little more.
func (m image) resizes() (list []kernels.ResizeShape) {
	for _, to := range [][2]int{{1, 1}, {2 * m.h, 2 * m.w}, {m.h, m.w}, {m.h + 3, m.w + 1}} {
		list = append(list, kernels.ResizeShape{N: m.n, H: m.h, W: m.w, HOut: to[0], WOut: to[1], C: m.c})
	}
	return list
}

// matrix is rows of d values.
type matrix struct{ rows, d int }

var matrices = func() (list []matrix) {
	for _, d := range []int{1, 31, 32, 33, 1023} {
		for _, rows := range []int{1, 3, 33} {
			list = append(list, matrix{rows, d})
		}
	}
	return list
}()

func (m matrix) String() string { return fmt.Sprintf("%dx%d", m.rows, m.d) }
func (m matrix) words() int     { return m.rows * m.d }

// convolution is a geometry with the sizes of its operands.
type convolution struct{ kernels.ConvShape }

var convolutions = []convolution{
	{kernels.ConvShape{N: 1, H: 1, W: 1, Cin: 1, Cout: 1, K: 1, Dilation: 1}},
	{kernels.ConvShape{N: 1, H: 1, W: 1, Cin: 3, Cout: 5, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 33, H: 1, W: 1, Cin: 31, Cout: 17, K: 1, Dilation: 1}},
	{kernels.ConvShape{N: 19, H: 1, W: 1, Cin: 3, Cout: 128, K: 1, Dilation: 1}},
	{kernels.ConvShape{N: 2, H: 28, W: 28, Cin: 1, Cout: 8, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 2, H: 28, W: 28, Cin: 8, Cout: 1, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 3, H: 28, W: 28, Cin: 8, Cout: 8, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 2, H: 14, W: 14, Cin: 16, Cout: 16, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 2, H: 14, W: 14, Cin: 16, Cout: 16, K: 3, Dilation: 2}},
	{kernels.ConvShape{N: 2, H: 14, W: 14, Cin: 16, Cout: 16, K: 3, Dilation: 4}},
	{kernels.ConvShape{N: 2, H: 14, W: 14, Cin: 8, Cout: 16, K: 1, Dilation: 1}},
	{kernels.ConvShape{N: 1, H: 33, W: 47, Cin: 3, Cout: 31, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 1, H: 7, W: 3, Cin: 6, Cout: 33, K: 3, Dilation: 2}},
	{kernels.ConvShape{N: 2, H: 3, W: 9, Cin: 17, Cout: 6, K: 3, Dilation: 4}},
	{kernels.ConvShape{N: 1, H: 8, W: 8, Cin: 96, Cout: 64, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 21, H: 2, W: 2, Cin: 2, Cout: 2, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 1, H: 1, W: 31, Cin: 4, Cout: 3, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 1, H: 31, W: 1, Cin: 4, Cout: 12, K: 3, Dilation: 1}},
}

// tensorConvolutions is for tensor cores, the last ones excepted: their channels are no multiples of 32.
var tensorConvolutions = []convolution{
	{kernels.ConvShape{N: 1, H: 9, W: 15, Cin: 32, Cout: 128, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 2, H: 8, W: 8, Cin: 64, Cout: 32, K: 3, Dilation: 2}},
	{kernels.ConvShape{N: 1, H: 10, W: 12, Cin: 32, Cout: 64, K: 3, Dilation: 4}},
	{kernels.ConvShape{N: 3, H: 7, W: 5, Cin: 96, Cout: 160, K: 1, Dilation: 1}},
	{kernels.ConvShape{N: 5, H: 3, W: 1, Cin: 32, Cout: 32, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 19, H: 1, W: 1, Cin: 64, Cout: 96, K: 1, Dilation: 1}},
	{kernels.ConvShape{N: 1, H: 1, W: 1, Cin: 32, Cout: 32, K: 1, Dilation: 1}},
	{kernels.ConvShape{N: 2, H: 5, W: 7, Cin: 3, Cout: 32, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 2, H: 5, W: 7, Cin: 32, Cout: 1, K: 3, Dilation: 1}},
	{kernels.ConvShape{N: 1, H: 6, W: 5, Cin: 48, Cout: 32, K: 3, Dilation: 2}},
}

func (g convolution) String() string {
	return fmt.Sprintf("%dx%dx%dx%d-%d-k%d-d%d", g.N, g.H, g.W, g.Cin, g.Cout, g.K, g.Dilation)
}
func (g convolution) in() int      { return g.N * g.H * g.W * g.Cin }
func (g convolution) out() int     { return g.N * g.H * g.W * g.Cout }
func (g convolution) weights() int { return g.Cout * g.K * g.K * g.Cin }

func (l *list) conv() {
	for _, g := range convolutions {
		var b, c builder
		l.approximate("conv/"+g.String(), &b, kernels.Conv{ConvShape: g.ConvShape,
			X: b.normals(g.in()), Weight: b.normals(g.weights()), Bias: b.normals(g.Cout), Y: b.out(g.out())})
		l.approximate("conv-nobias/"+g.String(), &c, kernels.Conv{ConvShape: g.ConvShape,
			X: c.normals(g.in()), Weight: c.normals(g.weights()), Y: c.out(g.out())})
	}
	for _, g := range tensorConvolutions {
		var b, c builder
		terms := g.K*g.K*g.Cin + 1
		l.tensor("conv/"+g.String(), &b, kernels.Conv{ConvShape: g.ConvShape,
			X: b.normals(g.in()), Weight: b.normals(g.weights()), Bias: b.normals(g.Cout), Y: b.out(g.out())}, terms)
		l.tensor("conv-nobias/"+g.String(), &c, kernels.Conv{ConvShape: g.ConvShape,
			X: c.normals(g.in()), Weight: c.normals(g.weights()), Y: c.out(g.out())}, terms)
	}
}

func (l *list) convGradInput() {
	for _, g := range convolutions {
		var b builder
		l.approximate("conv_grad_input/"+g.String(), &b, kernels.ConvGradInput{ConvShape: g.ConvShape,
			DY: b.normals(g.out()), Weight: b.normals(g.weights()), DX: b.out(g.in())})
	}
	for _, g := range tensorConvolutions {
		var b builder
		l.tensor("conv_grad_input/"+g.String(), &b, kernels.ConvGradInput{ConvShape: g.ConvShape,
			DY: b.normals(g.out()), Weight: b.normals(g.weights()), DX: b.out(g.in())}, g.K*g.K*g.Cout)
	}
}

func (l *list) convGradWeight() {
	for _, g := range convolutions {
		var b builder
		l.approximate("conv_grad_weight/"+g.String(), &b, kernels.ConvGradWeight{ConvShape: g.ConvShape,
			X: b.normals(g.in()), DY: b.normals(g.out()), DWeight: b.out(g.weights()), DBias: b.out(g.Cout)})
	}
	for _, multiprocessors := range []int{4, 108, 132} {
		for _, g := range convolutions {
			var b builder
			l.approximate(fmt.Sprintf("conv_grad_weight-%d/%s", multiprocessors, g), &b, kernels.ConvGradWeight{
				ConvShape: g.ConvShape, Multiprocessors: multiprocessors,
				X: b.normals(g.in()), DY: b.normals(g.out()), DWeight: b.out(g.weights()), DBias: b.out(g.Cout)})
		}
	}
	for _, g := range tensorConvolutions {
		var b, c builder
		terms := g.N * g.H * g.W
		l.tensor("conv_grad_weight/"+g.String(), &b, kernels.ConvGradWeight{
			ConvShape: g.ConvShape,
			X:         b.normals(g.in()), DY: b.normals(g.out()), DWeight: b.out(g.weights()), DBias: b.out(g.Cout)}, terms)
		l.tensor("conv_grad_weight-nobias/"+g.String(), &c, kernels.ConvGradWeight{
			ConvShape: g.ConvShape,
			X:         c.normals(g.in()), DY: c.normals(g.out()), DWeight: c.out(g.weights())}, terms)
		for _, multiprocessors := range []int{4, 108} {
			var b builder
			l.tensor(fmt.Sprintf("conv_grad_weight-%d/%s", multiprocessors, g), &b, kernels.ConvGradWeight{
				ConvShape: g.ConvShape, Multiprocessors: multiprocessors,
				X: b.normals(g.in()), DY: b.normals(g.out()), DWeight: b.out(g.weights()), DBias: b.out(g.Cout)}, terms)
		}
	}
}

// levels is the number of rows of a conditional norm's table.
const levels = 4

// levels is a window of the levels of n images: in no order, one of them never.
func (b *builder) levels(n int) kernels.Buf {
	words := make([]uint32, n)
	for i := range words {
		words[i] = uint32(7*i+2) % levels / 2 * 3 % levels
	}
	return b.bits(words...)
}

func (b *builder) stats(m image) kernels.NormStats {
	return kernels.NormStats{Mean: b.out(m.n * m.c), Rstd: b.out(m.n * m.c), MuHat: b.out(m.n * m.c), Q: b.out(m.n)}
}

func (l *list) norm() {
	for _, m := range images {
		name, all := m.String(), m.words()
		var a, b, c, d builder
		l.approximate("norm/"+name, &a, kernels.Norm{NormShape: m.norm(), X: a.normals(all),
			Alpha: a.normals(m.c), Gamma: a.normals(m.c), Beta: a.normals(m.c), NormStats: a.stats(m), Y: a.out(all)})
		l.approximate("norm-plain/"+name, &b, kernels.Norm{NormShape: m.norm(), X: b.normals(all), Eps: 3,
			NormStats: b.stats(m), Y: b.out(all)})
		l.approximate("norm-conditional/"+name, &c, kernels.Norm{NormShape: m.norm(), X: c.normals(all),
			Embed: c.normals(levels * 3 * m.c), Level: c.levels(m.n), Levels: levels,
			NormStats: c.stats(m), Y: c.out(all)})
		l.approximate("norm-conditional-plain/"+name, &d, kernels.Norm{NormShape: m.norm(), X: d.normals(all),
			Embed: d.normals(levels * 2 * m.c), Level: d.levels(m.n), Levels: levels,
			NormStats: d.stats(m), Y: d.out(all)})
	}
}

func (l *list) normGrad() {
	for _, m := range images {
		name, all := m.String(), m.words()
		var a, b builder
		grad := kernels.NormGrad{NormShape: m.norm(), X: a.normals(all), DY: a.normals(all),
			Alpha: a.normals(m.c), Gamma: a.normals(m.c), DX: a.out(all),
			DAlpha: a.out(m.c), DGamma: a.out(m.c), DBeta: a.out(m.c), NormStats: a.stats(m)}
		kernels.Norm{NormShape: m.norm(), X: grad.X, Alpha: grad.Alpha, Gamma: grad.Gamma, Beta: grad.Gamma,
			NormStats: grad.NormStats, Y: grad.DX}.Ref(a.mem)
		l.approximate("norm_grad/"+name, &a, grad)

		plain := kernels.NormGrad{NormShape: m.norm(), X: b.normals(all), DY: b.normals(all), DX: b.out(all),
			NormStats: b.stats(m)}
		kernels.Norm{NormShape: m.norm(), X: plain.X, NormStats: plain.NormStats, Y: plain.DX}.Ref(b.mem)
		l.approximate("norm_grad-plain/"+name, &b, plain)

		for _, parts := range []int{2, 3} { // gamma and beta, and alpha
			var b builder
			grad := kernels.NormGrad{NormShape: m.norm(), X: b.normals(all), DY: b.normals(all),
				Embed: b.normals(levels * parts * m.c), Level: b.levels(m.n), Levels: levels,
				DX: b.out(all), DEmbed: b.out(levels * parts * m.c), NormStats: b.stats(m)}
			kernels.Norm{NormShape: m.norm(), X: grad.X, Embed: grad.Embed, Level: grad.Level, Levels: levels,
				NormStats: grad.NormStats, Y: grad.DX}.Ref(b.mem)
			l.approximate(fmt.Sprintf("norm_grad-conditional-%d/%s", parts, name), &b, grad)
		}
	}
}

// groupNorms lists geometries: groups of every kind, a pixel, a row, sizes that are no multiples of anything.
var groupNorms = []kernels.GroupNormShape{
	{N: 2, P: 12, C: 12, Groups: 3}, {N: 3, P: 4, C: 20, Groups: 5}, {N: 2, P: 2, C: 192, Groups: 32},
	{N: 5, P: 1, C: 4, Groups: 1}, {N: 1, P: 1, C: 128, Groups: 32}, {N: 1, P: 35, C: 18, Groups: 2},
	{N: 17, P: 7, C: 33, Groups: 3}, {N: 2, P: 289, C: 6, Groups: 1}, {N: 1, P: 130, C: 31, Groups: 31},
	{N: 3, P: 64, C: 32, Groups: 8}, {N: 1, P: 1600, C: 8, Groups: 2}, {N: 2, P: 256, C: 128, Groups: 32},
	{N: 1, P: 9, C: 300, Groups: 1},
}

func groupNormName(s kernels.GroupNormShape, swish bool) string {
	return fmt.Sprintf("%dx%dx%d-%d-swish=%t", s.N, s.P, s.C, s.Groups, swish)
}

func (b *builder) groupStats(s kernels.GroupNormShape) kernels.GroupStats {
	return kernels.GroupStats{Mean: b.out(s.N * s.Groups), Rstd: b.out(s.N * s.Groups)}
}

func (l *list) groupNorm() {
	for _, s := range groupNorms {
		all := s.N * s.P * s.C
		for _, swish := range []bool{false, true} {
			var b builder
			l.approximate("group_norm/"+groupNormName(s, swish), &b, kernels.GroupNorm{GroupNormShape: s, Swish: swish,
				X: b.around(1, all), Gamma: b.normals(s.C), Beta: b.normals(s.C), GroupStats: b.groupStats(s), Y: b.out(all)})
		}
		var b builder
		x := b.around(8, all)
		l.approximate("group_norm-in-place/"+groupNormName(s, true), &b, kernels.GroupNorm{GroupNormShape: s, Swish: true,
			X: x, Gamma: b.normals(s.C), Beta: b.normals(s.C), GroupStats: b.groupStats(s), Y: x})
	}
}

func (l *list) groupNormGrad() {
	for _, s := range groupNorms {
		for _, swish := range []bool{false, true} {
			// of all; in the place of dy; of the parameters alone; of the input alone
			for _, what := range []string{"", "-in-place", "-parameters", "-input"} {
				var b builder
				all := s.N * s.P * s.C
				grad := kernels.GroupNormGrad{GroupNormShape: s, Swish: swish, X: b.normals(all), DY: b.normals(all),
					Gamma: b.normals(s.C), GroupStats: b.groupStats(s)}
				beta, y := b.normals(s.C), b.out(all)
				if swish {
					grad.Beta = beta
				}
				switch what {
				case "-in-place":
					grad.DX = grad.DY
				case "-parameters":
				default:
					grad.DX = b.out(all)
				}
				if what != "-input" {
					grad.DGamma, grad.DBeta = b.out(s.C), b.out(s.C)
				}
				kernels.GroupNorm{GroupNormShape: s, X: grad.X, Gamma: grad.Gamma, Beta: beta, GroupStats: grad.GroupStats,
					Y: y}.Ref(b.mem)
				l.approximate("group_norm_grad"+what+"/"+groupNormName(s, swish), &b, grad)
			}
		}
	}
}

// attentions lists geometries: one pixel, fewer than a tile, more than one, no multiples of anything.
var attentions = []kernels.AttentionShape{
	{N: 3, P: 1, C: 4}, {N: 2, P: 12, C: 8}, {N: 5, P: 2, C: 1}, {N: 1, P: 35, C: 18}, {N: 2, P: 16, C: 32}, {N: 1, P: 77, C: 96},
	{N: 2, P: 64, C: 64}, {N: 1, P: 129, C: 31}, {N: 3, P: 5, C: 130},
}

func (l *list) attentionScores() {
	for _, s := range attentions {
		var b builder
		l.approximate(fmt.Sprintf("attention_scores/%dx%dx%d", s.N, s.P, s.C), &b, kernels.AttentionScores{AttentionShape: s,
			A: b.normals(s.N * s.P * s.C), B: b.normals(s.N * s.P * s.C), S: b.out(s.N * s.P * s.P), Scale: 0.3})
	}
}

func (l *list) attentionMix() {
	for _, s := range attentions {
		for _, transposed := range []bool{false, true} {
			for _, scale := range []float32{1, 0.3} {
				var b builder
				l.approximate(fmt.Sprintf("attention_mix/%dx%dx%d-transposed=%t-scale=%g", s.N, s.P, s.C, transposed, scale), &b,
					kernels.AttentionMix{AttentionShape: s, S: b.normals(s.N * s.P * s.P), X: b.normals(s.N * s.P * s.C),
						Y: b.out(s.N * s.P * s.C), Transposed: transposed, Scale: scale})
			}
		}
	}
}

// softmax has one and more rows an image, some with the largest value far below 0.
func (l *list) softmax() {
	for _, m := range matrices {
		for _, perImage := range []int{1, 2} {
			for _, inPlace := range []bool{false, true} {
				var b builder
				all := m.words() * perImage
				op := kernels.Softmax{N: m.rows, D: m.d, X: b.around(-20, all)}
				if op.Y = op.X; !inPlace {
					op.Y = b.out(all)
				}
				l.approximate(fmt.Sprintf("softmax/%dx%v-in-place=%t", perImage, m, inPlace), &b, op)
			}
		}
	}
}

func (l *list) softmaxGrad() {
	for _, m := range matrices {
		for _, inPlace := range []bool{false, true} {
			var b builder
			op := kernels.SoftmaxGrad{N: m.rows, D: m.d, Y: b.normals(m.words()), DY: b.normals(m.words())}
			kernels.Softmax{N: m.rows, D: m.d, X: op.Y, Y: op.Y}.Ref(b.mem)
			if op.DX = op.DY; !inPlace {
				op.DX = b.out(m.words())
			}
			l.approximate(fmt.Sprintf("softmax_grad/%v-in-place=%t", m, inPlace), &b, op)
		}
	}
}

// fir has a kernel that is not the same turned around. Of an image of a row or column nothing is left by halving.
func (l *list) fir() {
	kernel := [4]float32{1, 2, 4, 3}
	for _, m := range images {
		for _, f := range []struct {
			name string
			of   func(n, h, w, c int, kernel [4]float32) kernels.FIRShape
		}{{"down", kernels.FIRDown}, {"up", kernels.FIRUp}, {"filter", kernels.FIRFilter}} {
			s := f.of(m.n, m.h, m.w, m.c, kernel)
			out := s.N * s.HOut * s.WOut * s.C
			if out == 0 {
				continue
			}
			var a, b builder
			l.approximate(fmt.Sprintf("fir-%s/%s", f.name, m), &a, kernels.FIR{FIRShape: s, X: a.normals(m.words()), Y: a.out(out)})
			l.approximate(fmt.Sprintf("fir-%s-grad/%s", f.name, m), &b, s.Grad(b.out(m.words()), b.normals(out)))
		}
	}
}

func (l *list) activate() {
	for _, m := range matrices {
		for _, f := range kernels.Activations {
			var a, b builder
			l.approximate(string(f)+"/"+m.String(), &a, kernels.Activate{F: f, N: m.rows,
				X: a.normals(m.words()), Y: a.out(m.words())})
			x := b.normals(m.words())
			l.approximate(string(f)+"-in-place/"+m.String(), &b, kernels.Activate{F: f, N: m.rows, X: x, Y: x})
		}
	}
}

func (l *list) activateGrad() {
	for _, m := range matrices {
		for _, f := range kernels.Activations {
			var b builder
			grad := kernels.ActivateGrad{F: f, N: m.rows, DY: b.normals(m.words()), DX: b.out(m.words())}
			if x := b.normals(m.words()); f.FromInput() {
				grad.X = x
			} else {
				grad.Y = x
				kernels.Activate{F: f, N: m.rows, X: x, Y: x}.Ref(b.mem)
			}
			l.approximate(string(f)+"_grad/"+m.String(), &b, grad)
		}
	}
}

func (l *list) maxPool5() {
	for _, m := range images {
		var b builder
		l.exact("maxpool5/"+m.String(), &b, kernels.MaxPool5{PoolShape: m.pool(),
			X: b.normals(m.words()), Y: b.out(m.words()), Index: b.out(m.pool().IndexWords())})
	}
}

func (l *list) maxPool5Grad() {
	for _, m := range images {
		var b builder
		grad := kernels.MaxPool5Grad{PoolShape: m.pool(),
			DY: b.normals(m.words()), DX: b.out(m.words()), Index: b.out(m.pool().IndexWords())}
		kernels.MaxPool5{PoolShape: m.pool(), X: grad.DY, Y: grad.DX, Index: grad.Index}.Ref(b.mem)
		l.approximate("maxpool5_grad/"+m.String(), &b, grad)
	}
}

func (l *list) avgPool5() {
	for _, m := range images {
		var b builder
		l.approximate("avgpool5/"+m.String(), &b, kernels.AvgPool5{PoolShape: m.pool(),
			X: b.normals(m.words()), Y: b.out(m.words())})
	}
}

func (l *list) meanPool2() {
	for _, m := range images {
		if !m.even() {
			continue
		}
		var b builder
		l.approximate("meanpool2/"+m.String(), &b, kernels.MeanPool2{PoolShape: m.pool(),
			X: b.normals(m.words()), Y: b.out(m.words() / 4)})
	}
}

func (l *list) meanPool2Grad() {
	for _, m := range images {
		if !m.even() {
			continue
		}
		var b builder
		l.approximate("meanpool2_grad/"+m.String(), &b, kernels.MeanPool2Grad{PoolShape: m.pool(),
			DY: b.normals(m.words() / 4), DX: b.out(m.words())})
	}
}

func (l *list) resize() {
	for _, m := range images {
		for _, s := range m.resizes() {
			var b builder
			name := fmt.Sprintf("resize/%s-%dx%d", m, s.HOut, s.WOut)
			l.approximate(name, &b, kernels.Resize{ResizeShape: s,
				X: b.normals(m.words()), Y: b.out(s.N * s.HOut * s.WOut * s.C)})
		}
	}
}

func (l *list) resizeGrad() {
	for _, m := range images {
		for _, s := range m.resizes() {
			var b builder
			name := fmt.Sprintf("resize_grad/%s-%dx%d", m, s.HOut, s.WOut)
			l.approximate(name, &b, kernels.ResizeGrad{ResizeShape: s,
				DY: b.normals(s.N * s.HOut * s.WOut * s.C), DX: b.out(m.words())})
		}
	}
}

func (l *list) nearest2() {
	for _, m := range images {
		var b builder
		l.exact("nearest2/"+m.String(), &b, kernels.Nearest2{PoolShape: m.pool(),
			X: b.normals(m.words()), Y: b.out(4 * m.words())})
	}
}

func (l *list) nearest2Grad() {
	for _, m := range images {
		var b builder
		l.approximate("nearest2_grad/"+m.String(), &b, kernels.Nearest2Grad{PoolShape: m.pool(),
			DY: b.normals(4 * m.words()), DX: b.out(m.words())})
	}
}

// patched lists the images that have patches of a convolution with stride 2: odd and even sides.
func patched() (list []kernels.PatchShape) {
	for _, m := range append(images, image{2, 3, 2, 4}, image{1, 2, 17, 5}) {
		if m.h > 1 && m.w > 1 {
			list = append(list, kernels.PatchShape{N: m.n, H: m.h, W: m.w, C: m.c})
		}
	}
	return list
}

func (l *list) patches() {
	for _, s := range patched() {
		var b builder
		l.exact(fmt.Sprintf("patches/%+v", s), &b, kernels.Patches{PatchShape: s,
			X: b.normals(s.N * s.H * s.W * s.C), Y: b.out(s.Words())})
	}
}

func (l *list) patchesGrad() {
	for _, s := range patched() {
		var b builder
		l.exact(fmt.Sprintf("patches_grad/%+v", s), &b, kernels.PatchesGrad{PatchShape: s,
			DY: b.normals(s.Words()), DX: b.out(s.N * s.H * s.W * s.C)})
	}
}

// sides lists the two channel counts of each image joined with another.
func (m image) sides() (list []kernels.ConcatShape) {
	for _, other := range []int{m.c, 1, 12} {
		list = append(list, kernels.ConcatShape{N: m.n, P: m.h * m.w, CA: m.c, CB: other})
	}
	return list
}

func (l *list) concat() {
	for _, m := range images {
		for _, s := range m.sides() {
			var b builder
			a, c := s.N*s.P*s.CA, s.N*s.P*s.CB
			l.exact(fmt.Sprintf("concat/%+v", s), &b, kernels.Concat{ConcatShape: s,
				A: b.normals(a), B: b.normals(c), Y: b.out(a + c)})
		}
	}
}

func (l *list) split() {
	for _, m := range images {
		for i, s := range m.sides() {
			var b builder
			a, c := s.N*s.P*s.CA, s.N*s.P*s.CB
			op := kernels.Split{ConcatShape: s, Y: b.normals(a + c), A: b.out(a), B: b.out(c)}
			switch i { // one side alone
			case 1:
				op.A = kernels.Buf{}
			case 2:
				op.B = kernels.Buf{}
			}
			l.exact(fmt.Sprintf("split/%+v", s), &b, op)
		}
	}
}

func (l *list) addRow() {
	for _, m := range images {
		var b, c builder
		l.exact("add_row/"+m.String(), &b, kernels.AddRow{NormShape: m.norm(),
			X: b.normals(m.words()), E: b.normals(m.n * m.c), Y: b.out(m.words())})
		x := c.normals(m.words())
		l.exact("add_row-in-place/"+m.String(), &c, kernels.AddRow{NormShape: m.norm(), X: x, E: c.normals(m.n * m.c), Y: x})
	}
}

func (l *list) addRowGrad() {
	for _, m := range images {
		var b builder
		l.approximate("add_row_grad/"+m.String(), &b, kernels.AddRowGrad{NormShape: m.norm(),
			DY: b.normals(m.words()), DE: b.out(m.n * m.c)})
	}
}

func (l *list) dropout() {
	for _, m := range append(matrices, matrix{70000, 2}) {
		var b, c builder
		l.exact("dropout/"+m.String(), &b, kernels.Dropout{N: m.rows, X: b.normals(m.words()), Y: b.out(m.words()),
			State: b.bits(0xfffffff0, 1, 0, 0), P: 0.1, Layer: 7, Seed: 0x123456789abcdef})
		x := c.normals(m.words())
		l.exact("dropout-in-place/"+m.String(), &c, kernels.Dropout{N: m.rows, X: x, Y: x, State: c.bits(3, 0, 0, 0), P: 0.5})
	}
}

func (l *list) embedding() {
	for _, values := range []int{4, 8, 9, 33, 256} {
		for _, rows := range []int{1, 3, 33} {
			for _, fourier := range []bool{false, true} {
				var b builder
				op := kernels.Embedding{N: rows, Cond: b.positive(rows), Y: b.out(rows * values), Fourier: fourier,
					Freq: b.add(kernels.PositionalFrequencies(values))}
				for i, v := range op.Cond.Of(b.mem) { // levels up to 1000, or sigmas and large frequencies
					if fourier {
						op.Freq.Of(b.mem)[i%op.Freq.N] = 16 * float32(i-rows/2)
					} else {
						op.Cond.Of(b.mem)[i] = 900 * v
					}
				}
				l.approximate(fmt.Sprintf("embedding/%dx%d fourier %t", rows, values, fourier), &b, op)
			}
		}
	}
}

func (l *list) lookup() {
	for _, m := range append(matrices, matrix{70000, 2}) {
		for _, rows := range []int{1, 11} {
			index := make([]uint32, m.rows)
			for i := range index {
				index[i] = uint32(7*i+3) % uint32(rows) / 2 * 2 // some rows never, others often
			}
			var b, c builder
			name := fmt.Sprintf("%v of %d", m, rows)
			l.exact("lookup/"+name, &b, kernels.Lookup{N: m.rows, Table: b.normals(rows * m.d), Index: b.bits(index...),
				Y: b.out(m.words())})
			l.exact("lookup_grad/"+name, &c, kernels.LookupGrad{N: m.rows, DTable: c.out(rows * m.d), Index: c.bits(index...),
				DY: c.normals(m.words())})
		}
	}
}

func (l *list) scaledSum() {
	const root = 0.70710678
	for _, m := range images {
		var a, b, c, d builder
		l.exact("scaled_sum/"+m.String(), &a, kernels.ScaledSum{N: m.n, A: a.normals(m.words()), B: a.normals(m.words()),
			Dst: a.out(m.words()), Inner: 1, Outer: root})
		l.exact("scaled_sum-one/"+m.String(), &b, kernels.ScaledSum{N: m.n, A: b.normals(m.words()),
			Dst: b.out(m.words()), Outer: root})
		x := c.normals(m.words())
		l.exact("scaled_sum-onto/"+m.String(), &c, kernels.ScaledSum{N: m.n, A: x, B: c.normals(m.words()),
			Dst: x, Inner: root, Outer: 1})
		y := d.normals(m.words())
		l.exact("scaled_sum-onto-second/"+m.String(), &d, kernels.ScaledSum{N: m.n, A: d.normals(m.words()), B: y,
			Dst: y, Inner: root, Outer: 0.3})
	}
}

func (l *list) add() {
	for _, m := range images {
		var b builder
		l.exact("add/"+m.String(), &b, kernels.Add{N: m.n,
			A: b.normals(m.words()), B: b.normals(m.words()), Dst: b.out(m.words())})
	}
}

func (l *list) affine() {
	for _, m := range matrices {
		var b builder
		l.exact("affine/"+m.String(), &b, kernels.Affine{N: m.rows,
			X: b.normals(m.words()), Y: b.out(m.words()), Scale: 2, Shift: -1})
	}
}

func (l *list) treeMean() {
	for _, n := range []int{16, 33, 1040} {
		for _, count := range []int{2, 4, 8, 64} {
			for _, own := range []int{0, count / 3, count - 1} {
				var b builder
				o := kernels.TreeMean{Count: count, Own: own, Dst: b.normals(n), Windows: b.normals(count * n)}
				for i := range n { // not to be read
					o.Windows.Of(b.mem)[own*n+i] = float32(math.NaN())
				}
				l.exact(fmt.Sprintf("tree_mean/%d of %d by %d", own, count, n), &b, o)
			}
		}
	}
}

func (l *list) fill() {
	var b builder
	l.exact("fill", &b, kernels.Fill{Dst: b.out(33), Value: 1.5})
}

// narrow has no case in float32, in which it is a copy.
func (l *list) narrow() {
	for _, m := range matrices {
		var b builder
		op := kernels.Narrow{Src: b.normals(m.words()), Dst: b.halves(make([]float32, m.words()))}
		l.cases = append(l.cases, Case{Name: "narrow/" + m.String(), Op: op, Precision: kernels.BF16, Exact: true, Init: b.mem})
	}
}

func (l *list) divSigma() {
	for _, m := range matrices {
		var b builder
		l.exact("div_sigma/"+m.String(), &b, kernels.DivSigma{N: m.rows,
			X: b.normals(m.words()), Sigma: b.positive(m.rows), Y: b.out(m.words())})
	}
}

func (l *list) mlpInput() {
	for _, m := range matrices {
		var b builder
		l.approximate("mlp_input/"+m.String(), &b, kernels.MLPInput{N: m.rows,
			X: b.normals(m.words()), Sigma: b.positive(m.rows), Y: b.out(m.words() + m.rows), SD: 0.5})
	}
}

func (l *list) mlpInputGrad() {
	for _, m := range matrices {
		var b builder
		l.approximate("mlp_input_grad/"+m.String(), &b, kernels.MLPInputGrad{N: m.rows,
			DY: b.normals(m.words() + m.rows), Sigma: b.positive(m.rows), DX: b.out(m.words()), SD: 0.5})
	}
}

// precondition takes noise from less than any that is trained at to more, and in the forms of every process.
func (l *list) precondition() {
	var sigmas []float32
	for sigma := float32(1e-6); sigma < 1e5; sigma *= 1.37 {
		sigmas = append(sigmas, sigma)
	}
	table := []float32{152, 37.5, 6, 1.0625, 0.25, 0.01} // and some of the sigmas are on it
	sigmas = append(sigmas, table...)
	for _, form := range []struct {
		name string
		op   kernels.Precondition
	}{
		{"edm", kernels.Precondition{SD: 0.5}}, {"edm root", kernels.Precondition{SD: 0.25, Root: true}},
		{"vp", kernels.Precondition{Betas: kernels.Betas{Min: 0.1, Max: 20}}},
		{"vp weighted", kernels.Precondition{Betas: kernels.Betas{Min: 2, Max: 7}, Weighted: true}},
		{"subvp", kernels.Precondition{Betas: kernels.Betas{Sub: true, Min: 0.1, Max: 20}, Weighted: true}},
		{"table", kernels.Precondition{Betas: kernels.Betas{Min: 0.1, Max: 20}}},
		{"level", kernels.Precondition{}},
	} {
		var b builder
		o := form.op
		o.N = len(sigmas)
		o.Sigma, o.Y = b.add(sigmas), b.out(kernels.PreconditionRows*o.N)
		switch form.name {
		case "table":
			o.Table = b.add(table)
		case "level":
			levels := make([]uint32, o.N)
			for i := range levels {
				levels[i] = uint32(7 * i)
			}
			o.Level = b.bits(levels...)
		}
		l.exact("precondition/"+form.name, &b, o)
	}
}

func (l *list) rowMix() {
	for _, m := range matrices {
		for _, parts := range []string{"x", "f", "xf"} {
			var b builder
			o := kernels.RowMix{N: m.rows, Y: b.out(m.words())}
			if parts != "f" {
				o.X, o.A = b.normals(m.words()), b.normals(m.rows)
			}
			if parts != "x" {
				o.F, o.B = b.normals(m.words()), b.normals(m.rows)
			}
			l.exact(fmt.Sprintf("row_mix/%v %s", m, parts), &b, o)
		}
	}
}

func (l *list) loss() {
	for _, m := range matrices {
		for _, w := range []kernels.Weight{{Power: 2}, {Power: 2, SD: 0.25}, {Power: 2, Scale: 0.125},
			{Power: 2, Scale: 0.125, Masked: true}} {
			var b builder
			o := kernels.Loss{N: m.rows, S: b.normals(m.words()), Z: b.normals(m.words()), Sigma: b.positive(m.rows),
				Mean: b.out(1), PerRow: b.out(m.rows), Weight: w}
			if w.Scale != 0 {
				o.Factor = b.positive(m.rows)
			}
			if w.Masked {
				o.Mask = b.mask(m.words())
			}
			l.approximate(fmt.Sprintf("loss/%v sd %g scale %g masked %v", m, w.SD, w.Scale, w.Masked), &b, o)
		}
	}
}

func (l *list) lossGrad() {
	for _, m := range matrices {
		for _, w := range []kernels.Weight{{Power: 1.5}, {Power: 2, SD: 0.25}, {Power: 2, Scale: 0.125},
			{Power: 2, Scale: 0.125, Masked: true}} {
			var b builder
			o := kernels.LossGrad{N: m.rows, S: b.normals(m.words()), Z: b.normals(m.words()), Sigma: b.positive(m.rows),
				DMean: b.positive(1), DS: b.out(m.words()), Weight: w}
			if w.Scale != 0 {
				o.Factor = b.positive(m.rows)
			}
			if w.Masked {
				o.Mask = b.mask(m.words())
			}
			l.approximate(fmt.Sprintf("loss_grad/%v sd %g scale %g masked %v", m, w.SD, w.Scale, w.Masked), &b, o)
		}
	}
}

func (l *list) record() {
	var b builder
	l.exact("record", &b, kernels.Record{Ring: b.out(3 * 10),
		PerRow: b.normals(5), Level: b.bits(4, 3, 2, 1, 0), State: b.bits(7, 0, 0, 0)})
}

func (l *list) gradNorm() {
	for _, n := range []int{1, 3, 1023, 1 << 13, 1<<13 + 1, 3<<13 + 5, 301 << 13} {
		var b builder
		l.approximate(fmt.Sprintf("grad_norm/%d", n), &b, kernels.GradNorm{Grad: b.normals(n), Norm: b.out(1)})
	}
}

func (l *list) adam() {
	for _, m := range matrices {
		var b builder
		l.approximate("adam/"+m.String(), &b, kernels.Adam{Param: b.normals(m.words()), Grad: b.normals(m.words()),
			M: b.normals(m.words()), V: b.positive(m.words()), EMA: b.normals(m.words()), State: b.bits(9, 0, 0, 0),
			LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Rate: 0.999, Warmup: m.rows == 3})
	}
	for _, norm := range []float32{0, 0.5, 40} { // below and above what is allowed, in a warm-up and after it
		for _, warmup := range []uint64{0, 5, 20} {
			var b builder
			l.approximate(fmt.Sprintf("adam-clipped/norm %g warm-up %d", norm, warmup), &b, kernels.Adam{
				Param: b.normals(99), Grad: b.normals(99), M: b.normals(99), V: b.positive(99), State: b.bits(9, 0, 0, 0),
				LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Norm: b.add([]float32{norm}), Clip: 2, LRWarmup: warmup})
		}
	}
}

func (l *list) tick() {
	var b builder
	l.exact("tick", &b, kernels.Tick{State: b.bits(0xffffffff, 3, 7, 9)})
	l.exact("tick by more", &b, kernels.Tick{State: b.bits(0xfffffff0, 3, 7, 9), By: 1<<33 + 17})
}

// samplerTable appends a table of steps.
func (b *builder) samplerTable(steps ...samplerStep) kernels.Buf {
	var words []float32
	for i, s := range steps {
		row := make([]float32, kernels.StepWords)
		row[kernels.StepSigma] = 3 / float32(1+i)
		kernels.SetWord(row, kernels.Buf{N: kernels.StepWords}, kernels.StepLevel, uint32(7+i))
		kernels.SetWord(row, kernels.Buf{N: kernels.StepWords}, kernels.StepDraw, s.draw)
		kernels.SetWord(row, kernels.Buf{N: kernels.StepWords}, kernels.StepGain, s.gain)
		copy(row[kernels.StepX:], s.x[:])
		copy(row[kernels.StepY:], s.y[:])
		words = append(words, row...)
	}
	return b.add(words)
}

type samplerStep struct {
	draw, gain uint32
	x, y       [4]float32
}

func (l *list) drawClasses() {
	for _, rows := range []int{1, 7, 300} {
		labels := make([]uint32, rows)
		for i := range labels {
			labels[i] = uint32(i * 37)
		}
		for _, n := range []int{1, 33, 300} {
			for _, mode := range []struct {
				drop   float64
				levels int
			}{{0, 0}, {0.25, 0}, {1, 0}, {0.25, 11}} {
				var b builder
				l.exact(fmt.Sprintf("draw_classes/%d of %d drop %g levels %d", n, rows, mode.drop, mode.levels), &b,
					kernels.DrawClasses{N: n, Class: b.out(n), Labels: b.bits(labels...), State: b.bits(0xfffffff0, 1, 0, 0),
						Seed: 0x123456789abcdef, None: 99, Drop: mode.drop, Levels: mode.levels})
			}
		}
	}
}

func (l *list) twin() {
	for _, m := range matrices {
		var b builder
		l.exact("twin/"+m.String(), &b, kernels.Twin{X: b.normals(m.words()), Sigma: b.positive(m.rows),
			Level: b.bits(make([]uint32, m.rows)...), TwinX: b.out(m.words()), TwinSigma: b.out(m.rows), TwinLevel: b.out(m.rows)})
	}
}

func (l *list) guide() {
	for _, m := range append(matrices, matrix{70000, 2}) {
		var b builder
		op := kernels.Guide{S: b.normals(m.words()), U: b.normals(m.words()), Weight: b.normals(m.rows)}
		for i := range op.Weight.Of(b.mem) {
			if i%3 == 1 { // plain
				op.Weight.Of(b.mem)[i] = 1
			}
		}
		l.exact("guide/"+m.String(), &b, op)
	}
}

func (l *list) samplerSigma() {
	for _, step := range []uint32{0, 3, 4, 11, 40} {
		var b builder
		l.exact(fmt.Sprintf("sampler_sigma/step %d", step), &b, kernels.SamplerSigma{
			SamplerStep: kernels.SamplerStep{Table: b.samplerTable(make([]samplerStep, 3)...), State: b.bits(step, 0, 0, 0),
				Repeat: 4}, Sigma: b.out(5), Level: b.out(5)})
	}
}

func (l *list) pairExtremes() {
	for _, c := range []struct {
		m, n, k        int
		firstA, firstB int
	}{{1, 1, 1, 1, 0}, {3, 2, 5, 9, 4}, {128, 128, 16, 128, 0}, {130, 130, 18, 0, 0}, {129, 300, 40, 171, 0}, {260, 40, 35, 20, 3},
		{64, 200, 8, 0, 100}} { // of the last one, no pair counts
		var b builder
		op := kernels.PairExtremes{A: b.normals(c.m * c.k), B: b.normals(c.n * c.k), K: c.k, FirstA: c.firstA, FirstB: c.firstB}
		half := func(w kernels.Buf, rows int) kernels.Buf {
			x, h := w.Of(b.mem), make([]float32, rows)
			for i := range h {
				for _, v := range x[i*c.k : (i+1)*c.k] {
					h[i] += v * v / 2
				}
			}
			return b.add(h)
		}
		op.HalfA, op.HalfB = half(op.A, c.m), half(op.B, c.n)
		tilesA, tilesB := op.Tiles()
		op.Out = b.out(2 * tilesA * tilesB)
		l.approximate(fmt.Sprintf("pair_extremes/%dx%dx%d from %d and %d", c.m, c.n, c.k, c.firstA, c.firstB), &b, op)
	}
}

func (l *list) samplerGain() {
	for _, m := range append(matrices, matrix{70000, 2}) {
		for _, gain := range []uint32{0, 1} {
			var b builder
			l.exact(fmt.Sprintf("sampler_gain/%v gain %d", m, gain), &b, kernels.SamplerGain{
				SamplerStep: kernels.SamplerStep{Table: b.samplerTable(samplerStep{}, samplerStep{gain: gain}),
					State: b.bits(1, 0, 0, 0), Repeat: 1},
				S: b.normals(m.words()), Gain: b.positive(m.rows), D: m.d})
		}
	}
	var b builder
	l.exact("sampler_gain/no score", &b, kernels.SamplerGain{
		SamplerStep: kernels.SamplerStep{Table: b.samplerTable(samplerStep{gain: 1}), State: b.bits(0, 0, 0, 0), Repeat: 1},
		S:           b.add(make([]float32, 9)), Gain: b.out(3), D: 3})
}

func (l *list) samplerUpdate() {
	for _, c := range []struct {
		name                string
		step                samplerStep
		y, gain, own, blend bool // own: the noise is given; blend: it is that of two images
	}{
		{name: "langevin", step: samplerStep{x: [4]float32{1, 0.3, 0, 0.7}}},
		{name: "denoise", step: samplerStep{x: [4]float32{1, 0.3}}},
		{name: "two stages", step: samplerStep{x: [4]float32{1, 0.3}, y: [4]float32{0.9, 0.2, 0, 0.4}}, y: true},
		{name: "second stage", step: samplerStep{x: [4]float32{0, 0.3, 1, 0.1}}, y: true},
		{name: "multistep", step: samplerStep{x: [4]float32{1.2, 0.3, -0.4, 0.5}, y: [4]float32{1, 0.2, 0, 0}}, y: true},
		{name: "all", step: samplerStep{draw: 9, x: [4]float32{1.2, 0.3, -0.4, 0.5}, y: [4]float32{1, 0.2, 0.6, 0.8}}, y: true},
		{name: "gain", step: samplerStep{gain: 1, x: [4]float32{1, 0.3, 0, 0.7}}, gain: true},
		{name: "gain of both", step: samplerStep{gain: 1, x: [4]float32{1, 0.3, 0.1, 0.7}, y: [4]float32{0.5, 0.2, 0.3, 0.4}},
			y: true, gain: true},
		{name: "given noise", step: samplerStep{draw: 1, x: [4]float32{1, 0.3, 0, 0.7}}, own: true},
		{name: "blended noise", step: samplerStep{draw: 1, x: [4]float32{1, 0.3, 0, 0.7}}, blend: true},
		{name: "blended noise, all", step: samplerStep{draw: 2, x: [4]float32{1.2, 0.3, -0.4, 0.5}, y: [4]float32{1, 0.2, 0.6, 0.8}},
			y: true, blend: true},
		{name: "given noise, all", step: samplerStep{draw: 2, x: [4]float32{1.2, 0.3, -0.4, 0.5}, y: [4]float32{1, 0.2, 0.6, 0.8}},
			y: true, own: true},
	} {
		for _, m := range append(matrices, matrix{5, 4}, matrix{130, 2}) {
			var b builder
			op := kernels.SamplerUpdate{SamplerStep: kernels.SamplerStep{Table: b.samplerTable(samplerStep{}, c.step),
				State: b.bits(4, 0, 5, 0), Repeat: 3}, X: b.normals(m.words()), S: b.normals(m.words()), D: m.d, Seed: 3}
			if c.y {
				op.Y = b.normals(m.words())
			}
			if c.gain {
				op.Gain = b.positive(m.rows)
			}
			if c.own {
				op.Draws = b.normals(4 * m.words())
			}
			if c.blend { // images 5 to 8: A alone, both, B alone, which all that follow have, too
				op.Blend = b.add(make([]float32, 8*kernels.BlendWords))
				for i, f := range [][2]float32{{1, 0}, {0.8, 0.6}, {0, 1}} {
					at := (5 + i) * kernels.BlendWords
					kernels.SetWord(b.mem, op.Blend, at+kernels.BlendA, 3)
					kernels.SetWord(b.mem, op.Blend, at+kernels.BlendB, 77)
					copy(op.Blend.Of(b.mem)[at+kernels.BlendFA:], f[:])
				}
			}
			l.exact(fmt.Sprintf("sampler_update/%s %v", c.name, m), &b, op)
		}
	}
}

// directions appends measurements along sets of sparse directions of d values, the first ones of a single value, with tau
// of 0 and above it: along sets of r directions and fewer, the last set twice.
func (b *builder) directions(r, d, sets int) kernels.Directions {
	v := kernels.Directions{D: d, Most: r}
	var parts, starts, indices, valueStarts, valueIndices []uint32
	starts, valueStarts = append(starts, 0), append(valueStarts, 0)
	var noise []float32
	targets := 0
	for set := range sets {
		r := max(1, r-2*set)
		part := []uint32{uint32(len(starts) - 1), uint32(r), uint32(set * d), uint32(targets)}
		parts, targets = append(parts, part...), targets+r
		if sets > 1 && set == sets-1 {
			part[kernels.PartTarget] = uint32(targets)
			parts, targets = append(parts, part...), targets+r
		}
		byValue := make([][]uint32, d)
		for j := range r {
			for e := range j/2 + 1 {
				i := (5*j + 3*e + set) % d
				indices, byValue[i] = append(indices, uint32(i)), append(byValue[i], uint32(j))
			}
			starts = append(starts, uint32(len(indices)))
			noise = append(noise, float32(j%4)*0.4) // the table has the sigma 1
		}
		for _, of := range byValue {
			valueIndices = append(valueIndices, of...)
			valueStarts = append(valueStarts, uint32(len(valueIndices)))
		}
	}
	v.Parts, v.Target, v.Noise = b.bits(parts...), b.normals(targets), b.add(noise)
	v.ByDirection = kernels.Sparse{Start: b.bits(starts...), Index: b.bits(indices...), Weight: b.normals(len(indices))}
	v.ByValue = kernels.Sparse{Start: b.bits(valueStarts...), Index: b.bits(valueIndices...), Weight: b.normals(len(valueIndices))}
	return v
}

// measured are batches, how many directions of them are measured, and in how many sets.
var measured = []struct {
	matrix
	r, sets int
}{{matrix{1, 1}, 1, 1}, {matrix{3, 5}, 2, 1}, {matrix{5, 12}, 9, 1}, {matrix{5, 12}, 9, 3}, {matrix{130, 37}, 6, 1},
	{matrix{3, 300}, 70, 2}}

func (l *list) samplerMisfit() {
	for _, kind := range []string{"noise", "given noise", "exact", "guided"} {
		for _, m := range measured {
			var b builder
			table := b.samplerTable(samplerStep{}, samplerStep{}, samplerStep{x: [4]float32{1, 0.3}})
			op := kernels.SamplerMisfit{SamplerStep: kernels.SamplerStep{Table: table, State: b.bits(2, 0, 5, 0), Repeat: 1},
				Directions: b.directions(m.r, m.d, m.sets), X: b.normals(m.words()), Misfit: b.out(2 * m.rows * m.r), Seed: 3,
				Exact: kind == "exact"}
			switch kind {
			case "given noise":
				op.Draws = b.normals(3 * m.rows * m.r)
			case "guided":
				op.S, op.Prior = b.normals(m.words()), 0.3
			}
			l.exact(fmt.Sprintf("sampler_misfit/%s %v, %d directions, %d sets", kind, m.matrix, m.r, m.sets), &b, op)
		}
	}
}

func (l *list) samplerFit() {
	for _, m := range measured {
		for _, alone := range []bool{false, true} {
			var b builder
			l.exact(fmt.Sprintf("sampler_fit/%v, %d directions, %d sets, alone %t", m.matrix, m.r, m.sets, alone), &b, kernels.SamplerFit{
				Directions: b.directions(m.r, m.d, m.sets), State: b.bits(2, 0, 5, 0),
				X: b.normals(m.words()), Misfit: b.normals(2 * m.rows * m.r), Alone: alone})
		}
	}
}

func (l *list) samplerGuide() {
	for _, m := range matrices {
		var b builder
		l.exact(fmt.Sprintf("sampler_guide/%v", m), &b, kernels.SamplerGuide{
			SamplerStep: kernels.SamplerStep{Table: b.samplerTable(samplerStep{}, samplerStep{}), State: b.bits(1, 0, 5, 0), Repeat: 1},
			S:           b.normals(m.words()), V: b.normals(m.words()), VJ: b.normals(m.words()), D: m.d})
	}
}

// float64s appends numbers of two words each.
func (b *builder) float64s(values []float64) kernels.Buf {
	words := make([]float32, kernels.Float64Words*len(values))
	for i, v := range values {
		kernels.SetFloat64(words, kernels.Buf{N: len(words)}, i, v)
	}
	return b.add(words)
}

// doubles appends n normal numbers with the digits of a float64.
func (b *builder) doubles(n int) kernels.Buf {
	z := make([]float32, 2*n)
	kernels.Stream{Seed: uint64(len(b.mem)), Purpose: kernels.PurposeData}.Normals(z)
	values := make([]float64, n)
	for i := range values {
		values[i] = float64(z[2*i]) + 1e-8*float64(z[2*i+1])
	}
	return b.float64s(values)
}

// ode is the operations of the adaptive solver, with the trace and without it.
func (l *list) ode() {
	const stages = 9
	for _, m := range append(matrices, matrix{3, 300}) {
		for _, trace := range []string{"none", "probe", "units"} {
			var b builder
			table := make([]float64, stages*kernels.ODEWidth)
			for i := range table {
				table[i] = math.Sin(float64(1 + i))
			}
			for stage := range stages {
				table[stage*kernels.ODEWidth+kernels.ODEOther] = float64(min(stage, kernels.ODESlots-1))
			}
			e := m.d
			if trace != "none" {
				e++
			}
			o := kernels.ODE{Table: b.float64s(table), State: b.bits(4, 0, 0, 0), Repeat: 1, X: b.doubles(m.rows * e), At: b.doubles(m.rows * e),
				K: b.doubles(m.rows * kernels.ODESlots * e), H: b.doubles(m.rows), D: m.d, E: e}
			sigmas, point := b.doubles(stages*m.rows), b.out(m.words())
			levels := make([]uint32, stages*m.rows)
			for i := range levels {
				levels[i] = uint32(i)
			}
			at := kernels.ODEPoint{ODE: o, Point: point, Sigma: b.out(m.rows), Level: b.out(m.rows), Sigmas: sigmas, Levels: b.bits(levels...)}
			slope := kernels.ODESlope{ODE: o, S: b.normals(m.words()), Sigmas: sigmas, Scale: b.doubles(stages * m.rows)}
			if trace != "none" {
				slope.V, slope.VJ, slope.Trace = b.normals(m.words()), b.normals(m.words()), b.doubles(m.rows)
			}
			last := slope
			if trace == "units" { // products 4 m.d and on are of stage 4
				at.V, at.Repeat, slope.Repeat, slope.Units = slope.V, m.d, m.d, true
				at.State, last = b.bits(uint32(4*m.d+m.d/2), 0, 0, 0), slope
				slope.State, last.State = at.State, b.bits(uint32(5*m.d-1), 0, 0, 0)
				last.Repeat, last.Units = m.d, true
			}
			name := fmt.Sprintf("%v, trace %s", m, trace)
			l.exact("ode_point/"+name, &b, at)
			l.exact("ode_slope/"+name, &b, slope)
			l.exact("ode_slope/"+name+", last", &b, last)
			for _, of := range []int{-1, 0, 8} {
				l.exact(fmt.Sprintf("ode_norm/%s of %d", name, of), &b, kernels.ODENorm{ODE: o, Of: of, Tol: b.float64s([]float64{1e-3}),
					Err: b.out(kernels.Float64Words * m.rows)})
			}
			for _, denoise := range []bool{false, true} {
				l.exact(fmt.Sprintf("ode_accept/%s, denoise %t", name, denoise), &b, kernels.ODEAccept{ODE: o, Err: b.doubles(m.rows),
					Point: point, Denoise: denoise})
			}
		}
	}
}

// perturb draws batches of images and vectors, or parts of them, in every mode.
func (l *list) perturb() {
	images := func(n, h, w, c int) *kernels.Data {
		d := &kernels.Data{N: n, H: h, W: w, C: c, U8: make([]byte, n*h*w*c)}
		for i := range d.U8 {
			d.U8[i] = byte(i * 37)
		}
		return d
	}
	vectorsOf := func(n, c int) *kernels.Data {
		d := &kernels.Data{N: n, H: 1, W: 1, C: c, F32: make([]float32, n*c)}
		kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(d.F32)
		return d
	}
	bytes, vectors := images(7, 5, 3, 3), vectorsOf(9, 2)
	some := &kernels.Data{N: 4, H: 5, W: 3, C: 3, U8: bytes.U8, Rows: []uint32{6, 1, 2, 4}}
	someVectors := &kernels.Data{N: 3, H: 1, W: 1, C: 2, F32: vectors.F32, Rows: []uint32{8, 0, 5}}
	for _, mode := range []struct {
		name string
		op   kernels.Perturb
	}{
		{"images", kernels.Perturb{Data: bytes}},
		{"flip-dequantize", kernels.Perturb{Data: bytes, Flip: true, Dequantize: true}},
		{"rescale", kernels.Perturb{Data: bytes, Rescale: true, Dequantize: true}},
		{"rescale-every", kernels.Perturb{Data: bytes, Rescale: true, Every: true}},
		{"levels-per-step", kernels.Perturb{Data: bytes, LevelsPerStep: 3}},
		{"stratified", kernels.Perturb{Data: vectors, Stratified: true}},
		{"stratified-3", kernels.Perturb{Data: vectors, Stratified: true, LevelsPerStep: 3}},
		{"every", kernels.Perturb{Data: bytes, Every: true, Flip: true, Dequantize: true}},
		{"some rows", kernels.Perturb{Data: some, Flip: true}},
		{"some vectors", kernels.Perturb{Data: someVectors}},
		{"streamed", kernels.Perturb{Data: some, Streamed: true, Flip: true, Dequantize: true}},
		{"streamed vectors", kernels.Perturb{Data: someVectors, Streamed: true, Stratified: true}},
		{"streamed every", kernels.Perturb{Data: bytes, Streamed: true, Every: true}},
		{"grey", kernels.Perturb{Data: images(3, 28, 28, 1), Flip: true, Dequantize: true}},
		{"colour", kernels.Perturb{Data: images(2, 33, 47, 3), Flip: true}},
		{"pixel", kernels.Perturb{Data: images(5, 1, 1, 1), Flip: true, Dequantize: true}},
		{"wide pixels", kernels.Perturb{Data: images(2, 1, 3, 31), Flip: true}},
		{"uniform sigma", kernels.Perturb{Data: bytes, Density: kernels.Density{Shift: 2.5, Scale: -7}}},
		{"uniform sigma, stratified", kernels.Perturb{Data: vectors, Stratified: true, Flip: true, Dequantize: true,
			Density: kernels.Density{Shift: 2.5, Scale: -7}}},
		{"normal sigma", kernels.Perturb{Data: bytes, Density: kernels.Density{Normal: true, Shift: -1.9, Scale: -1.2}}},
		{"normal sigma, stratified", kernels.Perturb{Data: vectors, Stratified: true, LevelsPerStep: 3,
			Density: kernels.Density{Normal: true, Shift: -1.9, Scale: -1.2}}},
		{"streamed sigma", kernels.Perturb{Data: some, Streamed: true, Stratified: true,
			Density: kernels.Density{Normal: true, Shift: -1.9, Scale: -1.2}}},
		{"vp", kernels.Perturb{Data: bytes, Rescale: true,
			Density: kernels.Density{Shift: 1, Scale: -0.99999, Betas: kernels.Betas{Min: 0.1, Max: 20}}}},
		{"subvp, stratified", kernels.Perturb{Data: vectors, Stratified: true,
			Density: kernels.Density{Shift: 1, Scale: -0.99999, Betas: kernels.Betas{Sub: true, Min: 0.1, Max: 20}}}},
		{"a part of 4, levels-per-step", kernels.Perturb{Batch: 4, Data: bytes, LevelsPerStep: 3, Flip: true, Dequantize: true}},
		{"a part of 2, stratified", kernels.Perturb{Batch: 2, Data: vectors, Stratified: true}},
		{"a part of 4, streamed sigma, stratified", kernels.Perturb{Batch: 4, Data: some, Streamed: true, Stratified: true,
			Density: kernels.Density{Normal: true, Shift: -1.9, Scale: -1.2}}},
		{"vectors of 3", kernels.Perturb{Data: vectorsOf(100, 3)}},
		{"vectors of 17", kernels.Perturb{Data: vectorsOf(4, 17)}},
	} {
		for _, n := range []int{1, 33, 70} {
			var b builder
			op := mode.op
			d := op.Data.D()
			op.N, op.Seed = n, 0x123456789abcdef
			op.Batch *= n // above it counts parts
			op.Ladder, op.State = b.positive(11), b.bits(5, 1, 0, 0)
			op.XTilde, op.Z, op.Sigma, op.Level = b.out(n*d), b.out(n*d), b.out(n), b.out(n)
			l.exact(fmt.Sprintf("perturb/%s-%d", mode.name, n), &b, op)
		}
	}
}
