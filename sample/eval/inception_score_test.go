package eval

import (
	"math"
	"strings"
	"testing"
)

// Images of k classes that are told apart for certain have the score k; images that say nothing have 1.
func TestInceptionScore(t *testing.T) {
	const n, classes = 1000, 8
	scores := func(sure float32) Rows {
		r := Rows{N: n, D: classes, X: make([]float32, n*classes)}
		for i := range n {
			r.X[i*classes+i*5/n] = sure // five classes, those of one standing together
		}
		return r
	}
	mean, deviation, err := InceptionScore(scores(100), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "the score of five classes", mean, 5, 5, 1e-9)
	near(t, "its deviation over one part", deviation, 0, 1, 1e-12)
	if mean, deviation, err = InceptionScore(scores(100), InceptionParts, 0); err != nil || mean < 4.5 || mean > 5 || deviation > 0.2 || deviation == 0 {
		t.Errorf("in parts %g, deviation %g (%v)", mean, deviation, err)
	}
	if mean, _, err = InceptionScore(scores(0), InceptionParts, 0); err != nil {
		t.Fatal(err)
	}
	near(t, "the score of images that say nothing", mean, 1, 1, 1e-12)

	// Two images with probabilities (a, 1-a) and (1-a, a): the entropy of one, from that of a coin.
	x := Rows{N: 2, D: 2, X: []float32{1, 0, 0, 1}}
	a := 1 / (1 + math.Exp(-1))
	want := 2 * math.Exp(a*math.Log(a)+(1-a)*math.Log(1-a))
	if mean, _, err = InceptionScore(x, 1, 0); err != nil {
		t.Fatal(err)
	}
	near(t, "the score of two", mean, want, 1, 1e-12)
	if _, _, err := InceptionScore(x, InceptionParts, 0); err == nil || !strings.Contains(err.Error(), "at least 10 points") {
		t.Errorf("%v", err)
	}
}
