//go:build cgo && !nocuda

package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// FusedAndNot runs a program with operations fused and with each by itself, and compares bit for bit the whole arena but
// what the last operation discards. It returns the operations as they are fused.
func FusedAndNot(t *testing.T, b Backend, mem []float32, ops []Op) []cudaOp {
	t.Helper()
	testUnfused = true
	want := RunTraced(t, b, mem, ops...)
	testUnfused = false
	got := RunTraced(t, b, mem, ops...)
	list, err := fuseCUDA(ops)
	if err != nil {
		t.Fatal(err)
	}
	discarded := func(word int) bool {
		d, _ := ops[len(ops)-1].(Discard)
		return slices.ContainsFunc(d.Windows, func(w Buf) bool { return w.Off <= word && word < w.Off+w.Words() })
	}
	for i := range got {
		if discarded(i) {
			continue
		}
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			var names []string
			for _, op := range list {
				names = append(names, op.Name())
			}
			t.Fatalf("word %d is %g, without fusion %g: %s", i, got[i], want[i], strings.Join(names, "; "))
		}
	}
	return list
}

// TestFused runs random programs on a few windows of one size, over and over in each other's place. Whatever is fused
// must not show.
func TestFused(t *testing.T) {
	b := openCUDA(t)
	allMoments(t)
	t.Cleanup(func() { testUnfused = false })
	kinds := map[string]int{}
	for seed := range uint64(480) {
		r := rand.New(rand.NewPCG(seed, 1))
		s := ConvShape{N: 1 + r.IntN(3), H: 2 * (1 + r.IntN(3)), W: 2 * (1 + r.IntN(4)), Cin: []int{3, 4, 8, 32, 32}[r.IntN(5)],
			K: []int{1, 3}[r.IntN(2)], Dilation: 1 + r.IntN(2)}
		s.Cout = s.Cin
		if r.IntN(2) == 0 { // whole segments
			s.H, s.W = 8, []int{8, 16}[r.IntN(2)]
		}
		precision, element := Precisions[seed%3], Words
		if precision == BF16 {
			element = BFloat16
		}
		var o operands
		o.out(r.IntN(2)) // not aligned
		words := s.N * s.H * s.W * s.Cin
		norm, pool := NormShape{s.N, s.H * s.W, s.Cin}, PoolShape{s.N, s.H, s.W, s.Cin}
		windows := make([]Buf, 5)
		for i := range windows {
			windows[i] = o.of(element, words)
		}
		o.out(16) // up to 16 words behind are read
		// Between windows of bf16, convolutions are for tensor cores. Others have words on one side.
		weights, atEnds := element, element == BFloat16 && s.Cin%tensorChannels != 0
		var ends [2]Buf
		if atEnds {
			weights, ends = Words, [2]Buf{o.normals(words), o.normals(words)}
		}
		weight, bias, index := o.of(weights, s.Cout*s.K*s.K*s.Cin), o.normals(s.Cout), o.out(pool.IndexWords())
		for i := range index.N {
			SetWord(o.mem, index, i, 0x0c0c0c0c*uint32(1-min(1, s.Cin%4))|12) // the middle
		}
		small := o.of(element, words/4)
		stats := NormStats{Mean: o.normals(s.N * s.Cin), Rstd: o.normals(s.N * s.Cin), MuHat: o.normals(s.N * s.Cin),
			Q: o.normals(s.N)}
		params := o.out(3 * s.Cin)
		groupNorm := GroupNormShape{s.N, s.H * s.W, s.Cin, 1}
		groupStats := GroupStats{Mean: o.normals(s.N), Rstd: o.normals(s.N)}
		state := o.words(5, 0, 0, 0)
		rows := o.normals(s.N * s.Cin)
		at := func() Buf { return windows[r.IntN(len(windows))] }
		// other returns a window that is none of these
		other := func(not ...Buf) Buf {
			for {
				if w := at(); !slices.Contains(not, w) {
					return w
				}
			}
		}
		var ops []Op
		for range 14 {
			x := at()
			y := other(x)
			switch r.IntN(31) {
			case 0:
				if atEnds && r.IntN(2) == 0 {
					ops = append(ops, Conv{ConvShape: s, X: x, Y: ends[0], Weight: weight, Bias: bias, Precision: precision},
						Add{N: s.N, A: ends[0], B: ends[1], Dst: ends[r.IntN(2)]})
					break
				} else if atEnds {
					x = ends[1]
				}
				ops = append(ops, Conv{ConvShape: s, X: x, Y: y, Weight: weight, Bias: bias, Precision: precision})
			case 1:
				if atEnds && r.IntN(2) == 0 {
					ops = append(ops, ConvGradInput{ConvShape: s, DY: x, DX: ends[0], Weight: weight, Precision: precision},
						Add{N: s.N, A: ends[1], B: ends[0], Dst: ends[r.IntN(2)]})
					break
				} else if atEnds {
					x = ends[1]
				}
				ops = append(ops, ConvGradInput{ConvShape: s, DY: x, DX: y, Weight: weight, Precision: precision})
			case 2:
				ops = append(ops, Norm{NormShape: norm, X: x, Y: []Buf{x, y}[r.IntN(2)], NormStats: stats})
			case 3:
				ops = append(ops, NormGrad{NormShape: norm, X: y, DY: x, DX: []Buf{x, other(x, y)}[r.IntN(2)], NormStats: stats,
					DGamma: params.Slice(0, s.Cin), DAlpha: params.Slice(s.Cin, s.Cin), DBeta: params.Slice(2*s.Cin, s.Cin)})
			case 4:
				ops = append(ops, MaxPool5Grad{PoolShape: pool, DY: x, DX: y, Index: index})
			case 5:
				ops = append(ops, AvgPool5{PoolShape: pool, X: x, Y: y})
			case 6:
				ops = append(ops, Resize{ResizeShape: ResizeShape{s.N, s.H / 2, s.W / 2, s.H, s.W, s.Cin}, X: small, Y: y})
			case 17, 18:
				to := []Buf{x, y}[r.IntN(2)]
				ops = append(ops, GroupNorm{GroupNormShape: groupNorm, Swish: r.IntN(2) == 0, X: x, Y: to, Gamma: bias, Beta: bias,
					GroupStats: groupStats})
				if r.IntN(3) > 0 {
					ops = append(ops, Dropout{N: s.N, X: to, Y: []Buf{to, at()}[r.IntN(2)], State: state, P: 0.3, Layer: 3, Seed: seed})
				}
			case 19, 20, 21:
				dy := []Buf{x, y}[r.IntN(2)]
				if r.IntN(3) > 0 {
					ops = append(ops, Dropout{N: s.N, X: x, Y: dy, State: state, P: 0.3, Layer: 3, Seed: seed})
				} else {
					dy = x
				}
				ops = append(ops, GroupNormGrad{GroupNormShape: groupNorm, Swish: true, X: other(dy, x), DY: dy,
					DX: []Buf{dy, other(dy)}[r.IntN(2)], Gamma: bias, Beta: bias, GroupStats: groupStats,
					DGamma: params.Slice(0, s.Cin), DBeta: params.Slice(2*s.Cin, s.Cin)})
			case 23, 24: // a sum of two, added to the last result
				if len(ops) == 0 {
					break
				}
				_, writes := ops[len(ops)-1].Operands()
				if value := writes[0]; slices.Contains(windows, value) {
					t := other(value)
					sum := Add{N: s.N, A: value, B: t, Dst: []Buf{t, at()}[r.IntN(2)]}
					if r.IntN(2) == 0 {
						sum.A, sum.B = t, value
					}
					ops = append(ops, Add{N: s.N, A: at(), B: at(), Dst: t}, sum)
				}
			case 25, 28:
				if !atEnds {
					ops = append(ops, Conv{ConvShape: s, X: x, Y: y, Weight: weight, Bias: bias, Precision: precision},
						AddRow{NormShape: norm, X: y, Y: []Buf{y, at()}[r.IntN(2)], E: rows})
				}
			case 26, 27, 29, 30: // a norm of a convolution's result, or of what is added to it
				if atEnds {
					break
				}
				ops = append(ops, Conv{ConvShape: s, X: x, Y: y, Weight: weight, Bias: bias, Precision: precision})
				if r.IntN(2) == 0 {
					sum := at()
					ops = append(ops, Add{N: s.N, A: y, B: other(y), Dst: sum})
					y = sum
				}
				if r.IntN(2) == 0 {
					elu := Activate{F: ELU, N: s.N, X: []Buf{y, at()}[r.IntN(2)], Y: at()}
					ops = append(ops, elu)
					if r.IntN(2) == 0 {
						y = elu.Y
					}
				}
				if to := []Buf{y, at()}[r.IntN(2)]; r.IntN(2) == 0 {
					ops = append(ops, Norm{NormShape: norm, X: y, Y: to, NormStats: stats})
				} else {
					ops = append(ops, GroupNorm{GroupNormShape: groupNorm, X: y, Y: to, Gamma: bias, GroupStats: groupStats})
				}
			case 22:
				ops = append(ops, Dropout{N: s.N, X: x, Y: at(), State: state, P: 0.3, Layer: 4, Seed: seed})
			case 14, 15:
				ops = append(ops, ScaledSum{N: s.N, A: x, B: at(), Dst: at(), Inner: 0.7, Outer: 0.6})
			case 16:
				ops = append(ops, ScaledSum{N: s.N, A: x, Dst: at(), Outer: -0.6})
			case 7, 8, 9:
				ops = append(ops, Add{N: s.N, A: x, B: at(), Dst: at()})
			case 10, 11:
				ops = append(ops, Activate{F: ELU, N: s.N, X: x, Y: at()})
			default:
				ops = append(ops, ActivateGrad{F: ELU, N: s.N, DY: x, Y: at(), DX: at()})
			}
		}
		if seed%4 > 0 {
			ops = append(ops, Discard{windows[:r.IntN(5)]})
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			for _, op := range FusedAndNot(t, b, o.mem, ops) {
				of := op
				if f, ok := op.(fused); ok {
					of = f.cudaFinisher
				}
				switch of.(type) {
				case rowConv, droppedNorm, droppedNormGrad:
					kinds[fmt.Sprintf("absorbed %s of %v", of.Name(), element)]++
				}
				if f, ok := op.(fused); ok {
					if n, ok := f.cudaFinisher.(cudaNorm); ok {
						kinds[fmt.Sprintf("%s with sums %d in %s", n.Name(), f.sums, precision)]++
					}
					if _, ok := f.cudaFinisher.(cudaNorm); !ok && f.sums == madeMoments {
						kinds[fmt.Sprintf("moments after %d steps in %s", f.after, precision)]++
					}
					kinds[fmt.Sprintf("%s of %v", f.cudaFinisher.Name(), element)]++
					for _, step := range f.steps {
						kinds[fmt.Sprintf("step %d of %v", step.kind, element)]++
					}
					if reads, _ := f.cudaFinisher.Operands(); atEnds && reads[0].Element != f.result().Element {
						kinds[fmt.Sprintf("%s from %v to %v", f.cudaFinisher.Name(), reads[0].Element, f.result().Element)]++
					}
				}
			}
		})
	}
	t.Log(kinds)
	for kind := stepAdd; kind <= stepAddSum; kind++ {
		for _, e := range []Element{Words, BFloat16} {
			if n := kinds[fmt.Sprintf("step %d of %v", kind, e)]; n < 3 {
				t.Errorf("there were %d steps of kind %d of %v", n, kind, e)
			}
		}
	}
	for _, precision := range []Precision{TF32, BF16} {
		for after := range 3 {
			if n := kinds[fmt.Sprintf("moments after %d steps in %s", after, precision)]; n < 3 {
				t.Errorf("moments after %d steps in %s were made %d times", after, precision, n)
			}
		}
		for _, name := range []string{"norm", "group_norm"} {
			for _, sums := range []normSums{segmentMoments, madeMoments} {
				if n := kinds[fmt.Sprintf("%s with sums %d in %s", name, sums, precision)]; n < 3 {
					t.Errorf("%s had sums %d in %s %d times", name, sums, precision, n)
				}
			}
		}
	}
	for _, name := range []string{"conv", "conv_grad_input"} {
		for _, ends := range []string{"bf16 to float32", "float32 to bf16"} {
			if n := kinds[name+" from "+ends]; n < 3 {
				t.Errorf("%s from %s was fused %d times", name, ends, n)
			}
		}
	}
	for _, name := range []string{"conv", "conv_grad_input", "norm", "norm_grad", "group_norm", "group_norm_grad",
		"absorbed conv, add_row", "absorbed group_norm, dropout", "absorbed dropout, group_norm_grad",
		"maxpool5_grad", "avgpool5", "resize"} {
		for _, e := range []Element{Words, BFloat16} {
			if n := kinds[fmt.Sprintf("%s of %v", name, e)]; n < 3 {
				t.Errorf("%s of %v was fused %d times", name, e, n)
			}
		}
	}
}

// What cannot be fused stays by itself, and what nobody needs is not stored.
func TestFusion(t *testing.T) {
	const n, c = 2, 4
	word := n * 4 * 4 * c
	w := func(i int) Buf { return Buf{Off: i * word, N: word} }
	s := ConvShape{N: n, H: 4, W: 4, Cin: c, Cout: c, K: 1, Dilation: 1}
	weight := Buf{Off: 100 * word, N: c * c}
	conv := func(x, y Buf) Conv { return Conv{ConvShape: s, X: x, Y: y, Weight: weight} }
	add := func(dst, a, b Buf) Add { return Add{N: n, Dst: dst, A: a, B: b} }
	row, image := Buf{Off: 200 * word, N: n * c}, NormShape{N: n, P: 16, C: c}
	elu := func(y, x Buf) Activate { return Activate{F: ELU, N: n, Y: y, X: x} }
	for _, test := range []struct {
		what string
		ops  []Op
		want string // of the launches: names, and the windows that they write
	}{
		{"a residual sum in the place of what it adds to", []Op{conv(w(0), w(1)), add(w(2), w(2), w(1)), conv(w(2), w(1))},
			"conv, add 2; conv 1"},
		{"a result that is read later", []Op{conv(w(0), w(1)), add(w(2), w(2), w(1)), conv(w(1), w(3))},
			"conv, add 1 2; conv 3"},
		{"a result that is there when the program ends", []Op{conv(w(0), w(1)), add(w(2), w(2), w(1))}, "conv, add 1 2"},
		{"a result that is discarded", []Op{conv(w(0), w(1)), add(w(2), w(2), w(1)), Discard{[]Buf{w(1), w(3)}}}, "conv, add 2"},
		{"a result that is read before", []Op{conv(w(0), w(1)), add(w(2), w(2), w(1)), conv(w(1), w(3)), Discard{[]Buf{w(1)}}},
			"conv, add 1 2; conv 3"},
		{"a part that is not discarded", []Op{conv(w(0), w(1)), add(w(2), w(2), w(1)), Discard{[]Buf{w(1).Slice(4, word-4)}}},
			"conv, add 1 2"},
		{"three steps", []Op{conv(w(0), w(1)), add(w(1), w(1), w(2)), elu(w(3), w(1)), elu(w(4), w(3))},
			"conv, add, elu 1 3; elu 4"},
		{"the sum lies where the convolution reads", []Op{conv(w(0), w(1)), add(w(0), w(0), w(1))}, "conv 1; add 0"},
		{"twice the result", []Op{conv(w(0), w(1)), add(w(1), w(1), w(1))}, "conv 1; add 1"},
		{"a sum that is moved up", []Op{conv(w(0), w(1)), conv(w(0), w(3)), add(w(2), w(2), w(1))},
			"conv, add 1 2; conv 3"},
		{"its place is still read", []Op{conv(w(0), w(1)), conv(w(2), w(3)), add(w(2), w(2), w(1))},
			"conv 1; conv 3; add 2"},
		{"its operand is still written", []Op{conv(w(0), w(1)), conv(w(0), w(2)), add(w(3), w(1), w(2))},
			"conv 1; conv, add 2 3"},
		{"the value is gone", []Op{conv(w(0), w(1)), conv(w(2), w(1)), add(w(3), w(3), w(1))}, "conv 1; conv, add 1 3"},
		{"its place was that of a result that is not stored", []Op{conv(w(0), w(1)), add(w(1), w(1), w(2)), conv(w(3), w(4)),
			add(w(5), w(5), w(4)), elu(w(4), w(1))}, "conv, add, elu 1 4; conv, add 5"},
		{"its place is that of a result that is stored", []Op{conv(w(0), w(1)), add(w(1), w(1), w(2)), conv(w(3), w(4)),
			add(w(5), w(5), w(4)), conv(w(4), w(6)), elu(w(4), w(1))}, "conv, add 1; conv, add 4 5; conv 6; elu 4"},
		{"a sum of two that is added", []Op{conv(w(0), w(1)), add(w(2), w(2), w(3)), add(w(2), w(2), w(1)),
			Discard{[]Buf{w(1)}}}, "conv, add, add 2"},
		{"a sum of two that is read by itself", []Op{conv(w(0), w(1)), add(w(4), w(2), w(3)), conv(w(4), w(5)),
			add(w(2), w(4), w(1))}, "conv 1; add 4; conv 5; add 2"},
		{"a row that is computed in between", []Op{conv(w(0), w(1)), Fill{Dst: row},
			AddRow{NormShape: image, X: w(1), Y: w(1), E: row}}, "fill 200; conv, add_row 1"},
		{"a row, and the result without it", []Op{conv(w(0), w(1)), AddRow{NormShape: image, X: w(1), Y: w(2), E: row},
			conv(w(1), w(3))},
			"conv 1; add_row 2; conv 3"},
		{"windows that share words", []Op{conv(w(0), w(1)), add(Buf{Off: 2*word + 4, N: word}, w(2), w(1))},
			"conv 1; add 2"},
	} {
		list, err := fuseCUDA(test.ops)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, op := range list {
			_, writes := op.Operands()
			name := op.Name()
			for _, w := range writes {
				name += fmt.Sprint(" ", w.Off/word)
			}
			got = append(got, name)
		}
		if got := strings.Join(got, "; "); got != test.want {
			t.Errorf("%s: %q, expected %q", test.what, got, test.want)
		}
	}
}
