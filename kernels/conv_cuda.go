//go:build cgo && !nocuda

// Launches of the convolutions, see conv.cu and conv_tensor.cu.

package kernels

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

// pixels returns the number of pixels of all images.
func (s ConvShape) pixels() uint64 { return uint64(s.N) * uint64(s.H) * uint64(s.W) }

// tiles returns the grid of a kernel that writes the given channels of every pixel, with one block for each tile.
func (s ConvShape) tiles(l *launcher, t cudaTile, channels int) (grid gridDim, block blockDim) {
	// 16 words more than there are: the kernels look that far ahead
	rows, blocks := s.H*s.W+t.rows, t.blocks(s.N*s.H*s.W, channels)
	l.small(rows*(s.Cin+16), rows*(s.Cout+16), (s.Cout+t.cols)*(s.K*s.K*s.Cin+16), blocks)
	return gridDim{blocks, 1, 1}, blockDim{t.threads, 1, 1}
}

// testTile, where it is set, is the tile that tests ask for.
var testTile *cudaTile

func (o Conv) result() Buf        { return o.Y }
func (o Conv) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.Y}) }

func (o Conv) launchWith(l *launcher, e cudaEpilogue) {
	o.check(o.X, o.Y, o.Weight, o.Bias)
	tiles := anyTiles
	switch {
	case o.OnTensorCores():
		tiles = tensorTiles
	case o.Cin%4 == 0 && aligned(o.X):
		tiles = wideTiles
	}
	t := tileOf(tiles, l.multiprocessors, o.N*o.H*o.W, o.Cout)
	if testTile != nil {
		t = *testTile
	}
	grid, block := o.tiles(l, t, o.Cout)
	l.conv(tileKernels[t].conv, grid, block, convArgs{
		y: e.y, x: o.X, weight: o.Weight, bias: o.Bias,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
	})
}

func (o ConvGradInput) result() Buf        { return o.DX }
func (o ConvGradInput) launch(l *launcher) { o.launchWith(l, cudaEpilogue{y: o.DX}) }

func (o ConvGradInput) launchWith(l *launcher, e cudaEpilogue) {
	o.check(o.DX, o.DY, o.Weight, Buf{})
	tiles := anyTiles
	switch {
	case o.OnTensorCores():
		tiles = tensorTiles
	case o.Cin%4 == 0 && o.Cout%4 == 0 && aligned(o.DY):
		tiles = wideTiles
	}
	t := tileOf(tiles, l.multiprocessors, o.N*o.H*o.W, o.Cin)
	if testTile != nil {
		t = *testTile
	}
	grid, block := o.tiles(l, t, o.Cin)
	l.convGradInput(tileKernels[t].gradInput, grid, block, convGradInputArgs{
		dx: e.y, dy: o.DY, weight: o.Weight,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
		with1: e.steps[0].with, to1: e.steps[0].to, with2: e.steps[1].with, to2: e.steps[1].to, kinds: e.kinds(),
	})
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
	s := o.cudaSplit()
	if testTile != nil && tileKernels[*testTile].gradWeight.name != "" {
		s.tile = *testTile
	}
	columns := o.K * o.K * o.Cin
	l.small((o.H*o.W+64)*o.Cin, (o.H*o.W+64)*o.Cout, (o.Cout+128)*(columns+128), s.part)
	grid := gridDim{s.tile.blocks(o.Cout, columns), 1, s.parts}
	block := blockDim{s.tile.threads, 1, 1}
	args := convGradWeightArgs{
		dweight: o.DWeight, dbias: o.DBias, x: o.X, dy: o.DY, part: uint64(s.part), words: 0,
		pixels: o.pixels(), h: o.H, w: o.W, cin: o.Cin, cout: o.Cout, k: o.K, dilation: o.Dilation,
	}
	if s.parts > 1 { // each part to the working memory
		args.dweight, args.words = work{0, s.parts * o.DWeight.N}, uint64(s.words)
		if o.DBias.N > 0 {
			args.dbias = work{o.DWeight.N, s.parts * o.DBias.N}
		}
	}
	l.convGradWeight(tileKernels[s.tile].gradWeight, grid, block, args)
	if s.parts > 1 {
		grid, block = each(o.DWeight.N + o.DBias.N)
		l.convGradWeightSum(grid, block, convGradWeightSumArgs{
			dw: o.DWeight, db: o.DBias, parts: work{0, s.parts * (o.DWeight.N + o.DBias.N)}, count: s.parts,
			words: uint64(s.words), nw: uint64(o.DWeight.N), nb: uint64(o.DBias.N),
		})
	}
}
