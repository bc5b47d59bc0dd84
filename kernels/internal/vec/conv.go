package vec

// Convolution with stride 1 and "same" zero padding, Dilation*(K/2) on each side:
//
//	y[h,w,o] = bias[o] + sum over kh, kw, i of x[h + (kh-K/2)*Dilation, w + (kw-K/2)*Dilation, i] * w[o,kh,kw,i]
//
// The assembly (conv_tile.go, conv_grad.go) computes tiles of rows x 16 lanes, where a row is a pixel and the lanes are
// output channels. Where Cout <= 8 half of the lanes or more would idle, and a row is then a *group* of G = 16/Cout
// neighbouring pixels: lane g*Cout+o is channel o of pixel g. Such a row needs K+G-1 taps instead of K, and tap t
// carries the weights of tap t-g for pixel g, zero where there is none: 8 channels use 75% of the lanes instead of 50%.
//
// Weights are packed as (panel, kh, tap, Cin, 16), a panel being 16 lanes, which is the order the tiles read them in.

import (
	"fmt"
	"unsafe"
)

// lanes is the width of a panel, whatever the instruction set.
const lanes = 16

// Conv describes one convolution: the size of one image, K 1 or 3.
type Conv struct{ H, W, Cin, Cout, K, Dilation int }

// Transposed is c with its channels swapped: the convolution that computes c's input gradient.
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

// group is G, the pixels side by side in one row of lanes. A dilated row's neighbours share no taps.
func (c Conv) group() int {
	if c.K == 1 || c.Dilation > 1 || c.Cout > lanes/2 {
		return 1
	}
	return min(lanes/c.Cout, c.W)
}

// taps is the number of taps of a row of lanes in the horizontal direction.
func (c Conv) taps() int { return c.K + c.group() - 1 }

func (c Conv) panels() int { return (c.group()*c.Cout + lanes - 1) / lanes }

// validRows is the range of output rows whose tap kh falls inside the image, and the tap's offset in rows.
func (c Conv) validRows(kh int) (from, to, offset int) {
	return valid(c.H, (kh-c.K/2)*c.Dilation)
}

func (c Conv) validColumns(kw int) (from, to, offset int) {
	return valid(c.W, (kw-c.K/2)*c.Dilation)
}

func valid(n, offset int) (from, to, _ int) {
	return max(0, -offset), min(n, n-offset), offset
}

// PackedLen is the number of floats of packed weights for c.Forward.
func (c Conv) PackedLen() int {
	c.check()
	return c.panels() * c.K * c.taps() * c.Cin * lanes
}

// Pack writes w (Cout, K, K, Cin) to dst in the order that c.Forward reads.
func (c Conv) Pack(dst, w []float32) {
	c.pack(dst, w, c.K*c.K*c.Cin, c.K*c.Cin, c.Cin, 1, 0)
}

// PackTransposed writes c's weights w (Cout, K, K, Cin) to dst for c.Transposed().Forward, with the taps reversed, so
// that its output is c's input gradient when its input is c's output gradient.
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

// paddedWidth is the width of a padded image row in pixels; the last group may reach past the image.
func (c Conv) paddedWidth() int {
	g := c.group()
	return (c.W+g-1)/g*g + 2*c.pad()
}

// ScratchLen is the number of floats of scratch that one worker needs for c.Forward and c.WeightGrad.
func (c Conv) ScratchLen() int {
	c.check()
	n := c.panels()*lanes + 2*lanes // the bias as lanes; alignment
	if c.K > 1 {
		n += (c.H*c.paddedWidth() + c.pad()) * c.Cin
	}
	return n
}

// padRows copies x to dst, each image row with c.pad() zero pixels before it and zeros after it up to paddedWidth. No
// rows are added above or below: taps that fall there are left out. The zeros before the row that would follow the last
// are written too.
func (c Conv) padRows(dst, x []float32) {
	row, padded, before := c.W*c.Cin, c.paddedWidth()*c.Cin, c.pad()*c.Cin
	clear(dst[:before])
	dst = dst[before:][:c.H*padded]
	most := max(1, 4*piece/padded)
	for h := 0; h < c.H; h += most {
		padRowsKernel(&dst[h*padded], &x[h*row], min(most, c.H-h), row, padded-row)
	}
}

// split cuts scratch into the bias's lanes and the padded image, so placed that the pixels of its first row (and of the
// others, as a rule) start a cache line: stores that straddle two lines cost twice.
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
// Pixels that share a row of lanes also share its taps, with weight zero: where Cout <= 8, an infinity or NaN in x can
// turn outputs up to G pixels further away in its image row into NaN.
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

// WeightGradLen is the number of floats of one accumulator of the weight gradient.
func (c Conv) WeightGradLen() int {
	return c.PackedLen()
}

// gradShape is how an accumulator is laid out: (kh, columns, panel, rows, 16). An undilated convolution's horizontal
// taps lie side by side in memory and form the rows together with the input channels (columns 1, rows taps*Cin); a
// dilated one's are apart (columns K, rows Cin).
func (c Conv) gradShape() (columns, rows int) {
	if c.Dilation == 1 || c.K == 1 {
		return 1, c.taps() * c.Cin
	}
	return c.K, c.Cin
}

// WeightGrad adds one image's weight gradient, from its input x (H, W, Cin) and output gradient dy (H, W, Cout), to an
// accumulator that starts as zeros. UnpackWeightGrad reads it.
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

// UnpackWeightGrad writes the rows [from, to) of the weight gradient dw (Cout, K, K, Cin), the sum of the accumulators
// in their order. Rows are independent, so that workers can share them out.
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
