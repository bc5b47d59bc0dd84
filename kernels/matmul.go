// The matrix product of the all-pairs distances: dst = a b^T.
package kernels

import "sigmaz/kernels/internal/vec"

// MatMulT writes dst (m, n) = a (m, k) b (n, k)^T, float32, with row strides ldd, lda and ldb. Sums are taken in
// float32. It runs on the calling goroutine, and memory of the order of b is taken for the time of the call.
func MatMulT(dst []float32, ldd int, a []float32, lda int, b []float32, ldb int, m, n, k int) {
	vec.MatMulT(dst, ldd, a, lda, b, ldb, m, n, k, make([]float32, vec.MatMulTScratch(n, k)))
}
