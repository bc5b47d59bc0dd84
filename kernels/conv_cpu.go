// Convolution on the CPU, see conv.go: directly here, and by Winograd's method in conv_winograd_cpu.go where that
// pays.
//
// A direct convolution takes the rows (images) of the batch one by one and keeps its packed weights for the whole
// program: it is for small weights. It packs them before every chain, since they change with every optimiser step.

package kernels

import "sigmaz/kernels/internal/vec"

func (s ConvShape) linear() bool { return s.H == 1 && s.W == 1 && s.K == 1 }

// vec returns the convolution of rows images as package vec knows it, to be run on each of images. A linear layer is
// one image, whose pixels are the rows.
func (s ConvShape) vec(rows int) (c vec.Conv, images int) {
	c = vec.Conv{H: s.H, W: s.W, Cin: s.Cin, Cout: s.Cout, K: s.K, Dilation: s.Dilation}
	if s.linear() {
		c.W = rows
		return c, 1
	}
	return c, rows
}

// scratchLen bounds the scratch of any number of rows.
func (s ConvShape) scratchLen() int {
	c, _ := s.vec(s.N)
	return max(c.ScratchLen(), c.Transposed().ScratchLen())
}

func (o Conv) lower(mem []float32) stage {
	if o.winograd() {
		return winogradConv{o, epilogue{result: o.Y}}.lower(mem)
	}
	o.check(o.X, o.Y, o.Weight, o.Bias)
	c, _ := o.vec(1)
	var packed, bias []float32
	return stage{rows: o.N, readWhole: present(o.Weight, o.Bias), scratch: o.scratchLen(), workspace: c.PackedLen(),
		allocate: func() { packed, bias = make([]float32, c.PackedLen()), orNil(mem, o.Bias) },
		before:   []phase{once(func() { c.Pack(packed, o.Weight.Of(mem)) })},
		run: func(lo, hi, _ int, _ bool, w *worker) {
			c, images := o.vec(hi - lo)
			x, y := rowsOf(mem, o.X, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi)
			for i := range images {
				c.Forward(part(y, i, images), part(x, i, images), packed, bias, w.scratch[:c.ScratchLen()], false)
			}
		}}
}

func (o ConvGradInput) lower(mem []float32) stage {
	if o.winograd() {
		return winogradGradInput{o, epilogue{result: o.DX}}.lower(mem)
	}
	o.check(o.DX, o.DY, o.Weight, Buf{})
	c, _ := o.vec(1)
	var packed []float32
	return stage{rows: o.N, readWhole: []Buf{o.Weight}, scratch: o.scratchLen(), workspace: c.Transposed().PackedLen(),
		allocate: func() { packed = make([]float32, c.Transposed().PackedLen()) },
		before:   []phase{once(func() { c.PackTransposed(packed, o.Weight.Of(mem)) })},
		run: func(lo, hi, _ int, _ bool, w *worker) {
			c, images := o.vec(hi - lo)
			c = c.Transposed()
			dx, dy := rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi)
			for i := range images {
				c.Forward(part(dx, i, images), part(dy, i, images), packed, nil, w.scratch[:c.ScratchLen()], false)
			}
		}}
}

// Each task sums the gradients of its images, and the sums are added in the order of the tasks.
func (o ConvGradWeight) lower(mem []float32) stage {
	o.check(o.X, o.DY, o.DWeight, o.DBias)
	if o.winograd() {
		return o.lowerWinograd(mem)
	}
	c, _ := o.vec(1)
	tasks := min(taskCount, o.N)
	weights, biases := make([][]float32, tasks), make([][]float32, tasks)
	const block = 16 // output channels of a task that adds up
	return stage{rows: o.N, sumsByTask: true, writtenAfter: present(o.DWeight, o.DBias),
		scratch: o.scratchLen() + o.Cout, workspace: tasks * (c.WeightGradLen() + o.Cout),
		allocate: func() {
			for i := range tasks {
				weights[i] = make([]float32, c.WeightGradLen())
				biases[i] = make([]float32, o.Cout)
			}
		},
		run: func(lo, hi, task int, first bool, w *worker) {
			if first {
				clear(weights[task])
				clear(biases[task])
			}
			c, images := o.vec(hi - lo)
			x, dy := rowsOf(mem, o.X, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi)
			sum, scratch := w.scratch[:o.Cout], w.scratch[o.Cout:][:c.ScratchLen()]
			for i := range images {
				c.WeightGrad(weights[task], part(x, i, images), part(dy, i, images), scratch)
				if o.DBias.N > 0 {
					vec.ColumnSum(sum, part(dy, i, images))
					vec.Add(biases[task], biases[task], sum)
				}
			}
		},
		after: []phase{{(o.Cout + block - 1) / block, func(task int, _ *worker) {
			from, to := task*block, min((task+1)*block, o.Cout)
			c.UnpackWeightGrad(o.DWeight.Of(mem), weights, from, to)
			if o.DBias.N > 0 {
				db := o.DBias.Of(mem)[from:to]
				clear(db)
				for _, b := range biases {
					vec.Add(db, db, b[from:to])
				}
			}
		}}}}
}
