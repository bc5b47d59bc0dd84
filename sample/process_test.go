package sample

import (
	"math"
	"testing"

	"sigmaz/model"
)

// process returns the process of a case of score_sde.
func (f *traces) process(t *testing.T, name string) model.Process {
	t.Helper()
	s := model.SDE{Kind: model.VP, BetaMin: f.number(t, "beta_min"), BetaMax: f.number(t, "beta_max"),
		Discrete: f.meta[name+".continuous"] == "false"}
	if f.meta[name+".sde"] == "subvpsde" {
		s.Kind = model.SubVP
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s.On(model.Ladder{1, 0.1}) // which it does not look at
}

// near compares one number.
func near(t *testing.T, what string, got, want, tol float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tol*math.Abs(want)) {
		t.Errorf("%s is %.9g, expected %.9g: off by %.2g, allowed %.2g", what, got, want, math.Abs(got/want-1), tol)
	}
}

// tableInTime compares the process itself. Below t = 1e-3 std is a difference of close numbers in score_sde's float32.
func (f *traces) tableInTime(t *testing.T, name string) {
	p, n := f.process(t, name), int(f.number(t, name+".N"))
	sigmas := p.Table(n)
	for k, abar := range f.tensors[name+".alphas_cumprod"] {
		near(t, "sigma of the table", sigmas[k], math.Sqrt((1-abar)/abar), 1e-3)
		near(t, "beta of the table", p.Step(k, n), f.tensors[name+".betas"][k], 1e-6)
	}
	values := func(what string, i int) []float64 { return f.steps(name + "." + what)(i) }
	for i, at := range f.tensors[name+".t"] {
		x, s := values("x", i), values("score", i)
		tol := 1e-5
		if at < 1e-2 {
			tol = 1.5e-2
		}
		g := math.Sqrt(p.Diffusion(at))
		near(t, "std", p.Std(at), f.tensors[name+".std"][i], tol)
		near(t, "diffusion", g, f.tensors[name+".diffusion"][i], tol)
		near(t, "t of sigma", p.Time(p.Sigma(at)), at, 1e-7)
		near(t, "m of sigma", p.MeanAt(p.Sigma(at)), p.Mean(at), 1e-12)
		step := timeStep{t: at, k: int(at * float64(n-1)), n: n}
		a, b, c := predictInTime(p, ReversePredictor, step)
		near(t, "G", c, f.tensors[name+".G"][i], tol)
		logp := 0.0
		for j, v := range x {
			logp += logPrior([]float64{v}, 1)
			near(t, "mean", p.Mean(at)*v, values("mean", i)[j], 1e-6)
			near(t, "drift", p.Drift(at)*v, values("drift", i)[j], 1e-6)
			near(t, "reverse drift", p.Drift(at)*v-g*g*s[j], values("reverse_drift", i)[j], tol)
			near(t, "drift of the flow", p.Drift(at)*v-g*g*s[j]/2, values("ode_drift", i)[j], tol)
			// x - x' in score_sde, a difference in float32
			for what, got := range map[string]float64{"reverse_f": v - (a*v + b*s[j]), "ode_f": v - (a*v + b*s[j]/2)} {
				if want := values(what, i)[j]; !(math.Abs(got-want) <= 2e-7*math.Abs(v)+tol*math.Abs(want)) {
					t.Errorf("%s at t = %g is %.9g, expected %.9g", what, at, got, want)
				}
			}
		}
		near(t, "prior", logp, f.tensors[name+".prior_logp"][i], 1e-5)
	}
}

// pcInTime makes the rows of score_sde's loop in y = x/m, and takes its traces there.
func (f *traces) pcInTime(t *testing.T, name, kind string) {
	p, n := f.process(t, name), int(f.number(t, name+".N"))
	snr, denoise := f.number(t, name+".snr"), f.meta[name+".denoise"] != "false"
	at, sigmas := times(p, n, f.number(t, name+".eps"))
	corrector := f.meta[name+".corrector"]
	correctors := int(f.number(t, name+".n_steps"))
	if corrector == "none" {
		correctors = 0
	}
	predictor := map[string]string{"reverse_diffusion": ReversePredictor, "ancestral_sampling": AncestralPredictor,
		"euler_maruyama": EMPredictor}[f.meta[name+".predictor"]]
	var rows []row
	var want, draws, blends [][]float64
	var means, told []float64 // of x after each step, and the noise that is blended in
	add := func(r row, x, noise, blend []float64, mean float64) {
		r.draw = len(draws)
		rows, want, draws, blends = append(rows, r), append(want, x), append(draws, noise), append(blends, blend)
		means, told = append(means, mean), append(told, r.sigma)
	}
	for i, sigma := range sigmas {
		near(t, "t", at[i].t, f.tensors[name+".t"][i], 1e-6)
		if k := int(f.tensors[name+".index"][i]); at[i].k != k {
			t.Fatalf("step %d is %d of the table, expected %d", i, at[i].k, k)
		}
		m := p.MeanAt(sigma)
		noise := f.steps(name + ".corrector.noise")(i)
		for j := range correctors {
			r := row{sigma: sigma, gain: true, x: correctInTime(p, snr, at[i]), left: sigma}
			if corrector == "ald" {
				e := 2 * (1 - p.Step(at[i].k, n)) * snr * snr * sigma * sigma
				r.gain, r.x = false, line{x: 1, s: e, z: math.Sqrt(2 * e)}
			}
			var x []float64
			if j == correctors-1 {
				x = f.steps(name + ".corrector.x")(i)
			}
			add(r, x, noise[j*len(noise)/correctors:(j+1)*len(noise)/correctors], nil, m)
		}
		if blend := f.steps(name + ".corrector.data_noise")(i); blend != nil && correctors == 0 {
			// In-painting without a corrector blends all the same, at the time of the step.
			add(row{sigma: sigma, x: line{x: 1}, left: sigma}, nil, nil, blend, m)
		}
		to := next(sigmas, i)
		a, b, c := predictInTime(p, predictor, at[i])
		if f.meta[name+".probability_flow"] == "true" {
			b, c = b/2, 0
		}
		x := f.steps(name + ".predictor.x")(i)
		if to == 0 && denoise {
			c, x = 0, f.steps(name+".predictor.mean")(i)
		}
		r := row{sigma: sigma, x: inY(a, b, c, m, p.MeanAt(to)), left: to}
		add(r, x, f.steps(name+".predictor.noise")(i), f.steps(name+".predictor.data_noise")(i), p.MeanAt(to))
	}
	plan := newPlan(Settings{}, sigmas, rows)
	plan.norms = batchNorm
	scaled := func(x []float64, by float64) []float64 {
		if x == nil {
			return nil
		}
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = v * by
		}
		return out
	}
	first := p.MeanAt(sigmas[0])
	c := &traced{plan: plan, score: f.mix.score, d: f.shapes["mix.mean"][1], x0: scaled(f.tensors[name+".x0"], 1/first),
		draws: func(k int) []float64 { return draws[k] }, x: func(step int) []float64 { return scaled(want[step], 1/means[step]) },
		result: f.tensors[name+".result"], twin: 1.4e-5, step: 2e-5, run: 1e-4}
	if kind == "inpaint" {
		data, prior, mask := f.tensors[name+".data"], f.tensors[name+".prior"], f.tensors[name+".mask"]
		c.x0 = make([]float64, len(data))
		for i := range c.x0 {
			c.x0[i] = (data[i]*mask[i] + prior[i]*(1-mask[i])) / first
		}
		// What is known is m data + std z at the time of the step, also where x is at the next one's.
		c.blend = func(step int, y []float64) {
			m, last := p.MeanAt(told[step]), means[step]
			for i := range y {
				known := (m*data[i] + m*told[step]*blends[step][i]) / last
				y[i] = y[i]*(1-mask[i]) + known*mask[i]
			}
		}
		// score_sde's std near t = 0 is off by 6e-3.
		c.twin, c.run = 8e-4, 0
	}
	c.check(t)
}

// odeInTime runs score_sde's ODE sampler in its own variables, x and t, and ours, y and ln sigma.
func (f *traces) odeInTime(t *testing.T, name string) {
	p, d, eps := f.process(t, name), f.shapes["mix.mean"][1], f.number(t, name+".eps")
	x := append([]float64(nil), f.tensors[name+".x0"]...)
	y := make([]float64, len(x))
	for i := range y {
		y[i] = x[i] / p.Mean(1)
	}
	// The method goes in the logarithm of its variable: here that of e^t.
	drift := func(dst, x, exp []float64) error {
		at := math.Log(exp[0])
		m, g2, s := p.Mean(at), p.Diffusion(at), make([]float64, d)
		for n := range len(x) / d {
			y := make([]float64, d)
			for i, v := range x[n*d : (n+1)*d] {
				y[i] = v / m
			}
			f.mix.score(s, y, p.Sigma(at), 0)
			for i, v := range x[n*d : (n+1)*d] {
				dst[n*d+i] = p.Drift(at)*v - g2*s[i]/m/2
			}
		}
		return nil
	}
	calls := f.steps(name + ".call_y")
	for i, at := range f.tensors[name+".call_t"] {
		got, want := make([]float64, len(x)), f.steps(name+".call_dy")(i)
		if err := drift(got, calls(i), []float64{math.Exp(at)}); err != nil {
			t.Fatal(err)
		}
		// Near t = 1 the two terms of the drift, b x/2 and about as much, leave little.
		terms := p.Beta(at) / 2 * largest(calls(i))
		for j := range got {
			if !(math.Abs(got[j]-want[j]) <= 2e-6*terms) {
				t.Errorf("the drift at t = %g is %g, expected %g", at, got[j], want[j])
			}
		}
	}
	// Each accepted step, from the point before. A run of its own takes other steps: the error of the first is that of the
	// rounding of the float32 drift.
	points, ends := f.steps(name+".y"), f.tensors[name+".t"]
	for i, to := range ends[1:] {
		at := append([]float64(nil), points(i)...)
		nfe, err := rungeKutta(newTwinSolver(drift, at, len(at), 1), 1, math.Exp(ends[i]), math.Exp(to), ends[i]-to, nil)
		if err != nil || nfe != 7 {
			t.Errorf("step %d took %d evaluations: %v", i+1, nfe, err)
		}
		if e := apart(t, at, points(i+1)); !(e <= 2e-5) {
			t.Errorf("step %d is off by %g", i+1, e)
		}
	}
	first := ends[0] - ends[1]
	nfe, err := rungeKutta(newTwinSolver(drift, x, len(x), f.number(t, name+".rtol")), 1, math.E, math.Exp(eps), first, nil)
	if want := int(f.number(t, name+".nfe")); err != nil || math.Abs(float64(nfe+1-want)) > 12 {
		t.Errorf("%d evaluations, expected %d but for two steps: %v", nfe+1, want, err)
	}
	t.Logf("%d evaluations in t, off by %.2g", nfe+1, apart(t, x, f.tensors[name+".result"]))
	if e := apart(t, x, f.tensors[name+".result"]); !(e <= 1e-4) {
		t.Errorf("the result is off by %g", e)
	}

	score := func(dst, y, sigma []float64) error {
		for n := range len(y) / d {
			f.mix.score(dst[n*d:(n+1)*d], y[n*d:(n+1)*d], sigma[0], 0)
		}
		return nil
	}
	nfe, err = rungeKutta(newTwinSolver(flow(score), y, len(y), f.number(t, name+".rtol")), 1, p.Sigma(1), p.Sigma(eps), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range y {
		y[i] *= p.Mean(eps)
	}
	t.Logf("%d evaluations in ln sigma, off by %.2g", nfe, apart(t, y, f.tensors[name+".result"]))
	if e := apart(t, y, f.tensors[name+".result"]); !(e <= 1e-4) {
		t.Errorf("the result of the flow in sigma is off by %g", e)
	}
}

// likelihoodInTime compares the likelihood in y and ln sigma with score_sde's in x and t.
func (f *traces) likelihoodInTime(t *testing.T, name string) {
	p, d := f.process(t, name), f.shapes["mix.mean"][1]
	eps, probes := f.number(t, name+".eps"), f.tensors[name+".epsilon"]
	score := func(s, trace, x, sigma []float64) error {
		product := make([]float64, d)
		for n, sigma := range sigma {
			row, v := x[n*d:(n+1)*d], probes[n*d:(n+1)*d]
			f.mix.score(s[n*d:(n+1)*d], row, sigma, 0)
			f.mix.product(product, row, v, sigma)
			trace[n] = 0
			for i := range v {
				trace[n] += v[i] * product[i]
			}
		}
		return nil
	}
	y := append([]float64(nil), f.tensors[name+".data"]...)
	for i := range y {
		y[i] /= p.Mean(eps)
	}
	got, nfe, err := twinLikelihood(score, y, d, p.Sigma(eps), p.Sigma(1), p.Prior(), f.number(t, name+".rtol"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range y {
		y[i] *= p.Mean(1)
	}
	t.Logf("%d evaluations, x at t = 1 off by %.2g", nfe, apart(t, y, f.tensors[name+".z"]))
	if e := apart(t, y, f.tensors[name+".z"]); !(e <= 1e-4) {
		t.Errorf("x at t = 1 is off by %g", e)
	}
	for n, v := range got {
		bits := BitsPerDim(v-float64(d)*math.Log(p.Mean(eps)), d, 2)
		if want := f.tensors[name+".bpd"][n]; !(math.Abs(bits-want) <= 1e-3) {
			t.Errorf("image %d: %.6f bits a value, expected %.6f", n, bits, want)
		}
	}
}
