package kernels

import (
	"hash/fnv"
	"math"
	"testing"

	"sigmaz/kernels/internal/vec"
)

// goldenNormals is the FNV-1a hash of the bits of a stream. They are part of every run: do NOT change it.
const goldenNormals = 0xe47b9dcc67a17582

func TestGoldenNormals(t *testing.T) {
	for _, isa := range vec.Available() {
		t.Run(isa, func(t *testing.T) {
			defer vec.SetISA(isa)()
			z := make([]float32, 1<<16)
			Stream{Seed: 0x0123456789abcdef, Purpose: PurposeNoise, N: 42}.Normals(z)
			h := fnv.New64a()
			for _, v := range z {
				b := math.Float32bits(v)
				h.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
			}
			if got := h.Sum64(); got != goldenNormals {
				t.Errorf("hash of 65536 normals is %#x, expected %#x; the first are %v",
					got, uint64(goldenNormals), z[:4])
			}
		})
	}
}

// Moments and tails of the normals within four standard errors.
func TestNormalMoments(t *testing.T) {
	const n = 1 << 20
	z := make([]float32, n)
	Stream{Seed: 9, Purpose: PurposeNoise, N: 1}.Normals(z)
	var m [5]float64
	beyond := 0
	for _, v := range z {
		p := 1.0
		for k := range m {
			m[k] += p / n
			p *= float64(v)
		}
		if v > 2 || v < -2 {
			beyond++
		}
	}
	for k, want := range map[int][2]float64{1: {0, 1}, 2: {1, 2}, 3: {0, 15}, 4: {3, 96}} {
		if math.Abs(m[k]-want[0]) > 4*math.Sqrt(want[1]/n) {
			t.Errorf("moment %d is %g, expected %g", k, m[k], want[0])
		}
	}
	if p := float64(beyond) / n; math.Abs(p-0.0455003) > 4*math.Sqrt(0.0455*0.9545/n) {
		t.Errorf("%g of the values are beyond 2, expected 0.0455", p)
	}
}

// Every epoch goes through every row once, epochs and seeds differ.
func TestPermutation(t *testing.T) {
	for _, n := range []uint64{1, 2, 3, 17, 1000, 4097} {
		seen := make([]int, n)
		moved := false
		for q := range 2 * n {
			i := Permutation(7, n, q)
			seen[i]++
			moved = moved || i != Permutation(8, n, q) || q >= n && i != Permutation(7, n, q-n)
		}
		for i, c := range seen {
			if c != 2 {
				t.Fatalf("n=%d: row %d was drawn %d times in two epochs", n, i, c)
			}
		}
		if n > 16 && !moved {
			t.Errorf("n=%d: epochs and seeds have the same order", n)
		}
	}
}
