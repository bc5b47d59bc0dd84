// Instance norm++ (Song and Ermon 2019, appendix A): an instance norm that keeps the channel means that it removes.
// Per image, P = H*W pixels, C channels:
//
//	mu[c]    = mean over pixels of x[p,c]             var[c] = mean over pixels of (x[p,c] - mu[c])^2     (biased)
//	m        = mean over channels of mu[c]            v      = sum over channels of (mu[c] - m)^2 / (C-1) (unbiased)
//	xhat     = (x - mu) / sqrt(var + eps)             muhat  = (mu - m) / sqrt(v + eps)
//	y[p,c]   = gamma[c] (xhat[p,c] + alpha[c] muhat[c]) + beta[c]                                  eps = 1e-5
//
// Both variances stand as in the original PyTorch code; its JAX port divides by C in v and does not fit its checkpoints.
//
// Backward, with g = dy gamma, r = 1/sqrt(var+eps), q = 1/sqrt(v+eps), u[c] = alpha[c] sum over pixels of g[p,c]:
//
//	dgamma[c] = sum dy (xhat + alpha muhat)    dalpha[c] = sum g muhat    dbeta[c] = sum dy
//	dmu[c]    = q (u[c] - mean(u) - muhat[c] sum(u muhat) / (C-1))
//	dx[p,c]   = r[c] (g - mean over p of g - xhat mean over p of (g xhat)) + dmu[c] / P
package kernels

import "math"

const normEpsilon = 1e-5

// NormShape is the geometry of a norm: N images of P pixels and C >= 2 channels.
type NormShape struct{ N, P, C int }

// NormStats are the statistics that the forward operation leaves for the backward one.
type NormStats struct {
	Mean  Buf // (N, C) mu
	Rstd  Buf // (N, C) 1/sqrt(var + eps)
	MuHat Buf // (N, C)
	Q     Buf // (N) 1/sqrt(v + eps)
}

// StatsWords is the size of the statistics, which stand one after the other in Mean, Rstd, MuHat, Q.
func (s NormShape) StatsWords() int { return 3*s.N*s.C + s.N }

// Norm is instance norm++. Y may be X.
type Norm struct {
	NormShape
	Y                  Buf // (N, P, C)
	X                  Buf // (N, P, C)
	Alpha, Gamma, Beta Buf // (C)
	NormStats
}

func (o Norm) Name() string { return "norm" }
func (o Norm) Operands() (reads, writes []Buf) {
	return []Buf{o.X, o.Alpha, o.Gamma, o.Beta}, []Buf{o.Y, o.Mean, o.Rstd, o.MuHat, o.Q}
}
func (o Norm) Rows() int         { return o.N }
func (o Norm) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o Norm) RefRows(mem []float32, lo, hi int) {
	alpha, gamma, beta := o.Alpha.Of(mem), o.Gamma.Of(mem), o.Beta.Of(mem)
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
		v += (u - m) * (u - m) / float64(o.C-1)
	}
	q := 1 / math.Sqrt(v+normEpsilon)
	mean, rstd, muhat := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n), row(mem, o.MuHat, o.N, n)
	for c, u := range mu {
		mean[c] = float32(u)
		rstd[c] = float32(1 / math.Sqrt(va[c]+normEpsilon))
		muhat[c] = float32((u - m) * q)
	}
	o.Q.Of(mem)[n] = float32(q)
}

// fuses says whether next is the ELU of the norm's result in its place: then the two are one pass.
func (o Norm) fuses(next Op) bool {
	a, ok := next.(Activate)
	return ok && a.F == ELU && a.X == o.Y && a.Y == o.Y
}

// NormGrad is the backward of instance norm++, from the statistics of the forward operation. The sums over images go
// to DAlpha, DGamma and DBeta. DX may be DY.
type NormGrad struct {
	NormShape
	DX                    Buf // (N, P, C)
	DAlpha, DGamma, DBeta Buf // (C)
	X, DY                 Buf // (N, P, C)
	Alpha, Gamma          Buf // (C)
	NormStats
}

func (o NormGrad) Name() string { return "norm_grad" }
func (o NormGrad) Operands() (reads, writes []Buf) {
	return []Buf{o.X, o.DY, o.Alpha, o.Gamma, o.Mean, o.Rstd, o.MuHat, o.Q}, present(o.DX, o.DAlpha, o.DGamma, o.DBeta)
}
func (o NormGrad) Ref(mem []float32) {
	acc := make([]float64, 3*o.C)
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
		k := make([]float32, 4*o.C)
		ka, kb, kc, meanDY := k[:o.C], k[o.C:2*o.C], k[2*o.C:3*o.C], k[3*o.C:]
		o.coefficients(mem, n, sums, acc, ka, kb, kc, meanDY)
		if o.DX.N > 0 {
			dx := row(mem, o.DX, o.N, n)
			for i, g := range dy {
				c := i % o.C
				dx[i] = ka[c]*(g-meanDY[c]) + kb[c]*(x[i]-mean[c]) + kc[c]
			}
		}
	}
	o.store(mem, acc)
}

// coefficients turns the sums of image n, sums[c] = sum dy and sums[C+c] = sum dy xhat, into
// dx[p,c] = ka[c] (dy[p,c] - meanDY[c]) + kb[c] (x[p,c] - mean[c]) + kc[c], and adds to the parameters' gradients
// acc = (dalpha, dgamma, dbeta). Both differences are taken first, so that nothing cancels after a large factor.
func (o NormGrad) coefficients(mem []float32, n int, sums, acc []float64, ka, kb, kc, meanDY []float32) {
	alpha, gamma := o.Alpha.Of(mem), o.Gamma.Of(mem)
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
		acc[c] += g * sum * h
		acc[o.C+c] += sumX + a*h*sum
		acc[2*o.C+c] += sum
		dmu := q * (a*g*sum - mu - h*dot/float64(o.C-1))
		// r g (dy - sum/p - xhat sumX/p) + dmu/p with xhat = (x - mean) r, mean over the pixels
		ka[c] = float32(r * g)
		kb[c] = float32(-r * r * g * sumX / p)
		kc[c] = float32(dmu / p)
		meanDY[c] = float32(sum / p)
	}
}

func (o NormGrad) store(mem []float32, acc []float64) {
	round(o.DAlpha.Of(mem), acc[:o.DAlpha.N])
	round(o.DGamma.Of(mem), acc[o.C:][:o.DGamma.N])
	round(o.DBeta.Of(mem), acc[2*o.C:][:o.DBeta.N])
}
