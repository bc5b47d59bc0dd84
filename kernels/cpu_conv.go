// Convolutions on the CPU: by Winograd's method where that pays, else directly.
//
// A direct convolution takes the rows (images) of the batch one by one and keeps its packed weights for the whole program:
// it is for small weights. Transformed filters are large, four times the weights. They are made anew in memory that all
// convolutions share, just before the chain that reads them, and the chain takes several images at a time so that every
// filter read serves enough tiles. The weight gradient shares its work out by blocks of channels rather than by images:
// sums for each task would be as large as the filters.
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

// winograd says whether Winograd's method is the faster one, by the multiply-adds of both: 36 for each tile and pair of
// channels, and the transforms of a tile take as long as some 350 for each channel (measured with 16 to 64 channels). With
// fewer channels the method wins in a kernel but not in a whole step, of which more phases are then the price. All this
// depends on one image's shape alone.
func (s ConvShape) winograd() bool {
	const fewest, transforms = 32, 350
	if s.K != 3 || min(s.Cin, s.Cout) < fewest {
		return false
	}
	w := vec.NewWino(vec.Conv{H: s.H, W: s.W, Cin: s.Cin, Cout: s.Cout, K: s.K, Dilation: s.Dilation})
	rows := 3*s.H - 2*min(s.Dilation, s.H) // of taps inside the image: those above and below are left out
	direct := 3 * s.W * rows * s.Cin * s.Cout
	return w.Tiles*(36*s.Cin*s.Cout+transforms*(s.Cin+s.Cout)) < direct
}

// winoTiles is about how many tiles are to be computed together.
const winoTiles = 32

// lowerWino is the convolution of x with filters that are made by filter, panel by panel, and what follows it.
func lowerWino(mem []float32, w *vec.Wino, rows int, x, bias Buf, e epilogue, filter func(u []float32, panel int, scratch []float32)) stage {
	u := &shared{words: w.FilterLen()}
	var xs, ys, b []float32
	var after vec.Epilogue
	tiles := func(from, to int, wk *worker) {
		w.Forward(ys, xs, u.mem, b, after, from, to, wk.scratch[:w.ScratchLen()])
	}
	return stage{rows: rows, temporary: u, tiles: w.Tiles * rows, runTiles: tiles,
		scratch: max(w.ScratchLen(), w.FilterScratchLen()), block: (winoTiles + w.Tiles - 1) / w.Tiles,
		ready:  func() { xs, ys, b, after = of(mem, x)(), of(mem, e.result)(), of(mem, bias)(), e.of(mem) },
		before: []phase{{w.FilterPanels(), func(task int, wk *worker) { filter(u.mem, task, wk.scratch) }}},
		run:    func(lo, hi, _ int, _ bool, wk *worker) { tiles(lo*w.Tiles, hi*w.Tiles, wk) },
	}
}

func lowerWinoConv(mem []float32, o Conv, e epilogue) stage {
	o.check(o.X, o.Y, o.Weight, o.Bias)
	c, _ := o.vecConv(1)
	w := vec.NewWino(c)
	s := lowerWino(mem, w, o.N, o.X, o.Bias, e, func(u []float32, panel int, scratch []float32) {
		w.Filter(u, o.Weight.Of(mem), panel, scratch)
	})
	s.shared = present(o.Weight, o.Bias)
	return s
}

func lowerWinoGradInput(mem []float32, o ConvGradInput, e epilogue) stage {
	o.check(o.DX, o.DY, o.Weight, Buf{})
	c, _ := o.vecConv(1)
	w := vec.NewWino(c).Transposed()
	s := lowerWino(mem, w, o.N, o.DY, Buf{}, e, func(u []float32, panel int, scratch []float32) {
		w.FilterTransposed(u, o.Weight.Of(mem), panel, scratch)
	})
	s.shared = []Buf{o.Weight}
	return s
}

// lowerConv packs the weights before every chain: they change with every optimiser step. (Those by Winograd's method are
// lowered in cpu_fuse.go.)
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

// of is the window b, nil if it is absent.
func of(mem []float32, b Buf) func() []float32 {
	return func() []float32 {
		if b.N == 0 {
			return nil
		}
		return b.Of(mem)
	}
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

// winoGradTasks is about the number of tasks that a weight gradient is cut into: blocks of channels, times parts of the
// batch where the blocks are too few.
const winoGradTasks = 8

func lowerWinoGrad(mem []float32, o ConvGradWeight) stage {
	c, _ := o.vecConv(1)
	w := vec.NewWino(c)
	blocks := w.GradBlocks()
	parts := min(o.N, (winoGradTasks+len(blocks)-1)/len(blocks))
	sums := &shared{}
	starts := []int{0}
	for _, b := range blocks {
		for range parts {
			sums.words += w.WeightGradLen(b)
			starts = append(starts, sums.words)
		}
	}
	acc := func(i int) []float32 { return sums.mem[starts[i]:starts[i+1]] }
	return stage{temporary: sums, scratch: w.GradScratchLen(), before: []phase{
		{len(blocks) * parts, func(task int, wk *worker) {
			part := task % parts
			lo, hi := part*o.N/parts, (part+1)*o.N/parts
			w.WeightGrad(acc(task), rowsOf(mem, o.X, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi), blocks[task/parts],
				wk.scratch[:w.GradScratchLen()])
		}},
		{len(blocks), func(task int, _ *worker) {
			accs := make([][]float32, parts)
			for part := range accs {
				accs[part] = acc(task*parts + part)
			}
			w.StoreWeightGrad(o.DWeight.Of(mem), of(mem, o.DBias)(), accs, blocks[task])
		}},
	}}
}

func lowerConvGradWeight(mem []float32, o ConvGradWeight) stage {
	o.check(o.X, o.DY, o.DWeight, o.DBias)
	if o.winograd() {
		return lowerWinoGrad(mem, o)
	}
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
