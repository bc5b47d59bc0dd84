// Predictor and corrector of processes that preserve the variance (model/sde.go), in N equal steps of t (Song et al. 2021):
// with t_i = 1 + i/(N-1) (eps - 1), k = N-1-i, b_k of the table of N steps and s the score of x,
//
//	corrector   x + e s + sqrt(2e) z,  e = 2 (1 - b_k) (snr sqrt(D)/|s|)^2                      vp
//	predictor   a x + b s + c z        a                b                 c
//	reverse     2 - sqrt(1-b_k)   b_k               sqrt(b_k)           vp
//	ancestral   1/sqrt(1-b_k)     b_k/sqrt(1-b_k)   sqrt(b_k)           vp
//	em          1 + b(t)/(2N)     g^2/N             g/sqrt(N)           vp and subvp, whose reverse it is too
//
// Plans go in y = x/m, whose score is m s: from m to m' of the next step, and to 1 at the last,
//
//	y' = a m/m' y + b/(m m') (m s) + c/m' z
//
// Every other sampler goes through sigma = std/m and asks nothing of the process.

package sample

import (
	"math"

	"sigmaz/internal/setting"
	"sigmaz/model"
)

// timeStep is where a predictor is.
type timeStep struct {
	t    float64
	k, n int // step of the table, and how many it has
}

// predictInTime returns the factors of x, its score and noise.
func predictInTime(p model.Process, predictor string, at timeStep) (a, b, c float64) {
	n := float64(at.n)
	if p.Kind == model.VP && predictor != EMPredictor {
		beta := p.Step(at.k, at.n)
		if predictor == AncestralPredictor {
			return 1 / math.Sqrt(1-beta), beta / math.Sqrt(1-beta), math.Sqrt(beta)
		}
		return 2 - math.Sqrt(1-beta), beta, math.Sqrt(beta)
	}
	g2 := p.Diffusion(at.t)
	return 1 - p.Drift(at.t)/n, g2 / n, math.Sqrt(g2 / n)
}

// correctInTime is a Langevin step in y whose size follows the gain.
func correctInTime(p model.Process, snr float64, at timeStep) line {
	kept := 1 - p.Step(at.k, at.n)
	return line{x: 1, s: 2 * kept * snr * snr, z: 2 * math.Sqrt(kept) * snr}
}

// inY brings the factors of a step in x, where the data counts m times, to y, for which it counts next times afterwards.
func inY(a, b, c, m, next float64) line { return line{x: a * m / next, s: b / (m * next), z: c / next} }

// times returns the steps of a run of n, and the noise at each: that of the table where the network knows no other.
func times(p model.Process, n int, eps float64) (at []timeStep, sigmas []float64) {
	var table []float64
	if p.Discrete {
		table = p.Table(n)
	}
	for i := range n {
		s := timeStep{t: 1 + float64(i)/float64(n-1)*(eps-1), k: n - 1 - i, n: n}
		sigma := p.Sigma(s.t)
		if p.Discrete {
			sigma = table[s.k]
		}
		at, sigmas = append(at, s), append(sigmas, sigma)
	}
	return at, sigmas
}

// pcInTime makes the noise levels and rows of pc.
func pcInTime(o *Settings, p model.Process, n int) (sigmas []float64, rows []row) {
	at, sigmas := times(p, n, p.SamplingTime())
	draw := 0
	for i, sigma := range sigmas {
		for range o.CorrectorSteps {
			rows = append(rows, row{sigma: sigma, draw: draw, level: i, left: sigma, gain: true, x: correctInTime(p, o.SNR, at[i])})
			draw++
		}
		to := next(sigmas, i)
		a, b, c := predictInTime(p, o.Predictor, at[i])
		if to == 0 {
			c = 0 // the last step is the mean
		}
		rows = append(rows, row{sigma: sigma, draw: draw, level: i, ends: true, left: to,
			x: inY(a, b, c, p.MeanAt(sigma), p.MeanAt(to))})
		draw++
	}
	return sigmas, rows
}

// planInTime makes the plan of a sampler that goes through t.
func planInTime(o Settings, s *Sampler, ladder model.Ladder) (*Plan, error) {
	p := o.SDE.On(ladder)
	begin, _ := p.SamplingEnds()
	if p.Discrete {
		begin = float64(p.Ladder(len(ladder))[0])
	}
	switch {
	case math.Abs(ladder.Begin()/begin-1) > 1e-5:
		return nil, setting.Errorf("sampler", "is %s, which goes through all the time of `sde` %s, and this begins at noise %.3g: use "+
			"another `sampler`", o.Sampler, p.Kind, ladder.Begin())
	case o.Schedule != "":
		return nil, setting.Errorf("schedule", "is %s, and %s goes through the time of `sde` %s in equal steps: leave it out, or "+
			"use another `sampler`", o.Schedule, o.Sampler, p.Kind)
	case p.Kind == model.SubVP && o.Predictor == AncestralPredictor:
		return nil, setting.Errorf("predictor", "is %s, whose steps are those of the table of vp, and the network's `sde` is %s: "+
			"use `predictor` %s or %s", o.Predictor, p.Kind, ReversePredictor, EMPredictor)
	case p.Kind == model.SubVP && o.CorrectorSteps > 0:
		return nil, setting.Errorf("corrector-steps", "is %d, and the corrector's step size is of the table of vp, which `sde` %s has "+
			"not: use 0", o.CorrectorSteps, p.Kind)
	}
	n := model.DefaultSteps
	if o.NFE > 0 {
		n = o.levelsFor(s)
	}
	if p.Discrete {
		if o.NFE > 0 && n != len(ladder) {
			return nil, setting.Errorf("nfe", "is %d, and the network knows the %d steps of its table alone: leave it out, or use "+
				"another `sampler`", o.NFE, len(ladder))
		}
		n = len(ladder)
	}
	if least := int(p.BetaMax) + 1; n < least {
		return nil, setting.Errorf("nfe", "is %d, which is %d steps of %s: expected at least %d, since a step takes beta/N and "+
			"`beta-max` is %g", o.NFE, n, o.Sampler, least*(1+o.CorrectorSteps), p.BetaMax)
	}
	sigmas, rows := s.inTime(&o, p, n)
	return newPlan(o, sigmas, rows), nil
}
