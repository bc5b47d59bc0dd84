// What samplers may ask of a network: the one judge of sampler and network together.
//
// A network that does not see sigma (every NCSNv2) predicts noise of unit size, however much x holds. Let x hold r where
// the sampler takes it to hold sigma. On a point mass in many dimensions a step that takes off c of the predicted noise
// and adds u goes to
//
//	r'^2 = (r - c sigma)^2 + u^2,        and the error d = r/sigma - 1 becomes, from sigma to sigma',
//
//	ODE solvers (eta 0)                  d' = d sigma/sigma'              grows by sigma_1/sigma_L over a run
//	with eta: DPM++ 2M SDE, ancestral    d' = d (sigma'/sigma)^(eta-1)    stays at eta 1, is forgotten above
//	consistent, q = 1 - gamma^(1+eta)    d' = d (1-q)/gamma^2             the same
//
// The start alone has an error of 1/sqrt(2D), because |z|/sqrt(D) is not 1. For plans with more than one term the same is
// followed through their own factors, with x and y as two vectors of noise, of which the score knows the first:
// s = -x/(|x|/sqrt(D) sigma).
//
// A network whose input is scaled by sigma (EDM, VP: model/precondition.go) is not blind, whatever it is told: x that holds r
// is given to it r/sigma times too large. A U-Net without that is as good as blind, whatever it is told: its norms divide the
// size of x out (model.Config.HidesSize; measured in docs/noise.md).

package sample

import (
	"fmt"
	"math"

	"sigmaz/internal/setting"
	"sigmaz/model"
)

// Residual is how much noise x holds when the score is evaluated, as a multiple of the noise level sigma that it is
// taken for.
type Residual struct{ Sigma, Ratio float64 }

// Residuals follows the noise that x holds through the plan on a network that does not see sigma, from a start with
// noise r to the last evaluation. An adaptive plan's is that of the ODE itself, at both ends.
func (p *Plan) Residuals(r float64) (all []Residual) {
	if p.Adaptive() {
		begin, end := p.Sigmas[0], p.Sigmas[1]
		return []Residual{{begin, r / begin}, {end, math.Abs(r-begin+end) / end}}
	}
	xx, xy, yy := r*r, 0.0, 0.0 // products of x and y, over D
	for k := range p.steps {
		row, _ := p.at(k)
		size, sigma := math.Sqrt(xx), row.sigma
		if sigma > 0 {
			all = append(all, Residual{sigma, size / sigma})
		}
		// factors of x, y and z once the score is a factor of x
		factors := func(l line) (x, y, z float64) {
			s := l.s
			if row.gain { // |s| = sqrt(D)/sigma
				s, l.z = s*sigma*sigma, l.z*sigma
			}
			if s != 0 && size > 0 {
				l.x -= s / (sigma * size)
			}
			return l.x, l.y, l.z
		}
		a, c, d := factors(row.x)
		e, g, h := factors(row.y)
		if row.y == keep {
			g = 1
		}
		xx, xy, yy = a*a*xx+2*a*c*xy+c*c*yy+d*d, a*e*xx+(a*g+c*e)*xy+c*g*yy+d*h, e*e*xx+2*e*g*xy+g*g*yy+h*h
	}
	return all
}

// maxResidual is what the judge lets stay, as a multiple of sigma_L. Annealed Langevin dynamics leaves 1.2.
const maxResidual = 2

// StartError is the relative standard deviation of the noise level of N(0, sigma^2) in d dimensions.
func StartError(d int) float64 { return 1 / math.Sqrt(2*float64(d)) }

// stays returns how much noise a sample holds before the last evaluation, as a multiple of sigma_L, whose start is off to either
// side by an error, relative to sigma_1: the larger of both.
func (p *Plan) stays(off float64) (most float64) {
	for _, off := range []float64{-off, 0, off} {
		all := p.Residuals(p.Sigmas[0] * (1 + off))
		most = max(most, all[len(all)-1].Ratio)
	}
	return most
}

// Judge returns why a network should not be sampled by the plan, as a [*setting.Error], or nil. It also returns the
// noise that is predicted to stay in a sample, as a multiple of sigma_L: 1, which the last step takes off, is none, and
// 0 says that nothing is predicted, because the network sees sigma. Whether the schedule of annealed Langevin dynamics
// is stable is for [JudgeStability].
func Judge(cfg model.Config, p *Plan, ladder model.Ladder) (stays float64, err error) {
	o := &p.Settings
	if o.Sampler == Langevin {
		return 0, nil
	}
	if cfg.TakesLevels() {
		return 0, judgeLevels(cfg, p, ladder)
	}
	if cfg.SeesSigma() {
		return 0, nil
	}
	stays = p.stays(StartError(cfg.D()))
	if stays <= maxResidual {
		return stays, nil
	}
	why := fmt.Sprintf("of which %s leaves too much between its %d levels", o.Sampler, len(p.Sigmas))
	if !p.drawsNoise() {
		why = fmt.Sprintf("and %s, which draws no noise, carries the error of the start's noise, %.2g %%, to the end unchanged",
			o.Sampler, 100*StartError(cfg.D()))
	} else if o.Eta < 1 && SamplerOf(o.Sampler).BlindEta > 0 {
		why = fmt.Sprintf("and %s with `eta` %g forgets too little of the error of the start's noise", o.Sampler, o.Eta)
	}
	return stays, setting.Errorf("sampler", "is %s: %s does not see sigma and takes all noise for unit noise, %s: "+
		"%.3g times sigma_L would stay in samples; use `sampler` %s with its usual settings, or give `anyway`",
		o.Sampler, cfg.Net, why, stays, Recommended)
}

// Doubt returns what there is to say against a plan that [Judge] takes, as a [*setting.Error], or nil: noise that stays by the
// law, of a network that hides the size of its input. A plan that draws no noise at all begins where none stays: see [Sphere].
func Doubt(cfg model.Config, p *Plan) error {
	o := &p.Settings
	if !cfg.HidesSize() || p.Start(cfg) != Gaussian {
		return nil
	}
	stays := p.stays(StartError(cfg.D()))
	if stays <= maxResidual {
		return nil
	}
	return setting.Errorf("sampler", "is %s: the norms of %s divide the size of its input out, so that it takes x to hold the noise "+
		"that it is told; %.3g times sigma_L is predicted to stay in samples whose start is one standard deviation off: "+
		"`sampler` %s with its usual settings leaves none, nor does a network trained with `parameterization` %s", o.Sampler, cfg.Net,
		stays, Recommended, model.EDM)
}

// JudgeGuided returns why a network's score cannot be guided as the plan asks, as a [*setting.Error], or nil: networks
// without one density have no Jacobian to guide by.
func JudgeGuided(cfg model.Config, p *Plan) error {
	why := "does not see sigma, so its scores at different noise are not those of one density"
	switch {
	case !p.guided || cfg.SeesSigma() && !cfg.TakesLevels():
		return nil
	case cfg.TakesLevels():
		why = "knows noise only as one of the levels of its ladder"
	}
	return setting.Errorf("method", "is %s: %s %s, and %s follows the Jacobian of the denoiser at every sigma; use `method` %s or "+
		"%s, or a network that is told sigma", p.Settings.Sampler, cfg.Net, why, p.Settings.Sampler, Langevin, Repaint)
}

// Recommended is the sampler to use with networks that do not see sigma, RecommendedSeeing with those for vectors that do.
const (
	Recommended       = "dpm++-2m-sde"
	RecommendedSeeing = "dpm++-2m"
)

// DefaultSampler returns the sampler that a network is sampled by where nobody names one: the recommended one, whose 35
// evaluations were measured against hundreds of annealed Langevin dynamics (docs/noise.md). Networks whose input and output
// are scaled by sigma are made for few steps, too. It is annealed Langevin dynamics where no such measurement is known: for
// networks that know levels alone, for weights that another program has trained, and on a ladder of one level, which leaves
// no other.
func DefaultSampler(cfg model.Config, ladder model.Ladder, imported bool) string {
	switch {
	case cfg.TakesLevels() || len(ladder) < 2:
		return Langevin
	case cfg.Preconditioned():
		return Recommended
	case imported:
		return Langevin
	case cfg.Vectors():
		return RecommendedSeeing
	}
	return Recommended
}

// Networks that do not see sigma carry errors of the start in what pixels have in common, such as brightness, the further
// the larger the image is. They need a larger eta: measured at 3,072 values, where 3 is too little, and at 784, where 3 is
// enough (docs/noise.md).
const (
	manyValues    = 1024
	manyValuesEta = 6
)

// DefaultsFor returns the usual settings of a sampler for a network. T and Epsilon are a run's own and stay 0.
func DefaultsFor(sampler string, cfg model.Config) Settings {
	o := Defaults(sampler, cfg.SeesSigma())
	if o.SDE = cfg.SDE; cfg.SDE.Preserving() { // as published
		o.Predictor, o.CorrectorSteps = EMPredictor, 0
	}
	if sampler == Recommended && !cfg.SeesSigma() && cfg.D() > manyValues {
		o.Eta = manyValuesEta
	}
	return o
}

// fineRatio is the ratio of neighbouring levels up to which a ladder is fine enough for sigmas between them: the thousand levels
// of score_sde, whose own samplers round to them, have 1.01.
const fineRatio = 1.02

// judgeLevels judges a plan for a network that knows the noise only as a level.
func judgeLevels(cfg model.Config, p *Plan, ladder model.Ladder) error {
	name := p.Settings.Sampler
	between := func(r *row) bool { return r.sigma > 0 && float32(r.sigma) != ladder[ladder.Nearest(r.sigma)] }
	switch {
	case ladder.Ratio() <= fineRatio && !p.Adaptive():
		return nil // the nearest level is near enough
	case !SamplerOf(name).onLevels:
		return setting.Errorf("sampler", "is %s: %s knows noise only as one of the %d levels of its ladder, and %s needs its "+
			"score at others; use `sampler` langevin, consistent or pc, or give `anyway` for the nearest level", name, cfg.Net,
			len(ladder), name)
	case p.any(between):
		return setting.Errorf("schedule", "is %s: %s knows noise only as one of the %d levels of its ladder; use `schedule` "+
			"ladder, or give `anyway` for the nearest level", p.Settings.Schedule, cfg.Net, len(ladder))
	}
	return nil
}
