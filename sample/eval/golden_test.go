// What NumPy and prdc say of the same sets: testdata/metrics.py.

package eval

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"testing"
)

// golden is a case of testdata/metrics.json.
type golden struct {
	D                int
	X, Y             []float32
	Widths           []float64
	KID, Energy      [2]float64
	MMD              [][2]float64
	Frechet          float64
	PRDC             map[string]map[string]float64
	Nearest          []int
	Mean, SD         [2][]float64
	Correlations     []float64
	samples, against Rows
}

func readGolden(t *testing.T) (all []golden) {
	t.Helper()
	text, err := os.ReadFile("testdata/metrics.json")
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		g := &all[i]
		g.samples, g.against = Rows{len(g.X) / g.D, g.D, g.X}, Rows{len(g.Y) / g.D, g.D, g.Y}
	}
	return all
}

var all = Workers{Ctx: context.Background()}

// near fails where two numbers differ by more than a part of the scale.
func near(t *testing.T, what string, got, want, scale, part float64) {
	t.Helper()
	if !(math.Abs(got-want) <= part*scale) {
		t.Errorf("%s: %.12g, expected %.12g", what, got, want)
	}
}

func TestMetricsGolden(t *testing.T) {
	for _, g := range readGolden(t) {
		name := func(what string) string { return fmt.Sprintf("%s of %d values", what, g.D) }
		estimate := func(what string, e Estimate, want [2]float64, scale, part float64) {
			t.Helper()
			near(t, name(what), e.Value, want[0], scale, part)
			near(t, name("error of "+what), e.SE, want[1], want[1], 1e-4)
		}
		kid, err := KID(all, g.samples, g.against)
		if err != nil {
			t.Fatal(err)
		}
		estimate("KID", kid, g.KID, 1, 1e-6) // products in float32, of a kernel of about 1
		mmd, err := MMD(all, g.samples, g.against, g.Widths)
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range mmd {
			estimate(fmt.Sprintf("MMD %d", i), e, g.MMD[i], 1, 1e-6)
		}
		energy, err := EnergyDistance(all, g.samples, g.against)
		if err != nil {
			t.Fatal(err)
		}
		estimate("energy distance", energy, g.Energy, 1, 1e-5)

		a, err := MomentsOf(g.samples)
		if err != nil {
			t.Fatal(err)
		}
		b, err := MomentsOf(g.against)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := Frechet(a, b)
		if err != nil {
			t.Fatal(err)
		}
		near(t, name("Frechet"), fd, g.Frechet, g.Frechet, 1e-6) // NumPy's eigenvalues of a product without symmetry

		for k, want := range g.PRDC {
			var n int
			fmt.Sscan(k, &n)
			p, err := PRDCOf(all, g.against, g.samples, n)
			if err != nil {
				t.Fatal(err)
			}
			for what, e := range map[string]Estimate{"precision": p.Precision, "recall": p.Recall, "density": p.Density, "coverage": p.Coverage} {
				near(t, name(what+" "+k), e.Value, want[what], 1, 1e-12)
			}
		}
		found, err := Nearest(all, g.samples, g.against, 3)
		if err != nil {
			t.Fatal(err)
		}
		for i, list := range found {
			for k, n := range list {
				if n.Index != g.Nearest[3*i+k] {
					t.Errorf("%s %d of %d: %d, expected %d", name("neighbour"), k, i, n.Index, g.Nearest[3*i+k])
				}
			}
		}
		wide := func(x []float32) (out []float64) {
			for _, v := range x {
				out = append(out, float64(v))
			}
			return out
		}
		columns, rms, largest, err := Columns(wide(g.X), wide(g.Y), g.D, nil)
		if err != nil {
			t.Fatal(err)
		}
		for k, c := range columns {
			near(t, name("mean"), c.Mean, g.Mean[0][k], 1, 1e-12)
			near(t, name("mean"), c.OfMean, g.Mean[1][k], 1, 1e-12)
			near(t, name("deviation"), c.SD, g.SD[0][k], 1, 1e-12)
			near(t, name("deviation"), c.OfSD, g.SD[1][k], 1, 1e-12)
		}
		want, most := 0.0, 0.0
		for _, v := range g.Correlations {
			want += v * v
			most = max(most, math.Abs(v))
		}
		near(t, name("correlations"), rms, math.Sqrt(want/float64(len(g.Correlations))), 1, 1e-12)
		near(t, name("largest difference of correlations"), largest, most, 1, 1e-12)
	}
}
