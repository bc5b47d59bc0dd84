package sample

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
)

// Every trace of other programs in testdata and in the folder of GOLDEN_DIR: the float64 twin, and the device.
func TestSamplerGolden(t *testing.T) {
	dirs := append(golden.Dirs(t)[1:], "testdata")
	for _, dir := range dirs {
		for _, pattern := range []string{"sampler-oracles*.json", "samplers-*.safetensors"} {
			paths, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil || len(paths) == 0 {
				t.Fatalf("%s holds no %s: %v", dir, pattern, err)
			}
			for _, path := range paths {
				name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
				t.Run(name, func(t *testing.T) {
					if strings.HasSuffix(path, ".json") {
						readOracles(t, path).run(t)
					} else {
						readTraces(t, path).run(t)
					}
				})
			}
		}
	}
}

// traced is a plan with what another program made of it.
type traced struct {
	plan   *Plan
	score  field64
	d      int
	x0     []float64
	known  *knownTwin                  // nil: nothing is known
	seen   func(step int, x []float64) // makes x what the trace has of it; nil: it is
	draws  func(k int) []float64
	blend  func(step int, x []float64) // after each step, behind the trace; nil: none
	x      func(step int) []float64    // the trace; nil where there is none
	result []float64
	// bounds relative to the largest value: of the twin, of a step and of a run on the device; 0: not on the device
	twin, step, run float64
}

func (c *traced) check(t *testing.T) {
	t.Helper()
	x := append([]float64(nil), c.x0...)
	worst, steps := 0.0, 0
	c.plan.runKnown(c.score, c.known, x, c.d, c.draws, func(step int, _ *row) {
		steps++
		if want := c.x(step); want != nil {
			d := apart(t, c.asSeen(step, x), want)
			if !(d <= c.twin) {
				t.Errorf("step %d of the twin is off by %.3g, allowed %.3g", step, d, c.twin)
			}
			worst = max(worst, d)
		}
		if c.blend != nil {
			c.blend(step, x)
		}
	})
	d := apart(t, x, c.result)
	if !(d <= c.twin) {
		t.Errorf("the twin's result is off by %.3g, allowed %.3g", d, c.twin)
	}
	t.Logf("twin: %d steps, worst %.2g, result %.2g", steps, worst, d)
	if c.run == 0 {
		return
	}
	onDevices(t, c.onDevice)
}

// asSeen is x as the trace has it.
func (c *traced) asSeen(step int, x []float64) []float64 {
	x = append([]float64(nil), x...)
	if c.seen != nil {
		c.seen(step, x)
	}
	return x
}

// device is where a plan runs, with its score in Go.
type device struct {
	name string
	// move takes a score of [model.ScoreFunc] there.
	move func(t *testing.T, s *model.Score)
}

// cpu is where model.ScoreFunc makes scores.
var cpu = device{"cpu", func(*testing.T, *model.Score) {}}

// onDevices runs a test on the CPU and on other devices, where the updates are the device's and the score is computed on
// the host.
func onDevices(t *testing.T, run func(t *testing.T, on device)) {
	run(t, cpu)
	for name, move := range devices {
		run(t, device{name, move})
	}
}

// onDevice runs the plan on a device, first as a whole, then each step from the trace's x.
func (c *traced) onDevice(t *testing.T, on device) {
	n := len(c.x0) / c.d
	draws := 0
	for k := range c.plan.steps {
		if r, draw := c.plan.at(k); r.x.z != 0 || r.y.z != 0 {
			draws = max(draws, draw+1)
		}
	}
	var given []float32
	for k := range draws {
		given = append(given, float32s(c.draws(k))...)
	}
	z := noise{given: given}
	if c.known != nil {
		c.plan.Given(c.known.of...)
		for k := range c.plan.steps {
			for row := range n {
				z.known = append(z.known, float32s(c.known.draws(k, row))...)
			}
		}
	}
	s, err := model.ScoreFunc(n, c.d, c.plan.WorkWords(n, c.d)+len(z.given)+len(z.known), c.score.float32s())
	if err != nil {
		t.Fatal(err)
	}
	on.move(t, s)
	if c.plan.norms != expectedNorm && c.plan.gains() {
		z.gain = c.gainOp(s)
	}
	ladder := model.Ladder(float32s(c.plan.Sigmas))
	chain, err := newChain(s, c.plan, ladder, z)
	if err != nil {
		t.Fatal(err)
	}
	start := func(x []float64) {
		if err := s.Arena.Write(s.X, float32s(x)); err != nil {
			t.Fatal(err)
		}
	}
	start(c.x0)
	got := make([]float32, n*c.d)
	worst := 0.0
	if err := chain.Run(0, func(st Step) error {
		if err := st.Read(got); err != nil {
			return err
		}
		want := c.x(st.K)
		if st.Last {
			want = c.result
		}
		if want == nil {
			return nil
		}
		d := apart(t, c.asSeen(st.K, model.Ladder(got).Float64s()), want)
		if bound := c.run; !(d <= bound) {
			t.Errorf("%s: step %d of the run is off by %.3g, allowed %.3g", on.name, st.K, d, bound)
		}
		worst = max(worst, d)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := apart(t, model.Ladder(readX(t, s)).Float64s(), c.result); !(d <= c.run) {
		t.Errorf("%s: the result is off by %.3g, allowed %.3g", on.name, d, c.run)
	}
	t.Logf("%s: worst of a run %.2g", on.name, worst)

	worst = 0 // now every step begins where the trace does: errors do not add up
	start(c.x0)
	if err := chain.Run(0, func(st Step) error {
		if err := st.Read(got); err != nil {
			return err
		}
		want := c.x(st.K)
		if st.Last {
			want = c.result
		}
		if want == nil {
			return nil
		}
		d := apart(t, c.asSeen(st.K, model.Ladder(got).Float64s()), want)
		if !(d <= c.step) {
			t.Errorf("%s: step %d is off by %.3g, allowed %.3g", on.name, st.K, d, c.step)
		}
		worst = max(worst, d)
		start(want)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s: worst of a step %.2g", on.name, worst)
}

// gainOp computes gains by norms that a sampler here does not use.
func (c *traced) gainOp(s *model.Score) func(l layout, given kernels.Buf) kernels.Op {
	return func(l layout, given kernels.Buf) kernels.Op {
		return kernels.HostFunc{Label: "gain", Reads: []kernels.Buf{s.S, l.state, given, l.gain}, Writes: []kernels.Buf{l.gain},
			F: func(mem []float32) {
				k := int(math.Float32bits(l.state.Of(mem)[kernels.StateStep]))
				r, draw := c.plan.at(k)
				if !r.gain {
					return
				}
				z := given.Slice(draw*s.N*s.D, s.N*s.D)
				gain := make([]float64, s.N)
				c.plan.norms.gains(gain, model.Ladder(s.S.Of(mem)).Float64s(), model.Ladder(z.Of(mem)).Float64s(), s.D)
				copy(l.gain.Of(mem), float32s(gain))
			}}
	}
}

func float32s(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, e := range v {
		out[i] = float32(e)
	}
	return out
}

// oracles is a file of traces of all samplers on one mixture, in float64.
type oracles struct {
	Format  string
	Cases   map[string]map[string]any
	Tensors map[string]struct {
		Shape []int
		Data  []float64
	}
	mix *mixture
}

func readOracles(t *testing.T, path string) *oracles {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f oracles
	if err := json.Unmarshal(text, &f); err != nil || f.Format != "sampler-oracles-1" {
		t.Fatalf("%s: format %q, %v", path, f.Format, err)
	}
	f.mix = &mixture{weights: f.Tensors["mixture.weights"].Data}
	v := f.Tensors["mixture.variances"]
	d := v.Shape[1]
	for k := range f.mix.weights {
		f.mix.means = append(f.mix.means, f.Tensors["mixture.means"].Data[k*d:(k+1)*d])
		if len(v.Shape) == 2 {
			f.mix.cov = append(f.mix.cov, diagonal(v.Data[k*d:(k+1)*d]))
			continue
		}
		c := make([][]float64, d)
		for i := range c {
			c[i] = v.Data[(k*d+i)*d : (k*d+i+1)*d]
		}
		f.mix.cov = append(f.mix.cov, c)
	}
	return &f
}

func (f *oracles) run(t *testing.T) {
	t.Run("eval", f.checkScore)
	names := map[string]bool{}
	for name := range f.Cases {
		names[name] = true
	}
	for name := range f.Tensors {
		if c, ok := strings.CutSuffix(name, ".result"); ok {
			names[c] = true
		}
	}
	for name := range names {
		t.Run(name, func(t *testing.T) {
			switch {
			case strings.HasPrefix(name, "rk45"):
				f.rk45(t, name)
				return
			case name == "likelihood":
				f.likelihood(t)
				return
			case name == "inverse":
				f.inverse(t)
				return
			}
			f.traced(t, name).check(t)
		})
	}
}

// checkScore compares the mixture's own score, on which all rests.
func (f *oracles) checkScore(t *testing.T) {
	x, d := f.Tensors["eval.x"].Data, f.Tensors["eval.x"].Shape[1]
	for j, sigma := range f.Tensors["eval.sigma"].Data {
		got := make([]float64, len(x))
		for n := range len(x) / d {
			f.mix.score(got[n*d:(n+1)*d], x[n*d:(n+1)*d], sigma, 0)
		}
		if e := apart(t, got, f.Tensors["eval.score"].Data[j*len(x):(j+1)*len(x)]); !(e <= 1e-12) {
			t.Errorf("the score at sigma %g is off by %g", sigma, e)
		}
	}
}

// traced returns a case with its plan.
func (f *oracles) traced(t *testing.T, name string) *traced {
	t.Helper()
	number := func(key string) float64 {
		v, ok := f.Cases[name][key].(float64)
		if !ok {
			t.Fatalf("case %s has no number %s", name, key)
		}
		return v
	}
	withoutEnd := func(name string) []float64 { // the levels without the 0 at the end
		s := f.Tensors[name].Data
		return s[:len(s)-1]
	}
	ladder := f.Tensors["ladder"].Data
	size := len(f.Tensors["x0"].Data)
	all := f.Tensors["noise"].Data
	draw := func(k int) []float64 { return all[k*size : (k+1)*size] }
	x := f.Tensors[name+".x"].Data
	c := &traced{score: f.mix.score, d: f.Tensors["x0"].Shape[1], x0: f.Tensors["x0"].Data, result: f.Tensors[name+".result"].Data,
		draws: draw,
		x: func(step int) []float64 {
			if step*size == len(x) {
				return nil
			}
			return x[step*size : (step+1)*size]
		}, twin: 1e-12, step: 2e-5, run: 1e-4}
	o := Defaults(name, true)
	sigmas := ladder
	make1 := func(rows []row) { c.plan = newPlan(o, sigmas, rows) }
	switch sampler := strings.Replace(name, "dpmpp", "dpm++", 1); {
	case name == "ald" || name == "inpaint-ald" || name == "langevin-one-level":
		T, denoise := 16, false
		switch name {
		case "inpaint-ald":
			sigmas = f.Tensors["inpaint.ladder"].Data
			c.draws = func(k int) []float64 { return draw((2*k + 1) % 64) }
			c.known = f.inpainted(t, func(k int) []float64 { return draw(2 * k % 64) })
			fallthrough
		case "ald":
			T, denoise = int(number("T")), true
		default:
			sigmas = []float64{1}
			c.x0 = append([]float64(nil), c.x0...)
			for i := range c.x0 {
				c.x0[i] /= ladder[0]
			}
		}
		end := sigmas[len(sigmas)-1]
		if name == "inpaint-ald" {
			end = ladder[len(ladder)-1] // its step sizes are of the whole ladder
		}
		var alphas []float64
		for _, s := range sigmas {
			alphas = append(alphas, number("epsilon")*s*s/(end*end))
		}
		steps := len(sigmas) * T
		if denoise {
			steps++
		}
		c.plan = &Plan{Sigmas: sigmas, rows: langevinSteps(sigmas, alphas, T, denoise), repeat: T, steps: steps}
	case strings.HasPrefix(name, "consistent"):
		end := ladder[len(ladder)-1]
		q := number("epsilon") / (end * end)
		make1(consistentWith(ladder, name == "consistent-denoised", func(float64) float64 { return q }))
	case name == "pc-predictor-first":
		o.SNR = number("snr")
		var rows []row
		for i, r := range pcSteps(&Settings{Predictor: ReversePredictor}, ladder) {
			r.draw = 2 * i
			rows = append(rows, r)
			if to := next(ladder, i); to > 0 {
				rows = append(rows, row{sigma: to, draw: 2*i + 1, gain: true, x: correct(o.SNR), left: to})
			}
		}
		make1(rows)
		c.plan.norms = rowNorm
	case strings.HasPrefix(name, "pc-") || strings.HasPrefix(name, "predictor-"):
		parts := strings.Split(name, "-")
		o.Predictor = parts[1]
		if parts[0] == "predictor" {
			o.CorrectorSteps = 0
		} else {
			o.SNR = number("snr")
		}
		make1(pcSteps(&o, ladder))
		c.plan.norms = batchNorm
		if len(parts) == 3 {
			c.plan.norms = map[string]normKind{"row": rowNorm, "dim": expectedNorm}[parts[2]]
		}
	case name == "edit":
		k := int(number("k"))
		sigmas = ladder[k+1:] // the trace begins after the first step
		c.x0 = x[:size]
		c.x = func(step int) []float64 { return x[(step+1)*size : (step+2)*size] }
		make1(heunSteps(&Settings{}, sigmas))
	default:
		sigmas = withoutEnd("karras")
		switch name {
		case "guidance":
			w := number("w")
			sampler = "heun"
			c.score = func(dst, x []float64, sigma float64, row int) {
				first := make([]float64, len(x))
				f.mix.score(dst, x, sigma, row)
				f.mix.component(0).score(first, x, sigma, row)
				for i := range dst {
					dst[i] += w * (first[i] - dst[i])
				}
			}
		case "inpaint-heun":
			sampler, c.known = "heun", f.inpainted(t, func(int) []float64 { return draw(0) })
			c.seen = func(step int, x []float64) { // with what is known at the next step's level, which it begins with here
				c.known.fit(x, 0, next(sigmas, step), 0, step == len(sigmas)-1)
			}
		case "heun-churn":
			sampler = "heun"
			o.Churn, o.ChurnMin, o.ChurnMax, o.ChurnNoise = number("churn"), number("tmin"), number("tmax"), number("noise")
		case "dpmpp-2s-ancestral":
			sampler, o.Eta = "dpm++-2s", 1
		case "dpmpp-2m-sde-eta3":
			sampler, o.Eta = "dpm++-2m-sde", number("eta")
		case "dpmpp-2m-sde", "euler-ancestral":
			o.Eta = 1
		case "dpmpp-sde":
			make1(twoStageSDE(sigmas, 1, func(_, _, _ float64) float64 { return 0 }))
			return c
		}
		s := SamplerOf(sampler)
		if s == nil || s.rows == nil {
			t.Fatalf("there is no sampler for the case %s", name)
		}
		make1(s.rows(&o, sigmas))
	}
	if strings.HasPrefix(name, "pc-") || strings.HasPrefix(name, "predictor-") {
		// the trace has the noise of the last step, the result has not
		trace, last := c.x, len(x)/size-1
		c.x = func(step int) []float64 {
			if step == last {
				return nil
			}
			return trace(step)
		}
	}
	if nfe, ok := f.Cases[name]["nfe"].(float64); ok && c.plan.NFE() != int(nfe) {
		t.Errorf("the plan has %d evaluations, the case %g", c.plan.NFE(), nfe)
	}
	return c
}

// rk45 compares every trial step in float64, and the result on the device.
func (f *oracles) rk45(t *testing.T, name string) {
	ladder := f.Tensors["ladder"].Data
	begin, end := ladder[0], ladder[len(ladder)-1]
	d := f.Tensors["x0"].Shape[1]
	size := len(f.Tensors["x0"].Data)
	rowSize := d
	if name == "rk45-batch" { // one norm for the batch: the batch is one row
		rowSize = size
	}
	tol := f.Cases[name]["rtol"].(float64)
	x := append([]float64(nil), f.Tensors["x0"].Data...)
	score := func(dst, x, sigma []float64) error {
		for n := range len(x) / d {
			f.mix.score(dst[n*d:(n+1)*d], x[n*d:(n+1)*d], sigma[n*d/rowSize], 0)
		}
		return nil
	}
	rows, step, done := size/d, 0, false
	twin := newTwinSolver(flow(score), x, rowSize, tol)
	nfe, err := rungeKutta(twin, size/rowSize, begin, end, 0, func(_ int, tr trial, last bool) error {
		done = last
		want := func(what string, n int) float64 { return f.Tensors[name+"."+what].Data[step*rows+n] }
		for n := range rows {
			m := n * d / rowSize
			if tr.h[m] == 0 {
				continue
			}
			accepted := 0.0
			if tr.accepted[m] {
				accepted = 1
			}
			// The first step's error is 1e-5 of the bound: the sum that it is has lost six digits, and the sizes of the
			// steps after it follow the error.
			for _, v := range []struct {
				what     string
				got, tol float64
			}{{"u", tr.u[m], 1e-7}, {"h", tr.h[m], 1e-7}, {"error", tr.err[m], 1e-6}, {"accepted", accepted, 0}} {
				if e := math.Abs(v.got - want(v.what, n)); !(e <= v.tol) {
					t.Errorf("trial %d, row %d: %s is %.12g, expected %.12g", step, n, v.what, v.got, want(v.what, n))
				}
			}
			got, all := twin.at[n*d:(n+1)*d], f.Tensors[name+".x"].Data[step*size:]
			if e := apart(t, got, all[n*d:(n+1)*d]); !(e <= 1e-7) {
				t.Errorf("trial %d, row %d: x is off by %g", step, n, e)
			}
		}
		step++
		return nil
	})
	if err != nil || !done || nfe != int(f.Cases[name]["nfe"].(float64)) {
		t.Errorf("%d evaluations, at the end %t, %v", nfe, done, err)
	}
	if e := apart(t, x, f.Tensors[name+".result"].Data); !(e <= 1e-9) {
		t.Errorf("the result is off by %g", e)
	}
	if name != "rk45-rows" {
		return
	}
	o := Defaults("rk45", true)
	o.Tolerance, o.Denoise = tol, false
	p, err := NewPlan(o, model.Ladder{float32(begin), float32(end)})
	if err != nil {
		t.Fatal(err)
	}
	onDevices(t, func(t *testing.T, on device) {
		s, err := model.ScoreFunc(rows, d, p.WorkWords(rows, d), field64(f.mix.score).float32s())
		if err != nil {
			t.Fatal(err)
		}
		on.move(t, s)
		if err := s.Arena.Write(s.X, float32s(f.Tensors["x0"].Data)); err != nil {
			t.Fatal(err)
		}
		c, err := NewChain(s, p, model.Ladder{float32(begin), float32(end)}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(0, nil); err != nil {
			t.Fatal(err)
		}
		if e := apart(t, model.Ladder(readX(t, s)).Float64s(), f.Tensors[name+".result"].Data); !(e <= 10*tol) {
			t.Errorf("%s: the result is off by %g", on.name, e)
		}
	})
}

// inpainted is what is known of the rows of the cases of in-painting, with its noise in each step.
func (f *oracles) inpainted(t *testing.T, draws func(k int) []float64) *knownTwin {
	y, mask, d := f.Tensors["inpaint.y"].Data, f.Tensors["inpaint.mask"].Data, f.Tensors["inpaint.y"].Shape[1]
	of := func(v []float64, n int) (known []float64) {
		for i, m := range mask {
			if m == 1 {
				known = append(known, v[n*d+i])
			}
		}
		return known
	}
	var rows []Terms
	for i, m := range mask {
		if m == 1 {
			rows = append(rows, Terms{{i, 1}})
		}
	}
	w := &knownTwin{draws: func(k, n int) []float64 { return of(draws(k), n) }}
	for n := range len(y) / d { // along sets of their own, though they are all alike
		w.of = append(w.of, measured(t, d, rows, of(y, n), 0))
	}
	return w
}

// inverse compares what guides a score to a measurement of each row, in float64 and on devices.
func (f *oracles) inverse(t *testing.T) {
	x, a, y, all := f.Tensors["eval.x"].Data, f.Tensors["inverse.A"], f.Tensors["inverse.y"].Data, f.Tensors["inverse.pigdm-gradient"].Data
	d, r := a.Shape[1], a.Shape[0]
	rows := make([]Terms, r)
	for i, w := range a.Data {
		rows[i/d] = append(rows[i/d], Term{i % d, w})
	}
	for n := range len(x) / d {
		m := measured(t, d, rows, y[n*r:(n+1)*r], f.Cases["inverse"]["sigma_y"].(float64))
		at := x[n*d : (n+1)*d]
		for j, sigma := range f.Tensors["eval.sigma"].Data {
			want := all[j*len(x)+n*d : j*len(x)+(n+1)*d]
			s, guided := make([]float64, d), make([]float64, d)
			f.mix.score(s, at, sigma, 0)
			copy(guided, s)
			w := &knownTwin{of: []*Measurement{m}, product: f.mix.product}
			w.guide(guided, at, sigma, 1)
			got := make([]float64, d)
			for i := range got {
				got[i] = guided[i] - s[i]
			}
			if e := apart(t, got, want) * largest(want); !(e <= 1e-12*largest(guided)) {
				t.Errorf("row %d, sigma %g: the twin is off by %g of %g", n, sigma, e, largest(guided))
			}
			p := newPlan(Settings{SigmaData: 1}, []float64{sigma}, []row{{sigma: sigma, ends: true, x: line{s: 1}}})
			p.guided = true
			p.Given(m)
			onDevices(t, func(t *testing.T, on device) {
				score := f.mix.withProduct(t, 1, d, p.WorkWords(1, d), on.move)
				c, err := NewChain(score, p, model.Ladder{float32(sigma)}, 0)
				if err != nil {
					t.Fatal(err)
				}
				if err := score.Arena.Write(score.X, float32s(at)); err != nil {
					t.Fatal(err)
				}
				if err := c.Run(0, nil); err != nil {
					t.Fatal(err)
				}
				if e := apart(t, model.Ladder(readX(t, score)).Float64s(), guided); !(e <= 2e-5) {
					t.Errorf("%s: row %d, sigma %g: the guided score is off by %g", on.name, n, sigma, e)
				}
			})
		}
	}
}

// traces is a file of traces of score_sde, float32, or of the formulas of Karras et al. 2022, float64.
type traces struct {
	meta    map[string]string
	tensors map[string][]float64
	shapes  map[string][]int
	mix     *mixture
}

func readTraces(t *testing.T, path string) *traces {
	t.Helper()
	meta, tensors, err := checkpoint.ReadSafetensors(path)
	if err != nil || meta["format"] != "golden-1" || meta["net"] != "sampler" {
		t.Fatalf("%s: format %q, net %q, %v", path, meta["format"], meta["net"], err)
	}
	f := &traces{meta, map[string][]float64{}, map[string][]int{}, nil}
	for _, nt := range tensors {
		f.shapes[nt.Name] = nt.T.Shape()
		switch v := nt.T.Data().(type) {
		case []float64:
			f.tensors[nt.Name] = v
		case []float32:
			f.tensors[nt.Name] = model.Ladder(v).Float64s()
		case []int64:
			for _, e := range v {
				f.tensors[nt.Name] = append(f.tensors[nt.Name], float64(e))
			}
		}
	}
	d := f.shapes["mix.mean"][1]
	f.mix = &mixture{}
	sum := 0.0
	for _, w := range f.tensors["mix.weight"] {
		sum += w
	}
	for k, w := range f.tensors["mix.weight"] {
		f.mix.weights = append(f.mix.weights, w/sum)
		f.mix.means = append(f.mix.means, f.tensors["mix.mean"][k*d:(k+1)*d])
		v := make([]float64, d)
		for i := range v {
			v[i] = f.tensors["mix.sd"][k] * f.tensors["mix.sd"][k]
		}
		f.mix.cov = append(f.mix.cov, diagonal(v))
	}
	return f
}

func (f *traces) run(t *testing.T) {
	for _, name := range strings.Split(f.meta["cases"], ",") {
		t.Run(name, func(t *testing.T) {
			kind, preserving := f.meta[name+".kind"], false
			switch sde := f.meta[name+".sde"]; sde {
			case "vpsde", "subvpsde":
				preserving = true
			case "vesde", "":
			default:
				t.Fatalf("unknown process %q", sde)
			}
			switch {
			case kind == "edm":
				f.edm(t, name)
			case kind == "pc" && preserving, kind == "inpaint" && preserving:
				f.pcInTime(t, name, kind)
			case kind == "pc", kind == "class", kind == "inpaint", kind == "colorize":
				f.pc(t, name, kind)
			case kind == "ode" && preserving:
				f.odeInTime(t, name)
			case kind == "ode":
				f.ode(t, name)
			case kind == "table" && preserving:
				f.tableInTime(t, name)
			case kind == "table":
				f.table(t, name)
			case kind == "likelihood" && preserving:
				f.likelihoodInTime(t, name)
			case kind == "likelihood":
				f.likelihood(t, name)
			default:
				t.Errorf("unknown kind %q", kind)
			}
		})
	}
}

func (f *traces) number(t *testing.T, key string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(f.meta[key], 64)
	if err != nil {
		t.Fatalf("metadata %s: %v", key, err)
	}
	return v
}

// steps cuts a tensor (steps, ...) in its steps.
func (f *traces) steps(name string) func(i int) []float64 {
	v := f.tensors[name]
	if v == nil {
		return func(int) []float64 { return nil }
	}
	size := len(v) / f.shapes[name][0]
	return func(i int) []float64 { return v[i*size : (i+1)*size] }
}

func (f *traces) edm(t *testing.T, name string) {
	sigmas := f.tensors[name+".sigma"]
	sigmas = sigmas[:len(sigmas)-1]
	if e := apart(t, karras(sigmas[0], sigmas[len(sigmas)-1], len(sigmas), f.number(t, name+".rho")), sigmas); !(e <= 1e-12) {
		t.Errorf("the schedule is off by %g", e)
	}
	o := Settings{Churn: f.number(t, name+".S_churn"), ChurnMin: f.number(t, name+".S_tmin"),
		ChurnMax: f.number(t, name+".S_tmax"), ChurnNoise: f.number(t, name+".S_noise")}
	p := newPlan(o, sigmas, heunSteps(&o, sigmas))
	if p.NFE() != int(f.number(t, name+".nfe")) {
		t.Errorf("%d evaluations", p.NFE())
	}
	var x0 []float64
	for _, z := range f.tensors[name+".z0"] {
		x0 = append(x0, sigmas[0]*z)
	}
	x := f.steps(name + ".x")
	c := &traced{plan: p, score: f.mix.score, d: f.shapes["mix.mean"][1], x0: x0, draws: f.steps(name + ".noise"), x: x,
		result: x(len(sigmas) - 1), twin: 1e-12, step: 2e-5, run: 1e-4}
	c.check(t)
}

// ladder is score_sde's table of sigmas, ascending.
func (f *traces) ladder(t *testing.T, name string) (low, high float64, table []float64) {
	low, high = f.number(t, "sigma_min"), f.number(t, "sigma_max")
	return low, high, geometric(low, high, int(f.number(t, name+".N")))
}

func (f *traces) table(t *testing.T, name string) {
	low, high, table := f.ladder(t, name)
	for i, at := range f.tensors[name+".t"] {
		sigma := low * math.Pow(high/low, at)
		k := int(at * float64(len(table)-1))
		to := 0.0
		if k > 0 {
			to = table[k-1]
		}
		growth := 2 * math.Log(high/low) / float64(len(table))
		for _, c := range []struct {
			what      string
			got, want float64
		}{
			{"std", sigma, f.tensors[name+".std"][i]},
			{"diffusion", predict(EMPredictor, sigma, 0, growth).z * math.Sqrt(float64(len(table))), f.tensors[name+".diffusion"][i]},
			{"G", predict(ReversePredictor, table[k], to, 0).z, f.tensors[name+".G"][i]},
		} {
			if !(math.Abs(c.got-c.want) <= 2e-4*math.Abs(c.want)) { // G is a difference of float32 squares
				t.Errorf("%s at t = %g is %g, expected %g", c.what, at, c.got, c.want)
			}
		}
	}
}

// pc makes the rows of score_sde's predictor-corrector loop, whose network is told sigma(t) where its updates are those
// of the table.
func (f *traces) pc(t *testing.T, name, kind string) {
	low, high, table := f.ladder(t, name)
	snr := f.number(t, name+".snr")
	continuous := f.meta[name+".continuous"] != "false"
	denoise := f.meta[name+".denoise"] != "false"
	n := len(table)
	correctors := int(f.number(t, name+".n_steps"))
	if f.meta[name+".corrector"] == "none" {
		correctors = 0
	}
	var rows []row
	var want, draws, blends [][]float64
	sigmaOf := func(i int) float64 { return low * math.Pow(high/low, f.tensors[name+".t"][i]) }
	last := len(f.tensors[name+".t"]) - 1
	for i := range last + 1 {
		k := n - 1 - i
		told := table[k]
		if continuous {
			told = sigmaOf(i)
		}
		noise := f.steps(name + ".corrector.noise")(i)
		for j := range correctors {
			r := row{sigma: told, draw: len(draws), gain: true, x: correct(snr), left: told}
			if f.meta[name+".corrector"] == "ald" {
				e := 2 * snr * snr * told * told
				r.gain, r.x = false, line{x: 1, s: e, z: math.Sqrt(2 * e)}
			}
			rows, draws = append(rows, r), append(draws, noise[j*len(noise)/correctors:(j+1)*len(noise)/correctors])
			var x []float64
			if j == correctors-1 {
				x = f.steps(name + ".corrector.x")(i)
			}
			want, blends = append(want, x), append(blends, f.steps(name+".corrector.data_noise")(i))
		}
		to := 0.0
		if k > 0 {
			to = table[k-1]
		}
		r := row{sigma: told, draw: len(draws), left: told}
		x := f.steps(name + ".predictor.x")(i)
		switch f.meta[name+".predictor"] {
		case "reverse_diffusion":
			r.x = predict(ReversePredictor, table[k], to, 0)
		case "ancestral_sampling":
			r.x = predict(AncestralPredictor, table[k], to, 0)
		case "euler_maruyama":
			r.x = predict(EMPredictor, told, 0, 2*math.Log(high/low)/float64(n))
		case "none":
			continue
		default:
			t.Fatalf("unknown predictor %q", f.meta[name+".predictor"])
		}
		if f.meta[name+".probability_flow"] == "true" {
			r.x.s, r.x.z = r.x.s/2, 0
		}
		if i == last && denoise && kind == "pc" {
			r.x.z, x = 0, f.steps(name+".predictor.mean")(i)
		}
		rows, draws, want = append(rows, r), append(draws, f.steps(name+".predictor.noise")(i)), append(want, x)
		blends = append(blends, f.steps(name+".predictor.data_noise")(i))
	}
	p := newPlan(Settings{}, []float64{high, low}, rows)
	p.norms = batchNorm
	c := &traced{plan: p, score: f.mix.score, d: f.shapes["mix.mean"][1], x0: f.tensors[name+".x0"],
		draws: func(k int) []float64 { return draws[k] }, x: func(step int) []float64 { return want[step] },
		result: f.tensors[name+".result"], twin: 5e-6, step: 2e-5, run: 1e-4}
	switch kind {
	case "class":
		c.score = func(dst, x []float64, sigma float64, row int) {
			f.mix.component(int(f.tensors["class.class"][row])).score(dst, x, sigma, row)
		}
		c.run = 0
		c.result = want[len(want)-1]
		if m := f.steps(name + ".predictor.mean"); denoise {
			rows[len(rows)-1].x.z = 0
			want[len(want)-1], c.result = m(last), f.tensors[name+".result"]
		}
	case "inpaint", "colorize":
		c.run = 0
		f.knownPart(t, c, name, kind, blends, rows)
	}
	c.check(t)
}

// knownPart blends the known part in after every step, as score_sde does.
func (f *traces) knownPart(t *testing.T, c *traced, name, kind string, blends [][]float64, rows []row) {
	t.Helper()
	data, prior := f.tensors[name+".data"], f.tensors[name+".prior"]
	size := len(data)
	shape := f.shapes[name+".data"] // N, C, H, W
	pixels := shape[2] * shape[3]
	toBasis, fromBasis := func(x []float64) []float64 { return x }, func(x []float64) []float64 { return x }
	mask := f.tensors[name+".mask"]
	c.x0 = make([]float64, size)
	if kind == "colorize" {
		m := f.tensors[name+".M"]
		mix := func(x []float64, inverse bool) []float64 {
			out := make([]float64, size)
			for at := range size {
				image, j, p := at/(3*pixels), at/pixels%3, at%pixels
				for i := range 3 {
					f := m[3*i+j]
					if inverse { // M is orthonormal but for its rounding
						f = m[3*j+i]
					}
					out[at] += x[(3*image+i)*pixels+p] * f
				}
			}
			return out
		}
		toBasis = func(x []float64) []float64 { return mix(x, false) }
		fromBasis = func(x []float64) []float64 { return mix(x, true) }
		mask = make([]float64, size)
		masked := make([]float64, size)
		for at := range size {
			if at/pixels%3 == 0 {
				mask[at] = 1
			}
			masked[at] = prior[at] * (1 - mask[at])
		}
		a, b := toBasis(data), toBasis(masked)
		for i := range a {
			a[i] = a[i]*mask[i] + b[i]
		}
		c.x0 = fromBasis(a)
	} else {
		for i := range c.x0 {
			c.x0[i] = data[i]*mask[i] + prior[i]*(1-mask[i])
		}
	}
	known := toBasis(data)
	c.blend = func(step int, x []float64) {
		v := toBasis(x)
		sigma := rows[step].sigma
		if step == len(rows)-1 && f.meta[name+".denoise"] == "true" {
			sigma = 0
		}
		for i := range v {
			v[i] = v[i]*(1-mask[i]) + (known[i]+sigma*blends[step][i])*mask[i]
		}
		copy(x, fromBasis(v))
	}
}

// ode runs score_sde's ODE sampler: one norm for the batch. Its drift is float32, whose rounding is part of the first
// steps' errors, and step sizes follow errors: the points shift by 1e-3 of t and the last step may be cut, but a drift or a
// method that is wrong ends elsewhere.
func (f *traces) ode(t *testing.T, name string) {
	low, high, table := f.ladder(t, name)
	eps := f.number(t, name+".eps")
	d := f.shapes["mix.mean"][1]
	x := append([]float64(nil), f.tensors[name+".x0"]...)
	score := func(dst, x, sigma []float64) error {
		for n := range len(x) / d {
			f.mix.score(dst[n*d:(n+1)*d], x[n*d:(n+1)*d], sigma[0], 0)
		}
		return nil
	}
	end := low * math.Pow(high/low, eps)
	points := f.steps(name + ".y")
	step := 0
	// Hairer's rule depends on the variable of integration, which is t there: its first step is taken, and the evaluation
	// for it counted.
	first := (f.tensors[name+".t"][0] - f.tensors[name+".t"][1]) * math.Log(high/low)
	twin := newTwinSolver(flow(score), x, len(x), f.number(t, name+".rtol"))
	nfe, err := rungeKutta(twin, 1, high, end, first, func(_ int, tr trial, _ bool) error {
		if tr.accepted[0] {
			step++
			at := (tr.u[0] + tr.h[0] - math.Log(low)) / math.Log(high/low)
			if want := f.tensors[name+".t"][step]; !(math.Abs(at-want) <= 1e-3*want+1e-9) {
				return fmt.Errorf("step %d ends at t = %g, expected %g", step, at, want)
			}
			if e := apart(t, twin.at, points(step)); !(e <= 1e-3) {
				t.Errorf("step %d is off by %g", step, e)
			}
		}
		return nil
	})
	want := int(f.number(t, name+".nfe"))
	if err != nil || nfe+1 != want {
		t.Fatalf("%d evaluations, expected %d: %v", nfe+1, want, err)
	}
	if f.meta[name+".denoise"] == "true" { // a reverse diffusion mean with the table's first sigma
		for i := range x {
			x[i] -= twin.k[0][i] / (end * end) * table[0] * table[0]
		}
	}
	if e := apart(t, x, f.tensors[name+".result"]); !(e <= 5e-5) {
		t.Errorf("the result is off by %g", e)
	}
}
