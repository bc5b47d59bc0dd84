// What samplers run beside the network on the CPU, see sampler.go: the bits of the references.

package kernels

import "sigmaz/kernels/internal/vec"

func (o SamplerSigma) lower(mem []float32) stage {
	return byRows(o.Rows(), []Buf{o.Table, o.State}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o SamplerGain) lower(mem []float32) stage {
	return byRows(o.Rows(), []Buf{o.Table, o.State}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o SamplerUpdate) lower(mem []float32) stage {
	s := stage{rows: o.Rows(), readWhole: []Buf{o.Table, o.State}, scratch: 3 * o.D}
	if o.Draws.N > 0 {
		s.readWhole = append(s.readWhole, o.Draws)
	}
	if o.Blend.N > 0 {
		s.readWhole = append(s.readWhole, o.Blend)
	}
	update := o.rows
	if o.D <= shortRow && o.ownNoise() {
		update = o.shortRows
	}
	s.run = func(lo, hi, _ int, _ bool, w *worker) { update(mem, lo, hi, w.scratch[:3*o.D]) }
	return s
}

// ownNoise tells whether the noise of a row is a stream of its own.
func (o SamplerUpdate) ownNoise() bool { return o.Draws.N == 0 && o.Blend.N == 0 }

// rows updates rows lo to hi one by one.
func (o SamplerUpdate) rows(mem []float32, lo, hi int, scratch []float32) {
	step, draw := o.at(mem)
	z, x, y := scratch[:o.D], scratch[o.D:2*o.D], scratch[2*o.D:]
	for n := lo; n < hi; n++ {
		u := o.factors(mem, step, n)
		v := o.values(mem, n, z)
		switch simple := u.x[0] == 1 && u.x[1] != 0 && u.x[2] == 0 && u.keepsY(); {
		case simple && u.x[3] == 0:
			vec.AddScaled(v.x, v.x, v.s, u.x[1])
			continue
		case simple && o.ownNoise():
			vec.Langevin(v.x, v.s, u.x[1], u.x[3], o.stream(mem, n, draw).words())
			continue
		}
		if u.noise() {
			o.noise(mem, z, n, draw)
		}
		v.sum(x, &u.x)
		if !u.keepsY() {
			v.sum(y, &u.y)
			copy(v.y, y)
		}
		copy(v.x, x)
	}
}

// sum adds the terms of a row, one after the other: the bits of sum4.
func (v samplerValues) sum(dst []float32, f *[4]float32) {
	clear(dst)
	if f[0] != 0 {
		for i, x := range v.x {
			dst[i] = f[0] * x
		}
	}
	for i, term := range [3][]float32{v.s, v.y, v.z} {
		if f[i+1] != 0 {
			vec.AddScaled(dst, dst, term, f[i+1])
		}
	}
}

// shortRows updates rows lo to hi, many at a time.
func (o SamplerUpdate) shortRows(mem []float32, lo, hi int, _ []float32) {
	step, draw := o.at(mem)
	for ; lo < hi; lo += drawRows {
		var z shortNormals
		rows := min(drawRows, hi-lo)
		if step[StepX+3] != 0 || step[StepY+3] != 0 {
			for i := range rows {
				z.set(i, o.D, o.stream(mem, lo+i, draw))
			}
			z.draw(rows, o.D)
		}
		for i := range rows {
			u := o.factors(mem, step, lo+i)
			u.apply(o.values(mem, lo+i, z.row(i, o.D)))
		}
	}
}

func (o SamplerMisfit) lower(mem []float32) stage {
	whole := append([]Buf{o.Table, o.State}, o.bufs()...)
	if o.Draws.N > 0 {
		whole = append(whole, o.Draws)
	}
	return byRows(o.Rows(), whole, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o SamplerFit) lower(mem []float32) stage {
	return byRows(o.Rows(), append(o.bufs(), o.State), func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o SamplerGuide) lower(mem []float32) stage {
	return byRows(o.Rows(), []Buf{o.Table, o.State}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
