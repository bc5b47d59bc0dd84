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

// trains says whether the file's process is one that training has: variance exploding, with sigma drawn by a density.
func (g goldenFile) trains() bool { return g.Process() == "vesde" && g.Bool("continuous") }

// sigmas returns the file's table as a ladder.
func (g goldenFile) sigmas(t *testing.T) (ladder model.Ladder) {
	t.Helper()
	for _, s := range g.Tensor(t, "sigmas").Float64s() {
		ladder = append(ladder, float32(s))
	}
	return ladder
}

// runProcess compares the output of the network alone, and where training has the file's process the loss, the gradients
// and steps of Adam with a warm-up, clipped gradients and an average that warms up.
func (g goldenFile) runProcess(t *testing.T, backend kernels.Backend, file, name string) goldenErrors {
	e := goldenErrors{file: file, backend: name}
	e.score = g.checkOutput(t, backend)
	x, z, xt := g.NHWC(t, "x"), g.NHWC(t, "z"), g.NHWC(t, "xt")
	mean, std := g.Floats(t, "mean_coeff"), g.Floats(t, "std")
	mine := make([]float32, len(x))
	for i := range x {
		row := i / (len(x) / len(std))
		mine[i] = float32(mean[row]*x[i]) + float32(std[row]*z[i])
	}
	check(t, "xt", mine, xt, approx.RelMax(1.2e-7))
	if !g.trains() {
		t.Logf("the output agrees; %s (continuous %s) is no process of training yet: loss, gradients and Adam are not compared",
			g.Process(), g.Meta["continuous"])
		return e
	}

	tr := g.processTrainer(t, backend)
	loss, err := tr.Gradients()
	if err != nil {
		t.Fatal(err)
	}
	score, err := tr.Score()
	if err != nil {
		t.Fatal(err)
	}
	check(t, "score", score, g.NHWC(t, "score"), approx.RelMax(scoreTol))
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

// checkOutput compares the network's output for the file's images, told what the file says it is told. A division by the
// sigmas of a table that the network looks up by a label is done here.
func (g goldenFile) checkOutput(t *testing.T, backend kernels.Backend) float64 {
	t.Helper()
	c, n := g.Network(t), g.Int(t, "batch")
	byLabel := c.UNet.ScaleBySigma && !g.Bool("continuous")
	c.UNet.ScaleBySigma = c.UNet.ScaleBySigma && !byLabel
	s, err := model.NewScore(backend, c, kernels.Float32, n, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(g.Tensors, "param."); err != nil {
		t.Fatal(err)
	}
	program, err := backend.Compile(s.Arena, s.Ops)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, s.S.N)
	if err := errors.Join(s.Arena.Write(s.X, g.NHWC(t, "xt")), s.Arena.Write(s.Sigma, g.Floats(t, "cond")), program.Run(),
		s.Arena.Read(out, s.S)); err != nil {
		t.Fatal(err)
	}
	if byLabel {
		sigmas, labels := g.sigmas(t), g.Tensor(t, "labels").Int64s()
		for i := range out {
			out[i] /= sigmas[labels[i/s.D]]
		}
	}
	return check(t, "out", out, g.NHWC(t, "out"), approx.RelMax(scoreTol))
}

// processTrainer has the file's parameters, its batch and its settings.
func (g goldenFile) processTrainer(t *testing.T, backend kernels.Backend) *Trainer {
	t.Helper()
	tr, err := NewTrainer(backend, TrainerConfig{
		Network: g.Network(t),
		Batch:   g.Int(t, "batch"), Sigmas: g.sigmas(t), AnnealPower: 2, Noise: model.Noise{Density: model.LogUniform},
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
	levels := make([]int, g.Int(t, "batch")) // of no meaning here
	if err := errors.Join(tr.SetBatch(g.NHWC(t, "xt"), g.NHWC(t, "z"), levels),
		tr.arena.Write(tr.plan.Buf(tr.net.Sigma), g.Floats(t, "std"))); err != nil {
		t.Fatal(err)
	}
	return tr
}
