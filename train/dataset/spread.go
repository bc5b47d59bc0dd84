// Spread: the moments of a data set, and a sample of the distances between its rows.
//
//	m = mean row,   SD^2 = 1/D tr C,   C the covariance of the rows
//
// tr C^2, which says how far C + sigma^2 I is from sigma^2 I, needs no C: for rows a, b that are drawn apart from each
// other, E((a-m).(b-m))^2 = tr C^2. It is the mean over all pairs of a few thousand rows, whose products give their
// distances too.

package dataset

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"

	"sigmaz/internal/mapped"
	"sigmaz/kernels"
)

// Spread is how the rows of a data set lie, images scaled to [0, 1].
type Spread struct {
	Mean []float64 // the mean row (D)
	SD   float64   // root mean square of a value about the mean row
	Most int       // which value varies most
	// TraceSquare is an estimate of tr C^2.
	TraceSquare float64
	Rows        int       // that were compared
	Distances   []float32 // between all pairs of them, rising
}

// Spread looks at all rows, and compares n of them, or all where there are fewer, evenly taken, with each other. It
// fails when ctx ends, and when a vector is not finite.
func (s *Set) Spread(ctx context.Context, n int) (out Spread, err error) {
	defer mapped.Guard(&err)()
	variance, err := out.moments(ctx, s)
	if err != nil {
		return out, err
	}
	d, n := s.D(), min(n, s.N)
	out.Rows = n
	if n < 2 || variance == 0 {
		return out, nil
	}

	// Rows about the mean, in units of the deviation, so that no square leaves the range of float32.
	stride := kernels.RowStride(d)
	x, squares := make([]float32, n*stride), make([]float64, n)
	err = inParallel(ctx, n, func(r int) error {
		row := x[r*stride : r*stride+d]
		for k := range row {
			v := float32((s.value(r*s.N/n, k) - out.Mean[k]) / out.SD)
			row[k] = v
			squares[r] += float64(v) * float64(v)
		}
		return nil
	})
	if err != nil {
		return out, err
	}
	type worker struct {
		packed kernels.Packed
		gram   [rowBlock * columnBlock]float32
	}
	blocks := (n + columnBlock - 1) / columnBlock
	distances, sums := make([][]float32, blocks), make([]float64, blocks)
	err = runTasks(ctx, make([]worker, runtime.GOMAXPROCS(0)), blocks, func(w *worker, block int) {
		j0, j1 := block*columnBlock, min(n, (block+1)*columnBlock)
		w.packed.Pack(x[j0*stride:], stride, j1-j0, d)
		for i0 := j0; i0 < n; i0 += rowBlock {
			i1 := min(n, i0+rowBlock)
			w.packed.MatMulT(w.gram[:(i1-i0)*(j1-j0)], j1-j0, x[i0*stride:], stride, i1-i0)
			for i := i0; i < i1; i++ {
				for j := j0; j < min(i, j1); j++ {
					g := float64(w.gram[(i-i0)*(j1-j0)+j-j0])
					sums[block] += g * g
					distances[block] = append(distances[block], float32(out.SD*math.Sqrt(max(0, squares[i]+squares[j]-2*g))))
				}
			}
		}
	})
	if err != nil {
		return out, err
	}
	for _, v := range sums {
		out.TraceSquare += v
	}
	out.Distances = slices.Concat(distances...)
	out.TraceSquare *= math.Pow(out.SD, 4) / float64(len(out.Distances))
	slices.Sort(out.Distances)
	return out, nil
}

// moments sets the mean row and how values vary about it, and returns the largest variance of a value.
func (out *Spread) moments(ctx context.Context, s *Set) (largest float64, err error) {
	d := s.D()
	out.Mean = make([]float64, d)
	for i := range s.N {
		if i%4096 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		for k := range d {
			v := s.value(i, k)
			if v-v != 0 {
				return 0, fmt.Errorf("dataset: %s: expected finite values, found %v in row %d; clean the data", s.Name, v, i)
			}
			out.Mean[k] += v / float64(s.N)
		}
	}
	variance := make([]float64, d)
	for i := range s.N {
		if i%4096 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
		for k, m := range out.Mean {
			e := s.value(i, k) - m
			variance[k] += e * e / float64(s.N)
		}
	}
	sum := 0.0
	for k, v := range variance {
		sum += v
		if v > largest {
			largest, out.Most = v, k
		}
	}
	out.SD = math.Sqrt(sum / float64(d))
	return largest, nil
}

// value returns value k of row i, images in [0, 1].
func (s *Set) value(i, k int) float64 {
	if s.U8 != nil {
		return float64(s.Bytes(i)[k]) / 255
	}
	return float64(s.Floats(i)[k])
}

// Values copies row i, images scaled to [0, 1].
func (s *Set) Values(i int) []float32 {
	x := make([]float32, s.D())
	for k := range x {
		x[k] = float32(s.value(i, k))
	}
	return x
}

// Quantile returns the distance that a part p of the sampled ones do not exceed.
func (out *Spread) Quantile(p float64) float64 {
	if len(out.Distances) == 0 {
		return math.NaN()
	}
	return float64(out.Distances[min(len(out.Distances)-1, int(p*float64(len(out.Distances))))])
}
