// The noise ladder: levels sigma_1 > sigma_2 > ... > sigma_L, geometric,
//
//	sigma_i = sigma_1 (sigma_L / sigma_1)^((i-1)/(L-1))
//
// (Song and Ermon 2019, section 4.2), or linear, an option of the original programs:
//
//	sigma_i = sigma_1 + (i-1)/(L-1) (sigma_L - sigma_1)
//
// How many levels there should be: technique2.go.

package model

import (
	"math"
	"strconv"

	"sigmaz/internal/setting"
)

// Ladder is the noise levels from the largest sigma (level 0) to the smallest (level L-1), as standard deviations per
// value, computed in float64 and rounded to float32 once.
type Ladder []float32

// The spacings of a ladder's levels.
const (
	GeometricSpacing = "geometric"
	LinearSpacing    = "linear"
)

// Spacings lists the spacings, the usual one first.
func Spacings() []string { return []string{GeometricSpacing, LinearSpacing} }

// MaxLevels bounds the length of a ladder. The longest published one has 2,311 levels.
const MaxLevels = 1 << 16

// CheckLevels judges L, the number of levels of a ladder. The error of every Check function here is a [*setting.Error].
func CheckLevels(levels int) error {
	switch {
	case levels < 1:
		return setting.Errorf("levels", "is %d: expected at least 1 noise level", levels)
	case levels > MaxLevels:
		return setting.Errorf("levels", "is %d: expected at most %d noise levels", levels, MaxLevels)
	}
	return nil
}

// CheckSigma judges the value of the setting key, which is a noise level.
func CheckSigma(key string, sigma float64) error {
	if !(sigma > 0) || math.IsInf(sigma, 0) {
		return setting.Errorf(key, "is %g: expected a positive number", sigma)
	}
	return nil
}

// CheckLadder judges the arguments of [NewLadder]. A ladder of one level has no end, so end is not looked at then.
func CheckLadder(spacing string, begin, end float64, levels int) error {
	if spacing != "" {
		if err := oneOf("spacing", spacing, Spacings()); err != nil {
			return err
		}
	}
	if err := CheckLevels(levels); err != nil {
		return err
	}
	if err := CheckSigma("sigma-begin", begin); err != nil || levels == 1 {
		return err
	}
	if err := CheckSigma("sigma-end", end); err != nil {
		return err
	}
	if begin <= end {
		return setting.Errorf("sigma-begin", "%g is not larger than `sigma-end` %g: the ladder runs from the "+
			"largest noise to the smallest; raise `sigma-begin` or lower `sigma-end`", begin, end)
	}
	return nil
}

// NewLadder returns the ladder of L levels from begin down to end; spacing "" is geometric. One level is plain
// denoising score matching at begin.
func NewLadder(spacing string, begin, end float64, levels int) (Ladder, error) {
	if err := CheckLadder(spacing, begin, end, levels); err != nil {
		return nil, err
	}
	if levels == 1 {
		return Ladder{float32(begin)}, nil
	}
	l := make(Ladder, levels)
	for i := range l {
		if spacing == LinearSpacing {
			l[i] = float32(begin + float64(float64(i)*((end-begin)/float64(levels-1))))
			continue
		}
		l[i] = float32(math.Exp(math.Log(begin) + float64(i)/float64(levels-1)*(math.Log(end)-math.Log(begin))))
	}
	if spacing == LinearSpacing {
		l[levels-1] = float32(end)
	}
	return l, nil
}

// Geometric returns the geometric ladder; see [NewLadder].
func Geometric(begin, end float64, levels int) (Ladder, error) {
	return NewLadder(GeometricSpacing, begin, end, levels)
}

// Ratio returns g = sigma_i / sigma_(i+1), 1 for a single level; the largest of them where they differ by more than the
// rounding of the levels, in a linear ladder.
func (l Ladder) Ratio() float64 {
	if len(l) < 2 {
		return 1
	}
	g := math.Pow(float64(l[0])/float64(l[len(l)-1]), 1/float64(len(l)-1))
	for i := range l[1:] {
		if r := float64(l[i]) / float64(l[i+1]); r > g*(1+1e-6) {
			g = r
		}
	}
	return g
}

// Begin returns the largest sigma.
func (l Ladder) Begin() float64 { return float64(l[0]) }

// End returns the smallest sigma.
func (l Ladder) End() float64 { return float64(l[len(l)-1]) }

// Nearest returns the level whose sigma is nearest to the given one in ln sigma, the larger sigma of two.
func (l Ladder) Nearest(sigma float64) int {
	best, least := 0, math.Inf(1)
	for i, s := range l {
		if d := math.Abs(math.Log(float64(s) / sigma)); d < least {
			best, least = i, d
		}
	}
	return best
}

// Float64s returns the levels in float64.
func (l Ladder) Float64s() []float64 {
	sigmas := make([]float64, len(l))
	for i, s := range l {
		sigmas[i] = float64(s)
	}
	return sigmas
}

// KeptLadder is a ladder as a file keeps it, rounded to the number format of its buffer.
type KeptLadder struct {
	Sigmas []float64 // nil where the file keeps none
	Bits   int       // of a number's significand: 24 of float32, 11 of float16, 8 of bfloat16
}

// SingleBits is the significand of float32, in which ladders are computed.
const SingleBits = 24

// tolerance is how far, relative, a kept sigma may lie from the one that it was: one unit in the last place of its
// format, and never less than one part in a million, because exp and log of two libraries differ.
func (k KeptLadder) tolerance() float64 { return max(1e-6, math.Ldexp(1, 1-k.Bits)) }

// Decimal returns the shortest decimal that the format rounds to the kept sigma of level i: 0.01, not 0.009999999776.
func (k KeptLadder) Decimal(i int) float64 {
	v := k.Sigmas[i]
	if k.Bits >= SingleBits {
		v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', -1, 32), 64)
		return v
	}
	_, exp := math.Frexp(v)
	half := math.Ldexp(0.5, exp-k.Bits) // of a unit in the last place
	for digits := 1; digits < 9; digits++ {
		d, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', digits, 64), 64)
		if math.Abs(d-v) <= half {
			return d
		}
	}
	return v
}

// DiffersFrom returns the first level at which a ladder that a file keeps is not l but for its rounding, or that only
// one of the two has; -1 where there is none.
func (l Ladder) DiffersFrom(k KeptLadder) int {
	for i := range min(len(l), len(k.Sigmas)) {
		if !(math.Abs(k.Sigmas[i]-float64(l[i])) <= k.tolerance()*float64(l[i])) {
			return i
		}
	}
	if len(l) != len(k.Sigmas) {
		return min(len(l), len(k.Sigmas))
	}
	return -1
}
