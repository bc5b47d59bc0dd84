package kernels_test

import (
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
)

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
	op := kernels.Perturb{N: rows, XTilde: take(rows * w), Z: take(rows * w), Sigma: take(rows), Level: take(rows),
		Ladder: take(levels), State: take(kernels.StateWords), Data: data, Seed: 4, Flip: true, Stratified: true}
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

// The numbers of EDM by table 1 of Karras et al. 2022: D = x~ + sigma^2 s is c_skip x~ + c_out F; and those of VP and sub-VP by
// score_sde's: the network is given m x~, told 999 t, and its output is the noise. Of a table it is told the step.
func TestPrecondition(t *testing.T) {
	numbers := func(o kernels.Precondition, sigmas []float32, table []float32) (rows [][]float64) {
		o.N = len(sigmas)
		o.Sigma, o.Y = kernels.Buf{N: o.N}, kernels.Buf{Off: o.N, N: kernels.PreconditionRows * o.N}
		mem := append(slices.Clone(sigmas), make([]float32, o.Y.N)...)
		if table != nil {
			o.Table = kernels.Buf{Off: len(mem), N: len(table)}
			mem = append(mem, table...)
		}
		o.Ref(mem)
		for n := range sigmas {
			var v []float64
			for i := range kernels.PreconditionRows {
				v = append(v, float64(o.Y.Of(mem)[i*o.N+n]))
			}
			rows = append(rows, v)
		}
		return rows
	}
	near := func(what string, sigma float32, got, want float64) {
		t.Helper()
		if !(math.Abs(got-want) <= 3e-7*max(1, math.Abs(want))) {
			t.Errorf("%s at sigma %g is %.9g, expected %.9g", what, sigma, got, want)
		}
	}
	sigmas := []float32{0.003, 0.1, 0.5, 1, 7, 80}
	const sd = 0.5
	for n, v := range numbers(kernels.Precondition{SD: sd}, sigmas, nil) {
		s := float64(sigmas[n])
		root := math.Sqrt(s*s + sd*sd)
		near("c_in", sigmas[n], v[kernels.PreconditionIn], 1/root)
		near("c_noise", sigmas[n], v[kernels.PreconditionCond], math.Log(s)/4)
		near("c_skip", sigmas[n], 1+s*s*v[kernels.PreconditionX], sd*sd/(root*root))
		near("c_out", sigmas[n], s*s*v[kernels.PreconditionF], s*sd/root)
	}
	const min, max = 0.1, 20.0
	for _, sub := range []bool{false, true} {
		for _, at := range []float64{0.01, 0.2, 0.9, 1} {
			m := math.Exp(-(max-min)*at*at/4 - min*at/2)
			std := math.Sqrt(1 - m*m)
			if sub {
				std = 1 - m*m
			}
			sigma := float32(std / m)
			v := numbers(kernels.Precondition{Betas: kernels.Betas{Sub: sub, Min: min, Max: max}}, []float32{sigma}, nil)[0]
			near("m", sigma, v[kernels.PreconditionIn], m)
			near("cond", sigma, v[kernels.PreconditionCond]/999, at)
			near("b", sigma, v[kernels.PreconditionF]*float64(sigma), -1)
			near("a", sigma, v[kernels.PreconditionX], 0)
		}
	}
	table := []float32{100, 10, 0.1}
	for i, v := range numbers(kernels.Precondition{Betas: kernels.Betas{Min: min, Max: max}}, []float32{200, 100, 10, 1, 0.1, 0.01}, table) {
		near("step", float32(i), v[kernels.PreconditionCond], []float64{2, 2, 1, 0.5, 0, 0}[i])
	}
}

// With K levels a step, rows share K draws; every level comes up.
func TestLevelsPerStep(t *testing.T) {
	const rows, k, levels = 12, 3, 5
	data := &kernels.Data{N: 4, H: 1, W: 1, C: 1, F32: make([]float32, 4)}
	mem := make([]float32, 256)
	at := 0
	take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
	op := kernels.Perturb{N: rows, XTilde: take(rows), Z: take(rows), Sigma: take(rows), Level: take(rows),
		Ladder: take(levels), State: take(kernels.StateWords), Data: data, Seed: 4, LevelsPerStep: k}
	seen := map[uint32]int{}
	const steps = 2000
	for step := range steps {
		kernels.SetStep(op.State.Of(mem), uint64(step))
		op.Ref(mem)
		for r := range rows {
			l := math.Float32bits(op.Level.Of(mem)[r])
			if l != math.Float32bits(op.Level.Of(mem)[r%k]) {
				t.Fatalf("step %d: rows %d and %d have levels %d and %d",
					step, r, r%k, l, math.Float32bits(op.Level.Of(mem)[r%k]))
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
		op := kernels.Perturb{N: 8, XTilde: kernels.Buf{Off: 0, N: 48}, Z: kernels.Buf{Off: 64, N: 48},
			Sigma: kernels.Buf{Off: 128, N: 8}, Level: kernels.Buf{Off: 144, N: 8}, Ladder: kernels.Buf{Off: 160, N: 2},
			State: kernels.Buf{Off: 176, N: kernels.StateWords}, Data: d, Seed: 4, Flip: true}
		mem[160], mem[161] = 2, 1
		op.Ref(mem)
		if want == nil {
			want = mem
		} else if !slices.Equal(mem, want) {
			t.Error("four rows of nine give another batch than the same four on their own")
		}
	}
}
