// Convolution by Winograd's method on the CPU, with what can be done in its last transform.
//
// Transformed filters are large, four times the weights. They are made anew in memory that all convolutions take in
// turn, just before the chain that reads them, and the chain takes several images at a time so that every filter read
// serves enough tiles. The weight gradient shares its work out by blocks of channels rather than by images: sums for
// each task would be as large as the filters.
//
// The transform that writes the result does what follows the convolution too (vec.Epilogue), all of it in this order,
// each at most once:
//
//	* ELU'(y)   ActivateGrad   the gradient with respect to a layer's input goes on through its ELU
//	+ a         Add            residual sums, and sums of gradients
//	ELU         Activate       in place, or beside the result where both are read later

package kernels

import "sigmaz/kernels/internal/vec"

// winograd says whether Winograd's method is the faster one, by the multiply-adds of both: 36 for each tile and pair
// of channels, and the transforms of a tile take as long as some 350 for each channel (measured with 16 to 64
// channels). With fewer channels the method wins in a kernel but not in a whole step, where it costs more phases. The
// choice depends on one image's shape alone.
func (s ConvShape) winograd() bool {
	const fewest, transforms = 32, 350
	if s.K != 3 || min(s.Cin, s.Cout) < fewest {
		return false
	}
	tiles := s.vecWinograd().Tiles
	rows := 3*s.H - 2*min(s.Dilation, s.H) // of taps inside the image: those above and below are left out
	direct := 3 * s.W * rows * s.Cin * s.Cout
	return tiles*(36*s.Cin*s.Cout+transforms*(s.Cin+s.Cout)) < direct
}

// vecWinograd returns the convolution of one image as package vec knows it.
func (s ConvShape) vecWinograd() *vec.Wino {
	c, _ := s.vec(1)
	return vec.NewWino(c)
}

// winogradConv is a convolution by Winograd's method and what follows it.
type winogradConv struct {
	conv Conv
	then epilogue
}

func (o Conv) fuseCPU(next []Op) (cpuOp, int) {
	if !o.winograd() {
		return nil, 0
	}
	then, n := follow(next, o.Y, present(o.X, o.Weight, o.Bias))
	return winogradConv{o, then}, n
}

func (o winogradConv) Operands() (reads, writes []Buf) {
	reads, _ = o.conv.Operands()
	return append(reads, o.then.reads()...), o.then.writes()
}

func (o winogradConv) lower(mem []float32) stage {
	o.conv.check(o.conv.X, o.then.result, o.conv.Weight, o.conv.Bias)
	w := o.conv.vecWinograd()
	filter := func(u []float32, panel int, scratch []float32) { w.Filter(u, o.conv.Weight.Of(mem), panel, scratch) }
	s := lowerWinograd(mem, w, o.conv.N, o.conv.X, o.conv.Bias, o.then, filter)
	s.readWhole = present(o.conv.Weight, o.conv.Bias)
	return s
}

// winogradGradInput is the gradient with respect to the input by Winograd's method and what follows it.
type winogradGradInput struct {
	grad ConvGradInput
	then epilogue
}

func (o ConvGradInput) fuseCPU(next []Op) (cpuOp, int) {
	if !o.winograd() {
		return nil, 0
	}
	then, n := follow(next, o.DX, []Buf{o.DY, o.Weight})
	return winogradGradInput{o, then}, n
}

func (o winogradGradInput) Operands() (reads, writes []Buf) {
	reads, _ = o.grad.Operands()
	return append(reads, o.then.reads()...), o.then.writes()
}

func (o winogradGradInput) lower(mem []float32) stage {
	o.grad.check(o.then.result, o.grad.DY, o.grad.Weight, Buf{})
	w := o.grad.vecWinograd().Transposed()
	filter := func(u []float32, panel int, scratch []float32) {
		w.FilterTransposed(u, o.grad.Weight.Of(mem), panel, scratch)
	}
	s := lowerWinograd(mem, w, o.grad.N, o.grad.DY, Buf{}, o.then, filter)
	s.readWhole = []Buf{o.grad.Weight}
	return s
}

// winogradTiles is about how many tiles are to be computed together.
const winogradTiles = 32

// lowerWinograd returns the stage of the convolution of x with filters, which filter makes panel by panel, and of what
// follows it.
func lowerWinograd(mem []float32, w *vec.Wino, rows int, x, bias Buf, then epilogue,
	filter func(u []float32, panel int, scratch []float32)) stage {
	u := &temporary{words: w.FilterLen()}
	var xs, ys, b []float32
	var after vec.Epilogue
	tiles := func(from, to int, wk *worker) {
		w.Forward(ys, xs, u.mem, b, after, from, to, wk.scratch[:w.ScratchLen()])
	}
	return stage{rows: rows, temporary: u, tiles: w.Tiles * rows, runTiles: tiles,
		scratch: max(w.ScratchLen(), w.FilterScratchLen()), rowsAtOnce: (winogradTiles + w.Tiles - 1) / w.Tiles,
		allocate: func() { xs, ys, b, after = x.Of(mem), then.result.Of(mem), orNil(mem, bias), then.of(mem) },
		before:   []phase{{w.FilterPanels(), func(task int, wk *worker) { filter(u.mem, task, wk.scratch) }}},
		run:      func(lo, hi, _ int, _ bool, wk *worker) { tiles(lo*w.Tiles, hi*w.Tiles, wk) },
	}
}

// winogradGradTasks is about the number of tasks that a weight gradient is cut into: blocks of channels, times parts
// of the batch where the blocks are too few.
const winogradGradTasks = 8

func (o ConvGradWeight) lowerWinograd(mem []float32) stage {
	w := o.vecWinograd()
	blocks := w.GradBlocks()
	parts := min(o.N, (winogradGradTasks+len(blocks)-1)/len(blocks))
	sums := &temporary{}
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
			w.StoreWeightGrad(o.DWeight.Of(mem), orNil(mem, o.DBias), accs, blocks[task])
		}},
	}}
}

// epilogue is what follows a convolution. Absent windows are no part of it.
type epilogue struct {
	result    Buf // where the result goes
	activated Buf // y of ELU'(y)
	addend    Buf
	elu       Buf // where the ELU of the result goes
}

func (e epilogue) reads() []Buf { return present(e.activated, e.addend) }
func (e epilogue) writes() []Buf {
	if e.elu == e.result {
		return []Buf{e.result}
	}
	return present(e.result, e.elu)
}

// of returns the epilogue on memory.
func (e epilogue) of(mem []float32) vec.Epilogue {
	return vec.Epilogue{Activated: orNil(mem, e.activated), Addend: orNil(mem, e.addend), ELU: orNil(mem, e.elu)}
}

// follow finds how many of the operations after a convolution, which writes y and reads the given windows as a whole,
// can be done in its last transform, and what follows the convolution then.
func follow(ops []Op, y Buf, whole []Buf) (e epilogue, n int) {
	e.result = y
	for ; n < len(ops); n++ {
		next, ok := e.with(ops[n])
		if !ok || !next.fits(whole) || next.result != e.result && !overwrittenUnread(ops[n+1:], e.result) {
			break
		}
		e = next
	}
	return e, n
}

// with returns the epilogue with one more operation, if it is one that can come now.
func (e epilogue) with(op Op) (epilogue, bool) {
	switch o := op.(type) {
	case ActivateGrad:
		if o.F != ELU || o.DY != e.result || e != (epilogue{result: e.result}) {
			return e, false
		}
		e.result, e.activated = o.DX, o.Y
	case Add:
		if e.addend.N > 0 || e.elu.N > 0 || (o.A == e.result) == (o.B == e.result) {
			return e, false
		}
		e.addend = o.A
		if o.A == e.result {
			e.addend = o.B
		}
		e.result = o.Dst
	case Activate:
		if o.F != ELU || o.X != e.result || e.elu.N > 0 || e.activated.N > 0 {
			return e, false
		}
		e.elu = o.Y
	default:
		return e, false
	}
	return e, true
}

// fits says whether all windows are as large as the result, pixel on pixel or apart, and those written are apart from
// what is read as a whole: other pixels of that are still needed when the first results are written.
func (e epilogue) fits(whole []Buf) bool {
	all := append(e.reads(), e.writes()...)
	for _, b := range all {
		if b.N != e.result.N || anyOverlap(b, all, true) {
			return false
		}
	}
	for _, b := range e.writes() {
		if anyOverlap(b, whole, false) {
			return false
		}
	}
	return true
}

// overwrittenUnread says whether ops write window b before anything reads it. At the end of a program it may be read
// from outside.
func overwrittenUnread(ops []Op, b Buf) bool {
	for _, op := range ops {
		reads, writes := op.Operands()
		if anyOverlap(b, reads, false) {
			return false
		}
		for _, w := range writes {
			if w == b {
				return true
			}
		}
	}
	return false
}
