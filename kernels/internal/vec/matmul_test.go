package vec

import (
	"fmt"
	"math"
	"testing"
)

func TestMatMulT(t *testing.T) {
	for _, s := range [][3]int{{1, 1, 1}, {1, 17, 3}, {13, 15, 16}, {29, 33, 65}, {31, 100, 784}, {15, 513, 513},
		{7, 40, 1030}, {3, 5, 0}} {
		m, n, k := s[0], s[1], s[2]
		lda, ldb, ldd := k+3, k+1, n+5
		a, b := normals(1, m*lda), normals(2, n*ldb)
		want := make([]float64, m*ldd)
		for i := range m {
			for j := range ldd {
				if j >= n { // between the rows nothing is written
					want[i*ldd+j] = 7
					continue
				}
				for l := range k {
					want[i*ldd+j] += float64(a[i*lda+l]) * float64(b[j*ldb+l])
				}
			}
		}
		t.Run(fmt.Sprintf("%dx%dx%d", m, n, k), func(t *testing.T) {
			eachISA(t, func(t *testing.T) {
				p := Packed{v: guard("packed", 1, float32(math.NaN())).v} // too little memory
				for range 2 {
					p.Pack(b, ldb, n, k)
					dst := guard("dst", m*ldd, 7)
					p.MatMulT(dst.v, ldd, a, lda, m)
					closeTo(t, "product", dst.v, want, 2e-6)
					dst.check(t)
				}
			})
		})
	}
}

// A matrix that is packed from its transpose has the bits of one packed as it is, in memory that is lent, too.
func TestPackTransposed(t *testing.T) {
	for _, n := range []int{1, 3, 16, 17, 31, 32, 33, 96} {
		for _, k := range []int{1, 3, 4, 17, 33, 515} {
			b, a := normals(1, n*(k+2)), normals(2, 2*k)
			const gap = 3
			eachISA(t, func(t *testing.T) {
				turned := guard("transpose", k*(n+gap), 7)
				Transpose(turned.v, n+gap, b, k+2, n, k, make([]float32, TransposeScratch(k)))
				turned.check(t)
				for i := range k {
					for j := range n + gap {
						want := float32(7)
						if j < n {
							want = b[j*(k+2)+i]
						}
						if got := turned.v[i*(n+gap)+j]; got != want {
							t.Fatalf("%d rows of %d: transpose has %g at %d,%d, want %g", n, k, got, i, j, want)
						}
					}
				}
				memory := guard("memory", PackedWords(n, k), float32(math.NaN()))
				var plain, lent Packed
				lent.Lend(memory.v)
				plain.Pack(b, k+2, n, k)
				lent.PackTransposed(turned.v, n+gap, n, k)
				got, want := make([]float32, 2*n), make([]float32, 2*n)
				plain.MatMulT(want, n, a, k, 2)
				lent.MatMulT(got, n, a, k, 2)
				memory.check(t)
				for i := range got {
					if got[i] != want[i] {
						t.Fatalf("%d rows of %d: at %d have %g, want %g", n, k, i, got[i], want[i])
					}
				}
			})
		}
	}
}

// The products must not depend on what was packed before, at any size of a panel.
func TestPackAgain(t *testing.T) {
	for _, n := range []int{1, 3, 16, 17, 31, 32, 33, 96} {
		for _, k := range []int{1, 3, 4, 17, 33, 515} {
			b, a := normals(1, n*(k+2)), normals(2, 2*k)
			eachISA(t, func(t *testing.T) {
				var fresh Packed
				used := Packed{}
				used.Pack(normals(3, 100*520), 520, 100, 520)
				got, want := guard("dst", 2*n, 0), guard("dst", 2*n, 0)
				for p, y := range map[*Packed]guarded{&fresh: want, &used: got} {
					p.Pack(b, k+2, n, k)
					p.MatMulT(y.v, n, a, k, 2)
					y.check(t)
				}
				for i := range got.v {
					if got.v[i] != want.v[i] {
						t.Fatalf("%d rows of %d: at %d have %g, want %g", n, k, i, got.v[i], want.v[i])
					}
				}
			})
		}
	}
}

func TestFirstOutside(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachISA(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 3, 6, 7, 8, 15, 16, 17, 31, 32, 33, 96, 1000} {
			h, g := normals(1, n+16), normals(2, n+16)
			for i := range h {
				g[i] = h[i] - 0.5 // h-g is about a half
			}
			for i := n; i < len(h); i++ {
				h[i] = inf // past the end, to be left alone
			}
			if got := FirstOutside(h[:n], g[:n], 0.25, 0.75); got != n {
				t.Fatalf("%d values inside: got %d", n, got)
			}
			for _, at := range []int{0, 1, n / 3, n / 2, n - 2, n - 1} {
				if at < 0 || at >= n {
					continue
				}
				before := h[at]
				for _, outside := range []float32{g[at] + 1, g[at] - 1, g[at] + 0.25 - 1e-4, nan, inf, -inf} {
					h[at] = outside
					if got := FirstOutside(h[:n], g[:n], 0.25, 0.75); got != at {
						t.Errorf("%d values, %g at %d: got %d", n, outside-g[at], at, got)
					}
				}
				h[at] = g[at] + 1
				h[n-1] = nan // a later one
				if got := FirstOutside(h[:n], g[:n], 0.25, 0.75); got != at {
					t.Errorf("%d values, outside at %d and last: got %d", n, at, got)
				}
				h[at], h[n-1] = before, g[n-1]+0.5
			}
		}
		// The ends are outside.
		if got := FirstOutside([]float32{1, 2}, []float32{0, 0}, 0, 2); got != 1 {
			t.Errorf("upper end: got %d", got)
		}
		if got := FirstOutside(make([]float32, 40), make([]float32, 40), 0, 2); got != 0 {
			t.Errorf("lower end: got %d", got)
		}
	})
}

func TestRowStride(t *testing.T) {
	for n, want := range map[int]int{1: 16, 16: 16, 784: 784, 1024: 1024 + 64, 3072: 3072 + 64} {
		if s := RowStride(n); s != want {
			t.Errorf("%d values: stride %d, want %d", n, s, want)
		}
	}
	for n := range 9000 {
		if s := RowStride(n); s < n || s%lanes != 0 || s > n+lanes+512 {
			t.Errorf("%d values: stride %d", n, s)
		}
	}
}

func BenchmarkMatMulT(b *testing.B) {
	for _, name := range Available() {
		for _, s := range [][3]int{{512, 512, 784}, {768, 768, 3072}} {
			m, n, k := s[0], s[1], s[2]
			x, y := normals(1, m*RowStride(k)), normals(2, n*k)
			dst := make([]float32, m*n)
			b.Run(fmt.Sprintf("%s/%dx%dx%d", name, m, n, k), func(b *testing.B) {
				defer SetISA(name)()
				var p Packed
				p.Pack(y, k, n, k)
				t := bestTime(b, func() { p.MatMulT(dst, n, x, RowStride(k), m) })
				b.ReportMetric(2*float64(m*n)*float64(k)/t/1e9, "GFLOP/s")
			})
		}
	}
}
