//go:build cgo && !nocuda

// The networks on a CUDA device: golden files and Gorgonia's TapeMachine through testBackends, and here training
// against the CPU. Where no device answers the tests are skipped, unless SIGMAZ_GPU=required promises one.

package train

import (
	"fmt"
	"math"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
	"sigmaz/model"
)

func init() { testBackends = append(testBackends, testBackend{"cuda", kerneltest.OpenCUDA}) }

// 50 steps from the data set to the moving average, and the held-out loss, against the CPU: losses within 1e-4,
// parameters within one learning rate.
func TestTrainingAgreesWithCPU(t *testing.T) {
	cuda := kerneltest.OpenCUDA(t)
	images := &kernels.Data{N: 11, H: 8, W: 8, C: 1, U8: make([]byte, 11*64)}
	for i := range images.U8 {
		images.U8[i] = byte(i * i * 31 / 64)
	}
	vectors := &kernels.Data{N: 40, H: 1, W: 1, C: 2, F32: make([]float32, 80)}
	kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(vectors.F32)
	for _, c := range []TrainerConfig{
		{Network: model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 8}, Batch: 4, Data: images,
			HeldOut: images, Flip: true, Dequantize: true},
		{Network: model.Config{Net: "ncsn", Height: 8, Width: 8, Channels: 1, NGF: 4, Levels: 4, Rescaled: true},
			Batch: 4, Data: images, HeldOut: images, Dequantize: true},
		{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 32, DataSD: 1}, Batch: 33,
			Data: vectors, HeldOut: vectors, Stratified: true},
	} {
		t.Run(c.Network.Net, func(t *testing.T) {
			const steps, lr = 50, 1e-3
			c.Sigmas, c.AnnealPower, c.Seed, c.Ring = model.Ladder{1, 0.5, 0.2, 0.1}, 2, 3, 10
			c.Adam = Adam{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
			c.EMARate = 0.99
			run := func(b kernels.Backend) (losses []LossRecord, params, ema []float32, held float64) {
				tr, err := NewTrainer(b, c)
				if err != nil {
					t.Fatal(err)
				}
				for range steps {
					if err := tr.Step(); err != nil {
						t.Fatal(err)
					}
					if tr.StepsDone()%10 == 0 {
						if losses, err = tr.Losses(losses); err != nil {
							t.Fatal(err)
						}
					}
				}
				if held, _, err = tr.HeldOutLoss(t.Context()); err != nil {
					t.Fatal(err)
				}
				params, ema = make([]float32, tr.layout.params.N), make([]float32, tr.layout.params.N)
				if tr.arena.Read(params, tr.layout.params) != nil || tr.arena.Read(ema, tr.layout.ema) != nil {
					t.Fatal("cannot read the parameters")
				}
				return losses, params, ema, held
			}
			got, params, ema, held := run(cuda)
			want, wantParams, wantEMA, wantHeld := run(kernels.NewCPU(0))
			if len(got) != steps || len(want) != steps {
				t.Fatalf("%d and %d records of %d steps", len(got), len(want), steps)
			}
			worst := 0.0
			for i := range want {
				if fmt.Sprint(got[i].Level) != fmt.Sprint(want[i].Level) {
					t.Fatalf("step %d: levels %v, expected %v", i, got[i].Level, want[i].Level)
				}
				worst = math.Max(worst, math.Abs(got[i].Mean()/want[i].Mean()-1))
			}
			worst = math.Max(worst, math.Abs(held/wantHeld-1))
			if !(worst <= 1e-4) {
				t.Errorf("a loss is off by %.1e", worst)
			}
			var off float64
			for i := range wantParams {
				off = math.Max(off, math.Max(math.Abs(float64(params[i]-wantParams[i])),
					math.Abs(float64(ema[i]-wantEMA[i]))))
			}
			if !(off <= lr) {
				t.Errorf("a parameter is off by %.2f lr", off/lr)
			}
			t.Logf("loss %.4g to %.4g within %.1e, parameters within %.1e lr", want[0].Mean(), want[steps-1].Mean(),
				worst, off/lr)
		})
	}
}
