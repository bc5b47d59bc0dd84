// Package approx compares slices of floats: the one comparator of the project's tests.
//
//	|got_i - want_i| <= Abs + Rel |want_i| + Max max_j |want_j|     for every i
//
// Not-a-number and infinity are refused on both sides before anything is compared, because every comparison with NaN
// is false and a test written the other way round would pass on it. Nothing is summed over elements: errors of opposite
// sign cannot cancel, and one bad element among millions counts in full.
package approx

import (
	"fmt"
	"math"
)

// Tol is the error that an element may have: the sum of its three parts. The zero Tol asks for equality.
type Tol struct {
	Abs float64 // absolute
	Rel float64 // relative to the wanted element itself
	Max float64 // relative to the largest |want| of the slice: for elements that are sums of larger terms
}

// RelMax is the tolerance r relative to the largest |want| of the slice.
func RelMax(r float64) Tol { return Tol{Max: r} }

// Abs is the absolute tolerance a.
func Abs(a float64) Tol { return Tol{Abs: a} }

// Rel is the tolerance r relative to each wanted element.
func Rel(r float64) Tol { return Tol{Rel: r} }

// Compare returns nil when got has the length of want, both are finite throughout and every element of got is within
// tol. Otherwise the error names the slice, the worst element (the one furthest beyond its bound), both values, the
// error and the bound. Two empty slices are an error too: a comparison of nothing shows nothing.
func Compare(name string, got, want []float32, tol Tol) error {
	if err := refuse(name, got, want); err != nil {
		return err
	}
	largest := maxAbs(want)
	worst, excess, bad := -1, 0.0, 0
	for i := range want {
		g, w := float64(got[i]), float64(want[i])
		d, bound := math.Abs(g-w), tol.bound(w, largest)
		if d <= bound { // false when the bound is NaN
			continue
		}
		bad++
		if e := d - bound; worst < 0 || e > excess {
			worst, excess = i, e
		}
	}
	if worst < 0 {
		return nil
	}
	g, w := got[worst], want[worst]
	return fmt.Errorf("%s: %d of %d elements differ; worst at index %d: got %.9g, want %.9g, error %.3g, allowed %.3g (largest |want| %.3g)",
		name, bad, len(want), worst, g, w, math.Abs(float64(g)-float64(w)), tol.bound(float64(w), largest), largest)
}

// WorstRel is the largest |got_i - want_i| over the largest |want|, for tables: the smallest r with which RelMax(r)
// passes. It is +Inf where Compare fails at any tolerance, and where want is zero throughout and got is not.
func WorstRel(got, want []float32) float64 {
	d := WorstAbs(got, want)
	if d == 0 {
		return 0
	}
	return d / maxAbs(want)
}

// WorstAbs is the largest |got_i - want_i|, +Inf where Compare fails at any tolerance.
func WorstAbs(got, want []float32) float64 {
	if refuse("", got, want) != nil {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range want {
		worst = max(worst, math.Abs(float64(got[i])-float64(want[i])))
	}
	return worst
}

func (t Tol) bound(want, largest float64) float64 {
	return t.Abs + t.Rel*math.Abs(want) + t.Max*largest
}

// refuse rejects what no tolerance can make good.
func refuse(name string, got, want []float32) error {
	if len(got) != len(want) {
		return fmt.Errorf("%s: got %d elements, want %d", name, len(got), len(want))
	}
	if len(want) == 0 {
		return fmt.Errorf("%s: nothing to compare, both sides are empty", name)
	}
	for _, side := range []struct {
		word string
		v    []float32
	}{{"want", want}, {"got", got}} {
		for i, x := range side.v {
			if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
				return fmt.Errorf("%s: element %d of %d is not finite: got %g, want %g (refused in %s)", name, i, len(want), got[i], want[i], side.word)
			}
		}
	}
	return nil
}

func maxAbs(v []float32) float64 {
	m := 0.0
	for _, x := range v {
		m = max(m, math.Abs(float64(x)))
	}
	return m
}
