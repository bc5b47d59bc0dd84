package kernels_test

import (
	"fmt"
	"math"
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
				t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
					kerneltest.Run(t, kernels.NewCPU(workers), kernels.Float32)
				})
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
			for _, c := range kerneltest.Cases(kernels.Float32) {
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

// NaN and infinities go the same way as in the references: to the same elements, as the same kind.
func TestSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, s := range []kernels.PoolShape{
		{N: 2, H: 8, W: 6, C: 3}, {N: 1, H: 14, W: 14, C: 8}, {N: 2, H: 4, W: 10, C: 33},
	} {
		d := s.H * s.W * s.C
		all, at, words := s.N*d, 0, 0
		take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
		x, y, sigma, one, table := take(all), take(all), take(s.N), take(1), take(2*kernels.StepWords)
		alpha, gamma, beta, state := take(s.C), take(s.C), take(s.C), take(kernels.StateWords)
		words = at // those that are read
		out, index, small := take(all), take(s.IndexWords()), take(all/4)
		stats := kernels.NormStats{Mean: take(s.N * s.C), Rstd: take(s.N * s.C), MuHat: take(s.N * s.C), Q: take(s.N)}
		m, v, ema := take(all), take(all), take(all)
		up := kernels.ResizeShape{N: s.N, H: s.H / 2, W: s.W / 2, HOut: s.H, WOut: s.W, C: s.C}
		half := x.Slice(0, all/4)
		update := func(table kernels.Buf) kernels.Op {
			return kernels.SamplerUpdate{SamplerStep: kernels.SamplerStep{Table: table, State: state, Repeat: 4}, X: x, S: y,
				D: d, Seed: 3}
		}
		ops := []kernels.Op{
			kernels.Add{N: s.N, A: x, B: y, Dst: out}, kernels.Affine{N: s.N, X: x, Y: out, Scale: -2, Shift: 1},
			kernels.DivSigma{N: s.N, X: x, Sigma: sigma, Y: out},
			kernels.Loss{N: s.N, S: x, Z: y, Sigma: sigma,
				Mean: small.Slice(0, 1), PerRow: small.Slice(1, s.N), Weight: kernels.Weight{Power: 2}},
			kernels.LossGrad{N: s.N, S: x, Z: y, Sigma: sigma, DMean: one, DS: out, Weight: kernels.Weight{Power: 2}},
			update(table.Slice(0, kernels.StepWords)), update(table.Slice(kernels.StepWords, kernels.StepWords)),
			kernels.Adam{Param: x, Grad: y, M: m, V: v, EMA: ema, State: state,
				LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Rate: 0.9},
			kernels.MaxPool5{PoolShape: s, X: x, Y: out, Index: index}, kernels.AvgPool5{PoolShape: s, X: x, Y: out},
			kernels.MeanPool2{PoolShape: s, X: x, Y: small}, kernels.MeanPool2Grad{PoolShape: s, DY: half, DX: out},
			kernels.Resize{ResizeShape: up, X: half, Y: out}, kernels.ResizeGrad{ResizeShape: up, DY: x, DX: small},
		}
		var activations []kernels.Op
		for _, f := range kernels.Activations {
			// a derivative wants what the activation can give
			activate := kernels.Activate{F: f, N: s.N, X: y, Y: take(all)}
			grad := kernels.ActivateGrad{F: f, N: s.N, DY: x, Y: activate.Y, DX: out}
			if f.FromInput() {
				grad.X, grad.Y = y, kernels.Buf{}
			}
			activations = append(activations, activate)
			ops = append(ops, kernels.Activate{F: f, N: s.N, X: x, Y: out}, grad)
		}
		norm := kernels.NormShape{N: s.N, P: s.H * s.W, C: s.C}
		// the statistics themselves are not defined, only what comes of them
		compared := map[string]kernels.Buf{"norm": out, "norm_grad": out}
		ops = append(ops,
			kernels.Norm{NormShape: norm, X: x, Alpha: alpha, Gamma: gamma, Beta: beta, Y: out, NormStats: stats},
			kernels.NormGrad{NormShape: norm, X: x, DY: y, Alpha: alpha, Gamma: gamma, DX: out,
				DAlpha: m.Slice(0, s.C), DGamma: m.Slice(s.C, s.C), DBeta: m.Slice(2*s.C, s.C), NormStats: stats})
		init := make([]float32, at)
		kernels.Stream{Seed: 8, Purpose: kernels.PurposeData}.Normals(init[:words])
		for i, w := range sigma.Of(init) {
			sigma.Of(init)[i] = w*w + 0.1
		}
		clear(state.Of(init))
		clear(table.Of(init))
		copy(table.Of(init)[kernels.StepX:], []float32{1, 0.3, 0, 0.7})                 // Langevin's
		copy(table.Of(init)[kernels.StepWords+kernels.StepX:], []float32{1, 0.3, 0, 0}) // a step without noise
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
							infinite := math.IsInf(g, 0) || math.IsInf(e, 0)
							if math.IsNaN(g) != math.IsNaN(e) || infinite && g != e || math.Abs(g-e) > 1e-4*(1+math.Abs(e)) {
								t.Fatalf("%s: word %d is %g, expected %g", op.Name(), i-w.Off, g, e)
							}
						}
					}
				}
			})
		}
	}
}

// The CPU refuses what it does not compute in.
func TestCPUPrecision(t *testing.T) {
	b := kernels.NewCPU(1)
	for _, c := range kerneltest.Cases(kernels.TF32, kernels.BF16) {
		a, err := b.Alloc(len(c.Init))
		if err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("kernels: %s is to compute in %s: the CPU computes in float32 only", c.Op.Name(), c.Precision)
		if _, err := b.Compile(a, []kernels.Op{c.Op}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, expected %s", c.Name, err, want)
		}
	}
}
