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
