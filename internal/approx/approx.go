package approx

import (
	"fmt"
	"math"
)

// Tol is the error that one element may have, the sum of three parts. The zero Tol asks for equality.
type Tol struct {
	Abs float64 // absolute
	Rel float64 // times |want| of the element itself
	Max float64 // times the largest |want| of the slice: for elements that are sums of larger terms
}

// RelMax returns the tolerance r times the largest |want| of the slice.
func RelMax(r float64) Tol { return Tol{Max: r} }

// Abs returns the absolute tolerance a.
func Abs(a float64) Tol { return Tol{Abs: a} }

// Rel returns the tolerance r times |want| of each element.
func Rel(r float64) Tol { return Tol{Rel: r} }

// Compare checks got against want. It returns nil when both have the same length, all values are finite, and every
// element is within tol. Otherwise the error names the slice, the worst element (the one furthest beyond its bound),
// both values, the difference and the bound. Two empty slices are an error too: comparing nothing shows nothing.
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
	return fmt.Errorf("%s: %d of %d elements differ; worst at index %d: got %.9g, want %.9g, "+
		"error %.3g, allowed %.3g (largest |want| %.3g)",
		name, bad, len(want), worst, g, w,
		math.Abs(float64(g)-float64(w)), tol.bound(float64(w), largest), largest)
}

// WorstRel returns max_i |got_i - want_i| / max_j |want_j|, for tables: the smallest r for which Compare with
// RelMax(r) passes. It returns +Inf where no tolerance passes, as when want is all zeros and got is not.
func WorstRel(got, want []float32) float64 {
	d := WorstAbs(got, want)
	if d == 0 {
		return 0
	}
	return d / maxAbs(want)
}

// WorstAbs returns max_i |got_i - want_i|, or +Inf where Compare fails at any tolerance.
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

// bound returns the error that an element may have; largest is the largest |want| of its slice.
func (t Tol) bound(want, largest float64) float64 {
	return t.Abs + t.Rel*math.Abs(want) + t.Max*largest
}

// refuse returns an error for what no tolerance can accept: other lengths, nothing to compare, values that are not
// finite.
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
				return fmt.Errorf("%s: element %d of %d is not finite: got %g, want %g (refused in %s)",
					name, i, len(want), got[i], want[i], side.word)
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
