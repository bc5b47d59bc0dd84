// The annealing as a film: the first samples at the end of up to 48 levels, spread evenly, and at the very end.

package samplecmd

import (
	"image"

	"sigmaz/cmd/internal/preview"
	"sigmaz/internal/picture"
)

const (
	filmFrames = 48
	filmImages = 36 // more would make a file of many megabytes: noise does not compress
	filmPoints = 1000
)

// film keeps what the frames need while the batches pass.
type film struct {
	job   *job
	keep  int         // samples shown; 0: no film is made
	frame map[int]int // by level: the frame that its end is
	x     [][]float32 // of each frame, (keep, D)
	sigma []float32   // of each frame; 0 after denoising
	batch []float32
}

func newFilm(j *job, s *preview.Sampler) *film {
	f := &film{job: j, frame: map[int]int{}}
	if j.gif == "" {
		return f
	}
	if f.keep = min(j.n, filmImages); j.vectors() {
		f.keep = min(j.n, filmPoints)
	}
	n := min(filmFrames, len(j.sigmas))
	for i := range n {
		level := len(j.sigmas) - 1 // the one level of a ladder of one
		if n > 1 {
			level = i * (len(j.sigmas) - 1) / (n - 1)
		}
		f.frame[level] = i
		f.sigma = append(f.sigma, j.sigmas[level])
	}
	if j.opt.Denoise {
		f.sigma = append(f.sigma, 0)
	}
	for range f.sigma {
		f.x = append(f.x, make([]float32, f.keep*j.cfg.Network.D()))
	}
	f.batch = make([]float32, s.Values())
	return f
}

// record keeps a batch's samples when the moment of a frame has come.
func (f *film) record(b preview.Batch) error {
	if b.First >= f.keep {
		return nil
	}
	i, ok := f.frame[b.Level]
	switch {
	case b.Last:
		i = len(f.x) - 1
	case !ok || b.T != f.job.opt.T-1:
		return nil
	}
	if err := b.Read(f.batch); err != nil {
		return err
	}
	d := f.job.cfg.Network.D()
	copy(f.x[i][b.First*d:], f.batch[:b.Rows*d])
	return nil
}

// frames draws the pictures of the first n samples; those of vectors lie over points of the data where there are some.
func (f *film) frames(n int, data []float32) ([]image.Image, error) {
	cfg := f.job.cfg.Network
	n = min(n, f.keep) * cfg.D()
	var box picture.Box
	if f.job.vectors() {
		if box = picture.BoxOf(data); data == nil {
			box = picture.BoxOf(f.x[len(f.x)-1][:n])
		}
	}
	var out []image.Image
	for i, x := range f.x {
		if !f.job.vectors() {
			scale := max(1, picture.AutoScale(cfg.Height, cfg.Width)-1)
			out = append(out, picture.Grid(preview.Images(cfg, x[:n]), 0, scale))
			continue
		}
		img, err := picture.Moment(data[:min(len(data), 2*filmPoints)], x[:n], float64(f.sigma[i]), box)
		if err != nil {
			return nil, err
		}
		out = append(out, img)
	}
	return out, nil
}
