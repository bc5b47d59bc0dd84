// The matrix product of the distances between all pairs of two sets: dst = a b^T.

package kernels

import "sigmaz/kernels/internal/vec"

// Packed is a matrix b (n, k) laid out as the right factor of products. The zero value holds none.
type Packed struct{ p vec.Packed }

// Pack lays out b (n, k), float32, with row stride ldb. It takes memory of the order of b, once for b of one size,
// and runs on the calling goroutine.
func (p *Packed) Pack(b []float32, ldb, n, k int) { p.p.Pack(b, ldb, n, k) }

// MatMulT writes dst (m, n) = a (m, k) b^T with row strides ldd and lda, summing in float32. It runs on the calling
// goroutine; others may use p at the same time. It is fastest where lda is [RowStride] of k.
func (p *Packed) MatMulT(dst []float32, ldd int, a []float32, lda, m int) {
	p.p.MatMulT(dst, ldd, a, lda, m)
}

// RowStride returns the stride, k or a little more, at which rows of k values are multiplied fastest.
func RowStride(k int) int { return vec.RowStride(k) }

// FirstOutside returns the first i where below < h[i]-g[i] < above does not hold (it never holds for NaN), or the
// number of values if there is none.
func FirstOutside(h, g []float32, below, above float32) int {
	return vec.FirstOutside(h, g, below, above)
}
