// Where a chain starts, x_0 of every row from the stream (seed, PurposeStart, image, step 0):
//
//	images    x_0 ~ U[0,1]^D             (NCSN and NCSNv2; U[-1,1]^D where the data is rescaled to that)
//	vectors   x_0 ~ N(0, sigma_1^2 I)       (and vp, subvp)
//	sphere    x_0 = sigma_1 sqrt(D) z/|z|,  z ~ N(0, I)
//	guided    x_0 ~ N(guide, sigma^2 I)   (Meng et al. 2022)

package sample

import (
	"math"

	"sigmaz/kernels"
	"sigmaz/model"
)

// StartKind is the distribution of x_0.
type StartKind int

const (
	// Uniform is U[0,1] for every value: the range of images, and what NCSN and NCSNv2 start from. The noise of the
	// first level (sigma_1 is tens of units in NCSNv2) soon hides where a chain started.
	Uniform StartKind = iota
	// Gaussian is N(0, sigma_1^2), the largest level's own distribution around 0. Vectors have no range of their own,
	// but sigma_1 is as large as the largest distance in the data, so this covers data that lies around 0.
	Gaussian
	// Symmetric is U[-1,1]: Uniform in the units of rescaled images.
	Symmetric
	// Sphere is Gaussian with every row brought to the size that it has in the mean. A network that hides the size of its
	// input takes each for that size, and a sampler that draws no noise never learns of the difference.
	Sphere
)

// StartFor returns the start for a network: Gaussian for vectors and for processes whose noise is the largest that there is,
// Uniform for images, Symmetric for images that are rescaled to [-1, 1].
func StartFor(cfg model.Config) StartKind {
	switch {
	case cfg.Vectors(), cfg.SDE.Preserving():
		return Gaussian
	case cfg.Rescaled:
		return Symmetric
	}
	return Uniform
}

// Start returns where the plan starts for a network: annealed Langevin dynamics as [StartFor] says, the others at the
// distribution that their first step takes x to be from, N(0, sigma_1^2), or its sphere where the size of x would be carried
// to the end.
func (p *Plan) Start(cfg model.Config) StartKind {
	switch {
	case p.Settings.Sampler == Langevin:
		return StartFor(cfg)
	case cfg.HidesSize() && !p.drawsNoise():
		return Sphere
	}
	return Gaussian
}

// drawsNoise says whether a step adds noise.
func (p *Plan) drawsNoise() bool { return p.any(func(r *row) bool { return r.x.z != 0 || r.y.z != 0 }) }

// Begin writes x_0 of the plan's images firstImage, firstImage+1, and so on to s.X.
func (p *Plan) Begin(s *model.Score, sigmas model.Ladder, seed uint64, firstImage uint32, kind StartKind) error {
	if p.start != nil {
		return p.startBetween(s, sigmas, seed, firstImage, kind)
	}
	return Start(s, sigmas, seed, firstImage, kind)
}

// Start writes x_0 of the images firstImage, firstImage+1, and so on to s.X.
func Start(s *model.Score, sigmas model.Ladder, seed uint64, firstImage uint32, kind StartKind) error {
	x := make([]float32, s.N*s.D)
	for n := range s.N {
		row := x[n*s.D : (n+1)*s.D]
		if kind != Gaussian && kind != Sphere {
			uniform(row, seed, firstImage+uint32(n), kind)
			continue
		}
		kernels.ImageStream(seed, kernels.PurposeStart, firstImage+uint32(n), 0).Normals(row)
		enlarge(row, sigmas[0], kind)
	}
	return s.Arena.Write(s.X, x)
}

// enlarge makes a start of normal numbers.
func enlarge(row []float32, sigma float32, kind StartKind) {
	if kind == Sphere {
		sum := 0.0
		for _, z := range row {
			sum += float64(z) * float64(z)
		}
		sigma = float32(float64(sigma) * math.Sqrt(float64(len(row))/sum))
	}
	for i := range row {
		row[i] *= sigma
	}
}

// StartAt writes a guide of D values with noise of sigma to s.X, for the images firstImage, firstImage+1, and so on.
func StartAt(s *model.Score, guide []float32, sigma float64, seed uint64, firstImage uint32) error {
	x := make([]float32, s.N*s.D)
	for n := range s.N {
		row := x[n*s.D : (n+1)*s.D]
		kernels.ImageStream(seed, kernels.PurposeStart, firstImage+uint32(n), 0).Normals(row)
		for i, z := range row {
			row[i] = guide[i] + float32(float32(sigma)*z)
		}
	}
	return s.Arena.Write(s.X, x)
}
