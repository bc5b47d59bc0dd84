package kernels_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/internal/vec"
	"sigmaz/kernels/kerneltest"
)

// Every operation against its reference, with each instruction set.
func TestConformance(t *testing.T) {
	for _, isa := range vec.Available() {
		t.Run(isa, func(t *testing.T) {
			defer vec.SetISA(isa)()
			for _, workers := range []int{1, 3} {
				t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) { kerneltest.Run(t, kernels.NewCPU(workers)) })
			}
		})
	}
}

// The bits of every operation are the same for any number of workers.
func TestSameBitsForAnyWorkers(t *testing.T) {
	run := func(c kerneltest.Case, workers int) []float32 {
		b := kernels.NewCPU(workers)
		a, err := b.Alloc(len(c.Init))
		if err != nil {
			t.Fatal(err)
		}
		copy(a.Host(), c.Init)
		p, err := b.Compile(a, []kernels.Op{c.Op})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		return a.Host()
	}
	for _, isa := range vec.Available() {
		t.Run(isa, func(t *testing.T) {
			defer vec.SetISA(isa)()
			for _, c := range kerneltest.Cases() {
				one := run(c, 1)
				for _, workers := range []int{2, 5} {
					for i, v := range run(c, workers) {
						if math.Float32bits(v) != math.Float32bits(one[i]) {
							t.Fatalf("%s: word %d is %g with one worker, %g with %d", c.Name, i, one[i], v, workers)
						}
					}
				}
			}
		})
	}
}

// What is not a number or infinite goes the same way as in the references: to the same elements, as the same kind.
func TestSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, s := range []kernels.PoolShape{{N: 2, H: 8, W: 6, C: 3}, {N: 1, H: 14, W: 14, C: 8}, {N: 2, H: 4, W: 10, C: 33}} {
		d := s.H * s.W * s.C
		all, at, words := s.N*d, 0, 0
		take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
		x, y, sigma, one := take(all), take(all), take(s.N), take(1)
		alpha, gamma, beta, state := take(s.C), take(s.C), take(s.C), take(kernels.StateWords)
		words = at // those that are read
		out, index, small := take(all), take(all), take(all/4)
		stats := kernels.NormStats{Mean: take(s.N * s.C), Rstd: take(s.N * s.C), MuHat: take(s.N * s.C), Q: take(s.N)}
		m, v, ema := take(all), take(all), take(all)
		up := kernels.ResizeShape{N: s.N, H: s.H / 2, W: s.W / 2, HOut: s.H, WOut: s.W, C: s.C}
		half := x.Slice(0, all/4)
		ops := []kernels.Op{
			kernels.Add{N: s.N, A: x, B: y, Dst: out}, kernels.Affine{N: s.N, X: x, Y: out, Scale: -2, Shift: 1},
			kernels.DivSigma{N: s.N, X: x, Sigma: sigma, Y: out},
			kernels.Loss{N: s.N, S: x, Z: y, Sigma: sigma, Mean: small.Slice(0, 1), PerRow: small.Slice(1, s.N), Power: 2},
			kernels.LossGrad{N: s.N, S: x, Z: y, Sigma: sigma, DMean: one, DS: out, Power: 2},
			kernels.Langevin{X: x, S: y, Alpha: sigma, State: state, T: 4, D: d, Seed: 3},
			kernels.Denoise{X: x, S: y, Sigma: sigma},
			kernels.Adam{Param: x, Grad: y, M: m, V: v, EMA: ema, State: state, LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Rate: 0.9},
			kernels.MaxPool5{PoolShape: s, X: x, Y: out, Index: index}, kernels.AvgPool5{PoolShape: s, X: x, Y: out},
			kernels.MeanPool2{PoolShape: s, X: x, Y: small}, kernels.MeanPool2Grad{PoolShape: s, DY: half, DX: out},
			kernels.Resize{ResizeShape: up, X: half, Y: out}, kernels.ResizeGrad{ResizeShape: up, DY: x, DX: small},
		}
		var activations []kernels.Op
		for _, f := range kernels.Activations {
			activate := kernels.Activate{F: f, N: s.N, X: y, Y: take(all)} // a derivative wants what the activation can give
			grad := kernels.ActivateGrad{F: f, N: s.N, DY: x, Y: activate.Y, DX: out}
			if f.FromInput() {
				grad.X, grad.Y = y, kernels.Buf{}
			}
			activations = append(activations, activate)
			ops = append(ops, kernels.Activate{F: f, N: s.N, X: x, Y: out}, grad)
		}
		norm := kernels.NormShape{N: s.N, P: s.H * s.W, C: s.C}
		compared := map[string]kernels.Buf{"norm": out, "norm_grad": out} // of the statistics only what they give is defined
		ops = append(ops, kernels.Norm{NormShape: norm, X: x, Alpha: alpha, Gamma: gamma, Beta: beta, Y: out, NormStats: stats},
			kernels.NormGrad{NormShape: norm, X: x, DY: y, Alpha: alpha, Gamma: gamma, DX: out, DAlpha: m.Slice(0, s.C), DGamma: m.Slice(s.C, s.C),
				DBeta: m.Slice(2*s.C, s.C), NormStats: stats})
		init := make([]float32, at)
		kernels.Stream{Seed: 8, Purpose: kernels.PurposeData}.Normals(init[:words])
		for i, w := range sigma.Of(init) {
			sigma.Of(init)[i] = w*w + 0.1
		}
		clear(state.Of(init))
		for i := range all {
			switch i % 97 {
			case 11:
				init[x.Off+i] = nan
			case 40:
				init[x.Off+i], init[y.Off+i] = inf, -inf
			case 41:
				init[y.Off+i] = nan
			case 42, 60:
				init[y.Off+i] = inf
			case 80:
				init[x.Off+i] = -inf
			}
		}
		for _, op := range activations {
			op.Ref(init)
		}
		for i := range stats.Mean.N {
			stats.Mean.Of(init)[i], stats.Rstd.Of(init)[i], stats.MuHat.Of(init)[i] = 0.1, 2, float32(i%s.C)-1
		}
		for i := range s.N {
			stats.Q.Of(init)[i] = 0.5
		}
		for _, isa := range vec.Available() {
			t.Run(fmt.Sprintf("%dx%dx%d/%s", s.H, s.W, s.C, isa), func(t *testing.T) {
				defer vec.SetISA(isa)()
				for _, op := range ops {
					want := append([]float32(nil), init...)
					op.Ref(want)
					b := kernels.NewCPU(2)
					a, err := b.Alloc(len(init))
					if err != nil {
						t.Fatal(err)
					}
					copy(a.Host(), init)
					p, err := b.Compile(a, []kernels.Op{op})
					if err != nil {
						t.Fatal(err)
					}
					if err := p.Run(); err != nil {
						t.Fatal(err)
					}
					_, writes := op.Operands()
					if only, ok := compared[op.Name()]; ok {
						writes = []kernels.Buf{only}
					}
					for _, w := range writes {
						for i := w.Off; i < w.Off+w.N; i++ {
							g, e := float64(a.Host()[i]), float64(want[i])
							if math.IsNaN(g) != math.IsNaN(e) || (math.IsInf(g, 0) || math.IsInf(e, 0)) && g != e || math.Abs(g-e) > 1e-4*(1+math.Abs(e)) {
								t.Fatalf("%s: word %d is %g, expected %g", op.Name(), i-w.Off, g, e)
							}
						}
					}
				}
			})
		}
	}
}

// The perturbation by its definition: x~ - sigma z is the image, levels and flips are uniform, strata are kept.
func TestPerturb(t *testing.T) {
	const rows, n, w, levels = 64, 10, 6, 8
	data := &kernels.Data{N: n, H: 1, W: w, C: 1, U8: make([]byte, n*w)}
	for i := range data.U8 {
		data.U8[i] = byte(10*(i/w) + i%w)
	}
	mem := make([]float32, 4096)
	at := 0
	take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
	op := kernels.Perturb{N: rows, XTilde: take(rows * w), Z: take(rows * w), Sigma: take(rows), Level: take(rows), Ladder: take(levels),
		State: take(kernels.StateWords), Data: data, Seed: 4, Flip: true, Stratified: true}
	for i := range levels {
		op.Ladder.Of(mem)[i] = float32(levels-i) / 100
	}
	flips, images := 0, map[int]int{}
	const steps = 50
	for step := range steps {
		kernels.SetStep(op.State.Of(mem), uint64(step))
		op.Ref(mem)
		count := map[uint32]int{}
		for r := range rows {
			level := math.Float32bits(op.Level.Of(mem)[r])
			count[level]++
			sigma := op.Sigma.Of(mem)[r]
			if sigma != op.Ladder.Of(mem)[level] {
				t.Fatalf("row %d: sigma %g is not that of level %d", r, sigma, level)
			}
			var x [w]float64
			for i := range x {
				x[i] = 255 * (float64(op.XTilde.Of(mem)[r*w+i]) - float64(sigma)*float64(op.Z.Of(mem)[r*w+i]))
			}
			image := int(math.Round(x[0])) / 10
			images[image]++
			flipped := x[0] > x[w-1]
			if flipped {
				flips++
			}
			for i := range x {
				j := i
				if flipped {
					j = w - 1 - i
				}
				if math.Abs(x[i]-float64(10*image+j)) > 1e-3 {
					t.Fatalf("step %d row %d: pixel %d is %g, expected %d", step, r, i, x[i], 10*image+j)
				}
			}
		}
		for l, c := range count {
			if c != rows/levels {
				t.Fatalf("step %d: level %d was drawn %d times, strata give %d", step, l, c, rows/levels)
			}
		}
	}
	for i, c := range images {
		if c != steps*rows/n {
			t.Errorf("image %d was drawn %d times in %d epochs", i, c, steps*rows/n)
		}
	}
	if p := float64(flips) / (steps * rows); math.Abs(p-0.5) > 4*0.5/math.Sqrt(steps*rows) {
		t.Errorf("%g of the rows were flipped", p)
	}
}

// With K levels a step, rows share K draws; every level comes up.
func TestLevelsPerStep(t *testing.T) {
	const rows, k, levels = 12, 3, 5
	data := &kernels.Data{N: 4, H: 1, W: 1, C: 1, F32: make([]float32, 4)}
	mem := make([]float32, 256)
	at := 0
	take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
	op := kernels.Perturb{N: rows, XTilde: take(rows), Z: take(rows), Sigma: take(rows), Level: take(rows), Ladder: take(levels),
		State: take(kernels.StateWords), Data: data, Seed: 4, LevelsPerStep: k}
	seen := map[uint32]int{}
	const steps = 2000
	for step := range steps {
		kernels.SetStep(op.State.Of(mem), uint64(step))
		op.Ref(mem)
		for r := range rows {
			l := math.Float32bits(op.Level.Of(mem)[r])
			if l != math.Float32bits(op.Level.Of(mem)[r%k]) {
				t.Fatalf("step %d: rows %d and %d have levels %d and %d", step, r, r%k, l, math.Float32bits(op.Level.Of(mem)[r%k]))
			}
			if r < k {
				seen[l]++
			}
		}
	}
	for l := range uint32(levels) {
		if p := float64(seen[l]) / (steps * k); math.Abs(p-1.0/levels) > 4*math.Sqrt(0.16/(steps*k)) {
			t.Errorf("level %d was drawn with frequency %g", l, p)
		}
	}
}

// A norm with the ELU after it in place is one pass, with the bits of the two one after the other.
func TestNormELUIsFused(t *testing.T) {
	const n, p, c = 3, 35, 17
	at := 0
	take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
	norm := kernels.Norm{NormShape: kernels.NormShape{N: n, P: p, C: c}, X: take(n * p * c), Y: take(n * p * c), Alpha: take(c), Gamma: take(c), Beta: take(c),
		NormStats: kernels.NormStats{Mean: take(n * c), Rstd: take(n * c), MuHat: take(n * c), Q: take(n)}}
	elu := kernels.Activate{F: kernels.ELU, N: n, X: norm.Y, Y: norm.Y}
	b := kernels.NewCPU(2)
	run := func(programs ...[]kernels.Op) []float32 {
		a, err := b.Alloc(at)
		if err != nil {
			t.Fatal(err)
		}
		kernels.Stream{Seed: 8, Purpose: kernels.PurposeData}.Normals(a.Host())
		for _, ops := range programs {
			program, err := b.Compile(a, ops)
			if err != nil {
				t.Fatal(err)
			}
			if err := program.Run(); err != nil {
				t.Fatal(err)
			}
		}
		return a.Host()
	}
	fused, apart := run([]kernels.Op{norm, elu}), run([]kernels.Op{norm}, []kernels.Op{elu})
	for i := range fused {
		if math.Float32bits(fused[i]) != math.Float32bits(apart[i]) {
			t.Fatalf("word %d: %g in one pass, %g in two", i, fused[i], apart[i])
		}
	}
}

// Rows of a larger set give what the same rows give on their own.
func TestPerturbRows(t *testing.T) {
	all := &kernels.Data{N: 9, H: 2, W: 3, C: 1, U8: make([]byte, 54)}
	for i := range all.U8 {
		all.U8[i] = byte(37 * i)
	}
	some := *all
	some.N, some.Rows = 4, []uint32{8, 3, 0, 5}
	own := &kernels.Data{N: 4, H: 2, W: 3, C: 1}
	for i := range some.N {
		own.U8 = append(own.U8, some.Bytes(i)...)
	}
	var want []float32
	for _, d := range []*kernels.Data{own, &some} {
		mem := make([]float32, 256)
		op := kernels.Perturb{N: 8, XTilde: kernels.Buf{Off: 0, N: 48}, Z: kernels.Buf{Off: 64, N: 48}, Sigma: kernels.Buf{Off: 128, N: 8},
			Level: kernels.Buf{Off: 144, N: 8}, Ladder: kernels.Buf{Off: 160, N: 2}, State: kernels.Buf{Off: 176, N: kernels.StateWords}, Data: d, Seed: 4, Flip: true}
		mem[160], mem[161] = 2, 1
		op.Ref(mem)
		if want == nil {
			want = mem
		} else if !slices.Equal(mem, want) {
			t.Error("four rows of nine give another batch than the same four on their own")
		}
	}
}
