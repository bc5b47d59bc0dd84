package train

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// Losses by bins of ln sigma, a case small enough to see: a bin is half a unit wide, and begins at a multiple of it.
func TestBins(t *testing.T) {
	mean := 0.0
	n := model.Noise{Density: model.LogNormal, PMean: &mean, PStd: 0.1, SigmaData: 1}
	w := newLossWindow(n, model.SDE{}, model.Ladder{2, 1})
	// ln sigma of 1, 1.6, 1.7, 0.99 is 0, 0.47, 0.53, -0.01
	if loss, err := w.add(LossRecord{Step: 1, Loss: []float32{1, 2, 6, 7}, Sigma: []float32{1, 1.6, 1.7, 0.99}}); loss != 4 || err != nil {
		t.Errorf("the loss is %g, error %v: expected 4", loss, err)
	}
	if _, err := w.add(LossRecord{Step: 2, Loss: []float32{9, 3}, Sigma: []float32{0.7, 1.64}}); err != nil {
		t.Error(err)
	}
	b, err := json.Marshal(w.levels())
	if want := `{"ln_sigma":[-0.5,0,0.5],"count":[2,3,1],"loss":[8,2,6]}`; string(b) != want || err != nil {
		t.Errorf("the bins are %s, error %v: expected %s", b, err, want)
	}
	_, err = w.add(LossRecord{Step: 3, Loss: []float32{float32(math.NaN())}, Sigma: []float32{0.5}})
	if want := "the loss is NaN at step 3, sigma 0.5"; err == nil || err.Error() != want {
		t.Errorf("error %v: expected %q", err, want)
	}
	// A window of other bins is not taken.
	wide := n
	wide.PStd = 0.5
	if _, err := newLossWindow(wide, model.SDE{}, model.Ladder{2, 1}).restore(w.tensors()); err == nil {
		t.Error("bins of another density were taken")
	}
}

// mixture is two points of the plane with Gaussians about them, whose score is known at every sigma.
var mixture = struct {
	weight, mean, sd float64
}{0.7, 1, 0.3}

// mixtureScore writes the score of the mixture with noise sigma at x.
func mixtureScore(dst, x []float32, sigma float64) {
	v := mixture.sd*mixture.sd + sigma*sigma
	var logs, density [2]float64
	for k, m := range []float64{mixture.mean, -mixture.mean} {
		dx, dy := float64(x[0])-m, float64(x[1])-m
		logs[k] = math.Log([]float64{mixture.weight, 1 - mixture.weight}[k]) - (dx*dx+dy*dy)/(2*v)
	}
	top := max(logs[0], logs[1])
	sum := 0.0
	for k := range logs {
		density[k] = math.Exp(logs[k] - top)
		sum += density[k]
	}
	m := mixture.mean * (density[0] - density[1]) / sum
	dst[0], dst[1] = float32((m-float64(x[0]))/v), float32((m-float64(x[1]))/v)
}

// Between the levels of a coarse ladder the score of networks that were trained with a density of sigma is near the exact
// one, at least as near as that of a network trained on the levels, at the same cost.
func TestScoreBetweenLevels(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for half a minute")
	}
	t.Parallel()
	const rows, test = 20_000, 4000
	points := func(n int, which uint64) []float32 {
		x := make([]float32, 2*n)
		kernels.Stream{Seed: 3, Purpose: kernels.PurposeData, N: 2 * which}.Normals(x)
		u := make([]float32, n)
		kernels.Stream{Seed: 3, Purpose: kernels.PurposeData, N: 2*which + 1}.Uniforms(u)
		for i := range x {
			m := -mixture.mean
			if float64(u[i/2]) <= mixture.weight {
				m = mixture.mean
			}
			x[i] = float32(m + mixture.sd*float64(x[i]))
		}
		return x
	}
	data := &kernels.Data{N: rows, H: 1, W: 1, C: 2, F32: points(rows, 0)}
	ladder, err := model.Geometric(4, 0.05, 5)
	if err != nil {
		t.Fatal(err)
	}
	b := kernels.NewCPU(0)
	defer b.Close()
	clean, noise := points(test, 1), make([]float32, 2*test)
	// errorsOf trains and returns the root mean square of sigma (s - exact) at sigmas between the levels.
	errorsOf := func(n model.Noise, network model.Config) (errors []float64) {
		network.Net, network.Height, network.Width, network.Channels, network.Hidden = "mlp", 1, 1, 2, 64
		network.DataSD = deviation(data)
		network.CompleteWrap(n.Density)
		c := TrainerConfig{Network: network,
			Batch: 256, Sigmas: ladder, Noise: n, AnnealPower: 2, Adam: Adam{LR: 2e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			EMARate: 0.999, EMAWarmup: true, Data: data, Seed: 1, Stratified: true, Ring: 4000}
		if err := c.Noise.Complete(c.Network); err != nil {
			t.Fatal(err)
		}
		tr, err := NewTrainer(b, c)
		if err != nil {
			t.Fatal(err)
		}
		for range 4000 {
			if err := tr.Step(); err != nil {
				t.Fatal(err)
			}
		}
		weights, err := tr.Named(tr.Averaged())
		if err != nil {
			t.Fatal(err)
		}
		s, err := model.NewScore(b, c.Network, kernels.Float32, test, 0)
		if err == nil {
			err = s.Load(weights, tr.Averaged())
		}
		if err != nil {
			t.Fatal(err)
		}
		run, err := b.Compile(s.Arena, s.Ops)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ladder[1:] {
			sigma := float32(math.Sqrt(float64(ladder[i]) * float64(ladder[i+1])))
			kernels.Stream{Seed: 3, Purpose: kernels.PurposeNoise, N: uint64(i)}.Normals(noise)
			x, sigmas := slices.Clone(clean), make([]float32, test)
			for j := range x {
				x[j] += sigma * noise[j]
				sigmas[j/2] = sigma
			}
			got := make([]float32, 2*test)
			for _, err := range []error{s.Arena.Write(s.X, x), s.Arena.Write(s.Sigma, sigmas), run.Run(), s.Arena.Read(got, s.S)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			var exact [2]float32
			sum := 0.0
			for j := 0; j < 2*test; j += 2 {
				mixtureScore(exact[:], x[j:], float64(sigma))
				for k, e := range exact {
					d := float64(sigma) * float64(got[j+k]-e)
					sum += d * d / (2 * test)
				}
			}
			errors = append(errors, math.Sqrt(sum))
		}
		return errors
	}
	rms := func(v []float64) float64 {
		sum := 0.0
		for _, x := range v {
			sum += x * x / float64(len(v))
		}
		return math.Sqrt(sum)
	}
	levels := errorsOf(model.Noise{}, model.Config{})
	t.Logf("ladder: sigma (s - exact) between the levels %.4f, together %.4f", levels, rms(levels))
	mean := model.Noise{Density: model.LogNormal, SigmaData: deviation(data)}
	if err := mean.Complete(model.Config{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		noise   model.Noise
		network model.Config
		bound   float64
	}{
		{"loguniform", model.Noise{Density: model.LogUniform}, model.Config{}, rms(levels)},
		{"lognormal with weight 1", model.Noise{Density: model.LogNormal, PMean: mean.PMean, SigmaData: 1000}, model.Config{},
			rms(levels)},
		// Processes have their noise at other sigmas, up to 152, and a network of EDM its loss where it matters.
		{"edm", mean, model.Config{Parameterization: model.EDM}, rms(levels)},
		{"vp", model.Noise{Density: model.UniformTime}, model.Config{SDE: model.SDE{Kind: model.VP}}, 0.06},
		{"subvp", model.Noise{Density: model.UniformTime}, model.Config{SDE: model.SDE{Kind: model.SubVP}}, 0.06},
		// The weight grows as sigma^2, which suits an output that is scaled down as much (Karras et al. 2022, table 1): to this
		// one, large sigma is nearly all of the loss.
		{"lognormal", mean, model.Config{}, 0.25},
	} {
		e := errorsOf(c.noise, c.network)
		t.Logf("%s: %.4f, together %.4f", c.name, e, rms(e))
		if !(rms(e) <= c.bound) {
			t.Errorf("%s: off by %.4f of the noise's size between the levels, the ladder by %.4f: expected at most %.4f",
				c.name, rms(e), rms(levels), c.bound)
		}
	}
}

// The trainer draws by the density, one sigma from each of B equal parts, and weighs by the table: zero weights have the
// loss 1/2 w |z|^2. The draws of a step are the same in a trainer that begins there.
func TestTrainerDrawsByDensity(t *testing.T) {
	const batch, steps = 16, 5
	c, d := tiny("mlp")
	ladder, err := c.Ladder()
	if err != nil {
		t.Fatal(err)
	}
	mean := -0.3
	for _, n := range []model.Noise{
		{Density: model.LogUniform}, {Density: model.LogNormal, PMean: &mean, PStd: 0.8, SigmaData: 0.7},
	} {
		tc := TrainerConfig{Network: c.Network, Batch: batch, Sigmas: ladder, Noise: n, AnnealPower: 2, Data: d.Train, HeldOut: d.HeldOut,
			Seed: 9, Stratified: true, Ring: steps, Adam: Adam{LR: 1e-30, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}}
		b := kernels.NewCPU(2)
		defer b.Close()
		tr, err := NewTrainer(b, tc)
		if err != nil {
			t.Fatal(err)
		}
		if err := tr.arena.Write(tr.layout.params, make([]float32, tr.layout.params.N)); err != nil {
			t.Fatal(err)
		}
		for range steps {
			if err := tr.Step(); err != nil {
				t.Fatal(err)
			}
		}
		records, err := tr.Losses(nil)
		if err != nil || len(records) != steps {
			t.Fatalf("%d records, error %v", len(records), err)
		}
		state, err := tr.State()
		if err != nil {
			t.Fatal(err)
		}
		again, err := NewTrainer(b, tc)
		if err == nil {
			err = again.Restore(steps-1, state)
		}
		if err == nil {
			err = again.Step()
		}
		if err != nil {
			t.Fatal(err)
		}
		if last, err := again.Losses(nil); err != nil || !sameBits(last[0].Sigma, records[steps-1].Sigma) {
			t.Errorf("%s: a trainer that begins at the last step draws %v, error %v; expected %v", n.Density, last[0].Sigma, err,
				records[steps-1].Sigma)
		}
		for k, r := range records {
			for row, sigma := range r.Sigma {
				s := float64(sigma)
				u := math.Log(s/ladder.Begin()) / math.Log(ladder.End()/ladder.Begin())
				w := 1.0
				if n.Density == model.LogNormal {
					u = 0.5 * math.Erfc((math.Log(s)-mean)/0.8/math.Sqrt2)
					w = (s*s + 0.49) / 0.49
				}
				if u *= batch; u < float64(row)-1e-4 || u > float64(row+1)+1e-4 {
					t.Errorf("%s: row %d of step %d has sigma %g of part %.3f", n.Density, row, k, s, u)
				}
				var z [2]float32
				kernels.Stream{Seed: 9, Purpose: kernels.PurposeNoise, N: uint64(k*batch + row)}.Normals(z[:])
				want := 0.5 * w * (float64(z[0])*float64(z[0]) + float64(z[1])*float64(z[1]))
				if math.Abs(float64(r.Loss[row])/want-1) > 1e-5 {
					t.Errorf("%s: row %d of step %d at sigma %g has loss %.7g, expected %.7g", n.Density, row, k, s, r.Loss[row], want)
				}
			}
		}
		// Held out are the levels, with weight 1.
		full, perLevel, err := tr.HeldOutLoss(t.Context())
		if err != nil || len(perLevel) != len(ladder) || !(full > 0.4 && full < 2.5) {
			t.Errorf("%s: the held-out loss is %g, %v, error %v", n.Density, full, perLevel, err)
		}
	}
}
