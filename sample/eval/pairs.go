// All pairs of two sets of points: products, and squared distances.
//
//	|a-b|^2 = |a|^2 + |b|^2 - 2 a.b
//
// Blocks of rows are multiplied in float32, with a centre subtracted from both sets where distances are asked for. A
// distance from this is off by at most a bound; where that leaves open what is asked, the distance is computed again from
// the differences, in float64.

package eval

import (
	"math"

	"sigmaz/kernels"
)

// A block of pairs is rowBlock rows of one set by columnBlock of the other.
const (
	rowBlock    = 128
	columnBlock = 256
)

// side is a set laid out for products: as left factor, and with packed as right one.
type side struct {
	Rows
	stride  int
	x       []float32 // (N, stride): the rows, less the centre
	squares []float64 // (N) |x|^2
	largest float64   // the largest |x|
	packed  []kernels.Packed
}

// newSide lays out a set. centre (D) is subtracted from the rows; nil: nothing.
func newSide(w Workers, r Rows, centre []float32) (*side, error) {
	s := &side{Rows: r, stride: kernels.RowStride(r.D)}
	s.x, s.squares = make([]float32, r.N*s.stride), make([]float64, r.N)
	blocks := (r.N + columnBlock - 1) / columnBlock
	s.packed = make([]kernels.Packed, blocks)
	err := w.Run(blocks, func(b int) {
		lo, hi := b*columnBlock, min(r.N, (b+1)*columnBlock)
		for i := lo; i < hi; i++ {
			x := s.x[i*s.stride:][:r.D]
			copy(x, r.Row(i))
			for k, c := range centre {
				x[k] -= c
			}
			for _, v := range x {
				s.squares[i] += float64(v) * float64(v)
			}
		}
		s.packed[b].Pack(s.x[lo*s.stride:], s.stride, hi-lo, r.D)
	})
	for _, v := range s.squares {
		s.largest = max(s.largest, math.Sqrt(v))
	}
	return s, err
}

// centreOf returns about the mean of a set. Any point amidst both sets would do.
func centreOf(r Rows) []float32 {
	sum := make([]float64, r.D)
	step := (r.N + 999) / 1000
	n := 0
	for i := 0; i < r.N; i += step {
		for k, v := range r.Row(i) {
			sum[k] += float64(v)
		}
		n++
	}
	c := make([]float32, r.D)
	for k, v := range sum {
		c[k] = float32(v / float64(n))
	}
	return c
}

// products calls visit for every row i of a with its products with rows j, j+1, ... of b, block after block in this
// order. All calls for one i are made by one goroutine.
func products(w Workers, a, b *side, visit func(i, j int, dots []float32)) error {
	return w.Run((a.N+rowBlock-1)/rowBlock, func(task int) {
		lo, hi := task*rowBlock, min(a.N, (task+1)*rowBlock)
		gram := make([]float32, rowBlock*columnBlock)
		for block := range b.packed {
			if w.Ctx.Err() != nil {
				return
			}
			j := block * columnBlock
			n := min(columnBlock, b.N-j)
			b.packed[block].MatMulT(gram, n, a.x[lo*a.stride:], a.stride, hi-lo)
			for i := lo; i < hi; i++ {
				visit(i, j, gram[(i-lo)*n:(i-lo+1)*n])
			}
		}
	})
}

// bound returns how far a squared distance from products may be from the true one, for rows of d values with |a| <= na
// and |b| <= nb. With u = 2^-24, the rounding of x - centre moves a distance by at most u (na + nb), and so its square by
// about 2 u (na + nb)^2; a sum of d products is off by at most d u na nb (Higham, "Accuracy and stability of numerical
// algorithms", eq. 3.5), and counts twice. The whole is doubled for terms of second order and the norms.
func bound(d int, na, nb float64) float64 {
	const u = 1.0 / (1 << 24)
	return 2*(2*u*(na+nb)*(na+nb)+2*float64(d)*u*na*nb) + float64(d)*0x1p-140
}

// squared is the squared distance of two rows, in float64.
func squared(a, b []float32) float64 {
	sum := 0.0
	for k, v := range a {
		t := float64(v) - float64(b[k])
		sum += float64(t * t)
	}
	return sum
}

// distances is both sides of pairs whose distances are asked for.
type distances struct {
	a, b *side
	off  float64 // the bound
}

func newDistances(w Workers, a, b Rows) (*distances, error) {
	centre := centreOf(b)
	sb, err := newSide(w, b, centre)
	if err != nil {
		return nil, err
	}
	return sb.to(w, a, centre)
}

// to pairs another set with b, a side with that centre.
func (b *side) to(w Workers, a Rows, centre []float32) (*distances, error) {
	sa, err := newSide(w, a, centre)
	if err != nil {
		return nil, err
	}
	return &distances{sa, b, bound(a.D, sa.largest, b.largest)}, nil
}

// about is a squared distance, off by at most d.off.
func (d *distances) about(i, j int, dot float32) float64 {
	return d.a.squares[i] + d.b.squares[j] - 2*float64(dot)
}

// exact is a squared distance from the differences.
func (d *distances) exact(i, j int) float64 { return squared(d.a.Row(i), d.b.Row(j)) }

// below tells whether the squared distance of a pair is less than r.
func (d *distances) below(i, j int, dot float32, r float64) bool {
	switch v := d.about(i, j, dot); {
	case v+d.off < r:
		return true
	case v-d.off >= r:
		return false
	}
	return d.exact(i, j) < r
}
