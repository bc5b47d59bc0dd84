package traincmd

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/preview"
	"sigmaz/kernels"
	"sigmaz/model/checkpoint"
	"sigmaz/sample"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// After the default training on the swiss roll, samples are about as close to the data as two draws of the data are to
// each other, in sliced Wasserstein-1 distance. This goes through everything: data, ladder,
// network, loss, gradient, Adam, moving average, checkpoint, annealed Langevin dynamics.
func TestSwissRollIsLearned(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for half a minute")
	}
	t.Parallel()
	const toy, n, projections = "swissroll", 2000, 256
	dir := t.TempDir()
	if code := New().Execute(context.Background(), []string{"-data", "toy:" + toy, "-runs", dir, "-name", "r",
		"-preview-n", "0"}, cli.Streams{Out: io.Discard, Err: os.Stderr}); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	path, err := train.Latest(filepath.Join(dir, "r"))
	if err != nil {
		t.Fatal(err)
	}
	cp, err := checkpoint.ReadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	c, err := train.ParseConfig(cp.Config)
	if err != nil {
		t.Fatal(err)
	}
	sigmas, err := c.Ladder()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := sample.Options{T: c.Sampling.T, Epsilon: c.Sampling.Epsilon, Denoise: true}.Plan(sigmas)
	if err != nil {
		t.Fatal(err)
	}
	s, err := preview.NewSampler(kernels.NewCPU(0), c.Network, kernels.Float32, sigmas, plan, 11, n)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(cp.Tensors, "ema."); err != nil {
		t.Fatal(err)
	}
	x, err := s.Draw(context.Background(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	draw := func(seed uint64) []float32 {
		data, err := dataset.ToySample(toy, seed, n)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var toData, between float64
	for i := range uint64(5) {
		toData += dataset.SlicedWasserstein(x, draw(1000+i), 2, projections, 1) / 5
	}
	for i := range uint64(20) {
		between += dataset.SlicedWasserstein(draw(2000+2*i), draw(2001+2*i), 2, projections, 1) / 20
	}
	t.Logf("samples to data %.4f, data to data %.4f, ratio %.2f", toData, between, toData/between)
	if !(toData <= 2.5*between) {
		t.Errorf("sliced Wasserstein-1 of samples to data is %.4f, of data to data %.4f: ratio %.2f, expected at most 2.5",
			toData, between, toData/between)
	}
}
