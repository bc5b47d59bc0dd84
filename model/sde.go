// The process by which data is noised, a stochastic differential equation in a time t from 0 to 1 (Song et al. 2021),
//
//	dx = f(t) x dt + g(t) dw,      x(t) = m x(0) + std z,   z ~ N(0, I)
//
//	        m(t)     std(t)                   f(t)      g(t)^2                 discrete
//	ve      1        sigma_L (sigma_1/sigma_L)^t   0    2 ln(sigma_1/sigma_L) std^2   SMLD: the levels of the ladder
//	vp      e^-B     sqrt(1 - m^2)            -b/2      b                      DDPM: m_k^2 = (1-b_0)...(1-b_k)
//	subvp   e^-B     1 - m^2                  -b/2      b (1 - m^4)            none
//
// with b(t) = b_min + t (b_max - b_min), B(t) = b_min t/2 + (b_max - b_min) t^2/4 its half integral, and
// b_k = (b_min + k/(N-1) (b_max - b_min))/N.
//
// All three are one in the coordinates x/m: x(t)/m = x(0) + sigma z with sigma = std/m, which is the noising of the ladder, and
// the score there is m times the score of x. So everything that trains, samples or integrates a score works in sigma, whatever
// the process: what is a process's own is how sigma is drawn (noise.go), what a network is given of it (precondition.go), the
// ladder, and the steps of its predictors (package sample).

package model

import (
	"math"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// SDE is a process. The zero value is ve, continuous.
type SDE struct {
	Kind     string  `yaml:"kind,omitempty" name:"sde"` // one of SDEs; "": VE
	BetaMin  float64 `yaml:"beta_min,omitempty"`        // of vp and subvp; 0: defaultBetaMin
	BetaMax  float64 `yaml:"beta_max,omitempty"`        // of vp and subvp; 0: defaultBetaMax
	Discrete bool    `yaml:"discrete,omitempty"`        // the network is told the step of a table, and trained on these alone
}

// The processes.
const (
	VE    = "ve"
	VP    = "vp"
	SubVP = "subvp"
)

// SDEs lists them, the usual one first.
func SDEs() []string { return []string{VE, VP, SubVP} }

// The usual ends of b(t), and the smallest times of training and of sampling: below them the network is asked nothing.
const (
	defaultBetaMin, defaultBetaMax = 0.1, 20
	trainingTime                   = 1e-5
	samplingTime                   = 1e-3
)

// DefaultSteps is the usual N, of a table and of samplers that go through t in equal steps.
const DefaultSteps = 1000

// Preserving says whether the process takes the data to noise of unit size, not to noise that hides it.
func (s SDE) Preserving() bool { return s.Kind == VP || s.Kind == SubVP }

// name returns the process's word.
func (s SDE) name() string {
	if s.Kind == "" {
		return VE
	}
	return s.Kind
}

// Check judges the settings by themselves. The error is a [*setting.Error].
func (s SDE) Check() error {
	if s.Kind != "" {
		if err := oneOf("sde", s.Kind, SDEs()); err != nil {
			return err
		}
	}
	if !s.Preserving() {
		if s.BetaMin != 0 || s.BetaMax != 0 {
			key := "beta-min"
			if s.BetaMin == 0 {
				key = "beta-max"
			}
			return setting.Errorf(key, "is for `sde` %s and %s, and this is %s: leave it out", VP, SubVP, s.name())
		}
		return nil
	}
	whole := s.Completed()
	switch low, high := whole.BetaMin, whole.BetaMax; {
	case s.Kind == SubVP && s.Discrete:
		return setting.Errorf("sde", "is %s, which is not defined on a table of steps: use `noise` %s", SubVP, UniformTime)
	case !(low > 0 && low <= high):
		return setting.Errorf("beta-min", "is %g: expected a positive number up to `beta-max` %g; %g is usual", low, high,
			defaultBetaMin)
	case !(high <= 100):
		return setting.Errorf("beta-max", "is %g: expected a number up to 100; %g is usual", high, float64(defaultBetaMax))
	case !(low+high >= 4):
		return setting.Errorf("beta-max", "is %g: with `beta-min` %g the data would keep %.2g of its size at t = 1; expected a sum "+
			"of both of 4 or more, such as %g and %g", high, low, math.Exp(-(low+high)/4), defaultBetaMin, float64(defaultBetaMax))
	}
	return nil
}

// Completed returns the process with the usual numbers where none are given.
func (s SDE) Completed() SDE {
	if s.Kind == VE {
		s.Kind = "" // as runs of before have it
	}
	if !s.Preserving() {
		return s
	}
	if s.BetaMin == 0 {
		s.BetaMin = defaultBetaMin
	}
	if s.BetaMax == 0 {
		s.BetaMax = defaultBetaMax
	}
	return s
}

// betas are the process's as the kernels take them; the zero value for VE.
func (s SDE) betas() kernels.Betas {
	if !s.Preserving() {
		return kernels.Betas{}
	}
	return kernels.Betas{Sub: s.Kind == SubVP, Min: s.BetaMin, Max: s.BetaMax}
}

// half returns B(t).
func (s SDE) half(t float64) float64 { return t * (s.BetaMin/2 + t*(s.BetaMax-s.BetaMin)/4) }

// Beta returns b(t), 0 for VE.
func (s SDE) Beta(t float64) float64 { return s.BetaMin + t*(s.BetaMax-s.BetaMin) }

// Mean returns m(t), the coefficient of the data.
func (s SDE) Mean(t float64) float64 { return math.Exp(-s.half(t)) }

// Step returns b_k of a table of n steps.
func (s SDE) Step(k, n int) float64 {
	if n == 1 {
		return s.BetaMin
	}
	return (s.BetaMin + float64(k)/float64(n-1)*(s.BetaMax-s.BetaMin)) / float64(n)
}

// Table returns sigma of vp's table of n steps, ascending: sqrt(1/m_k^2 - 1).
func (s SDE) Table(n int) []float64 {
	sigmas := make([]float64, n)
	log := 0.0 // ln m_k^2
	for k := range sigmas {
		log += math.Log1p(-s.Step(k, n))
		sigmas[k] = math.Sqrt(math.Expm1(-log))
	}
	return sigmas
}

// Ladder returns vp's table as a ladder, from the largest sigma down.
func (s SDE) Ladder(n int) Ladder {
	l := make(Ladder, n)
	for k, sigma := range s.Table(n) {
		l[n-1-k] = float32(sigma)
	}
	return l
}

// MeanAt returns m where the process has the noise sigma.
func (s SDE) MeanAt(sigma float64) float64 {
	switch s.Kind {
	case VP:
		return 1 / math.Sqrt(1+sigma*sigma)
	case SubVP:
		return 2 / (math.Sqrt(sigma*sigma+4) + sigma)
	}
	return 1
}

// Process is a process on a ladder, whose ends are those of sigma for VE.
type Process struct {
	SDE
	Begin, End float64 // sigma_1 and sigma_L
}

// On returns the process on a ladder.
func (s SDE) On(l Ladder) Process { return Process{s, l.Begin(), l.End()} }

// Std returns the deviation of the noise in x(t).
func (p Process) Std(t float64) float64 {
	switch p.Kind {
	case VP:
		return math.Sqrt(-math.Expm1(-2 * p.half(t)))
	case SubVP:
		return -math.Expm1(-2 * p.half(t))
	}
	return p.End * math.Pow(p.Begin/p.End, t)
}

// Sigma returns std/m at t.
func (p Process) Sigma(t float64) float64 {
	switch p.Kind {
	case VP:
		return math.Sqrt(math.Expm1(2 * p.half(t)))
	case SubVP:
		return 2 * math.Sinh(p.half(t))
	}
	return p.Std(t)
}

// Time returns the t at which the process has the noise sigma.
func (p Process) Time(sigma float64) float64 {
	half := 0.0
	switch p.Kind {
	case VP:
		half = math.Log1p(sigma*sigma) / 2
	case SubVP:
		half = math.Asinh(sigma / 2)
	default:
		return math.Log(sigma/p.End) / math.Log(p.Begin/p.End)
	}
	return 4 * half / (math.Sqrt(p.BetaMin*p.BetaMin+4*(p.BetaMax-p.BetaMin)*half) + p.BetaMin)
}

// Drift returns f(t), the factor of x.
func (p Process) Drift(t float64) float64 { return -p.Beta(t) / 2 }

// Diffusion returns g(t)^2.
func (p Process) Diffusion(t float64) float64 {
	switch p.Kind {
	case VP:
		return p.Beta(t)
	case SubVP:
		return p.Beta(t) * -math.Expm1(-4*p.half(t))
	}
	sigma := p.Std(t)
	return 2 * math.Log(p.Begin/p.End) * sigma * sigma
}

// Prior returns the deviation of x/m at t = 1 where x is taken for noise alone: sigma_1, and 1/m, since there x ~ N(0, I).
func (p Process) Prior() float64 {
	if p.Preserving() {
		return 1 / p.Mean(1)
	}
	return p.Begin
}

// Least returns the smallest noise that a network of the process was trained at, down to which its likelihood is taken.
func (p Process) Least() float64 {
	if p.Preserving() && !p.Discrete {
		return p.Sigma(trainingTime)
	}
	return p.End
}

// SamplingEnds returns the largest and the smallest noise that samplers of vp and subvp go through.
func (s SDE) SamplingEnds() (begin, end float64) {
	p := Process{SDE: s}
	return p.Sigma(1), p.Sigma(samplingTime)
}

// SamplingTime returns the t at which samplers end that go through t, and Steps the equal steps that they take of 1/Steps.
func (p Process) SamplingTime() float64 { return samplingTime }
