// Random numbers in plain Go.

package vec

import (
	"math"

	"sigmaz/kernels/internal/philox"
)

func uniformsGo(dst []float32, s philox.Stream) {
	for i := 0; i < len(dst); i += 4 {
		for j, w := range s.Block(uint32(i / 4)) {
			if i+j < len(dst) {
				dst[i+j] = philox.Uniform(w)
			}
		}
	}
}

func normalsGo(dst []float32, s philox.Stream) {
	for i := 0; i < len(dst); i += 4 {
		z := philox.Normals(s.Block(uint32(i / 4)))
		copy(dst[i:], z[:])
	}
}

func perturbGo(x, z []float32, sigma float32, s philox.Stream) {
	normalsGo(z, s)
	for i := range x {
		x[i] += float32(sigma * z[i])
	}
}

func langevinGo(x, score []float32, a, b float32, s philox.Stream) {
	for i := 0; i < len(x); i += 4 {
		z := philox.Normals(s.Block(uint32(i / 4)))
		for j := i; j < min(i+4, len(x)); j++ {
			x[j] = float32(x[j]+float32(a*score[j])) + float32(b*z[j-i])
		}
	}
}

func dequantizeGo(x []float32, bytes []byte, s philox.Stream) {
	for i := 0; i < len(x); i += 4 {
		w := s.Block(uint32(i / 4))
		for j := i; j < min(i+4, len(x)); j++ {
			x[j] = (float32(bytes[j]) + philox.Fraction(w[j-i])) * (1.0 / 256)
		}
	}
}

func bytesGo(x []float32, bytes []byte) {
	for i, b := range bytes {
		x[i] = float32(b) / 255
	}
}

func wordsGo(blocks [][4]uint32, key [2]uint32) {
	for i, c := range blocks {
		blocks[i] = philox.Words(key, c)
	}
}

func normals4Go(blocks [][4]uint32, key [2]uint32) {
	for i, c := range blocks {
		for j, z := range philox.Normals(philox.Words(key, c)) {
			blocks[i][j] = math.Float32bits(z)
		}
	}
}
