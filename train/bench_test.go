// How fast a training step is.

package train

import (
	"fmt"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// BenchmarkStep is a whole training step of NCSNv2, perturbation to Adam. A backward pass counts as two forward ones.
func BenchmarkStep(b *testing.B) {
	for _, c := range []struct {
		ngf, size, channels, batch int
	}{{8, 28, 1, 32}, {16, 28, 1, 32}, {64, 28, 1, 32}, {128, 32, 3, 16}} {
		name := fmt.Sprintf("ngf %d, %dx%dx%d, batch %d", c.ngf, c.size, c.size, c.channels, c.batch)
		b.Run(name, func(b *testing.B) {
			cfg := model.Config{Net: "ncsnv2", Height: c.size, Width: c.size, Channels: c.channels, NGF: c.ngf}
			data := &kernels.Data{N: 64, H: c.size, W: c.size, C: c.channels, U8: make([]byte, 64*cfg.D())}
			for i := range data.U8 {
				data.U8[i] = byte(i * i)
			}
			sigmas, err := model.Geometric(10, 0.01, 40)
			if err != nil {
				b.Fatal(err)
			}
			t, err := NewTrainer(kernels.NewCPU(0), TrainerConfig{
				Network: cfg, Batch: c.batch, Sigmas: sigmas, AnnealPower: 2,
				Adam: Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, EMARate: 0.999, Data: data, Ring: 1})
			if err != nil {
				b.Fatal(err)
			}
			info, err := model.Describe(cfg)
			if err != nil {
				b.Fatal(err)
			}
			var records []LossRecord
			for b.Loop() {
				if err := t.Step(); err != nil {
					b.Fatal(err)
				}
				if records, err = t.Losses(records[:0]); err != nil {
					b.Fatal(err)
				}
			}
			flops := 6 * float64(info.MACs) * float64(c.batch) * float64(b.N)
			b.ReportMetric(flops/b.Elapsed().Seconds()/1e9, "GFLOP/s")
			b.ReportMetric(float64(c.batch*b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
