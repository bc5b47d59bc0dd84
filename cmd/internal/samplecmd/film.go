// Sampling as a film: the first samples at the end of up to 48 noise levels, spread evenly, and at the very end.

package samplecmd

import (
	"image"

	"sigmaz/cmd/internal/preview"
	"sigmaz/internal/picture"
	"sigmaz/sample"
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
	frame map[int]int // by step: the frame that its end is
	x     [][]float32 // of each frame, (keep, D)
	sigma []float64   // noise that x has in each frame; 0 after denoising
	batch []float32
}

func newFilm(j *job, s *preview.Sampler) *film {
	f := &film{job: j, frame: map[int]int{}}
	if j.gif == "" || j.between.ends != "" {
		return f
	}
	if f.keep = min(j.n, filmImages); preview.Rowed(f.keep, len(j.classes)) {
		f.keep -= f.keep % len(j.classes) // whole columns of the grid
	}
	if j.vectors() {
		f.keep = min(j.n, filmPoints)
	}
	ends, last := j.plan.Ends(), 0
	if j.plan.Settings.Sampler == sample.Langevin && j.plan.Settings.Denoise { // a step of its own, after the last level
		ends, last = ends[:len(ends)-1], ends[len(ends)-1]
	}
	n := min(filmFrames, len(ends))
	for i := range n {
		at := len(ends) - 1 // the one level of a ladder of one
		if n > 1 {
			at = i * (len(ends) - 1) / (n - 1)
		}
		f.frame[ends[at]] = i
	}
	if last > 0 {
		f.frame[last] = n
		n++
	}
	f.sigma = make([]float64, n)
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
	i, ok := f.frame[b.K]
	if !ok {
		return nil
	}
	f.sigma[i] = b.Left
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
			out = append(out, preview.Grid(cfg, x[:n], len(f.job.classes), scale))
			continue
		}
		img, err := picture.Moment(data[:min(len(data), 2*filmPoints)], x[:n], f.sigma[i], box)
		if err != nil {
			return nil, err
		}
		out = append(out, img)
	}
	return out, nil
}
