// Precision, recall, density and coverage, by k nearest neighbours. A ball stands around each point, whose radius is the
// distance to the k-th nearest other point of its set; the union of the balls is what the set covers:
//
//	precision   part of the samples in a ball of the data
//	recall      part of the data in a ball of the samples
//	density     mean over the samples of 1/k times the number of balls of the data that it is in
//	coverage    part of the data in whose ball there is a sample
//
// (Kynkäänniemi et al., "Improved precision and recall metric for assessing generative models", 2019; Naeem et al.,
// "Reliable fidelity and diversity metrics for generative models", 2020.) A point on the edge of a ball is outside.

package eval

import (
	"fmt"
	"math"
)

// PRDC is the four numbers. Their errors are those of the means over the points that they count; the balls are taken as
// given. A part p of n points has the error of (p n + 1)/(n + 2), so that none or all of them is no certainty.
type PRDC struct{ Precision, Recall, Density, Coverage Estimate }

// Balanced returns as many points of both sets, drawn by [Choose]. Recall and coverage fall with fewer samples than data:
// they are usually taken of as many.
func Balanced(a, b Rows) (Rows, Rows) {
	n := min(a.N, b.N)
	return a.Some(n), b.Some(n)
}

// PRDCOf computes them for k neighbours.
func PRDCOf(w Workers, data, samples Rows, k int) (PRDC, error) {
	if err := check(2, data, samples); err != nil {
		return PRDC{}, err
	}
	if k < 1 || k >= min(data.N, samples.N) {
		return PRDC{}, fmt.Errorf("eval: expected 1 to %d neighbours, found %d", min(data.N, samples.N)-1, k)
	}
	centre := centreOf(data)
	self := func(r Rows) (*side, []float64, error) {
		s, err := newSide(w, r, centre)
		if err != nil {
			return nil, nil, err
		}
		radii, err := radii(w, &distances{s, s, bound(r.D, s.largest, s.largest)}, k)
		return s, radii, err
	}
	real, ofReal, err := self(data)
	if err != nil {
		return PRDC{}, err
	}
	fake, ofFake, err := self(samples)
	if err != nil {
		return PRDC{}, err
	}
	off := bound(data.D, real.largest, fake.largest)

	balls := make([]float64, fake.N) // of the data, that each sample is in
	d := &distances{fake, real, off}
	err = products(w, fake, real, func(i, j0 int, dots []float32) {
		for t, dot := range dots {
			if d.below(i, j0+t, dot, ofReal[j0+t]) {
				balls[i]++
			}
		}
	})
	if err != nil {
		return PRDC{}, err
	}
	recalled, covered := make([]float64, real.N), make([]float64, real.N)
	d = &distances{real, fake, off}
	err = products(w, real, fake, func(i, j0 int, dots []float32) {
		for t, dot := range dots {
			if recalled[i] == 0 && d.below(i, j0+t, dot, ofFake[j0+t]) {
				recalled[i] = 1
			}
			if covered[i] == 0 && d.below(i, j0+t, dot, ofReal[i]) {
				covered[i] = 1
			}
		}
	})
	if err != nil {
		return PRDC{}, err
	}
	precise := make([]float64, fake.N)
	for i, n := range balls {
		precise[i] = min(n, 1)
		balls[i] /= float64(k)
	}
	return PRDC{part(precise), part(recalled), mean(balls), part(covered)}, nil
}

// part estimates which part of the points are ones, not zeros.
func part(x []float64) Estimate {
	n, p := float64(len(x)), mean(x).Value
	q := (p*n + 1) / (n + 2)
	return Estimate{p, math.Sqrt(q * (1 - q) / n)}
}
