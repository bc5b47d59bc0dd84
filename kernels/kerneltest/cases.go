// The cases of every operation, a function for each. The order in which a case takes its windows decides their values.

package kerneltest

import (
	"fmt"
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
		(*list).activate, (*list).activateGrad,
		(*list).maxPool5, (*list).maxPool5Grad, (*list).avgPool5, (*list).meanPool2, (*list).meanPool2Grad,
		(*list).resize, (*list).resizeGrad,
		(*list).add, (*list).affine, (*list).fill, (*list).narrow,
		(*list).divSigma, (*list).mlpInput, (*list).mlpInputGrad,
		(*list).perturb, (*list).loss, (*list).lossGrad, (*list).record, (*list).adam,
		(*list).tick,
		(*list).samplerSigma, (*list).samplerGain, (*list).samplerUpdate,
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

func (l *list) loss() {
	for _, m := range matrices {
		var b builder
		l.approximate("loss/"+m.String(), &b, kernels.Loss{N: m.rows,
			S: b.normals(m.words()), Z: b.normals(m.words()), Sigma: b.positive(m.rows),
			Mean: b.out(1), PerRow: b.out(m.rows), Power: 2})
	}
}

func (l *list) lossGrad() {
	for _, m := range matrices {
		var b builder
		l.approximate("loss_grad/"+m.String(), &b, kernels.LossGrad{N: m.rows,
			S: b.normals(m.words()), Z: b.normals(m.words()), Sigma: b.positive(m.rows),
			DMean: b.positive(1), DS: b.out(m.words()), Power: 1.5})
	}
}

func (l *list) record() {
	var b builder
	l.exact("record", &b, kernels.Record{Ring: b.out(3 * 10),
		PerRow: b.normals(5), Level: b.bits(4, 3, 2, 1, 0), State: b.bits(7, 0, 0, 0)})
}

func (l *list) adam() {
	for _, m := range matrices {
		var b builder
		l.approximate("adam/"+m.String(), &b, kernels.Adam{Param: b.normals(m.words()), Grad: b.normals(m.words()),
			M: b.normals(m.words()), V: b.positive(m.words()), EMA: b.normals(m.words()), State: b.bits(9, 0, 0, 0),
			LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Rate: 0.999, Warmup: m.rows == 3})
	}
}

func (l *list) tick() {
	var b builder
	l.exact("tick", &b, kernels.Tick{State: b.bits(0xffffffff, 3, 7, 9)})
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

func (l *list) samplerSigma() {
	for _, step := range []uint32{0, 3, 4, 11, 40} {
		var b builder
		l.exact(fmt.Sprintf("sampler_sigma/step %d", step), &b, kernels.SamplerSigma{
			SamplerStep: kernels.SamplerStep{Table: b.samplerTable(make([]samplerStep, 3)...), State: b.bits(step, 0, 0, 0),
				Repeat: 4}, Sigma: b.out(5), Level: b.out(5)})
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
		name         string
		step         samplerStep
		y, gain, own bool // own: the noise is given
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
			l.exact(fmt.Sprintf("sampler_update/%s %v", c.name, m), &b, op)
		}
	}
}

// perturb draws batches of images and vectors in every mode.
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
		{"vectors of 3", kernels.Perturb{Data: vectorsOf(100, 3)}},
		{"vectors of 17", kernels.Perturb{Data: vectorsOf(4, 17)}},
	} {
		for _, n := range []int{1, 33, 70} {
			var b builder
			op := mode.op
			d := op.Data.D()
			op.N, op.Seed = n, 0x123456789abcdef
			op.Ladder, op.State = b.positive(11), b.bits(5, 1, 0, 0)
			op.XTilde, op.Z, op.Sigma, op.Level = b.out(n*d), b.out(n*d), b.out(n), b.out(n)
			l.exact(fmt.Sprintf("perturb/%s-%d", mode.name, n), &b, op)
		}
	}
}
