// How many noise levels: Technique 2 of Song and Ermon 2020 ("Improved Techniques for Training Score-Based Generative
// Models", section 3.2). Far from the data a perturbed image lies on a shell of radius sigma sqrt D and thickness
// sigma/sqrt 2, and two neighbouring levels overlap by
//
//	C = Phi(sqrt(2D) (g-1) + 3g) - Phi(sqrt(2D) (g-1) - 3g),     g = sigma_i / sigma_(i+1)
//
// where Phi is the normal distribution function. The paper says C is about 0.5; its published ladders (CIFAR-10,
// CelebA, LSUN, FFHQ) have C = 0.567, which is what is used here.

package model

import (
	"math"

	"sigmaz/internal/setting"
)

// Technique2C is the overlap of neighbouring levels in the published ladders.
const Technique2C = 0.567

// Overlap returns C for the ratio g and the dimension d. It is written with erfc so that nothing cancels.
func Overlap(g float64, d int) float64 {
	a := math.Sqrt(2*float64(d)) * (g - 1)
	phi := func(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }
	return phi(a+3*g) - phi(a-3*g)
}

// Technique2 chooses the number of levels from begin down to end for data of d values, L = 1 + ln(begin/end)/ln g,
// rounded, and returns the ratio g too. In few dimensions the shells are so thick that every ratio overlaps; then
// there is no answer and the number has to be given. The error is a [*setting.Error] about levels.
func Technique2(begin, end float64, d int) (levels int, g float64, err error) {
	// The overlap falls with g as long as sqrt(2D) > 3. Where it never falls to C, there is nothing to solve.
	low, high := 1.0, 16.0
	if Overlap(high, d) > Technique2C {
		return 0, 0, setting.Errorf("levels", "is auto, but in %d dimensions neighbouring levels overlap at every "+
			"ratio, so Technique 2 has no answer; give a number, such as 20", d)
	}
	for range 100 { // halves the interval to the last bit
		g = (low + high) / 2
		if Overlap(g, d) > Technique2C {
			low = g
		} else {
			high = g
		}
	}
	l := 1 + math.Round(math.Log(begin/end)/math.Log(g))
	if !(l <= MaxLevels) {
		return 0, 0, setting.Errorf("levels", "is auto, which gives %.0f levels from sigma %g to %g; give a "+
			"number of at most %d, or bring `sigma-begin` and `sigma-end` closer", l, begin, end, MaxLevels)
	}
	return max(int(l), 2), g, nil
}
