// How far samples are from images, and how much noise they hold.
//
//	sliced Wasserstein   1/P sum_p W1(a v_p, b v_p) over P random directions, |v_p| = 1; W1 is the area between two
//	                     distribution functions
//	Frechet distance     |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2) of the first K principal components
//	                     of b, with means m and covariances C
//	noise                root mean square of what an image holds in the values that are the same in all images, such as
//	                     the black edge of digits. Where there are none, median |w| / 0.6745 with
//	                     w = (x00 - x01 - x10 + x11)/2 over every 2x2 pixels: edges are few, and white noise has there the
//	                     deviation that it has in the pixels (Donoho 1995)
//
// Errors are those of the jackknife: what an estimate becomes without one group of samples, for each of ten groups of
// neighbours.

package main

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"sigmaz/internal/picture"
	"sigmaz/sample/eval"
)

const (
	directions = 256
	components = 50
	groups     = 10
)

// reference is what samples are compared with.
type reference struct {
	mean      []float64
	lines     *mat.Dense   // (D, P): the directions
	projected [][]float64  // images on each direction, sorted
	axes      *mat.Dense   // (D, K): the principal components
	moments   eval.Moments // of the images in them
	still     []int        // the values that are the same in all images
}

func newReference(x *mat.Dense) *reference {
	_, d := x.Dims()
	random := rand.New(rand.NewPCG(1, 2))
	r := &reference{mean: make([]float64, d), lines: normals(random, d, directions)}
	for j := range r.mean {
		column := mat.Col(nil, j, x)
		if r.mean[j] = stat.Mean(column, nil); slices.Min(column) == slices.Max(column) {
			r.still = append(r.still, j)
		}
	}
	for p := range directions {
		v := r.lines.ColView(p).(*mat.VecDense)
		v.ScaleVec(1/mat.Norm(v, 2), v)
	}
	c := r.centred(x)
	r.projected = sortedColumns(product(c, r.lines), func(int) bool { return true })
	r.axes = principal(random, c, min(components, d))
	r.moments = momentsOf(product(c, r.axes), func(int) bool { return true })
	return r
}

// centred returns x without the mean of the reference.
func (r *reference) centred(x *mat.Dense) *mat.Dense {
	c := mat.DenseCopyOf(x)
	c.Apply(func(_, j int, v float64) float64 { return v - r.mean[j] }, c)
	return c
}

func normals(random *rand.Rand, rows, columns int) *mat.Dense {
	m := mat.NewDense(rows, columns, nil)
	m.Apply(func(int, int, float64) float64 { return random.NormFloat64() }, m)
	return m
}

func product(a, b mat.Matrix) *mat.Dense {
	var p mat.Dense
	p.Mul(a, b)
	return &p
}

// principal returns the first k principal components of centred rows, by subspace iteration.
func principal(random *rand.Rand, x *mat.Dense, k int) *mat.Dense {
	n, d := x.Dims()
	v := normals(random, d, min(2*k, d))
	for range 10 {
		var svd mat.SVD
		if !svd.Factorize(product(x.T(), product(x, v)), mat.SVDThinU) {
			panic("samplertrial: the images are not finite")
		}
		v.Reset()
		svd.UTo(v)
	}
	at := product(x, v)
	var cov mat.SymDense
	cov.SymOuterK(1/float64(n), at.T())
	values, vectors := eigen(&cov)
	_, m := vectors.Dims()
	if k > len(values) {
		k = len(values)
	}
	return product(v, vectors.Slice(0, m, m-k, m))
}

// eigen returns eigenvalues, smallest first, and eigenvectors as columns.
func eigen(m mat.Symmetric) ([]float64, *mat.Dense) {
	var e mat.EigenSym
	if !e.Factorize(m, true) {
		panic("samplertrial: an eigenvalue was not found")
	}
	var vectors mat.Dense
	e.VectorsTo(&vectors)
	return e.Values(nil), &vectors
}

// sortedColumns returns the columns of some rows, each sorted.
func sortedColumns(x *mat.Dense, use func(row int) bool) [][]float64 {
	n, columns := x.Dims()
	all := make([][]float64, columns)
	for j := range all {
		for i := range n {
			if use(i) {
				all[j] = append(all[j], x.At(i, j))
			}
		}
		slices.Sort(all[j])
	}
	return all
}

// momentsOf returns the moments of the rows that are used.
func momentsOf(x *mat.Dense, use func(row int) bool) eval.Moments {
	n, columns := x.Dims()
	var rows []float64
	for i := range n {
		if use(i) {
			rows = append(rows, x.RawRowView(i)...)
		}
	}
	return eval.MomentsOfMatrix(mat.NewDense(len(rows)/columns, columns, rows))
}

// frechet is the Frechet distance of two Gaussians.
func frechet(a, b eval.Moments) float64 {
	distance, err := eval.Frechet(a, b)
	if err != nil {
		panic(err) // the images are not finite
	}
	return distance
}

// noise estimates how much noise image n holds.
func (r *reference) noise(m picture.Images, n int) float64 {
	x := m.Pix[n*m.H*m.W*m.C : (n+1)*m.H*m.W*m.C]
	if len(r.still) == 0 {
		return whiteNoise(m, x)
	}
	sum := 0.0
	for _, j := range r.still {
		d := float64(x[j]) - r.mean[j]
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(r.still)))
}

// whiteNoise estimates the deviation of white noise in x, an image of the sides of m.
func whiteNoise(m picture.Images, x []float32) float64 {
	at := func(i, j, c int) float64 { return float64(x[(i*m.W+j)*m.C+c]) }
	var all []float64
	for i := 0; i+1 < m.H; i += 2 {
		for j := 0; j+1 < m.W; j += 2 {
			for c := range m.C {
				all = append(all, math.Abs(at(i, j, c)-at(i, j+1, c)-at(i+1, j, c)+at(i+1, j+1, c))/2)
			}
		}
	}
	slices.Sort(all)
	return stat.Quantile(0.5, stat.LinInterp, all, nil) / 0.6745
}

// estimate is a number with its standard error.
type estimate struct{ value, err float64 }

// jackknife estimates a function of n samples, of which it uses some.
func jackknife(n int, of func(use func(row int) bool) float64) estimate {
	whole := of(func(int) bool { return true })
	sum, squares := 0.0, 0.0
	for g := range groups {
		v := of(func(row int) bool { return row*groups/n != g })
		sum += v
		squares += v * v
	}
	spread := max(0, squares-sum*sum/groups)
	return estimate{whole, math.Sqrt(spread * (groups - 1) / groups)}
}

// comparison is a row of the table.
type comparison struct {
	sliced, frechet estimate
	noise, most     estimate // median over the images, and the 99 % quantile
	noisy           float64  // part of the images whose noise is above visible
}

// visible is noise that everybody sees: a tenth of the range from black to white.
const visible = 0.1

// compare measures images. Distances are those of values within [0, 1], noise that of all.
func (r *reference) compare(m picture.Images) comparison {
	c := r.centred(matrix(m))
	projected, at := product(c, r.lines), product(c, r.axes)
	levels := make([]float64, m.N)
	noisy := 0
	for n := range levels {
		if levels[n] = r.noise(m, n); levels[n] > visible {
			noisy++
		}
	}
	quantile := func(p float64) estimate {
		return jackknife(m.N, func(use func(int) bool) float64 {
			var some []float64
			for n, v := range levels {
				if use(n) {
					some = append(some, v)
				}
			}
			slices.Sort(some)
			return stat.Quantile(p, stat.LinInterp, some, nil)
		})
	}
	return comparison{
		sliced: jackknife(m.N, func(use func(int) bool) float64 {
			sum := 0.0
			for p, column := range sortedColumns(projected, use) {
				sum += eval.Wasserstein1(column, r.projected[p])
			}
			return sum / directions
		}),
		frechet: jackknife(m.N, func(use func(int) bool) float64 { return frechet(momentsOf(at, use), r.moments) }),
		noise:   quantile(0.5), most: quantile(0.99), noisy: float64(noisy) / float64(m.N),
	}
}

// matrix has an image a row, its values clamped to [0, 1].
func matrix(m picture.Images) *mat.Dense {
	x := make([]float64, len(m.Pix))
	for i, v := range m.Pix {
		x[i] = min(1, max(0, float64(v)))
	}
	return mat.NewDense(m.N, m.H*m.W*m.C, x)
}
