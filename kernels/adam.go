// Adam (Kingma and Ba 2015, algorithm 1, as torch.optim.Adam without weight decay and amsgrad) and the exponential
// moving average of the parameters (Song and Ermon 2020, technique 5), over all parameters in one launch. With t the
// number of this step, counted from 1:
//
//	m <- b1 m + (1-b1) g        v <- b2 v + (1-b2) g^2
//	theta <- theta - lr/(1-b1^t) m / (sqrt(v)/sqrt(1-b2^t) + eps)
//	ema <- r ema + (1-r) theta     r = Rate, or with warm-up min(Rate, (1+t)/(10+t))
//
// With Clip the gradient is g min(1, Clip/(|g| + 1e-6)), |g| the norm of all gradients together (grad_norm), as
// torch.nn.utils.clip_grad_norm_ has it; with LRWarmup the rate is lr min((t-1)/LRWarmup, 1), as in score_sde_pytorch: the
// first step moves the moments alone. The factor is part of the step's constants, so a factor of 1 changes no bit.
//
//	grad_norm   norm = root of the sum of g^2, in float64, by blocks of a fixed size

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
	Norm              Buf // (1), of the gradients; present with Clip

	LR, Beta1, Beta2, Eps float64
	Rate                  float64 // of the average
	Warmup                bool

	Clip     float64 // largest norm of the gradients; 0: any
	LRWarmup uint64  // steps until the rate is LR; 0: from the first
}

func (o Adam) Name() string { return "adam" }
func (o Adam) Operands() (reads, writes []Buf) {
	return present(o.Param, o.Grad, o.M, o.V, o.EMA, o.State, o.Norm), present(o.Param, o.M, o.V, o.EMA)
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
	lr, clip := o.LR, 1.0
	if o.LRWarmup > 0 {
		lr *= min((t-1)/float64(o.LRWarmup), 1)
	}
	if o.Clip > 0 {
		clip = min(1, o.Clip/(float64(o.Norm.Of(mem)[0])+1e-6))
	}
	return vec.AdamFactors{
		Beta1: float32(o.Beta1), Rest1: float32((1 - o.Beta1) * clip),
		Beta2: float32(o.Beta2), Rest2: float32((1 - o.Beta2) * clip * clip),
		Size: float32(lr / (1 - math.Pow(o.Beta1, t))), Root: float32(1 / math.Sqrt(1-math.Pow(o.Beta2, t))),
		Eps:  float32(o.Eps),
		Rate: float32(rate), RestRate: float32(1 - rate),
	}
}

// GradNorm writes the norm of all gradients.
type GradNorm struct {
	Norm Buf // (1)
	Grad Buf // (P)
}

func (o GradNorm) Name() string                    { return "grad_norm" }
func (o GradNorm) Operands() (reads, writes []Buf) { return []Buf{o.Grad}, []Buf{o.Norm} }
func (o GradNorm) Ref(mem []float32) {
	sums := make([]float64, o.blocks())
	for i := range sums {
		for _, g := range o.block(mem, i) {
			sums[i] += float64(g) * float64(g)
		}
	}
	o.finish(mem, sums)
}

// normBlock is the gradients of a block: the sums of blocks are added in their order, so the norm does not depend on who
// took which.
const normBlock = 1 << 13

func (o GradNorm) blocks() int { return (o.Grad.N + normBlock - 1) / normBlock }

// block returns the gradients of block i.
func (o GradNorm) block(mem []float32, i int) []float32 {
	return o.Grad.Of(mem)[i*normBlock : min((i+1)*normBlock, o.Grad.N)]
}

// finish writes the norm of the blocks' sums.
func (o GradNorm) finish(mem []float32, sums []float64) {
	total := 0.0
	for _, s := range sums {
		total += s
	}
	o.Norm.Of(mem)[0] = float32(math.Sqrt(total))
}
