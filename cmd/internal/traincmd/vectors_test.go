package traincmd

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/preview"
	"sigmaz/kernels"
	"sigmaz/model/checkpoint"
	"sigmaz/sample"
	"sigmaz/train"
)

// A table of five correlated columns, of very different units, is learned with the settings that a table gets: means,
// variances and correlations of 2,000 samples agree with the data's within 1.5 times the sampling error of 2,000
// draws, the range in which 95 of 100 draws of rows of the data lie; and on the whole, as their root mean square in
// standard errors, within 1.5. This goes through everything: reading, scaler, training, checkpoint, annealed Langevin
// dynamics, and the scaler undone.
func TestTableIsLearned(t *testing.T) {
	if testing.Short() {
		t.Skip("trains for half a minute")
	}
	t.Parallel()
	const rows, n, d = 5000, 2000, 5
	data := make([]float64, 0, rows*d)
	z := make([]float32, 6)
	text := strings.Builder{}
	text.WriteString("height,weight,income,debt,age\n")
	for i := range rows {
		kernels.Stream{Seed: 20, Purpose: kernels.PurposeData, N: uint64(i)}.Normals(z)
		u := func(k int) float64 { return float64(z[k]) }
		common := 0.6 * u(5)
		x := [d]float64{
			1.7 + 0.1*(u(0)+common),
			7e4 + 1e4*(0.8*u(0)+0.6*u(1)+common),
			3000 + 500*(u(2)-common),
			-1e6 - 2e5*(0.9*(u(2)-common)+0.4*u(3)), // correlated with income by about -0.94
			0.004 * u(4),
		}
		fmt.Fprintf(&text, "%.12g,%.12g,%.12g,%.12g,%.12g\n", x[0], x[1], x[2], x[3], x[4])
		data = append(data, x[:]...)
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "people.csv")
	if err := os.WriteFile(file, []byte(text.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	if code := New().Execute(context.Background(), []string{"-data", file, "-runs", dir, "-name", "r", "-preview-n", "0"},
		cli.Streams{Out: io.Discard, Err: os.Stderr}); code != 0 {
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
	if c.Preset != "vectors" || c.Scaler == nil || strings.Join(c.Scaler.Columns, ",") != "height,weight,income,debt,age" {
		t.Fatalf("preset %s, scaler %+v", c.Preset, c.Scaler)
	}
	sigmas, err := c.Ladder()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := sample.Options{T: c.Sampling.T, Epsilon: c.Sampling.Epsilon, Denoise: true}.Plan(sigmas)
	if err != nil {
		t.Fatal(err)
	}
	s, err := preview.NewSampler(kernels.NewCPU(0), c.Network, kernels.Float32, sigmas, plan, 3, n/4)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Load(cp.Tensors, "ema."); err != nil {
		t.Fatal(err)
	}
	y, err := s.Draw(context.Background(), n, nil)
	if err != nil {
		t.Fatal(err)
	}
	x := c.Scaler.Undo(y)

	// The standard error of each number, by drawing rows of the data.
	const draws = 200
	want, got := moments(data, d), moments(x, d)
	se := make([]float64, len(want))
	drawn := make([]float64, 0, n*d)
	for k := range draws {
		drawn = drawn[:0]
		for i := range n {
			r := int(uint64(kernels.Stream{Seed: 21, Purpose: kernels.PurposeData, N: uint64(k)}.Word(i)) * rows >> 32)
			drawn = append(drawn, data[r*d:(r+1)*d]...)
		}
		for j, v := range moments(drawn, d) {
			se[j] += (v - want[j]) * (v - want[j]) / draws
		}
	}
	square := 0.0
	for j := range want {
		e := math.Sqrt(se[j])
		off := (got[j] - want[j]) / e
		square += off * off / float64(len(want))
		if !(math.Abs(off) <= 1.5*1.96) {
			t.Errorf("%s of samples %.6g, of the data %.6g: off by %.2f standard errors", momentName(j, d), got[j], want[j], off)
		}
	}
	t.Logf("root mean square of all %d differences: %.2f standard errors", len(want), math.Sqrt(square))
	if !(math.Sqrt(square) <= 1.5) {
		t.Errorf("means, variances and correlations are off by %.2f standard errors (root mean square), expected at most 1.5",
			math.Sqrt(square))
	}
}

// moments is the d means, d variances and d(d-1)/2 correlations of the columns of x (n, d).
func moments(x []float64, d int) []float64 {
	n := float64(len(x) / d)
	out := make([]float64, 2*d, 2*d+d*(d-1)/2)
	for i, v := range x {
		out[i%d] += v / n
	}
	covariance := make([]float64, d*d)
	for i := 0; i < len(x); i += d {
		for a := range d {
			for b := range a + 1 {
				covariance[a*d+b] += (x[i+a] - out[a]) * (x[i+b] - out[b]) / n
			}
		}
	}
	for a := range d {
		out[d+a] = covariance[a*d+a]
	}
	for a := range d {
		for b := range a {
			out = append(out, covariance[a*d+b]/math.Sqrt(out[d+a]*out[d+b]))
		}
	}
	return out
}

func momentName(j, d int) string {
	switch {
	case j < d:
		return fmt.Sprintf("the mean of column %d", j+1)
	case j < 2*d:
		return fmt.Sprintf("the variance of column %d", j-d+1)
	}
	return fmt.Sprintf("correlation %d", j-2*d+1)
}
