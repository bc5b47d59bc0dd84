package eval

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sigmaz/kernels"
	"sigmaz/train/dataset"
)

// normal makes n points of d values with a mean and a deviation.
func normal(n, d int, seed uint64, mean, sd float32) Rows {
	r := Rows{n, d, make([]float32, n*d)}
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeData}.Normals(r.X)
	for i, v := range r.X {
		r.X[i] = mean + sd*v
	}
	return r
}

// within fails where an estimate is more than four of its errors from a known value, or its error is not of the order
// that is expected.
func within(t *testing.T, what string, e Estimate, want float64) {
	t.Helper()
	if !(math.Abs(e.Value-want) <= 4*e.SE) || !(e.SE > 0) {
		t.Errorf("%s: %g +- %g, expected %g", what, e.Value, e.SE, want)
	}
}

// Of Gaussians all is known. With x ~ N(a 1, s^2), y ~ N(b 1, t^2) in D values:
//
//	E exp(-|x-y|^2/2w^2) = (w^2/(w^2+s^2+t^2))^(D/2) exp(-D (a-b)^2 / 2(w^2+s^2+t^2))
//	FD = D ((a-b)^2 + (s-t)^2)
//	W1 of N(m, s^2) and N(n, s^2) = |m-n|
//	E|x-x'| = 2 s Gamma((D+1)/2)/Gamma(D/2)
func TestGaussians(t *testing.T) {
	const d, a, b, s, u = 6, 0.0, 0.4, 1.0, 0.7
	x, y := normal(1500, d, 1, a, s), normal(1200, d, 2, b, u)
	widths := []float64{0.5, 1.5, 4}
	mmd, err := MMD(all, x, y, widths)
	if err != nil {
		t.Fatal(err)
	}
	for i, w := range widths {
		k := func(v, m float64) float64 {
			return math.Pow(w*w/(w*w+v), d/2.0) * math.Exp(-d*m*m/(2*(w*w+v)))
		}
		within(t, "MMD", mmd[i], k(2*s*s, 0)+k(2*u*u, 0)-2*k(s*s+u*u, a-b))
	}
	same, err := EnergyDistance(all, x, normal(1200, d, 3, a, s))
	if err != nil {
		t.Fatal(err)
	}
	within(t, "energy distance of one distribution", same, 0)
	// Two Gaussians of one mean: distances between them are those of the deviation sqrt((s^2+u^2)/2).
	energy, err := EnergyDistance(all, x, normal(1200, d, 4, a, u))
	if err != nil {
		t.Fatal(err)
	}
	unit := 2 * math.Gamma((d+1)/2.0) / math.Gamma(d/2.0)
	within(t, "energy distance", energy, unit*(2*math.Sqrt((s*s+u*u)/2)-s-u))

	ma, err := MomentsOf(x)
	if err != nil {
		t.Fatal(err)
	}
	mb, err := MomentsOf(y)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := Frechet(ma, mb)
	if err != nil {
		t.Fatal(err)
	}
	if want := d * ((a-b)*(a-b) + (s-u)*(s-u)); math.Abs(fd-want) > 0.1*want {
		t.Errorf("FD %g, expected %g", fd, want)
	}

	// E (x.y/D + 1)^3 = 1 + 3 E(x.y/D)^2 for independent x and y of mean 0, and E (x.y)^2 = D s^2 u^2
	zero := normal(1200, d, 5, 0, u)
	kid, err := KID(all, x, zero)
	if err != nil {
		t.Fatal(err)
	}
	within(t, "KID", kid, 3/float64(d)*(s*s*s*s+u*u*u*u-2*s*s*u*u))
}

func TestWasserstein1(t *testing.T) {
	for _, c := range []struct {
		a, b []float64
		want float64
	}{
		{[]float64{0, 1, 2}, []float64{3, 4, 5}, 3},
		{[]float64{3, 4, 5}, []float64{0, 1, 2}, 3},
		{[]float64{0}, []float64{0, 2}, 1},
		{[]float64{0, 0, 6}, []float64{0, 3}, 1.5}, // between 1/2 and 2/3 of the mass 3 apart, above 3 apart: 3/6 + 3/3
		{[]float64{1, 2}, []float64{1, 2}, 0},
	} {
		near(t, "the distance", Wasserstein1(c.a, c.b), c.want, 1, 1e-12)
	}
}

// Of two values, tr (AB)^1/2 is (tr AB + 2 (det AB)^1/2)^1/2, also where A and B do not commute.
func TestFrechetOfTwo(t *testing.T) {
	a := mat.NewSymDense(2, []float64{2, 0.7, 0.7, 1})
	b := mat.NewSymDense(2, []float64{1, -0.5, -0.5, 3})
	var ab mat.Dense
	ab.Mul(a, b)
	want := 4 + 9 + mat.Trace(a) + mat.Trace(b) - 2*math.Sqrt(mat.Trace(&ab)+2*math.Sqrt(mat.Det(&ab)))
	got, err := Frechet(Moments{[]float64{1, 2}, a}, Moments{[]float64{3, 5}, b})
	if err != nil {
		t.Fatal(err)
	}
	near(t, "the distance", got, want, 1, 1e-12)
}

// Exactly known: diagonal covariances, which need no sampling.
func TestFrechetExact(t *testing.T) {
	a := Moments{[]float64{0, 1, 2}, mat.NewSymDense(3, []float64{4, 0, 0, 0, 9, 0, 0, 0, 0})}
	b := Moments{[]float64{0, 3, 2}, mat.NewSymDense(3, []float64{1, 0, 0, 0, 1, 0, 0, 0, 25})}
	for _, pair := range [][2]Moments{{a, b}, {b, a}} {
		fd, err := Frechet(pair[0], pair[1])
		if err != nil || math.Abs(fd-(4+1+4+25)) > 1e-12 {
			t.Errorf("FD %.15g (%v), expected 34", fd, err)
		}
	}
}

// The limit for ever more samples is nearer to the truth than what all samples give.
func TestFrechetInfinity(t *testing.T) {
	const d = 40
	reference := Moments{make([]float64, d), mat.NewSymDense(d, nil)}
	for i := range d {
		reference.Cov.SetSym(i, i, 1)
	}
	x := normal(1000, d, 9, 0, 1)
	m, err := MomentsOf(x)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := Frechet(m, reference)
	if err != nil {
		t.Fatal(err)
	}
	limit, err := FrechetInfinity(all, x, reference, 1)
	if err != nil {
		t.Fatal(err)
	}
	if !(fd > 0.3) || !(math.Abs(limit.Value) < fd/5) || !(limit.SE < fd/5) {
		t.Errorf("FD %g, its limit %g +- %g, expected about 0", fd, limit.Value, limit.SE)
	}
}

// For sets of one size it is the distance that training measures toys by.
func TestSlicedWasserstein(t *testing.T) {
	for _, d := range []int{1, 2, 9} {
		x, y := normal(200, d, 1, 0, 1), normal(200, d, 2, 0.5, 1)
		got, err := SlicedWasserstein(all, x, y, 3)
		if err != nil {
			t.Fatal(err)
		}
		want := dataset.SlicedWasserstein(x.X, y.X, d, directions, 3)
		near(t, "sliced Wasserstein", got.Value, want, want, 1e-6)
	}
	x, y := normal(4000, 1, 1, 0, 1), normal(3000, 1, 2, 0.5, 1)
	got, err := SlicedWasserstein(all, x, y, 3)
	if err != nil {
		t.Fatal(err)
	}
	within(t, "W1 of shifted Gaussians", got, 0.5)
	if !(got.SE < 0.1) {
		t.Errorf("error %g", got.SE)
	}
}

// Samples that are copies are near to what was learned; those of the distribution are as far as held-out data is.
func TestNearness(t *testing.T) {
	learned, held, fresh := normal(500, 20, 1, 0, 1), normal(400, 20, 2, 0, 1), normal(400, 20, 3, 0, 1)
	of := func(r Rows) [][]Neighbour {
		found, err := Nearest(all, r, learned, 2)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	if n := NearnessOf(of(fresh), of(held)); math.Abs(n.Ratio.Value-1) > 4*n.Ratio.SE || !(n.Ratio.SE > 0) || !(n.Ratio.SE < 0.02) {
		t.Errorf("fresh samples: %+v", n)
	}
	copies := learned.First(400)
	copies.X = append([]float32(nil), copies.X...)
	copies.X[7] += 0.25
	found := of(copies)
	if n := NearnessOf(found, of(held)); n.Ratio.Value > 0.01 {
		t.Errorf("copies: %+v", n)
	}
	if found[0][0] != (Neighbour{0, 0.25}) && math.Abs(found[0][0].Distance-0.25) > 1e-6 || found[3][0] != (Neighbour{3, 0}) {
		t.Errorf("neighbours %+v", found[:4])
	}
}

// All numbers are the same for any number of workers, and points may lie in any place far from 0.
func TestWorkers(t *testing.T) {
	x, y := normal(700, 50, 1, 3, 1), normal(600, 50, 2, 3.1, 1)
	measure := func(workers int) (out []any) {
		w := Workers{context.Background(), workers}
		kid, err1 := KID(w, x, y)
		mmd, err2 := MMD(w, x, y, []float64{3, 9})
		energy, err3 := EnergyDistance(w, x, y)
		prdc, err4 := PRDCOf(w, y, x, 5)
		near, err5 := Nearest(w, x, y, 4)
		sliced, err6 := SlicedWasserstein(w, x, y, 1)
		m, err7 := MomentsOf(y)
		limit, err8 := FrechetInfinity(w, x, m, 1)
		for _, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return []any{kid, mmd, energy, prdc, near, sliced, limit}
	}
	want := measure(1)
	for _, workers := range []int{0, 2, 7} {
		if got := measure(workers); !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: %v, one: %v", workers, got, want)
		}
	}
}

// A distance from products is never off by more than the bound, and what is found agrees with differences in float64.
func TestBound(t *testing.T) {
	for _, d := range []int{1, 3, 64, 784} {
		x, y := normal(150, d, 1, 100, 0.01), normal(300, d, 2, 100.001, 0.01)
		copy(y.X[:10*d], x.X)
		pairs, err := newDistances(all, x, y)
		if err != nil {
			t.Fatal(err)
		}
		most := 0.0
		err = products(Workers{context.Background(), 1}, pairs.a, pairs.b, func(i, j int, dots []float32) {
			for k, dot := range dots {
				exact := pairs.exact(i, j+k)
				most = max(most, math.Abs(pairs.about(i, j+k, dot)-exact))
				if pairs.below(i, j+k, dot, exact) || !pairs.below(i, j+k, dot, math.Nextafter(exact, math.Inf(1))) {
					t.Fatalf("%d values: the distance of pair %d, %d is on the wrong side", d, i, j+k)
				}
			}
		})
		if err != nil || most > pairs.off {
			t.Errorf("%d values: off by %g, bound %g (%v)", d, most, pairs.off, err)
		}
		found, err := Nearest(all, x, y, 1)
		if err != nil {
			t.Fatal(err)
		}
		for i, list := range found {
			best := 0
			for j := range y.N {
				if squared(x.Row(i), y.Row(j)) < squared(x.Row(i), y.Row(best)) {
					best = j
				}
			}
			if list[0].Index != best {
				t.Errorf("%d values: nearest of %d is %d, expected %d", d, i, list[0].Index, best)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	good, other := normal(50, 3, 1, 0, 1), normal(50, 4, 1, 0, 1)
	nan := normal(50, 3, 1, 0, 1)
	nan.X[7] = float32(math.NaN())
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	for want, f := range map[string]func() error{
		"as many values in both sets, found 3 and 4": func() error { _, err := KID(all, good, other); return err },
		"found NaN in point 2":                       func() error { _, err := EnergyDistance(all, good, nan); return err },
		"at least 3 points, found 2":                 func() error { _, err := MMD(all, good.First(2), good, nil); return err },
		"1 to 49 neighbours, found 50":               func() error { _, err := PRDCOf(all, good, good, 50); return err },
		"1 to 50 neighbours, found 51":               func() error { _, err := Nearest(all, good, good, 51); return err },
		"at least 20 points, found 19":               func() error { _, err := SlicedWasserstein(all, good, good.First(19), 1); return err },
		"at least 2 points, found 1":                 func() error { _, err := MomentsOf(good.First(1)); return err },
		"two rows of 3 values":                       func() error { _, _, _, err := Columns(make([]float64, 3), make([]float64, 9), 3, nil); return err },
	} {
		if err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected one with %q", err, want)
		}
	}
	if _, err := KID(Workers{stopped, 0}, good, good); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

// Points that are chosen are those of no period of the data.
func TestChoose(t *testing.T) {
	chosen := Choose(200, 20_000, 0)
	digits := map[int]int{}
	for i, n := range chosen {
		digits[n%10]++
		if i > 0 && n <= chosen[i-1] || n < 0 || n >= 20_000 {
			t.Fatalf("%d after %d", n, chosen[i-1])
		}
	}
	for d := range 10 {
		if n := digits[d]; n < 8 || n > 35 {
			t.Errorf("%d of 200 end in %d", n, d)
		}
	}
	if got := Choose(9, 5, 3); !reflect.DeepEqual(got, []int{0, 1, 2, 3, 4}) {
		t.Errorf("all of 5: %v", got)
	}
}

// Of cells that are missing, moments are those of what is there, and correlations of the rows that have both.
func TestColumnsWithMissing(t *testing.T) {
	nan := math.NaN()
	x := []float64{1, 2, 0, 2, 1, nan, 3, nan, 5, nan, 4, 1, 5, 5, 2}
	columns, rms, largest, err := Columns(x, []float64{1, 2, 0, 2, 1, 1, 3, 5, 5, 4, 4, 1}, 3, []int{0, 1, 1})
	if err != nil {
		t.Fatal(err)
	}
	// column 0: 1, 2, 3, 5; both of 0 and 1: (1, 2), (2, 1), (5, 5)
	if c := columns[0]; c.Mean != 2.75 || math.Abs(c.SD-math.Sqrt(8.75/3)) > 1e-12 {
		t.Errorf("%+v", c)
	}
	a := []float64{1 - 8.0/3, 2 - 8.0/3, 5 - 8.0/3}
	b := []float64{2 - 8.0/3, 1 - 8.0/3, 5 - 8.0/3}
	dot := func(a, b []float64) float64 { return a[0]*b[0] + a[1]*b[1] + a[2]*b[2] }
	_, _, c := correlations(x, 3)
	if want := dot(a, b) / math.Sqrt(dot(a, a)*dot(b, b)); math.Abs(c[3]-want) > 1e-12 {
		t.Errorf("correlation %g, not %g", c[3], want)
	}
	_, allRMS, _, _ := Columns(x, []float64{1, 2, 0, 2, 1, 1, 3, 5, 5, 4, 4, 1}, 3, nil)
	if !(rms > 0 && largest >= rms && allRMS != rms) {
		t.Errorf("rms %g, of all pairs %g, largest %g", rms, allRMS, largest)
	}
}
