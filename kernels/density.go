// A density that training draws sigma from, where that is not the ladder:
//
//	ln sigma = Shift + Scale q(u),   u = (w + 1/2) 2^-32 of a random word w
//
// q(u) = u is uniform in ln sigma (VE SDE: Song et al. 2021); q = Phi^-1, the quantile of the normal distribution, is
// normal (EDM: Karras et al. 2022). Or sigma is that of a process at a time that is uniform, t = Shift + Scale u (VP and
// sub-VP: betas.go). All is computed in float64 and rounded to float32 once; every product is rounded
// before it is added, so that the bits are the same on every machine and device (perturb.cu).

package kernels

import "math"

// Density is a density of ln sigma. The zero value is none.
type Density struct {
	Normal       bool // normal in ln sigma with mean Shift and deviation |Scale|; else uniform from Shift on over Scale
	Shift, Scale float64
	Betas        Betas // where there are any, of the time
}

// Sigma turns a random word into a noise level: the quantile at (w + 1/2) 2^-32, counted from the end Shift.
func (d Density) Sigma(w uint32) float32 {
	q := (float64(w) + 0.5) * (1.0 / (1 << 32)) // exact
	if d.Normal {
		q = normalQuantile(q)
	}
	v := d.Shift + float64(d.Scale*q)
	if d.Betas != (Betas{}) {
		return float32(d.Betas.Sigma(v))
	}
	return float32(exp(v))
}

// normalQuantile computes Phi^-1(u) of u from 2^-33 to 1 - 2^-33 with a relative error of 1e-7: algorithm AS 241, PPND7
// (Wichura 1988, Applied Statistics 37, 477-484).
func normalQuantile(u float64) float64 {
	q := u - 0.5
	if math.Abs(q) <= 0.425 {
		r := 0.180625 - float64(q*q)
		return q * polynomial(r, 59.109374720, 159.29113202, 50.434271938, 3.3871327179) /
			polynomial(r, 67.187563600, 78.757757664, 17.895169469, 1)
	}
	r := math.Sqrt(-ln(min(u, 1-u))) - 1.6
	z := polynomial(r, 0.17023821103, 1.3067284816, 2.7568153900, 1.4234372777) /
		polynomial(r, 0.12021132975, 0.73700164250, 1)
	if q < 0 {
		return -z
	}
	return z
}

// ln computes ln x of a positive x to 14 digits: x = m 2^e with m in [sqrt(1/2), sqrt(2)), and with s = (m-1)/(m+1)
//
//	ln x = e ln 2 + 2 (s + s^3/3 + s^5/5 + ...)
func ln(x float64) float64 {
	bits := math.Float64bits(x)
	e := float64(int(bits>>52) - 1022)
	m := math.Float64frombits(bits&(1<<52-1) | 1022<<52) // in [1/2, 1)
	if m < math.Sqrt2/2 {
		m += m
		e--
	}
	s := (m - 1) / (m + 1)
	p := polynomial(s*s, 2.0/15, 2.0/13, 2.0/11, 2.0/9, 2.0/7, 2.0/5, 2.0/3, 2)
	return float64(p*s) + float64(e*math.Ln2)
}

// exp computes e^x of |x| < 700 to 12 digits: x = k ln 2 + r with |r| <= ln(2)/2, and e^r by its series.
func exp(x float64) float64 {
	const high, low = 6.93147180369123816490e-01, 1.90821492927058770002e-10 // of ln 2: k high is exact
	k := math.Floor(float64(x*math.Log2E) + 0.5)
	r := x - float64(k*high) - float64(k*low)
	p := polynomial(r, 1.0/3628800, 1.0/362880, 1.0/40320, 1.0/5040, 1.0/720, 1.0/120, 1.0/24, 1.0/6, 0.5, 1, 1)
	return p * math.Float64frombits(uint64(1023+int(k))<<52)
}

// polynomial evaluates a polynomial whose coefficients begin with that of the highest power.
func polynomial(x float64, c ...float64) float64 {
	p := c[0]
	for _, v := range c[1:] {
		p = float64(p*x) + v
	}
	return p
}
