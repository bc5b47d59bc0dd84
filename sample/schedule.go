// The schedule of annealed Langevin dynamics: step sizes from the ladder, Technique 4, and whether a chain is stable.
//
//	a_i = eps sigma_i^2 / sigma_L^2,   q = a_i / sigma_i^2 = eps / sigma_L^2   (the same at every level)
//
// in the convention x + a s + sqrt(2a) z (package kernels). doc.go has the letters.

package sample

import (
	"math"

	"sigmaz/model"
)

// singleLevelQ is q on a ladder of one level, where Technique 4 has nothing to balance.
const singleLevelQ = 0.1

// Epsilon chooses eps for T steps a level, by Technique 4 of Song and Ermon 2020 (proposition 3). On a point mass, a
// level that starts at the variance of the level before it ends at r sigma_i^2, where
//
//	r = (1-q)^(2T) (g^2 - b) + b,   b = 2q / (1 - (1-q)^2) = 2 / (2-q)
//
// Epsilon returns q sigma_L^2 for the q with the least |r - 1|. r is a weighted mean of g^2 (nothing is forgotten
// yet) and b (the variance that the discretisation itself has). Both are above 1, so r - 1 has no root for g > 1 and
// the minimum is taken. It lies in 0 < q < 1, because 2-q forgets as much as q does and has a larger b.
//
// With one level g = 1, and r - 1 goes to 0 with q: steps of almost no size would be best. There q is 0.1. The
// chain then settles at a variance q/(2-q), about 5 %, above sigma^2, and forgets half of where it was in seven
// steps, whatever T.
//
// T must be at least 1 and the ladder not empty.
func Epsilon(sigmas model.Ladder, T int) float64 {
	end2 := sigmas.End() * sigmas.End()
	g := sigmas.Ratio()
	if g <= 1 {
		return singleLevelQ * end2
	}
	// The grid in ln q is fine enough to bracket the minimum: r changes over factors of q near 2, and neighbours on
	// the grid differ by 1.06.
	const lo, n = -16 * math.Ln10, 640
	at := func(i int) float64 { return lo * (1 - float64(i)/n) }
	f := func(lnQ float64) float64 { return excess(g, T, math.Exp(lnQ)) }
	best := 0
	for i := 1; i <= n; i++ {
		if f(at(i)) < f(at(best)) {
			best = i
		}
	}
	return math.Exp(goldenSection(f, at(max(best-1, 0)), at(min(best+1, n)))) * end2
}

// excess returns r - 1 of Technique 4 for 0 < q <= 1, in a form without the cancellation in g^2 - b and b - 1.
func excess(g float64, T int, q float64) float64 {
	keep := math.Exp(2 * float64(T) * math.Log1p(-q)) // (1-q)^(2T)
	return keep*(g-1)*(g+1) + (1-keep)*q/(2-q)
}

// goldenSection returns where f has its minimum on [a, b], with an error of 1e-9 at most. f must have only one there.
func goldenSection(f func(float64) float64, a, b float64) float64 {
	const phi = 0.61803398874989484820
	c, d := b-phi*(b-a), a+phi*(b-a)
	fc, fd := f(c), f(d)
	for b-a > 1e-9 {
		if fc < fd {
			b, d, fd = d, c, fc
			c = b - phi*(b-a)
			fc = f(c)
		} else {
			a, c, fc = c, d, fd
			d = a + phi*(b-a)
			fd = f(d)
		}
	}
	return (a + b) / 2
}

// Stability is the verdict on a schedule.
type Stability int

const (
	Stable   Stability = iota // nothing to warn of
	Marginal                  // closer to the limit than any published setting
	Unstable                  // beyond the limit: samples run away
)

// Margins of stability, see [StabilityMargin].
const (
	unstableMargin = 1 // the limit itself

	// marginalMargin lets all published settings pass: the least margin is 1.48 (LSUN bedroom and tower; FFHQ 1.49).
	marginalMargin = 1.475

	// SafeMargin is the margin to recommend: the least published one, rounded up.
	SafeMargin = 1.5
)

// JudgeStability judges T steps a level with step size eps at the last level, and also returns the [StabilityMargin].
// It is the one judge of stability. Only networks that do not see sigma can be unstable, so for others it returns
// Stable and +Inf.
func JudgeStability(seesSigma bool, sigmas model.Ladder, T int, eps float64) (verdict Stability, margin float64) {
	if seesSigma {
		return Stable, math.Inf(1)
	}
	margin = StabilityMargin(sigmas, T, eps)
	switch {
	case margin < unstableMargin:
		return Unstable, margin
	case margin < marginalMargin:
		return Marginal, margin
	}
	return Stable, margin
}

// SafeSteps returns two ways to bring a schedule's margin to SafeMargin: more steps a level with the same eps, or a
// larger step size at the last level with the same T. The second is 0 where q would come to 0.5 or more, so that the
// steps themselves would add too much noise. T and eps must be positive and the ladder have two levels or more.
func SafeSteps(sigmas model.Ladder, T int, eps float64) (moreT int, largerEps float64) {
	margin := StabilityMargin(sigmas, T, eps)
	moreT = int(math.Ceil(float64(T) * SafeMargin / margin))
	largerEps = eps * SafeMargin / margin
	if !(largerEps < 0.5*(sigmas.End()*sigmas.End())) {
		largerEps = 0
	}
	return moreT, largerEps
}

// StepsFor returns the T that a budget of nfe evaluations of the score is enough for, with the denoising step: nfe =
// L T + 1. It is 0 where a step at each level is too much.
func StepsFor(levels, nfe int) int { return max(0, nfe-1) / levels }

// LeastSteps returns the smallest T that is stable with the step size that Technique 4 gives for it, on a network that
// does not see sigma. Technique 4 lowers the step size as T grows, and slower than T grows: the margin rises with T. On a
// ladder so coarse that 1,000 steps a level are not enough it is 0.
func LeastSteps(sigmas model.Ladder) int {
	for t := 1; t <= 1000; t++ {
		if verdict, _ := JudgeStability(false, sigmas, t, Epsilon(sigmas, t)); verdict == Stable {
			return t
		}
	}
	return 0
}

// EndVariance returns r of Technique 4 (see [Epsilon]): the variance at the end of a level, in units of sigma_i^2, of a
// chain on a point mass.
func EndVariance(sigmas model.Ladder, T int, eps float64) float64 {
	return 1 + excess(sigmas.Ratio(), T, eps/(sigmas.End()*sigmas.End()))
}

// StabilityMargin returns T q / (4 (g - 1)), or +Inf for one level. Where it is below 1, samples of a network that
// does not see sigma (every NCSNv2) run away. The reason: such a network predicts noise of unit size however far x is
// from the data. With rho = residual / sigma,
//
//	one step                takes 2 q rho off rho^2, and adds 2q + q^2
//	one change of level     multiplies rho by g
//	rho stays where it is   if T q (1 - 1/rho) = (g - 1) rho, which has a solution only if T q >= 4 (g - 1)
//
// The published settings lie between 1.48 and 7.5. A network that sees sigma, like the exact score, pulls back in
// proportion to the distance and needs no margin.
func StabilityMargin(sigmas model.Ladder, T int, eps float64) float64 {
	g := sigmas.Ratio()
	if g <= 1 {
		return math.Inf(1)
	}
	q := eps / (sigmas.End() * sigmas.End())
	return float64(T) * q / (4 * (g - 1))
}

// Alphas returns the step size a_i of every level, computed in float64 and rounded to float32 once.
func Alphas(sigmas model.Ladder, eps float64) []float32 {
	a := make([]float32, len(sigmas))
	for i, sigma := range sigmas {
		ratio := float64(sigma) / sigmas.End()
		a[i] = float32(eps * ratio * ratio)
	}
	return a
}
