//go:build cgo && !nocuda

package kernels

// columns is the launch of a kernel over the chunks of pixels of every image, with `wide` channels a thread.
func (s NormShape) columns(wide int) (grid, block [3]int) {
	const threads = 256
	pixels, chunks := s.cudaChunk()
	lanes := min(32, powerOf2(ceil(s.C, wide)))
	return [3]int{chunks, min(maxGrid, s.N), ceil(s.C, lanes*wide)}, [3]int{lanes, min(threads/lanes, powerOf2(pixels)), 1}
}

// images is the launch of a kernel with one block an image.
func (s NormShape) images() (grid, block [3]int) {
	return [3]int{s.N, 1, 1}, [3]int{min(256, powerOf2(s.C)), 1, 1}
}

func (o Norm) launch(l *launcher) { o.launchFused(l, false) }

// launchFused runs the norm, and with elu the ELU after it.
func (o Norm) launchFused(l *launcher, elu bool) {
	l.small(o.P * o.C)
	pixels, chunks := o.cudaChunk()
	parts := l.work(0)
	v := wide(o.C, o.X)
	grid, block := o.columns(v)
	l.kernel("norm_sums", grid, block, parts, o.X, v, o.N, o.P, o.C, pixels)
	grid, block = o.images()
	l.kernel("norm_finish", grid, block, o.Mean, o.Rstd, o.MuHat, o.Q, parts, o.X, o.epsilon(), o.N, o.P, o.C, chunks)
	v = wide(o.C, o.X, o.Y)
	grid, block = o.columns(v)
	p := o.params()
	l.kernel("norm_apply", grid, block, o.Y, o.X, p.gamma, p.alpha, p.beta, p.level, p.stride, o.Mean, o.Rstd, o.MuHat, v, o.N, o.P, o.C, pixels, elu)
}

func (o NormGrad) launch(l *launcher) {
	l.small(o.P * o.C)
	pixels, chunks := o.cudaChunk()
	coef, params := l.work(0), l.work(4*o.N*o.C)
	parts := l.work(7 * o.N * o.C)
	v := wide(o.C, o.X, o.DY, o.Mean)
	grid, block := o.columns(v)
	l.kernel("norm_grad_sums", grid, block, parts, o.X, o.DY, o.Mean, v, o.N, o.P, o.C, pixels)
	grid, block = o.images()
	p := o.params()
	l.kernel("norm_grad_finish", grid, block, coef, params, parts, p.gamma, p.alpha, p.level, p.stride, o.Rstd, o.MuHat, o.Q, o.N, o.P, o.C, chunks)
	if o.DX.N > 0 {
		v = wide(o.C, o.X, o.DY, o.DX)
		grid, block = o.columns(v)
		l.kernel("norm_grad_apply", grid, block, o.DX, o.X, o.DY, o.Mean, coef, v, o.N, o.P, o.C, pixels)
	}
	d := newNormParams(o.C, o.DGamma, o.DAlpha, o.DBeta, o.DEmbed, o.Level, o.Levels)
	if d.gamma.N+d.alpha.N+d.beta.N > 0 {
		levels := max(1, o.Levels)
		l.kernel("norm_grad_params", [3]int{ceil(o.C, 32), 3, min(maxGrid, levels)}, [3]int{32, 8, 1}, d.gamma, d.alpha, d.beta, params,
			d.level, d.stride, o.N, o.C, levels)
	}
}
