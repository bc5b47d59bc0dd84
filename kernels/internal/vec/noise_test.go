package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"sigmaz/kernels/internal/philox"
)

// sameBits fails at the first value whose bits differ.
func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i, w := range want {
		if math.Float32bits(got[i]) != math.Float32bits(w) {
			t.Fatalf("%s: at %d have %g (%#x), want %g (%#x)", what, i, got[i], math.Float32bits(got[i]), w, math.Float32bits(w))
		}
	}
}

var noiseStreams = []philox.Stream{{}, {Key: [2]uint32{0x89abcdef, 0x01234567}, Counter: [3]uint32{5, 42, 0}},
	{Key: [2]uint32{^uint32(0), ^uint32(0)}, Counter: [3]uint32{8, ^uint32(0), 1 << 31}}}

// Every block has the bits of the reference at every length, and writes nothing else.
func TestNoise(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, s := range noiseStreams {
			for _, n := range lengths {
				name := fmt.Sprintf("n=%d", n)
				x, score := normals(1, n), normals(2, n)
				bytes := make([]byte, n)
				for i := range bytes {
					bytes[i] = byte(i * 37)
				}
				got, want := guard(name, n, 0), make([]float32, n)
				Uniforms(got.v, s)
				uniformsGo(want, s)
				sameBits(t, "Uniforms, "+name, got.v, want)
				Normals(got.v, s)
				normalsGo(want, s)
				sameBits(t, "Normals, "+name, got.v, want)
				z := guard("z", n, 0)
				copy(got.v, x)
				copy(want, x)
				Perturb(got.v, z.v, 0.37, s)
				zWant := make([]float32, n)
				perturbGo(want, zWant, 0.37, s)
				sameBits(t, "Perturb, "+name, got.v, want)
				sameBits(t, "Perturb's z, "+name, z.v, zWant)
				z.check(t)
				copy(got.v, x)
				copy(want, x)
				Langevin(got.v, score, 0.013, 0.16, s)
				langevinGo(want, score, 0.013, 0.16, s)
				sameBits(t, "Langevin, "+name, got.v, want)
				Dequantize(got.v, bytes, s)
				dequantizeGo(want, bytes, s)
				sameBits(t, "Dequantize, "+name, got.v, want)
				Bytes(got.v, bytes)
				bytesGo(want, bytes)
				sameBits(t, "Bytes, "+name, got.v, want)
				got.check(t)
			}
		}
	})
}

// Blocks of any counters, in place.
func TestNoiseBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	eachISA(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 33, 1023, 1024, 1025, 5000} {
			blocks := make([][4]uint32, n+2)
			for i := range blocks {
				blocks[i] = [4]uint32{r.Uint32(), r.Uint32(), r.Uint32(), r.Uint32()}
			}
			key := [2]uint32{r.Uint32(), r.Uint32()}
			for _, c := range []struct {
				name      string
				got, want func([][4]uint32, [2]uint32)
			}{{"Words", Words, wordsGo}, {"Normals4", Normals4, normals4Go}} {
				got, want := append([][4]uint32(nil), blocks...), append([][4]uint32(nil), blocks...)
				c.got(got[1:n+1], key)
				c.want(want[1:n+1], key)
				for i := range want {
					if got[i] != want[i] {
						t.Fatalf("%s, n=%d: block %d is %x, want %x", c.name, n, i-1, got[i], want[i])
					}
				}
			}
		}
	})
}

// counterOf is the counter whose words are w: Philox backwards.
func counterOf(key [2]uint32, w [4]uint32) [4]uint32 {
	inverse := func(m uint32) uint32 { // of an odd number, modulo 2^32, by Newton's method
		x := m
		for range 5 {
			x *= 2 - m*x
		}
		return x
	}
	i0, i1 := inverse(philox.M0), inverse(philox.M1)
	for round := philox.Rounds - 1; round >= 0; round-- {
		k0, k1 := key[0]+uint32(round)*philox.W0, key[1]+uint32(round)*philox.W1
		c0, c2 := w[3]*i0, w[1]*i1
		w = [4]uint32{c0, w[0] ^ k0 ^ uint32(uint64(philox.M1)*uint64(c2)>>32), c2,
			w[2] ^ k1 ^ uint32(uint64(philox.M0)*uint64(c0)>>32)}
	}
	return w
}

// Box-Muller's functions over a word's 24 bits that count: every ninth, and all of those around the boundaries of the
// reductions and at both ends.
func TestNormalsOfEveryWord(t *testing.T) {
	key := [2]uint32{3, 4}
	var words []uint32
	for k := uint32(0); k < 1<<24; k += 9 {
		words = append(words, k)
	}
	for i := range uint32(17) {
		for d := range uint32(100) {
			words = append(words, (i<<20+d-50)&(1<<24-1), (11863283>>i+d-50)&(1<<24-1)) // sixteenths of a turn; sqrt(1/2) 2^-i
		}
	}
	blocks := make([][4]uint32, 0, len(words))
	for i, w := range words {
		other := words[(i*7919)%len(words)]
		blocks = append(blocks, counterOf(key, [4]uint32{w << 8, w<<8 | 255, other << 8, other << 8}))
	}
	if got := philox.Words(key, blocks[1]); got[0] != words[1]<<8 {
		t.Fatalf("the counter of word %#x gives %#x", words[1]<<8, got[0])
	}
	want := append([][4]uint32(nil), blocks...)
	normals4Go(want, key)
	got := make([][4]uint32, len(blocks))
	eachISA(t, func(t *testing.T) {
		copy(got, blocks)
		Normals4(got, key)
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("words %#x: normals %x, want %x", words[i]<<8, got[i], want[i])
			}
		}
	})
}

func TestMirror(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, c := range []int{1, 2, 3, 4, 5, 6, 8, 15, 16, 17, 31} {
			for _, w := range []int{1, 2, 3, 4, 5, 15, 16, 17, 28, 31, 32, 33, 47, 64, 100} {
				const h = 3
				src := make([]byte, h*w*c)
				for i := range src {
					src[i] = byte(i*151 + i>>8)
				}
				got := make([]byte, len(src)+32)
				Mirror(got[16:16+len(src)], src, w, c)
				for i, b := range got {
					want := byte(0)
					if j := i - 16; j >= 0 && j < len(src) {
						p := j / c
						want = src[(p/w*w+w-1-p%w)*c+j%c]
					}
					if b != want {
						t.Fatalf("%d pixels of %d: byte %d of %d is %d, want %d", w, c, i-16, len(src), b, want)
					}
				}
			}
		}
	})
}

// What is not a number stays so, and infinities go through.
func TestLangevinSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachISA(t, func(t *testing.T) {
		x := make([]float32, 100)
		score := make([]float32, 100)
		x[3], x[70], score[5], score[71], score[90] = nan, inf, inf, nan, -inf
		x[90] = inf
		want := append([]float32(nil), x...)
		Langevin(x, score, 0.5, 1, noiseStreams[1])
		langevinGo(want, score, 0.5, 1, noiseStreams[1])
		closeTo(t, "Langevin", x, float64s(want), 0)
	})
}

func BenchmarkNoise(b *testing.B) {
	const n = 32 * 32 * 3
	x, y, bytes, mirrored := make([]float32, n), make([]float32, n), make([]byte, n), make([]byte, n)
	blocks := make([][4]uint32, 512)
	s := noiseStreams[1]
	for _, name := range Available() {
		for _, k := range []struct {
			name   string
			values int
			bytes  int // read and written for each value
			run    func()
		}{
			{"Uniforms", n, 4, func() { Uniforms(x, s) }},
			{"Normals", n, 4, func() { Normals(x, s) }},
			{"Perturb", n, 12, func() { Perturb(x, y, 1e-9, s) }},
			{"Langevin", n, 12, func() { Langevin(x, y, 1e-9, 1e-9, s) }},
			{"Dequantize", n, 5, func() { Dequantize(x, bytes, s) }},
			{"Bytes", n, 5, func() { Bytes(x, bytes) }},
			{"Mirror 32x3", n, 2, func() { Mirror(mirrored, bytes, 32, 3) }},
			{"Words", 2048, 8, func() { Words(blocks, s.Key) }},
			{"Normals4", 2048, 8, func() { Normals4(blocks, s.Key) }},
		} {
			b.Run(name+"/"+k.name, func(b *testing.B) {
				defer SetISA(name)()
				t := bestTime(b, k.run)
				b.ReportMetric(t*1e9/float64(k.values), "ns/value")
				b.ReportMetric(float64(k.bytes*k.values)/t/1e9, "GB/s")
			})
		}
	}
}
