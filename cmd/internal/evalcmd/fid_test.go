package evalcmd

import (
	"bytes"
	"context"
	"math"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/sample/eval"
)

// made is n points of d values with a given mean.
func made(n, d int, mean float32, seed uint64) eval.Rows {
	r := eval.Rows{N: n, D: d, X: make([]float32, n*d)}
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeData}.Normals(r.X)
	for i := range r.X {
		r.X[i] += mean
	}
	return r
}

// The distance is called FID for features of FID's network, from 10,000 samples and as many of the reference on.
func TestFIDName(t *testing.T) {
	const d = 3
	all, reference := made(fewestFID, d, 0, 1), made(fewestFID, d, 1, 2)
	for _, c := range []struct {
		features string
		n, m     int
		want     string
	}{
		{inceptionName, fewestFID, fewestFID, "FID FID-infinity"},
		{inceptionName, fewestFID - 1, fewestFID, "FD-inception FD-infinity-inception"},
		{inceptionName, fewestFID, fewestFID - 1, "FD-inception FD-infinity-inception"},
		{"lite0-64x64", fewestFID, fewestFID, "FD-lite0-64x64 FD-infinity-lite0-64x64"},
		{inceptionName, 2 * d, fewestFID, ""}, // too few for any
	} {
		var out bytes.Buffer
		j := &job{messages: &out, work: eval.Workers{Ctx: context.Background()}, samples: &set{n: c.n}, reference: &set{n: c.m}}
		if err := j.frechet(c.features, all.First(c.n), reference.First(c.m), eval.Rows{}); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, n := range j.report.Numbers {
			names = append(names, n.Name)
			if v := *n.Value; math.Abs(v-d) > 0.3 {
				t.Errorf("%s is %g, expected about %d", n.Name, v, d)
			}
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%s, %d against %d: %q, expected %q", c.features, c.n, c.m, got, c.want)
		}
		if c.want == "" && !strings.Contains(out.String(), "not taken") {
			t.Errorf("nothing says why there is none: %q", out.String())
		}
	}
}

// stand is a network of the name of FID's whose features are the first pixels.
type stand struct{ pixels }

func (stand) Name() string { return inceptionName }
func (stand) MACs() int64  { return 1 }
func (stand) Scores(features eval.Rows) eval.Rows {
	out := eval.Rows{N: features.N, D: features.D}
	for _, v := range features.X {
		out.X = append(out.X, 100*v)
	}
	return out
}

// Before the work it is said how images are scaled, and that nothing here will be called FID; then come the numbers of
// these features, with the inception score.
func TestInceptionNotes(t *testing.T) {
	points := func() *set {
		s := &set{n: 40, h: 1, w: 2, c: 1}
		for i := range s.n {
			s.bytes = append(s.bytes, byte(255*(i%2)), byte(255-255*(i%2))) // two classes, told apart for certain
		}
		return s
	}
	var out bytes.Buffer
	o := newOptions()
	j := &job{options: o, messages: &out, work: eval.Workers{Ctx: context.Background()}, samples: points(), reference: points()}
	j.streams.Err = &out
	e := stand{pixels{2}}
	if err := j.announce(e); err != nil {
		t.Fatal(err)
	}
	cost := strings.Index(out.String(), "cost: ")
	for _, want := range []string{"299x299", "no number here is called FID", "40 and 40"} {
		if i := strings.Index(out.String(), want); i < 0 || i > cost {
			t.Errorf("%q is not said before the cost:\n%s", want, out.String())
		}
	}
	if err := j.measure(e); err != nil {
		t.Fatal(err)
	}
	value := func(name string) float64 {
		i := slices.IndexFunc(j.report.Numbers, func(n Number) bool { return n.Name == name })
		if i < 0 {
			t.Fatalf("no number %s among %+v", name, j.report.Numbers)
		}
		return *j.report.Numbers[i].Value
	}
	if v := value("IS"); math.Abs(v-2) > 0.3 {
		t.Errorf("IS %g, expected about 2", v)
	}
	value("IS, deviation of 10 parts")
	value("KID-inception")
	value("FD-inception")
}
