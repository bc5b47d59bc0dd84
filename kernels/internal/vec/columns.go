// Sums down the columns of a matrix of rows of C channels: statistics of the norms, gradients of biases and of
// per-channel scales.
//
// The assembly adds up to 64 columns at a time. If a row has fewer channels, several rows are taken as one longer row.
// Blocks of 64 (longer) rows are summed in float32 and then added to sums in float64, which are rounded to float32 in
// the end.

package vec

type columnKind int

const (
	sumOnly columnKind = iota
	moments
	dots
)

// ColumnSum computes sum[c] = sum over p of x[p,c], C = len(sum).
func ColumnSum(sum, x []float32) {
	checkColumns("ColumnSum", len(sum), len(x))
	columns(sumOnly, sum, nil, x, nil, nil)
}

// ColumnMoments computes, with d = x[p,c] - shift[c] and C = len(sum),
//
//	sum[c] = sum over p of d        sumSq[c] = sum over p of d^2
//
// A shift near the mean keeps a variance that is computed from them accurate. A nil shift is 0.
func ColumnMoments(sum, sumSq, x, shift []float32) {
	checkColumns("ColumnMoments", len(sum), len(x))
	checkLen("ColumnMoments: sumSq", len(sumSq), len(sum))
	if shift != nil {
		checkLen("ColumnMoments: shift", len(shift), len(sum))
	}
	columns(moments, sum, sumSq, x, nil, shift)
}

// ColumnDots computes, with C = len(sumA),
//
//	sumA[c] = sum over p of a[p,c]        sumAB[c] = sum over p of a[p,c] * (b[p,c] - shift[c])
//
// A nil shift is 0.
func ColumnDots(sumA, sumAB, a, b, shift []float32) {
	checkColumns("ColumnDots", len(sumA), len(a))
	checkLen("ColumnDots: sumAB", len(sumAB), len(sumA))
	checkLen("ColumnDots: b", len(b), len(a))
	if shift != nil {
		checkLen("ColumnDots: shift", len(shift), len(sumA))
	}
	columns(dots, sumA, sumAB, a, b, shift)
}

func checkColumns(what string, c, n int) {
	if c == 0 || n%c != 0 {
		panic("vec: " + what + ": not whole rows")
	}
}

const (
	columnVectors = 4   // vectors of columns in one kernel call
	columnSums    = 64  // room for the first sums; the second sums follow
	columnRows    = 256 // most rows of one kernel call
)

func columns(kind columnKind, first, second, a, b, shift []float32) {
	c := len(first)
	if len(a) == 0 {
		clear(first)
		clear(second)
		return
	}
	if isa == plainGo {
		columnsGo(kind, first, second, a, b, shift)
		return
	}
	vector := lanes
	if isa == avx2 {
		vector = lanes / 2
	}
	widest := columnVectors * vector
	fold := max(1, min(widest/c, len(a)/c)) // rows taken as one
	wide := fold * c
	long := len(a) / wide
	var shifts [columnSums]float32
	for from := 0; from < wide; from += widest {
		n := min(widest, wide-from)
		var sums [2 * columnSums]float64
		if shift != nil {
			for i := 0; i < n; i += c {
				copy(shifts[i:n], shift[from:])
			}
		}
		add := func(at, rows, n int) {
			vectors := (n + vector - 1) / vector
			last := n - (vectors-1)*vector
			clear(shifts[n:]) // the kernels want zeros past the last column
			switch kind {
			case sumOnly:
				columnSumKernel(vectors, &sums[0], &a[at], nil, nil, rows, 4*wide, last)
			case moments:
				columnMomentsKernel(vectors, &sums[0], &a[at], nil, &shifts[0], rows, 4*wide, last)
			case dots:
				columnDotsKernel(vectors, &sums[0], &a[at], &b[at], &shifts[0], rows, 4*wide, last)
			}
		}
		for row := 0; row < long; row += columnRows {
			add(row*wide+from, min(columnRows, long-row), n)
		}
		if rest := len(a) - long*wide; rest > 0 { // fewer rows than fold
			add(long*wide, 1, rest)
		}
		for i := range min(n, c) {
			s, q := 0.0, 0.0
			for j := i; j < n; j += c {
				s += sums[j]
				q += sums[columnSums+j]
			}
			first[from+i] = float32(s)
			if second != nil {
				second[from+i] = float32(q)
			}
		}
	}
}

func columnsGo(kind columnKind, first, second, a, b, shift []float32) {
	c := len(first)
	for i := range first {
		s, q, m := 0.0, 0.0, float32(0)
		if shift != nil {
			m = shift[i]
		}
		for p := i; p < len(a); p += c {
			v := float64(a[p])
			switch kind {
			case moments:
				v = float64(a[p] - m)
				q += v * v
			case dots:
				q += v * float64(b[p]-m)
			}
			s += v
		}
		first[i] = float32(s)
		if second != nil {
			second[i] = float32(q)
		}
	}
}
