// The convolution of an image, cut into tiles, and a long tile into short calls of the assembly.

package vec

import "unsafe"

// tileArgs is the argument block of a tile kernel, which computes for each tile
//
//	y[r, lane] = bias[lane] (+ y[r, lane])  +  sum over kh, kw, k of a[kh, kw, r, k] * b[kh, kw, k, lane]
//
// The assembly reads it by offsets: eight bytes a field (tileFields in gen/conv.go). Strides are in bytes.
type tileArgs struct {
	a, b, y, bias        unsafe.Pointer
	lda, ldy             uintptr        // from row to row
	tiles                int            // number of tiles, aTile, bTile and yTile apart, with the same bias
	aTile, bTile, yTile  uintptr        //
	nKh                  int            // vertical taps, aKh apart
	aKh                  uintptr        //
	nKw                  int            // horizontal taps, aKw apart
	aKw                  uintptr        //
	k                    int            // consecutive values of a under each tap
	bPanel               uintptr        // from the first panel to the second
	accumulate           uintptr        // 1: start from y
	mask, maskLast       uintptr        // lanes to store: in the last panel; in the last row, if there is one panel
	maskWords, lastWords unsafe.Pointer // the same as 16 words of 0 or -1

	// Work space of the kernel.
	tileA, tileB, tileY, leftTiles, tapKh, leftKh, tapKw uintptr
}

// maxFMA bounds the vector multiply-adds of one call: some 7 microseconds at two a cycle.
const maxFMA = 40000

// zeroLanes is the bias of a tile without one.
var zeroLanes [2 * lanes]float32

// laneMasks is 16 words of ones, then 16 of zeros: the mask of n lanes starts at word 16-n.
var laneMasks = func() (m [2 * lanes]int32) {
	for i := range lanes {
		m[i] = -1
	}
	return m
}()

func laneMask(n int) (bits uintptr, words unsafe.Pointer) {
	return 1<<n - 1, unsafe.Pointer(&laneMasks[lanes-n])
}

// setMasks lets the first n lanes of the last panel be stored, in the last row the first `last` lanes.
func (t *tileArgs) setMasks(n, last int) {
	t.mask, t.maskWords = laneMask(n)
	t.maskLast, t.lastWords = laneMask(last)
}

// vectorsPerPanel returns the number of vectors that 16 lanes take.
func vectorsPerPanel() int {
	if isa == avx512 {
		return 1
	}
	return 2
}

// maxPanels and maxRows bound a tile, so that its accumulators fit in the registers.
func maxPanels() int {
	if isa == avx512 {
		return 2
	}
	return 1
}

func maxRows(panels int) int {
	switch {
	case isa == avx512 && panels == 1:
		return 28
	case isa == avx512:
		return 14
	}
	return 6
}

// run computes a number of tiles, as many a call as maxFMA allows. If even one is too long for a call, run cuts it
// along its sum; the partial sums rest in y, exactly as they were in the registers.
func (t tileArgs) run(rows, panels, tiles int) {
	perTile := rows * panels * vectorsPerPanel() * t.nKh * t.nKw * t.k
	if perTile <= maxFMA {
		most := maxFMA / perTile
		for {
			t.tiles = min(tiles, most)
			convTile(rows, panels, &t)
			if tiles -= t.tiles; tiles == 0 {
				return
			}
			t.a = unsafe.Add(t.a, uintptr(t.tiles)*t.aTile)
			t.b = unsafe.Add(t.b, uintptr(t.tiles)*t.bTile)
			t.y = unsafe.Add(t.y, uintptr(t.tiles)*t.yTile)
		}
	}
	longest := max(1, maxFMA/(rows*panels*vectorsPerPanel()))
	for i := range uintptr(tiles) {
		part := t
		part.tiles, part.nKh, part.nKw = 1, 1, 1
		part.y = unsafe.Add(t.y, i*t.yTile)
		for kh := range uintptr(t.nKh) {
			for kw := range uintptr(t.nKw) {
				for done := 0; done < t.k; done += part.k {
					part.k = min(longest, t.k-done)
					part.a = unsafe.Add(t.a, i*t.aTile+kh*t.aKh+kw*t.aKw+4*uintptr(done))
					part.b = unsafe.Add(t.b, int(i*t.bTile)+4*lanes*(int(kh)*t.nKw*t.k+int(kw)*t.k+done))
					convTile(rows, panels, &part)
					part.bias, part.accumulate = unsafe.Pointer(&zeroLanes), 1
				}
			}
		}
	}
}

// even cuts n into as few pieces of at most `most` as it can, and as evenly: first `extra` pieces of size+1, then
// pieces of size.
func even(n, most int) (pieces, size, extra int) {
	pieces = (n + most - 1) / most
	return pieces, n / pieces, n % pieces
}

func (c Conv) forwardTiles(y, x, packed, bias, scratch []float32, accumulate bool) {
	if c.K == 1 { // pixels are all alike: one long row
		c.H, c.W = 1, c.H*c.W
	}
	biasLanes, image := c.split(scratch)
	group, taps, panels := c.group(), c.taps(), c.panels()
	clear(biasLanes)
	if bias != nil {
		for g := range group {
			copy(biasLanes[g*c.Cout:], bias)
		}
	}
	width := c.W // of an image row in memory, in pixels
	if c.K == 1 {
		image = x
	} else {
		width = c.paddedWidth()
		c.padRows(image, x)
	}

	t := tileArgs{
		lda: uintptr(4 * group * c.Cin), ldy: uintptr(4 * group * c.Cout),
		nKw: 1, k: taps * c.Cin,
		aKh:    uintptr(4 * c.Dilation * width * c.Cin),
		bPanel: uintptr(4 * c.K * taps * c.Cin * lanes),
	}
	if c.Dilation > 1 && c.K > 1 {
		t.nKw, t.k, t.aKw = c.K, c.Cin, uintptr(4*c.Dilation*c.Cin)
	}
	if accumulate {
		t.accumulate = 1
	}
	groups := (c.W + group - 1) / group
	lastGroup := c.W - (groups-1)*group // pixels in the last group of an image row

	for panel := 0; panel < panels; {
		n := min(maxPanels(), panels-panel)
		first := panel * lanes // first channel
		full := min(group*c.Cout-(panel+n-1)*lanes, lanes)
		last := full
		if lastGroup < group {
			last = lastGroup * c.Cout
		}
		t.bias = unsafe.Pointer(&biasLanes[first])
		pieces, size, extra := even(groups, maxRows(n))
		// Image rows [h0, h1) see the same vertical taps, [k0, k1).
		for h0 := 0; h0 < c.H; {
			k0, k1, h1 := c.verticalTaps(h0)
			t.nKh = k1 - k0
			t.b = unsafe.Pointer(&packed[((panel*c.K+k0)*taps*c.Cin)*lanes])
			above := (k0 - c.K/2) * c.Dilation
			a, out := image[(h0+above)*width*c.Cin:], y[h0*c.W*c.Cout+first:]
			switch rows := h1 - h0; {
			case c.H == 1:
				t.line(a, out, n, groups, full, last)
			case rows > groups && (size+min(extra, 1))*n < 12:
				// Image rows are short: tiles that reach down the image are larger than those along a row.
				down := t
				down.lda, down.ldy = uintptr(4*width*c.Cin), uintptr(4*c.W*c.Cout)
				down.aTile, down.yTile = t.lda, t.ldy
				down.columns(a, out, n, rows, groups, full, last)
			default:
				t.aTile, t.yTile = uintptr(4*width*c.Cin), uintptr(4*c.W*c.Cout)
				for piece, g := 0, 0; piece < pieces; piece++ {
					high := size
					if piece < extra {
						high++
					}
					t.setMasks(full, full)
					if g+high == groups {
						t.setMasks(full, last)
					}
					t.a = unsafe.Pointer(&a[g*group*c.Cin])
					t.y = unsafe.Pointer(&out[g*group*c.Cout])
					t.run(high, n, rows)
					g += high
				}
			}
			h0 = h1
		}
		panel += n
	}
}

// line computes an image that is one row of groups (a linear layer's rows, as a rule). Pieces of equal size are the
// tiles of one call.
func (t tileArgs) line(a, y []float32, panels, groups, full, last int) {
	pieces, size, extra := even(groups, maxRows(panels))
	g := 0
	run := func(rows, tiles int) {
		if tiles == 0 {
			return
		}
		t.a = unsafe.Pointer(&a[g*int(t.lda/4)])
		t.y = unsafe.Pointer(&y[g*int(t.ldy/4)])
		t.aTile, t.yTile = uintptr(rows)*t.lda, uintptr(rows)*t.ldy
		t.run(rows, panels, tiles)
		g += rows * tiles
	}
	t.setMasks(full, full)
	run(size+1, extra)
	run(size, pieces-extra-1)
	t.setMasks(full, last)
	run(size, 1)
}

// columns computes tiles whose rows lie below each other in the image. The tiles of one call lie side by side.
func (t tileArgs) columns(a, y []float32, panels, rows, groups, full, last int) {
	pieces, size, extra := even(rows, maxRows(panels))
	for piece, h := 0, 0; piece < pieces; piece++ {
		high := size
		if piece < extra {
			high++
		}
		run := func(from, tiles, lanes int) {
			if tiles == 0 {
				return
			}
			t.setMasks(lanes, lanes)
			t.a = unsafe.Pointer(&a[h*int(t.lda/4)+from*int(t.aTile/4)])
			t.y = unsafe.Pointer(&y[h*int(t.ldy/4)+from*int(t.yTile/4)])
			t.run(high, panels, tiles)
		}
		whole := groups
		if last < full {
			whole--
		}
		run(0, whole, full)
		run(whole, groups-whole, last)
		h += high
	}
}

// verticalTaps returns the taps [k0, k1) that are inside the image for output row h, and the end of the rows, from h
// on, that share them.
func (c Conv) verticalTaps(h int) (k0, k1, end int) {
	if c.K == 1 {
		return 0, 1, c.H
	}
	k0, k1, end = 0, 3, c.H
	if h < c.Dilation {
		k0, end = 1, min(end, c.Dilation)
	}
	if h >= c.H-c.Dilation {
		k1 = 2
	} else {
		end = min(end, c.H-c.Dilation)
	}
	return k0, k1, end
}
