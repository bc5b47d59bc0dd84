// The samplers: a row of the table each, and the steps of which each consists. With sigma and sigma' the noise level of
// a step and the next one, and D = x + sigma^2 s the denoised image (Tweedie's mean):
//
//	langevin         T times a level: x + a s + sqrt(2a) z, a = eps sigma^2/sigma_L^2; then D
//	consistent       x + q sigma^2 s + beta sigma' z, q = 1 - (sigma'/sigma)^(1+eta), which keeps x at the noise sigma'
//	pc               corrector x + e s + sqrt(2e) z, e = 2 (snr sqrt(D)/|s|)^2; then a predictor with d = sigma^2 - sigma'^2:
//	                 x + d s and noise sqrt(d) (reverse), or sigma'/sigma sqrt(d) (ancestral); Euler-Maruyama (em)
//	euler            x + (sigma - sigma') sigma s
//	heun             the same, then with the mean of both ends' slopes
//	euler-ancestral  euler to sigma_d, then noise sigma_u; sigma_d^2 + sigma_u^2 = sigma'^2
//	dpm++-2s         D at the middle of ln sigma, from there the whole step
//	dpm++-2m         D, extrapolated through the one of the step before
//	dpm++-2m-sde     the same with noise
//	dpm++-sde        2s with noise in both stages, on one Brownian path
//	repaint          euler-ancestral, R times for each level, from the second time on after noise back up to sigma
//	pigdm            euler-ancestral with the score guided to what is known: measure.go
//	rk45             Dormand and Prince's 5(4) in ln sigma, each row of the batch with a step of its own: rk45.go
//
// The last step of all goes to sigma 0 and is D. Sources: Song and Ermon 2019 and 2020 (langevin); Jolicoeur-Martineau
// et al. 2020 (consistent); Song et al. 2021 (pc); Karras et al. 2022 (euler, heun, churn, the schedule); Lu et al.
// 2022 (dpm++); Lugmayr et al. 2022 (repaint); Song et al. 2023 (pigdm); Dormand and Prince 1980.

package sample

import (
	"math"
	"slices"

	"sigmaz/model"
)

// Sampler is a row of the table of samplers.
type Sampler struct {
	Name  string
	About string // for the help text
	// Uses are the keys of the settings that it has a use for, beside its own name.
	Uses []string
	// Schedule is the usual one; a number of evaluations makes geometric of ladder. Steps is the usual number of noise
	// levels; 0: the ladder's.
	Schedule string
	Steps    int
	// Eta is the usual eta for networks that see sigma, BlindEta for those that do not.
	Eta, BlindEta float64
	// Conditional says that it is for samples of which something is known: see [Plan.Given].
	Conditional bool

	guided bool // the score is guided to what is known, by the Jacobian of the denoiser
	// onLevels says that a network which knows only the levels of a ladder is enough for it.
	onLevels bool
	stages   int // evaluations of a step, the last one excepted, which has one; 0: see stagesOf
	// rows makes the plan's rows; nil for an adaptive sampler.
	rows func(o *Settings, sigmas []float64) []row
	// inTime makes them for processes that preserve the variance, where the sampler goes through their time in n steps; nil
	// where it goes through sigma as for all.
	inTime func(o *Settings, p model.Process, n int) (sigmas []float64, rows []row)
}

// Samplers is the table.
var Samplers = []Sampler{
	{Name: Langevin, About: "annealed Langevin dynamics, T steps at each level of the ladder",
		Uses: []string{"T", "epsilon", "denoise"}, Schedule: LadderSchedule, onLevels: true},
	{Name: "consistent", About: "consistent annealed sampling, one evaluation a level",
		Uses: []string{"nfe", "schedule", "rho", "eta", "denoise"}, Schedule: LadderSchedule, Eta: 1, BlindEta: 2, stages: 1,
		onLevels: true, rows: consistentSteps},
	{Name: "pc", About: "a predictor and Langevin correctors at each level",
		Uses: []string{"nfe", "schedule", "rho", "snr", "predictor", "corrector-steps"}, Schedule: LadderSchedule,
		onLevels: true, rows: pcSteps, inTime: pcInTime},
	{Name: "euler", About: "Euler's method on the probability flow ODE",
		Uses:     []string{"nfe", "schedule", "rho", "churn", "churn-min", "churn-max", "churn-noise"},
		Schedule: KarrasSchedule, Steps: 35, stages: 1, rows: eulerSteps},
	{Name: "heun", About: "Heun's method, with or without churn",
		Uses:     []string{"nfe", "schedule", "rho", "churn", "churn-min", "churn-max", "churn-noise"},
		Schedule: KarrasSchedule, Steps: 18, stages: 2, rows: heunSteps},
	{Name: "euler-ancestral", About: "Euler steps beyond the next level, and noise back to it",
		Uses: []string{"nfe", "schedule", "rho", "eta"}, Schedule: KarrasSchedule, Steps: 35, Eta: 1, BlindEta: 1, stages: 1,
		rows: ancestralSteps},
	{Name: "dpm++-2s", About: "two-stage exponential integrator", Uses: []string{"nfe", "schedule", "rho", "eta"},
		Schedule: KarrasSchedule, Steps: 18, stages: 2, rows: dpm2SSteps},
	{Name: "dpm++-2m", About: "two-step exponential integrator", Uses: []string{"nfe", "schedule", "rho"},
		Schedule: KarrasSchedule, Steps: 35, stages: 1, rows: dpm2MSteps},
	{Name: "dpm++-2m-sde", About: "the same with noise", Uses: []string{"nfe", "schedule", "rho", "eta"},
		Schedule: KarrasSchedule, Steps: 35, Eta: 1, BlindEta: 3, stages: 1, rows: dpm2MSDESteps},
	{Name: "dpm++-sde", About: "two-stage with noise, both stages on one path",
		Uses: []string{"nfe", "schedule", "rho", "eta"}, Schedule: KarrasSchedule, Steps: 18, Eta: 1, BlindEta: 1, stages: 2,
		rows: dpmSDESteps},
	{Name: Repaint, About: "ancestral steps to the next level and back, R times, for what is known of the samples",
		Uses: []string{"nfe", "schedule", "rho", "resample"}, Schedule: KarrasSchedule, Steps: 35, onLevels: true, rows: repaintSteps,
		Conditional: true},
	{Name: PiGDM, About: "ancestral steps whose score is guided to what is known (Pseudo-inverse guided diffusion)",
		Uses: []string{"nfe", "schedule", "rho", "eta", "sigma-data"}, Schedule: KarrasSchedule, Steps: 100, Eta: 1, BlindEta: 1,
		stages: 1, rows: ancestralSteps, Conditional: true, guided: true},
	{Name: "rk45", About: "adaptive Runge-Kutta on the ODE, a step size for each sample", Uses: []string{"tolerance", "denoise"},
		Schedule: KarrasSchedule},
}

// Langevin is the name of annealed Langevin dynamics.
const Langevin = model.Langevin

// Repaint is the name of ancestral steps that are taken several times.
const Repaint = "repaint"

// PiGDM is the name of ancestral steps with a guided score.
const PiGDM = "pigdm"

// SamplerNames lists the names of the samplers of which nothing need be known.
func SamplerNames() (names []string) {
	for _, s := range Samplers {
		if !s.Conditional {
			names = append(names, s.Name)
		}
	}
	return names
}

// Methods lists the samplers for samples of which something is known.
func Methods() []string {
	names := []string{Langevin}
	for _, s := range Samplers {
		if s.Conditional {
			names = append(names, s.Name)
		}
	}
	return names
}

// SamplerOf returns the row of that name, nil where there is none.
func SamplerOf(name string) *Sampler {
	if i := slices.IndexFunc(Samplers, func(s Sampler) bool { return s.Name == name }); i >= 0 {
		return &Samplers[i]
	}
	return nil
}

// next returns the noise level after level i, 0 after the last.
func next(sigmas []float64, i int) float64 {
	if i+1 < len(sigmas) {
		return sigmas[i+1]
	}
	return 0
}

// denoised is the row of D at sigma: the step to 0.
func denoised(sigma float64, level int) row {
	return row{sigma: sigma, level: level, ends: true, x: line{x: 1, s: sigma * sigma}}
}

// single makes the rows of a sampler of one evaluation a step: x for the step from sigma_i, the last one to 0.
func single(sigmas []float64, step func(i int, sigma, to float64) line) (rows []row) {
	for i, sigma := range sigmas {
		to := next(sigmas, i)
		if to == 0 {
			return append(rows, denoised(sigma, i))
		}
		rows = append(rows, row{sigma: sigma, draw: i, level: i, ends: true, left: to, x: step(i, sigma, to)})
	}
	return rows
}

func langevinSteps(sigmas, alphas []float64, t int, denoise bool) (rows []row) {
	for i, sigma := range sigmas {
		rows = append(rows, row{sigma: sigma, draw: i * t, level: i, ends: true, left: sigma, langevin: true,
			x: line{x: 1, s: alphas[i], z: math.Sqrt(2 * alphas[i])}})
	}
	if last := len(sigmas) - 1; denoise {
		rows = append(rows, denoised(sigmas[last], last))
	}
	return rows
}

func consistentSteps(o *Settings, sigmas []float64) []row {
	return consistentWith(sigmas, o.Denoise, func(gamma float64) float64 { return 1 - math.Pow(gamma, 1+o.Eta) })
}

// consistentWith takes q as a function of gamma = sigma'/sigma. The last level, which has no next one, takes the gamma
// before.
func consistentWith(sigmas []float64, denoise bool, q func(gamma float64) float64) []row {
	gamma := 1.0
	rows := single(sigmas, func(_ int, sigma, to float64) line {
		gamma = to / sigma
		q := q(gamma)
		kept := (1 - q) / gamma
		return line{x: 1, s: q * sigma * sigma, z: to * math.Sqrt(max(0, 1-kept*kept))}
	})
	if last := &rows[len(rows)-1]; !denoise {
		last.x.s *= q(gamma)
		last.left = last.sigma
	}
	return rows
}

// The predictors of pc.
const (
	ReversePredictor   = "reverse"
	AncestralPredictor = "ancestral"
	EMPredictor        = "em"
)

// Predictors lists them.
func Predictors() []string { return []string{ReversePredictor, AncestralPredictor, EMPredictor} }

func pcSteps(o *Settings, sigmas []float64) (rows []row) {
	n := len(sigmas)
	draw := 0
	for i, sigma := range sigmas {
		for range o.CorrectorSteps {
			rows = append(rows, row{sigma: sigma, draw: draw, level: i, left: sigma, gain: true, x: correct(o.SNR)})
			draw++
		}
		to := next(sigmas, i)
		r := row{sigma: sigma, draw: draw, level: i, ends: true, left: to}
		r.x = predict(o.Predictor, sigma, to, 2*math.Log(sigmas[0]/sigmas[n-1])/float64(n))
		if to == 0 {
			r.x.z = 0 // the last step is the mean
		}
		rows = append(rows, r)
		draw++
	}
	return rows
}

// predict is a predictor's step from sigma to the next level. For Euler-Maruyama, growth is d ln sigma^2 of a step.
func predict(predictor string, sigma, to, growth float64) line {
	d := sigma*sigma - to*to
	switch predictor {
	case AncestralPredictor:
		return line{x: 1, s: d, z: to / sigma * math.Sqrt(d)}
	case EMPredictor:
		d = growth * sigma * sigma
	}
	return line{x: 1, s: d, z: math.Sqrt(d)}
}

// correct is a Langevin step whose size follows the gain.
func correct(snr float64) line { return line{x: 1, s: 2 * snr * snr, z: 2 * snr} }

// churned adds noise before a step, where the settings ask for it, and returns the noise level from which the step
// starts.
func (o *Settings) churned(rows []row, sigmas []float64, i int) ([]row, float64) {
	sigma := sigmas[i]
	if o.Churn == 0 || sigma < o.ChurnMin || sigma > o.ChurnMax {
		return rows, sigma
	}
	up := sigma * (1 + min(o.Churn/float64(len(sigmas)), math.Sqrt2-1))
	kick := line{x: 1, z: math.Sqrt(up*up-sigma*sigma) * o.ChurnNoise}
	return append(rows, row{draw: i, level: i, mid: true, x: kick}), up
}

func eulerSteps(o *Settings, sigmas []float64) (rows []row) {
	for i := range sigmas {
		var sigma float64
		rows, sigma = o.churned(rows, sigmas, i)
		to := next(sigmas, i)
		rows = append(rows, row{sigma: sigma, level: i, ends: true, left: to, x: line{x: 1, s: (sigma - to) * sigma}})
	}
	return rows
}

func heunSteps(o *Settings, sigmas []float64) (rows []row) {
	for i := range sigmas {
		var sigma float64
		rows, sigma = o.churned(rows, sigmas, i)
		to := next(sigmas, i)
		if to == 0 {
			return append(rows, denoised(sigma, i))
		}
		h := sigma - to
		rows = append(rows,
			row{sigma: sigma, level: i, mid: true, x: line{x: 1, s: h * sigma}, y: line{x: 1, s: h / 2 * sigma}},
			row{sigma: to, level: i, ends: true, left: to, x: line{s: h / 2 * to, y: 1}})
	}
	return rows
}

// ancestral splits the noise level to, which a step from sigma goes to, into what the step keeps and what is drawn anew.
func ancestral(sigma, to, eta float64) (down, up float64) {
	up = min(to, eta*to*math.Sqrt(max(0, 1-to*to/(sigma*sigma))))
	return math.Sqrt(to*to - up*up), up
}

func ancestralSteps(o *Settings, sigmas []float64) []row {
	return single(sigmas, func(_ int, sigma, to float64) line {
		down, up := ancestral(sigma, to, o.Eta)
		return line{x: 1, s: (sigma - down) * sigma, z: up}
	})
}

func dpm2SSteps(o *Settings, sigmas []float64) (rows []row) {
	for i, sigma := range sigmas {
		to := next(sigmas, i)
		down, up := ancestral(sigma, to, o.Eta)
		if down == 0 {
			last := denoised(sigma, i)
			last.draw, last.x.z, last.left = i, up, to
			rows = append(rows, last)
			continue
		}
		mid := math.Sqrt(sigma * down)
		c := 1 - down/sigma
		rows = append(rows,
			row{sigma: sigma, level: i, mid: true, x: line{x: 1, s: (1 - mid/sigma) * sigma * sigma}, y: line{x: down / sigma}},
			row{sigma: mid, draw: i, level: i, ends: true, left: to, x: line{x: c, s: c * mid * mid, y: 1, z: up}})
	}
	return rows
}

func dpm2MSteps(_ *Settings, sigmas []float64) []row { return multistep(sigmas, 0) }

func dpm2MSDESteps(o *Settings, sigmas []float64) []row { return multistep(sigmas, o.Eta) }

// multistep keeps D of each step in y.
func multistep(sigmas []float64, eta float64) []row {
	before := 0.0 // h of the step before
	rows := single(sigmas, func(i int, sigma, to float64) line {
		h := math.Log(sigma / to)
		c := -math.Expm1(-h * (1 + eta))
		w := 0.0
		if i > 0 {
			w = c / 2 * h / before
		}
		before = h
		return line{x: to/sigma*math.Exp(-eta*h) + c + w, s: (c + w) * sigma * sigma, y: -w,
			z: to * math.Sqrt(-math.Expm1(-2*eta*h))}
	})
	for i := range rows[:len(rows)-1] {
		rows[i].y = line{x: 1, s: rows[i].sigma * rows[i].sigma}
	}
	return rows
}

func dpmSDESteps(o *Settings, sigmas []float64) []row {
	// Both noises are of one Brownian path in sigma: the second stage's interval begins with the first's.
	return twoStageSDE(sigmas, o.Eta, func(sigma, mid, to float64) float64 { return (sigma - mid) / (sigma - to) })
}

// twoStageSDE takes the part of the second noise's variance that is the first noise's.
func twoStageSDE(sigmas []float64, eta float64, shared func(sigma, mid, to float64) float64) (rows []row) {
	for i, sigma := range sigmas {
		to := next(sigmas, i)
		if to == 0 {
			return append(rows, denoised(sigma, i))
		}
		mid := math.Sqrt(sigma * to)
		down1, up1 := ancestral(sigma, mid, eta)
		down2, up2 := ancestral(sigma, to, eta)
		c, part := 1-down2/sigma, shared(sigma, mid, to)
		rows = append(rows,
			row{sigma: sigma, draw: 2 * i, level: i, mid: true, x: line{x: 1, s: (1 - down1/sigma) * sigma * sigma, z: up1},
				y: line{x: down2 / sigma, z: up2 * math.Sqrt(part)}},
			row{sigma: mid, draw: 2*i + 1, level: i, ends: true, left: to,
				x: line{x: c, s: c * mid * mid, y: 1, z: up2 * math.Sqrt(1-part)}})
	}
	return rows
}

func repaintSteps(o *Settings, sigmas []float64) (rows []row) {
	draw := 0
	for i, sigma := range sigmas {
		to := next(sigmas, i)
		if to == 0 {
			return append(rows, denoised(sigma, i))
		}
		down, up := ancestral(sigma, to, 1)
		for k := range o.Resample {
			if k > 0 {
				rows = append(rows, row{draw: draw, level: i, mid: true, x: line{x: 1, z: math.Sqrt(sigma*sigma - to*to)}})
				draw++
			}
			rows = append(rows, row{sigma: sigma, draw: draw, level: i, ends: k+1 == o.Resample, left: to,
				x: line{x: 1, s: (sigma - down) * sigma, z: up}})
			draw++
		}
	}
	return rows
}
