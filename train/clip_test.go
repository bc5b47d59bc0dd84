// Clipped gradients and the warm-up of the learning rate.

package train

import (
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// clipped is a trainer's configuration, of a network whose gradients have norms above and below 20.
func clipped() TrainerConfig {
	data := &kernels.Data{N: 6, H: 4, W: 4, C: 1, U8: make([]byte, 96)}
	for i := range data.U8 {
		data.U8[i] = byte(i * i * 7)
	}
	return TrainerConfig{Network: model.Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 4}, Batch: 3,
		Sigmas: smallLadder, AnnealPower: 2, EMARate: 0.9, EMAWarmup: true, Data: data, Ring: 12, Seed: 3,
		Adam: Adam{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 20, Warmup: 4}}
}

// windowOf returns the values of a window of a trainer.
func windowOf(t *testing.T, tr *Trainer, b kernels.Buf) []float32 {
	t.Helper()
	v := make([]float32, b.N)
	if err := tr.arena.Read(v, b); err != nil {
		t.Fatal(err)
	}
	return v
}

func steps(t *testing.T, b kernels.Backend, c TrainerConfig, n int) *Trainer {
	t.Helper()
	tr, err := NewTrainer(b, c)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		if err := tr.Step(); err != nil {
			t.Fatal(err)
		}
	}
	return tr
}

// Parameters and average after steps of a warm-up, some clipped, some not, are those of the formulas in float64 on the same
// gradients.
func TestClipAndWarmup(t *testing.T) {
	for _, b := range testBackends {
		t.Run(b.name, func(t *testing.T) {
			c := clipped()
			tr := steps(t, b.open(t), c, 0)
			l, a := &tr.layout, c.Adam
			var theta, ema []float64
			for _, p := range windowOf(t, tr, l.params) {
				theta, ema = append(theta, float64(p)), append(ema, float64(p))
			}
			first := windowOf(t, tr, l.params)
			m, v := make([]float64, len(theta)), make([]float64, len(theta))
			above, below := 0, 0
			for n := range 12 {
				if err := tr.Step(); err != nil {
					t.Fatal(err)
				}
				if n == 0 && !slices.Equal(windowOf(t, tr, l.params), first) {
					t.Error("the first step of a warm-up moved a parameter: its rate is 0")
				}
				grads, sum := windowOf(t, tr, l.grads), 0.0
				for _, g := range grads {
					sum += float64(g) * float64(g)
				}
				norm := math.Sqrt(sum)
				if got := float64(windowOf(t, tr, l.norm)[0]); math.Abs(got-norm) > 1e-6*norm {
					t.Errorf("step %d: norm %g, expected %g", n, got, norm)
				}
				if norm > a.Clip {
					above++
				} else {
					below++
				}
				steps := float64(n + 1)
				lr, factor := a.LR*min(float64(n)/float64(a.Warmup), 1), min(1, a.Clip/(norm+1e-6))
				rate := min(c.EMARate, (1+steps)/(10+steps))
				for i, grad := range grads {
					g := factor * float64(grad)
					m[i] = a.Beta1*m[i] + (1-a.Beta1)*g
					v[i] = a.Beta2*v[i] + (1-a.Beta2)*g*g
					theta[i] -= lr * m[i] / (1 - math.Pow(a.Beta1, steps)) /
						(math.Sqrt(v[i]/(1-math.Pow(a.Beta2, steps))) + a.Eps)
					ema[i] = rate*ema[i] + (1-rate)*theta[i]
				}
			}
			worst := 0.0
			for i, p := range windowOf(t, tr, l.params) {
				worst = max(worst, math.Abs(float64(p)-theta[i])/a.LR)
			}
			for i, p := range windowOf(t, tr, l.ema) {
				worst = max(worst, math.Abs(float64(p)-ema[i])/a.LR)
			}
			t.Logf("%d steps clipped, %d not; worst error %.2g learning rates", above, below, worst)
			if worst > paramTol || above == 0 || below == 0 {
				t.Errorf("worst error %g learning rates, %d steps clipped, %d not", worst, above, below)
			}
		})
	}
}

// The bits are the same for any number of workers, after a stop in the middle of the warm-up, and where neither setting does
// anything the same as without.
func TestClipBits(t *testing.T) {
	for _, b := range testBackends {
		t.Run(b.name, func(t *testing.T) {
			c := clipped()
			want := steps(t, b.open(t), c, 6)
			state := func(tr *Trainer) [][]float32 {
				l := &tr.layout
				return [][]float32{windowOf(t, tr, l.params), windowOf(t, tr, l.m), windowOf(t, tr, l.v), windowOf(t, tr, l.ema)}
			}
			same := func(what string, a, b *Trainer) {
				t.Helper()
				for i, v := range state(a) {
					if !slices.Equal(v, state(b)[i]) {
						t.Errorf("%s: group %d has other bits", what, i)
					}
				}
			}
			if b.name == "cpu" {
				same("one worker", steps(t, kernels.NewCPU(1), c, 6), want)
				same("five workers", steps(t, kernels.NewCPU(5), c, 6), want)
			}
			half := steps(t, b.open(t), c, 2)
			saved, err := half.State()
			if err != nil {
				t.Fatal(err)
			}
			again := steps(t, b.open(t), c, 0)
			if err := again.Restore(2, saved); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				if err := again.Step(); err != nil {
					t.Fatal(err)
				}
			}
			same("stopped and resumed", again, want)
			off, idle := c, c
			off.Adam.Clip, off.Adam.Warmup = 0, 0
			idle.Adam.Clip, idle.Adam.Warmup = 1e30, 0
			same("clipped at 1e30", steps(t, b.open(t), idle, 6), steps(t, b.open(t), off, 6))
		})
	}
}
