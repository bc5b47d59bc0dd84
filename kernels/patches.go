// Patches of a 3x3 convolution with stride 2, side by side:
//
//	y[n,i,j] = [x[n,2i+u,2j+v] for u = 0..2, v = 0..2]        i < H/2, j < W/2, whole parts; x is 0 beyond its last pixel
//
// The convolution itself is then one with K = 1 of 9C channels: weights (Cout, 3, 3, C) are also (Cout, 1, 1, 9C). So every
// kernel of convolutions, in each precision, has the stride, and computes nothing that is dropped. An even size is padded
// with a zero after it, an odd one with nothing: these are the two forms of score_sde_pytorch (its Downsample pads by
// (0, 1, 0, 1); after its FIR filter the image has a pixel more and no padding). The gradient sums, for each pixel, the up
// to four patches that it is in, in the order of their places.

package kernels

// patchSide is the pixels of a side of a patch.
const patchSide = 3

// PatchShape is N images (H, W, C), of at least 2 x 2 pixels.
type PatchShape struct{ N, H, W, C int }

// Out returns height and width of the grid of patches.
func (s PatchShape) Out() (h, w int) { return s.H / 2, s.W / 2 }

// Words returns the values of all patches.
func (s PatchShape) Words() int {
	h, w := s.Out()
	return s.N * h * w * patchSide * patchSide * s.C
}

// rows calls f for every row of three pixels of every patch of an image, patches in order: the row's first value in the
// patches, its first value in the image, and how many of its values are inside the image.
func (s PatchShape) rows(f func(at, from, inside int)) {
	h, w := s.Out()
	at := 0
	for i := range h {
		for j := range w {
			for u := range patchSide {
				inside := 0
				if 2*i+u < s.H {
					inside = min(patchSide, s.W-2*j) * s.C
				}
				f(at, ((2*i+u)*s.W+2*j)*s.C, inside)
				at += patchSide * s.C
			}
		}
	}
}

// Patches writes Y. It must not overlap X.
type Patches struct {
	PatchShape
	Y Buf // (N, H/2, W/2, 9C)
	X Buf // (N, H, W, C)
}

func (o Patches) Name() string                    { return "patches" }
func (o Patches) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o Patches) Rows() int                       { return o.N }
func (o Patches) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Patches) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		o.rows(func(at, from, inside int) {
			to := y[at : at+patchSide*o.C]
			if inside > 0 {
				copy(to, x[from:from+inside])
			}
			clear(to[inside:])
		})
	}
}

// PatchesGrad writes DX. It must not overlap DY.
type PatchesGrad struct {
	PatchShape
	DX Buf // (N, H, W, C)
	DY Buf // (N, H/2, W/2, 9C)
}

func (o PatchesGrad) Name() string                    { return "patches_grad" }
func (o PatchesGrad) Operands() (reads, writes []Buf) { return []Buf{o.DY}, []Buf{o.DX} }
func (o PatchesGrad) Rows() int                       { return o.N }
func (o PatchesGrad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o PatchesGrad) RefRows(mem []float32, lo, hi int) {
	o.addUp(mem, lo, hi, func(dst, src []float32) {
		for i, v := range src {
			dst[i] += v
		}
	})
}

// addUp adds the patches up with a function that adds one row of values to another.
func (o PatchesGrad) addUp(mem []float32, lo, hi int, add func(dst, src []float32)) {
	for n := lo; n < hi; n++ {
		dx, dy := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n)
		clear(dx)
		o.rows(func(at, from, inside int) {
			if inside > 0 {
				add(dx[from:from+inside], dy[at:at+inside])
			}
		})
	}
}
