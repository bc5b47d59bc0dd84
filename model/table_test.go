// The table of networks: every row is complete, and what callers ask of a network is right.

package model

import (
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// smallest is a valid configuration of a network, of its default width.
func smallest(net string) Config {
	c := Config{Net: net, Height: 1, Width: 1, Channels: 2, DataSD: 1, Levels: 3}
	if c.TakesImages() {
		c.Height, c.Width = 16, 8
	}
	c.SetDefaults()
	c.DropUnused()
	return c
}

func TestTableOfNetworks(t *testing.T) {
	seen := map[string]bool{}
	for _, row := range networks {
		c := smallest(row.name)
		if seen[row.name] {
			t.Errorf("two rows are called %s", row.name)
		}
		seen[row.name] = true
		if err := c.Validate(); err != nil {
			t.Errorf("%s: its defaults are not valid: %v", row.name, err)
			continue
		}
		if lr := c.LearningRate(); !(lr > 0 && lr < 0.1) {
			t.Errorf("%s: learning rate %g", row.name, lr)
		}
		if steps, _ := c.PublishedSampling(); steps < 1 {
			t.Errorf("%s: %d Langevin steps a level", row.name, steps)
		}
		if (c.NGF == 0) == (c.Hidden == 0) || c.Uses("ngf") != (c.NGF > 0) || c.Uses("hidden") != (c.Hidden > 0) {
			t.Errorf("%s: ngf %d and hidden %d by default: expected one of them", row.name, c.NGF, c.Hidden)
		}
		net, err := Build(c, 2, ScoreOnly, kernels.Weight{})
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		// What the row says that the network is told is what its graph reads.
		plan, err := graph.NewPlan(gorgonia.Nodes{net.Score}, nil, 0, kernels.Float32)
		if err != nil {
			t.Fatal(err)
		}
		if (net.XTilde.Dims() == 4) != slices.Contains(ImageNetworks(), row.name) {
			t.Errorf("%s: its rows have shape %v", row.name, net.XTilde.Shape())
		}
		if (net.Level != nil) != c.TakesLevels() {
			t.Errorf("%s: reads levels: %t, the table says %t", row.name, net.Level != nil, c.TakesLevels())
		}
		if reads := plan.Buf(net.Sigma).N > 0; !reads && row.noise == bySigma {
			t.Errorf("%s: the table says that it sees sigma, and it does not read it", row.name)
		}
	}
}

// A file without a configuration is recognised by the shapes of its parameters alone.
func TestRecognise(t *testing.T) {
	for _, row := range networks {
		if row.recognise == nil {
			continue
		}
		c := smallest(row.name)
		params, err := c.Params()
		if err != nil {
			t.Fatal(err)
		}
		shapes := map[string]tensor.Shape{}
		for _, p := range params {
			shapes[p.Name] = p.TorchShape()
		}
		list, err := Recognise(shapes, 0)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
			continue
		}
		found := slices.ContainsFunc(list, func(got Config) bool {
			return got.Net == c.Net && got.NGF == c.NGF && got.Channels == c.Channels &&
				(!c.NeedsLevels() || got.Levels == c.Levels)
		})
		if !found {
			t.Errorf("%s is not among %+v", row.name, list)
		}
	}
	want := "the tensors are of no network that is known: they have no begin_conv.weight of four dimensions, with " +
		"which all of them begin (ncsn, ncsnv2, ncsnv2deeper, ncsnv2deepest), and no all_modules.0 with weight or W, with which " +
		"all of them begin (ncsnpp, ddpm)"
	if _, err := Recognise(map[string]tensor.Shape{"a": {3}}, 0); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, expected %s", err, want)
	}
}
