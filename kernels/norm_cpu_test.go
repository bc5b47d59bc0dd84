package kernels_test

import (
	"math"
	"testing"

	"sigmaz/kernels"
)

// A norm with the ELU after it in place is one pass, with the bits of the two one after the other.
func TestNormELUIsFused(t *testing.T) {
	const n, p, c = 3, 35, 17
	at := 0
	take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
	norm := kernels.Norm{NormShape: kernels.NormShape{N: n, P: p, C: c}, X: take(n * p * c), Y: take(n * p * c),
		Alpha: take(c), Gamma: take(c), Beta: take(c),
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
