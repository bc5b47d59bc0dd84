// Convolution on tensor cores: the sums of conv.go, with both factors of every product rounded.
//
//	y[n,i,j,o] = b[o] + sum over u,v,c of r(x[n, i + d(u-K/2), j + d(v-K/2), c]) r(w[o,u,v,c])
//
// and the gradients likewise; r(a) is a rounded to 10 fraction bits, ties away from zero (TF32). The rounded numbers
// have 11 significant bits, so their products are exact in float32. Sums are float32, and so are the bias and its
// gradient, which is a sum without products. Tensor cores take channels by 32: other convolutions run in float32 in any
// precision.

package kernels

import (
	"fmt"
	"math"
)

// tensorChannels divides the channels of the convolutions that tensor cores run.
const tensorChannels = 32

// tensorCores says whether a convolution in the given precision runs on tensor cores.
func (s ConvShape) tensorCores(p Precision) bool {
	switch p {
	case "", Float32:
		return false
	case TF32:
		return s.Cin%tensorChannels == 0 && s.Cout%tensorChannels == 0
	}
	panic(fmt.Sprintf("kernels: there is no convolution in precision %q", p))
}

func (o Conv) precision() Precision           { return o.Precision }
func (o ConvGradInput) precision() Precision  { return o.Precision }
func (o ConvGradWeight) precision() Precision { return o.Precision }

// OnTensorCores says whether the factors of the products are rounded, for tensor cores.
func (o Conv) OnTensorCores() bool           { return o.tensorCores(o.Precision) }
func (o ConvGradInput) OnTensorCores() bool  { return o.tensorCores(o.Precision) }
func (o ConvGradWeight) OnTensorCores() bool { return o.tensorCores(o.Precision) }

// toTF32 returns the values rounded to 10 fraction bits, as float64, in which sums of their products are as good as
// exact.
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
func (o Conv) refTensor(mem []float32, lo, hi int) {
	w, kk := toTF32(o.Weight.Of(mem)), o.K*o.K
	for n := lo; n < hi; n++ {
		x := toTF32(row(mem, o.X, o.N, n))
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
func (o ConvGradInput) refTensor(mem []float32, lo, hi int) {
	w, kk := toTF32(o.Weight.Of(mem)), o.K*o.K
	for n := lo; n < hi; n++ {
		dy := toTF32(row(mem, o.DY, o.N, n))
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
func (o ConvGradWeight) refTensor(mem []float32) {
	dw, db, kk := make([]float64, o.DWeight.N), make([]float64, o.Cout), o.K*o.K
	for n := range o.N {
		x, dy := toTF32(row(mem, o.X, o.N, n)), toTF32(row(mem, o.DY, o.N, n))
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
