// Instance norm++ (Song and Ermon 2019, appendix A): an instance norm that gives the channel means that it removes
// back. For each image of P = H*W pixels and C channels:
//
//	mu[c]    = mean over pixels of x[p,c]             var[c] = mean over pixels of (x[p,c] - mu[c])^2     (biased)
//	m        = mean over channels of mu[c]            v      = sum over channels of (mu[c] - m)^2 / (C-1) (unbiased)
//	xhat     = (x - mu) / sqrt(var + eps)             muhat  = (mu - m) / sqrt(v + 1e-5)
//	y[p,c]   = gamma[c] (xhat[p,c] + alpha[c] muhat[c]) + beta[c]                                  eps = 1e-5
//
// Both variances are those of the original PyTorch code; its JAX port divides by C in v and does not fit its
// checkpoints.
//
// The parameters are the same for all images (NCSNv2), or conditional: image n has row level[n] of a table (NCSN),
//
//	embed[l] = gamma | alpha | beta       (3C values; of a plain instance norm gamma | beta, 2C values)
//
// A plain instance norm has alpha = 0, and without parameters gamma = 1 and beta = 0 (torch.nn.InstanceNorm2d).
//
// Backward, with g = dy gamma, r = 1/sqrt(var+eps), q = 1/sqrt(v+1e-5), u[c] = alpha[c] sum over pixels of g[p,c]:
//
//	dgamma[c] = sum dy (xhat + alpha muhat)    dalpha[c] = sum g muhat    dbeta[c] = sum dy
//	dmu[c]    = q (u[c] - mean(u) - muhat[c] sum(u muhat) / (C-1))
//	dx[p,c]   = r[c] (g - mean over p of g - xhat mean over p of (g xhat)) + dmu[c] / P
//
// The sums for the parameters are over all images, for a row of a table over the images of its level: 0 without any.

package kernels

import (
	"fmt"
	"math"
)

// NormEpsilon is eps of an instance norm that names no other, and of the norm over channels.
const NormEpsilon = 1e-5

// NormShape is the geometry of a norm: N images of P pixels and C channels.
type NormShape struct{ N, P, C int }

// NormStats are the statistics that the forward operation leaves for the backward one.
type NormStats struct {
	Mean  Buf // (N, C) mu
	Rstd  Buf // (N, C) 1/sqrt(var + eps)
	MuHat Buf // (N, C)
	Q     Buf // (N) 1/sqrt(v + 1e-5)
}

// Norm is instance norm++, conditional where Embed is given. Y may be X.
type Norm struct {
	NormShape
	Y                  Buf     // (N, P, C)
	X                  Buf     // (N, P, C)
	Alpha, Gamma, Beta Buf     // (C); absent: 0, 1 and 0
	Embed              Buf     // (Levels, 3C) or (Levels, 2C), in place of the three
	Level              Buf     // (N) uint32, with Embed
	Levels             int     // rows of Embed
	Eps                float64 // 0: 1e-5
	NormStats
}

func (o Norm) Name() string { return "norm" }
func (o Norm) Operands() (reads, writes []Buf) {
	return present(o.X, o.Alpha, o.Gamma, o.Beta, o.Embed, o.Level), []Buf{o.Y, o.Mean, o.Rstd, o.MuHat, o.Q}
}
func (o Norm) InPlace() [][2]Buf { return [][2]Buf{{o.Y, o.X}} }
func (o Norm) Rows() int         { return o.N }
func (o Norm) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o Norm) RefRows(mem []float32, lo, hi int) {
	params := o.params()
	mu, va := make([]float64, o.C), make([]float64, o.C)
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		clear(mu)
		clear(va)
		for i, v := range x {
			mu[i%o.C] += float64(v) / float64(o.P)
		}
		for i, v := range x {
			d := float64(v) - mu[i%o.C]
			va[i%o.C] += d * d / float64(o.P)
		}
		o.finish(mem, n, mu, va)
		gamma, alpha, beta := params.of(mem, n)
		mean, rstd, muhat := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n), row(mem, o.MuHat, o.N, n)
		for i, v := range x {
			c := i % o.C
			y[i] = gamma[c]*((v-mean[c])*rstd[c]+alpha[c]*muhat[c]) + beta[c]
		}
	}
}

// finish turns the moments of image n into its statistics.
func (o Norm) finish(mem []float32, n int, mu, va []float64) {
	var m, v float64
	for _, u := range mu {
		m += u / float64(o.C)
	}
	for _, u := range mu {
		v += (u - m) * (u - m) / o.freedom()
	}
	q, eps := 1/math.Sqrt(v+NormEpsilon), o.epsilon()
	mean, rstd, muhat := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n), row(mem, o.MuHat, o.N, n)
	for c, u := range mu {
		mean[c] = float32(u)
		rstd[c] = float32(1 / math.Sqrt(va[c]+eps))
		muhat[c] = float32((u - m) * q)
	}
	o.Q.Of(mem)[n] = float32(q)
}

func (o Norm) epsilon() float64 {
	if o.Eps == 0 {
		return NormEpsilon
	}
	return o.Eps
}

// freedom returns C-1. A plain instance norm of one channel has no use for v, which is then 0.
func (s NormShape) freedom() float64 { return float64(max(1, s.C-1)) }

func (o Norm) params() normParams {
	return newNormParams(o.C, o.Gamma, o.Alpha, o.Beta, o.Embed, o.Level, o.Levels)
}

// normParams tells where the parameters of an image are: in each window, those of an image of level l start at word
// l*stride.
type normParams struct {
	c                  int
	gamma, alpha, beta Buf // (levels, C) with rows stride words apart; absent: 1, 0, 0
	level              Buf
	stride             int
	fixed              []float32 // C ones, C zeros
}

func newNormParams(c int, gamma, alpha, beta, embed, level Buf, levels int) normParams {
	p := normParams{c: c, gamma: gamma, alpha: alpha, beta: beta, level: level, fixed: make([]float32, 2*c)}
	for i := range c {
		p.fixed[i] = 1
	}
	if embed.N == 0 {
		return p
	}
	p.stride = embed.N / levels
	p.gamma, p.beta = embed, embed.Slice(p.stride-c, embed.N-p.stride+c)
	switch {
	case p.stride == 3*c && embed.N == levels*p.stride:
		p.alpha = embed.Slice(c, embed.N-c)
	case p.stride != 2*c || embed.N != levels*p.stride:
		panic(fmt.Sprintf("kernels: a table of %d values is not %d rows for %d channels", embed.N, levels, c))
	}
	return p
}

// at returns how far the parameters of image n are from the start of their windows.
func (p normParams) at(mem []float32, n int) int {
	if p.stride == 0 {
		return 0
	}
	return int(word(mem, p.level, n)) * p.stride
}

// of returns the parameters of image n, C values each.
func (p normParams) of(mem []float32, n int) (gamma, alpha, beta []float32) {
	at := p.at(mem, n)
	get := func(b Buf, absent []float32) []float32 {
		if b.N == 0 {
			return absent
		}
		return b.Slice(at, p.c).Of(mem)
	}
	return get(p.gamma, p.fixed[:p.c]), get(p.alpha, p.fixed[p.c:]), get(p.beta, p.fixed[p.c:])
}

// normELU is a norm and the ELU of its result in its place, which the CPU computes in one pass. (CUDA: cuda_fuse.go.)
type normELU struct{ norm Norm }

func (o normELU) Name() string                    { return o.norm.Name() }
func (o normELU) Operands() (reads, writes []Buf) { return o.norm.Operands() }

// withELU returns the norm together with the first of next, n = 1, if that is the ELU of its result in its place.
func (o Norm) withELU(next []Op) (fused normELU, n int) {
	if len(next) > 0 && o.fuses(next[0]) {
		n = 1
	}
	return normELU{o}, n
}

func (o Norm) fuses(next Op) bool {
	a, ok := next.(Activate)
	return ok && a.F == ELU && a.X == o.Y && a.Y == o.Y
}

// NormGrad is the gradient of instance norm++, from the statistics of the forward operation. The sums over images go
// to DAlpha, DGamma and DBeta, or to DEmbed. DX may be absent, and may be DY.
type NormGrad struct {
	NormShape
	DX                    Buf // (N, P, C)
	DAlpha, DGamma, DBeta Buf // (C)
	DEmbed                Buf // like Embed
	X, DY                 Buf // (N, P, C)
	Alpha, Gamma          Buf // (C); absent: 0 and 1
	Embed, Level          Buf // as in Norm
	Levels                int
	NormStats
}

func (o NormGrad) Name() string { return "norm_grad" }
func (o NormGrad) Operands() (reads, writes []Buf) {
	return present(o.X, o.DY, o.Alpha, o.Gamma, o.Embed, o.Level, o.Mean, o.Rstd, o.MuHat, o.Q),
		present(o.DX, o.DAlpha, o.DGamma, o.DBeta, o.DEmbed)
}
func (o NormGrad) InPlace() [][2]Buf {
	if o.DX.N == 0 {
		return nil
	}
	return [][2]Buf{{o.DX, o.DY}}
}
func (o NormGrad) params() normParams {
	return newNormParams(o.C, o.Gamma, o.Alpha, Buf{}, o.Embed, o.Level, o.Levels)
}
func (o NormGrad) Ref(mem []float32) {
	params := o.params()
	acc := make([]float64, max(1, o.Levels)*3*o.C)
	sums := make([]float64, 2*o.C)
	for n := range o.N {
		x, dy := row(mem, o.X, o.N, n), row(mem, o.DY, o.N, n)
		mean, rstd := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n)
		clear(sums)
		for i, g := range dy {
			c := i % o.C
			sums[c] += float64(g)
			sums[o.C+c] += float64(g) * float64((x[i]-mean[c])*rstd[c])
		}
		level := 0
		if o.Embed.N > 0 {
			level = int(word(mem, o.Level, n))
		}
		k := make([]float32, 4*o.C)
		ka, kb, kc, meanDY := k[:o.C], k[o.C:2*o.C], k[2*o.C:3*o.C], k[3*o.C:]
		o.coefficients(mem, params, n, sums, acc[level*3*o.C:][:3*o.C], ka, kb, kc, meanDY)
		if o.DX.N > 0 {
			dx := row(mem, o.DX, o.N, n)
			for i, g := range dy {
				c := i % o.C
				dx[i] = ka[c]*(g-meanDY[c]) + kb[c]*(x[i]-mean[c]) + kc[c]
			}
		}
	}
	if o.Embed.N == 0 {
		o.store(mem, acc)
		return
	}
	for l := range o.Levels {
		o.storeLevel(mem, l, acc[l*3*o.C:][:3*o.C])
	}
}

// coefficients turns the sums of image n, sums[c] = sum dy and sums[C+c] = sum dy xhat, into
// dx[p,c] = ka[c] (dy[p,c] - meanDY[c]) + kb[c] (x[p,c] - mean[c]) + kc[c], and adds to the parameters' gradients
// acc = (dgamma, dalpha, dbeta). Both differences are taken first, so that nothing cancels after a large factor.
func (o NormGrad) coefficients(mem []float32, params normParams, n int, sums, acc []float64,
	ka, kb, kc, meanDY []float32) {
	gamma, alpha, _ := params.of(mem, n)
	rstd, muhat := row(mem, o.Rstd, o.N, n), row(mem, o.MuHat, o.N, n)
	q := float64(o.Q.Of(mem)[n])
	var mu, dot float64 // mean of u and sum of u muhat
	for c := range o.C {
		u := float64(alpha[c]) * float64(gamma[c]) * sums[c]
		mu += u / float64(o.C)
		dot += u * float64(muhat[c])
	}
	p := float64(o.P)
	for c := range o.C {
		sum, sumX := sums[c], sums[o.C+c]
		a, g, h, r := float64(alpha[c]), float64(gamma[c]), float64(muhat[c]), float64(rstd[c])
		acc[c] += sumX + a*h*sum
		acc[o.C+c] += g * sum * h
		acc[2*o.C+c] += sum
		dmu := q * (a*g*sum - mu - h*dot/o.freedom())
		// r g (dy - sum/p - xhat sumX/p) + dmu/p with xhat = (x - mean) r, mean over the pixels
		ka[c] = float32(r * g)
		kb[c] = float32(-r * r * g * sumX / p)
		kc[c] = float32(dmu / p)
		meanDY[c] = float32(sum / p)
	}
}

// store writes the gradients of parameters that all images share.
func (o NormGrad) store(mem []float32, acc []float64) {
	round(o.DGamma.Of(mem), acc[:o.DGamma.N])
	round(o.DAlpha.Of(mem), acc[o.C:][:o.DAlpha.N])
	round(o.DBeta.Of(mem), acc[2*o.C:][:o.DBeta.N])
}

// storeLevel writes a row of the table's gradient.
func (o NormGrad) storeLevel(mem []float32, l int, acc []float64) {
	if o.DEmbed.N == 0 {
		return
	}
	to := row(mem, o.DEmbed, o.Levels, l)
	if len(to) == 2*o.C { // no alpha
		round(to[:o.C], acc[:o.C])
		round(to[o.C:], acc[2*o.C:])
		return
	}
	round(to, acc)
}
