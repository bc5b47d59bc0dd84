// Resampling with a filter of four taps along each axis (upfirdn of StyleGAN2, for NCSN++). Along one axis, with z the
// input with Up-1 zeros after each value and zeros outside,
//
//	y[i] = sum over j of w[j] z[Down i - Pad + j]        j = 0..3
//
// and the image is filtered along rows and down columns. From a kernel k[0..3] of sum s, which as a convolution is turned
// around (w[j] = k[3-j] / s, times Up so that a constant keeps its size):
//
//	[FIRDown]     Down 2, Pad 1, half the size      k = 1,3,3,1: y[i] = (x[2i-1] + 3 x[2i] + 3 x[2i+1] + x[2i+2]) / 8
//	[FIRUp]       Up 2, Pad 2, twice the size       y[2i] = (3 x[i] + x[i-1]) / 4, y[2i+1] = (3 x[i] + x[i+1]) / 4
//	[FIRFilter]   Pad 2, one more                   before a 3x3 convolution of stride 2 without padding
//	[FIRUpWide]   Up 2, Pad 3, twice the size and two       before a 3x3 convolution whose result is cropped
//
// The transpose of such a map is one too, with Up and Down exchanged, the taps turned around and Pad' = 3 - Pad: so the
// gradient is the same operation, see [FIR.Grad].

package kernels

import "fmt"

// FIRShape is N images (H, W, C) that become (HOut, WOut, C), and how.
type FIRShape struct {
	N, H, W, HOut, WOut, C int
	Up, Down, Pad          int
	Taps                   [4]float32 // w, of one axis
}

// FIRDown halves height and width, rounding down.
func FIRDown(n, h, w, c int, kernel [4]float32) FIRShape {
	return FIRShape{N: n, H: h, W: w, HOut: h / 2, WOut: w / 2, C: c, Up: 1, Down: 2, Pad: 1, Taps: firTaps(kernel, 1)}
}

// FIRUp doubles height and width.
func FIRUp(n, h, w, c int, kernel [4]float32) FIRShape {
	return FIRShape{N: n, H: h, W: w, HOut: 2 * h, WOut: 2 * w, C: c, Up: 2, Down: 1, Pad: 2, Taps: firTaps(kernel, 2)}
}

// FIRFilter adds a row and a column.
func FIRFilter(n, h, w, c int, kernel [4]float32) FIRShape {
	return FIRShape{N: n, H: h, W: w, HOut: h + 1, WOut: w + 1, C: c, Up: 1, Down: 1, Pad: 2, Taps: firTaps(kernel, 1)}
}

// FIRUpWide is FIRUp with one row and one column more at each edge, what the filter leaves beyond the image.
func FIRUpWide(n, h, w, c int, kernel [4]float32) FIRShape {
	return FIRShape{N: n, H: h, W: w, HOut: 2*h + 2, WOut: 2*w + 2, C: c, Up: 2, Down: 1, Pad: 3, Taps: firTaps(kernel, 2)}
}

// Crop takes a row and a column off at each edge.
func Crop(n, h, w, c int) FIRShape {
	return FIRShape{N: n, H: h, W: w, HOut: h - 2, WOut: w - 2, C: c, Up: 1, Down: 1, Pad: 0, Taps: [4]float32{0, 1}}
}

func firTaps(kernel [4]float32, gain float32) (w [4]float32) {
	sum := kernel[0] + kernel[1] + kernel[2] + kernel[3]
	for j := range w {
		w[j] = gain * kernel[3-j] / sum
	}
	return w
}

// transposed returns the shape of the transpose.
func (s FIRShape) transposed() FIRShape {
	t := FIRShape{N: s.N, H: s.HOut, W: s.WOut, HOut: s.H, WOut: s.W, C: s.C, Up: s.Down, Down: s.Up, Pad: 3 - s.Pad}
	for j, w := range s.Taps {
		t.Taps[3-j] = w
	}
	return t
}

// taps calls f for every value of a side of n that output i takes, with its weight: for w[j] from small j on.
func (s FIRShape) taps(i, n int, f func(from int, w float32)) {
	for j, w := range s.Taps {
		at := s.Down*i - s.Pad + j
		if at >= 0 && at%s.Up == 0 && at/s.Up < n {
			f(at/s.Up, w)
		}
	}
}

// FIR is the resampling. Y must not overlap X.
type FIR struct {
	FIRShape
	Y Buf // (N, HOut, WOut, C)
	X Buf // (N, H, W, C)
}

// Grad returns the operation that computes dx from dy.
func (s FIRShape) Grad(dx, dy Buf) FIR { return FIR{FIRShape: s.transposed(), Y: dx, X: dy} }

func (o FIR) Name() string                    { return "fir" }
func (o FIR) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o FIR) Rows() int                       { return o.N }
func (o FIR) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o FIR) RefRows(mem []float32, lo, hi int) {
	if o.Up*o.Down != max(o.Up, o.Down) || o.Pad < 0 || o.Pad > 3 {
		panic(fmt.Sprintf("kernels: no resampling up %d, down %d, pad %d", o.Up, o.Down, o.Pad))
	}
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		sums := make([]float64, len(y))
		for i := range o.HOut {
			o.taps(i, o.H, func(p int, v float32) {
				for j := range o.WOut {
					o.taps(j, o.W, func(q int, w float32) {
						sum, xs := sums[(i*o.WOut+j)*o.C:][:o.C], x[(p*o.W+q)*o.C:][:o.C]
						for c, from := range xs {
							sum[c] += float64(v) * float64(w) * float64(from)
						}
					})
				}
			})
		}
		round(y, sums)
	}
}
