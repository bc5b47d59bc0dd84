package sample

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
)

// planOn makes a sampler's plan on levels of its own.
func planOn(sampler string, sigmas []float64, set func(o *Settings)) *Plan {
	o := Defaults(sampler, true)
	if set != nil {
		set(&o)
	}
	return newPlan(o, sigmas, SamplerOf(sampler).rows(&o, sigmas))
}

// The solvers converge at their orders to the flow, which Heun's method with very many steps gives.
func TestOrders(t *testing.T) {
	f := readOracles(t, "testdata/sampler-oracles.json")
	x0, d := f.Tensors["x0"].Data, f.Tensors["x0"].Shape[1]
	run := func(p *Plan) []float64 {
		x := append([]float64(nil), x0...)
		p.rows[len(p.rows)-1].x = line{x: 1} // the end at sigma_L
		p.run(f.mix.score, x, d, nil, nil)
		return x
	}
	exact := run(planOn("dpm++-2s", karras(10, 0.02, 2560, 7), func(o *Settings) { o.Eta = 0 }))
	for _, c := range []struct {
		sampler string
		order   float64
		at80    float64 // error at n = 80
	}{{"euler", 1, 7.13e-3}, {"heun", 2, 2.52e-4}, {"dpm++-2s", 2, 1.37e-4}, {"dpm++-2m", 2, 2.55e-4}} {
		off := func(n int) float64 {
			sum := 0.0
			for i, v := range run(planOn(c.sampler, karras(10, 0.02, n, 7), func(o *Settings) { o.Eta = 0 })) {
				sum += (v - exact[i]) * (v - exact[i])
			}
			return math.Sqrt(sum / float64(len(x0)))
		}
		e80, e320 := off(80), off(320)
		if slope := math.Log2(e80/e320) / 2; !(math.Abs(slope-c.order) <= 0.1) {
			t.Errorf("%s: order %.3f, expected %g", c.sampler, slope, c.order)
		}
		if !(math.Abs(e80/c.at80-1) <= 0.03) { // given for other starts
			t.Errorf("%s: the error of 80 steps is %.3g, expected %.3g", c.sampler, e80, c.at80)
		}
	}
}

// On a device each sampler of TestOrders takes the steps of its float64 twin, as float32 can.
func TestOrdersOnDevices(t *testing.T) {
	f := readOracles(t, "testdata/sampler-oracles.json")
	x0, d := f.Tensors["x0"].Data, f.Tensors["x0"].Shape[1]
	for _, sampler := range []string{"euler", "heun", "dpm++-2s", "dpm++-2m"} {
		t.Run(sampler, func(t *testing.T) {
			p := planOn(sampler, karras(10, 0.02, 20, 7), func(o *Settings) { o.Eta = 0 })
			x := append([]float64(nil), x0...)
			var steps [][]float64
			p.run(f.mix.score, x, d, nil, func(int, *row) { steps = append(steps, append([]float64(nil), x...)) })
			c := &traced{plan: p, score: f.mix.score, d: d, x0: x0, x: func(step int) []float64 { return steps[step] }, result: x,
				step: 2e-5, run: 1e-4}
			c.check(t)
		})
	}
}

// For Gaussian data every sampler is affine in its start and its noise, so that mean and variance follow from the
// responses to one of them alone: to 0, to a start of 1, and to each draw of 1.
func TestMoments(t *testing.T) {
	const mean, variance, begin, end = 0.5, 0.09, 15, 0.01
	score := func(dst, x []float64, sigma float64, _ int) { dst[0] = (mean - x[0]) / (variance + sigma*sigma) }
	ladder := geometric(begin, end, 99)
	langevin := func(denoise bool) *Plan {
		const T, epsilon = 5, 1.069e-5
		var alphas []float64
		for _, s := range ladder {
			alphas = append(alphas, epsilon*s*s/(end*end))
		}
		p := &Plan{Sigmas: ladder, rows: langevinSteps(ladder, alphas, T, denoise), repeat: T, steps: 99 * T}
		if denoise {
			p.steps++
		}
		return p
	}
	consistent := func(q float64) *Plan {
		return newPlan(Settings{}, ladder, consistentWith(ladder, false, func(float64) float64 { return q }))
	}
	pc := func(n int, predictor string, correctors int) *Plan {
		return planOn("pc", geometric(begin, end, n), func(o *Settings) { o.Predictor, o.CorrectorSteps = predictor, correctors })
	}
	// With its gain, a corrector is not affine: here it is that of a blind network, |s|^2 = D/sigma^2.
	pcBlind := func(n int) *Plan {
		p := pc(n, ReversePredictor, 1)
		for i := range p.rows {
			if r := &p.rows[i]; r.gain {
				g2 := r.sigma * r.sigma
				r.gain, r.x.s, r.x.z = false, r.x.s*g2, r.x.z*math.Sqrt(g2)
			}
		}
		return p
	}
	karras := func(sampler string, n int, eta float64) *Plan {
		return planOn(sampler, karras(begin, end, n, 7), func(o *Settings) { o.Eta = eta })
	}
	for _, c := range []struct {
		name string
		plan *Plan
		nfe  int
		m, v float64
		off  float64 // allowed; 0: 6e-6, half of the last digit and more
	}{
		{"langevin", langevin(true), 496, 0.5, 0.105166, 2e-5}, // the epsilon of the table has four digits
		{"langevin without the last step", langevin(false), 495, 0.5, 0.105400, 2e-5},
		{"consistent q 0.1069", consistent(0.1069), 99, 0.49868, 0.085160, 2e-5},
		{"consistent q 0.3", consistent(0.3), 99, 0.5, 0.076131, 0},
		{"consistent q 0.5", consistent(0.5), 99, 0.5, 0.066764, 0},
		{"reverse diffusion", pc(99, ReversePredictor, 0), 99, 0.4998, 0.096957, 0},
		{"ancestral", pc(99, AncestralPredictor, 0), 99, 0.4998, 0.083520, 0},
		{"em", pc(99, EMPredictor, 0), 99, 0.49988, 0.091105, 0},
		{"pc 99", pcBlind(99), 198, 0.49999, 0.093325, 0},
		{"pc 500", pcBlind(500), 1000, 0.5, 0.090337, 0},
		{"heun 18", karras("heun", 18, 0), 35, 0.48974, 0.094668, 0},
		{"heun 35", karras("heun", 35, 0), 69, 0.48994, 0.091001, 0},
		{"heun 18, churn 40", planOn("heun", karrasLevels(18), func(o *Settings) { o.Churn, o.ChurnNoise = 40, 1.005 }), 35, 0.49981, 0.104271, 0},
		{"2m 18", karras("dpm++-2m", 18, 0), 18, 0.48973, 0.094855, 0},
		{"2m 35", karras("dpm++-2m", 35, 0), 35, 0.48994, 0.091035, 0},
		{"euler 35", karras("euler", 35, 0), 35, 0.49058, 0.079908, 0},
		{"euler ancestral 18", karras("euler-ancestral", 18, 1), 18, 0.4998, 0.057266, 0},
		{"euler ancestral 35", karras("euler-ancestral", 35, 1), 35, 0.4998, 0.070859, 0},
		{"2m sde 18", karras("dpm++-2m-sde", 18, 1), 18, 0.4998, 0.101845, 0},
		{"2m sde 35", karras("dpm++-2m-sde", 35, 1), 35, 0.4998, 0.093011, 0},
		{"2m sde 70", karras("dpm++-2m-sde", 70, 1), 70, 0.4998, 0.090625, 0},
		{"2m sde 35, eta 3", karras("dpm++-2m-sde", 35, 3), 35, 0.5, 0.0972, 5e-5}, // given as a ratio of three digits
		{"sde 18, independent", newPlan(Settings{}, karrasLevels(18), twoStageSDE(karrasLevels(18), 1,
			func(_, _, _ float64) float64 { return 0 })), 35, 0.4998, 0.063244, 0},
		{"sde 18", karras("dpm++-sde", 18, 1), 35, 0.4998, 0.085275, 0},
		{"sde 35", karras("dpm++-sde", 35, 1), 69, 0.4998, 0.088788, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.off == 0 {
				c.off = 6e-6
			}
			if c.plan.NFE() != c.nfe {
				t.Errorf("%d evaluations, expected %d", c.plan.NFE(), c.nfe)
			}
			// row 0: nothing; row 1: the start; row 2+k: draw k
			draws := 0
			for k := range c.plan.steps {
				if r, draw := c.plan.at(k); r.x.z != 0 || r.y.z != 0 {
					draws = max(draws, draw+1)
				}
			}
			n := 2 + draws
			x0 := make([]float64, n)
			x0[1] = begin
			one := func(k int) []float64 {
				z := make([]float64, n)
				z[2+k] = 1
				return z
			}
			check := func(where string, x []float64, off float64) {
				v := 0.0
				for _, e := range x[1:] {
					v += (e - x[0]) * (e - x[0])
				}
				if !(math.Abs(x[0]-c.m) <= 6e-6 && math.Abs(v-c.v) <= off) {
					t.Errorf("%s: mean %.6f, variance %.6f, expected %.5f, %.6f", where, x[0], v, c.m, c.v)
				}
			}
			x := append([]float64(nil), x0...)
			c.plan.run(score, x, 1, one, nil)
			check("float64", x, c.off)

			var given []float32
			for k := range draws {
				given = append(given, float32s(one(k))...)
			}
			onDevices(t, func(t *testing.T, on device) {
				s, err := model.ScoreFunc(n, 1, c.plan.WorkWords(n, 1)+len(given), field64(score).float32s())
				if err != nil {
					t.Fatal(err)
				}
				on.move(t, s)
				chain, err := newChain(s, c.plan, model.Ladder(float32s(c.plan.Sigmas)), noise{given: given})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Arena.Write(s.X, float32s(x0)); err != nil {
					t.Fatal(err)
				}
				if err := chain.Run(0, nil); err != nil {
					t.Fatal(err)
				}
				check(on.name, model.Ladder(readX(t, s)).Float64s(), c.off+1e-5)
			})
		})
	}
}

func karrasLevels(n int) []float64 { return karras(15, 0.01, n, 7) }

// The residual noise of networks that do not see sigma, from the recursion, and the same from a simulation: a network
// that predicts unit noise, on a point in many dimensions.
func TestResiduals(t *testing.T) {
	ladder := geometric(15, 0.01, 99)
	f32 := model.Ladder(float32s(ladder))
	langevin, err := Options{T: 5, Epsilon: 1.069e-5, Denoise: true}.Plan(f32)
	if err != nil {
		t.Fatal(err)
	}
	consistent := func(n int, q float64) *Plan {
		l := geometric(15, 0.01, n)
		return newPlan(Settings{}, l, consistentWith(l, true, func(float64) float64 { return q }))
	}
	pc := func(n, correctors int) *Plan {
		return planOn("pc", geometric(15, 0.01, n), func(o *Settings) { o.CorrectorSteps = correctors })
	}
	for _, c := range []struct {
		name string
		plan *Plan
		want [6]float64 // of starts with an error of -2.5 %, -0.5 %, 0, 0.5 %, 2.5 %, and of r = 0.4
	}{
		{"euler", planOn("euler", karrasLevels(35), nil), [6]float64{0, 0, 1, 8.5, 38.5, 0}},
		{"dpm++-2m", planOn("dpm++-2m", karrasLevels(35), nil), [6]float64{0, 0, 1, 8.5, 38.5, 0}},
		{"heun", planOn("heun", karrasLevels(18), nil), [6]float64{0, 0, 1, 8.5, 38.5, 0}},
		{"euler ancestral", planOn("euler-ancestral", karrasLevels(35), nil), [6]float64{0.980, 0.995, 1, 1.005, 1.032, 0.93}},
		{"2m sde eta 1", planOn("dpm++-2m-sde", karrasLevels(35), nil), [6]float64{0.980, 0.995, 1, 1.005, 1.032, 0.93}},
		{"2m sde eta 3", planOn("dpm++-2m-sde", karrasLevels(35), func(o *Settings) { o.Eta = 3 }), [6]float64{1, 1, 1, 1, 1, 1}},
		{"consistent 99, 0.08", consistent(99, 0.08), [6]float64{0.15, 0.15, 1, 4.9, 24.5, 0.15}},
		{"consistent 99, 0.107", consistent(99, 0.107), [6]float64{0.63, 0.86, 1, 1.21, 3.0, 0.54}},
		{"consistent 99, 0.2", consistent(99, 0.2), [6]float64{1, 1, 1, 1, 1, 1}},
		{"consistent 35, 0.45", consistent(35, 0.45), [6]float64{1, 1, 1, 1, 1, 1}},
		{"langevin", langevin, [6]float64{1.225, 1.225, 1.225, 1.225, 1.225, 1.225}},
		{"reverse diffusion 99", pc(99, 0), [6]float64{2: 13}},
		{"reverse diffusion 35", pc(35, 0), [6]float64{2: 107}},
		{"pc 99", pc(99, 1), [6]float64{2: 1.42}},
		{"pc 35", pc(35, 1), [6]float64{2: 61}},
	} {
		for i, r := range []float64{15 * 0.975, 15 * 0.995, 15, 15 * 1.005, 15 * 1.025, 0.4} {
			want := c.want[i]
			if want == 0 {
				continue
			}
			all := c.plan.Residuals(r)
			if got := all[len(all)-1].Ratio; !(math.Abs(got-want) <= 0.03*want) {
				t.Errorf("%s from r = %g: %.4g times sigma_L, expected %g", c.name, r, got, want)
			}
		}
	}

	// the same by a network that predicts unit noise about the point 0
	const d = 200_000
	blind := func(dst, x []float64, sigma float64, _ int) {
		sum := 0.0
		for _, v := range x {
			sum += v * v
		}
		for i, v := range x {
			dst[i] = -v / (math.Sqrt(sum/float64(len(x))) * sigma)
		}
	}
	short := func(sampler string, n int, set func(o *Settings)) *Plan {
		return planOn(sampler, karras(15, 1, n, 7), set)
	}
	for _, p := range []*Plan{
		short("pc", 9, func(o *Settings) { o.CorrectorSteps = 2 }), short("dpm++-sde", 6, nil), short("dpm++-2m-sde", 7, nil),
		short("heun", 6, func(o *Settings) { o.Churn = 2 }), short("dpm++-2s", 6, func(o *Settings) { o.Eta = 1 }),
	} {
		x := make([]float64, d)
		normals := func(k int) []float64 {
			z := make([]float32, d)
			kernels.Stream{Seed: 3, Purpose: kernels.PurposeNoise, N: uint64(k)}.Normals(z)
			return model.Ladder(z).Float64s()
		}
		for i, z := range normals(1000) {
			x[i] = 17 * z
		}
		all := p.Residuals(17)
		last := all[len(all)-1]
		size := 0.0
		p.rows[len(p.rows)-1].x = line{x: 1} // as the last evaluation finds it
		p.run(blind, x, d, normals, nil)
		for _, v := range x {
			size += v * v / d
		}
		if got := math.Sqrt(size) / last.Sigma; !(math.Abs(got/last.Ratio-1) <= 0.02) {
			t.Errorf("%s: %.4g times sigma_L by the recursion, %.4g by simulation", p.Settings.Sampler, last.Ratio, got)
		}
	}
}

// judged makes the plan of a sampler for a network.
func judged(t *testing.T, cfg model.Config, l model.Ladder, sampler string, set func(o *Settings)) (float64, error) {
	t.Helper()
	o := Defaults(sampler, cfg.SeesSigma())
	o.T = 5
	if set != nil {
		set(&o)
	}
	p, err := NewPlan(o, l)
	if err != nil {
		t.Fatal(err)
	}
	return Judge(cfg, p, l)
}

// Which sampler suits which network.
func TestJudge(t *testing.T) {
	blind := model.Config{Net: "ncsnv2", Height: 28, Width: 28, Channels: 1, NGF: 8}
	levels := model.Config{Net: "ncsn", Height: 28, Width: 28, Channels: 1, NGF: 8, Levels: 10}
	points := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 8, DataSD: 1}
	l := ladder(t, 15, 0.01, 99)
	refusedBlind := []string{"euler", "heun", "dpm++-2s", "dpm++-2m", "rk45"}
	for _, s := range Samplers {
		stays, err := judged(t, blind, l, s.Name, nil)
		if refused := slices.Contains(refusedBlind, s.Name); (err != nil) != refused {
			t.Errorf("ncsnv2 and %s: %v", s.Name, err)
		} else if refused && !(stays > 30 && stays < 45 && strings.Contains(err.Error(), "does not see sigma")) {
			t.Errorf("ncsnv2 and %s: %g stays, %v", s.Name, stays, err)
		}
		if _, err := judged(t, points, l, s.Name, nil); err != nil {
			t.Errorf("mlp and %s: %v", s.Name, err)
		}
		_, err = judged(t, levels, l, s.Name, nil)
		if allowed := s.Name == Langevin || s.Name == "consistent" || s.Name == "pc"; (err == nil) != allowed {
			t.Errorf("ncsn and %s: %v", s.Name, err)
		}
	}
	for _, c := range []struct {
		cfg     model.Config
		sampler string
		set     func(o *Settings)
		want    string
	}{
		{blind, "pc", func(o *Settings) { o.Schedule, o.NFE = GeometricSchedule, 100 }, "leaves too much between its 50 levels"},
		{blind, "dpm++-2m-sde", func(o *Settings) { o.Eta = 0.2 }, "with `eta` 0.2 forgets too little"},
		{blind, "consistent", func(o *Settings) { o.Eta = 0 }, "draws no noise"},
		{levels, "consistent", func(o *Settings) { o.Schedule, o.NFE = GeometricSchedule, 50 }, "use `schedule` ladder"},
	} {
		_, err := judged(t, c.cfg, l, c.sampler, c.set)
		var bad *setting.Error
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s and %s: %v, expected %q", c.cfg.Net, c.sampler, err, c.want)
		}
	}
}

// A U-Net, which hides the size of its input, begins on the sphere where no noise is drawn, and is doubted where too little
// is; a network that counts that size is neither.
func TestHiddenSize(t *testing.T) {
	plain := model.Config{Net: "ncsnpp", Height: 28, Width: 28, Channels: 1, NGF: 16}
	edm, vp := plain, plain
	edm.Parameterization, vp.SDE, vp.Rescaled = model.EDM, model.SDE{Kind: model.VP}.Completed(), true
	points := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 8, DataSD: 1}
	l := ladder(t, 15, 0.01, 99)
	check := func(sampler string, set func(o *Settings), sphere, doubted bool) {
		t.Helper()
		o := Defaults(sampler, true)
		o.T = 5
		set(&o)
		p, err := NewPlan(o, l)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Start(plain) == Sphere; got != sphere {
			t.Errorf("%s: begins on the sphere: %v", sampler, got)
		}
		if err := Doubt(plain, p); (err != nil) != doubted ||
			err != nil && !strings.Contains(err.Error(), "divide the size of its input out") {
			t.Errorf("%s: %v", sampler, err)
		}
		for _, cfg := range []model.Config{edm, vp, points} {
			if err := Doubt(cfg, p); err != nil || p.Start(cfg) == Sphere {
				t.Errorf("%s %s %s and %s: %v", cfg.Net, cfg.Parameterization, cfg.SDE.Kind, sampler, err)
			}
		}
	}
	for _, s := range Samplers {
		check(s.Name, func(*Settings) {}, slices.Contains([]string{"euler", "heun", "dpm++-2s", "dpm++-2m", "rk45"}, s.Name), false)
	}
	check("dpm++-2m-sde", func(o *Settings) { o.Eta = 0.5 }, false, true)
	check("heun", func(o *Settings) { o.Churn = 1 }, false, true)
}

// Starts on the sphere are Gaussian ones of the same direction, whose size is that of the mean; frames between two samples begin
// and end at theirs.
func TestSphere(t *testing.T) {
	const n, d = 5, 12
	l := ladder(t, 3, 0.1, 8)
	s, err := model.ScoreFunc(n, d, 0, func(dst, x []float32, sigma float32) { clear(dst) })
	if err != nil {
		t.Fatal(err)
	}
	start := func(p *Plan, kind StartKind) []float32 {
		if err := p.Begin(s, l, 7, 0, kind); err != nil {
			t.Fatal(err)
		}
		return readX(t, s)
	}
	var plan, frames Plan
	frames.Between(Between{A: 1, B: 3, Frames: n})
	gaussian, sphere, between := start(&plan, Gaussian), start(&plan, Sphere), start(&frames, Sphere)
	for row := range n {
		ratio, sum := float64(sphere[row*d])/float64(gaussian[row*d]), [2]float64{}
		for i := row * d; i < (row+1)*d; i++ {
			if r := float64(sphere[i]) / float64(gaussian[i]); math.Abs(r/ratio-1) > 1e-6 {
				t.Errorf("value %d of row %d grows %g times, the first %g times", i-row*d, row, r, ratio)
			}
			sum[0] += float64(sphere[i]) * float64(sphere[i])
			sum[1] += float64(between[i]) * float64(between[i])
		}
		for _, sum := range sum {
			if size := math.Sqrt(sum / d); math.Abs(size/l.Begin()-1) > 1e-6 {
				t.Errorf("row %d has the size %g, expected %g", row, size, l.Begin())
			}
		}
	}
	if !slices.Equal(between[:d], sphere[d:2*d]) || !slices.Equal(between[4*d:], sphere[3*d:4*d]) {
		t.Error("frames from sample 1 to 3 do not begin and end there")
	}
}

// Networks that see sigma and those that do not have defaults of their own, which the judge takes; what knows levels has
// Langevin.
func TestDefaultSampler(t *testing.T) {
	l := ladder(t, 15, 0.01, 99)
	for _, net := range []string{"ncsnv2", "ncsnv2deeper", "ncsnv2deepest", "ncsn", "mlp"} {
		cfg := model.Config{Net: net, Height: 28, Width: 28, Channels: 1, NGF: 8, Levels: 99}
		want := Langevin
		if strings.HasPrefix(net, "ncsnv2") {
			want = Recommended
		} else if net == "mlp" {
			want = RecommendedSeeing
		}
		if got := DefaultSampler(cfg, l, false); got != want {
			t.Errorf("%s: %s", net, got)
		}
		if _, err := judged(t, cfg, l, want, nil); err != nil {
			t.Errorf("%s: %v", net, err)
		}
		if DefaultSampler(cfg, l, true) != Langevin || DefaultSampler(cfg, l[:1], false) != Langevin {
			t.Errorf("%s: imported weights, or one level, have another default", net)
		}
	}
}

// Large images on networks that do not see sigma have a larger eta; what sees sigma keeps its own.
func TestDefaultsFor(t *testing.T) {
	small := model.Config{Net: "ncsnv2", Height: 28, Width: 28, Channels: 1, NGF: 8}
	large := model.Config{Net: "ncsnv2", Height: 32, Width: 32, Channels: 3, NGF: 8}
	points := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 3072, Hidden: 8, DataSD: 1}
	for _, c := range []struct {
		cfg     model.Config
		sampler string
		eta     float64
	}{{small, Recommended, 3}, {large, Recommended, 6}, {large, "consistent", 2}, {points, Recommended, 1}} {
		if got := DefaultsFor(c.sampler, c.cfg).Eta; got != c.eta {
			t.Errorf("%s of %d values by %s has eta %g, expected %g", c.cfg.Net, c.cfg.D(), c.sampler, got, c.eta)
		}
	}
	if stays, err := judged(t, large, ladder(t, 50, 0.01, 232), Recommended, func(o *Settings) { o.Eta = manyValuesEta }); err != nil {
		t.Errorf("%g stays: %v", stays, err)
	}
}

// chainOf runs a sampler on images first to first+n-1 of 5 values, from N(0, 9).
func chainOf(t *testing.T, sampler string, first, n, workers int, each func(Step) error) ([]float32, error) {
	t.Helper()
	const d = 5
	l := ladder(t, 3, 0.1, 8)
	o := Defaults(sampler, true)
	o.T, o.NFE = 3, 0
	if slices.Contains(SamplerOf(sampler).Uses, "eta") {
		o.Eta = 1
	}
	if slices.Contains(SamplerOf(sampler).Uses, "churn") {
		o.Churn = 3
	}
	p, err := NewPlan(o, l)
	if err != nil {
		t.Fatal(err)
	}
	s := scoreOn(t, kernels.NewCPU(workers), n, d, p.WorkWords(n, d), gaussianScore(0.5, 0.3))
	if err := Start(s, l, 1<<40, uint32(first), Gaussian); err != nil {
		t.Fatal(err)
	}
	c, err := NewChain(s, p, l, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(uint32(first), each)
	return readX(t, s), err
}

// scoreOn is model.ScoreFunc on a backend.
func scoreOn(t *testing.T, b kernels.Backend, n, d, work int, f func(dst, x []float32, sigma float32)) *model.Score {
	t.Helper()
	s, err := model.ScoreFunc(n, d, work, f)
	if err != nil {
		t.Fatal(err)
	}
	s.Backend = b
	if s.Arena, err = b.Alloc(s.Arena.Words()); err != nil {
		t.Fatal(err)
	}
	return s
}

// Sample k is the same at any batch and with any number of workers; each step leaves finite values; a callback that
// stops leaves x as the last step made it.
func TestEverySampler(t *testing.T) {
	for _, s := range Samplers {
		t.Run(s.Name, func(t *testing.T) {
			var want []float32
			for k := range 7 {
				x, err := chainOf(t, s.Name, k, 1, 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, x...)
			}
			nfe, last := 0, false
			x := make([]float32, 7*5)
			got, err := chainOf(t, s.Name, 0, 7, 3, func(st Step) error {
				if st.NFE < nfe || last {
					t.Errorf("%d evaluations after %d", st.NFE, nfe)
				}
				nfe, last = st.NFE, st.Last
				if err := st.Read(x); err != nil {
					return err
				}
				for i, v := range x {
					if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
						t.Errorf("step %d at sigma %g leaves %g in value %d", st.K, st.Sigma, v, i)
					}
				}
				return nil
			})
			if err != nil || !last {
				t.Fatal(last, err)
			}
			if !slices.Equal(got, want) {
				t.Error("a batch of 7 gives other samples than batches of 1")
			}
			if slices.Equal(want[:5], want[5:10]) {
				t.Error("two samples are the same")
			}
			for _, v := range got {
				if !(math.Abs(float64(v)-0.5) <= 2) {
					t.Errorf("a value of a Gaussian of deviation 0.3 about 0.5 is %g", v)
				}
			}
			stop := errors.New("stop")
			calls := 0
			got, err = chainOf(t, s.Name, 0, 2, 1, func(st Step) error {
				if calls++; calls == 3 {
					if err := st.Read(x[:10]); err != nil {
						return err
					}
					return stop
				}
				return nil
			})
			if err != stop || calls != 3 || !slices.Equal(got, x[:10]) {
				t.Errorf("error %v after %d calls: expected the callback's own after 3, and x of that step", err, calls)
			}
		})
	}
}

// Chains that begin at a guide hold it and noise of sigma, the same in any batch.
func TestStartAt(t *testing.T) {
	const d, sigma = 5, 0.25
	guide := []float32{1, -2, 3, 0, 0.5}
	at := func(first, n int) []float32 {
		s := scoreOn(t, kernels.NewCPU(1), n, d, 0, gaussianScore(0, 1))
		if err := StartAt(s, guide, sigma, 9, uint32(first)); err != nil {
			t.Fatal(err)
		}
		return readX(t, s)
	}
	const n = 2000
	x := at(0, n)
	if !slices.Equal(at(3, 4), x[3*d:7*d]) {
		t.Error("images 3 to 6 begin elsewhere in a batch of their own")
	}
	for i, g := range guide {
		mean, square := 0.0, 0.0
		for k := range n {
			off := float64(x[k*d+i] - g)
			mean, square = mean+off/n, square+off*off/n
		}
		if !(math.Abs(mean) <= 5*sigma/math.Sqrt(n) && math.Abs(math.Sqrt(square)/sigma-1) <= 0.08) {
			t.Errorf("value %d begins %.4f off its guide, deviation %.4f, expected %g", i, mean, math.Sqrt(square), sigma)
		}
	}
}

// Plans that cannot be are refused by the name of the setting.
func TestNewPlanRefuses(t *testing.T) {
	l := ladder(t, 15, 0.01, 99)
	for _, c := range []struct {
		set  func(o *Settings)
		l    model.Ladder
		want string
	}{
		{func(o *Settings) { o.Sampler = "hein" }, l, `sampler is "hein": expected one of langevin, consistent, pc`},
		{func(o *Settings) { o.Schedule = "linear" }, l, "schedule is"},
		{func(o *Settings) { o.Predictor = "none" }, l, "predictor is"},
		{func(o *Settings) { o.Rho = 0.5 }, l, "rho is 0.5"},
		{func(o *Settings) { o.Rho = math.NaN() }, l, "rho is NaN"},
		{func(o *Settings) { o.Eta = -1 }, l, "eta is -1"},
		{func(o *Settings) { o.SNR = 0 }, l, "snr is 0"},
		{func(o *Settings) { o.CorrectorSteps = -1 }, l, "corrector-steps is -1"},
		{func(o *Settings) { o.Churn = math.Inf(1) }, l, "churn is +Inf"},
		{func(o *Settings) { o.ChurnMin = -1 }, l, "churn-min is -1"},
		{func(o *Settings) { o.ChurnMin, o.ChurnMax = 1, 0.5 }, l, "churn-max is 0.5"},
		{func(o *Settings) { o.ChurnNoise = 0 }, l, "churn-noise is 0"},
		{func(o *Settings) { o.Tolerance = 1e-9 }, l, "tolerance is 1e-09"},
		{func(o *Settings) { o.NFE = 1 }, l, "nfe is 1: expected enough for two noise levels of heun, 3 or more"},
		{func(o *Settings) { o.NFE = -1 }, l, "nfe is -1"},
		{func(o *Settings) { o.NFE, o.Schedule = 9, LadderSchedule }, l, "the `schedule` ladder has as many levels as the run, 99"},
		{func(o *Settings) {}, model.Ladder{1}, "this ladder has one level"},
		{func(o *Settings) { o.Sampler = Langevin }, l, "T is 0"},
	} {
		o := Defaults("heun", true)
		c.set(&o)
		if _, err := NewPlan(o, c.l); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, expected %q", err, c.want)
		}
	}
}
