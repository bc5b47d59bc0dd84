package preview

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
)

var (
	images = model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 2}
	points = model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 8, DataSD: 1}
)

// weights is normal numbers of sd 0.1 for every parameter.
func weights(t *testing.T, cfg model.Config, prefix string) []model.Named {
	t.Helper()
	params, err := cfg.Params()
	if err != nil {
		t.Fatal(err)
	}
	var out []model.Named
	for i, p := range params {
		w := make([]float32, p.Shape.TotalSize())
		kernels.Stream{Purpose: kernels.PurposeInit, N: uint64(i)}.Normals(w)
		for j := range w {
			w[j] *= 0.1
		}
		out = append(out, model.Named{Name: prefix + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(w))})
	}
	return out
}

func geometric(t *testing.T, levels int) model.Ladder {
	t.Helper()
	l, err := model.Geometric(2, 1, levels)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestPreviewer(t *testing.T) {
	for _, cfg := range []model.Config{images, points} {
		c := &train.Config{Network: cfg, Sampling: train.Sampling{T: 3, Denoise: true}}
		plan, err := PlanFor(c, geometric(t, 4))
		if err != nil {
			t.Fatal(err)
		}
		if want := 18; plan.NFE() != want {
			t.Errorf("%s: %d evaluations, expected %d", cfg.Net, plan.NFE(), want)
		}
		p, err := New(kernels.NewCPU(0), cfg, kernels.Float32, geometric(t, 4), plan, 5, 5)
		if err != nil {
			t.Fatal(err)
		}
		if cfg.D() == 2 {
			p.Data = []float32{-1, 0, 1, 0, 0, 1}
		}
		w := weights(t, cfg, "ema.")
		path := filepath.Join(t.TempDir(), "a.png")
		var want []byte
		for range 2 { // the same weights give the same file
			if err := p.Write(context.Background(), w, "ema.", path); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if want != nil && !bytes.Equal(got, want) {
				t.Errorf("%s: two previews of the same weights differ", cfg.Net)
			}
			want = got
		}

		// an interrupted preview, missing weights and a chain that runs away leave the old file
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := p.Write(ctx, w, "ema.", path); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: interrupted: %v", cfg.Net, err)
		}
		if err := p.Write(context.Background(), w, "param.", path); err == nil {
			t.Errorf("%s: weights of another name were taken", cfg.Net)
		}
		w[0].T.Float32s()[0] = float32(math.NaN())
		if err := p.Write(context.Background(), w, "ema.", path); err == nil ||
			!strings.Contains(err.Error(), "sample 0 became NaN") {
			t.Errorf("%s: weights that are NaN: %v", cfg.Net, err)
		}
		if got, _ := os.ReadFile(path); !bytes.Equal(got, want) {
			t.Errorf("%s: a failed preview changed the file", cfg.Net)
		}
	}
}

func TestDrawInBatches(t *testing.T) {
	var want []float32
	for _, batch := range []int{1, 3, 7} {
		plan, err := sample.Options{T: 2}.Plan(geometric(t, 3))
		if err != nil {
			t.Fatal(err)
		}
		s, err := NewSampler(kernels.NewCPU(0), images, kernels.Float32, geometric(t, 3), plan, 1, batch)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Load(weights(t, images, ""), ""); err != nil {
			t.Fatal(err)
		}
		steps := 0
		got, err := s.Draw(context.Background(), 7, func(b Batch) error {
			if steps++; b.First%batch != 0 || b.First+b.Rows > 7 || b.Rows < 1 {
				t.Errorf("batch of %d: %+v", batch, b)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if steps != (7+batch-1)/batch*6 {
			t.Errorf("batch of %d: %d steps", batch, steps)
		}
		if want == nil {
			want = got
		}
		if len(got) != 7*64 || !slices.Equal(got, want) {
			t.Errorf("batches of %d give other images than batches of 1", batch)
		}
	}
}

// Sample k is sample k on any number of devices. An error on one of them ends all, with the samples before the first that is
// missing; so does the end of the context.
func TestTeam(t *testing.T) {
	const n = 11
	plan, err := sample.Options{T: 2}.Plan(geometric(t, 3))
	if err != nil {
		t.Fatal(err)
	}
	team := func(devices, batch int) Team {
		t.Helper()
		var list []kernels.Backend
		for range devices {
			list = append(list, kernels.NewCPU(1))
		}
		all, err := NewTeam(list, images, kernels.Float32, geometric(t, 3), plan, 1, n, batch)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if err := s.Load(weights(t, images, ""), ""); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
	want, err := team(1, 4).Draw(context.Background(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ devices, batch, rows, samplers int }{{1, 3, 3, 1}, {2, 3, 3, 2}, {3, 2, 2, 3}, {3, 64, 4, 3}, {20, 64, 1, n}} {
		all := team(c.devices, c.batch)
		if all.Batch() != c.rows || len(all) != c.samplers {
			t.Errorf("%+v: %d samplers of %d rows", c, len(all), all.Batch())
		}
		done := NewTally(all.Batches(n))
		got, err := all.Draw(context.Background(), n, func(b Batch) error {
			if sum := done.Set(b.First/all.Batch(), b.NFE); sum > 6*all.Batches(n) {
				t.Errorf("%+v: %d evaluations", c, sum)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, want) || done.Sum != 6*all.Batches(n) {
			t.Errorf("%+v: other samples than by one device, or %d evaluations (%v)", c, done.Sum, err)
		}
	}

	spoilt := weights(t, images, "")
	spoilt[0].T.Float32s()[0] = float32(math.NaN())
	all := team(3, 1)
	for _, s := range all {
		if err := s.Load(spoilt, ""); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := all.Draw(context.Background(), n, nil); err == nil || !strings.Contains(err.Error(), "became NaN") || len(got) != 0 {
		t.Errorf("NaN on all devices: %d values, %v", len(got), err)
	}

	for _, devices := range []int{1, 3} {
		ctx, cancel := context.WithCancel(context.Background())
		steps := 0
		got, err := team(devices, 1).Draw(ctx, n, func(b Batch) error {
			if steps++; steps == 40 { // of 66
				cancel()
			}
			return nil
		})
		if !errors.Is(err, context.Canceled) || !slices.Equal(got, want[:len(got)]) || devices == 1 && len(got) != 6*64 {
			t.Errorf("interrupted on %d: %d of %d values, %v", devices, len(got), len(want), err)
		}
	}
}

// What a run says of its sampler, and where it does not.
func TestPlanFor(t *testing.T) {
	for _, c := range []struct {
		set  func(c *train.Config)
		want string
	}{
		{func(c *train.Config) {}, sample.Recommended},
		{func(c *train.Config) { c.Sampling.Sampler = sample.Langevin }, sample.Langevin},
		{func(c *train.Config) { c.Init = "a.pth" }, sample.Langevin},
		{func(c *train.Config) { c.Continue = "a.pth" }, sample.Langevin},
		{func(c *train.Config) { c.Network = points }, sample.RecommendedSeeing},
		{func(c *train.Config) { c.Network, c.Sampling.Sampler = points, sample.Langevin }, sample.Langevin},
		{func(c *train.Config) { c.Network.Net, c.Network.Levels = "ncsn", 4 }, sample.Langevin},
	} {
		cfg := &train.Config{Network: images, Sampling: train.Sampling{T: 3}}
		c.set(cfg)
		plan, err := PlanFor(cfg, geometric(t, 4))
		if err != nil || plan.Settings.Sampler != c.want {
			t.Errorf("%+v: %v, expected %s", cfg, err, c.want)
		}
	}
	if SamplerFor(&train.Config{Network: images}, geometric(t, 4), true) != sample.Langevin {
		t.Error("weights of another program have another sampler than Langevin")
	}
	for _, c := range []struct {
		s    train.Sampling
		want string
	}{{train.Sampling{Sampler: sample.Langevin}, "T is 0"},
		{train.Sampling{Sampler: sample.Langevin, T: 1, Epsilon: -1}, "epsilon is -1"}} {
		if _, err := PlanFor(&train.Config{Network: points, Sampling: c.s}, geometric(t, 3)); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: error %v, want one with %q", c.s, err, c.want)
		}
	}
}

// Vectors of any dimension have a picture, with data and without.
func TestPictureOfVectors(t *testing.T) {
	for _, d := range []int{1, 2, 3, 9} {
		x := make([]float32, 50*d)
		kernels.Stream{Purpose: kernels.PurposeData}.Normals(x)
		for _, data := range [][]float32{nil, x[:10*d]} {
			img, err := Picture(model.Config{Net: "mlp", Height: 1, Width: 1, Channels: d}, x, data, nil, 0)
			if err != nil || img.Bounds().Dx() < 100 {
				t.Errorf("%d dimensions: %v", d, err)
			}
		}
	}
}

func TestBatchFor(t *testing.T) {
	for _, cfg := range []model.Config{images, points, {Height: 4096, Width: 4096, Channels: 3, NGF: 128}} {
		if n := BatchFor(cfg); n < 1 || n > 512 {
			t.Errorf("%+v: %d rows", cfg, n)
		}
	}
}
