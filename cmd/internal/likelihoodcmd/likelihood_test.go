package likelihoodcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

func TestHelp(t *testing.T) { clitest.Check(t, New) }

// writeRun writes a checkpoint of untrained weights for vectors of two values and returns its name.
func writeRun(t *testing.T, scaler *dataset.Scaler) string {
	t.Helper()
	c := &train.Config{Data: "toy:moons", Seed: 1, Batch: 1, Steps: 1, LogEvery: 1, Scaler: scaler,
		Network:  model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 8, DataSD: 1},
		Sigma:    train.Sigma{Begin: train.SigmaEnd{Value: 10}, End: train.SigmaEnd{Value: 0.1}, Levels: 3},
		Sampling: train.Sampling{T: 4, Epsilon: 0.01, Denoise: true}}
	params, err := c.Network.Params()
	if err != nil {
		t.Fatal(err)
	}
	ck := &checkpoint.Checkpoint{Step: 7, Seed: c.Seed, Config: c.YAML()}
	for i, p := range params {
		w := make([]float32, p.Shape.TotalSize())
		p.Init(w, kernels.Stream{Purpose: kernels.PurposeInit, N: uint64(i)})
		ck.Tensors = append(ck.Tensors, model.Named{Name: "ema." + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(w))})
	}
	path := filepath.Join(t.TempDir(), "step-0000007.safetensors")
	if err := ck.Write(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func call(t *testing.T, args ...string) Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.json")
	c := New()
	if err := c.Parse(append(args, "-json", path)); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := c.Run(context.Background(), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &out, Data: os.Stdout}); err != nil {
		t.Fatal(err)
	}
	var r Report
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("log p %.4f", r.Nats); !strings.HasPrefix(out.String(), want) {
		t.Errorf("output %q does not begin with %q", out.String(), want)
	}
	return r
}

// Densities are in the data's own units: those of standardised rows, less the logarithm of what a unit of these spans.
func TestOwnUnits(t *testing.T) {
	root := []float64{0.9, 0.3, 0.3, 0.9}
	for _, s := range []*dataset.Scaler{
		{Mean: []float64{5, -1e6}, SD: []float64{3, 0.25}},
		{Mean: []float64{5, -1e6}, SD: []float64{3, 0.25}, Root: root},
	} {
		y := []float32{0.5, -1, 0, 0, 1, 0.25}
		var own, plain strings.Builder
		for i, v := range s.Undo(y) {
			fmt.Fprintf(&own, "%.17g%s", v, ",\n"[i%2:i%2+1])
			fmt.Fprintf(&plain, "%g%s", y[i], ",\n"[i%2:i%2+1])
		}
		dir := t.TempDir()
		file := func(name, text string) string {
			path := filepath.Join(dir, name)
			if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			return path
		}
		scaled := call(t, writeRun(t, s), file("own.csv", own.String()))
		bare := call(t, writeRun(t, nil), file("plain.csv", plain.String()))
		volume := math.Log(3 * 0.25)
		if s.Root != nil {
			volume += math.Log(0.9*0.9 - 0.3*0.3)
		}
		if len(scaled.LogP) != 3 || scaled.Rows != 3 {
			t.Fatalf("%d rows", len(scaled.LogP))
		}
		for i, v := range scaled.LogP {
			if want := bare.LogP[i] - volume; !(math.Abs(v-want) <= 1e-4) {
				t.Errorf("row %d: %g, expected %g", i, v, want)
			}
		}
	}
}

// A row's result does not depend on how many there are, and the parts of a run's data are told apart.
func TestRows(t *testing.T) {
	run := writeRun(t, nil)
	a := call(t, run, "toy:swissroll", "-n", "5", "-probe", "rademacher", "-probes", "2")
	b := call(t, run, "toy:swissroll", "-n", "3", "-probe", "rademacher", "-probes", "2", "-batch", "4")
	for i, v := range b.LogP {
		if v != a.LogP[i] {
			t.Errorf("row %d: %g of 3 rows, %g of 5", i, v, a.LogP[i])
		}
	}
	if a.OfProbes == nil || a.OfRows == nil || a.Probes != 2 || a.Split != "all of other data than the run's" {
		t.Errorf("%+v", a)
	}
}

// Images that another file holds than the one that was learned are read with their labels.
func TestOtherImages(t *testing.T) {
	t.Chdir(t.TempDir())
	image := make([]byte, 28*28)
	for i := 4; i < 24; i++ { // a one
		image[28*i+14], image[28*i+15] = 255, 255
	}
	images := append([]byte{0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28}, image...)
	for name, b := range map[string][]byte{
		"train-images-idx3-ubyte": append(images, image...),
		"train-labels-idx1-ubyte": {0, 0, 8, 1, 0, 0, 0, 2, 1, 8},
	} {
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	r := call(t, "digits", "train-images-idx3-ubyte", "-probes", "1", "-tolerance", "0.1")
	if len(r.LogP) != 2 || !(r.Nats > 0) {
		t.Errorf("log p %g: expected two rows with more than no nats", r.LogP)
	}
}
