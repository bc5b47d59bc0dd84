// The initial values of parameters, in memory order.

package model

import (
	"math"

	"sigmaz/kernels"
)

// initial fills dst with the initial values of a parameter, drawn from a stream of its own.
type initial = func(dst []float32, s kernels.Stream)

// uniform draws from PyTorch's default for weights and biases of convolutions and linear layers, U(-k, k) with
// k = 1/sqrt(fan in).
func uniform(fanIn int) initial {
	k := float32(1 / math.Sqrt(float64(fanIn)))
	return func(dst []float32, s kernels.Stream) {
		s.Uniforms(dst)
		for i, u := range dst {
			dst[i] = k * (2*u - 1)
		}
	}
}

// uniform01 draws from U(0, 1).
func uniform01(dst []float32, s kernels.Stream) { s.Uniforms(dst) }

// normal draws from N(mean, sd^2).
func normal(mean, sd float32) initial {
	return func(dst []float32, s kernels.Stream) {
		s.Normals(dst)
		for i, z := range dst {
			dst[i] = mean + float32(sd*z)
		}
	}
}

// zero sets 0.
func zero(dst []float32, _ kernels.Stream) { clear(dst) }

// one sets 1.
func one(dst []float32, _ kernels.Stream) {
	for i := range dst {
		dst[i] = 1
	}
}

// scaled draws from U(-k, k) with k = sqrt(3 s / ((fan in + fan out)/2)), so that the variance is s over the mean fan. A
// scale of 0 is one of 1e-10: weights that are next to nothing.
func scaled(scale float64, fanIn, fanOut int) initial {
	if scale == 0 {
		scale = 1e-10
	}
	k := float32(math.Sqrt(3 * scale / (float64(fanIn+fanOut) / 2)))
	return func(dst []float32, s kernels.Stream) {
		s.Uniforms(dst)
		for i, u := range dst {
			dst[i] = k * (2*u - 1)
		}
	}
}

// firstOfRow draws the first n values of each row of a table by init, and sets the others to 0.
func firstOfRow(init initial, n, row int) initial {
	return func(dst []float32, s kernels.Stream) {
		init(dst, s)
		for i := range dst {
			if i%row >= n {
				dst[i] = 0
			}
		}
	}
}
