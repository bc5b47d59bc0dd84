// Group norm, alone or with the swish of its result. Each image of P pixels and C channels has G groups of C/G
// successive channels; with the means over a group's M = P C/G values,
//
//	mu = mean of x      var = mean of (x - mu)^2  (biased)      r = 1/sqrt(var + eps)     eps = 1e-6
//	xhat[p,c] = (x[p,c] - mu) r         h[p,c] = gamma[c] xhat[p,c] + beta[c]         y = h, or y = h s, s = 1/(1 + e^-h)
//
// Backward, with dh = dy, or dh = dy s (1 + h (1 - s)), and g[p,c] = gamma[c] dh[p,c]:
//
//	dgamma[c] = sum dh xhat        dbeta[c] = sum dh        dx = r (g - mean of g - xhat mean of (g xhat))
//
// The sums for the parameters are over all images and pixels. h is computed again from x, so that nothing but two
// values a group is kept for the backward.

package kernels

import (
	"fmt"
	"math"
)

// GroupNormEpsilon is eps of group norms.
const GroupNormEpsilon = 1e-6

// GroupNormShape is the geometry of a group norm: N images of P pixels and C channels, which Groups divides.
type GroupNormShape struct{ N, P, C, Groups int }

// width returns the channels of a group.
func (s GroupNormShape) width() int {
	if s.Groups < 1 || s.C%s.Groups != 0 {
		panic(fmt.Sprintf("kernels: %d groups do not divide %d channels", s.Groups, s.C))
	}
	return s.C / s.Groups
}

// GroupStats are the statistics that the forward operation leaves for the backward one.
type GroupStats struct {
	Mean Buf // (N, Groups) mu
	Rstd Buf // (N, Groups) r
}

// GroupNorm is group norm, with Swish the swish of its result. Y may be X.
type GroupNorm struct {
	GroupNormShape
	Swish       bool
	Y           Buf // (N, P, C)
	X           Buf // (N, P, C)
	Gamma, Beta Buf // (C)
	GroupStats
}

func (o GroupNorm) Name() string { return "group_norm" }
func (o GroupNorm) Operands() (reads, writes []Buf) {
	return []Buf{o.X, o.Gamma, o.Beta}, []Buf{o.Y, o.Mean, o.Rstd}
}
func (o GroupNorm) InPlace() [][2]Buf { return [][2]Buf{{o.Y, o.X}} }
func (o GroupNorm) Rows() int         { return o.N }
func (o GroupNorm) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o GroupNorm) RefRows(mem []float32, lo, hi int) {
	width := o.width()
	values := float64(o.P * width)
	gamma, beta := o.Gamma.Of(mem), o.Beta.Of(mem)
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		mu, va := make([]float64, o.Groups), make([]float64, o.Groups)
		for i, v := range x {
			mu[i%o.C/width] += float64(v) / values
		}
		for i, v := range x {
			d := float64(v) - mu[i%o.C/width]
			va[i%o.C/width] += d * d / values
		}
		o.finish(mem, n, mu, va)
		mean, rstd := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n)
		for i, v := range x {
			c := i % o.C
			y[i] = gamma[c]*((v-mean[c/width])*rstd[c/width]) + beta[c]
		}
		if o.Swish {
			Activate{F: Swish, N: 1, Y: Buf{N: len(y)}, X: Buf{N: len(y)}}.Ref(y)
		}
	}
}

// finish turns the moments of image n into its statistics.
func (o GroupNorm) finish(mem []float32, n int, mu, va []float64) {
	mean, rstd := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n)
	for g, u := range mu {
		mean[g], rstd[g] = float32(u), float32(1/math.Sqrt(va[g]+GroupNormEpsilon))
	}
}

// GroupNormGrad is the gradient of group norm, from the statistics of the forward operation. DX may be absent, and may
// be DY.
type GroupNormGrad struct {
	GroupNormShape
	Swish         bool
	DX            Buf // (N, P, C)
	DGamma, DBeta Buf // (C), either may be absent
	X, DY         Buf // (N, P, C)
	Gamma         Buf // (C)
	Beta          Buf // (C), with Swish
	GroupStats
}

func (o GroupNormGrad) Name() string { return "group_norm_grad" }
func (o GroupNormGrad) Operands() (reads, writes []Buf) {
	return present(o.X, o.DY, o.Gamma, o.Beta, o.Mean, o.Rstd), present(o.DX, o.DGamma, o.DBeta)
}
func (o GroupNormGrad) InPlace() [][2]Buf {
	if o.DX.N == 0 {
		return nil
	}
	return [][2]Buf{{o.DX, o.DY}}
}
func (o GroupNormGrad) Ref(mem []float32) {
	width := o.width()
	gamma, acc := o.Gamma.Of(mem), make([]float64, 2*o.C)
	for n := range o.N {
		x, dy := row(mem, o.X, o.N, n), row(mem, o.DY, o.N, n)
		mean, rstd := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n)
		dh := append([]float32(nil), dy...)
		if o.Swish {
			beta, h := o.Beta.Of(mem), make([]float32, len(x))
			for i, v := range x {
				c := i % o.C
				h[i] = gamma[c]*((v-mean[c/width])*rstd[c/width]) + beta[c]
			}
			both := append(dh, h...)
			at := Buf{N: len(x)}
			ActivateGrad{F: Swish, N: 1, DX: at, DY: at, X: Buf{Off: len(x), N: len(x)}}.Ref(both)
			dh = both[:len(x)]
		}
		sums := make([]float64, 2*o.C)
		for i, g := range dh {
			c := i % o.C
			sums[c] += float64(g)
			sums[o.C+c] += float64(g) * float64((x[i]-mean[c/width])*rstd[c/width])
		}
		m1, k := make([]float32, o.Groups), make([]float32, o.Groups)
		o.coefficients(gamma, rstd, sums, acc, m1, k)
		if o.DX.N > 0 {
			dx := row(mem, o.DX, o.N, n)
			for i, d := range dh {
				c := i % o.C
				g := c / width
				dx[i] = rstd[g] * (gamma[c]*d - m1[g] - k[g]*(x[i]-mean[g]))
			}
		}
	}
	o.store(mem, acc)
}

// coefficients turns the sums of an image, sums[c] = sum dh and sums[C+c] = sum dh xhat, into those of
// dx = r (g - m1 - k (x - mu)) of each group, and adds to the parameters' gradients acc = (dgamma, dbeta).
func (o GroupNormGrad) coefficients(gamma, rstd []float32, sums, acc []float64, m1, k []float32) {
	width := o.width()
	values := float64(o.P * width)
	for g := range o.Groups {
		var sum, sumX float64
		for c := g * width; c < (g+1)*width; c++ {
			sum += float64(gamma[c]) * sums[c]
			sumX += float64(gamma[c]) * sums[o.C+c]
			acc[c] += sums[o.C+c]
			acc[o.C+c] += sums[c]
		}
		m1[g] = float32(sum / values)
		k[g] = float32(float64(rstd[g]) * sumX / values)
	}
}

// store writes the gradients of the parameters.
func (o GroupNormGrad) store(mem []float32, acc []float64) {
	round(o.DGamma.Of(mem), acc[:o.DGamma.N])
	round(o.DBeta.Of(mem), acc[o.C:][:o.DBeta.N])
}
