package sample

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model"
)

// product writes v^T times the Hessian of the log density, sum_k r_k ((v g_k) g_k - (C_k + sigma^2)^-1 v) - (v s) s.
func (m *mixture) product(dst, x, v []float64, sigma float64) {
	d := len(x)
	grads := m.grads(d)
	logs := m.logDensities(grads, x, sigma)
	s := make([]float64, d)
	m.score(s, x, sigma, 0)
	dot := func(a, b []float64) (sum float64) {
		for i := range a {
			sum += a[i] * b[i]
		}
		return sum
	}
	total, _ := m.logDensity(x, sigma)
	solved, at := make([]float64, d), make([]float64, d)
	for i := range dst {
		dst[i] = -dot(v, s) * s[i]
	}
	for k, g := range grads {
		r := math.Exp(logs[k] - total)
		for i := range at {
			at[i] = m.means[k][i] - v[i]
		}
		m.component(k).score(solved, at, sigma, 0)
		for i := range dst {
			dst[i] += r * (dot(v, g)*g[i] - solved[i])
		}
	}
}

// logDensity returns the log density and each component's part of it.
func (m *mixture) logDensity(x []float64, sigma float64) (sum float64, logs []float64) {
	logs = m.logDensities(m.grads(len(x)), x, sigma)
	most := math.Inf(-1)
	for _, l := range logs {
		most = max(most, l)
	}
	for _, l := range logs {
		sum += math.Exp(l - most)
	}
	return most + math.Log(sum), logs
}

// traced is the mixture's score with its exact trace, in float64.
func (m *mixture) traced(s, trace, x, sigma []float64) error {
	d := len(x) / len(sigma)
	v, product := make([]float64, d), make([]float64, d)
	for n, sigma := range sigma {
		row := x[n*d : (n+1)*d]
		m.score(s[n*d:(n+1)*d], row, sigma, 0)
		trace[n] = 0
		for i := range v {
			clear(v)
			v[i] = 1
			m.product(product, row, v, sigma)
			trace[n] += product[i]
		}
	}
	return nil
}

// likelihoodWords are enough for any likelihood.
func likelihoodWords(n, d int) int { return newODELayout(n, d, exactTrace).words }

// logLikelihood computes all paths of rows, in batches of the score's.
func logLikelihood(s *model.Score, p model.Process, x []float32, first uint32, o LikelihoodSettings) (*Likelihood, error) {
	l, err := NewLikelihoodSolver(s, p, o)
	all := &Likelihood{}
	for paths := len(x) / s.D * o.Probes; err == nil && len(all.LogP) < paths; {
		var r *Likelihood
		if r, err = l.Run(x, first, len(all.LogP), min(s.N, paths-len(all.LogP)), nil); err == nil {
			all = &Likelihood{append(all.LogP, r.LogP...), append(all.Latent, r.Latent...), max(all.NFE, r.NFE)}
		}
	}
	return all, err
}

// withProduct makes a Score of the mixture with V and VJ, and with work words for a sampler.
func (m *mixture) withProduct(t *testing.T, n, d, work int, move func(*testing.T, *model.Score)) *model.Score {
	t.Helper()
	s, err := model.ScoreFunc(n, d, work+2*n*d, field64(m.score).float32s())
	if err != nil {
		t.Fatal(err)
	}
	s.V, s.VJ, s.Work = s.Work.Slice(work, n*d), s.Work.Slice(work+n*d, n*d), s.Work.Slice(0, work)
	s.Ops = append(s.Ops, kernels.HostFunc{Label: "product", Reads: []kernels.Buf{s.X, s.V, s.Sigma},
		Writes: []kernels.Buf{s.VJ}, F: func(mem []float32) {
			product := make([]float64, d)
			for i, sigma := range s.Sigma.Of(mem) {
				row := func(b kernels.Buf) []float32 { return b.Of(mem)[i*d : (i+1)*d] }
				m.product(product, model.Ladder(row(s.X)).Float64s(), model.Ladder(row(s.V)).Float64s(), float64(sigma))
				copy(row(s.VJ), float32s(product))
			}
		}})
	if move != nil {
		move(t, s)
	}
	return s
}

// onAll runs a test of a mixture's likelihood on every device.
func onAll(t *testing.T, test func(t *testing.T, move func(*testing.T, *model.Score))) {
	t.Run("cpu", func(t *testing.T) { test(t, nil) })
	for name, move := range devices {
		t.Run(name, func(t *testing.T) { test(t, move) })
	}
}

// likelihood compares with the ODE of another program, in float64, and on the device.
func (f *oracles) likelihood(t *testing.T) {
	x, d := f.Tensors["likelihood.x"].Data, f.Tensors["likelihood.x"].Shape[1]
	ladder := f.Tensors["ladder"].Data
	low, high := ladder[len(ladder)-1], f.Cases["likelihood"]["sigma_max"].(float64)
	end := append([]float64(nil), x...)
	got, nfe, err := twinLikelihood(f.mix.traced, end, d, low, high, high, 1e-9)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d evaluations, off by %.2g", nfe, apart(t, got, f.Tensors["likelihood.trace"].Data))
	if e := apart(t, got, f.Tensors["likelihood.trace"].Data); !(e <= 1e-8) {
		t.Errorf("log p is off by %g: %v, expected %v", e, got, f.Tensors["likelihood.trace"].Data)
	}
	if e := apart(t, end, f.Tensors["likelihood.latent"].Data); !(e <= 1e-8) {
		t.Errorf("x at sigma_1 is off by %g", e)
	}
	exact := make([]float64, len(got))
	for n := range got { // the mixture itself in the place of N(0, sigma_1^2)
		row := end[n*d : (n+1)*d]
		p, _ := f.mix.logDensity(row, high)
		got[n] += p - logPrior(row, high)
		exact[n], _ = f.mix.logDensity(x[n*d:(n+1)*d], low)
	}
	for name, want := range map[string][]float64{"likelihood.trace-true-prior": got, "likelihood.exact": exact} {
		for _, w := range [][]float64{want, f.Tensors["likelihood.exact"].Data} {
			if e := apart(t, w, f.Tensors[name].Data); !(e <= 4e-8) {
				t.Errorf("%s is off by %g", name, e)
			}
		}
	}
	onAll(t, func(t *testing.T, move func(*testing.T, *model.Score)) {
		s := f.mix.withProduct(t, len(x)/d, d, likelihoodWords(len(x)/d, d), move)
		o := DefaultLikelihood(d)
		r, err := logLikelihood(s, model.SDE{}.On(model.Ladder{float32(high), float32(low)}), float32s(x), 0, o)
		if err != nil {
			t.Fatal(err)
		}
		square := 0.0
		for n, v := range r.LogP {
			square += math.Pow(v-f.Tensors["likelihood.trace"].Data[n], 2)
		}
		rms := math.Sqrt(square / float64(len(r.LogP)))
		t.Logf("%d evaluations at tolerance %g, rms %.2g nats", r.NFE, o.Tolerance, rms)
		if !(rms <= 1e-3) || r.NFE > 200 {
			t.Errorf("rms error %g nats in %d evaluations", rms, r.NFE)
		}
	})
}

// likelihood compares with score_sde, whose one probe is recorded; it integrates in another variable, t, and rounds the
// divergence to float32.
func (f *traces) likelihood(t *testing.T, name string) {
	d := f.shapes["mix.mean"][1]
	probes, images := f.tensors[name+".epsilon"], f.tensors[name+".data"]
	low, high, _ := f.ladder(t, name)
	low *= math.Pow(high/low, f.number(t, name+".eps"))
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
	end := append([]float64(nil), images...)
	got, _, err := twinLikelihood(score, end, d, low, high, high, f.number(t, name+".rtol"))
	if err != nil {
		t.Fatal(err)
	}
	if e := apart(t, end, f.tensors[name+".z"]); !(e <= 1e-4) {
		t.Errorf("x at sigma_1 is off by %g", e)
	}
	for n, v := range got {
		bits := BitsPerDim(v, d, 1)
		if want := f.tensors[name+".bpd"][n]; !(math.Abs(bits-want) <= 1e-3) {
			t.Errorf("image %d: %.6f bits a value, expected %.6f", n, bits, want)
		}
	}
}

// The likelihood of a Gaussian in the plane, with its own density at sigma_1 in the place of N(0, sigma_1^2 I).
func TestLikelihoodOfGaussian(t *testing.T) {
	m := &mixture{weights: []float64{1}, means: [][]float64{{0.3, -0.2}}, cov: [][][]float64{{{0.25, 0.12}, {0.12, 0.09}}}}
	x := []float32{0.3, -0.2, 1, 0.1, -0.5, 0.4, 0, 0}
	onAll(t, func(t *testing.T, move func(*testing.T, *model.Score)) {
		s := m.withProduct(t, 4, 2, likelihoodWords(4, 2), move)
		o := DefaultLikelihood(2)
		o.Tolerance = 1e-6
		r, err := logLikelihood(s, model.SDE{}.On(model.Ladder{100, 0.01}), x, 0, o)
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for n, got := range r.LogP {
			want, _ := m.logDensity(model.Ladder(x[2*n:2*n+2]).Float64s(), float64(float32(0.01)))
			end := r.Latent[2*n : 2*n+2]
			prior, _ := m.logDensity(end, 100)
			sum += math.Abs(got-logPrior(end, 100)+prior-want) / 4
		}
		t.Logf("%d evaluations, mean error %.2g nats", r.NFE, sum)
		if !(sum <= 5e-5) {
			t.Errorf("the mean error is %g nats", sum)
		}
	})
}

// Probes are right on average: one Rademacher probe has a deviation of 1.9 nats at these points, two rows of a Hadamard matrix
// 1.2, and eight rows are exact. A result depends on its row's number
// and on no batch.
func TestProbes(t *testing.T) {
	f := readOracles(t, "testdata/sampler-oracles.json")
	const d, draws = 8, 12
	points, want := f.Tensors["likelihood.x"].Data, f.Tensors["likelihood.trace"].Data
	ladder := model.Ladder{float32(f.Cases["likelihood"]["sigma_max"].(float64)), 0.02}
	run := func(batch int, x []float32, first uint32, o LikelihoodSettings) []float64 {
		t.Helper()
		r, err := logLikelihood(f.mix.withProduct(t, batch, d, likelihoodWords(batch, d), nil), model.SDE{}.On(ladder), x, first, o)
		if err != nil {
			t.Fatal(err)
		}
		return r.LogP
	}
	var x []float32
	for range draws {
		x = append(x, float32s(points)...)
	}
	for _, c := range []struct {
		probe  string
		probes int
		lo, hi float64
	}{
		{RademacherProbe, 1, 1.3, 2.6}, {HadamardProbe, 2, 0.8, 1.6}, {HadamardProbe, 8, 0, 1e-3},
	} {
		o := LikelihoodSettings{Probe: c.probe, Probes: c.probes, Tolerance: 1e-3, Seed: 7}
		x := x
		if c.probes == 8 {
			o.Tolerance, x = 1e-5, x[:4*d]
		}
		all := RowMeans(run(len(x)/d, x, 0, o), c.probes)
		var mean, square float64
		for n, v := range all {
			e := v - want[n%4]
			mean += e / float64(len(all))
			square += e * e / float64(len(all))
		}
		sd := math.Sqrt(square)
		t.Logf("%d %s: mean error %.3f, deviation %.3f", c.probes, c.probe, mean, sd)
		if !(sd >= c.lo && sd <= c.hi) || !(math.Abs(mean) <= 4*sd/math.Sqrt(float64(len(all)))+1e-2) {
			t.Errorf("%d %s: mean error %g, deviation %g", c.probes, c.probe, mean, sd)
		}
	}
	o := LikelihoodSettings{Probe: RademacherProbe, Probes: 3, Tolerance: 1e-3, Seed: 7}
	whole := run(5, x[:4*d], 10, o)
	for n, got := range run(1, x[2*d:3*d], 12, o) {
		if got != whole[2*3+n] {
			t.Errorf("probe %d of row 12 alone gives %g, among others %g", n, got, whole[2*3+n])
		}
	}
	if other := run(1, x[2*d:3*d], 13, o); other[0] == whole[6] && other[1] == whole[7] {
		t.Error("row 13 has the probes of row 12")
	}
}

// initialWeights are a number of times the initial weights of a network.
func initialWeights(t *testing.T, cfg model.Config, times float32) (weights model.NamedSet) {
	t.Helper()
	params, err := cfg.Params()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range params {
		w := make([]float32, p.Shape.TotalSize())
		p.Init(w, kernels.Stream{Seed: 3, Purpose: kernels.PurposeInit, N: uint64(i)})
		for j := range w {
			w[j] *= times
		}
		weights = append(weights, model.Named{Name: p.Name, T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(w))})
	}
	return weights
}

// The product that Gorgonia's gradient gives is that of finite differences, on every device.
func TestVectorJacobian(t *testing.T) {
	backends := map[string]func(*testing.T) kernels.Backend{
		"cpu": func(*testing.T) kernels.Backend { return kernels.NewCPU(2) }}
	for name, open := range openDevices {
		backends[name] = open
	}
	const n, d = 5, 3
	cfg := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: d, Hidden: 24, DataSD: 0.7}
	weights := initialWeights(t, cfg, 3)
	sigmas := []float32{0.05, 0.1, 0.5, 2, 20}
	results := map[string][]float32{}
	for name, open := range backends {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			s, err := model.NewScoreFor(b, cfg, model.Jacobian, kernels.Float32, n, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.LoadFrom(weights, ""); err != nil {
				t.Fatal(err)
			}
			program, err := b.Compile(s.Arena, s.Ops)
			if err != nil {
				t.Fatal(err)
			}
			x, v := make([]float32, n*d), make([]float32, n*d)
			kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(x)
			kernels.Stream{Seed: 2, Purpose: kernels.PurposeData}.Normals(v)
			run := func(x []float32, of kernels.Buf) []float32 {
				out := make([]float32, n*d)
				for _, w := range []error{s.Arena.Write(s.X, x), s.Arena.Write(s.V, v),
					s.Arena.Write(s.Sigma, sigmas), program.Run(), s.Arena.Read(out, of)} {
					if w != nil {
						t.Fatal(w)
					}
				}
				return out
			}
			got := run(x, s.VJ)
			results[name] = got
			const h = 1.0 / 16
			for i := range d {
				up, down := append([]float32(nil), x...), append([]float32(nil), x...)
				for r := range n {
					up[r*d+i] += h * sigmas[r]
					down[r*d+i] -= h * sigmas[r]
				}
				above, below := run(up, s.S), run(down, s.S)
				for r := range n {
					want, size := 0.0, 0.0
					for j := range d {
						diff := (float64(above[r*d+j]) - float64(below[r*d+j])) / float64(up[r*d+i]-down[r*d+i])
						want += float64(v[r*d+j]) * diff
						size += math.Abs(float64(v[r*d+j]) * diff)
					}
					if e := math.Abs(float64(got[r*d+i]) - want); !(e <= 1e-3*size) || size == 0 {
						t.Errorf("row %d, value %d: the product is %g, by differences %g", r, i, got[r*d+i], want)
					}
				}
			}
			fresh, err := model.NewScore(b, cfg, kernels.Float32, n, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := fresh.LoadFrom(weights, ""); err != nil {
				t.Fatal(err)
			}
			with := run(x, s.S)
			s = fresh
			if program, err = b.Compile(s.Arena, s.Ops); err != nil {
				t.Fatal(err)
			}
			for _, w := range []error{s.Arena.Write(s.X, x), s.Arena.Write(s.Sigma, sigmas), program.Run()} {
				if w != nil {
					t.Fatal(w)
				}
			}
			alone := make([]float32, n*d)
			if err := s.Arena.Read(alone, s.S); err != nil {
				t.Fatal(err)
			}
			for i := range alone {
				if alone[i] != with[i] {
					t.Fatalf("the score is %g with its product, %g without", with[i], alone[i])
				}
			}
		})
	}
	for name, got := range results {
		for i, v := range got {
			if w := results["cpu"][i]; !(math.Abs(float64(v-w)) <= 1e-4*math.Abs(float64(w))+1e-4) {
				t.Errorf("%s: value %d is %g, on the CPU %g", name, i, v, w)
			}
		}
	}
}

// Bits a value of 8-bit images are the entropy of what they were drawn from, and dequantisation adds what it must.
func TestBitsPerDim(t *testing.T) {
	const d, n, sd = 4, 200, 0.1
	pixels := make([]uint8, n*d)
	z := make([]float32, n*d)
	kernels.Stream{Seed: 5, Purpose: kernels.PurposeData}.Normals(z)
	for i, v := range z {
		pixels[i] = uint8(min(255, max(0, math.Floor(256*(0.5+sd*float64(v))))))
	}
	x := Dequantize(pixels, d, 0, 3)
	mean := 0.0
	for i, v := range x {
		u := 256*float64(v) - float64(pixels[i])
		if u < 0 || u > 1 {
			t.Fatalf("pixel %d becomes %g", pixels[i], 256*v)
		}
		mean += u / float64(len(x))
	}
	if math.Abs(mean-0.5) > 0.05 {
		t.Errorf("the mean of u is %g", mean)
	}
	for i, v := range Dequantize(pixels[d:3*d], d, 1, 3) {
		if v != x[d+i] {
			t.Fatal("an image's u depends on its batch")
		}
	}
	m := &mixture{weights: []float64{1}, means: [][]float64{{0.5, 0.5, 0.5, 0.5}},
		cov: [][][]float64{diagonal([]float64{sd * sd, sd * sd, sd * sd, sd * sd})}}
	r, err := logLikelihood(m.withProduct(t, 50, d, likelihoodWords(50, d), nil), model.SDE{}.On(model.Ladder{50, 0.001}), x, 0,
		DefaultLikelihood(d))
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultLikelihood(d)
	s := o.Summarize(r.LogP, d)
	got, e := BitsPerDim(s.Mean, d, 1), s.OfRows/(d*math.Ln2)
	want := math.Log2(sd*math.Sqrt(2*math.Pi*math.E)) + 8
	t.Logf("%.3f +- %.3f bits a value, expected %.3f", got, e, want)
	if !(math.Abs(got-want) <= 4*e) || !(e < 0.05) {
		t.Errorf("%.3f +- %.3f bits a value, expected %.3f", got, e, want)
	}
	// The same density in the units of [-1,1]: log p falls by ln 2 a value, the bits stay.
	if scaled := BitsPerDim(s.Mean-d*math.Ln2, d, 2); math.Abs(scaled-got) > 1e-12 {
		t.Errorf("%g bits a value in [-1,1]", scaled)
	}
}

func TestSummarize(t *testing.T) {
	o := LikelihoodSettings{Probe: RademacherProbe, Probes: 2}
	s := o.Summarize([]float64{1, 3, 5, 7}, 4) // rows 2 and 6
	if s.Mean != 4 || s.Rows != 2 || s.OfRows != 2 || math.Abs(s.OfProbe-math.Sqrt(2)/2) > 1e-15 {
		t.Errorf("%+v", s)
	}
	o.Probe = HadamardProbe
	if s := o.Summarize([]float64{1, 3, 5, 7}, 4); math.Abs(s.OfProbe-0.5) > 1e-15 {
		t.Errorf("2 of 4 orthogonal probes: %+v", s)
	}
	o.Probes = 1
	if s := o.Summarize([]float64{1}, 4); !math.IsNaN(s.OfRows) || !math.IsNaN(s.OfProbe) {
		t.Errorf("%+v", s)
	}
}

func TestLikelihoodRefusals(t *testing.T) {
	ladder := model.Ladder{10, 1, 0.1}
	for net, want := range map[string]string{"mlp": "", "ncsnv2": "does not see sigma", "ncsnv2deepest": "does not see sigma",
		"ncsn": "knows noise only as one of the 3 levels"} {
		err := JudgeLikelihood(model.Config{Net: net}, ladder)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", net, err, want)
		}
	}
	if err := JudgeLikelihood(model.Config{Net: "mlp"}, ladder[:1]); err == nil {
		t.Error("a ladder of one level is taken")
	}
	if _, err := model.NewScoreFor(kernels.NewCPU(1), model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 8},
		model.Jacobian, kernels.Float32, 1, 0); err == nil || !strings.Contains(err.Error(), "not told sigma") {
		t.Errorf("a Jacobian of ncsnv2: %v", err)
	}
	for want, o := range map[string]LikelihoodSettings{
		"tolerance is 1e-09": {Probe: ExactTrace, Probes: 1, Tolerance: 1e-9},
		"tolerance is 1":     {Probe: ExactTrace, Probes: 1, Tolerance: 1},
		"tolerance is NaN":   {Probe: ExactTrace, Probes: 1, Tolerance: math.NaN()},
		"probes is 0":        {Probe: RademacherProbe, Probes: 0, Tolerance: 1e-5},
		"probes is 2, and":   {Probe: ExactTrace, Probes: 2, Tolerance: 1e-5},
		"probes is 9":        {Probe: HadamardProbe, Probes: 9, Tolerance: 1e-5},
	} {
		if err := o.Check(8); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%+v: %v, expected %q", o, err, want)
		}
	}
	stop := fmt.Errorf("stop")
	m := &mixture{weights: []float64{1}, means: [][]float64{{0, 0}}, cov: [][][]float64{diagonal([]float64{1, 1})}}
	l, err := NewLikelihoodSolver(m.withProduct(t, 1, 2, likelihoodWords(1, 2), nil), model.SDE{}.On(ladder), DefaultLikelihood(2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Run(make([]float32, 4), 0, 1, 1, func() error { return stop }); err != stop {
		t.Errorf("the callback's error became %v", err)
	}
}
