// The matrix product dst = a b^T, on the tiles of the convolution. b is packed once, for many products, in panels of
// 16 of its rows, which become lanes. The rows of a are the rows of tiles, and are read where they lie.

package vec

import "unsafe"

// A block of b is at most blockN rows by blockK columns: half a MiB, which stays in the second level cache while the
// rows of a pass by. Of a tile's rows, blockK columns stay in the first level cache while the block's panels pass by.
const (
	blockN = 256
	blockK = 512
)

// Packed is a matrix (n,k) in the order in which products read it as right factor: blockK columns after blockK
// columns, in each 16 rows after 16 rows, in each (columns, 16).
type Packed struct {
	n, k int
	v    []float32
}

// Pack packs b (n,k), whose row j starts at j*ldb. It uses the memory of the matrix packed before, if that suffices.
func (p *Packed) Pack(b []float32, ldb, n, k int) {
	if n < 0 || k < 0 || ldb < k {
		panic("vec: Pack: negative size or stride below the row's length")
	}
	checkLast("Pack: b", len(b), n, k, ldb)
	p.resize(n, k)
	rows := p.rows()
	for k0 := 0; k0 < k; k0 += blockK {
		depth := min(blockK, k-k0)
		for first := 0; first < n; first += lanes {
			packPanel(p.v[rows*k0+first*depth:][:depth*lanes], b[first*ldb+k0:], ldb, min(lanes, n-first), depth)
		}
	}
}

// resize makes p one of n rows and k columns, with memory for them.
func (p *Packed) resize(n, k int) {
	p.n, p.k = n, k
	if len(p.v) < p.rows()*k {
		p.Lend(make([]float32, PackedWords(n, k)))
	}
}

// PackedWords returns the words that a matrix of n rows and k columns takes when it is packed.
func PackedWords(n, k int) int { return (n+lanes-1)/lanes*lanes*k + lanes }

// Lend gives p the memory, of [PackedWords], that it packs matrices into from now on.
func (p *Packed) Lend(v []float32) {
	p.v = v[int(-uintptr(unsafe.Pointer(unsafe.SliceData(v)))%64/4):]
}

// PackTransposed packs the matrix b (n,k) that is given as its transpose, whose row i, of n values, starts at i*ldt. It
// uses the memory as Pack does.
func (p *Packed) PackTransposed(t []float32, ldt, n, k int) {
	if n < 0 || k < 0 || ldt < n {
		panic("vec: PackTransposed: negative size or stride below the row's length")
	}
	checkLast("PackTransposed: t", len(t), k, n, ldt)
	p.resize(n, k)
	rows := p.rows()
	for k0 := 0; k0 < k; k0 += blockK {
		depth := min(blockK, k-k0)
		for first := 0; first < n; first += lanes {
			to := p.v[rows*k0+first*depth:][:depth*lanes]
			whole := first+lanes <= n
			if !whole {
				clear(to) // lanes past the last row are zero
			}
			for i := range depth {
				from := t[(k0+i)*ldt+first:]
				if whole { // a copy of known size is no call
					*(*[lanes]float32)(to[i*lanes:]) = *(*[lanes]float32)(from)
				} else {
					copy(to[i*lanes:], from[:n-first])
				}
			}
		}
	}
}

// TransposeScratch is the words of scratch that Transpose needs for rows of n values.
func TransposeScratch(n int) int { return n * lanes }

// Transpose writes dst (n,m) from src (m,n); row i starts at i*ldd in dst and at i*lds in src.
func Transpose(dst []float32, ldd int, src []float32, lds, m, n int, scratch []float32) {
	if m < 0 || n < 0 || lds < n || ldd < m {
		panic("vec: Transpose: negative size or stride below the row's length")
	}
	checkLast("Transpose: dst", len(dst), n, m, ldd)
	checkLast("Transpose: src", len(src), m, n, lds)
	for first := 0; first < m; first += lanes {
		panel := scratch[:n*lanes]
		count := min(lanes, m-first)
		packPanel(panel, src[first*lds:], lds, count, n)
		for j := range n {
			to := dst[j*ldd+first:]
			if count == lanes {
				*(*[lanes]float32)(to) = *(*[lanes]float32)(panel[j*lanes:])
			} else {
				copy(to[:count], panel[j*lanes:])
			}
		}
	}
}

// rows returns n rounded up to whole panels.
func (p *Packed) rows() int { return (p.n + lanes - 1) / lanes * lanes }

// packPanel writes n rows of b, depth long, as (depth, 16); lanes past the last row are zero.
func packPanel(to, b []float32, ldb, n, depth int) {
	done := 0
	if n < lanes {
		clear(to)
	} else if fours := depth / 4; isa != plainGo && fours > 0 {
		done = 4 * fours
		packPanelKernel(&to[0], &b[0], 4*ldb, fours)
	}
	for lane := range n {
		for i, v := range b[lane*ldb:][done:depth] {
			to[(done+i)*lanes+lane] = v
		}
	}
}

// FirstOutside returns the first i for which below < h[i]-g[i] < above is false (as it is for NaN), or len(h) if there
// is none.
func FirstOutside(h, g []float32, below, above float32) int {
	checkLen("FirstOutside: g", len(g), len(h))
	i := 0
	if n := len(h) / lanes * lanes; isa != plainGo && n > 0 {
		i = firstOutsideKernel(&h[0], &g[0], below, above, n)
	}
	for ; i < len(h); i++ {
		if d := h[i] - g[i]; !(below < d && d < above) {
			break
		}
	}
	return i
}

// MatMulT computes dst (m,n) = a (m,k) b^T, where p holds b. Row i starts at i*ldd in dst and at i*lda in a; dst must
// not overlap a. Rows of a that lie a multiple of 4 KiB apart evict each other from the first level cache: see
// [RowStride].
func (p *Packed) MatMulT(dst []float32, ldd int, a []float32, lda int, m int) {
	n, k := p.n, p.k
	if m < 0 || lda < k || ldd < n {
		panic("vec: MatMulT: negative size or stride below the row's length")
	}
	if m == 0 || n == 0 {
		return
	}
	checkLast("MatMulT: dst", len(dst), m, n, ldd)
	checkLast("MatMulT: a", len(a), m, k, lda)
	if k == 0 {
		for i := range m {
			clear(dst[i*ldd:][:n])
		}
		return
	}
	for k0 := 0; k0 < k; k0 += blockK {
		depth := min(blockK, k-k0)
		for n0 := 0; n0 < n; n0 += blockN {
			columns := min(blockN, n-n0)
			b := p.v[p.rows()*k0+n0*depth:]
			if isa == plainGo {
				matMulTGo(dst[n0:], ldd, a[k0:], lda, b, m, columns, depth, k0 > 0)
			} else {
				matMulTTiles(dst[n0:], ldd, a[k0:], lda, b, m, columns, depth, k0 > 0)
			}
		}
	}
}

// matMulTTiles adds the product with one block of b, of `columns` rows (columns of dst) and depth columns.
func matMulTTiles(dst []float32, ldd int, a []float32, lda int, b []float32, m, columns, depth int, accumulate bool) {
	panels := (columns + lanes - 1) / lanes
	t := tileArgs{
		bias: unsafe.Pointer(&zeroLanes), lda: uintptr(4 * lda), ldy: uintptr(4 * ldd),
		nKh: 1, nKw: 1, k: depth, bPanel: uintptr(4 * depth * lanes),
	}
	if accumulate {
		t.accumulate = 1
	}
	pieces, size, extra := even(m, maxRows(maxPanels()))
	for piece, i := 0, 0; piece < pieces; piece++ {
		rows := size
		if piece < extra {
			rows++
		}
		t.a = unsafe.Pointer(&a[i*lda])
		for panel := 0; panel < panels; {
			n := min(maxPanels(), panels-panel)
			full := min(lanes, columns-(panel+n-1)*lanes)
			t.setMasks(full, full)
			t.b = unsafe.Pointer(&b[panel*depth*lanes])
			t.y = unsafe.Pointer(&dst[i*ldd+panel*lanes])
			t.run(rows, n, 1)
			panel += n
		}
		i += rows
	}
}

func matMulTGo(dst []float32, ldd int, a []float32, lda int, b []float32, m, columns, depth int, accumulate bool) {
	for first := 0; first < columns; first += lanes {
		panel := b[first*depth:][:depth*lanes]
		for i := range m {
			row := a[i*lda:][:depth]
			y := dst[i*ldd+first:][:min(lanes, columns-first)]
			for lane := 0; lane < len(y); lane += 4 { // four sums that stay in registers
				var s [4]float32
				if accumulate {
					copy(s[:], y[lane:])
				}
				s0, s1, s2, s3 := s[0], s[1], s[2], s[3]
				for l, v := range row {
					w := panel[l*lanes+lane:][:4:4]
					s0 += v * w[0]
					s1 += v * w[1]
					s2 += v * w[2]
					s3 += v * w[3]
				}
				s = [4]float32{s0, s1, s2, s3}
				copy(y[lane:], s[:])
			}
		}
	}
}

// RowStride returns a stride for rows of n values, n or a little more, at which the rows of a tile do not evict each
// other from the first level cache.
//
// That has 64 sets of 8 lines; a line is 16 values, and lines 4 KiB apart share a set. The stride is the smallest at
// which the first blockK values of a tile's rows put at most 8 lines into any set.
func RowStride(n int) int {
	const tileRows, most = 14, 8
	stride := (n + lanes - 1) / lanes * lanes
	for ; ; stride += lanes {
		var sets [64]int
		worst := 0
		for row := range tileRows {
			for line := 0; line < min(n, blockK); line += lanes {
				set := &sets[(row*stride+line)/lanes%64]
				*set++
				worst = max(worst, *set)
			}
		}
		if worst <= most {
			return stride
		}
	}
}

// checkLast panics unless all rows, n long and ld apart, are inside.
func checkLast(what string, have, rows, n, ld int) {
	if want := (rows-1)*ld + n; rows > 0 && have < want {
		checkLen(what, have, want)
	}
}
