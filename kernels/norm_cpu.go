// Instance norm++ on the CPU, see norm.go. Forward and backward read an image twice: for its sums, then to map it.

package kernels

import "sigmaz/kernels/internal/vec"

func (o Norm) fuseCPU(next []Op) (cpuOp, int) { return o.withELU(next) }

func (o Norm) lower(mem []float32) stage    { return o.lowerWith(mem, vec.Normalize) }
func (o normELU) lower(mem []float32) stage { return o.norm.lowerWith(mem, vec.NormalizeELU) }

// lowerWith returns the stage of a norm whose second pass is normalize.
func (o Norm) lowerWith(mem []float32, normalize func(y, x, mean, scale, shift []float32)) stage {
	params := o.params()
	return stage{rows: o.N, readWhole: present(o.Alpha, o.Gamma, o.Beta, o.Embed), scratch: 8 * o.C,
		run: func(lo, hi, _ int, _ bool, w *worker) {
			moments, scratch := doublesOf(w.scratch[:4*o.C]), w.scratch[4*o.C:]
			mu, va := moments[:o.C], moments[o.C:]
			sum, sumSq := scratch[:o.C], scratch[o.C:2*o.C]
			scale, shift := scratch[2*o.C:3*o.C], scratch[3*o.C:4*o.C]
			for n := lo; n < hi; n++ {
				x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
				// moments about the first pixel: var = E(x-a)^2 - (E(x-a))^2 does not cancel when a is near the mean
				vec.ColumnMoments(sum, sumSq, x, x[:o.C])
				for c := range mu {
					d := float64(sum[c]) / float64(o.P)
					mu[c] = float64(x[c]) + d
					va[c] = max(0, float64(sumSq[c])/float64(o.P)-d*d)
				}
				o.finish(mem, n, mu, va)
				gamma, alpha, beta := params.of(mem, n)
				mean, rstd, muhat := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n), row(mem, o.MuHat, o.N, n)
				for c := range mu {
					scale[c] = gamma[c] * rstd[c]
					shift[c] = gamma[c]*alpha[c]*muhat[c] + beta[c]
				}
				normalize(y, x, mean, scale, shift)
			}
		}}
}

func (o NormGrad) lower(mem []float32) stage {
	params := o.params()
	sums := make([][]float64, min(taskCount, o.N)) // dgamma, dalpha, dbeta of each task
	var imageSums []float32                        // of each image, where they belong to a row of the table
	s := stage{rows: o.N, sumsByTask: true, scratch: 10 * o.C, workspace: len(sums) * 6 * o.C,
		readWhole: present(o.Alpha, o.Gamma, o.Embed), writtenAfter: present(o.DAlpha, o.DGamma, o.DBeta, o.DEmbed),
		allocate: func() {
			for i := range sums {
				sums[i] = make([]float64, 3*o.C)
			}
			if o.Embed.N > 0 {
				imageSums = make([]float32, o.N*3*o.C)
			}
		},
		run: func(lo, hi, task int, first bool, w *worker) {
			if first {
				clear(sums[task])
			}
			s, scratch := doublesOf(w.scratch[:4*o.C]), w.scratch[4*o.C:]
			sumDY, sumDYX := scratch[:o.C], scratch[o.C:2*o.C]
			ka, kb, kc := scratch[2*o.C:3*o.C], scratch[3*o.C:4*o.C], scratch[4*o.C:5*o.C]
			meanDY := scratch[5*o.C : 6*o.C]
			for n := lo; n < hi; n++ {
				x, dy := row(mem, o.X, o.N, n), row(mem, o.DY, o.N, n)
				mean, rstd := row(mem, o.Mean, o.N, n), row(mem, o.Rstd, o.N, n)
				vec.ColumnDots(sumDY, sumDYX, dy, x, mean)
				for c := range o.C {
					s[c] = float64(sumDY[c])
					s[o.C+c] = float64(sumDYX[c]) * float64(rstd[c])
				}
				if imageSums != nil {
					clear(sums[task])
				}
				o.coefficients(mem, params, n, s, sums[task], ka, kb, kc, meanDY)
				if imageSums != nil {
					round(part(imageSums, n, o.N), sums[task])
				}
				if o.DX.N > 0 {
					vec.NormBackward(row(mem, o.DX, o.N, n), dy, x, meanDY, mean, ka, kb, kc)
				}
			}
		}}
	if o.Embed.N > 0 {
		s.workspace += o.N * 3 * o.C
		s.after = []phase{{o.Levels, func(l int, _ *worker) {
			acc := make([]float64, 3*o.C)
			for n := range o.N {
				if int(word(mem, o.Level, n)) != l {
					continue
				}
				for i, v := range part(imageSums, n, o.N) {
					acc[i] += float64(v)
				}
			}
			o.storeLevel(mem, l, acc)
		}}}
		return s
	}
	s.after = []phase{once(func() {
		acc := make([]float64, 3*o.C)
		for _, s := range sums {
			for i, v := range s {
				acc[i] += v
			}
		}
		o.store(mem, acc)
	})}
	return s
}
