package main

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"sigmaz/train/dataset"
)

// N(0, 1) and N(m, 1) in one dimension: x-y is N(m, 2), whose mean size and whose mean under a Gaussian are known.
func TestPairs(t *testing.T) {
	const n, m = 2000, 0.5
	random := rand.New(rand.NewPCG(11, 12))
	c := newCloud(normals(random, 3000, 1))
	moved := normals(random, n, 1)
	moved.Apply(func(_, _ int, v float64) float64 { return v + m }, moved)

	size := func(m float64) float64 { // E|N(m, 2)|
		return 2/math.Sqrt(math.Pi)*math.Exp(-m*m/4) + m*math.Erf(m/2)
	}
	kernel := func(m, factor float64) float64 {
		h2 := -1 / (2 * factor)
		return math.Sqrt(h2/(h2+2)) * math.Exp(-m*m/(2*(h2+2)))
	}
	for name, x := range map[string]*mat.Dense{"moved": moved, "another draw": normals(random, n, 1)} {
		m := map[bool]float64{name == "moved": m}[true]
		got := c.compare(x)
		wants := []float64{2*size(m) - 2*size(0)}
		for _, f := range c.factor {
			wants = append(wants, 2*kernel(0, f)-2*kernel(m, f))
		}
		for i, e := range []estimate{got.energy, got.mmd[0], got.mmd[1]} {
			// The reference is a draw too: its error is about that of x, and of two sets of one law the one is no measure of
			// the other.
			if e.err <= 0 || e.err > 0.03 {
				t.Errorf("%s: distance %d has the error %g", name, i, e.err)
			}
			near(t, name, e.value, wants[i], max(6*e.err, 0.002))
		}
	}
}

// Leaving a group out is the same as a set without it.
func TestPairsWithoutAGroup(t *testing.T) {
	const n, d = 60, 3
	random := rand.New(rand.NewPCG(13, 14))
	c, x := newCloud(normals(random, 50, d)), normals(random, n, d)
	got, sum, squares := c.compare(x), 0.0, 0.0
	for g := range groups {
		var rest []float64
		for i := range n {
			if i*groups/n != g {
				rest = append(rest, x.RawRowView(i)...)
			}
		}
		v := c.compare(mat.NewDense(len(rest)/d, d, rest)).mmd[1].value
		sum, squares = sum+v, squares+v*v
	}
	near(t, "the error", got.mmd[1].err, math.Sqrt((squares-sum*sum/groups)*(groups-1)/groups), 1e-9)
}

// The table's means, and the covariance of its first two columns, are those of its law.
func TestTable(t *testing.T) {
	const n = 200_000
	x := drawTable(1, n)
	middle := func(k, j int) float64 { return 1.5 * math.Cos(2*math.Pi*(float64(k)/3+float64(j)/tableColumns)) }
	for j := range tableColumns {
		want := 0.0
		for k, g := range tableGroups {
			if j%3 == 2 {
				want += g.part * math.Exp(middle(k, j)/2+g.scale*g.scale/8)
			} else {
				want += g.part * middle(k, j)
			}
		}
		mean, sd := stat.MeanStdDev(mat.Col(nil, j, x), nil)
		near(t, "the mean of a column", mean, want, 4*sd/math.Sqrt(n))
	}
	want, mean := 0.0, [2]float64{}
	for k, g := range tableGroups {
		want += g.part * (middle(k, 0)*middle(k, 1) + g.scale*g.scale*g.rho)
		mean[0], mean[1] = mean[0]+g.part*middle(k, 0), mean[1]+g.part*middle(k, 1)
	}
	want -= mean[0] * mean[1]
	near(t, "a covariance", stat.Covariance(mat.Col(nil, 0, x), mat.Col(nil, 1, x), nil), want, 0.02)
	if skew := stat.Skew(mat.Col(nil, 2, x), nil); skew < 0.5 {
		t.Errorf("the third column has the skewness %g", skew)
	}
}

// The program reads the table as it was drawn.
func TestWriteTable(t *testing.T) {
	path, x := filepath.Join(t.TempDir(), "table.csv"), drawTable(2, 40)
	if err := writeTable(path, x); err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Source{Spec: path, Settings: dataset.Settings{Standardize: "none"}}.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if set.N != 40 || set.D() != tableColumns {
		t.Fatalf("%d rows of %d", set.N, set.D())
	}
	for i := range set.N {
		for j, v := range set.Floats(i) {
			near(t, "a value", float64(v), x.At(i, j), 1e-6*(1+math.Abs(x.At(i, j))))
		}
	}
}

// Fresh draws of a set are near each other, and a draw that is moved is told apart by every distance.
func TestRuler(t *testing.T) {
	for _, s := range vectorSets() {
		draw := func(seed uint64, n int) *mat.Dense {
			x, err := s.draw(seed, n)
			if err != nil {
				t.Fatal(err)
			}
			return x
		}
		r := newRuler(draw(freshSeed, 800))
		floor, moved := r.compare(draw(floorSeed, 400)), draw(floorSeed, 400)
		moved.Apply(func(_, j int, v float64) float64 { return v + 0.5*r.unit.sd[j] }, moved)
		for k, e := range r.compare(moved) {
			if e.value < 3*math.Abs(floor[k].value) || e.value < 3*e.err {
				t.Errorf("%s: %s is %+v of draws that are moved, %+v of others", s.name, vectorDistances[k].name, e, floor[k])
			}
		}
	}
	if got := (cell{{1, 0.3}, {3, 0.4}}).String(10); got != "20.0 ± 2.5 (10.0 to 30.0)" {
		t.Error(got)
	}
}
