package vec

// dst = a b^T on the convolution's tiles: b's rows are packed into panels of 16 lanes, a block that stays in the second
// level cache at a time, and a's rows are the tile's.

import "unsafe"

// A block of b is at most blockN rows by blockK columns: 1 MiB.
const (
	blockN = 512
	blockK = 512
	// Rows of a are copied next to each other, a little further apart than blockK: in place they may lie a power of two
	// apart, where they would evict each other from the first level cache.
	strideA = blockK + lanes
)

// MatMulTScratch is the number of floats of scratch that MatMulT needs for b (n,k).
func MatMulTScratch(n, k int) int {
	columns := (min(n, blockN) + lanes - 1) / lanes * lanes
	return min(k, blockK)*columns + 14*strideA + lanes
}

// MatMulT computes dst (m,n) = a (m,k) b (n,k)^T; row i of a matrix starts at i times its stride, lda, ldb or ldd. dst
// must not overlap a or b.
func MatMulT(dst []float32, ldd int, a []float32, lda int, b []float32, ldb int, m, n, k int, scratch []float32) {
	if m < 0 || n < 0 || k < 0 || lda < k || ldb < k || ldd < n {
		panic("vec: MatMulT: negative size or stride below the row's length")
	}
	if m == 0 || n == 0 {
		return
	}
	checkLast("MatMulT: dst", len(dst), m, n, ldd)
	checkLast("MatMulT: a", len(a), m, k, lda)
	checkLast("MatMulT: b", len(b), n, k, ldb)
	if k == 0 {
		for i := range m {
			clear(dst[i*ldd:][:n])
		}
		return
	}
	if isa == plainGo {
		matMulTGo(dst, ldd, a, lda, b, ldb, m, n, k)
		return
	}
	checkLen("scratch", len(scratch), MatMulTScratch(n, k))
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(scratch))) % 64 / 4)
	rowsA, packed := scratch[skip:skip+14*strideA], scratch[skip+14*strideA:]
	most := maxRows(maxPanels())
	for n0 := 0; n0 < n; n0 += blockN {
		columns := min(blockN, n-n0)
		panels := (columns + lanes - 1) / lanes
		for k0 := 0; k0 < k; k0 += blockK {
			depth := min(blockK, k-k0)
			packRows(packed, b[n0*ldb+k0:], ldb, columns, depth)
			t := tileArgs{
				bias: unsafe.Pointer(&zeroLanes), lda: 4 * strideA, ldy: uintptr(4 * ldd),
				nKh: 1, nKw: 1, k: depth, bPanel: uintptr(4 * depth * lanes),
			}
			if k0 > 0 {
				t.accumulate = 1
			}
			pieces, size, extra := even(m, most)
			for piece, i := 0, 0; piece < pieces; piece++ {
				rows := size
				if piece < extra {
					rows++
				}
				for r := range rows {
					copy(rowsA[r*strideA:][:depth], a[(i+r)*lda+k0:])
				}
				t.a = unsafe.Pointer(&rowsA[0])
				for panel := 0; panel < panels; {
					p := min(maxPanels(), panels-panel)
					full := min(lanes, columns-(panel+p-1)*lanes)
					t.setMasks(full, full)
					t.b = unsafe.Pointer(&packed[panel*depth*lanes])
					t.y = unsafe.Pointer(&dst[i*ldd+n0+panel*lanes])
					t.run(rows, p, 1)
					panel += p
				}
				i += rows
			}
		}
	}
}

// checkLast fails unless the last of the rows, n long at stride ld, is inside.
func checkLast(what string, have, rows, n, ld int) {
	if want := (rows-1)*ld + n; have < want {
		checkLen(what, have, want)
	}
}

// packRows writes n rows of b, depth long, as panels (depth, 16); lanes past the last row are zero.
func packRows(packed, b []float32, ldb, n, depth int) {
	for panel := 0; panel*lanes < n; panel++ {
		to := packed[panel*depth*lanes:][:depth*lanes]
		first := panel * lanes
		if n-first < lanes {
			clear(to)
		}
		for lane := range min(lanes, n-first) {
			for i, v := range b[(first+lane)*ldb:][:depth] {
				to[i*lanes+lane] = v
			}
		}
	}
}

func matMulTGo(dst []float32, ldd int, a []float32, lda int, b []float32, ldb int, m, n, k int) {
	for i := range m {
		row := a[i*lda:][:k]
		for j := range n {
			other := b[j*ldb:][:k]
			// Four sums, for speed and for accuracy.
			var s0, s1, s2, s3 float32
			l := 0
			for ; l+4 <= k; l += 4 {
				s0 += row[l] * other[l]
				s1 += row[l+1] * other[l+1]
				s2 += row[l+2] * other[l+2]
				s3 += row[l+3] * other[l+3]
			}
			for ; l < k; l++ {
				s0 += row[l] * other[l]
			}
			dst[i*ldd+j] = (s0 + s1) + (s2 + s3)
		}
	}
}
