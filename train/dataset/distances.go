// Distances: the largest and the smallest distance in the data, which set the ends of the noise ladder.
//
// All pairs are compared, N (N-1)/2 of them, and the result is exact: for bytes in integers, for vectors in float64.
// The work is done by matrix products in float32, in blocks of rows x and y with the centre m taken off,
//
//	|x-y|^2 = |a|^2 + |b|^2 - 2 a.b,   a = x - m,  b = y - m
//
// which err by at most a bound E worked out in [gramError]. Only a pair that the bound leaves able to beat the largest
// or the smallest found so far is computed exactly, and few are. For images m is rounded to whole bytes: then a and b
// are integers, and as long as |a||b| <= 2^24 every partial sum of a.b is an integer that float32 holds, so E is
// rounding alone.
package dataset

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"sigmaz/kernels"
)

// Distances is the extremes of the Euclidean distances between the rows of a data set, images scaled to [0, 1].
type Distances struct {
	Max        float64 // largest
	Min        float64 // smallest between rows that differ
	Pairs      int64   // pairs of distinct rows compared: all of them
	Duplicates int     // rows equal to an earlier row
}

const (
	rowBlock = 512 // rows of a on one side of a block of pairs and at most on the other
	// Up to this many values a row, differences are as fast as products, and exact.
	directValues = 8
)

// Distances compares all pairs of rows on all processors. progress, unless nil, is told the pairs done, from one
// goroutine at a time. It fails when ctx ends (the error is that of ctx), when there are no two distinct rows, and when
// a vector is not finite.
func (s *Set) Distances(ctx context.Context, progress func(done, total int64)) (Distances, error) {
	rows, err := s.distinct()
	if err != nil {
		return Distances{}, fmt.Errorf("dataset: %s: %w", s.Name, err)
	}
	m := int64(len(rows))
	d := Distances{Pairs: m * (m - 1) / 2, Duplicates: s.N - len(rows)}
	if m < 2 {
		return Distances{}, fmt.Errorf("dataset: %s: expected two distinct rows or more, found %d; the ends of the noise ladder need a distance", s.Name, m)
	}

	e := extremes{total: d.Pairs, progress: progress}
	e.min = math.Inf(1)
	e.offer(s.exact(rows[0], rows[1]))
	if s.D() <= directValues {
		err = s.directPairs(ctx, rows, &e)
	} else {
		err = s.gramPairs(ctx, rows, &e)
	}
	if err != nil {
		return Distances{}, err
	}
	d.Max, d.Min = math.Sqrt(e.max), math.Sqrt(e.min)
	if s.U8 != nil {
		d.Max, d.Min = d.Max/255, d.Min/255
	}
	return d, nil
}

// extremes is the largest and the smallest squared distance found so far by all workers, and what is done.
type extremes struct {
	mu          sync.Mutex
	max, min    float64
	done, total int64
	progress    func(done, total int64)
}

// offer takes an exact squared distance into account.
func (e *extremes) offer(d2 float64) { e.merge(d2, d2, 0) }

// merge takes the extremes of one worker and n more pairs into account, and returns those of all.
func (e *extremes) merge(max2, min2 float64, n int64) (float64, float64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.max, e.min = max(e.max, max2), min(e.min, min2)
	e.done += n
	if n > 0 && e.progress != nil {
		e.progress(e.done, e.total)
	}
	return e.max, e.min
}

// distinct lists the rows that equal no row before them. For vectors 0 and -0 are equal.
func (s *Set) distinct() ([]int, error) {
	d := s.D()
	if d <= 0 || s.N < 0 || s.Rows == nil && len(s.U8)+len(s.F32) != s.N*d || s.U8 != nil && s.F32 != nil {
		return nil, fmt.Errorf("expected %d rows of %d values, found %d bytes and %d floats; make the sizes agree", s.N, d, len(s.U8), len(s.F32))
	}
	if s.F32 != nil {
		for i := range s.N {
			for _, v := range s.Floats(i) {
				if x := float64(v); x-x != 0 {
					return nil, fmt.Errorf("expected finite values, found %v in row %d; clean the data", v, i)
				}
			}
		}
	}

	seed := maphash.MakeSeed()
	hash := func(i int) uint64 { return maphash.Bytes(seed, s.Bytes(i)) }
	equal := func(i, j int) bool { return bytes.Equal(s.Bytes(i), s.Bytes(j)) }
	if s.F32 != nil {
		word := make([]byte, 0, 4*d)
		hash = func(i int) uint64 {
			word = word[:0]
			for _, v := range s.Floats(i) {
				u := math.Float32bits(v + 0) // -0 + 0 = 0
				word = append(word, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
			}
			return maphash.Bytes(seed, word)
		}
		equal = func(i, j int) bool {
			return slices.Equal(s.Floats(i), s.Floats(j))
		}
	}
	rows := make([]int, 0, s.N)
	last := make(map[uint64]int, s.N) // hash -> the last distinct row that has it
	before := make(map[int]int)       // row -> the one before it with the same hash: rarely needed
	known := func(i int, h uint64) bool {
		for j, ok := last[h]; ok; j, ok = before[j] {
			if equal(i, j) {
				return true
			}
		}
		return false
	}
	for i := range s.N {
		h := hash(i)
		if known(i, h) {
			continue
		}
		if j, ok := last[h]; ok {
			before[i] = j
		}
		last[h] = i
		rows = append(rows, i)
	}
	return rows, nil
}

// exact is the squared distance of rows i and j: in units of one byte as an integer, or of the vectors in float64.
func (s *Set) exact(i, j int) float64 {
	if s.U8 != nil {
		a, b := s.Bytes(i), s.Bytes(j)
		sum := int64(0)
		for k, v := range a {
			e := int64(v) - int64(b[k])
			sum += e * e
		}
		return float64(sum)
	}
	a, b := s.Floats(i), s.Floats(j)
	sum := 0.0
	for k, v := range a {
		e := float64(v) - float64(b[k])
		sum += float64(e * e)
	}
	return sum
}

// directPairs compares rows of few values by their differences, in float64.
func (s *Set) directPairs(ctx context.Context, rows []int, e *extremes) error {
	d := s.D()
	x := make([]float64, len(rows)*d)
	for r, i := range rows {
		for k := range d {
			if s.U8 != nil {
				x[r*d+k] = float64(s.Bytes(i)[k])
			} else {
				x[r*d+k] = float64(s.Floats(i)[k])
			}
		}
	}
	return eachBlock(ctx, len(rows), func() func(i0, i1, j0, j1 int) {
		return func(i0, i1, j0, j1 int) {
			hi, lo := e.merge(0, math.Inf(1), 0)
			for i := i0; i < i1; i++ {
				a := x[i*d : (i+1)*d]
				for b := x[j0*d : min(i, j1)*d]; len(b) >= d; b = b[d:] {
					sum := 0.0
					if d == 2 { // the toys: a loop would take three times as long
						t0, t1 := a[0]-b[0], a[1]-b[1]
						sum = float64(t0*t0) + float64(t1*t1)
					} else {
						for k, v := range a {
							t := v - b[k]
							sum += float64(t * t)
						}
					}
					if sum > hi {
						hi = sum
					}
					if sum < lo {
						lo = sum
					}
				}
			}
			e.merge(hi, lo, pairs(i0, i1, j0, j1))
		}
	})
}

// pairs counts the pairs j < i of a block.
func pairs(i0, i1, j0, j1 int) int64 {
	if i0 == j0 {
		n := int64(i1 - i0)
		return n * (n - 1) / 2
	}
	return int64(i1-i0) * int64(j1-j0)
}

// eachBlock runs over the blocks of pairs j < i of n rows, on all processors. worker makes one worker's function, which
// gets the blocks of one range i0..i1 after each other.
func eachBlock(ctx context.Context, n int, worker func() func(i0, i1, j0, j1 int)) error {
	blocks := (n + rowBlock - 1) / rowBlock
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), blocks) {
		wg.Go(func() {
			run := worker()
			for {
				// The long rows of blocks first, so that the workers end together.
				b := blocks - int(taken.Add(1))
				if b < 0 {
					return
				}
				for c := range b + 1 {
					if ctx.Err() != nil {
						return
					}
					run(b*rowBlock, min(n, (b+1)*rowBlock), c*rowBlock, min(n, (c+1)*rowBlock))
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}

// gramPairs compares rows by matrix products in float32 and what they leave open exactly.
func (s *Set) gramPairs(ctx context.Context, rows []int, e *extremes) error {
	d := s.D()
	c := s.centre(rows)
	return eachBlock(ctx, len(rows), func() func(i0, i1, j0, j1 int) {
		a, b := newPanel(d), newPanel(d)
		gram := make([]float32, rowBlock*rowBlock)
		return func(i0, i1, j0, j1 int) {
			a.load(s, &c, rows, i0, i1)
			other := a
			if j0 != i0 {
				b.load(s, &c, rows, j0, j1)
				other = b
			}
			m, n := i1-i0, j1-j0
			kernels.MatMulT(gram, n, a.x, d, other.x, d, m, n, d)

			hi, lo := e.merge(0, math.Inf(1), 0)
			slack := gramError(d, a.norm, other.norm, c.whole)
			unit := c.scale * c.scale // squared distances of the data -> those of the panels
			for i := range m {
				// With h = |b|^2/2 in float32, |a-b|^2 = |a|^2 + 2 (h - a.b).
				bounds := func() (above, below float32) {
					above = float32((hi*unit - slack - a.squares[i]) / 2)
					below = float32((lo*unit + slack - a.squares[i]) / 2)
					return above, below
				}
				above, below := bounds()
				g := gram[i*n : (i+1)*n]
				if j0 == i0 {
					g = g[:i]
				}
				h := other.halves[:len(g)]
				for j, v := range g {
					if t := h[j] - v; t < above && t > below {
						continue
					}
					d2 := s.exact(rows[i0+i], rows[j0+j])
					if d2 > hi || d2 < lo {
						hi, lo = max(hi, d2), min(lo, d2)
						above, below = bounds()
					}
				}
			}
			e.merge(hi, lo, pairs(i0, i1, j0, j1))
		}
	})
}

// centre is the point that is taken off the rows before they are multiplied, and what they are scaled by.
type centre struct {
	m     []float32 // (D)
	scale float64   // a power of two
	whole bool      // rows and m are whole numbers, and scale is 1
}

// centre returns the mean of the rows, rounded to whole bytes for images. For vectors the scale brings the largest value
// to about 1, so that no square leaves the range of float32.
func (s *Set) centre(rows []int) centre {
	d := s.D()
	sum := make([]float64, d)
	c := centre{m: make([]float32, d), scale: 1, whole: s.U8 != nil}
	largest := 0.0
	for _, i := range rows {
		if c.whole {
			for k, v := range s.Bytes(i) {
				sum[k] += float64(v)
			}
			continue
		}
		for k, v := range s.Floats(i) {
			sum[k] += float64(v)
			largest = max(largest, math.Abs(float64(v)))
		}
	}
	for k, v := range sum {
		mean := v / float64(len(rows))
		if c.whole {
			mean = math.Round(mean)
		}
		c.m[k] = float32(mean)
	}
	if !c.whole {
		_, exponent := math.Frexp(largest)
		c.scale = math.Ldexp(1, -exponent)
	}
	return c
}

// panel is some rows as float32 with the centre taken off, ready to be multiplied.
type panel struct {
	from, to int       // rows held
	x        []float32 // (rows, D)
	halves   []float32 // (rows) |x|^2/2
	squares  []float64 // (rows) |x|^2
	norm     float64   // the largest |x|
}

func newPanel(d int) *panel {
	return &panel{x: make([]float32, rowBlock*d), halves: make([]float32, rowBlock), squares: make([]float64, rowBlock)}
}

// load fills the panel with rows[from:to], unless it holds them.
func (p *panel) load(s *Set, c *centre, rows []int, from, to int) {
	if p.from == from && p.to == to {
		return
	}
	p.from, p.to, p.norm = from, to, 0
	d := len(c.m)
	for r := range to - from {
		x := p.x[r*d : (r+1)*d]
		i := rows[from+r]
		if c.whole {
			for k, v := range s.Bytes(i) {
				x[k] = float32(v) - c.m[k]
			}
		} else {
			for k, v := range s.Floats(i) {
				x[k] = float32((float64(v) - float64(c.m[k])) * c.scale)
			}
		}
		sum := 0.0
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		p.squares[r], p.halves[r] = sum, float32(sum/2)
		p.norm = max(p.norm, math.Sqrt(sum))
	}
}

// gramError bounds how far |a|^2 + 2 (h - a.b) as computed is from |x-y|^2, for rows of d values with |a| <= na and
// |b| <= nb. With u = 2^-24 the errors are
//
//	a.b      d u / (1 - d u) |a||b|, in any order of summation, fused or not (Higham, "Accuracy and stability of
//	         numerical algorithms", eq. 3.5); 0 for whole numbers with |a||b| <= 2^24
//	h        u |b|^2/2, rounded from float64
//	h - a.b  u |h - a.b| <= u (|b|^2/2 + |a||b|)
//	bounds   the float32 that h - a.b is compared with, rounded from float64: u (|a|^2 + |b|^2) at most, as a squared
//	         distance is at most (|a|+|b|)^2
//	a, b     a is x - m rounded, off by at most u |a|: the distance by u (|a|+|b|), its square by 2 u (|a|+|b|)^2; none
//	         for whole numbers
//	below the range of float32 each of d products and sums may lose 2^-149
//
// The sum of those, 2 of each that is part of h - a.b, is doubled for the terms of second order and the float64
// arithmetic.
func gramError(d int, na, nb float64, whole bool) float64 {
	const u = 1.0 / (1 << 24)
	sum := na + nb
	e := 2*(u*nb*nb/2+u*(nb*nb/2+na*nb)+u*sum*sum) + float64(d)*0x1p-140
	if !whole {
		e += 2 * u * sum * sum
	}
	if !whole || na*nb > 1<<24 {
		du := float64(d) * u
		if du >= 0.5 {
			return math.Inf(1) // rows of 8 million values: every pair is computed exactly
		}
		e += 2 * du / (1 - du) * na * nb
	}
	return 2 * e
}
