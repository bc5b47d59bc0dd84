// The schedule of annealed Langevin dynamics: step sizes from the ladder, Technique 4, and when a chain is stable.
//
//	a_i = eps sigma_i^2 / sigma_L^2,   q = a_i / sigma_i^2 = eps / sigma_L^2   (the same at every level)
//
// Letters: L levels, T steps a level, g = sigma_i / sigma_(i+1) the ladder's ratio, eps the step size at the last
// level in units of x squared, in the convention x + a s + sqrt(2a) z (see package kernels).
package sample

import (
	"math"

	"sigmaz/model"
)

// singleLevelQ is q for a ladder of one level, where Technique 4 has nothing to balance.
const singleLevelQ = 0.1

// Epsilon chooses eps for T steps a level: Technique 4 of Song and Ermon 2020 (proposition 3). On a point mass, a level
// that starts at the variance of the level before ends at r sigma_i^2 with
//
//	r = (1-q)^(2T) (g^2 - b) + b,   b = 2q / (1 - (1-q)^2) = 2 / (2-q)
//
// and eps = q sigma_L^2 is chosen so that |r - 1| is least. r is a weighted mean of g^2 (nothing forgotten yet) and b
// (the discretisation's own variance), both above 1, so r - 1 has no root for g > 1 and its minimum is taken; it lies in
// 0 < q < 1, because 2-q forgets as much as q does and has a larger b.
//
// With one level g = 1, r - 1 shrinks with q without end and T steps of size nearly zero would be "best". There the rule
// is q = 0.1: the chain settles at a variance q/(2-q), about 5 %, above sigma^2 and forgets half of where it was in
// seven steps, whatever T.
//
// T must be at least 1 and the ladder not empty.
func Epsilon(sigmas model.Ladder, T int) float64 {
	end2 := sigmas.End() * sigmas.End()
	g := sigmas.Ratio()
	if g <= 1 {
		return singleLevelQ * end2
	}
	// The grid in ln q is fine enough to bracket the minimum: r changes over factors of q of order 2, not of 1.06.
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

// excess is r - 1 of Technique 4 for 0 < q <= 1, written without the cancellation in g^2 - b and b - 1.
func excess(g float64, T int, q float64) float64 {
	keep := math.Exp(2 * float64(T) * math.Log1p(-q)) // (1-q)^(2T)
	return keep*(g-1)*(g+1) + (1-keep)*q/(2-q)
}

// goldenSection is the place of the minimum of f, which has one on [a, b], to nine digits of the argument.
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

// StabilityMargin is T q / (4 (g - 1)), +Inf for one level. Below 1 a network that does not see sigma (every NCSNv2)
// runs away: it predicts noise of unit size however far x is, so with rho = residual / sigma one step takes off 2 q rho
// of rho^2 and adds 2q + q^2, one change of level multiplies rho by g, and T q (1 - 1/rho) = (g - 1) rho has a solution
// only if T q >= 4 (g - 1). 1.5 or more is safe; the published settings lie between 1.48 and 7.5. A network that sees
// sigma, like the exact score, pulls back in proportion to the distance and needs no margin.
func StabilityMargin(sigmas model.Ladder, T int, eps float64) float64 {
	g := sigmas.Ratio()
	if g <= 1 {
		return math.Inf(1)
	}
	q := eps / (sigmas.End() * sigmas.End())
	return float64(T) * q / (4 * (g - 1))
}

// Alphas is the step size a_i of every level, computed in float64 and rounded to float32 once.
func Alphas(sigmas model.Ladder, eps float64) []float32 {
	a := make([]float32, len(sigmas))
	for i, sigma := range sigmas {
		ratio := float64(sigma) / sigmas.End()
		a[i] = float32(eps * ratio * ratio)
	}
	return a
}
