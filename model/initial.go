// The initial values of parameters, each drawn from a stream of its own.

package model

import (
	"math"

	"sigmaz/kernels"
)

// uniformInit is PyTorch's default for weights and biases of convolutions and linear layers: U(-k, k), k = 1/sqrt(fan in).
func uniformInit(fanIn int) func([]float32, kernels.Stream) {
	k := float32(1 / math.Sqrt(float64(fanIn)))
	return func(dst []float32, s kernels.Stream) {
		s.Uniforms(dst)
		for i, u := range dst {
			dst[i] = k * (2*u - 1)
		}
	}
}

// normalInit is N(mean, sd).
func normalInit(mean, sd float32) func([]float32, kernels.Stream) {
	return func(dst []float32, s kernels.Stream) {
		s.Normals(dst)
		for i, z := range dst {
			dst[i] = mean + float32(sd*z)
		}
	}
}

func zeroInit(dst []float32, _ kernels.Stream) { clear(dst) }

// uniform01 is U(0, 1).
func uniform01(dst []float32, s kernels.Stream) { s.Uniforms(dst) }

// tableInit is init for the first n of the values of each row, and 0 for the others.
func tableInit(init func([]float32, kernels.Stream), n, row int) func([]float32, kernels.Stream) {
	return func(dst []float32, s kernels.Stream) {
		init(dst, s)
		for i := range dst {
			if i%row >= n {
				dst[i] = 0
			}
		}
	}
}
