// Convolution on tensor cores: the sums of conv.go, with factors of few fraction bits.
//
//	y[n,i,j,o] = b[o] + sum over u,v,c of r(x[n, i + d(u-K/2), j + d(v-K/2), c]) r(w[o,u,v,c])
//
// and the gradients likewise. The factors have 11 or 8 significant bits, so their products are exact in float32. Sums
// are float32, and so are the bias and its gradient, which is a sum without products.
//
//	TF32   r(a) is a rounded to 10 fraction bits, ties away from zero. Tensor cores take channels by 32: other
//	       convolutions run in float32.
//	BF16   x, y and w are bfloat16 in memory, and r(a) = a. y is rounded to the nearest. A convolution of which x or
//	       y is of words, at the ends of a network, runs in float32, and so are its weights.

package kernels

import (
	"fmt"
	"math"
)

// tensorChannels divides the channels of the convolutions that tensor cores run.
const tensorChannels = 32

// Stored returns what the activations of a network in this precision hold that have so many channels: convolutions
// between those of bfloat16 run on tensor cores.
func (p Precision) Stored(channels int) Element {
	if p == BF16 && channels%tensorChannels == 0 {
		return BFloat16
	}
	return Words
}

// tensorCores says whether a convolution in the given precision between windows a and b runs on tensor cores.
func (s ConvShape) tensorCores(p Precision, a, b Buf) bool {
	switch p {
	case "", Float32:
		return false
	case TF32:
		return s.Cin%tensorChannels == 0 && s.Cout%tensorChannels == 0
	case BF16:
		return a.Element == BFloat16 && b.Element == BFloat16
	}
	panic(fmt.Sprintf("kernels: there is no convolution in precision %q", p))
}

func (o Conv) precision() Precision           { return o.Precision }
func (o ConvGradInput) precision() Precision  { return o.Precision }
func (o ConvGradWeight) precision() Precision { return o.Precision }

// OnTensorCores says whether the products are tensor cores' work.
func (o Conv) OnTensorCores() bool           { return o.tensorCores(o.Precision, o.X, o.Y) }
func (o ConvGradInput) OnTensorCores() bool  { return o.tensorCores(o.Precision, o.DY, o.DX) }
func (o ConvGradWeight) OnTensorCores() bool { return o.tensorCores(o.Precision, o.X, o.DY) }

// factors returns the function that makes factors of the products of values, as float64, in which sums of products are
// as good as exact; nil where the reference computes in float32.
func (o Conv) factors() func([]float32) []float64 { return factorsOf(o.Precision, o.OnTensorCores()) }
func (o ConvGradInput) factors() func([]float32) []float64 {
	return factorsOf(o.Precision, o.OnTensorCores())
}
func (o ConvGradWeight) factors() func([]float32) []float64 {
	return factorsOf(o.Precision, o.OnTensorCores())
}

func factorsOf(p Precision, tensorCores bool) func([]float32) []float64 {
	switch {
	case p == BF16: // the reference is given words, wherever the values come from
		return toFloat64
	case tensorCores:
		return toTF32
	}
	return nil
}

func toFloat64(values []float32) []float64 {
	exact := make([]float64, len(values))
	for i, v := range values {
		exact[i] = float64(v)
	}
	return exact
}

// toTF32 rounds the values to 10 fraction bits.
func toTF32(values []float32) []float64 {
	rounded := make([]float64, len(values))
	for i, v := range values {
		rounded[i] = float64(v)
		if bits := math.Float32bits(v); bits&0x7f800000 != 0x7f800000 { // finite
			rounded[i] = float64(math.Float32frombits((bits + 0x1000) &^ 0x1fff))
		}
	}
	return rounded
}

// refTensor is the reference of a convolution on tensor cores.
func (o Conv) refTensor(mem []float32, lo, hi int, factors func([]float32) []float64) {
	w, kk := factors(o.Weight.Of(mem)), o.K*o.K
	for n := lo; n < hi; n++ {
		x := factors(row(mem, o.X, o.N, n))
		y := make([]float64, o.H*o.W*o.Cout)
		if o.Bias.N > 0 {
			for i := range y {
				y[i] = float64(o.Bias.Of(mem)[i%o.Cout])
			}
		}
		o.taps(func(p, t, q int) {
			for c := range o.Cout {
				for i, v := range w[(c*kk+t)*o.Cin:][:o.Cin] {
					y[p*o.Cout+c] += x[q*o.Cin+i] * v
				}
			}
		})
		round(row(mem, o.Y, o.N, n), y)
	}
}

// refTensor is the reference of the gradient with respect to the input on tensor cores.
func (o ConvGradInput) refTensor(mem []float32, lo, hi int, factors func([]float32) []float64) {
	w, kk := factors(o.Weight.Of(mem)), o.K*o.K
	for n := lo; n < hi; n++ {
		dy := factors(row(mem, o.DY, o.N, n))
		dx := make([]float64, o.H*o.W*o.Cin)
		o.taps(func(p, t, q int) {
			for c, g := range dy[p*o.Cout : (p+1)*o.Cout] {
				for i, v := range w[(c*kk+t)*o.Cin:][:o.Cin] {
					dx[q*o.Cin+i] += g * v
				}
			}
		})
		round(row(mem, o.DX, o.N, n), dx)
	}
}

// refTensor is the reference of the gradients with respect to weights and bias on tensor cores.
func (o ConvGradWeight) refTensor(mem []float32, factors func([]float32) []float64) {
	dw, db, kk := make([]float64, o.DWeight.N), make([]float64, o.Cout), o.K*o.K
	for n := range o.N {
		x, dy := factors(row(mem, o.X, o.N, n)), factors(row(mem, o.DY, o.N, n))
		o.taps(func(p, t, q int) {
			for c, g := range dy[p*o.Cout : (p+1)*o.Cout] {
				for i, v := range x[q*o.Cin : (q+1)*o.Cin] {
					dw[(c*kk+t)*o.Cin+i] += g * v
				}
			}
		})
		for i, g := range row(mem, o.DY, o.N, n) {
			db[i%o.Cout] += float64(g)
		}
	}
	round(o.DWeight.Of(mem), dw)
	if o.DBias.N > 0 {
		round(o.DBias.Of(mem), db)
	}
}
