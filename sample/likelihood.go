// The likelihood of data under a score, by the probability flow ODE in u = ln sigma (Song et al. 2021, equation 39, after
// Chen et al. 2018):
//
//	log p(x) = log N(x(sigma_1); 0, sigma_1^2 I) + integral from ln sigma_L to ln sigma_1 of  -sigma^2 tr(ds/dx) du
//
// along dx/du = -sigma^2 s(x, sigma) from x at sigma_L upwards, for every process in its coordinates x/m (model/sde.go), in which
// the deviation of N at t = 1 is 1/m for vp and subvp. p is the density of data with noise sigma_L; N stands for
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

// trace returns what is integrated along with x.
func (o *LikelihoodSettings) trace() traceKind {
	if o.Probe == ExactTrace {
		return exactTrace
	}
	return probeTrace
}

// WorkWords returns how many words of [model.Score.Work] a likelihood of n rows of d values at a time needs.
func (o *LikelihoodSettings) WorkWords(n, d int) int { return newODELayout(n, d, o.trace()).words }

// Likelihood is the log density of paths, in nats, in the units that the network was trained in. A path is one probe of one
// row: path k is probe k mod Probes of row k/Probes.
type Likelihood struct {
	LogP   []float64 // of each path
	Latent []float64 // (paths, D), x at sigma_1
	NFE    int       // evaluations of score and product of the path that took most; the exact trace has D products in each
}

// LikelihoodSolver computes likelihoods on one score.
type LikelihoodSolver struct {
	score    *model.Score
	process  model.Process
	settings LikelihoodSettings
	solver   *deviceSolver

	x       []float64 // (N, D)
	v       []float32 // (N, D)
	classes []uint32  // (N)
}

// NewLikelihoodSolver compiles a solver, for the log density with the least noise that the process is trained at. s must have
// V and VJ, which [model.NewScoreFor] gives it, and o.WorkWords of Work; all of them are overwritten.
func NewLikelihoodSolver(s *model.Score, p model.Process, o LikelihoodSettings) (*LikelihoodSolver, error) {
	if err := o.Check(s.D); err != nil {
		return nil, err
	}
	solver, err := newDeviceSolver(s, nil, o.Tolerance, o.trace(), nil)
	if err != nil {
		return nil, err
	}
	return &LikelihoodSolver{score: s, process: p, settings: o, solver: solver, x: make([]float64, s.N*s.D),
		v: make([]float32, s.N*s.D), classes: make([]uint32, s.N)}, nil
}

// Run computes n paths of rows x (n, D) from path from on, at most as many as the score has rows. The rows are the images
// first, first+1, and so on, for the counter of their probes. A path has its own steps, so its result depends on no other
// one. each, unless nil, is called after each step; its error ends the work and is returned as it is.
func (l *LikelihoodSolver) Run(x []float32, first uint32, from, n int, each func() error) (*Likelihood, error) {
	s, o := l.score, &l.settings
	if len(x)%s.D != 0 || n > s.N || (from+n)*s.D > len(x)*o.Probes {
		panic(fmt.Sprintf("sample: paths %d to %d of %d values in rows of %d values, of a score with %d rows", from, from+n-1,
			len(x), s.D, s.N))
	}
	for i := range s.N { // those beyond n repeat the last
		path := from + min(i, n-1)
		row, probe := path/o.Probes, path%o.Probes
		for j, v := range x[row*s.D : (row+1)*s.D] {
			l.x[i*s.D+j] = float64(v)
		}
		if o.Classes != nil {
			l.classes[i] = o.Classes[row]
		}
		o.signs(l.v[i*s.D:(i+1)*s.D], first+uint32(row), probe)
	}
	if o.Classes != nil {
		if err := s.SetClasses(l.classes); err != nil {
			return nil, err
		}
	}
	if o.trace() == probeTrace {
		if err := s.Arena.Write(s.V, l.v); err != nil {
			return nil, err
		}
	}
	if err := l.solver.start(l.x); err != nil {
		return nil, err
	}
	nfe, err := rungeKutta(l.solver, s.N, l.process.Least(), l.process.Begin, 0, func(int, trial, bool) error {
		if each == nil {
			return nil
		}
		return each()
	})
	if err != nil {
		return nil, err
	}
	states, err := l.solver.state()
	if err != nil {
		return nil, err
	}
	logp, latent := logDensities(states, s.D, l.process.Prior())
	return &Likelihood{LogP: logp[:n], Latent: latent[:n*s.D], NFE: nfe}, nil
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

// logDensities returns the log densities of rows, and x where they are taken to be from N(0, prior^2), from states of d
// values and the integral.
func logDensities(states []float64, d int, prior float64) (logp, x []float64) {
	for ; len(states) > 0; states = states[d+1:] {
		x = append(x, states[:d]...)
		logp = append(logp, logPrior(states[:d], prior)+states[d])
	}
	return logp, x
}

// logPrior returns log N(x; 0, sigma^2 I).
func logPrior(x []float64, sigma float64) float64 {
	square := 0.0
	for _, v := range x {
		square += v * v
	}
	return -square/(2*sigma*sigma) - float64(len(x))*math.Log(sigma*math.Sqrt(2*math.Pi))
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
