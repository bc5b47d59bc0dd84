// Sliced Wasserstein distance: how far apart two point sets are, by their shadows on lines.
package dataset

import (
	"math"
	"runtime"
	"slices"
	"sync"

	"sigmaz/kernels"
)

// SlicedWasserstein is the sliced Wasserstein-1 distance of the point sets a and b, both (n, d):
//
//	SW = 1/P sum_p 1/n sum_i |sort(a v_p)_i - sort(b v_p)_i|
//
// over P = projections random directions v_p, |v_p| = 1, fixed by seed (Rabin et al., "Wasserstein barycenter and its
// application to texture mixing", 2011; in one dimension W1 pairs the points in order). The bits depend on nothing but
// the arguments. It is NaN when the sets differ in size, are empty, are no multiple of d, or projections is not
// positive.
func SlicedWasserstein(a, b []float32, d, projections int, seed uint64) float64 {
	if d <= 0 || projections <= 0 || len(a) == 0 || len(a) != len(b) || len(a)%d != 0 {
		return math.NaN()
	}
	n := len(a) / d
	distance := make([]float64, projections) // summed in order below, whoever computed it
	var wg sync.WaitGroup
	workers := min(runtime.GOMAXPROCS(0), projections)
	for w := range workers {
		wg.Go(func() {
			v := make([]float32, d)
			pa, pb := make([]float64, n), make([]float64, n)
			for p := w; p < projections; p += workers {
				direction(v, seed, p)
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

// direction fills v with random direction p: a standard normal vector divided by its length. The high bit of n keeps
// its numbers apart from those of point p of a toy.
func direction(v []float32, seed uint64, p int) {
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeData, N: 1<<63 | uint64(p)}.Normals(v)
	norm := 0.0
	for _, x := range v {
		norm += float64(float64(x) * float64(x))
	}
	if norm == 0 { // one chance in 2^24 for d = 1
		v[0], norm = 1, 1
	}
	scale := 1 / math.Sqrt(norm)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}

// project writes the products of the rows of x (n, d) with v to dst (n).
func project(dst []float64, x, v []float32) {
	for i := range dst {
		sum := 0.0
		for j, xj := range x[i*len(v) : (i+1)*len(v)] {
			sum += float64(float64(xj) * float64(v[j]))
		}
		dst[i] = sum
	}
}
