// Convolutions on the CPU.
package kernels

import "sigmaz/kernels/internal/vec"

// vecConv is the convolution of rows images. Images of one pixel are the pixels of one image: a linear layer.
func (s ConvShape) vecConv(rows int) (c vec.Conv, images int) {
	c = vec.Conv{H: s.H, W: s.W, Cin: s.Cin, Cout: s.Cout, K: s.K, Dilation: s.Dilation}
	if s.linear() {
		c.W = rows
		return c, 1
	}
	return c, rows
}

func (s ConvShape) linear() bool { return s.H == 1 && s.W == 1 && s.K == 1 }

// scratchLen bounds the scratch of any number of rows.
func (s ConvShape) scratchLen() int {
	c, _ := s.vecConv(s.N)
	return max(c.ScratchLen(), c.Transposed().ScratchLen())
}

// lowerConv packs the weights before every chain: they change with every optimiser step.
func lowerConv(mem []float32, o Conv) stage {
	o.check(o.X, o.Y, o.Weight, o.Bias)
	c, _ := o.vecConv(1)
	var packed, bias []float32
	return stage{rows: o.N, shared: present(o.Weight, o.Bias), scratch: o.scratchLen(), workspace: c.PackedLen(),
		ready: func() {
			packed = make([]float32, c.PackedLen())
			if o.Bias.N > 0 {
				bias = o.Bias.Of(mem)
			}
		},
		before: []phase{once(func() { c.Pack(packed, o.Weight.Of(mem)) })},
		run: func(lo, hi, _ int, _ bool, w *worker) {
			c, images := o.vecConv(hi - lo)
			x, y := rowsOf(mem, o.X, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi)
			for i := range images {
				c.Forward(part(y, i, images), part(x, i, images), packed, bias, w.scratch[:c.ScratchLen()], false)
			}
		}}
}

func lowerConvGradInput(mem []float32, o ConvGradInput) stage {
	o.check(o.DX, o.DY, o.Weight, Buf{})
	c, _ := o.vecConv(1)
	var packed []float32
	return stage{rows: o.N, shared: []Buf{o.Weight}, scratch: o.scratchLen(), workspace: c.Transposed().PackedLen(),
		ready:  func() { packed = make([]float32, c.Transposed().PackedLen()) },
		before: []phase{once(func() { c.PackTransposed(packed, o.Weight.Of(mem)) })},
		run: func(lo, hi, _ int, _ bool, w *worker) {
			c, images := o.vecConv(hi - lo)
			c = c.Transposed()
			dx, dy := rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi)
			for i := range images {
				c.Forward(part(dx, i, images), part(dy, i, images), packed, nil, w.scratch[:c.ScratchLen()], false)
			}
		}}
}

func lowerConvGradWeight(mem []float32, o ConvGradWeight) stage {
	o.check(o.X, o.DY, o.DWeight, o.DBias)
	c, _ := o.vecConv(1)
	tasks := min(taskCount, o.N)
	weights, biases := make([][]float32, tasks), make([][]float32, tasks)
	const block = 16 // output channels of a task that adds up
	return stage{rows: o.N, sums: true, late: present(o.DWeight, o.DBias), scratch: o.scratchLen() + o.Cout,
		workspace: tasks * (c.WeightGradLen() + o.Cout),
		ready: func() {
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
			c, images := o.vecConv(hi - lo)
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

// part is part i of n equal parts.
func part(s []float32, i, n int) []float32 { d := len(s) / n; return s[i*d : (i+1)*d : (i+1)*d] }
