package vec

import (
	"fmt"
	"math"
	"testing"
)

func TestMatMulT(t *testing.T) {
	for _, s := range [][3]int{{1, 1, 1}, {1, 17, 3}, {13, 15, 16}, {29, 33, 65}, {31, 100, 784}, {15, 513, 513}, {7, 40, 1030}, {3, 5, 0}} {
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
				scratch := guard("scratch", MatMulTScratch(n, k), float32(math.NaN()))
				dst := guard("dst", m*ldd, 7)
				MatMulT(dst.v, ldd, a, lda, b, ldb, m, n, k, scratch.v)
				closeTo(t, "product", dst.v, want, 2e-6)
				dst.check(t)
				scratch.check(t)
			})
		})
	}
}

func BenchmarkMatMulT(b *testing.B) {
	for _, name := range Available() {
		for _, s := range [][3]int{{512, 512, 784}, {768, 768, 3072}} {
			m, n, k := s[0], s[1], s[2]
			x, y := normals(1, m*k), normals(2, n*k)
			dst, scratch := make([]float32, m*n), make([]float32, MatMulTScratch(n, k))
			b.Run(fmt.Sprintf("%s/%dx%dx%d", name, m, n, k), func(b *testing.B) {
				defer SetISA(name)()
				t := bestTime(b, func() { MatMulT(dst, n, x, k, y, k, m, n, k, scratch) })
				b.ReportMetric(2*float64(m*n)*float64(k)/t/1e9, "GFLOP/s")
			})
		}
	}
}
