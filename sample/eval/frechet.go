// Frechet distance of two sets, each taken for a Gaussian with its mean m and covariance C:
//
//	FD = |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2)
//
// The trace of the last root is the sum of the roots of its matrix's eigenvalues, in float64. With C_a = F F^t that matrix
// is F^t C_b F but for a rotation, for any factor F: Cholesky's with pivots takes a tenth of the time of the symmetric root,
// and there may be fewer points than values. The root of the product C_a C_b, which is not symmetric, has the same trace.
// (Heusel et al., "GANs trained by a two time-scale update rule converge to a local Nash equilibrium", 2017, with features of
// the Inception network; only then, and from many samples, is it called FID.)
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

// momentRows is how many points are brought to float64 at a time.
const momentRows = 512

// MomentsOf computes the moments of at least two points.
func MomentsOf(r Rows) (Moments, error) {
	if err := check(2, r); err != nil {
		return Moments{}, err
	}
	m := Moments{make([]float64, r.D), mat.NewSymDense(r.D, nil)}
	for i := range r.N {
		for k, v := range r.Row(i) {
			m.Mean[k] += float64(v)
		}
	}
	for k := range m.Mean {
		m.Mean[k] /= float64(r.N)
	}
	for first := 0; first < r.N; first += momentRows {
		n := min(momentRows, r.N-first)
		x := mat.NewDense(n, r.D, nil)
		for i := range n {
			row := x.RawRowView(i)
			for k, v := range r.Row(first + i) {
				row[k] = float64(v) - m.Mean[k]
			}
		}
		m.Cov.SymRankK(m.Cov, 1/float64(r.N-1), x.T())
	}
	return m, nil
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
func Frechet(a, b Moments) (float64, error) { return factorOf(a).distance(b) }

// errEigen is the failure of an algorithm that does not fail for finite matrices.
var errEigen = errors.New("eval: the eigenvalues of a covariance were not found: expected finite values")

// factor is moments with a factor of their covariance: its rows and columns in the order of pivots are u^t u.
type factor struct {
	Moments
	u      *mat.Dense // (rank, values)
	pivots []int
}

func factorOf(m Moments) factor {
	var c mat.PivotedCholesky
	c.Factorize(m.Cov, -1) // it tells whether the rank is full
	n := m.Cov.SymmetricDim()
	var u mat.TriDense
	c.UTo(&u)
	f := factor{m, mat.NewDense(max(1, c.Rank()), n, nil), c.ColumnPivots(nil)}
	for i := range c.Rank() {
		for j := i; j < n; j++ {
			f.u.Set(i, j, u.At(i, j))
		}
	}
	return f
}

// distance returns the Frechet distance to another Gaussian.
func (f factor) distance(m Moments) (float64, error) {
	n := m.Cov.SymmetricDim()
	other := mat.NewDense(n, n, nil) // in the order of pivots; whole, for which products are fast
	for i, p := range f.pivots {
		row := other.RawRowView(i)
		for j, q := range f.pivots {
			row[j] = m.Cov.At(p, q)
		}
	}
	var left, inner mat.Dense
	left.Mul(f.u, other)
	inner.Mul(&left, f.u.T())
	rank, _ := inner.Dims()
	symmetric := mat.NewSymDense(rank, nil)
	for i := range rank {
		for j := i; j < rank; j++ {
			symmetric.SetSym(i, j, (inner.At(i, j)+inner.At(j, i))/2)
		}
	}
	var e mat.EigenSym
	if !e.Factorize(symmetric, false) {
		return 0, errEigen
	}
	d := mat.Trace(f.Cov) + mat.Trace(m.Cov)
	for _, v := range e.Values(nil) {
		d -= 2 * math.Sqrt(max(0, v))
	}
	for k, v := range f.Mean {
		d += (v - m.Mean[k]) * (v - m.Mean[k])
	}
	return d, nil
}

// FrechetMACs counts about the multiply-adds, in float64, of the distance and of its limit for n samples and m points of the
// reference of d values.
func FrechetMACs(n, m, d int) int64 {
	moments := (int64(m) + int64(n) + infinityParts*int64(n)*3/4) * int64(d) * int64(d) / 2
	return moments + (infinityParts+1)*3*int64(d)*int64(d)*int64(d)
}

// infinityParts is at how many numbers of samples FrechetInfinity looks, from half of them to all.
const infinityParts = 5

// FrechetInfinity returns the limit of FD for ever more samples, with the error of the fit. It takes the samples in an
// order drawn from seed, so that those of one kind that stand together are spread.
func FrechetInfinity(w Workers, samples Rows, reference Moments, seed uint64) (Estimate, error) {
	if err := check(2*infinityParts, samples); err != nil {
		return Estimate{}, err
	}
	of := factorOf(reference) // the distance is symmetric, so one factor serves all parts
	mixed := shuffled(samples, seed)
	x, y, failed := make([]float64, infinityParts), make([]float64, infinityParts), make([]error, infinityParts)
	err := w.Run(infinityParts, func(i int) {
		n := samples.N/2 + i*(samples.N-samples.N/2)/(infinityParts-1)
		m, err := MomentsOf(mixed.First(n))
		if err != nil {
			panic(err) // checked above
		}
		x[i] = 1 / float64(n)
		y[i], failed[i] = of.distance(m)
	})
	if err = errors.Join(append(failed, err)...); err != nil {
		return Estimate{}, err
	}
	a, b := stat.LinearRegression(x, y, nil, false)
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
