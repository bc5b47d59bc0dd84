package kernels

import (
	"hash/fnv"
	"math"
	"testing"
)

// Known answers of Random123 (kat_vectors, philox4x32 10).
func TestPhiloxKnownAnswers(t *testing.T) {
	for _, c := range []struct {
		key       [2]uint32
		ctr, want [4]uint32
	}{
		{[2]uint32{}, [4]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{[2]uint32{0xffffffff, 0xffffffff}, [4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{[2]uint32{0xa4093822, 0x299f31d0}, [4]uint32{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
			[4]uint32{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	} {
		if got := Philox(c.key, c.ctr); got != c.want {
			t.Errorf("key %x counter %x: %x, expected %x", c.key, c.ctr, got, c.want)
		}
	}
}

// goldenNormals is the FNV-1a hash of the bits of a stream. They are part of every run: do NOT change it.
const goldenNormals = 0xe47b9dcc67a17582

func TestGoldenNormals(t *testing.T) {
	z := make([]float32, 1<<16)
	Stream{Seed: 0x0123456789abcdef, Purpose: PurposeNoise, N: 42}.Normals(z)
	h := fnv.New64a()
	for _, v := range z {
		b := math.Float32bits(v)
		h.Write([]byte{byte(b), byte(b >> 8), byte(b >> 16), byte(b >> 24)})
	}
	if got := h.Sum64(); got != goldenNormals {
		t.Errorf("hash of 65536 normals is %#x, expected %#x; the first are %v", got, uint64(goldenNormals), z[:4])
	}
}

// Box-Muller's own logarithm, sine and cosine against float64 over a dense set of words.
func TestNormalFunctions(t *testing.T) {
	var worstLog, worstTurn float64
	check := func(x uint32) {
		u := float64(x>>8+1) / (1 << 24)
		ln := math.Log(u)
		if got := float64(logUniform(x)); ln != 0 {
			worstLog = math.Max(worstLog, math.Abs(got-ln)/math.Abs(ln))
		} else if got != 0 {
			t.Errorf("ln 1 = %g", got)
		}
		s, c := sinCosTurn(x)
		ws, wc := math.Sincos(2 * math.Pi * u)
		worstTurn = math.Max(worstTurn, math.Max(math.Abs(float64(s)-ws), math.Abs(float64(c)-wc)))
	}
	for x := uint64(0); x < 1<<32; x += 7919 * 256 / 64 {
		check(uint32(x))
	}
	for i := range uint32(4096) {
		check(i << 8)
		check(^uint32(0) - i<<8)
	}
	if worstLog > 2e-7 || worstTurn > 1.5e-7 {
		t.Errorf("worst relative error of ln %g, absolute of sin and cos %g", worstLog, worstTurn)
	}
	t.Logf("ln %.2g relative, sin and cos %.2g absolute", worstLog, worstTurn)
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
