// The likelihood of data under a score, by the probability flow ODE in u = ln sigma (Song et al. 2021, equation 39, after
// Chen et al. 2018):
//
//	log p(x) = log N(x(sigma_1); 0, sigma_1^2 I) + integral from ln sigma_L to ln sigma_1 of  -sigma^2 tr(ds/dx) du
//
// along dx/du = -sigma^2 s(x, sigma) from x at sigma_L upwards. p is the density of data with noise sigma_L; N stands for
// that of data with noise sigma_1, and x and its integral are one run of rk45.
//
// The trace is v^T (ds/dx) v for a probe v of random signs, one for a whole path, whose mean over probes is the trace
// (Skilling 1989, Hutchinson 1990; for such flows FFJORD, Grathwohl et al. 2019), or exact: the sum over the D unit
// vectors. v^T ds/dx is a vector-Jacobian product, that of [model.Jacobian].

package sample

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
)

// The probes of the trace.
const (
	// ExactTrace takes the unit vectors, D products an evaluation.
	ExactTrace = "exact"
	// RademacherProbe takes independent random signs, a product each.
	RademacherProbe = "rademacher"
	// HadamardProbe takes the rows of a Hadamard matrix, each times the same random signs. They are orthogonal where D is
	// a power of two, and D of them make the trace exact then; elsewhere they are cut to D values.
	HadamardProbe = "hadamard"
)

// Probes lists them.
func Probes() []string { return []string{ExactTrace, RademacherProbe, HadamardProbe} }

// LikelihoodSettings say how a likelihood is computed.
type LikelihoodSettings struct {
	Probe     string
	Probes    int // of each row, each with a path of its own; 1 for the exact trace
	Tolerance float64
	Seed      uint64 // of the probes, and of what [Dequantize] adds

	Classes []uint32 // of each row, for networks that are told classes; nil for others
}

// exactUpTo is the number of values up to which the trace is exact where nobody chooses.
const exactUpTo = 64

// DefaultLikelihood returns the settings for rows of d values where nobody chooses.
func DefaultLikelihood(d int) LikelihoodSettings {
	o := LikelihoodSettings{Probe: ExactTrace, Probes: 1, Tolerance: 1e-5}
	if d > exactUpTo {
		o.Probe, o.Probes = HadamardProbe, 4
	}
	return o
}

// Check returns what is wrong with the settings for rows of d values, as a [*setting.Error], or nil.
func (o *LikelihoodSettings) Check(d int) error {
	switch {
	case !(o.Tolerance >= minTolerance) || o.Tolerance >= 1:
		return setting.Errorf("tolerance", "is %g: expected a relative error from %g, what float32 has, to below 1", o.Tolerance,
			minTolerance)
	case o.Probes < 1 || o.Probes > maxProbes:
		return setting.Errorf("probes", "is %d: expected 1 to %d of them for each row", o.Probes, maxProbes)
	case o.Probe == ExactTrace && o.Probes > 1:
		return setting.Errorf("probes", "is %d, and the exact trace takes none: leave it out, or use `probe` %s", o.Probes,
			RademacherProbe)
	case o.Probe == HadamardProbe && o.Probes > hadamardOrder(d):
		return setting.Errorf("probes", "is %d: expected at most %d, the rows of the Hadamard matrix for %d values, of which "+
			"all give the trace exactly or nearly; use `probe` %s", o.Probes, hadamardOrder(d), d, ExactTrace)
	}
	return nil
}

const (
	minTolerance = 1e-6
	maxProbes    = 1 << 16
)

// hadamardOrder returns the order of the smallest of Sylvester's matrices with rows of d values.
func hadamardOrder(d int) int { return 1 << bits.Len(uint(d-1)) }

// JudgeLikelihood returns why there is no likelihood under a network on a ladder, or nil.
func JudgeLikelihood(cfg model.Config, ladder model.Ladder) error {
	switch {
	case cfg.TakesLevels():
		return fmt.Errorf("network %s knows noise only as one of the %d levels of its ladder, and the likelihood needs its score "+
			"at every sigma between them: expected a network that is told sigma, such as mlp", cfg.Net, len(ladder))
	case !cfg.SeesSigma():
		return fmt.Errorf("network %s does not see sigma, so its scores at different noise are not those of one density, and "+
			"there is no likelihood: expected a network that is told sigma, such as mlp", cfg.Net)
	case len(ladder) < 2 || !(ladder.Begin() > ladder.End()):
		return errors.New("the ladder has one level: expected two or more, between whose ends the likelihood is integrated")
	}
	return nil
}

// Likelihood is the log density of rows, in nats, in the units that the network was trained in.
type Likelihood struct {
	LogP   []float64 // (rows, probes)
	Latent []float64 // (rows, probes, D), x at sigma_1
	NFE    int       // evaluations of score and product of the row that took most; the exact trace has D products in each
}

// LogLikelihood returns the log density of rows x (n, D), which are the images first, first+1, and so on, for the counter of
// their probes. s must have V and VJ, which [model.NewScoreFor] gives it; its X, Sigma, V, S and VJ are overwritten. Each
// probe of a row is a row of the batch, so a result depends on no other row. each, unless nil, is called after each batch
// with the number of paths done; its error ends the work and is returned as it is.
func LogLikelihood(s *model.Score, ladder model.Ladder, x []float32, first uint32, o LikelihoodSettings,
	each func(paths int) error) (*Likelihood, error) {
	if len(x)%s.D != 0 {
		panic(fmt.Sprintf("sample: %d values are no whole number of rows of %d values", len(x), s.D))
	}
	if err := o.Check(s.D); err != nil {
		return nil, err
	}
	values := func() []float32 { return make([]float32, s.N*s.D) }
	p := &productScore{score: s, exact: o.Probe == ExactTrace, x: values(), v: values(), read: values(),
		sigma: make([]float32, s.N)}
	var err error
	if p.program, err = s.Backend.Compile(s.Arena, s.Ops); err != nil {
		return nil, err
	}
	paths := len(x) / s.D * o.Probes
	r := &Likelihood{LogP: make([]float64, 0, paths), Latent: make([]float64, 0, paths*s.D)}
	rows, classes := make([]float64, s.N*s.D), make([]uint32, s.N)
	for done := 0; done < paths; done += s.N {
		n := min(s.N, paths-done)
		for i := range s.N { // those beyond n repeat the last
			path := done + min(i, n-1)
			row, probe := path/o.Probes, path%o.Probes
			for j, v := range x[row*s.D : (row+1)*s.D] {
				rows[i*s.D+j] = float64(v)
			}
			if o.Classes != nil {
				classes[i] = o.Classes[row]
			}
			if !p.exact {
				o.signs(p.v[i*s.D:(i+1)*s.D], first+uint32(row), probe)
			}
		}
		if o.Classes != nil {
			if err := s.SetClasses(classes); err != nil {
				return nil, err
			}
		}
		logp, nfe, err := logLikelihood(p.evaluate, rows, s.D, ladder.End(), ladder.Begin(), o.Tolerance)
		if err != nil {
			return nil, err
		}
		r.LogP, r.Latent, r.NFE = append(r.LogP, logp[:n]...), append(r.Latent, rows[:n*s.D]...), max(r.NFE, nfe)
		if each != nil {
			if err := each(done + n); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// signs writes a probe of a row.
func (o *LikelihoodSettings) signs(v []float32, image uint32, probe int) {
	stream := probe
	if o.Probe == HadamardProbe {
		stream = 0
	}
	random := kernels.ImageStream(o.Seed, kernels.PurposeProbe, image, uint32(stream))
	for i := range v {
		v[i] = 1
		odd := random.Word(i) & 1
		if o.Probe == HadamardProbe { // Sylvester's matrix: (-1)^(bits that row and column share)
			odd ^= uint32(bits.OnesCount(uint(probe&i)) & 1)
		}
		if odd == 1 {
			v[i] = -1
		}
	}
}

// tracedScore writes s of every row and the trace of ds/dx, or an estimate, each at its own sigma.
type tracedScore func(s, trace, x, sigma []float64) error

// logLikelihood takes rows x of d values, in place, from sigma low to sigma high, and returns their log densities.
func logLikelihood(score tracedScore, x []float64, d int, low, high, tol float64) (logp []float64, nfe int, err error) {
	rows := len(x) / d
	// The pair (x, integral) is a row of d+1 values.
	pairs := make([]float64, rows*(d+1))
	for n := range rows {
		copy(pairs[n*(d+1):], x[n*d:(n+1)*d])
	}
	at, s, trace := make([]float64, len(x)), make([]float64, len(x)), make([]float64, rows)
	slope := func(dst, pairs, sigma []float64) error {
		for n := range rows {
			copy(at[n*d:(n+1)*d], pairs[n*(d+1):])
		}
		if err := score(s, trace, at, sigma); err != nil {
			return err
		}
		for n, sigma := range sigma {
			to := dst[n*(d+1) : (n+1)*(d+1)]
			for i, v := range s[n*d : (n+1)*d] {
				to[i] = -sigma * sigma * v
			}
			to[d] = -sigma * sigma * trace[n]
		}
		return nil
	}
	if _, nfe, err = rungeKutta(slope, pairs, d+1, low, high, tol, 0, nil); err != nil {
		return nil, nfe, err
	}
	logp = make([]float64, rows)
	for n := range logp {
		row := pairs[n*(d+1) : (n+1)*(d+1)]
		copy(x[n*d:(n+1)*d], row)
		logp[n] = logPrior(row[:d], high) + row[d]
	}
	return logp, nfe, nil
}

// logPrior returns log N(x; 0, sigma^2 I).
func logPrior(x []float64, sigma float64) float64 {
	square := 0.0
	for _, v := range x {
		square += v * v
	}
	return -square/(2*sigma*sigma) - float64(len(x))*math.Log(sigma*math.Sqrt(2*math.Pi))
}

// productScore is a score with its vector-Jacobian product on a device.
type productScore struct {
	score   *model.Score
	program kernels.Program
	exact   bool

	x, v, read []float32 // the rows, the probes, and what comes back (N, D)
	sigma      []float32 // (N)
}

// evaluate is a [tracedScore].
func (p *productScore) evaluate(dst, trace, x, sigma []float64) error {
	s := p.score
	for i, v := range x {
		p.x[i] = float32(v)
	}
	for n, v := range sigma {
		p.sigma[n] = float32(v)
	}
	clear(trace)
	products := 1
	if p.exact {
		products = s.D
	}
	for k := range products {
		if p.exact { // unit vector k
			clear(p.v)
			for n := range s.N {
				p.v[n*s.D+k] = 1
			}
		}
		// Operations may have overwritten x.
		for _, w := range []struct {
			to   kernels.Buf
			from []float32
		}{{s.X, p.x}, {s.Sigma, p.sigma}, {s.V, p.v}} {
			if err := s.Arena.Write(w.to, w.from); err != nil {
				return err
			}
		}
		if err := p.program.Run(); err != nil {
			return err
		}
		if err := s.Arena.Read(p.read, s.VJ); err != nil {
			return err
		}
		for i, v := range p.read {
			trace[i/s.D] += float64(v) * float64(p.v[i])
		}
	}
	if err := s.Arena.Read(p.read, s.S); err != nil {
		return err
	}
	for i, v := range p.read {
		dst[i] = float64(v)
	}
	return nil
}

// Dequantize returns 8-bit images as points of a density: (X + u)/256 with u ~ U[0,1), drawn for the images first, first+1,
// and so on, d values each. Without u, the density of a grid has no bound.
func Dequantize(pixels []uint8, d int, first uint32, seed uint64) []float32 {
	x := make([]float32, len(pixels))
	for at := 0; at < len(x); at += d {
		stream := kernels.ImageStream(seed, kernels.PurposeProbe, first+uint32(at/d), dequantStep)
		row := x[at:min(at+d, len(x))]
		stream.Uniforms(row)
		for i, u := range row {
			row[i] = (float32(pixels[at+i]) + (1 - u)) / 256
		}
	}
	return x
}

// dequantStep sets the stream of Dequantize apart from those of the probes.
const dequantStep = math.MaxUint32

// BitsPerDim returns bits a value of 8-bit images whose dequantised density has the logarithm logp, in nats, in units
// where the 256 values span the range: 1 for [0,1], 2 for [-1,1]. It is
//
//	-log p / (D ln 2) + log2(256/span)
//
// It is that of images plus noise sigma_L: a value that is certain cannot cost less than log2(256/span sigma_L sqrt(2 pi)),
// 2.7 bits at sigma_L = 0.01 in [0,1], where its own cost is 0. Networks for it are trained down to 1e-3.
func BitsPerDim(logp float64, d int, span float64) float64 {
	return -logp/(float64(d)*math.Ln2) + math.Log2(256/span)
}

// Summary is the mean over rows with its standard errors.
type Summary struct {
	Mean    float64
	Rows    int
	OfRows  float64 // standard error of the mean, from how much rows differ; NaN of one row
	Probes  int
	OfProbe float64 // the part of it that is of the probes, from how much a row's probes differ; NaN of one probe
}

// Summarize returns the summary of values (rows, probes) for rows of d values. Of the rows of a Hadamard matrix the part of
// the probes is that of draws without replacement, since all of them together leave none.
func (o *LikelihoodSettings) Summarize(values []float64, d int) Summary {
	probes, left := o.Probes, 1.0
	if o.Probe == HadamardProbe {
		left = 1 - float64(probes)/float64(hadamardOrder(d))
	}
	s := Summary{Rows: len(values) / probes, Probes: probes, OfRows: math.NaN(), OfProbe: math.NaN()}
	means := RowMeans(values, probes)
	var within float64
	for n, mean := range means {
		s.Mean += mean / float64(s.Rows)
		for _, v := range values[n*probes : (n+1)*probes] {
			within += (v - mean) * (v - mean)
		}
	}
	n := float64(s.Rows)
	if s.Rows > 1 {
		sum := 0.0
		for _, mean := range means {
			sum += (mean - s.Mean) * (mean - s.Mean)
		}
		s.OfRows = math.Sqrt(sum / (n - 1) / n)
	}
	if probes > 1 {
		s.OfProbe = math.Sqrt(left*within/float64(probes-1)/float64(probes)) / n
	}
	return s
}

// RowMeans returns the mean over the probes of each row.
func RowMeans(values []float64, probes int) []float64 {
	means := make([]float64, len(values)/probes)
	for i, v := range values {
		means[i/probes] += v / float64(probes)
	}
	return means
}
