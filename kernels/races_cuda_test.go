// Races, which the stand-in driver of cuda/sim detects in the PTX that ships: no two threads may access a place, one of
// them writing, without a barrier between them. It sees only what a case does, so the cases here make every barrier
// needed: sums of several steps, and blocks that go on to a second row, image or level.

//go:build cgo && !nocuda

package kernels

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// standIn skips the test where the device is a GPU.
func standIn(t *testing.T) {
	t.Helper()
	b, err := NewCUDA(0)
	if err != nil {
		if os.Getenv("SIGMAZ_GPU") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	defer b.Close() // now: a context that failed ends with its last user
	if !strings.Contains(b.Name(), "stand-in") {
		t.Skip("races are found by the stand-in driver, this is ", b.Name())
	}
}

// All that TestBitsCUDA runs is without races.
func TestRacesCUDA(t *testing.T) {
	standIn(t)
	again := exec.Command(os.Args[0], "-test.run=^TestBitsCUDA$")
	again.Env = append(os.Environ(), "SIGMAZ_SIM_RACES=1")
	if out, err := again.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// rowDimension is the dimension of a kernel's grid that shares out rows, images or levels. The kernel goes on to the
// next row where a block is left with several, which happens in a program only where the grid's limit forces it.
var rowDimension = map[string]int{
	"add_row_grad": 1, "add_row_grad_bf16": 1, "dropout": 1, "dropout_bf16": 1,
	"attention_scores": 2, "attention_scores_bf16": 2, "attention_mix": 2, "attention_mix_bf16": 2,
	"attention_mix_transposed": 2, "attention_mix_transposed_bf16": 2,
	"loss": 0, "loss_grad": 1, "perturb": 1, "sampler_gain": 0, "sampler_update": 1,
	"sampler_misfit": 1, "sampler_fit": 1, "ode_slope": 0, "ode_norm": 0,
	"group_norm_apply": 1, "group_norm_apply_bf16": 1, "group_norm_grad_sums": 1, "group_norm_grad_sums_bf16": 1,
	"group_norm_grad_apply": 1, "group_norm_grad_apply_bf16": 1,
	"norm_sums": 1, "norm_sums_bf16": 1, "norm_moments": 1, "norm_moments_bf16": 1,
	"norm_apply": 1, "norm_apply_bf16": 1,
	"norm_grad_sums": 1, "norm_grad_sums_bf16": 1, "norm_grad_apply": 1, "norm_grad_apply_bf16": 1, "norm_grad_params": 2,
}

// barrierCase is a program that takes the barriers of some kernels.
type barrierCase struct {
	operands
	name string
	tile *cudaTile // of convolutions, nil: the one that their shape leads to
	ops  []Op
}

func barrierCases() []*barrierCase {
	var cases []*barrierCase
	add := func(name string, ops func(c *barrierCase) []Op) *barrierCase {
		c := &barrierCase{name: name}
		c.ops = ops(c)
		cases = append(cases, c)
		return c
	}
	// Sums of three steps of 16 terms, and results for all rows of a tile.
	for _, tile := range slices.Concat(wideTiles, anyTiles) {
		s := ConvShape{N: 1, H: 16, W: 8, Cin: 36, Cout: 36, K: 1, Dilation: 1}
		c := add("conv "+tile.name, func(c *barrierCase) []Op {
			n := s.N * s.H * s.W
			x, w := c.normals(n*s.Cin), c.normals(s.Cout*s.Cin)
			return []Op{Conv{ConvShape: s, X: x, Weight: w, Bias: c.normals(s.Cout), Y: c.out(n * s.Cout)},
				ConvGradInput{ConvShape: s, DY: c.normals(n * s.Cout), Weight: w, DX: c.out(n * s.Cin)}}
		})
		c.tile = &tile
	}
	for _, tile := range slices.Concat(wideWeightTiles, anyTiles) {
		s := ConvShape{N: 1, H: 6, W: 8, Cin: 36, Cout: 36, K: 1, Dilation: 1}
		c := add("conv_grad_weight "+tile.name, func(c *barrierCase) []Op {
			n := s.N * s.H * s.W
			return []Op{ConvGradWeight{ConvShape: s, X: c.aligned(c.normals(n * s.Cin)),
				DY: c.aligned(c.normals(n * s.Cout)), DWeight: c.out(s.Cout * s.Cin), DBias: c.out(s.Cout)}}
		})
		c.tile = &tile
	}
	// The same at the ends of a network in bf16.
	for _, ends := range []convEnds{{BFloat16, Words}, {Words, BFloat16}} {
		for _, tile := range slices.Concat(wideEndTiles[ends], anyEndTiles[ends]) {
			s := ConvShape{N: 1, H: 16, W: 8, Cin: 36, Cout: 36, K: 1, Dilation: 1}
			c := add("conv "+tile.name, func(c *barrierCase) []Op {
				n := s.N * s.H * s.W
				x, dy, w := c.of(ends.in, n*s.Cin), c.of(ends.out, n*s.Cout), c.normals(s.Cout*s.Cin)
				return []Op{
					Conv{ConvShape: s, X: x, Weight: w, Bias: c.normals(s.Cout), Y: c.of(ends.out, n*s.Cout), Precision: BF16},
					ConvGradInput{ConvShape: s, DY: dy, Weight: w, DX: c.of(ends.in, n*s.Cin), Precision: BF16},
					ConvGradWeight{ConvShape: s, X: x, DY: dy, DWeight: c.out(s.Cout * s.Cin), DBias: c.out(s.Cout), Precision: BF16,
						Parts: 1}}
			})
			c.tile = &tile
		}
	}
	// Sums of four steps on tensor cores: stages are filled again.
	for _, e := range []Element{Words, BFloat16} {
		p, channels := TF32, 64
		if e == BFloat16 {
			p, channels = BF16, 128
		}
		for _, tile := range tensorTiles[e] {
			s := ConvShape{N: 1, H: 16, W: 8, Cin: channels, Cout: channels, K: 1, Dilation: 1}
			c := add("conv "+tile.name, func(c *barrierCase) []Op {
				n := s.N * s.H * s.W
				x, dy, w := c.of(e, n*s.Cin), c.of(e, n*s.Cout), c.of(e, s.Cout*s.Cin)
				y, stats := c.of(e, n*s.Cout), NormStats{Mean: c.out(s.Cout), Rstd: c.out(s.Cout), MuHat: c.out(s.Cout), Q: c.out(1)}
				return []Op{ // with moments of the result
					Conv{ConvShape: s, X: x, Weight: w, Bias: c.normals(s.Cout), Y: y, Precision: p},
					Norm{NormShape: NormShape{1, n, s.Cout}, X: y, Y: c.of(e, n*s.Cout), NormStats: stats},
					ConvGradInput{ConvShape: s, DY: dy, Weight: w, DX: c.of(e, n*s.Cin), Precision: p}}
			})
			c.tile = &tile
		}
		// Moments of images that no convolution has just made, of two segments: of three images.
		add(fmt.Sprintf("moments of %v", e), func(c *barrierCase) []Op {
			s := ConvShape{N: 3, H: 16, W: 8, Cin: 32, Cout: 32, K: 1, Dilation: 1}
			n := s.N * s.H * s.W * s.Cin
			of := func() Buf { return c.aligned(c.out(s.N * s.Cin)) }
			return []Op{
				Norm{NormShape: NormShape{s.N, s.H * s.W, s.Cin}, X: c.of(e, n), Y: c.of(e, n),
					NormStats: NormStats{Mean: of(), Rstd: of(), MuHat: of(), Q: c.aligned(c.out(s.N))}},
				Conv{ConvShape: s, X: c.of(e, n), Weight: c.of(e, s.Cin*s.Cout), Y: c.of(e, n), Precision: p}}
		})
		for _, tile := range tensorWeightTiles[e] {
			s := ConvShape{N: 2, H: 8, W: 8, Cin: 32, Cout: 96, K: 1, Dilation: 1}
			c := add("conv_grad_weight "+tile.name, func(c *barrierCase) []Op {
				n := s.N * s.H * s.W
				return []Op{ConvGradWeight{ConvShape: s, X: c.of(e, n*s.Cin), DY: c.of(e, n*s.Cout),
					DWeight: c.out(s.Cout * s.Cin), DBias: c.out(s.Cout), Precision: p}}
			})
			c.tile = &tile
		}
	}
	// Three images of several pixels, of channels that are read one and four at a time.
	for i, channels := range []int{3, 8, 3, 8} {
		s, e := NormShape{N: 3, P: 64, C: channels}, Element(i/2)
		add(fmt.Sprintf("norm of %d channels of %v", channels, e), func(c *barrierCase) []Op {
			const levels = 3
			all := s.N * s.P * s.C
			x, dy, table := c.of(e, all), c.of(e, all), c.aligned(c.normals(levels*3*s.C))
			of := func() Buf { return c.aligned(c.out(s.N * s.C)) }
			stats := NormStats{Mean: of(), Rstd: of(), MuHat: of(), Q: c.out(s.N)}
			level := c.aligned(c.words(2, 0, 2))
			return []Op{
				Norm{NormShape: s, X: x, Embed: table, Level: level, Levels: levels, NormStats: stats,
					Y: c.aligned(c.of(e, all))},
				NormGrad{NormShape: s, X: x, DY: dy, Embed: table, Level: level, Levels: levels, NormStats: stats,
					DX: c.aligned(c.of(e, all)), DEmbed: c.out(levels * 3 * s.C)},
			}
		})
	}
	for i, channels := range []int{6, 8, 6, 8} {
		s, e := GroupNormShape{N: 3, P: 64, C: channels, Groups: 2}, Element(i/2)
		add(fmt.Sprintf("group norm of %d channels of %v", channels, e), func(c *barrierCase) []Op {
			all := s.N * s.P * s.C
			x, dy, gamma, beta := c.of(e, all), c.of(e, all), c.aligned(c.normals(s.C)), c.aligned(c.normals(s.C))
			stats := GroupStats{Mean: c.out(s.N * s.Groups), Rstd: c.aligned(c.out(s.N * s.Groups))}
			norm := GroupNorm{GroupNormShape: s, Swish: true, X: x, Gamma: gamma, Beta: beta, GroupStats: stats,
				Y: c.aligned(c.of(e, all))}
			grad := GroupNormGrad{GroupNormShape: s, Swish: true, X: x, DY: dy, Gamma: gamma, Beta: beta, GroupStats: stats,
				DX: c.aligned(c.of(e, all)), DGamma: c.out(s.C), DBeta: c.aligned(c.out(s.C))}
			// The same with a dropout, which the kernels do on the way.
			drop := Dropout{N: s.N, X: dy, Y: c.aligned(c.of(e, all)), State: c.words(5, 0, 0, 0), P: 0.3}
			dropped := grad
			dropped.DY, dropped.DX = drop.Y, c.aligned(c.of(e, all))
			return []Op{norm, grad, drop, dropped, Discard{[]Buf{drop.Y}}}
		})
	}
	// Products of several steps, of two images and of results for all threads.
	for _, e := range []Element{Words, BFloat16} {
		s := AttentionShape{N: 2, P: 64, C: 64}
		add(fmt.Sprintf("attention of %v", e), func(c *barrierCase) []Op {
			a, b, weights := c.of(e, s.N*s.P*s.C), c.of(e, s.N*s.P*s.C), c.normals(s.N*s.P*s.P)
			return []Op{
				AttentionScores{AttentionShape: s, A: a, B: b, S: c.out(s.N * s.P * s.P), Scale: 1},
				AttentionMix{AttentionShape: s, S: weights, X: a, Y: c.of(e, s.N*s.P*s.C), Scale: 1},
				AttentionMix{AttentionShape: s, S: weights, X: a, Y: c.of(e, s.N*s.P*s.C), Transposed: true, Scale: 1},
			}
		})
	}
	// More rows than loss_mean takes at a time, and than a block of the others has threads for.
	add("loss", func(c *barrierCase) []Op {
		const rows, d = 600, 12
		s, z, sigma := c.normals(rows*d), c.normals(rows*d), c.out(rows)
		for i := range sigma.Of(c.mem) {
			sigma.Of(c.mem)[i] = 1 + float32(i)/rows
		}
		mean := c.out(1)
		return []Op{Loss{N: rows, S: s, Z: z, Sigma: sigma, Mean: mean, PerRow: c.out(rows), Weight: Weight{Power: 2}},
			LossGrad{N: rows, S: s, Z: z, Sigma: sigma, DMean: mean, DS: c.out(rows * d), Weight: Weight{Power: 2}}}
	})
	add("perturb", func(c *barrierCase) []Op {
		const rows = 70
		data := &Data{N: 5, H: 2, W: 2, C: 3, U8: make([]byte, 60)}
		return []Op{Perturb{Data: data, N: rows, Seed: 7, Dequantize: true, Flip: true, Ladder: c.normals(11),
			State: c.words(5, 0, 0, 0), XTilde: c.out(rows * data.D()), Z: c.out(rows * data.D()), Sigma: c.out(rows),
			Level: c.out(rows)}}
	})
	add("sampler", func(c *barrierCase) []Op {
		const rows, d = 300, 7
		step := SamplerStep{Table: c.out(StepWords), State: c.words(0, 0, 3, 0), Repeat: 1}
		table := step.Table.Of(c.mem)
		SetWord(table, Buf{N: StepWords}, StepGain, 1)
		copy(table[StepX:], []float32{1, 2, 3, 4, 5, 6, 7, 8})
		s, gain := c.normals(rows*d), c.out(rows)
		return []Op{SamplerGain{SamplerStep: step, S: s, Gain: gain, D: d},
			SamplerUpdate{SamplerStep: step, X: c.normals(rows * d), S: s, Y: c.normals(rows * d), Gain: gain, D: d, Seed: 3}}
	})
	// Three images, in each of which all threads of a channel have pixels.
	for _, e := range []Element{Words, BFloat16} {
		add(fmt.Sprintf("add_row_grad of %v", e), func(c *barrierCase) []Op {
			s := NormShape{N: 3, P: 20, C: 36}
			return []Op{AddRowGrad{NormShape: s, DY: c.of(e, s.N*s.P*s.C), DE: c.out(s.N * s.C)}}
		})
	}
	add("grad_norm", func(c *barrierCase) []Op { // more blocks than the last kernel has threads
		return []Op{GradNorm{Grad: c.normals(300*normBlock + 5), Norm: c.out(1)}}
	})
	add("ode", func(c *barrierCase) []Op { // more values of a row than a block has threads
		const rows, d, e = 3, 300, 301
		doubles := func(n int) Buf { return c.aligned(c.normals(Float64Words * n)) }
		o := ODE{Table: c.words(make([]uint32, Float64Words*ODEWidth)...), State: c.words(0, 0, 0, 0), Repeat: 1, X: doubles(rows * e),
			At: doubles(rows * e), K: doubles(rows * ODESlots * e), H: doubles(rows), D: d, E: e}
		return []Op{ODESlope{ODE: o, S: c.normals(rows * d), Sigmas: doubles(rows), Scale: doubles(rows), V: c.normals(rows * d),
			VJ: c.normals(rows * d), Trace: doubles(rows)},
			ODENorm{ODE: o, Of: 0, Tol: doubles(1), Err: c.aligned(c.out(Float64Words * rows))}}
	})
	for _, k := range []int{36, 37} { // read 16 bytes at a time, and one by one
		add(fmt.Sprintf("pairs of %d columns", k), func(c *barrierCase) []Op {
			const m, n = 140, 132
			return []Op{PairExtremes{A: c.normals(m * k), B: c.normals(n * k), HalfA: c.normals(m), HalfB: c.normals(n),
				Out: c.out(2 * 2 * 2), K: k, FirstA: 60}}
		})
	}
	add("adam", func(c *barrierCase) []Op {
		const n = 300
		v := c.out(n)
		for i := range v.Of(c.mem) {
			v.Of(c.mem)[i] = float32(i)
		}
		return []Op{Adam{Param: c.normals(n), Grad: c.normals(n), M: c.normals(n), V: v, EMA: c.normals(n),
			State: c.words(9, 0, 0, 0), LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Rate: 0.999}}
	})
	return cases
}

// of is a window of normals of a kind.
func (o *operands) of(e Element, n int) Buf {
	w := Buf{Off: len(o.mem), N: n, Element: e}
	values := make([]float32, n)
	o.n++
	Stream{Seed: 3, Purpose: PurposeData, N: o.n}.Normals(values)
	o.mem = append(o.mem, make([]float32, w.Words())...)
	w.Store(o.mem, values)
	return w
}

// words is a window of these bits.
func (o *operands) words(w ...uint32) Buf {
	b := o.out(len(w))
	for i, x := range w {
		b.Of(o.mem)[i] = math.Float32frombits(x)
	}
	return b
}

// aligned is the window b, behind which the next one starts on a multiple of 16 bytes.
func (o *operands) aligned(b Buf) Buf {
	o.out(-len(o.mem) & 3)
	return b
}

// run compiles and runs the case. With narrow, blocks are left with all rows. It says what the memory holds afterwards
// and which kernels there were.
func (c *barrierCase) run(b Backend, narrow bool) (memory []float32, names []string, err error) {
	a, err := b.Alloc(len(c.mem))
	if err != nil {
		return nil, nil, err
	}
	if err := a.Write(Buf{Off: 0, N: len(c.mem)}, c.mem); err != nil {
		return nil, nil, err
	}
	ops := c.ops
	if c.tile != nil {
		ops = inTile(*c.tile, ops...)
	}
	p, err := b.Compile(a, ops)
	if err != nil {
		return nil, nil, err
	}
	launches := p.(*cudaProgram).launches
	for i := range launches {
		names = append(names, launches[i].kernel)
		if d, ok := rowDimension[launches[i].kernel]; ok && narrow {
			launches[i].grid[d] = 1
		}
	}
	if err := p.Run(); err != nil {
		return nil, names, err
	}
	memory = make([]float32, len(c.mem))
	return memory, names, a.Read(memory, Buf{Off: 0, N: len(c.mem)})
}

// barrier is one bar.sync of the PTX, the n-th of its kernel.
type barrier struct {
	kernel, file string
	line, n      int
}

// needless is the barriers by which no race is prevented: at the end of a row, behind the last barrier of a sum by
// halves, a thread has read nothing but what it wrote itself.
var needless = map[string][]int{"loss": {2}, "norm_sums": {2, 5}, "norm_sums_bf16": {2, 5},
	"norm_grad_sums": {2, 5}, "norm_grad_sums_bf16": {2, 5},
	"group_norm_grad_sums": {2, 5, 8, 11}, "group_norm_grad_sums_bf16": {2, 5, 8, 11}}

func barriers(t *testing.T) []barrier {
	t.Helper()
	files, err := ptxFiles.ReadDir("ptx")
	if err != nil {
		t.Fatal(err)
	}
	var all []barrier
	for _, f := range files {
		text, err := ptxFiles.ReadFile("ptx/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		kernel, line, n := "", 0, 0
		for s := range strings.Lines(string(text)) {
			line++
			if _, name, ok := strings.Cut(s, ".entry "); ok {
				kernel, n = strings.TrimRight(name, "(\n"), 0
			}
			if strings.Contains(s, "bar.sync") {
				all = append(all, barrier{kernel, f.Name(), line, n})
				n++
			}
		}
	}
	return all
}

// Where one barrier of the PTX is passed without waiting, the race detector finds what it was for; where all are kept
// there is no race, and rows that one block takes have the bits of rows that have blocks of their own.
func TestBarriersCUDA(t *testing.T) {
	standIn(t)
	allMoments(t)
	t.Setenv("SIGMAZ_SIM_RACES", "1")
	cases := barrierCases()
	of := map[string][]*barrierCase{} // by kernel
	b, err := NewCUDA(0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range cases {
		want, _, err := c.run(b, false)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		got, names, err := c.run(b, true)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		for i := range got {
			if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
				t.Fatalf("%s: word %d is %g where one block takes all rows, else %g", c.name, i, got[i], want[i])
			}
		}
		for _, name := range names {
			of[name] = append(of[name], c)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	all := barriers(t)
	if len(all) == 0 {
		t.Fatal("no barriers in the PTX")
	}
	for _, bar := range all {
		t.Run(fmt.Sprintf("%s:%d", bar.file, bar.line), func(t *testing.T) {
			t.Setenv("SIGMAZ_SIM_FAULT", fmt.Sprintf("barrier:%s:%d", bar.file, bar.line))
			found := slices.ContainsFunc(of[bar.kernel], func(c *barrierCase) bool {
				b, err := NewCUDA(0)
				if err != nil {
					t.Fatal(err)
				}
				defer b.Close()
				_, _, err = c.run(b, true)
				if err != nil && !strings.Contains(err.Error(), "race in") {
					t.Fatal(err)
				}
				return err != nil
			})
			switch listed := slices.Contains(needless[bar.kernel], bar.n); {
			case !found && !listed:
				t.Errorf("without barrier %d of %s no race is found", bar.n, bar.kernel)
			case found && listed:
				t.Errorf("barrier %d of %s is called needless, but without it there is a race", bar.n, bar.kernel)
			}
		})
	}
}
