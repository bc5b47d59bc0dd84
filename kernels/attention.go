// Self-attention of one head over the P pixels of an image, in four operations. With queries a, keys b and values x of C
// channels a pixel,
//
//	scores     s[i,j] = scale sum over c of a[i,c] b[j,c]                          S = scale A B^T
//	softmax    y[i,j] = e^(s[i,j] - max of row i) / sum over j of the same
//	mix        y[i,c] = scale sum over j of s[i,j] x[j,c]                          Y = scale S X, or with S^T
//
// Backward the same products come back, and softmax_grad, row by row:
//
//	dX = Y^T dO      dY = dO X^T      dS = Y (dY - sum over j of dY Y)      dA = scale dS B      dB = scale dS^T A
//
// What there is one of for each pair of pixels is float32 whatever a, b and x are kept in.

package kernels

import "math"

// AttentionShape is the geometry of attention: N images of P pixels and C channels.
type AttentionShape struct{ N, P, C int }

// MACs counts the multiply-adds of a product of one image.
func (s AttentionShape) MACs() int64 { return int64(s.P) * int64(s.P) * int64(s.C) }

// AttentionScores is the product of each pixel of A with each of B.
type AttentionScores struct {
	AttentionShape
	S     Buf // (N, P, P)
	A, B  Buf // (N, P, C)
	Scale float32
}

func (o AttentionScores) Name() string                    { return "attention_scores" }
func (o AttentionScores) Operands() (reads, writes []Buf) { return []Buf{o.A, o.B}, []Buf{o.S} }
func (o AttentionScores) Rows() int                       { return o.N }
func (o AttentionScores) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o AttentionScores) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		s, a, b := row(mem, o.S, o.N, n), row(mem, o.A, o.N, n), row(mem, o.B, o.N, n)
		for i := range o.P {
			for j := range o.P {
				sum := 0.0
				for c := range o.C {
					sum += float64(a[i*o.C+c]) * float64(b[j*o.C+c])
				}
				s[i*o.P+j] = float32(sum * float64(o.Scale))
			}
		}
	}
}

// AttentionMix is the sum of the pixels of X with the weights of a row of S, or with Transposed of a column.
type AttentionMix struct {
	AttentionShape
	Y          Buf // (N, P, C)
	S          Buf // (N, P, P)
	X          Buf // (N, P, C)
	Transposed bool
	Scale      float32
}

func (o AttentionMix) Name() string                    { return "attention_mix" }
func (o AttentionMix) Operands() (reads, writes []Buf) { return []Buf{o.S, o.X}, []Buf{o.Y} }
func (o AttentionMix) Rows() int                       { return o.N }
func (o AttentionMix) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o AttentionMix) RefRows(mem []float32, lo, hi int) {
	sums := make([]float64, o.C)
	for n := lo; n < hi; n++ {
		y, s, x := row(mem, o.Y, o.N, n), row(mem, o.S, o.N, n), row(mem, o.X, o.N, n)
		for i := range o.P {
			clear(sums)
			for j := range o.P {
				w := s[i*o.P+j]
				if o.Transposed {
					w = s[j*o.P+i]
				}
				for c := range o.C {
					sums[c] += float64(w) * float64(x[j*o.C+c])
				}
			}
			for c, sum := range sums {
				y[i*o.C+c] = float32(sum * float64(o.Scale))
			}
		}
	}
}

// Softmax makes weights of each row of D values: positive, of sum 1. Y may be X.
type Softmax struct {
	N, D int // images, and values of a row
	Y, X Buf
}

func (o Softmax) Name() string                    { return "softmax" }
func (o Softmax) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o Softmax) InPlace() [][2]Buf               { return [][2]Buf{{o.Y, o.X}} }
func (o Softmax) Rows() int                       { return o.N }
func (o Softmax) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Softmax) RefRows(mem []float32, lo, hi int) {
	xs, ys := rowsOf(mem, o.X, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi)
	e := make([]float64, o.D)
	for at := 0; at < len(xs); at += o.D {
		largest, sum := math.Inf(-1), 0.0
		for _, v := range xs[at:][:o.D] {
			largest = math.Max(largest, float64(v))
		}
		for i, v := range xs[at:][:o.D] {
			e[i] = math.Exp(float64(v) - largest)
			sum += e[i]
		}
		for i, v := range e {
			ys[at+i] = float32(v / sum)
		}
	}
}

// SoftmaxGrad is the gradient of a softmax from its result Y. DX may be DY.
type SoftmaxGrad struct {
	N, D      int // images, and values of a row
	DX, DY, Y Buf
}

func (o SoftmaxGrad) Name() string                    { return "softmax_grad" }
func (o SoftmaxGrad) Operands() (reads, writes []Buf) { return []Buf{o.DY, o.Y}, []Buf{o.DX} }
func (o SoftmaxGrad) InPlace() [][2]Buf               { return [][2]Buf{{o.DX, o.DY}} }
func (o SoftmaxGrad) Rows() int                       { return o.N }
func (o SoftmaxGrad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o SoftmaxGrad) RefRows(mem []float32, lo, hi int) {
	dxs, dys, ys := rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi)
	for at := 0; at < len(ys); at += o.D {
		dot := 0.0
		for i, y := range ys[at:][:o.D] {
			dot += float64(y) * float64(dys[at+i])
		}
		for i, y := range ys[at:][:o.D] {
			dxs[at+i] = float32(float64(y) * (float64(dys[at+i]) - dot))
		}
	}
}
