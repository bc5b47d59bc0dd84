//go:build cgo && !nocuda

package train

import (
	"math"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
	"sigmaz/model"
)

// A U-Net with every kind of layer on a CUDA device, in every precision, with dropout and clipped gradients: losses and
// gradients are near those of the CPU in float32, and what is computed twice has the same bits.
func TestUNetOnCUDA(t *testing.T) {
	cuda := kerneltest.OpenCUDA(t)
	const batch, steps = 4, 2
	train := func(b kernels.Backend, precision kernels.Precision) ([]float64, *Trainer) {
		tr, err := NewTrainer(b, TrainerConfig{
			Network: model.Config{Net: "ncsnpp", Height: 8, Width: 8, Channels: 1, NGF: 32, UNet: model.UNet{ChMult: "1,2",
				ResBlocks: 1, Attention: "4", Dropout: 0.1, FIR: true, SkipRescale: true, Progressive: "output_skip",
				ProgressiveInput: "residual", ScaleBySigma: true, InitScale: 1}},
			Precision: precision, Batch: batch, Data: bars(), Sigmas: model.Ladder{2, 1, 0.5, 0.25}, AnnealPower: 2, Seed: 1,
			Noise: model.Noise{Density: model.LogUniform}, Stratified: true, Ring: steps,
			Adam: Adam{LR: 1e-4, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1, Warmup: 1}})
		if err != nil {
			t.Fatal(err)
		}
		for range steps {
			if err := tr.Step(); err != nil {
				t.Fatal(err)
			}
		}
		records, err := tr.Losses(nil)
		if err != nil {
			t.Fatal(err)
		}
		var losses []float64
		for _, r := range records {
			losses = append(losses, r.Mean())
		}
		return losses, tr
	}
	want, _ := train(kernels.NewCPU(0), kernels.Float32)
	for _, c := range []struct {
		precision kernels.Precision
		off       float64 // of the loss
	}{{kernels.Float32, 1e-5}, {kernels.TF32, 2e-3}, {kernels.BF16, 2e-2}} {
		t.Run(string(c.precision), func(t *testing.T) {
			got, tr := train(cuda, c.precision)
			for i := range want {
				if e := math.Abs(got[i]/want[i] - 1); !(e <= c.off) {
					t.Errorf("step %d: loss %g, on the CPU %g: off by %.1e", i+1, got[i], want[i], e)
				}
			}
			t.Logf("losses %g, on the CPU %g", got, want)
			_, again := train(cuda, c.precision)
			first, err := tr.Named("param.")
			if err != nil {
				t.Fatal(err)
			}
			second, err := again.Named("param.")
			if err != nil {
				t.Fatal(err)
			}
			if err := sameTensors(second, first); err != nil {
				t.Errorf("a second training: %v", err)
			}
		})
	}
}
