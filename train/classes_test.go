// Runs whose network is told classes.

package train

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/graph"
)

// labelled gives the rows of a run labels, each (7 row) mod 3, and its network as many classes.
func labelled(c *Config, d *Splits, drop float64) {
	for _, data := range []*kernels.Data{d.Train, d.HeldOut} {
		data.Labels = make([]uint32, data.N)
		for i := range data.Labels {
			data.Labels[i] = uint32(7 * i % 3)
		}
	}
	c.Network.Classes, c.ClassNames, c.LabelDropout, c.Reading.Classes = 3, []string{"no", "1", "null"}, &drop, true
}

// A run that is told classes, and leaves some out, is the same to the bit for any number of workers and however it is
// stopped; and one that leaves none out is another.
func TestClassesResume(t *testing.T) {
	run := func(drop float64, workers int, stops ...uint64) string {
		c, d := tiny("mlp")
		c.PreviewN = 4
		labelled(c, d, drop)
		dir := t.TempDir()
		for i, stop := range append(stops, 0) {
			trial(t, c, d, dir, i > 0, stop, workers)
		}
		return dir
	}
	whole := run(0.25, 1)
	sameRun(t, run(0.25, 2, 30, 70), whole)
	if slices.Equal(metricLines(t, run(0, 1)), metricLines(t, whole)) {
		t.Error("a run that leaves no label out has the same losses")
	}
	stored, err := Load(whole, "")
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(stored.Config.ClassNames, stored.Config.LeavesOut(), stored.Config.Network.Classes); got != "[no 1 null] 0.25 3" {
		t.Errorf("the configuration says %s", got)
	}
}

// The classes of a batch are the labels of its images, of which some are left out, and of held-out rows all.
func TestClassesOfABatch(t *testing.T) {
	const rows, batch, steps = 37, 16, 40
	data := &kernels.Data{N: rows - 5, H: 1, W: 1, C: 2, F32: make([]float32, 2*rows)}
	for i := range rows {
		data.F32[2*i] = 100 * float32(i)
		data.Labels = append(data.Labels, uint32(i*i%3))
	}
	for i := 5; i < rows; i++ { // not in order, and not all
		data.Rows = append(data.Rows, uint32(rows-1-i+5))
	}
	c := TrainerConfig{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 4, DataSD: 1, Classes: 3},
		Batch: batch, Sigmas: smallLadder, AnnealPower: 2, Adam: Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
		Data: data, HeldOut: data, Seed: 3, LabelDropout: 0.25}
	tr, err := NewTrainer(kernels.NewCPU(2), c)
	if err != nil {
		t.Fatal(err)
	}
	read := func(b kernels.Buf) []float32 {
		words := make([]float32, b.N)
		if err := tr.arena.Read(words, b); err != nil {
			t.Fatal(err)
		}
		return words
	}
	dropped := 0
	compare := func(machine *graph.Machine, xTilde kernels.Buf, all bool) {
		t.Helper()
		if err := machine.RunAll(); err != nil {
			t.Fatal(err)
		}
		x := read(xTilde)
		for r, w := range read(tr.layout.class) {
			class, row := math.Float32bits(w), int(math.Round(float64(x[2*r])/100)) // the noise is far below 100
			if want := data.Labels[row]; class == 3 && !all {
				dropped++
			} else if class != want {
				t.Fatalf("row %d is image %d and has class %d, expected %d", r, row, class, want)
			}
		}
	}
	for range steps {
		compare(tr.step, tr.plan.Buf(tr.net.XTilde), false)
	}
	share := float64(dropped) / (steps * batch)
	if sd := math.Sqrt(0.25 * 0.75 / (steps * batch)); math.Abs(share-0.25) > 4*sd {
		t.Errorf("%.3f of the labels are left out, expected 0.25 +- %.3f", share, sd)
	}
	tr.steps = steps
	p, err := newPlans(c)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		compare(tr.heldOut, p.heldOut.Buf(p.heldOutNet.XTilde), true)
	}
}

func TestClassesRefused(t *testing.T) {
	half := 0.5
	one := 1.0
	for _, c := range []struct {
		name   string
		change func(c *Config)
		want   string
	}{
		{"a network that is told none", func(c *Config) { c.Network.Net = "ncsnv2"; c.Network.NGF = 8; c.Reading.Classes = true },
			"classes is for networks that are told the class of a row, and ncsnv2 is none: use `net` ncsnpp"},
		{"dropout without classes", func(c *Config) { c.LabelDropout = &half },
			"label-dropout is for runs whose network is told classes: give `classes`, or leave it out"},
		{"dropout of all", func(c *Config) { c.LabelDropout = &one; c.Reading.Label = "x" },
			"label-dropout is 1: expected a probability from 0 to below 1, such as 0.1"},
	} {
		cfg, _ := tiny("mlp")
		c.change(cfg)
		if err := cfg.Validate(); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %s", c.name, err, c.want)
		}
	}
	cfg, d := tiny("mlp")
	cfg.Network.Classes = 3
	tc, err := cfg.Trainer(d)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewTrainer(kernels.NewCPU(1), tc); err == nil || !strings.Contains(err.Error(), "the data have no labels") {
		t.Errorf("data without labels: %v", err)
	}
}
