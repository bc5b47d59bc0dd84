// The perturbation on the CPU, see perturb.go: the bits of its reference, a row at a time or, where rows are short,
// many rows. What is drawn for a row beside its noise (level, image, flip) is drawn for many rows at once too.

package kernels

import "sigmaz/kernels/internal/vec"

// wholeGroup is a number of random blocks that the kernels do without a remainder.
const wholeGroup = 16

// The scratch is for a row of bytes, mirrored.
func (o Perturb) lower(mem []float32) stage {
	d := o.Data.D()
	return stage{rows: o.N, readWhole: []Buf{o.Ladder, o.State}, scratch: (d + 3) / 4,
		run: func(lo, hi, _ int, _ bool, w *worker) {
			step := stepOf(mem, o.State)
			for ; lo < hi; lo += drawRows {
				o.rows(mem, step, lo, min(lo+drawRows, hi), bytesOf(w.scratch)[:d])
			}
		}}
}

// rows perturbs up to drawRows rows.
func (o Perturb) rows(mem []float32, step uint64, lo, hi int, mirrored []byte) {
	var drawn [drawRows]draw
	draws := drawn[:hi-lo]
	o.drawRows(draws, step, lo)
	for i, d := range draws {
		r := lo + i
		o.Sigma.Of(mem)[r] = o.sigma(mem, d)
		SetWord(mem, o.Level, r, o.levelWord(d))
		x := row(mem, o.XTilde, o.N, r)
		o.fastPixels(x, d, mirrored)
		if o.Rescale && o.Data.F32 == nil {
			vec.Affine(x, x, 2, -1)
		}
	}
	if d := o.Data.D(); d <= shortRow {
		var z shortNormals
		for i := range draws {
			z.set(i, d, draws[i].noise)
		}
		z.draw(len(draws), d)
		for i := range draws {
			x, sigma := row(mem, o.XTilde, o.N, lo+i), o.Sigma.Of(mem)[lo+i]
			copy(row(mem, o.Z, o.N, lo+i), z.row(i, d))
			for j, v := range z.row(i, d) {
				x[j] += float32(sigma * v)
			}
		}
		return
	}
	for i := range draws {
		r := lo + i
		vec.Perturb(row(mem, o.XTilde, o.N, r), row(mem, o.Z, o.N, r), o.Sigma.Of(mem)[r], draws[i].noise.words())
	}
}

// drawRows draws rows lo, lo+1, ... of a step.
func (o Perturb) drawRows(draws []draw, step uint64, lo int) {
	if len(draws) < 4 || o.Every { // too few for a vector, or nothing to draw
		for i := range draws {
			draws[i] = o.draw(step, lo+i)
		}
		return
	}
	key := Stream{Seed: o.Seed}.words().Key
	first := step*uint64(o.N) + uint64(lo)
	var words [drawRows][4]uint32
	for i := range draws {
		s, element := o.levelStream(first + uint64(i))
		words[i] = s.counter(uint32(element / 4))
	}
	vec.Words(words[:len(draws)], key)
	for i := range draws {
		q := first + uint64(i)
		_, element := o.levelStream(q)
		draws[i] = draw{q: q, noise: Stream{o.Seed, PurposeNoise, q}}
		o.drawNoise(&draws[i], words[i][element%4])
	}
	if o.Flip && o.Data.U8 != nil {
		for i := range draws {
			words[i] = o.flipStream(draws[i].q).counter(0)
		}
		vec.Words(words[:len(draws)], key)
		for i := range draws {
			draws[i].flip = words[i][0]>>31 == 1
		}
	}
	o.drawImages(draws, key)
}

// drawImages draws the images of many samples, as Permutation does for one.
func (o Perturb) drawImages(draws []draw, key [2]uint32) {
	f := newFeistel(o.Data.N)
	var words [drawRows][4]uint32
	var at [drawRows]uint64 // where each walk is
	var walking [drawRows]int
	for i := range draws {
		at[i], walking[i] = draws[i].q%f.n, i
	}
	for left := walking[:len(draws)]; len(left) > 0; {
		for round := range uint32(feistelRounds) {
			for j, i := range left {
				words[j] = f.counter(draws[i].q/f.n, round, at[i])
			}
			vec.Words(words[:(len(left)+wholeGroup-1)/wholeGroup*wholeGroup], key)
			for j, i := range left {
				at[i] = f.round(at[i], words[j][0])
			}
		}
		still := left[:0]
		for _, i := range left {
			if at[i] < f.n {
				draws[i].image = int(at[i])
			} else {
				still = append(still, i)
			}
		}
		left = still
	}
}

// fastPixels writes a row of the data to x, as pixels does.
func (o Perturb) fastPixels(x []float32, r draw, mirrored []byte) {
	d := o.Data
	if d.F32 != nil {
		copy(x, d.Floats(r.image))
		return
	}
	src := d.Bytes(r.image)
	if r.flip {
		vec.Mirror(mirrored, src, d.W, d.C)
		src = mirrored
	}
	if o.Dequantize && !o.Every {
		vec.Dequantize(x, src, Stream{o.Seed, PurposeDequant, r.q}.words())
	} else {
		vec.Bytes(x, src)
	}
}

func (o DrawClasses) lower(mem []float32) stage {
	return byRows(o.N, []Buf{o.Labels, o.State}, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}
