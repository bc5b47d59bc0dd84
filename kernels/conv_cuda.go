//go:build cgo && !nocuda

// Launches of the convolutions, see conv.cu and conv_tensor.cu.

package kernels

import (
	"fmt"
	"math"
)

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

	tile128x128tf32: {gradInput: convGradInput128x128Tf32, gradWeight: convGradWeight128x128Tf32},
	tile128x64tf32:  {gradInput: convGradInput128x64Tf32},
	tile64x64tf32:   {gradInput: convGradInput64x64Tf32, gradWeight: convGradWeight64x64Tf32},
	tile128x32tf32:  {gradInput: convGradInput128x32Tf32},
	tile32x128tf32:  {gradWeight: convGradWeight32x128Tf32},
}

// tf32Kernels lists the forward kernels of the tiles of TF32.
var tf32Kernels = map[cudaTile]tfConvKernel{
	tile128x128tf32: tfConv128x128, tile128x64tf32: tfConv128x64, tile64x64tf32: tfConv64x64, tile128x32tf32: tfConv128x32,
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

// inKernels and outKernels list those of the convolutions at the ends of a network in bf16: the input is bf16, or the
// output.
var inKernels = map[cudaTile]struct {
	conv       inConvKernel
	gradInput  inConvGradInputKernel
	gradWeight inConvGradWeightKernel
}{
	tile128x32in: {conv: inConv128x32},
	tile32x32in:  {conv: inConv32x32},
	tile64x64inN: {inConv64x64Any, inConvGradInput64x64Any, inConvGradWeight64x64Any},
	tile32x32inN: {inConv32x32Any, inConvGradInput32x32Any, inConvGradWeight32x32Any},
}

var outKernels = map[cudaTile]struct {
	conv       outConvKernel
	gradInput  outConvGradInputKernel
	gradWeight outConvGradWeightKernel
}{
	tile64x64outN: {outConv64x64Any, outConvGradInput64x64Any, outConvGradWeight64x64Any},
	tile32x32outN: {outConv32x32Any, outConvGradInput32x32Any, outConvGradWeight32x32Any},
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

// convEnds is what memory holds of a convolution's input and of its output, or of their gradients.
type convEnds struct{ in, out Element }

func endsOf(in, out Buf) convEnds { return convEnds{in.Element, out.Element} }

// mixed says whether the convolution is at an end of a network that keeps its activations in bf16.
func (e convEnds) mixed() bool { return e.in != e.out }

// tile returns the tile of a kernel that writes the given channels of every pixel. With wide it can read 16 bytes at a
// time.
func (s ConvShape) tile(l *launcher, ends convEnds, tensorCores, wide bool, channels int) cudaTile {
	tiles := anyTiles
	switch {
	case l.tile != nil:
		return *l.tile
	case tensorCores:
		tiles = tensorTiles[ends.in]
	case ends.mixed() && wide:
		tiles = wideEndTiles[ends]
	case ends.mixed():
		tiles = anyEndTiles[ends]
	case wide:
		tiles = wideTiles
	}
	return tileOf(tiles, l.multiprocessors, s.N*s.H*s.W, channels)
}

// checkElements wants windows of bf16 in that precision alone, between two of them channels that tensor cores take, and
// weights of the given kind.
func (s ConvShape) checkElements(p Precision, x, y Buf, weights Element, w, b Buf) {
	ends := endsOf(x, y)
	switch {
	case ends != convEnds{Words, Words} && p != BF16:
		panic(fmt.Sprintf("kernels: conv %+v: x is of %v and y of %v, which takes precision %s", s, ends.in, ends.out, BF16))
	case ends == convEnds{BFloat16, BFloat16} && (s.Cin%tensorChannels != 0 || s.Cout%tensorChannels != 0):
		panic(fmt.Sprintf("kernels: conv %+v: x and y are of %v, which takes channels by %d", s, BFloat16, tensorChannels))
	case w.Element != weights || b.Element != Words:
		panic(fmt.Sprintf("kernels: conv %+v: weights are of %v and biases of %v, expected %v and %v",
			s, w.Element, b.Element, weights, Words))
	}
}

// weights returns what the weights of products must hold.
func (e convEnds) weights() Element {
	if e == (convEnds{BFloat16, BFloat16}) {
		return BFloat16
	}
	return Words
}

func (o Conv) result() Buf        { return o.Y }
func (o Conv) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o Conv) launchWith(l *launcher, e cudaEpilogue) { o.launchRow(l, Buf{}, e) }

func (o Conv) absorb(next operation) (both operation, s step, ok bool) {
	r, is := next.(AddRow)
	ok = is && r.X == o.Y && r.Y.Element == o.Y.Element && r.N == o.N && r.P == o.H*o.W && r.C == o.Cout &&
		wide(o.Cout, r.E) == 4 && o.pixels() <= math.MaxInt32
	return rowConv{o, r}, step{with: r.E, to: r.Y, op: r}, ok
}

// rowConv is a convolution to whose result a row vector is added for each image.
type rowConv struct {
	Conv
	row AddRow
}

func (o rowConv) Name() string { return o.Conv.Name() + ", " + o.row.Name() }
func (o rowConv) Operands() (reads, writes []Buf) {
	reads, _ = o.Conv.Operands()
	return append(reads, o.row.E), []Buf{o.row.Y}
}
func (o rowConv) result() Buf                            { return o.row.Y }
func (o rowConv) launch(l *launcher)                     { o.launchWith(l, cudaEpilogue{y: o.row.Y}) }
func (o rowConv) launchWith(l *launcher, e cudaEpilogue) { o.launchRow(l, o.row.E, e) }

// absorb is not the convolution's: one operation is all that is absorbed.
func (o rowConv) absorb(operation) (operation, step, bool) { return nil, step{}, false }

// launchRow launches the convolution, and the sum of its result and a row for each image if there is one.
func (o Conv) launchRow(l *launcher, row Buf, e cudaEpilogue) {
	o.check(o.X, o.Y, o.Weight, o.Bias)
	ends := endsOf(o.X, o.Y)
	o.checkElements(o.Precision, o.X, o.Y, ends.weights(), o.Weight, o.Bias)
	wide := o.Cin%4 == 0 && aligned(o.X) && (!ends.mixed() || wideEndTiles[ends] != nil)
	t := o.tile(l, ends, o.OnTensorCores(), wide, o.Cout)
	grid, block := o.tiles(l, t, o.Cout)
	if o.OnTensorCores() {
		o.launchTensor(l, t, grid, block, row, e)
		return
	}
	a := convArgs{
		y: e.y, x: o.X, weight: o.Weight, bias: o.Bias, row: row,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	}
	switch ends {
	case convEnds{BFloat16, Words}:
		l.inConv(inKernels[t].conv, grid, block, inConvArgs(a))
	case convEnds{Words, BFloat16}:
		l.outConv(outKernels[t].conv, grid, block, outConvArgs(a))
	default:
		l.conv(tileKernels[t].conv, grid, block, a)
	}
}

// launchTensor launches it on tensor cores, whose kernels also make the moments for a norm.
func (o Conv) launchTensor(l *launcher, t cudaTile, grid gridDim, block blockDim, row Buf, e cudaEpilogue) {
	a := tfConvArgs{
		y: e.y, x: o.X, weight: o.Weight, bias: o.Bias, row: row, moments: Buf{},
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	}
	if e.sums == madeMoments {
		a.moments = work{0, NormShape{o.N, o.H * o.W, o.Cout}.momentWords()}
	}
	if o.X.Element == BFloat16 {
		l.bfConv(bf16Kernels[t].conv, grid, block, bfConvArgs(a))
	} else {
		l.tfConv(tf32Kernels[t], grid, block, a)
	}
}

func (o ConvGradInput) result() Buf        { return o.DX }
func (o ConvGradInput) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o ConvGradInput) launchWith(l *launcher, e cudaEpilogue) {
	o.check(o.DX, o.DY, o.Weight, Buf{})
	ends := endsOf(o.DX, o.DY)
	o.checkElements(o.Precision, o.DX, o.DY, ends.weights(), o.Weight, Buf{})
	wide := o.Cin%4 == 0 && o.Cout%4 == 0 && aligned(o.DY) && !ends.mixed()
	t := o.tile(l, ends, o.OnTensorCores(), wide, o.Cin)
	grid, block := o.tiles(l, t, o.Cin)
	a := convGradInputArgs{
		dx: e.y, dy: o.DY, weight: o.Weight,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
		inner1: e.steps[0].inner, outer1: e.steps[0].outer, inner2: e.steps[1].inner, outer2: e.steps[1].outer,
	}
	switch ends {
	case convEnds{BFloat16, BFloat16}:
		l.bfConvGradInput(bf16Kernels[t].gradInput, grid, block, bfConvGradInputArgs(a))
	case convEnds{BFloat16, Words}:
		l.inConvGradInput(inKernels[t].gradInput, grid, block, inConvGradInputArgs(a))
	case convEnds{Words, BFloat16}:
		l.outConvGradInput(outKernels[t].gradInput, grid, block, outConvGradInputArgs(a))
	default:
		l.convGradInput(tileKernels[t].gradInput, grid, block, a)
	}
}

// cudaWorkspace is for the gradients of each part: the weights', then the biases'.
func (o ConvGradWeight) cudaWorkspace() int {
	if s := o.cudaSplit(); s.parts > 1 {
		return s.parts * s.words
	}
	return 0
}

func (o ConvGradWeight) launch(l *launcher) {
	o.check(o.X, o.DY, o.DWeight, o.DBias)
	o.checkElements(o.Precision, o.X, o.DY, Words, o.DWeight, o.DBias)
	s, ends := o.cudaSplit(), endsOf(o.X, o.DY)
	switch {
	case l.tile != nil:
		s.tile = *l.tile
	case ends.mixed(): // of a network: the cut is the rule's, the tile one of those that there are
		s.tile = tileOf(anyEndTiles[ends], l.multiprocessors, o.Cout, o.K*o.K*o.Cin)
	}
	columns := o.K * o.K * o.Cin
	l.small((o.H*o.W+64)*o.Cin, (o.H*o.W+64)*o.Cout, (o.Cout+128)*(columns+128), s.part)
	grid := gridDim{s.tile.blocks(o.Cout, columns), 1, s.parts}
	block := blockDim{s.tile.threads, 1, 1}
	var dweight, dbias pointer = o.DWeight, o.DBias
	words := uint64(0)
	if s.parts > 1 { // each part to the working memory
		dweight, words = work{0, s.parts * o.DWeight.N}, uint64(s.words)
		if o.DBias.N > 0 {
			dbias = work{o.DWeight.N, s.parts * o.DBias.N}
		}
	}
	a := convGradWeightArgs{
		dweight: dweight, dbias: dbias, x: o.X, dy: o.DY, part: uint64(s.part), words: words,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
	}
	switch ends {
	case convEnds{BFloat16, BFloat16}:
		l.bfConvGradWeight(bf16Kernels[s.tile].gradWeight, grid, block, bfConvGradWeightArgs(a))
	case convEnds{BFloat16, Words}:
		l.inConvGradWeight(inKernels[s.tile].gradWeight, grid, block, inConvGradWeightArgs(a))
	case convEnds{Words, BFloat16}:
		l.outConvGradWeight(outKernels[s.tile].gradWeight, grid, block, outConvGradWeightArgs(a))
	default:
		l.convGradWeight(tileKernels[s.tile].gradWeight, grid, block, a)
	}
	if s.parts > 1 {
		grid, block = each(o.DWeight.N + o.DBias.N)
		l.convGradWeightSum(grid, block, convGradWeightSumArgs{
			dw: o.DWeight, db: o.DBias, parts: work{0, s.parts * (o.DWeight.N + o.DBias.N)}, count: s.parts,
			words: uint64(s.words), nw: uint64(o.DWeight.N), nb: uint64(o.DBias.N),
		})
	}
}
