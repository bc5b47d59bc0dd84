package kernels

import (
	"unsafe"

	"sigmaz/kernels/internal/vec"
)

// lower says how the CPU runs an operation. Operations that are not named here run through their reference, by rows
// where it can.
func lower(mem []float32, op Op) stage {
	switch o := op.(type) {
	case Conv:
		return lowerConv(mem, o)
	case ConvGradInput:
		return lowerConvGradInput(mem, o)
	case ConvGradWeight:
		return lowerConvGradWeight(mem, o)
	case Norm:
		return lowerNorm(mem, o, vec.Normalize)
	case NormGrad:
		return lowerNormGrad(mem, o)
	case Activate:
		f := activations[o.F].forward
		return byRows(o.N, nil, func(lo, hi int) { f(rowsOf(mem, o.Y, o.N, lo, hi), rowsOf(mem, o.X, o.N, lo, hi)) })
	case ActivateGrad:
		f := activations[o.F].backward
		return byRows(o.N, nil, func(lo, hi int) {
			f(rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi), rowsOf(mem, o.at(), o.N, lo, hi))
		})
	case MaxPool5:
		return byRows(o.N, nil, func(lo, hi int) {
			for n := lo; n < hi; n++ {
				var index []uint32
				if o.Index.N > 0 {
					index = words(row(mem, o.Index, o.N, n))
				}
				vec.MaxPool5(row(mem, o.Y, o.N, n), index, row(mem, o.X, o.N, n), o.H, o.W, o.C)
			}
		})
	case MaxPool5Grad:
		scratch := vec.MaxPool5BackwardScratch(o.W, o.C)
		return stage{rows: o.N, scratch: scratch, run: func(lo, hi, _ int, _ bool, w *worker) {
			for n := lo; n < hi; n++ {
				vec.MaxPool5Backward(row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n), words(row(mem, o.Index, o.N, n)), o.H, o.W, o.C, w.scratch[:scratch])
			}
		}}
	case AvgPool5:
		return lowerAvgPool5(mem, o)
	case MeanPool2:
		return byRows(o.N, nil, func(lo, hi int) {
			for n := lo; n < hi; n++ {
				vec.MeanPool2(row(mem, o.Y, o.N, n), row(mem, o.X, o.N, n), o.H, o.W, o.C)
			}
		})
	case MeanPool2Grad:
		return byRows(o.N, nil, func(lo, hi int) {
			for n := lo; n < hi; n++ {
				vec.MeanPool2Backward(row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n), o.H, o.W, o.C)
			}
		})
	case Resize:
		return lowerResize(mem, o)
	case ResizeGrad:
		return lowerResizeGrad(mem, o)
	case Add:
		return byRows(o.N, nil, func(lo, hi int) {
			vec.Add(rowsOf(mem, o.Dst, o.N, lo, hi), rowsOf(mem, o.A, o.N, lo, hi), rowsOf(mem, o.B, o.N, lo, hi))
		})
	case Loss:
		sum := vec.SumSquares
		if o.S.N/o.N <= shortRow {
			sum = sumSquares
		}
		s := byRows(o.N, nil, func(lo, hi int) { o.rows(mem, lo, hi, sum) })
		s.late = []Buf{o.Mean}
		s.after = []phase{once(func() { o.mean(mem) })}
		return s
	case LossGrad:
		sum := vec.ScaledSum
		if o.S.N/o.N <= shortRow {
			sum = scaledSum
		}
		return byRows(o.N, []Buf{o.DMean}, func(lo, hi int) { o.rows(mem, lo, hi, sum) })
	case DivSigma:
		if o.X.N/o.N <= shortRow {
			return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
		}
		return byRows(o.N, nil, func(lo, hi int) {
			for n := lo; n < hi; n++ {
				vec.Divide(row(mem, o.Y, o.N, n), row(mem, o.X, o.N, n), o.Sigma.Of(mem)[n])
			}
		})
	case Affine:
		return byRows(o.N, nil, func(lo, hi int) {
			vec.Affine(rowsOf(mem, o.Y, o.N, lo, hi), rowsOf(mem, o.X, o.N, lo, hi), o.Scale, o.Shift)
		})
	case Denoise:
		return byRows(o.Rows(), nil, func(lo, hi int) {
			for n := lo; n < hi; n++ {
				x, sigma := row(mem, o.X, o.Rows(), n), o.Sigma.Of(mem)[n]
				vec.AddScaled(x, x, row(mem, o.S, o.Rows(), n), sigma*sigma)
			}
		})
	case Perturb:
		return lowerPerturb(mem, o)
	case SetSigma:
		return byRows(o.Sigma.N, []Buf{o.Ladder, o.State}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
	case Langevin:
		return lowerLangevin(mem, o)
	case Adam:
		const block = 1 << 14
		return stage{before: []phase{{(o.Param.N + block - 1) / block, func(task int, _ *worker) {
			o.part(mem, task*block, min((task+1)*block, o.Param.N))
		}}}}
	case interface {
		Rows() int
		RefRows(mem []float32, lo, hi int)
	}:
		return byRows(o.Rows(), nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
	}
	return stage{before: []phase{once(func() { op.Ref(mem) })}}
}

// activations on the CPU: y from x, and dx from dy and what the derivative is taken from.
var activations = map[Activation]struct {
	forward  func(y, x []float32)
	backward func(dx, dy, at []float32)
}{
	ELU:      {vec.ELU, vec.ELUBackward},
	ReLU:     {vec.ReLU, vec.ReLUBackward},
	LReLU:    {vec.LReLU, vec.LReLUBackward},
	Swish:    {vec.Swish, vec.SwishBackward},
	Softplus: {vec.Softplus, vec.SoftplusBackward},
}

// byRows is a stage that needs nothing but the rows.
func byRows(rows int, shared []Buf, f func(lo, hi int)) stage {
	return stage{rows: rows, shared: shared, run: func(lo, hi, _ int, _ bool, _ *worker) { f(lo, hi) }}
}

// once is a phase of a single task.
func once(f func()) phase { return phase{1, func(int, *worker) { f() }} }

// bytesOf views the memory of floats as bytes.
func bytesOf(f []float32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(f))), 4*len(f))
}

// doublesOf views the memory of floats, which starts at a multiple of eight bytes, as float64.
func doublesOf(f []float32) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(unsafe.SliceData(f))), len(f)/2)
}

// words views floats as the uint32 that they hold.
func words(f []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(f))), len(f))
}

// lowerNorm reads an image twice: for its statistics, and to normalize it, by vec.Normalize, or by vec.NormalizeELU for a
// norm with the ELU after it.
func lowerNorm(mem []float32, o Norm, normalize func(y, x, mean, scale, shift []float32)) stage {
	params := o.params()
	return stage{rows: o.N, shared: present(o.Alpha, o.Gamma, o.Beta, o.Embed), scratch: 8 * o.C,
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

// lowerNormGrad reads an image and its gradient twice: for the sums, and for dx.
func lowerNormGrad(mem []float32, o NormGrad) stage {
	params := o.params()
	tasks := min(taskCount, o.N)
	sums := make([][]float64, tasks) // dgamma, dalpha, dbeta
	var parts []float32              // the same of each image, where they belong to a row of the table
	s := stage{rows: o.N, sums: true, workspace: tasks * 6 * o.C,
		ready: func() {
			for i := range sums {
				sums[i] = make([]float64, 3*o.C)
			}
		},
		shared: present(o.Alpha, o.Gamma, o.Embed), late: present(o.DAlpha, o.DGamma, o.DBeta, o.DEmbed), scratch: 10 * o.C,
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
				if parts != nil {
					clear(sums[task])
				}
				o.coefficients(mem, params, n, s, sums[task], ka, kb, kc, meanDY)
				if parts != nil {
					round(part(parts, n, o.N), sums[task])
				}
				if o.DX.N > 0 {
					vec.NormBackward(row(mem, o.DX, o.N, n), dy, x, meanDY, mean, ka, kb, kc)
				}
			}
		}}
	if o.Embed.N == 0 {
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
	ready := s.ready
	s.ready = func() {
		ready()
		parts = make([]float32, o.N*3*o.C)
	}
	s.workspace += o.N * 3 * o.C
	s.after = []phase{{o.Levels, func(l int, _ *worker) {
		acc := make([]float64, 3*o.C)
		for n := range o.N {
			if int(word(mem, o.Level, n)) != l {
				continue
			}
			for i, v := range part(parts, n, o.N) {
				acc[i] += float64(v)
			}
		}
		o.storeLevel(mem, l, acc)
	}}}
	return s
}
