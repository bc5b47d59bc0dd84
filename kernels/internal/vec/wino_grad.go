// The weight gradient by Winograd's method (formula in wino.go): for each of the 36 frequencies, the sum over tiles of
// products of an output channel and an input channel. It is computed in blocks of channels, so that the sums of a
// block stay in the cache.

package vec

import "unsafe"

// GradBlock is a block of the weight gradient: output channels [O0, O1) and input channels [I0, I1).
type GradBlock struct{ O0, O1, I0, I1 int }

// GradBlocks cuts the weight gradient into blocks.
func (w *Wino) GradBlocks() (blocks []GradBlock) {
	for o := 0; o < w.Cout; o += winoBlock {
		for i := 0; i < w.Cin; i += winoBlock {
			blocks = append(blocks, GradBlock{o, min(o+winoBlock, w.Cout), i, min(i+winoBlock, w.Cin)})
		}
	}
	return blocks
}

// gradFreq returns the stride between the frequencies of a block's sums, each (panel of input channels, output
// channel, 16).
func (b GradBlock) gradFreq() int { return freqStride(panelsOf(b.I1-b.I0) * (b.O1 - b.O0) * lanes) }

// biasLen returns the number of floats of the gradient of the bias. Only the first block has it.
func (w *Wino) biasLen(b GradBlock) int {
	if b.O0 > 0 || b.I0 > 0 {
		return 0
	}
	return w.Cout
}

// WeightGradLen returns the number of floats of an accumulator of a block: its sums, and the gradient of the bias.
func (w *Wino) WeightGradLen(b GradBlock) int {
	return lanes + winoFreqs*b.gradFreq() + w.biasLen(b)
}

func (w *Wino) splitGrad(acc []float32, b GradBlock) (freqs, bias []float32) {
	checkLen("WeightGrad: acc", len(acc), w.WeightGradLen(b))
	acc = aligned(acc)
	n := winoFreqs * b.gradFreq()
	return acc[:n], acc[n:][:w.biasLen(b)]
}

// GradScratchLen returns the number of floats of scratch that one worker needs for WeightGrad.
func (w *Wino) GradScratchLen() int {
	return lanes + roundUp(max(w.Cin, w.Cout), lanes) + roundUp(w.Cout, lanes) +
		matrixLen(winoGradChunk, min(w.Cin, winoBlock)) + matrixLen(winoGradChunk, min(w.Cout, winoBlock))
}

// WeightGrad sets acc to a block's sums over the images of x (images, H, W, Cin) and dy (images, H, W, Cout).
func (w *Wino) WeightGrad(acc, x, dy []float32, b GradBlock, scratch []float32) {
	images := len(x) / (w.H * w.W * w.Cin)
	checkLen("WeightGrad: x", len(x), images*w.H*w.W*w.Cin)
	checkLen("WeightGrad: dy", len(dy), images*w.H*w.W*w.Cout)
	checkLen("scratch", len(scratch), w.GradScratchLen())
	in, out := b.I1-b.I0, b.O1-b.O0
	sums, bias := w.splitGrad(acc, b)
	clear(sums)
	clear(bias)
	scratch = aligned(scratch)
	zeros, scratch := scratch[:roundUp(max(w.Cin, w.Cout), lanes)], scratch[roundUp(max(w.Cin, w.Cout), lanes):]
	clear(zeros)
	column, scratch := scratch[:len(bias)], scratch[roundUp(len(bias), lanes):]
	v, rest := newMatrix(scratch, winoGradChunk, in)
	d, _ := newMatrix(rest, winoGradChunk, out)
	sizeX, sizeY := w.H*w.W*w.Cin, w.H*w.W*w.Cout
	tiles := images * w.Tiles
	pieces, size, extra := even(tiles, winoGradChunk)
	for piece, from := 0, 0; piece < pieces; piece++ {
		n := size
		if piece < extra {
			n++
		}
		w.spans(from, n, func(image, tile, at, n int) {
			if tile == 0 && len(bias) > 0 {
				ColumnSum(column, dy[image*sizeY:(image+1)*sizeY])
				Add(bias, bias, column)
			}
			w.transformInput(v, at, x[image*sizeX:(image+1)*sizeX], zeros, w.Cin, b.I0, b.I1, tile, n)
			w.transformOutputGrad(d, at, dy[image*sizeY:(image+1)*sizeY], zeros, w.Cout, b.O0, b.O1, tile, n)
		})
		b.addProducts(sums, v, d, n)
		from += n
	}
}

// addProducts computes sums[f][o][i] += sum over n tiles of d[f][tile][o] v[f][tile][i].
func (b GradBlock) addProducts(sums []float32, v, d matrix, n int) {
	in, out, freq := b.I1-b.I0, b.O1-b.O0, b.gradFreq()
	panels := panelsOf(in)
	if isa == plainGo {
		for f := range winoFreqs {
			for p := range panels {
				for t := range n {
					for o, value := range d.data[f*d.freq+t*d.ld:][:out] {
						to := (*[lanes]float32)(sums[f*freq+(p*out+o)*lanes:])
						for i, x := range v.data[f*v.freq+t*v.ld+p*lanes:][:lanes] {
							to[i] += value * x
						}
					}
				}
			}
		}
		return
	}
	t := gradArgs{
		rows: 1, groups: n, xStep: uintptr(4 * d.ld), dyStep: uintptr(4 * v.ld), accPanel: uintptr(4 * out * lanes),
	}
	t.mask, t.maskWords = laneMask(lanes)
	product := func(f, panel, width, count int) {
		if count == 0 {
			return
		}
		t.times, t.dyTime, t.accTime = count, uintptr(4*width*lanes), uintptr(width)*t.accPanel
		pieces, size, extra := even(out, maxRows(width))
		for piece, o := 0, 0; piece < pieces; piece++ {
			rows := size
			if piece < extra {
				rows++
			}
			// Set for each call, because the kernel moves them on.
			t.x = unsafe.Pointer(&d.data[f*d.freq+o])
			t.dy = unsafe.Pointer(&v.data[f*v.freq+panel*lanes])
			t.acc = unsafe.Pointer(&sums[f*freq+(panel*out+o)*lanes])
			convGrad(rows, width, &t)
			o += rows
		}
	}
	width := maxPanels()
	for f := range winoFreqs {
		product(f, 0, width, panels/width)
		product(f, panels/width*width, 1, panels%width)
	}
}

// StoreWeightGrad writes a block of the weight gradient dw (Cout, 3, 3, Cin): the sum of the accumulators, in their
// order. If db is not nil and the block is the first, it also writes the gradient of the bias, db (Cout).
func (w *Wino) StoreWeightGrad(dw, db []float32, accs [][]float32, b GradBlock) {
	checkLen("StoreWeightGrad: dw", len(dw), w.Cout*winoTaps*w.Cin)
	in, out, freq := b.I1-b.I0, b.O1-b.O0, b.gradFreq()
	if db != nil {
		checkLen("StoreWeightGrad: db", len(db), w.Cout)
	}
	for i, acc := range accs {
		sums, bias := w.splitGrad(acc, b)
		for p := range panelsOf(in) {
			to := dw[b.O0*winoTaps*w.Cin+b.I0+p*lanes:]
			from := sums[p*out*lanes:]
			n := min(lanes, in-p*lanes)
			if isa == plainGo {
				winoFilterGradGo(to, from, freq, out, w.Cin, winoTaps*w.Cin, n, i > 0)
				continue
			}
			args := winoArgs{
				src: unsafe.Pointer(&from[0]), dst: unsafe.Pointer(&to[0]), tiles: out,
				pixel: uintptr(4 * w.Cin), tile: uintptr(4 * winoTaps * w.Cin), freq: uintptr(4 * freq),
			}
			args.channels(n)
			if i > 0 {
				args.accumulate = 1
			}
			winoFilterGradKernel(&args)
		}
		switch {
		case db == nil || len(bias) == 0:
		case i == 0:
			copy(db, bias)
		default:
			Add(db, db, bias)
		}
	}
}
