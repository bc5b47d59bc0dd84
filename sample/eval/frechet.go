// Frechet distance of two sets, each taken for a Gaussian with its mean m and covariance C:
//
//	FD = |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2)
//
// The roots are those of symmetric matrices, by their eigenvalues in float64: the root of the product C_a C_b, which is
// not symmetric, has the same trace. (Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash
// equilibrium", 2017, with features of the Inception network; only then, and from many samples, is it called FID.)
//
// FD is biased: sets of one distribution have one above 0, by about b/N, and with fewer points than values it says little.
// FrechetInfinity fits FD = a + b/N to parts of the samples and returns a (Chong and Forsyth, "Effectively unbiased FID and
// Inception score", 2020). The bias of the reference stays.

package eval

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// Moments are the mean and the covariance of a set.
type Moments struct {
	Mean []float64
	Cov  *mat.SymDense
}

// MomentsOf computes the moments of at least two points.
func MomentsOf(r Rows) (Moments, error) {
	if err := check(2, r); err != nil {
		return Moments{}, err
	}
	x := mat.NewDense(r.N, r.D, nil)
	for i := range r.N {
		for k, v := range r.Row(i) {
			x.Set(i, k, float64(v))
		}
	}
	return MomentsOfMatrix(x), nil
}

// MomentsOfMatrix is [MomentsOf] for the rows of a matrix.
func MomentsOfMatrix(x *mat.Dense) Moments {
	_, d := x.Dims()
	m := Moments{make([]float64, d), new(mat.SymDense)}
	for k := range m.Mean {
		m.Mean[k] = stat.Mean(mat.Col(nil, k, x), nil)
	}
	stat.CovarianceMatrix(m.Cov, x, nil)
	return m
}

// Frechet returns the Frechet distance of two Gaussians.
func Frechet(a, b Moments) (float64, error) {
	distance := mat.Trace(a.Cov) + mat.Trace(b.Cov)
	for k, v := range a.Mean {
		distance += (v - b.Mean[k]) * (v - b.Mean[k])
	}
	root, err := rootOf(a.Cov)
	if err != nil {
		return 0, err
	}
	return distance - 2*traceOfRoot(root, b.Cov), nil
}

// errEigen is the failure of an algorithm that does not fail for finite matrices.
var errEigen = errors.New("eval: the eigenvalues of a covariance were not found: expected finite values")

// rootOf returns the symmetric root of a covariance.
func rootOf(c *mat.SymDense) (*mat.Dense, error) {
	var e mat.EigenSym
	if !e.Factorize(c, true) {
		return nil, errEigen
	}
	var vectors, half, root mat.Dense
	e.VectorsTo(&vectors)
	values := e.Values(nil)
	for i, v := range values {
		values[i] = math.Sqrt(max(0, v))
	}
	half.Mul(&vectors, mat.NewDiagDense(len(values), values))
	root.Mul(&half, vectors.T())
	return &root, nil
}

// traceOfRoot returns tr (r c r)^1/2 for a symmetric r.
func traceOfRoot(r *mat.Dense, c *mat.SymDense) (trace float64) {
	var left, inner mat.Dense
	left.Mul(r, c)
	inner.Mul(&left, r)
	n, _ := inner.Dims()
	symmetric := mat.NewSymDense(n, nil)
	for i := range n {
		for j := i; j < n; j++ {
			symmetric.SetSym(i, j, (inner.At(i, j)+inner.At(j, i))/2)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(symmetric, false) {
		return math.NaN()
	}
	for _, v := range e.Values(nil) {
		trace += math.Sqrt(max(0, v))
	}
	return trace
}

// infinityParts is at how many numbers of samples FrechetInfinity looks, from half of them to all.
const infinityParts = 5

// FrechetInfinity returns the limit of FD for ever more samples, with the error of the fit. It takes the samples in an
// order drawn from seed, so that those of one kind that stand together are spread.
func FrechetInfinity(w Workers, samples Rows, reference Moments, seed uint64) (Estimate, error) {
	if err := check(2*infinityParts, samples); err != nil {
		return Estimate{}, err
	}
	// The order of the two covariances does not matter, so the root of the reference serves all parts.
	root, err := rootOf(reference.Cov)
	if err != nil {
		return Estimate{}, err
	}
	mixed := shuffled(samples, seed)
	x, y := make([]float64, infinityParts), make([]float64, infinityParts)
	err = w.Run(infinityParts, func(i int) {
		n := samples.N/2 + i*(samples.N-samples.N/2)/(infinityParts-1)
		m, err := MomentsOf(mixed.First(n))
		if err != nil {
			panic(err) // checked above
		}
		fd := mat.Trace(m.Cov) + mat.Trace(reference.Cov) - 2*traceOfRoot(root, m.Cov)
		for k, v := range m.Mean {
			fd += (v - reference.Mean[k]) * (v - reference.Mean[k])
		}
		x[i], y[i] = 1/float64(n), fd
	})
	if err != nil {
		return Estimate{}, err
	}
	a, b := stat.LinearRegression(x, y, nil, false)
	if math.IsNaN(a) {
		return Estimate{}, errEigen
	}
	middle, rest, spread := stat.Mean(x, nil), 0.0, 0.0
	for i, v := range x {
		rest += (y[i] - a - b*v) * (y[i] - a - b*v)
		spread += (v - middle) * (v - middle)
	}
	return Estimate{a, math.Sqrt(rest / (infinityParts - 2) * (1.0/infinityParts + middle*middle/spread))}, nil
}

// shuffled returns the points in an order drawn from seed.
func shuffled(r Rows, seed uint64) Rows {
	out := Rows{r.N, r.D, make([]float32, 0, len(r.X))}
	for _, i := range order(r.N, seed) {
		out.X = append(out.X, r.Row(i)...)
	}
	return out
}
