// Bilinear resize with aligned corners: output pixel i of n reads the source at i (m-1)/(n-1) of m,
//
//	y[i,j] = (1-a)(1-b) x[p,q] + a(1-b) x[p+1,q] + (1-a) b x[p,q+1] + a b x[p+1,q+1]
//
// with p + a and q + b the two source coordinates (torch.nn.functional.interpolate, mode bilinear, align_corners
// true).

package kernels

// ResizeShape is N images (H, W, C) on one side and (HOut, WOut, C) on the other.
type ResizeShape struct{ N, H, W, HOut, WOut, C int }

// Resize is the bilinear resize.
type Resize struct {
	ResizeShape
	Y Buf // (N, HOut, WOut, C)
	X Buf // (N, H, W, C)
}

func (o Resize) Name() string                    { return "resize" }
func (o Resize) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o Resize) Rows() int                       { return o.N }
func (o Resize) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Resize) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		clear(y)
		o.each(func(p, q int, w float32) {
			yp, xq := y[p*o.C:(p+1)*o.C], x[q*o.C:(q+1)*o.C]
			for c, v := range xq {
				yp[c] += w * v
			}
		})
	}
}

// ResizeGrad is the transpose of Resize, and so its gradient.
type ResizeGrad struct {
	ResizeShape
	DX Buf // (N, H, W, C)
	DY Buf // (N, HOut, WOut, C)
}

func (o ResizeGrad) Name() string                    { return "resize_grad" }
func (o ResizeGrad) Operands() (reads, writes []Buf) { return []Buf{o.DY}, []Buf{o.DX} }
func (o ResizeGrad) Rows() int                       { return o.N }
func (o ResizeGrad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o ResizeGrad) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		dx, dy := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n)
		clear(dx)
		o.each(func(p, q int, w float32) {
			yp, xq := dy[p*o.C:(p+1)*o.C], dx[q*o.C:(q+1)*o.C]
			for c, v := range yp {
				xq[c] += w * v
			}
		})
	}
}

// each calls f for every output pixel p and source pixel q that it reads with weight w > 0.
func (s ResizeShape) each(f func(p, q int, w float32)) {
	for i := range s.HOut {
		p, a := source(i, s.H, s.HOut)
		for j := range s.WOut {
			q, b := source(j, s.W, s.WOut)
			for _, t := range [4]struct {
				u, v int
				w    float32
			}{{0, 0, (1 - a) * (1 - b)}, {0, 1, (1 - a) * b}, {1, 0, a * (1 - b)}, {1, 1, a * b}} {
				if t.w != 0 {
					f(i*s.WOut+j, (p+t.u)*s.W+q+t.v, t.w)
				}
			}
		}
	}
}

// source returns the source coordinate of output i of n from m, whole part and fraction, in float32 as PyTorch
// computes it.
func source(i, m, n int) (whole int, fraction float32) {
	if n == 1 || m == 1 {
		return 0, 0
	}
	at := float32(i) * (float32(m-1) / float32(n-1))
	whole = min(int(at), m-1)
	if whole == m-1 {
		return whole, 0
	}
	return whole, at - float32(whole)
}
