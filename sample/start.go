// Where a chain starts, x_0 of every row from the stream (seed, PurposeStart, image, step 0):
//
//	images    x_0 ~ U[0,1]^D             (NCSN and NCSNv2; U[-1,1]^D where the data is rescaled to that)
//	vectors   x_0 ~ N(0, sigma_1^2 I)
package sample

import (
	"fmt"

	"sigmaz/kernels"
	"sigmaz/model"
)

// StartKind is the distribution of x_0.
type StartKind int

const (
	// Uniform is U[0,1] for every value: the range of images, and what NCSN and NCSNv2 start from. The first level's noise
	// (sigma_1 is tens of units in NCSNv2) hides where a chain came from.
	Uniform StartKind = iota
	// Gaussian is N(0, sigma_1^2): the largest level itself. Vectors have no range of their own, and sigma_1 is as large
	// as the largest distance in the data, so this covers it wherever it lies around 0.
	Gaussian
	// Symmetric is U[-1,1]: Uniform in the units of rescaled images.
	Symmetric
)

// StartFor is the start of a network's data: Gaussian for vectors, Uniform for images, Symmetric for rescaled
// ones.
func StartFor(cfg model.Config) StartKind {
	switch {
	case cfg.Vectors():
		return Gaussian
	case cfg.Rescaled:
		return Symmetric
	}
	return Uniform
}

// Start fills s.X with x_0 of the images firstImage, firstImage+1, and so on.
func Start(s *model.Score, sigmas model.Ladder, seed uint64, firstImage uint32, kind StartKind) error {
	x := make([]float32, s.N*s.D)
	for n := range s.N {
		row := x[n*s.D : (n+1)*s.D]
		stream := kernels.ImageStream(seed, kernels.PurposeStart, firstImage+uint32(n), 0)
		switch kind {
		case Uniform:
			stream.Uniforms(row)
		case Symmetric:
			stream.Uniforms(row)
			for i, u := range row {
				row[i] = 2*u - 1
			}
		case Gaussian:
			stream.Normals(row)
			for i := range row {
				row[i] *= sigmas[0]
			}
		default:
			panic(fmt.Sprintf("sample: unknown start %d", kind))
		}
	}
	return s.Arena.Write(s.X, x)
}
