//go:build cgo && !nocuda

// Launches of the convolutions, see conv.cu and conv_tensor.cu.

package kernels

import "fmt"

// tileKernels lists the kernels of each tile.
var tileKernels = map[cudaTile]struct {
	conv       convKernel
	gradInput  convGradInputKernel
	gradWeight convGradWeightKernel
}{
	tile128x128: {conv128x128, convGradInput128x128, convGradWeight128x128},
	tile128x64:  {conv128x64, convGradInput128x64, convGradWeight128x64},
	tile64x64:   {conv64x64, convGradInput64x64, convGradWeight64x64},
	tile128x32:  {conv: conv128x32, gradInput: convGradInput128x32}, // cudaSplit does not choose it
	tile32x32:   {conv32x32, convGradInput32x32, convGradWeight32x32},
	tile64x64n:  {conv64x64Any, convGradInput64x64Any, convGradWeight64x64Any},
	tile32x32n:  {conv32x32Any, convGradInput32x32Any, convGradWeight32x32Any},

	tile128x128tf32: {conv128x128Tf32, convGradInput128x128Tf32, convGradWeight128x128Tf32},
	tile128x64tf32:  {conv: conv128x64Tf32, gradInput: convGradInput128x64Tf32},
	tile64x64tf32:   {conv64x64Tf32, convGradInput64x64Tf32, convGradWeight64x64Tf32},
	tile128x32tf32:  {conv: conv128x32Tf32, gradInput: convGradInput128x32Tf32},
	tile32x128tf32:  {gradWeight: convGradWeight32x128Tf32},
}

// bf16Kernels lists the kernels on bf16 of each tile.
var bf16Kernels = map[cudaTile]struct {
	conv       bfConvKernel
	gradInput  bfConvGradInputKernel
	gradWeight bfConvGradWeightKernel
}{
	tile128x128bf16: {bfConv128x128, bfConvGradInput128x128, bfConvGradWeight128x128},
	tile128x64bf16:  {conv: bfConv128x64, gradInput: bfConvGradInput128x64},
	tile64x64bf16:   {bfConv64x64, bfConvGradInput64x64, bfConvGradWeight64x64},
	tile128x32bf16:  {conv: bfConv128x32, gradInput: bfConvGradInput128x32},
	tile32x128bf16:  {gradWeight: bfConvGradWeight32x128},
}

// pixels returns the number of pixels of all images.
func (s ConvShape) pixels() uint64 { return uint64(s.N) * uint64(s.H) * uint64(s.W) }

// tiles returns the grid of a kernel that writes the given channels of every pixel, with one block for each tile.
func (s ConvShape) tiles(l *launcher, t cudaTile, channels int) (grid gridDim, block blockDim) {
	// 16 words more than there are: the kernels look that far ahead
	rows, blocks := s.H*s.W+t.rows, t.blocks(s.N*s.H*s.W, channels)
	l.small(rows*(s.Cin+16), rows*(s.Cout+16), (s.Cout+t.cols)*(s.K*s.K*s.Cin+16), blocks)
	return gridDim{blocks, 1, 1}, blockDim{t.threads, 1, 1}
}

// tile returns the tile of a kernel on windows like x that writes the given channels of every pixel. With wide it can read
// 16 bytes at a time.
func (s ConvShape) tile(l *launcher, tensorCores bool, x Buf, wide bool, channels int) cudaTile {
	tiles := anyTiles
	switch {
	case l.tile != nil:
		return *l.tile
	case tensorCores:
		tiles = tensorTiles[x.Element]
	case wide:
		tiles = wideTiles
	}
	return tileOf(tiles, l.multiprocessors, s.N*s.H*s.W, channels)
}

// checkElements wants the windows of weights and bias to hold what the kernels take.
func (s ConvShape) checkElements(tensorCores bool, x, y, w, b Buf) {
	want := Words
	if tensorCores && x.Element == BFloat16 {
		want = BFloat16
		if s.Cin%tensorChannels != 0 || s.Cout%tensorChannels != 0 {
			panic(fmt.Sprintf("kernels: conv %+v: tensor cores take channels by %d", s, tensorChannels))
		}
	}
	if w.Element != want || b.Element != Words {
		panic(fmt.Sprintf("kernels: conv %+v: x, y, w, b are of %v, %v, %v, %v", s, x.Element, y.Element, w.Element, b.Element))
	}
}

// copies counts the words of working memory for copies of windows that are not of words.
func copies(windows ...Buf) (words int) {
	for _, b := range windows {
		if b.Element != Words {
			words += 4 * ceil(b.N, 4)
		}
	}
	return words
}

// inWords returns where a kernel that takes words reads the values of b: in b itself, or in a copy in the working memory
// from word off on.
func (l *launcher) inWords(b Buf, off int) pointer {
	if b.Element == Words {
		return b
	}
	grid, block := flat(b.N)
	l.widen(grid, block, widenArgs{dst: work{off, b.N}, src: b, n: uint64(b.N)})
	return work{off, b.N}
}

// outWords returns where a kernel that writes words writes the values of b, in the same way. It must be followed by
// store.
func (l *launcher) outWords(b Buf, off int) (at pointer, store func()) {
	if b.Element == Words {
		return b, func() {}
	}
	return work{off, b.N}, func() {
		grid, block := flat(b.N)
		l.narrow(grid, block, narrowArgs{dst: b, src: work{off, b.N}, n: uint64(b.N)})
	}
}

func (o Conv) cudaWorkspace() int {
	if o.OnTensorCores() {
		return 0
	}
	return copies(o.X, o.Y)
}

// result is absent where a copy of the results is rounded to what memory holds: no steps then.
func (o Conv) result() Buf {
	if !o.OnTensorCores() && o.Y.Element != Words {
		return Buf{}
	}
	return o.Y
}

func (o Conv) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o Conv) launchWith(l *launcher, e cudaEpilogue) {
	o.check(o.X, o.Y, o.Weight, o.Bias)
	o.checkElements(o.OnTensorCores(), o.X, o.Y, o.Weight, o.Bias)
	t := o.tile(l, o.OnTensorCores(), o.X, o.Cin%4 == 0 && aligned(o.X), o.Cout)
	grid, block := o.tiles(l, t, o.Cout)
	if o.OnTensorCores() && o.X.Element == BFloat16 {
		l.bfConv(bf16Kernels[t].conv, grid, block, bfConvArgs{
			y: e.y, x: o.X, weight: o.Weight, bias: o.Bias,
			pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
			with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		})
		return
	}
	x := l.inWords(o.X, 0)
	y, store := l.outWords(e.y, copies(o.X))
	l.conv(tileKernels[t].conv, grid, block, convArgs{
		y: y, x: x, weight: o.Weight, bias: o.Bias,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
	})
	store()
}

func (o ConvGradInput) cudaWorkspace() int {
	if o.OnTensorCores() {
		return 0
	}
	return copies(o.DY, o.DX)
}

func (o ConvGradInput) result() Buf {
	if !o.OnTensorCores() && o.DX.Element != Words {
		return Buf{}
	}
	return o.DX
}

func (o ConvGradInput) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o ConvGradInput) launchWith(l *launcher, e cudaEpilogue) {
	o.check(o.DX, o.DY, o.Weight, Buf{})
	o.checkElements(o.OnTensorCores(), o.DX, o.DY, o.Weight, Buf{})
	t := o.tile(l, o.OnTensorCores(), o.DY, o.Cin%4 == 0 && o.Cout%4 == 0 && aligned(o.DY), o.Cin)
	grid, block := o.tiles(l, t, o.Cin)
	if o.OnTensorCores() && o.DY.Element == BFloat16 {
		l.bfConvGradInput(bf16Kernels[t].gradInput, grid, block, bfConvGradInputArgs{
			dx: e.y, dy: o.DY, weight: o.Weight,
			pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
			with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		})
		return
	}
	dy := l.inWords(o.DY, 0)
	dx, store := l.outWords(e.y, copies(o.DY))
	l.convGradInput(tileKernels[t].gradInput, grid, block, convGradInputArgs{
		dx: dx, dy: dy, weight: o.Weight,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
	})
	store()
}

// copies counts the words for copies of X and DY in words.
func (o ConvGradWeight) copies() int {
	if o.OnTensorCores() {
		return 0
	}
	return copies(o.X, o.DY)
}

// cudaWorkspace is for copies in words, then for the gradients of each part: the weights', then the biases'.
func (o ConvGradWeight) cudaWorkspace() int {
	words := o.copies()
	if s := o.cudaSplit(); s.parts > 1 {
		words += s.parts * s.words
	}
	return words
}

func (o ConvGradWeight) launch(l *launcher) {
	o.check(o.X, o.DY, o.DWeight, o.DBias)
	o.checkElements(false, o.X, o.DY, o.DWeight, o.DBias)
	s := o.cudaSplit()
	if l.tile != nil {
		s.tile = *l.tile
	}
	columns := o.K * o.K * o.Cin
	l.small((o.H*o.W+64)*o.Cin, (o.H*o.W+64)*o.Cout, (o.Cout+128)*(columns+128), s.part)
	grid := gridDim{s.tile.blocks(o.Cout, columns), 1, s.parts}
	block := blockDim{s.tile.threads, 1, 1}
	var dweight, dbias pointer = o.DWeight, o.DBias
	words, parts := uint64(0), o.copies()
	if s.parts > 1 { // each part to the working memory
		dweight, words = work{parts, s.parts * o.DWeight.N}, uint64(s.words)
		if o.DBias.N > 0 {
			dbias = work{parts + o.DWeight.N, s.parts * o.DBias.N}
		}
	}
	if o.OnTensorCores() && o.X.Element == BFloat16 {
		l.bfConvGradWeight(bf16Kernels[s.tile].gradWeight, grid, block, bfConvGradWeightArgs{
			dweight: dweight, dbias: dbias, x: o.X, dy: o.DY, part: uint64(s.part), words: words,
			pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		})
	} else {
		l.convGradWeight(tileKernels[s.tile].gradWeight, grid, block, convGradWeightArgs{
			dweight: dweight, dbias: dbias, x: l.inWords(o.X, 0), dy: l.inWords(o.DY, copies(o.X)),
			part: uint64(s.part), words: words,
			pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		})
	}
	if s.parts > 1 {
		grid, block = each(o.DWeight.N + o.DBias.N)
		l.convGradWeightSum(grid, block, convGradWeightSumArgs{
			dw: o.DWeight, db: o.DBias, parts: work{parts, s.parts * (o.DWeight.N + o.DBias.N)}, count: s.parts,
			words: uint64(s.words), nw: uint64(o.DWeight.N), nb: uint64(o.DBias.N),
		})
	}
}
