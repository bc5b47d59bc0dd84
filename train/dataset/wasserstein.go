// Sliced Wasserstein distance: how far apart two point sets are, by their projections on lines.

package dataset

import (
	"math"
	"runtime"
	"slices"
	"sync"

	"sigmaz/kernels"
)

// SlicedWasserstein returns the sliced Wasserstein-1 distance of the point sets a and b, both (n, d):
//
//	SW = 1/P sum_p 1/n sum_i |sort(a v_p)_i - sort(b v_p)_i|
//
// over P = projections random directions v_p, |v_p| = 1, drawn from seed (Rabin et al., "Wasserstein barycenter and
// its application to texture mixing", 2011). In one dimension W1 pairs the points in their order, hence sort. The
// bits are a function of the arguments. The result is NaN when the sets differ in size, are empty or no multiple of
// d, or when projections is not positive.
func SlicedWasserstein(a, b []float32, d, projections int, seed uint64) float64 {
	if d <= 0 || projections <= 0 || len(a) == 0 || len(a) != len(b) || len(a)%d != 0 {
		return math.NaN()
	}
	n := len(a) / d
	distance := make([]float64, projections) // summed below, in the same order whichever worker is first
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), projections)
	for w := range workers {
		wg.Go(func() {
			v := make([]float32, d)
			pa, pb := make([]float64, n), make([]float64, n)
			for p := w; p < projections; p += workers {
				drawDirection(v, seed, p)
				project(pa, a, v)
				project(pb, b, v)
				slices.Sort(pa)
				slices.Sort(pb)
				sum := 0.0
				for i := range pa {
					sum += math.Abs(pa[i] - pb[i])
				}
				distance[p] = sum / float64(n)
			}
		})
	}
	wg.Wait()
	sum := 0.0
	for _, x := range distance {
		sum += x
	}
	return sum / float64(projections)
}

// drawDirection fills v with random direction p: a standard normal vector divided by its length. The high bit of N
// keeps its random numbers apart from those of point p of a toy.
func drawDirection(v []float32, seed uint64, p int) {
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeData, N: 1<<63 | uint64(p)}.Normals(v)
	norm := 0.0
	for _, x := range v {
		norm += float64(float64(x) * float64(x))
	}
	if norm == 0 { // for d = 1, one chance in 2^24
		v[0], norm = 1, 1
	}
	scale := 1 / math.Sqrt(norm)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}

// project computes dst = x v, for x (n, d) and v (d).
func project(dst []float64, x, v []float32) {
	for i := range dst {
		sum := 0.0
		for j, xj := range x[i*len(v) : (i+1)*len(v)] {
			sum += float64(float64(xj) * float64(v[j]))
		}
		dst[i] = sum
	}
}
