// What conditions samplers on a measurement y = A x + n: rows of the batch move along the directions that it knows.
//
//	sampler_misfit  m_nj = w_j (t_j + b_j z_nj - v_j x_n)      what is missing of direction j, z ~ N(0, 1)
//	sampler_fit     x_n <- x_n + sum over j of m_nj v_j
//
// The v_j are orthonormal, each of a few or many entries: one pixel of a mask, the three colours of a pixel, a block of
// pixels, a row of V of a singular value decomposition. t_j is the measured coordinate and tau_j the noise in it. At the
// noise level sigma, in a step that takes a s(x, sigma),
//
//	sigma > tau_j   w_j = 1 and b_j^2 = sigma^2 - tau_j^2: the coordinate is made to hold noise of sigma in all
//	sigma < tau_j   b_j = 0 and w_j = a/(a + tau_j^2 - sigma^2): it is drawn to t_j as by the gradient of the likelihood,
//	                (t_j - v_j x)/(tau_j^2 - sigma^2), without stepping over
//
// Both sums are in float64, one term after the other with every product rounded, and m is kept to twice float32's digits,
// so that a value that is put back at sigma 0 is t to the bit.

package kernels

import "math"

// Sparse is a sparse matrix by rows: the entries Start[i] to Start[i+1] are those of row i.
type Sparse struct{ Start, Index, Weight Buf } // (rows+1) uint32, (entries) uint32, (entries)

// Directions are r orthonormal directions of rows of D values, with what is measured of each.
type Directions struct {
	Target, Noise        Buf    // (r): t and tau
	ByDirection, ByValue Sparse // (r, D) and its transpose
	D                    int
}

// Len returns r.
func (v Directions) Len() int { return v.Target.N }

func (v Directions) bufs() []Buf {
	return []Buf{v.Target, v.Noise, v.ByDirection.Start, v.ByDirection.Index, v.ByDirection.Weight, v.ByValue.Start,
		v.ByValue.Index, v.ByValue.Weight}
}

// SamplerMisfit computes m. With Exact sigma is 0, and what is measured with noise is left as it is. The noise z of row n
// is the stream (Seed, PurposeKnown, image StateImage+n, step), or, where Draws is there, what it holds for each step.
type SamplerMisfit struct {
	SamplerStep
	Directions
	X      Buf // (N, D)
	Misfit Buf // (N, r, 2): float32 and what that leaves
	Draws  Buf // (draws, N, r) or absent: noise that is given
	Seed   uint64
	Exact  bool
}

func (o SamplerMisfit) Name() string { return "sampler_misfit" }
func (o SamplerMisfit) Operands() (reads, writes []Buf) {
	reads = append([]Buf{o.X, o.Table, o.State}, o.bufs()...)
	if o.Draws.N > 0 {
		reads = append(reads, o.Draws)
	}
	return reads, []Buf{o.Misfit}
}
func (o SamplerMisfit) Rows() int         { return o.X.N / o.D }
func (o SamplerMisfit) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerMisfit) RefRows(mem []float32, lo, hi int) {
	k, image := word(mem, o.State, StateStep), word(mem, o.State, StateImage)
	step, _ := o.at(mem)
	sigma, a := float64(step[StepSigma]), float64(step[StepX+1])
	if o.Exact {
		sigma, a = 0, 0
	}
	v := o.ByDirection
	start, index, weight := words(v.Start.Of(mem)), words(v.Index.Of(mem)), v.Weight.Of(mem)
	target, noise := o.Target.Of(mem), o.Noise.Of(mem)
	z := make([]float32, o.Len())
	for n := lo; n < hi; n++ {
		x, out := row(mem, o.X, o.Rows(), n), row(mem, o.Misfit, o.Rows(), n)
		switch {
		case sigma == 0:
		case o.Draws.N > 0:
			copy(z, row(mem, o.Draws, o.Draws.N/o.Len(), int(k)*o.Rows()+n))
		default:
			ImageStream(o.Seed, PurposeKnown, image+uint32(n), k).Normals(z)
		}
		for j, t := range target {
			tau := float64(noise[j])
			b, w := float32(0), 1.0
			if tau == 0 || tau < sigma {
				b = float32(math.Sqrt(sigma*sigma - tau*tau)) // the products are exact
			} else {
				w = a / (a + (tau*tau - sigma*sigma))
			}
			m := 0.0
			if w != 0 {
				m = float64(t)
				if b != 0 {
					m += float64(float64(b) * float64(z[j]))
				}
				for e := start[j]; e < start[j+1]; e++ {
					m -= float64(float64(weight[e]) * float64(x[index[e]]))
				}
				m *= w
			}
			out[2*j] = float32(m)
			out[2*j+1] = float32(m - float64(out[2*j]))
		}
	}
}

// SamplerFit adds to X what SamplerMisfit has found.
type SamplerFit struct {
	Directions
	X      Buf // (N, D)
	Misfit Buf // (N, r, 2)
}

func (o SamplerFit) Name() string { return "sampler_fit" }
func (o SamplerFit) Operands() (reads, writes []Buf) {
	return append([]Buf{o.X, o.Misfit}, o.bufs()...), []Buf{o.X}
}
func (o SamplerFit) Rows() int         { return o.X.N / o.D }
func (o SamplerFit) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerFit) RefRows(mem []float32, lo, hi int) {
	v := o.ByValue
	start, index, weight := words(v.Start.Of(mem)), words(v.Index.Of(mem)), v.Weight.Of(mem)
	for n := lo; n < hi; n++ {
		x, misfit := row(mem, o.X, o.Rows(), n), row(mem, o.Misfit, o.Rows(), n)
		for i := range x {
			if start[i] == start[i+1] {
				continue
			}
			sum := float64(x[i])
			for e := start[i]; e < start[i+1]; e++ {
				m := misfit[2*index[e]:]
				sum += float64(float64(weight[e]) * (float64(m[0]) + float64(m[1])))
			}
			x[i] = float32(sum)
		}
	}
}
