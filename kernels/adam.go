// Adam (Kingma and Ba 2015, algorithm 1, as torch.optim.Adam without weight decay and amsgrad) and the exponential
// moving average of the parameters (Song and Ermon 2020, technique 5), over all parameters in one launch. With t the
// number of this step, counted from 1:
//
//	m <- b1 m + (1-b1) g        v <- b2 v + (1-b2) g^2
//	theta <- theta - lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)
//	ema <- r ema + (1-r) theta     r = Rate, or with warm-up min(Rate, (1+t)/(10+t))

package kernels

import (
	"math"

	"sigmaz/kernels/internal/vec"
)

// Adam updates parameters, moments and average, all in place.
type Adam struct {
	Param, Grad, M, V Buf // (P)
	EMA               Buf // (P), may be absent
	State             Buf // t is its step + 1

	LR, Beta1, Beta2, Eps float64
	Rate                  float64 // of the average
	Warmup                bool
}

func (o Adam) Name() string { return "adam" }
func (o Adam) Operands() (reads, writes []Buf) {
	return present(o.Param, o.Grad, o.M, o.V, o.EMA, o.State), present(o.Param, o.M, o.V, o.EMA)
}
func (o Adam) Ref(mem []float32) {
	f := o.factors(mem)
	p, g, m, v, ema := o.Param.Of(mem), o.Grad.Of(mem), o.M.Of(mem), o.V.Of(mem), o.EMA.Of(mem)
	for i := range p {
		m[i] = float32(f.Beta1*m[i]) + float32(f.Rest1*g[i])
		v[i] = float32(f.Beta2*v[i]) + float32(f.Rest2*float32(g[i]*g[i]))
		p[i] -= float32(f.Size*m[i]) / (float32(float32(math.Sqrt(float64(v[i])))*f.Root) + f.Eps)
	}
	for i := range ema {
		ema[i] = float32(f.Rate*ema[i]) + float32(f.RestRate*p[i])
	}
}

// factors returns the numbers of the step.
func (o Adam) factors(mem []float32) vec.AdamFactors {
	t := float64(stepOf(mem, o.State) + 1)
	rate := o.Rate
	if o.Warmup {
		rate = min(rate, (1+t)/(10+t))
	}
	return vec.AdamFactors{
		Beta1: float32(o.Beta1), Rest1: float32(1 - o.Beta1),
		Beta2: float32(o.Beta2), Rest2: float32(1 - o.Beta2),
		Size: float32(o.LR / (1 - math.Pow(o.Beta1, t))), Root: float32(1 / math.Sqrt(1-math.Pow(o.Beta2, t))),
		Eps:  float32(o.Eps),
		Rate: float32(rate), RestRate: float32(1 - rate),
	}
}
