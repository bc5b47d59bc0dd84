// Distances: the largest and the smallest distance in the data, which set the ends of the noise ladder.
//
// All N (N-1)/2 pairs are compared, and the result is exact: for bytes in integers, for vectors in float64. Exact
// distances of all pairs would take too long, so blocks of rows x and y are first multiplied as matrices in float32,
// with the centre m of the data subtracted:
//
//	|x-y|^2 = |a|^2 + |b|^2 - 2 a.b,   a = x - m,  b = y - m
//
// This is off by at most a bound E ([gramError]). Only where it is so large or so small that, give or take E, the
// pair could reach the largest or the smallest distance so far, is the exact distance computed, and such pairs are
// few. For images m is rounded to whole bytes: then a and b are integers, and as long as |a||b| <= 2^24 every partial
// sum of a.b is an integer that float32 holds, so that E is rounding alone.

package dataset

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"runtime"
	"slices"
	"sync"

	"sigmaz/internal/mapped"
	"sigmaz/kernels"
)

// Distances are the extremes of the Euclidean distances between the rows of a data set, images scaled to [0, 1]. They
// are part of a run's configuration where they set the ends of its ladder.
type Distances struct {
	Max        float64 `yaml:"max"`                  // largest
	Min        float64 `yaml:"min,omitempty"`        // smallest between rows that differ; 0: not looked for
	Farthest   Pair    `yaml:"-"`                    // the rows with the largest distance
	Nearest    Pair    `yaml:"-"`                    // those with the smallest
	Pairs      int64   `yaml:"-"`                    // pairs of distinct rows compared: all of them
	Duplicates int     `yaml:"duplicates,omitempty"` // rows equal to an earlier row
}

// Pair is two rows of a data set, I before J. Where several pairs have the same distance, it is the one with the lowest
// I, and among those the one with the lowest J.
type Pair struct{ I, J int }

// before tells whether p comes before q.
func (p Pair) before(q Pair) bool { return p.I < q.I || p.I == q.I && p.J < q.J }

const (
	// A block of pairs in products is rowBlock rows times columnBlock columns. The columns, half a MiB at 512 values
	// each, and the products stay in the second-level cache.
	columnBlock = 256
	rowBlock    = 224
	// Up to directValues values a row, differences are as fast as products, and exact. A block of pairs then is
	// directBlock rows times as many.
	directValues = 8
	directBlock  = 512
)

// heldFloats bounds the rows that are held as floats, to 256 MiB. Tests make it smaller.
var heldFloats = 64 << 20

// Distances compares all pairs of rows on all processors. progress, unless nil, is told how many pairs are done, by
// one goroutine at a time. It fails when ctx ends (with the error of ctx), when there are no two distinct rows, and
// when a vector is not finite.
func (s *Set) Distances(ctx context.Context, progress func(done, total int64)) (_ Distances, err error) {
	defer mapped.Guard(&err)()
	return s.distances(progress, func(rows []int, e *extremes) error {
		if s.D() <= directValues {
			return s.compareDirectly(ctx, rows, e)
		}
		return s.compareByProducts(ctx, rows, e)
	})
}

// distances compares all pairs of distinct rows by compare.
func (s *Set) distances(progress func(done, total int64), compare func(rows []int, e *extremes) error) (Distances, error) {
	rows, err := s.listDistinct()
	if err != nil {
		return Distances{}, fmt.Errorf("dataset: %s: %w", s.Name, err)
	}
	m := int64(len(rows))
	d := Distances{Pairs: m * (m - 1) / 2, Duplicates: s.N - len(rows)}
	if m < 2 {
		return Distances{}, fmt.Errorf("dataset: %s: expected two distinct rows or more, found %d; "+
			"the ends of the noise ladder need a distance", s.Name, m)
	}

	e := extremes{total: d.Pairs, progress: progress}
	first := squared{s.squaredDistance(rows[0], rows[1]), Pair{rows[0], rows[1]}}
	e.far, e.near = first, first
	if err := compare(rows, &e); err != nil {
		return Distances{}, err
	}
	d.Max, d.Min, d.Farthest, d.Nearest = math.Sqrt(e.far.d2), math.Sqrt(e.near.d2), e.far.pair, e.near.pair
	if s.U8 != nil {
		d.Max, d.Min = d.Max/255, d.Min/255
	}
	return d, nil
}

// Diameter returns the largest distance between two rows: that of [Set.Distances], exact, and found far sooner. A
// pair is at most as far apart as the distances of its two rows from the centre add up to. With the rows in falling
// order of these distances, most pairs cannot beat the largest found so far and are never looked at. It fails when
// ctx ends, and when a vector is not finite.
func (s *Set) Diameter(ctx context.Context) (_ float64, err error) {
	defer mapped.Guard(&err)()
	d := s.D()
	mean := make([]float64, d)
	value := func(i, k int) float64 {
		if s.U8 != nil {
			return float64(s.Bytes(i)[k]) / 255
		}
		return float64(s.Floats(i)[k])
	}
	for i := range s.N {
		for k := range mean {
			v := value(i, k)
			if v-v != 0 {
				return 0, fmt.Errorf("dataset: %s: expected finite values, found %v in row %d; clean the data", s.Name, v, i)
			}
			mean[k] += v / float64(s.N)
		}
	}
	type row struct {
		i int
		r float64 // distance from the centre
	}
	rows := make([]row, s.N)
	for i := range rows {
		sum := 0.0
		for k, m := range mean {
			v := value(i, k) - m
			sum += float64(v * v)
		}
		rows[i] = row{i, math.Sqrt(sum)}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(cmp.Compare(b.r, a.r), cmp.Compare(a.i, b.i)) })
	best, best2 := 0.0, 0.0
	for n, a := range rows {
		if n%64 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		for m, b := range rows[:n] {
			if (a.r+b.r)*(1+1e-9) <= best { // 1e-9 is more than rounding can have taken off
				if m == 0 {
					return best, nil
				}
				break
			}
			if d2 := s.squaredDistance(a.i, b.i); d2 > best2 {
				best2 = d2
				if best = math.Sqrt(d2); s.U8 != nil {
					best /= 255
				}
			}
		}
	}
	return best, nil
}

// squared is a squared distance and the pair that has it.
type squared struct {
	d2   float64
	pair Pair
}

// extremes are the largest and the smallest squared distance that all workers have found so far, and how many pairs
// are done.
type extremes struct {
	mu          sync.Mutex
	far, near   squared
	done, total int64
	progress    func(done, total int64)
}

// found is the extremes as one worker knows them.
type found struct{ far, near squared }

// add looks at one more pair. Of equal ones the first pair counts, so that the result does not depend on the order in
// which the workers find them.
func (f *found) add(s squared) {
	if s.d2 > f.far.d2 || s.d2 == f.far.d2 && s.pair.before(f.far.pair) {
		f.far = s
	}
	if s.d2 < f.near.d2 || s.d2 == f.near.d2 && s.pair.before(f.near.pair) {
		f.near = s
	}
}

// begin returns the extremes of all workers, from which one goes on.
func (e *extremes) begin() found {
	e.mu.Lock()
	defer e.mu.Unlock()
	return found{e.far, e.near}
}

// merge adds what one worker has found in n more pairs.
func (e *extremes) merge(f found, n int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := found{e.far, e.near}
	all.add(f.far)
	all.add(f.near)
	e.far, e.near = all.far, all.near
	e.done += n
	if e.progress != nil {
		e.progress(e.done, e.total)
	}
}

// listDistinct returns the rows that equal no row before them. For vectors 0 and -0 are equal.
func (s *Set) listDistinct() ([]int, error) {
	d := s.D()
	if d <= 0 || s.N < 0 || s.Rows == nil && len(s.U8)+len(s.F32) != s.N*d || s.U8 != nil && s.F32 != nil {
		return nil, fmt.Errorf("expected %d rows of %d values, found %d bytes and %d floats; make the sizes agree", s.N, d,
			len(s.U8), len(s.F32))
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
	last := make(map[uint64]int, s.N) // a hash -> the last distinct row that has it
	before := make(map[int]int)       // a distinct row -> the one before it with the same hash, which is rare
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

// squaredDistance returns the exact squared distance of rows i and j: of bytes as an integer, in units of one byte; of
// vectors in float64.
func (s *Set) squaredDistance(i, j int) float64 {
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

// compareDirectly compares rows of few values by their differences, in float64.
func (s *Set) compareDirectly(ctx context.Context, rows []int, e *extremes) error {
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
	workers := make([]struct{}, runtime.GOMAXPROCS(0))
	blocks := (len(rows) + directBlock - 1) / directBlock
	return runTasks(ctx, workers, blocks, func(_ *struct{}, task int) {
		block := blocks - 1 - task // those with the most pairs first, so that the workers end together
		i0, i1 := block*directBlock, min(len(rows), (block+1)*directBlock)
		for j0 := 0; j0 < i1 && ctx.Err() == nil; j0 += directBlock {
			f := e.begin()
			hi, lo := f.far.d2, f.near.d2
			count := int64(0)
			for i := i0; i < i1; i++ {
				a := x[i*d : (i+1)*d]
				j1 := min(i, j0+directBlock)
				count += int64(j1 - j0)
				for j, b := j0, x[j0*d:j1*d]; len(b) >= d; j, b = j+1, b[d:] {
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
					if sum >= hi || sum <= lo {
						f.add(squared{sum, Pair{rows[j], rows[i]}})
						hi, lo = f.far.d2, f.near.d2
					}
				}
			}
			e.merge(f, count)
		}
	})
}

// compareByProducts compares rows by matrix products in float32, and exactly where these leave it open.
//
//	for each hold of rows, as many as heldFloats allows, as floats
//	    for each block of columnBlock rows before the end of the hold, its columns
//	        for each block of rowBlock held rows from there on
//	            multiply and compare
func (s *Set) compareByProducts(ctx context.Context, rows []int, e *extremes) error {
	c := s.findCentre(rows)
	stride := kernels.RowStride(s.D())
	hold := min(len(rows), max(columnBlock, heldFloats/stride/columnBlock*columnBlock))
	held, workers := newPanel(stride, hold), make([]gramWorker, runtime.GOMAXPROCS(0))
	for from := 0; from < len(rows); from += hold {
		to := min(len(rows), from+hold)
		held.from, held.to = from, to
		err := runTasks(ctx, workers, (to-from+rowBlock-1)/rowBlock, func(_ *gramWorker, i int) {
			held.load(s, &c, rows, from+i*rowBlock, min(to, from+(i+1)*rowBlock))
		})
		if err != nil {
			return err
		}
		// The first columns have the most pairs, so the workers end together.
		err = runTasks(ctx, workers, (to+columnBlock-1)/columnBlock, func(w *gramWorker, i int) {
			w.compareColumns(ctx, s, &c, rows, held, i*columnBlock, min(to, (i+1)*columnBlock), e)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// gramWorker is the memory of one goroutine.
type gramWorker struct {
	loaded *panel // columns that are not among the held rows
	packed kernels.Packed
	gram   [rowBlock * columnBlock]float32
}

// compareColumns compares rows j0..j1 with the held rows after them.
func (w *gramWorker) compareColumns(ctx context.Context, s *Set, c *centre, rows []int, held *panel, j0, j1 int,
	e *extremes) {
	b := held
	if j0 < held.from {
		if w.loaded == nil {
			w.loaded = newPanel(held.stride, columnBlock)
		}
		b = w.loaded
		b.from, b.to = j0, j1
		b.load(s, c, rows, j0, j1)
	}
	b = b.part(j0, j1)
	n, d := j1-j0, s.D()
	w.packed.Pack(b.x, b.stride, n, d)
	normB := b.norm()
	unit := c.scale * c.scale // a squared distance in the data times this is that in the panels
	for i0 := max(held.from, j0); i0 < held.to && ctx.Err() == nil; i0 += rowBlock {
		i1 := min(held.to, i0+rowBlock)
		a := held.part(i0, i1)
		w.packed.MatMulT(w.gram[:(i1-i0)*n], n, a.x, a.stride, i1-i0)

		f := e.begin()
		slack := gramError(d, a.norm(), normB, c.whole)
		count := int64(0)
		for i := i0; i < i1; i++ {
			// |a-b|^2 = |a|^2 + 2 (h - a.b) with h = |b|^2/2. A pair is computed exactly if h - a.b is not between
			// the two.
			bounds := func() (above, below float32) {
				above = float32((f.far.d2*unit - slack - a.squares[i-i0]) / 2)
				below = float32((f.near.d2*unit + slack - a.squares[i-i0]) / 2)
				return above, below
			}
			above, below := bounds()
			g := w.gram[(i-i0)*n:][:min(n, i-j0)]
			count += int64(len(g))
			h := b.halves[:len(g)]
			for j := 0; ; j++ {
				j += kernels.FirstOutside(h[j:], g[j:], below, above)
				if j == len(g) {
					break
				}
				f.add(squared{s.squaredDistance(rows[i], rows[j0+j]), Pair{rows[j0+j], rows[i]}})
				above, below = bounds()
			}
		}
		e.merge(f, count)
	}
}

// centre is how rows are changed before they are multiplied: (x - m) scale.
type centre struct {
	m     []float32 // (D)
	scale float64   // a power of two
	whole bool      // rows and m are whole numbers, and scale is 1
}

// findCentre returns about the mean of the rows, that of centreRows of them, for images rounded to whole bytes. Any
// point would do; one amidst the rows makes the errors small. For vectors the scale brings the largest value to about
// 1, so that no square leaves the range of float32.
func (s *Set) findCentre(rows []int) centre {
	const centreRows = 1000
	d := s.D()
	sum := make([]float64, d)
	c := centre{m: make([]float32, d), scale: 1, whole: s.U8 != nil}
	step := (len(rows) + centreRows - 1) / centreRows
	for r := 0; r < len(rows); r += step {
		if c.whole {
			for k, v := range s.Bytes(rows[r]) {
				sum[k] += float64(v)
			}
			continue
		}
		for k, v := range s.Floats(rows[r]) {
			sum[k] += float64(v)
		}
	}
	for k, v := range sum {
		mean := v / float64((len(rows)+step-1)/step)
		if c.whole {
			mean = math.Round(mean)
		}
		c.m[k] = float32(mean)
	}
	if !c.whole {
		largest := float32(0)
		for _, i := range rows {
			for _, v := range s.Floats(i) {
				largest = max(largest, v, -v)
			}
		}
		_, exponent := math.Frexp(float64(largest))
		c.scale = math.Ldexp(1, -exponent)
	}
	return c
}

// panel is rows from..to as float32, changed as centre says, ready to be multiplied.
type panel struct {
	from, to int
	stride   int       // floats from one row of x to the next
	x        []float32 // (rows, stride)
	halves   []float32 // (rows) |x|^2/2
	squares  []float64 // (rows) |x|^2
}

func newPanel(stride, rows int) *panel {
	return &panel{stride: stride, x: make([]float32, rows*stride), halves: make([]float32, rows),
		squares: make([]float64, rows)}
}

// part returns rows from..to of p, which must have them. It shares their memory.
func (p *panel) part(from, to int) *panel {
	lo, hi := from-p.from, to-p.from
	return &panel{from, to, p.stride, p.x[lo*p.stride : hi*p.stride], p.halves[lo:hi], p.squares[lo:hi]}
}

// norm returns the largest |x|.
func (p *panel) norm() float64 { return math.Sqrt(slices.Max(p.squares[:p.to-p.from])) }

// load fills rows from..to of p with the rows of s that rows[from:to] names.
func (p *panel) load(s *Set, c *centre, rows []int, from, to int) {
	d := len(c.m)
	for r := from; r < to; r++ {
		x := p.x[(r-p.from)*p.stride:][:d]
		i := rows[r]
		sum := 0.0
		if c.whole {
			for k, v := range s.Bytes(i) {
				x[k] = float32(v) - c.m[k]
			}
		} else {
			for k, v := range s.Floats(i) {
				x[k] = float32((float64(v) - float64(c.m[k])) * c.scale)
			}
		}
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		p.squares[r-p.from], p.halves[r-p.from] = sum, float32(sum/2)
	}
}

// gramError bounds the difference between |x-y|^2 and what stands for it: |a|^2 + 2 (h - a.b) of the CPU, and 2 (h' + h -
// a.b) of [kernels.PairExtremes], for rows of d values with |a| <= na and |b| <= nb. With u = 2^-24 these errors add up:
//
//	a.b        d u / (1 - d u) |a||b|, in any order of summation, fused or not (Higham, "Accuracy and stability of
//	           numerical algorithms", eq. 3.5); 0 for whole numbers with |a||b| <= 2^24
//	h          u |b|^2/2, rounded from float64
//	h - a.b    u |h - a.b| <= u (|b|^2/2 + |a||b|)
//	bounds     the float32 that h - a.b is compared with, rounded from float64: at most u (|a|^2 + |b|^2), because a
//	           squared distance is at most (|a|+|b|)^2
//	h' + h     in the place of these three: u (|a|^2 + |b|^2)/2 of the halves, as much of their sum, and u (|a|+|b|)^2/2
//	           of the difference. The three are at most 2 u (|a|+|b|)^2, and so are these
//	a, b       a is x - m rounded, off by at most u |a|; so the distance is off by u (|a|+|b|) and its square by
//	           2 u (|a|+|b|)^2; 0 for whole numbers
//	underflow  2^-149 for each of d products and sums
//
// What is part of h - a.b counts twice. The sum is doubled for the terms of second order and the float64 arithmetic.
func gramError(d int, na, nb float64, whole bool) float64 {
	const u = 1.0 / (1 << 24)
	sum := na + nb
	e := 2*2*u*sum*sum + float64(d)*0x1p-140
	if !whole {
		e += 2 * u * sum * sum
	}
	if !whole || na*nb > 1<<24 {
		du := float64(d) * u
		if du >= 0.5 {
			return math.Inf(1) // at 8 million values a row: every pair is computed exactly
		}
		e += 2 * du / (1 - du) * na * nb
	}
	return 2 * e
}
