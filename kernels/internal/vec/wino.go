// 3x3 convolutions by Winograd's method F(4x4,3x3) (Lavin and Gray 2016, "Fast algorithms for convolutional neural
// networks", section 4). It computes 4x4 pixels of the output with 36 multiplications for each pair of channels
// instead of 144:
//
//	Y = A^T [ sum over input channels of (G g G^T) * (B^T d B) ] A
//
// for a tile d of 6x6 input pixels, a filter g of 3x3 taps and the tile Y of 4x4 output pixels. * multiplies the 36
// elements (frequencies) one by one, so the sum over channels is 36 matrix products. The points of interpolation are
// 0, a, -a, b, -b and infinity with a = 1/sqrt 2 and b = sqrt 2 = 2a, which lose half as many digits as the usual 1
// and 2. (Alam et al. 2022, "Winograd convolution for deep neural networks: efficient point selection", look for such
// points.)
//
//	      | 1   0  -5/2   0    1  0 |        |   1     0     0  |
//	      | 0  -2a  -2    a    1  0 |        | -2/3 -2a/3  -1/3 |         | 1    1     1    1    1   0 |
//	B^T = | 0   2a  -2   -a    1  0 |    G = | -2/3  2a/3  -1/3 |   A^T = | 0    a    -a    b   -b   0 |
//	      | 0 -b/2 -1/2   b    1  0 |        |  1/6   b/6   1/3 |         | 0   1/2   1/2   2    2   0 |
//	      | 0  b/2 -1/2  -b    1  0 |        |  1/6  -b/6   1/3 |         | 0   a/2  -a/2  2b  -2b   1 |
//	      | 0   1    0  -5/2   0  1 |        |   0     0     1  |
//
// The input gradient is the convolution of the output gradient with the filters turned around. The weight gradient is
// the adjoint of the formula in g:
//
//	dg = G^T [ sum over tiles of (B^T d B) * (A dY A^T) ] G
//
// Tiles stand side by side on the image, and the last ones reach past its edge: pixels outside are zero as inputs and
// left out as outputs. A dilated convolution is an undilated one on each of its Dilation^2 phases, the images of every
// Dilation-th pixel. A table of pixel numbers says where each tile's pixels are, so the code need not know of edges
// and phases.
//
// Tiles are independent, and sums over channels are taken in order. So the bits of a tile do not depend on the tiles
// and images that are computed with it.

package vec

import (
	"fmt"
	"sync"
	"unsafe"
)

const (
	winoFreqs = 36
	winoTile  = 4 // pixels of an output tile in each direction
	winoTaps  = 9

	inputIndices  = 40 // pixel numbers of a tile in the table: 36, and 4 that fill a vector
	outputIndices = 16

	// winoChunk is the number of tiles that are transformed together. Their transforms should stay in the second level
	// cache, and every transformed filter is read once for all of them. A multiple of the matrix product's rows.
	winoChunk = 32
	// winoGradChunk is the same for the weight gradient: a sum rests in registers for so many tiles.
	winoGradChunk = 64
	// winoBlock is the largest number of input and of output channels in a block of the weight gradient. The 36 sums
	// of a block should stay in the cache, too.
	winoBlock = 64
)

// Wino is a 3x3 convolution that is computed by Winograd's method.
type Wino struct {
	Conv
	*tileTable
}

// NewWino returns c by Winograd's method; c.K must be 3.
func NewWino(c Conv) *Wino {
	c.check()
	if c.K != 3 {
		panic(fmt.Sprintf("vec: no Winograd convolution %+v", c))
	}
	return &Wino{c, tilesOf(c.H, c.W, c.Dilation)}
}

// Transposed returns w with its channels swapped: the convolution that computes w's input gradient.
func (w *Wino) Transposed() *Wino { return &Wino{w.Conv.Transposed(), w.tileTable} }

// tileTable lists the tiles of an image.
type tileTable struct {
	Tiles int // of one image
	// The pixel numbers of each tile, row by row: inputIndices in input, outputIndices in output. -1 is outside the
	// image.
	input, output []int32
}

var tileTables sync.Map // from [3]int{H, W, dilation} to *tileTable

func tilesOf(h, w, dilation int) *tileTable {
	key := [3]int{h, w, dilation}
	if t, ok := tileTables.Load(key); ok {
		return t.(*tileTable)
	}
	t := &tileTable{}
	number := func(i, j int) int32 {
		if i < 0 || i >= h || j < 0 || j >= w {
			return -1
		}
		return int32(i*w + j)
	}
	for p := range min(dilation, h) {
		for q := range min(dilation, w) {
			for i := p; i < h; i += winoTile * dilation {
				for j := q; j < w; j += winoTile * dilation {
					t.Tiles++
					for u := range 6 {
						for v := range 6 {
							t.input = append(t.input, number(i+(u-1)*dilation, j+(v-1)*dilation))
						}
					}
					for range inputIndices - winoFreqs {
						t.input = append(t.input, -1)
					}
					for u := range winoTile {
						for v := range winoTile {
							t.output = append(t.output, number(i+u*dilation, j+v*dilation))
						}
					}
				}
			}
		}
	}
	made, _ := tileTables.LoadOrStore(key, t)
	return made.(*tileTable)
}

// winoArgs is the argument block of the transforms. The assembly reads it by offsets: eight bytes a field (winoFields
// in gen/wino.go). Strides are in bytes.
type winoArgs struct {
	src, dst unsafe.Pointer // an image's pixels, or the first tile's first frequency
	index    unsafe.Pointer // pixel numbers
	outside  unsafe.Pointer // memory that stands for pixels outside the image
	pixel    uintptr        // from a pixel to the next
	tiles    int            //
	tile     uintptr        // from a tile to the next in the transformed matrix
	freq     uintptr        // from a frequency to the next
	vectors  int            // whole vectors of channels
	tail     int            // channels after them

	// What follows the output's transform. Places are distances from the output.
	bias                  unsafe.Pointer
	addendAt, activatedAt uintptr // places of the epilogue's operands
	elu, eluAt            uintptr // 1 if ELU is wanted; its place
	accumulate            uintptr // 1 if filterGrad is to add to what is there

	pointers [inputIndices]uintptr // work space of the kernel
}

// Epilogue says what to do with the result y of a convolution while it is in the cache. Of
//
//	y <- y * ELU'(Activated)        y <- y + Addend        ELU <- ELU(y)
//
// it does, in this order, those whose slice is given. All slices have the shape of the output and may be the output
// itself. ELU and Activated do not go together.
type Epilogue struct{ Activated, Addend, ELU []float32 }

// slice returns the epilogue of the values [from, to) of the output.
func (e Epilogue) slice(from, to int) Epilogue {
	if e.Activated != nil {
		e.Activated = e.Activated[from:to]
	}
	if e.Addend != nil {
		e.Addend = e.Addend[from:to]
	}
	if e.ELU != nil {
		e.ELU = e.ELU[from:to]
	}
	return e
}

func roundUp(n, to int) int { return (n + to - 1) / to * to }

// freqStride returns the distance between frequencies of n floats each: an odd number of cache lines, so that they do
// not evict each other.
func freqStride(n int) int {
	n = roundUp(n, lanes)
	return n + lanes*(1-n/lanes%2)
}

// panelsOf returns the number of panels of n channels.
func panelsOf(n int) int { return (n + lanes - 1) / lanes }

// FilterLen returns the number of floats of transformed filters.
func (w *Wino) FilterLen() int { return winoFreqs*w.filterFreq() + lanes }

// filterFreq returns the stride between the frequencies of filters, each (panel, Cin, 16).
func (w *Wino) filterFreq() int { return freqStride(panelsOf(w.Cout) * w.Cin * lanes) }

// FilterPanels returns the number of panels of the transformed filters, which can be made independently.
func (w *Wino) FilterPanels() int { return panelsOf(w.Cout) }

// FilterScratchLen returns the number of floats of scratch for Filter and FilterTransposed.
func (w *Wino) FilterScratchLen() int { return winoTaps*roundUp(w.Cin, lanes)*lanes + lanes }

// Filter writes the given panel of the transformed filters of weights (Cout, 3, 3, Cin).
func (w *Wino) Filter(u, weights []float32, panel int, scratch []float32) {
	checkLen("Filter: u", len(u), w.FilterLen())
	checkLen("Filter: weights", len(weights), w.Cout*winoTaps*w.Cin)
	scratch = aligned(scratch)
	first := panel * lanes
	// Panels of taps: (tap, Cin, 16 output channels).
	taps := scratch[:winoTaps*w.Cin*lanes]
	rows := min(lanes, w.Cout-first)
	size := winoTaps * w.Cin
	transposeRows(taps, weights[first*size:], rows, size, size)
	w.filter(aligned(u)[panel*w.Cin*lanes:], taps, 0, w.Cin*lanes, lanes)
}

// FilterTransposed writes the given panel of the transformed filters for a w that computes the input gradient of
// another convolution, w.Transposed(). The weights are those of the other convolution: (Cin, 3, 3, Cout) in the
// channels of w.
func (w *Wino) FilterTransposed(u, weights []float32, panel int, scratch []float32) {
	checkLen("FilterTransposed: u", len(u), w.FilterLen())
	checkLen("FilterTransposed: weights", len(weights), w.Cout*winoTaps*w.Cin)
	scratch = aligned(scratch)
	first := panel * lanes
	to := aligned(u)[panel*w.Cin*lanes:]
	n := min(lanes, w.Cout-first)
	last := (winoTaps - 1) * w.Cout
	if n == lanes {
		w.filter(to, weights[first:], last, -w.Cout, winoTaps*w.Cout)
		return
	}
	taps := scratch[:winoTaps*w.Cin*lanes]
	clear(taps)
	for i := range w.Cin {
		for t := range winoTaps {
			copy(taps[(i*winoTaps+t)*lanes:][:n], weights[(i*winoTaps+t)*w.Cout+first:])
		}
	}
	w.filter(to, taps, (winoTaps-1)*lanes, -lanes, winoTaps*lanes)
}

// filter transforms one panel, that is 16 filters for each input channel: from taps[at] on, tap floats from tap to tap
// and step floats from channel to channel.
func (w *Wino) filter(u, taps []float32, at, tap, step int) {
	freq := w.filterFreq()
	if isa == plainGo {
		winoFilterGo(u, taps, freq, w.Cin, at, tap, step)
		return
	}
	args := winoArgs{pixel: uintptr(4 * tap), tile: uintptr(4 * step), freq: uintptr(4 * freq)}
	for i := 0; i < w.Cin; i += filterPiece {
		args.src, args.dst = unsafe.Pointer(&taps[at+i*step]), unsafe.Pointer(&u[i*lanes])
		args.tiles = min(filterPiece, w.Cin-i)
		winoFilterKernel(&args)
	}
}

// filterPiece is the number of input channels that one assembly call transforms.
const filterPiece = 256

// transposeRows turns up to 16 rows of a matrix into (columns, 16), with zeros past the last row.
func transposeRows(dst, src []float32, rows, columns, stride int) {
	whole := columns / lanes * lanes
	if isa == plainGo {
		whole = 0
	}
	const most = 1024
	for c := 0; c < whole; c += most {
		transposeKernel(&dst[c*lanes], &src[c], rows, min(most, whole-c), 4*stride)
	}
	for c := whole; c < columns; c++ {
		to := (*[lanes]float32)(dst[c*lanes:])
		*to = [lanes]float32{}
		for r := range rows {
			to[r] = src[r*stride+c]
		}
	}
}

// aligned returns s from its first cache line on.
func aligned(s []float32) []float32 {
	return s[-uintptr(unsafe.Pointer(unsafe.SliceData(s)))%64/4:]
}

// matrix holds transformed tiles: (frequency, tile, channel), with channels padded to whole panels. The padding may
// hold anything: what is computed from it is not stored in the end.
type matrix struct {
	data     []float32
	ld, freq int // floats from tile to tile, from frequency to frequency
}

func matrixLen(tiles, channels int) int {
	return winoFreqs * freqStride(tiles*roundUp(channels, lanes))
}

func newMatrix(scratch []float32, tiles, channels int) (matrix, []float32) {
	n := matrixLen(tiles, channels)
	ld := roundUp(channels, lanes)
	return matrix{scratch[:n:n], ld, freqStride(tiles * ld)}, scratch[n:]
}

// ScratchLen returns the number of floats of scratch that one worker needs for Forward.
func (w *Wino) ScratchLen() int {
	return lanes + 2*roundUp(max(w.Cin, w.Cout), lanes) + matrixLen(winoChunk, w.Cin) + matrixLen(winoChunk, w.Cout)
}

// Forward computes the tiles [from, to) of y (images, H, W, Cout) = the convolution of x (images, H, W, Cin) with the
// transformed filters u, plus bias (Cout, may be nil), and then the epilogue. Tiles are counted through all images,
// Tiles in each. y must not overlap x.
func (w *Wino) Forward(y, x, u, bias []float32, e Epilogue, from, to int, scratch []float32) {
	tiles := w.Tiles * (len(x) / (w.H * w.W * w.Cin))
	checkLen("Forward: x", len(x), tiles/w.Tiles*w.H*w.W*w.Cin)
	checkLen("Forward: y", len(y), tiles/w.Tiles*w.H*w.W*w.Cout)
	checkLen("Forward: u", len(u), w.FilterLen())
	checkLen("scratch", len(scratch), w.ScratchLen())
	if bias != nil {
		checkLen("Forward: bias", len(bias), w.Cout)
	}
	for _, operand := range [...][]float32{e.Activated, e.Addend, e.ELU} {
		if operand != nil {
			checkLen("Forward: epilogue", len(operand), len(y))
		}
	}
	if e.Activated != nil && e.ELU != nil {
		panic("vec: Forward: ELU does not go with Activated")
	}
	if from < 0 || from > to || to > tiles {
		panic(fmt.Sprintf("vec: Forward: tiles [%d,%d) of %d", from, to, tiles))
	}
	scratch = aligned(scratch)
	zeros := scratch[:roundUp(max(w.Cin, w.Cout), lanes)]
	clear(zeros)
	if bias == nil {
		bias = zeros[:w.Cout]
	}
	outside := scratch[len(zeros):][:len(zeros)] // takes the outputs outside the image
	v, rest := newMatrix(scratch[2*len(zeros):], winoChunk, w.Cin)
	m, _ := newMatrix(rest, winoChunk, w.Cout)
	u = aligned(u)
	sizeX, sizeY := w.H*w.W*w.Cin, w.H*w.W*w.Cout
	pieces, size, extra := even(to-from, winoChunk)
	for piece := range pieces {
		n := size
		if piece < extra {
			n++
		}
		w.spans(from, n, func(image, tile, at, n int) {
			w.transformInput(v, at, x[image*sizeX:(image+1)*sizeX], zeros, w.Cin, 0, w.Cin, tile, n)
		})
		w.multiply(m, v, u, n)
		w.spans(from, n, func(image, tile, at, n int) {
			a, b := image*sizeY, (image+1)*sizeY
			w.transformOutput(y[a:b], m, at, bias, outside, e.slice(a, b), tile, n)
		})
		from += n
	}
}

// spans cuts the n tiles from tile first on into pieces of one image each. It calls f with the image, the piece's
// first tile in it, the number of tiles in earlier pieces, and the number of tiles in this one.
func (w *Wino) spans(first, n int, f func(image, tile, at, n int)) {
	for at := 0; at < n; {
		image, tile := (first+at)/w.Tiles, (first+at)%w.Tiles
		k := min(n-at, w.Tiles-tile)
		f(image, tile, at, k)
		at += k
	}
}

// winoPiece is the number of vectors that a transform handles in one call: some microseconds.
const winoPiece = 192

// transformInput writes B^T d B of n tiles of image x, from the given tile on and of channels [c0, c1), to the rows of
// v from row at on.
func (w *Wino) transformInput(v matrix, at int, x, zeros []float32, channels, c0, c1, tile, n int) {
	if isa == plainGo {
		winoInputGo(v, at, x[c0:], channels, c1-c0, w.input[tile*inputIndices:][:n*inputIndices])
		return
	}
	w.pixelsToFreqs(winoInputKernel, v, at, x, zeros, w.input, inputIndices, channels, c0, c1, tile, n)
}

// transformOutputGrad writes A dY A^T of tiles of dy, as transformInput does.
func (w *Wino) transformOutputGrad(v matrix, at int, dy, zeros []float32, channels, c0, c1, tile, n int) {
	if isa == plainGo {
		winoOutputGradGo(v, at, dy[c0:], channels, c1-c0, w.output[tile*outputIndices:][:n*outputIndices])
		return
	}
	w.pixelsToFreqs(winoOutputGradKernel, v, at, dy, zeros, w.output, outputIndices, channels, c0, c1, tile, n)
}

// pixelsToFreqs calls the assembly for transformInput and transformOutputGrad.
func (w *Wino) pixelsToFreqs(kernel func(*winoArgs), v matrix, at int, x, zeros []float32, index []int32,
	indices, channels, c0, c1, tile, n int) {
	args := winoArgs{src: unsafe.Pointer(&x[c0]), outside: unsafe.Pointer(&zeros[0]), pixel: uintptr(4 * channels),
		tile: uintptr(4 * v.ld), freq: uintptr(4 * v.freq)}
	most := args.channels(c1 - c0)
	for done := 0; done < n; done += most {
		args.tiles = min(most, n-done) // the kernel counts it down
		args.dst = unsafe.Pointer(&v.data[(at+done)*v.ld])
		args.index = unsafe.Pointer(&index[(tile+done)*indices])
		kernel(&args)
	}
}

// channels sets the number of channels and returns the most tiles of one call.
func (a *winoArgs) channels(n int) (most int) {
	vector := lanes
	if isa == avx2 {
		vector = lanes / 2
	}
	a.vectors, a.tail = n/vector, n%vector
	return max(1, winoPiece/(a.vectors+1))
}

// transformOutput writes the output pixels of n tiles, from the given tile on, from the rows of the products m from
// row at on.
func (w *Wino) transformOutput(y []float32, m matrix, at int, bias, outside []float32, e Epilogue, tile, n int) {
	if isa == plainGo {
		winoOutputGo(y, m, at, bias, e, w.Cout, w.output[tile*outputIndices:][:n*outputIndices])
		return
	}
	args := winoArgs{
		dst: unsafe.Pointer(&y[0]), bias: unsafe.Pointer(&bias[0]), outside: unsafe.Pointer(&outside[0]),
		pixel: uintptr(4 * w.Cout), tile: uintptr(4 * m.ld), freq: uintptr(4 * m.freq),
	}
	place := func(operand []float32) uintptr {
		if operand == nil {
			return 0
		}
		return uintptr(unsafe.Pointer(&operand[0])) - uintptr(unsafe.Pointer(&y[0]))
	}
	args.addendAt, args.activatedAt, args.eluAt = place(e.Addend), place(e.Activated), place(e.ELU)
	if e.ELU != nil {
		args.elu = 1
	}
	kernel := winoOutputKernel
	switch {
	case e.Activated != nil && e.Addend != nil:
		kernel = winoOutputSlopeSumKernel
	case e.Activated != nil:
		kernel = winoOutputSlopeKernel
	case e.Addend != nil:
		kernel = winoOutputSumKernel
	}
	most := args.channels(w.Cout)
	for done := 0; done < n; done += most {
		args.tiles = min(most, n-done) // the kernel counts it down
		args.src = unsafe.Pointer(&m.data[(at+done)*m.ld])
		args.index = unsafe.Pointer(&w.output[(tile+done)*outputIndices])
		kernel(&args)
	}
}

// multiply computes m = v u for n tiles and every frequency.
func (w *Wino) multiply(m, v matrix, u []float32, n int) {
	freq, panels := w.filterFreq(), panelsOf(w.Cout)
	if isa == plainGo {
		for f := range winoFreqs {
			multiplyGo(m.data[f*m.freq:], m.ld, v.data[f*v.freq:], v.ld, u[f*freq:], n, w.Cin, panels)
		}
		return
	}
	t := tileArgs{
		bias: unsafe.Pointer(&zeroLanes), lda: uintptr(4 * v.ld), ldy: uintptr(4 * m.ld), nKh: 1, nKw: 1, k: w.Cin,
		bPanel: uintptr(4 * w.Cin * lanes),
	}
	t.setMasks(lanes, lanes)
	product := func(f, panel, width, count int) {
		if count == 0 {
			return
		}
		t.bTile, t.yTile = uintptr(width)*t.bPanel, uintptr(4*width*lanes)
		t.b = unsafe.Pointer(&u[f*freq+panel*w.Cin*lanes])
		pieces, size, extra := even(n, maxRows(width))
		for piece, i := 0, 0; piece < pieces; piece++ {
			rows := size
			if piece < extra {
				rows++
			}
			t.a = unsafe.Pointer(&v.data[f*v.freq+i*v.ld])
			t.y = unsafe.Pointer(&m.data[f*m.freq+i*m.ld+panel*lanes])
			t.run(rows, width, count)
			i += rows
		}
	}
	width := maxPanels()
	for f := range winoFreqs {
		product(f, 0, width, panels/width)
		product(f, panels/width*width, 1, panels%width)
	}
}
