// Convolution with stride 1 and "same" zero padding, Dilation*(K/2) on each side:
//
//	y[h,w,o] = bias[o] + sum over kh, kw, i of x[h + (kh-K/2)*Dilation, w + (kw-K/2)*Dilation, i] * w[o,kh,kw,i]
//
// The assembly (conv_tile.go, conv_grad.go) computes tiles of rows x 16 lanes: a row is a pixel, its lanes are output
// channels. With Cout <= 8, half of the lanes or more would idle. A row is then a *group* of G = 16/Cout neighbouring
// pixels: lane g*Cout+o is channel o of pixel g. Such a row needs K+G-1 taps instead of K. For pixel g, tap t carries
// the weights of tap t-g, or zero if there is no such tap. So 8 channels use 75% of the lanes instead of 50%.
//
// Weights are packed as (panel, kh, tap, Cin, 16), where a panel is 16 lanes: the order in which the tiles read them.

package vec

import (
	"fmt"
	"unsafe"
)

// lanes is the width of a panel, whatever the instruction set.
const lanes = 16

// Conv is the shape of a convolution of one image. K is 1 or 3.
type Conv struct{ H, W, Cin, Cout, K, Dilation int }

// Transposed returns c with its channels swapped: the convolution that computes c's input gradient.
func (c Conv) Transposed() Conv {
	c.Cin, c.Cout = c.Cout, c.Cin
	return c
}

func (c Conv) check() {
	if c.H < 1 || c.W < 1 || c.Cin < 1 || c.Cout < 1 || c.Dilation < 1 || c.K != 1 && c.K != 3 {
		panic(fmt.Sprintf("vec: no convolution %+v", c))
	}
}

func (c Conv) pad() int { return c.Dilation * (c.K / 2) }

// group returns G, the number of pixels side by side in one row of lanes. It is 1 with dilation: neighbours then share
// no taps.
func (c Conv) group() int {
	if c.K == 1 || c.Dilation > 1 || c.Cout > lanes/2 {
		return 1
	}
	return min(lanes/c.Cout, c.W)
}

// taps returns the number of horizontal taps of a row of lanes.
func (c Conv) taps() int { return c.K + c.group() - 1 }

func (c Conv) panels() int { return (c.group()*c.Cout + lanes - 1) / lanes }

// validRows returns the output rows [from, to) whose tap kh falls inside the image, and the tap's offset in rows.
func (c Conv) validRows(kh int) (from, to, offset int) {
	return valid(c.H, (kh-c.K/2)*c.Dilation)
}

func (c Conv) validColumns(kw int) (from, to, offset int) {
	return valid(c.W, (kw-c.K/2)*c.Dilation)
}

func valid(n, offset int) (from, to, _ int) {
	return max(0, -offset), min(n, n-offset), offset
}

// PackedLen returns the number of floats of packed weights for c.Forward.
func (c Conv) PackedLen() int {
	c.check()
	return c.panels() * c.K * c.taps() * c.Cin * lanes
}

// Pack writes w (Cout, K, K, Cin) to dst in the order that c.Forward reads.
func (c Conv) Pack(dst, w []float32) {
	c.pack(dst, w, c.K*c.K*c.Cin, c.K*c.Cin, c.Cin, 1, 0)
}

// PackTransposed writes c's weights w (Cout, K, K, Cin) to dst for c.Transposed().Forward, with the taps reversed.
// That turns c's output gradient into c's input gradient.
func (c Conv) PackTransposed(dst, w []float32) {
	t := c.Transposed()
	last := (c.K*c.K - 1) * c.Cin
	t.pack(dst, w, 1, -c.K*c.Cin, -c.Cin, c.K*c.K*c.Cin, last)
}

// pack packs the weight w[base + o*so + kh*sh + kw*sw + i*si] of output channel o, tap (kh, kw) and input channel i.
func (c Conv) pack(dst, w []float32, so, sh, sw, si, base int) {
	checkLen("Pack: dst", len(dst), c.PackedLen())
	checkLen("Pack: w", len(w), c.Cout*c.K*c.K*c.Cin)
	group, taps := c.group(), c.taps()
	clear(dst)
	for o := range c.Cout {
		for g := range group {
			panel, lane := (g*c.Cout+o)/lanes, (g*c.Cout+o)%lanes
			for kh := range c.K {
				for kw := range c.K {
					to := dst[((panel*c.K+kh)*taps+kw+g)*c.Cin*lanes+lane:]
					from := base + o*so + kh*sh + kw*sw
					for i := range c.Cin {
						to[i*lanes] = w[from+i*si]
					}
				}
			}
		}
	}
}

// paddedWidth returns the width of a padded image row in pixels; the last group may reach past the image.
func (c Conv) paddedWidth() int {
	g := c.group()
	return (c.W+g-1)/g*g + 2*c.pad()
}

// ScratchLen returns the number of floats of scratch that one worker needs for c.Forward and c.WeightGrad.
func (c Conv) ScratchLen() int {
	c.check()
	n := c.panels()*lanes + 2*lanes // the bias as lanes; alignment
	if c.K > 1 {
		n += (c.H*c.paddedWidth() + c.pad()) * c.Cin
	}
	return n
}

// padRows copies x to dst, each image row with c.pad() zero pixels before it and zeros after it up to paddedWidth. It
// adds no rows above or below: taps that fall there are left out. After the last row it also writes the zeros that
// would stand before another one.
func (c Conv) padRows(dst, x []float32) {
	row, padded, before := c.W*c.Cin, c.paddedWidth()*c.Cin, c.pad()*c.Cin
	clear(dst[:before])
	dst = dst[before:][:c.H*padded]
	most := max(1, 4*piece/padded)
	for h := 0; h < c.H; h += most {
		padRowsKernel(&dst[h*padded], &x[h*row], min(most, c.H-h), row, padded-row)
	}
}

// split cuts scratch into the bias's lanes and the padded image. The pixels of the image's first row (and of the
// others, as a rule) start on a cache line: a store that straddles two lines costs twice.
func (c Conv) split(scratch []float32) (bias, image []float32) {
	checkLen("scratch", len(scratch), c.ScratchLen())
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(scratch))) % 64 / 4)
	bias = scratch[skip : skip+c.panels()*lanes]
	before := c.pad() * c.Cin
	return bias, scratch[skip+len(bias)+(lanes-before%lanes)%lanes:]
}

// Forward computes one image: y (H, W, Cout) = the convolution of x (H, W, Cin) with the packed weights, plus bias
// (Cout, may be nil). With accumulate it adds to y instead of overwriting it. y must not overlap x.
//
// With Cout <= 8, pixels share a row of lanes and all of its taps, some with weight zero. An infinity or NaN in x can
// then turn outputs up to G pixels further away in the image row into NaN.
func (c Conv) Forward(y, x, packed, bias, scratch []float32, accumulate bool) {
	c.check()
	checkLen("Forward: y", len(y), c.H*c.W*c.Cout)
	checkLen("Forward: x", len(x), c.H*c.W*c.Cin)
	checkLen("Forward: packed", len(packed), c.PackedLen())
	if bias != nil {
		checkLen("Forward: bias", len(bias), c.Cout)
	}
	if isa == plainGo {
		c.forwardGo(y, x, packed, bias, accumulate)
		return
	}
	c.forwardTiles(y, x, packed, bias, scratch, accumulate)
}

// WeightGradLen returns the number of floats of one accumulator of the weight gradient.
func (c Conv) WeightGradLen() int {
	return c.PackedLen()
}

// gradShape returns the layout of an accumulator, (kh, columns, panel, rows, 16):
//
//	no dilation    columns 1, rows taps*Cin    horizontal taps lie side by side in memory
//	dilation       columns K, rows Cin         they lie apart
func (c Conv) gradShape() (columns, rows int) {
	if c.Dilation == 1 || c.K == 1 {
		return 1, c.taps() * c.Cin
	}
	return c.K, c.Cin
}

// WeightGrad adds one image's weight gradient to an accumulator, which starts as zeros, from the image's input x (H,
// W, Cin) and output gradient dy (H, W, Cout). UnpackWeightGrad reads the accumulator.
func (c Conv) WeightGrad(acc, x, dy, scratch []float32) {
	c.check()
	checkLen("WeightGrad: acc", len(acc), c.WeightGradLen())
	checkLen("WeightGrad: x", len(x), c.H*c.W*c.Cin)
	checkLen("WeightGrad: dy", len(dy), c.H*c.W*c.Cout)
	if isa == plainGo {
		c.weightGradGo(acc, x, dy)
		return
	}
	c.weightGradTiles(acc, x, dy, scratch)
}

// UnpackWeightGrad writes the rows [from, to) of the weight gradient dw (Cout, K, K, Cin): the sum of the
// accumulators, in their order. Workers can share out the rows.
func (c Conv) UnpackWeightGrad(dw []float32, accs [][]float32, from, to int) {
	checkLen("UnpackWeightGrad: dw", len(dw), c.Cout*c.K*c.K*c.Cin)
	for _, acc := range accs {
		checkLen("UnpackWeightGrad: acc", len(acc), c.WeightGradLen())
	}
	if from < 0 || to > c.Cout || from > to {
		panic(fmt.Sprintf("vec: UnpackWeightGrad: rows [%d,%d) of %d", from, to, c.Cout))
	}
	group, panels := c.group(), c.panels()
	columns, rows := c.gradShape()
	perColumn := c.K / columns // taps in one column's rows
	size := c.K * c.K * c.Cin
	for kh := range c.K {
		for column := range columns {
			for tap := range perColumn {
				for i := range c.Cin {
					out := (kh*c.K+column+tap)*c.Cin + i
					for first := from; first < to; {
						// Channels [first, last) are in one panel.
						panel := first / lanes
						last := min(to, (panel+1)*lanes)
						var sum [lanes]float32
						for _, acc := range accs {
							for g := range group {
								row := ((kh*columns+column)*panels+panel)*rows + (tap+g)*c.Cin + i
								lane := g*c.Cout + first - panel*lanes
								in := acc[row*lanes+lane:][:last-first]
								for o, v := range in {
									sum[o] += v
								}
							}
						}
						for o := range last - first {
							dw[(first+o)*size+out] = sum[o]
						}
						first = last
					}
				}
			}
		}
	}
}

func checkLen(what string, have, want int) {
	if have < want || have > want && what != "scratch" {
		panic(fmt.Sprintf("vec: %s has %d floats, want %d", what, have, want))
	}
}
