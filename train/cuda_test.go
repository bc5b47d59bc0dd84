//go:build cgo && !nocuda

// The networks on a CUDA device: golden files and Gorgonia's TapeMachine through testBackends, and here training
// against the CPU. Where no device answers the tests are skipped, unless SIGMAZ_GPU=required promises one.

package train

import (
	"fmt"
	"math"
	"strings"
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
		{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 32, DataSD: 1}, Batch: 33,
			Data: vectors, HeldOut: vectors, Stratified: true, Noise: lognormal(1)},
		{Network: model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 8}, Batch: 4, Data: images,
			HeldOut: images, Stratified: true, Noise: model.Noise{Density: model.LogUniform}},
		{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 32, DataSD: 1, SDE: vp}, Batch: 33,
			Data: vectors, HeldOut: vectors, Stratified: true, Noise: uniformTime, Likelihood: true},
		{Network: model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 8, Parameterization: model.EDM}, Batch: 4,
			Data: images, HeldOut: images, Stratified: true, Noise: lognormal(0.25), ReduceMean: true},
	} {
		t.Run(c.Network.Net+c.Noise.Density+c.Network.Parameterization, func(t *testing.T) {
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
				if !sameBits(got[i].Sigma, want[i].Sigma) || c.Noise.Continuous() != (len(got[i].Sigma) == c.Batch) {
					t.Fatalf("step %d: sigmas %v, expected %v", i, got[i].Sigma, want[i].Sigma)
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

// vp is that process, and uniformTime its noise.
var (
	vp          = model.SDE{Kind: model.VP}.Completed()
	uniformTime = model.Noise{Density: model.UniformTime}
)

// lognormal is that noise for data of deviation sd, with its defaults.
func lognormal(sd float64) model.Noise {
	n := model.Noise{Density: model.LogNormal, SigmaData: sd}
	if err := n.Complete(model.Config{}); err != nil {
		panic(err)
	}
	return n
}

// Data that stays with the host gives the bits of data on the device: losses, held-out loss and all that a checkpoint
// keeps, also of a run that goes on from a step in its middle. The batch is odd; the data is smaller and larger than
// what the device holds of it at a time.
func TestStreamedTraining(t *testing.T) {
	cuda := kerneltest.OpenCUDA(t)
	images := func(n int) *kernels.Data {
		d := &kernels.Data{N: n, H: 4, W: 4, C: 1, U8: make([]byte, n*16)}
		for i := range d.U8 {
			d.U8[i] = byte(i * i * 31 / 64)
		}
		return d
	}
	vectors := &kernels.Data{N: 200, H: 1, W: 1, C: 2, F32: make([]float32, 400)}
	kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(vectors.F32)
	for name, c := range map[string]TrainerConfig{
		"few images": {Network: model.Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 4}, Batch: 3,
			Data: images(7), HeldOut: images(5), Flip: true, Dequantize: true},
		"images": {Network: model.Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 4, Rescaled: true},
			Batch: 3, Data: images(41), HeldOut: images(2), Flip: true, Dequantize: true},
		"vectors": {Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 16, DataSD: 1}, Batch: 5,
			Data: vectors, HeldOut: vectors, Stratified: true},
		"images in parts": {Network: model.Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 4}, Batch: 4, Shards: 2,
			Data: images(41), HeldOut: images(2), Flip: true, Dequantize: true},
		"vectors in parts": {Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 16, DataSD: 1}, Batch: 12,
			Shards: 4, Data: vectors, HeldOut: vectors, Stratified: true},
		"lognormal": {Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 16, DataSD: 1}, Batch: 5,
			Data: vectors, HeldOut: vectors, Stratified: true, Noise: lognormal(1)},
		"loguniform": {Network: model.Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 4}, Batch: 3,
			Data: images(41), HeldOut: images(2), Stratified: true, Noise: model.Noise{Density: model.LogUniform}},
	} {
		t.Run(name, func(t *testing.T) {
			const steps = 11
			c.Sigmas, c.AnnealPower, c.Seed, c.Ring = model.Ladder{1, 0.5, 0.2, 0.1}, 2, 3, steps
			c.Adam = Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
			c.EMARate = 0.99
			start := func(memory DataMemory) *Trainer {
				c.DataMemory = memory
				tr, err := NewTrainer(cuda, c)
				if err != nil {
					t.Fatal(err)
				}
				if tr.placement.Host != (memory == HostMemory) || tr.step == nil {
					t.Fatalf("the data is with the host: %v, with data memory %q", tr.placement.Host, memory)
				}
				return tr
			}
			var held []float64
			walk := func(tr *Trainer, to uint64, evaluate ...uint64) {
				for tr.StepsDone() < to {
					if err := tr.Step(); err != nil {
						t.Fatal(err)
					}
					for _, at := range evaluate {
						if tr.StepsDone() == at {
							loss, _, err := tr.HeldOutLoss(t.Context())
							if err != nil {
								t.Fatal(err)
							}
							held = append(held, loss)
						}
					}
				}
			}
			end := func(tr *Trainer) string {
				records, err := tr.Losses(nil)
				if err != nil {
					t.Fatal(err)
				}
				var text strings.Builder
				for _, r := range records[len(records)-4:] {
					fmt.Fprintln(&text, r.Step, r.Loss, r.Level, r.Sigma)
				}
				state, err := tr.State()
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range state {
					fmt.Fprintf(&text, "%s %x\n", n.Name, n.T.Data())
				}
				return text.String()
			}
			resident := start(DeviceMemory)
			walk(resident, steps, 4, 5)
			want := end(resident)

			streamed := start(HostMemory)
			walk(streamed, steps, 4, 5)
			if end(streamed) != want || held[0] != held[2] || held[1] != held[3] {
				t.Errorf("streamed data has other results; held-out losses %v", held)
			}
			// From the middle of one run to the end of another, and back in time in a trainer that has done more.
			for _, from := range []uint64{1, 7} {
				half := start(HostMemory)
				walk(half, from)
				state, err := half.State()
				if err != nil {
					t.Fatal(err)
				}
				for _, tr := range []*Trainer{start(HostMemory), streamed, start(DeviceMemory)} {
					if err := tr.Restore(from, state); err != nil {
						t.Fatal(err)
					}
					walk(tr, steps)
					if end(tr) != want {
						t.Errorf("a run that goes on at step %d has other results (on the host: %v)", from, tr.placement.Host)
					}
				}
			}
		})
	}
}

// The data lies on the device where it fits beside the training, and else with the host.
func TestPlacement(t *testing.T) {
	b := kerneltest.OpenCUDA(t)
	c := TrainerConfig{Network: model.Config{Net: "ncsnv2", Height: 4, Width: 4, Channels: 1, NGF: 4}, Batch: 3,
		Data: &kernels.Data{N: 600, H: 4, W: 4, C: 1, U8: make([]byte, 600*16)}, Sigmas: model.Ladder{1, 0.1},
		HeldOut: &kernels.Data{N: 10, H: 4, W: 4, C: 1, U8: make([]byte, 160)}, AnnealPower: 2}
	for _, test := range []struct {
		memory DataMemory
		free   int64
		host   bool
	}{
		{"", 9760 * 16 / 15, false}, {AutoMemory, 9760*16/15 - 16, true}, {AutoMemory, -1, true},
		{DeviceMemory, 0, false}, {HostMemory, 1 << 40, true},
	} {
		c.DataMemory = test.memory
		p := c.Place(test.free)
		if p.Host != test.host || p.Data != 9760 || p.Host && (p.Step != 48 || p.Window != 288) {
			t.Errorf("%q, %d bytes free: %+v", test.memory, test.free, p)
		}
	}
	c.DataMemory = "disk"
	if _, err := NewTrainer(b, c); err == nil || err.Error() != `data-memory is "disk": expected auto, device, host` {
		t.Errorf("%v", err)
	}
}
