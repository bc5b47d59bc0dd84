// Group norm on the CPU, see group_norm.go. Forward and backward read an image twice: for the sums of its channels, of
// which those of a group are added, then to map it. What is one value a group is spread over its channels for the map.

package kernels

import "sigmaz/kernels/internal/vec"

func (o GroupNorm) lower(mem []float32) stage {
	width := o.width()
	normalize := vec.Normalize
	if o.Swish {
		normalize = vec.NormalizeSwish
	}
	return stage{rows: o.N, readWhole: []Buf{o.Gamma, o.Beta}, scratch: 4*o.Groups + 5*o.C,
		run: func(lo, hi, _ int, _ bool, w *worker) {
			moments, scratch := doublesOf(w.scratch[:4*o.Groups]), w.scratch[4*o.Groups:]
			mu, va := moments[:o.Groups], moments[o.Groups:]
			sum, sumSq := scratch[:o.C], scratch[o.C:2*o.C]
			means, scale := scratch[2*o.C:3*o.C], scratch[3*o.C:4*o.C]
			gamma, beta := o.Gamma.Of(mem), o.Beta.Of(mem)
			for n := lo; n < hi; n++ {
				x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
				// moments of each channel about its first pixel: var = E(x-a)^2 - (E(x-a))^2 does not cancel when a is near the mean
				vec.ColumnMoments(sum, sumSq, x, x[:o.C])
				for g := range mu {
					mu[g], va[g] = o.moments(sum, sumSq, x, g*width, width)
				}
				o.finish(mem, n, mu, va)
				mean, rstd := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n)
				for c := range o.C {
					means[c], scale[c] = mean[c/width], gamma[c]*rstd[c/width]
				}
				normalize(y, x, means, scale, beta)
			}
		}}
}

// moments returns mean and variance of the channels from first on, from the sums of x - first pixel and its square.
func (o GroupNorm) moments(sum, sumSq, firstPixel []float32, first, width int) (mu, va float64) {
	p := float64(o.P)
	for c := first; c < first+width; c++ {
		mu += (float64(firstPixel[c]) + float64(sum[c])/p) / float64(width)
	}
	for c := first; c < first+width; c++ {
		d := float64(sum[c]) / p
		of := float64(firstPixel[c]) + d - mu // the channel's mean about the group's
		va += (max(0, float64(sumSq[c])/p-d*d) + of*of) / float64(width)
	}
	return mu, va
}

func (o GroupNormGrad) lower(mem []float32) stage {
	width := o.width()
	sums := make([][]float64, min(taskCount, o.N)) // dgamma, dbeta of each task
	held := 0                                      // words for dh where there is no dx to hold it
	if o.Swish && o.DX.N == 0 {
		held = o.P * o.C
	}
	s := stage{rows: o.N, sumsByTask: true, scratch: 4*o.C + 7*o.C + 2*o.Groups + held, workspace: len(sums) * 4 * o.C,
		readWhole: present(o.Gamma, o.Beta), writtenAfter: present(o.DGamma, o.DBeta),
		allocate: func() {
			for i := range sums {
				sums[i] = make([]float64, 2*o.C)
			}
		},
		run: func(lo, hi, task int, first bool, w *worker) {
			if first {
				clear(sums[task])
			}
			s, scratch := doublesOf(w.scratch[:4*o.C]), w.scratch[4*o.C:]
			take := func(n int) []float32 { v := scratch[:n:n]; scratch = scratch[n:]; return v }
			sumDH, sumDHX, means, rstds := take(o.C), take(o.C), take(o.C), take(o.C)
			scale, m1s, ks := take(o.C), take(o.C), take(o.C)
			m1, k, hold := take(o.Groups), take(o.Groups), take(held)
			gamma := o.Gamma.Of(mem)
			for n := lo; n < hi; n++ {
				x, dh := row(mem, o.X, o.N, n), row(mem, o.DY, o.N, n)
				mean, rstd := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n)
				for c := range o.C {
					means[c], rstds[c], scale[c] = mean[c/width], rstd[c/width], gamma[c]*rstd[c/width]
				}
				to := hold
				if o.DX.N > 0 {
					to = row(mem, o.DX, o.N, n)
				}
				if o.Swish {
					vec.NormalizeSwishBackward(to, dh, x, means, scale, o.Beta.Of(mem))
					dh = to
				}
				vec.ColumnDots(sumDH, sumDHX, dh, x, means)
				for c := range o.C {
					s[c], s[o.C+c] = float64(sumDH[c]), float64(sumDHX[c])*float64(rstds[c])
				}
				o.coefficients(gamma, rstd, s, sums[task], m1, k)
				if o.DX.N > 0 {
					for c := range o.C {
						m1s[c], ks[c] = m1[c/width], k[c/width]
					}
					vec.GroupNormBackward(to, dh, x, gamma, m1s, means, ks, rstds)
				}
			}
		}}
	s.after = []phase{once(func() {
		acc := make([]float64, 2*o.C)
		for _, s := range sums {
			for i, v := range s {
				acc[i] += v
			}
		}
		o.store(mem, acc)
	})}
	return s
}
