// The networks that noise stacked into a diffusion led to, against the original: files whose metadata name a process.

package train

import (
	"errors"
	"strings"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model"
)

// sigmas returns the file's table as a ladder.
func (g goldenFile) sigmas(t *testing.T) (ladder model.Ladder) {
	t.Helper()
	for _, s := range g.Tensor(t, "sigmas").Float64s() {
		ladder = append(ladder, float32(s))
	}
	return ladder
}

// runProcess compares the network's score, the loss, the gradients and steps of Adam with a warm-up, clipped gradients and an
// average that warms up. A network is trained in y = x/m with the noise sigma = std/m, where the score is m times that of x.
func (g goldenFile) runProcess(t *testing.T, backend kernels.Backend, file, name string) goldenErrors {
	e := goldenErrors{file: file, backend: name}
	x, z, xt := g.NHWC(t, "x"), g.NHWC(t, "z"), g.NHWC(t, "xt")
	mean, std := g.Floats(t, "mean_coeff"), g.Floats(t, "std")
	mine := make([]float32, len(x))
	for i := range x {
		row := i / (len(x) / len(std))
		mine[i] = float32(mean[row]*x[i]) + float32(std[row]*z[i])
	}
	check(t, "xt", mine, xt, approx.RelMax(1.2e-7))

	tr := g.processTrainer(t, backend)
	loss, err := tr.Gradients()
	if err != nil {
		t.Fatal(err)
	}
	score, err := tr.Score()
	if err != nil {
		t.Fatal(err)
	}
	noise := g.noise(t)
	for i := range score {
		score[i] /= float32(noise[i/(len(score)/len(noise))].mean)
	}
	e.score = check(t, "score", score, g.NHWC(t, "score"), approx.RelMax(scoreTol))
	e.loss = check(t, "loss", []float32{float32(loss)}, g.Floats(t, "loss"), approx.Rel(lossTol))
	idle := map[string]bool{}
	for _, name := range strings.Split(g.Meta["idle"], ",") {
		idle[name] = name != ""
	}
	e.idle = len(idle)
	if e.gradients, err = g.group(t, tr, "grad.", "grad.", approx.RelMax(gradTol), idle, approx.WorstRel); err != nil {
		t.Error(err)
	}
	var largest float64
	for _, nt := range g.Group("grad.", "") {
		largest = max(largest, approx.WorstAbs(nt.T.Float32s(), make([]float32, nt.T.Shape().TotalSize())))
	}
	for name := range idle {
		for _, nt := range g.named(t, tr, "grad.") {
			if nt.Name == "grad."+name {
				check(t, nt.Name, nt.T.Float32s(), make([]float32, nt.T.Shape().TotalSize()), approx.Abs(1e-5*largest))
			}
		}
	}

	if len(g.Group("adam.", "")) == 0 {
		t.Log("the file has no steps of Adam")
		return e
	}
	lr, norms := g.Number(t, "lr"), g.Floats(t, "grad_norms")
	var losses []float32
	for step := range g.Int(t, "adam_steps") {
		loss, err := tr.StepFixed()
		if err != nil {
			t.Fatal(err)
		}
		losses = append(losses, float32(loss))
		norm := make([]float32, 1)
		if err := tr.arena.Read(norm, tr.layout.norm); err != nil {
			t.Fatal(err)
		}
		check(t, "gradient norm", norm, norms[step:step+1], approx.Rel(lossTol))
	}
	e.losses = check(t, "losses", losses, g.Floats(t, "losses"), approx.Rel(lossTol))
	inLR := func(got, want []float32) float64 { return approx.WorstAbs(got, want) / lr }
	var errAdam, errEMA error
	e.adam, errAdam = g.group(t, tr, "param.", "adam.", approx.Abs(paramTol*lr), idle, inLR)
	e.ema, errEMA = g.group(t, tr, "ema.", "ema.", approx.Abs(paramTol*lr), idle, inLR)
	if err := errors.Join(errAdam, errEMA, g.emaMoved(t, tr, idle)); err != nil {
		t.Error(err)
	}
	return e
}

// rowNoise is the process at a row: m, and std/m.
type rowNoise struct{ mean, sigma float64 }

// noise returns that of each row by the file's times, since its std, a difference of float32 numbers, has lost digits. On a
// table it is by its labels.
func (g goldenFile) noise(t *testing.T) (rows []rowNoise) {
	t.Helper()
	sde, sigmas := g.Network(t).SDE, g.sigmas(t)
	if sde.Discrete {
		for _, label := range g.Tensor(t, "labels").Int64s() {
			sigma := float64(sigmas[label])
			rows = append(rows, rowNoise{sde.MeanAt(sigma), sigma})
		}
		return rows
	}
	process, std := sde.On(sigmas), g.Floats(t, "std")
	for i, at := range g.Floats(t, "t") {
		r := rowNoise{process.Mean(float64(at)), process.Sigma(float64(at))}
		if !process.Preserving() {
			r.sigma = float64(std[i])
		}
		check(t, "std", []float32{float32(r.mean * r.sigma)}, std[i:i+1], approx.Rel(1e-4))
		rows = append(rows, r)
	}
	return rows
}

// processTrainer has the file's parameters, its batch and its settings.
func (g goldenFile) processTrainer(t *testing.T, backend kernels.Backend) *Trainer {
	t.Helper()
	network, noise := g.Network(t), model.Noise{Density: model.LogUniform}
	switch {
	case network.SDE.Discrete:
		noise.Density = model.LadderNoise
	case network.SDE.Preserving():
		noise.Density = model.UniformTime
	}
	tr, err := NewTrainer(backend, TrainerConfig{
		Network: network,
		Batch:   g.Int(t, "batch"), Sigmas: g.sigmas(t), AnnealPower: 2, Noise: noise,
		Likelihood: g.Bool("likelihood_weighting"), ReduceMean: g.Bool("reduce_mean"),
		Adam: Adam{LR: g.Number(t, "lr"), Beta1: g.Number(t, "adam_beta1"), Beta2: g.Number(t, "adam_beta2"),
			Eps: g.Number(t, "adam_eps"), Clip: g.Number(t, "grad_clip"), Warmup: uint64(g.Int(t, "warmup"))},
		EMARate: g.Number(t, "ema_rate"), EMAWarmup: g.Bool("ema_warmup"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Load(g.Tensors, "param."); err != nil {
		t.Fatal(err)
	}
	rows := g.noise(t)
	levels, sigmas, y := make([]int, len(rows)), make([]float32, len(rows)), g.NHWC(t, "xt")
	for i, r := range rows {
		sigmas[i] = float32(r.sigma)
		if network.SDE.Discrete {
			levels[i] = int(g.Tensor(t, "labels").Int64s()[i])
		}
	}
	for i := range y {
		y[i] = float32(float64(y[i]) / rows[i/(len(y)/len(rows))].mean)
	}
	if err := errors.Join(tr.SetBatch(y, g.NHWC(t, "z"), levels),
		tr.arena.Write(tr.plan.Buf(tr.net.Sigma), sigmas)); err != nil {
		t.Fatal(err)
	}
	return tr
}
