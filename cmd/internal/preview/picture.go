// Pictures of samples: a grid of images, or data and samples side by side for vectors; and of a score field in the
// plane.

package preview

import (
	"image"
	"math"

	"sigmaz/internal/picture"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
)

// Images views samples (n, D) as pictures of the network's size.
func Images(cfg model.Config, x []float32) picture.Images {
	return picture.Images{Pix: x, N: len(x) / cfg.D(), H: cfg.Height, W: cfg.Width, C: cfg.Channels}
}

// Picture shows samples (n, D): images as a grid; points in the plane beside those of the data (m, D), which may be
// nil; other vectors, whose columns may have names, as a matrix of such plots. Of images whose classes are so many in
// turn, the grid has a row for each, see [Grid].
func Picture(cfg model.Config, x, data []float32, names []string, classes int) (image.Image, error) {
	switch {
	case !cfg.Vectors():
		return Grid(cfg, x, classes, 0), nil
	case cfg.D() == 2:
		return picture.Scatter(data, x)
	}
	return picture.Matrix(data, x, cfg.D(), names)
}

// Rowed tells whether a grid of n samples, whose classes are so many in turn, has a row for each class.
func Rowed(n, classes int) bool { return classes > 1 && n >= 2*classes }

// Grid shows images (n, D) as a grid, each pixel scale wide, 0 for a choice. Where their classes are so many in turn, it
// has a row for each class, of which the last samples may be missing.
func Grid(cfg model.Config, x []float32, classes, scale int) image.Image {
	d := cfg.D()
	n := len(x) / d
	if !Rowed(n, classes) {
		return picture.Grid(Images(cfg, x), 0, scale)
	}
	columns := (n + classes - 1) / classes
	rows := make([]float32, columns*classes*d)
	for k := range n {
		at := k%classes*columns + k/classes
		copy(rows[at*d:(at+1)*d], x[k*d:(k+1)*d])
	}
	return picture.Grid(Images(cfg, rows), columns, scale)
}

// cells is how many arrows a field has in each direction: enough to see the turns of a spiral.
const cells = 24

// field computes sigma s(x, sigma) at a level on the lattice of a box. The factor sigma takes the unit out: with exact
// scores it is the mean of the noise -z that x holds.
func (s *Sampler) field(b picture.Box, level int) (picture.FieldPanel, error) {
	sigma := s.Sigmas[level]
	if err := s.setClasses(0); err != nil {
		return picture.FieldPanel{}, err
	}
	v, err := sample.EvaluateField(s.score, b.Lattice(cells), sigma, level)
	for i := range v {
		v[i] *= sigma
	}
	return picture.FieldPanel{Sigma: float64(sigma), Arrows: v}, err
}

// Fields shows the learned score field of a network for the plane at up to six levels spread over the ladder, largest
// sigma first, over the data (n, 2).
func (s *Sampler) Fields(data []float32) (image.Image, error) {
	n := min(6, len(s.Sigmas))
	b := picture.BoxOf(data)
	var panels []picture.FieldPanel
	for i := range n {
		level := 0
		if n > 1 {
			level = i * (len(s.Sigmas) - 1) / (n - 1)
		}
		p, err := s.field(b, level)
		if err != nil {
			return nil, err
		}
		panels = append(panels, p)
	}
	return picture.Fields(data, panels, b, cells)
}

// TooLittleTooMuch shows the same learned field at the smallest level, at the one nearest to a quarter of the data's
// spread, and at the largest, over the data (n, 2) perturbed by as much. The ladder must have three levels or more.
func (s *Sampler) TooLittleTooMuch(data []float32) (image.Image, error) {
	want := spread(data) / 4
	middle := 1
	for i := 1; i < len(s.Sigmas)-1; i++ {
		if math.Abs(math.Log(float64(s.Sigmas[i])/want)) < math.Abs(math.Log(float64(s.Sigmas[middle])/want)) {
			middle = i
		}
	}
	b := picture.BoxOf(data)
	z := make([]float32, len(data))
	kernels.Stream{Seed: s.Seed, Purpose: kernels.PurposeNoise}.Normals(z)
	var panels [3]picture.FieldPanel
	for i, level := range []int{len(s.Sigmas) - 1, middle, 0} {
		p, err := s.field(b, level)
		if err != nil {
			return nil, err
		}
		p.Noisy = make([]float32, len(data))
		for j := range data {
			p.Noisy[j] = data[j] + float32(s.Sigmas[level]*z[j])
		}
		panels[i] = p
	}
	return picture.TooLittleTooMuch(data, panels[0], panels[1], panels[2], b, cells)
}

// spread computes the root mean square of a coordinate about its mean, over points (n, 2).
func spread(data []float32) float64 {
	var sum, square [2]float64
	for i, v := range data {
		sum[i%2] += float64(v)
		square[i%2] += float64(v) * float64(v)
	}
	n := float64(len(data)) / 2
	v := 0.0
	for j := range 2 {
		v += (square[j] - sum[j]*sum[j]/n) / n / 2
	}
	return math.Sqrt(max(v, 1e-12))
}
