// The noise of the variance-preserving processes (model/sde.go) as a function of a time t, and back:
//
//	B(t) = t (b_min/2 + t (b_max - b_min)/4)
//	vp      sigma = sqrt(e^2B - 1)        B = ln(1 + sigma^2)/2        m = 1/sqrt(1 + sigma^2)
//	subvp   sigma = e^B - e^-B            B = asinh(sigma/2)           m = 2/(sqrt(sigma^2 + 4) + sigma)
//
// All is computed in float64 by the exponential and the logarithm of density.go, every product rounded before it is added, so
// that the bits are the same on every machine and device (perturb.cu).

package kernels

import "math"

// Betas are the ends of b(t). The zero value is none.
type Betas struct {
	Sub      bool // subvp
	Min, Max float64
}

// Sigma returns the noise at t, in (0, 1].
func (b Betas) Sigma(t float64) float64 {
	half := t * (b.Min*0.5 + float64(t*((b.Max-b.Min)*0.25)))
	if b.Sub {
		e := expm1(half)
		return e + e/(1+e)
	}
	return math.Sqrt(expm1(half + half))
}

// Time returns the t at which the noise is sigma.
func (b Betas) Time(sigma float64) float64 {
	var half float64
	if b.Sub {
		h := sigma * 0.5
		half = ln(h + math.Sqrt(float64(h*h)+1))
	} else {
		half = ln(1+float64(sigma*sigma)) * 0.5
	}
	return half * 4 / (math.Sqrt(float64(b.Min*b.Min)+float64(half*((b.Max-b.Min)*4))) + b.Min)
}

// Mean returns m where the noise is sigma.
func (b Betas) Mean(sigma float64) float64 {
	if b.Sub {
		return 2 / (math.Sqrt(float64(sigma*sigma)+4) + sigma)
	}
	return 1 / math.Sqrt(float64(sigma*sigma)+1)
}

// LikelihoodWeight returns g^2/std^2 where the noise is sigma: the weight on |noise - its prediction|^2 by which the loss bounds
// the likelihood (Song et al. 2021, "Maximum likelihood training").
func (b Betas) LikelihoodWeight(sigma float64) float64 {
	t, m := b.Time(sigma), b.Mean(sigma)
	beta, std := b.Min+float64(t*(b.Max-b.Min)), float64(sigma*m)
	w := beta / float64(std*std)
	if b.Sub { // g^2 = b (1 - m^4) and 1 - m^2 = std
		w = float64(w*std) * (1 + float64(m*m))
	}
	return w
}

// expm1 computes e^x - 1 of x in [0, 700) to 12 digits.
func expm1(x float64) float64 {
	if x >= 0.5 {
		return exp(x) - 1
	}
	return x * polynomial(x, 1.0/6227020800, 1.0/479001600, 1.0/39916800, 1.0/3628800, 1.0/362880, 1.0/40320, 1.0/5040, 1.0/720,
		1.0/120, 1.0/24, 1.0/6, 0.5, 1)
}
