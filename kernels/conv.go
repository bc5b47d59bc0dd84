// Convolution, stride 1, zero padding that keeps the size ("same"), square kernel K in {1, 3}, dilation d:
//
//	y[n,i,j,o] = b[o] + sum over u,v,c of x[n, i + d(u-K/2), j + d(v-K/2), c] w[o,u,v,c]
//
// with x zero outside the image. A linear layer is the same with H = W = K = 1. (torch.nn.Conv2d with
// padding = dilation*(K/2).) The backward operations are the derivatives of sum(dy*y):
//
//	dx[n,p,q,c] = sum over u,v,o of dy[n, p - d(u-K/2), q - d(v-K/2), o] w[o,u,v,c]
//	dw[o,u,v,c] = sum over n,i,j of dy[n,i,j,o] x[n, i + d(u-K/2), j + d(v-K/2), c]
//	db[o]       = sum over n,i,j of dy[n,i,j,o]
//
// In precision TF32 the factors of the products are rounded, in BF16 they are bfloat16 in memory: see conv_tensor.go.

package kernels

import "fmt"

// ConvShape is the geometry shared by the three operations of a convolution.
type ConvShape struct {
	N, H, W, Cin, Cout int
	K, Dilation        int
}

func (s ConvShape) check(x, y, w, b Buf) {
	if (s.K != 1 && s.K != 3) || s.Dilation < 1 || x.N != s.N*s.H*s.W*s.Cin || y.N != s.N*s.H*s.W*s.Cout ||
		w.N != s.Cout*s.K*s.K*s.Cin || (b.N != 0 && b.N != s.Cout) {
		panic(fmt.Sprintf("kernels: conv %+v: x, y, w, b have %d, %d, %d, %d values", s, x.N, y.N, w.N, b.N))
	}
}

// MACs counts the multiply-adds of one image.
func (s ConvShape) MACs() int64 {
	return int64(s.H) * int64(s.W) * int64(s.Cin) * int64(s.Cout) * int64(s.K*s.K)
}

// taps calls f for every output pixel p of an image, tap t and the input pixel q that the tap reads; taps outside the
// image are left out.
func (s ConvShape) taps(f func(p, t, q int)) {
	for i := range s.H {
		for j := range s.W {
			for u := range s.K {
				for v := range s.K {
					r, c := i+s.Dilation*(u-s.K/2), j+s.Dilation*(v-s.K/2)
					if r >= 0 && r < s.H && c >= 0 && c < s.W {
						f(i*s.W+j, u*s.K+v, r*s.W+c)
					}
				}
			}
		}
	}
}

// Conv writes Y = conv(X, Weight) + Bias. Y must not overlap the others.
type Conv struct {
	ConvShape
	Y, X   Buf // (N, H, W, Cout), (N, H, W, Cin)
	Weight Buf // (Cout, K, K, Cin)
	Bias   Buf // (Cout), may be absent

	Precision Precision
}

func (o Conv) Name() string { return "conv" }
func (o Conv) Operands() (reads, writes []Buf) {
	return present(o.X, o.Weight, o.Bias), []Buf{o.Y}
}
func (o Conv) Rows() int         { return o.N }
func (o Conv) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o Conv) RefRows(mem []float32, lo, hi int) {
	o.check(o.X, o.Y, o.Weight, o.Bias)
	if factors := o.factors(); factors != nil {
		o.refTensor(mem, lo, hi, factors)
		return
	}
	w, b := o.Weight.Of(mem), o.Bias.Of(mem)
	kk := o.K * o.K
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		for p := range o.H * o.W {
			if o.Bias.N > 0 {
				copy(y[p*o.Cout:(p+1)*o.Cout], b)
			} else {
				clear(y[p*o.Cout : (p+1)*o.Cout])
			}
		}
		o.taps(func(p, t, q int) {
			xq := x[q*o.Cin : (q+1)*o.Cin]
			yp := y[p*o.Cout : (p+1)*o.Cout]
			for c := range yp {
				wc := w[(c*kk+t)*o.Cin:][:len(xq)]
				var sum float32
				for i, v := range xq {
					sum += float32(v * wc[i])
				}
				yp[c] += sum
			}
		})
	}
}

// ConvGradInput writes DX, the gradient with respect to the input.
type ConvGradInput struct {
	ConvShape
	DX, DY Buf // (N, H, W, Cin), (N, H, W, Cout)
	Weight Buf // (Cout, K, K, Cin)

	Precision Precision
}

func (o ConvGradInput) Name() string { return "conv_grad_input" }
func (o ConvGradInput) Operands() (reads, writes []Buf) {
	return []Buf{o.DY, o.Weight}, []Buf{o.DX}
}
func (o ConvGradInput) Rows() int         { return o.N }
func (o ConvGradInput) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o ConvGradInput) RefRows(mem []float32, lo, hi int) {
	o.check(o.DX, o.DY, o.Weight, Buf{})
	if factors := o.factors(); factors != nil {
		o.refTensor(mem, lo, hi, factors)
		return
	}
	w := o.Weight.Of(mem)
	kk := o.K * o.K
	for n := lo; n < hi; n++ {
		dx, dy := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n)
		clear(dx)
		o.taps(func(p, t, q int) {
			dxq := dx[q*o.Cin : (q+1)*o.Cin]
			for c, g := range dy[p*o.Cout : (p+1)*o.Cout] {
				wc := w[(c*kk+t)*o.Cin:][:len(dxq)]
				for i := range dxq {
					dxq[i] += float32(g * wc[i])
				}
			}
		})
	}
}

// ConvGradWeight writes DWeight and, where present, DBias: sums over all images. They are long, so the reference keeps
// them in float64.
type ConvGradWeight struct {
	ConvShape
	DWeight Buf // (Cout, K, K, Cin)
	DBias   Buf // (Cout), may be absent
	X, DY   Buf // (N, H, W, Cin), (N, H, W, Cout)

	Precision Precision

	// Multiprocessors is how many a CUDA device cuts the sum for. The cut decides the sum's bits, so it does not depend
	// on the device at hand. 0 is the rule of runs that recorded no number. The CPU cuts in its own way.
	Multiprocessors int

	// Parts is how many a CUDA device cuts the sum into, where a benchmark says so ([Tuner]); 0: as the rule has it.
	Parts int
}

// CutSums sets the multiprocessors that the sums of ops are cut for, see [ConvGradWeight].
func CutSums(ops []Op, multiprocessors int) {
	for i, op := range ops {
		if g, ok := op.(ConvGradWeight); ok {
			g.Multiprocessors = multiprocessors
			ops[i] = g
		}
	}
}

func (o ConvGradWeight) Name() string { return "conv_grad_weight" }
func (o ConvGradWeight) Operands() (reads, writes []Buf) {
	return []Buf{o.X, o.DY}, present(o.DWeight, o.DBias)
}
func (o ConvGradWeight) Ref(mem []float32) {
	o.check(o.X, o.DY, o.DWeight, o.DBias)
	if factors := o.factors(); factors != nil {
		o.refTensor(mem, factors)
		return
	}
	dw, db := make([]float64, o.DWeight.N), make([]float64, o.Cout)
	kk := o.K * o.K
	for n := range o.N {
		x, dy := row(mem, o.X, o.N, n), row(mem, o.DY, o.N, n)
		o.taps(func(p, t, q int) {
			xq := x[q*o.Cin : (q+1)*o.Cin]
			for c, g := range dy[p*o.Cout : (p+1)*o.Cout] {
				acc := dw[(c*kk+t)*o.Cin:][:len(xq)]
				for i, v := range xq {
					acc[i] += float64(g) * float64(v)
				}
			}
		})
		for i, g := range dy {
			db[i%o.Cout] += float64(g)
		}
	}
	round(o.DWeight.Of(mem), dw)
	if o.DBias.N > 0 {
		round(o.DBias.Of(mem), db)
	}
}
