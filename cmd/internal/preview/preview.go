// Previews of training: samples from one seed, so that pictures of different steps differ by the weights alone.

package preview

import (
	"context"

	"sigmaz/internal/picture"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
)

// Previewer writes preview pictures.
type Previewer struct {
	// Data is points (m, D) to show beside samples of vectors; a few thousand are enough. May be nil; images do not
	// use it.
	Data []float32
	// Names are those of the columns of vectors; may be nil.
	Names []string

	sampler *Sampler
	n       int
}

// New prepares previews of n samples. The seed of o is used for each; an epsilon of 0 is chosen by Technique 4.
func New(b kernels.Backend, cfg model.Config, precision kernels.Precision, sigmas model.Ladder,
	o sample.Options, n int) (*Previewer, error) {
	plan, err := o.Plan(sigmas)
	if err != nil {
		return nil, err
	}
	s, err := NewSampler(b, cfg, precision, sigmas, plan, o.Seed, batchOf(cfg, n))
	if err != nil {
		return nil, err
	}
	return &Previewer{sampler: s, n: n}, nil
}

// Words counts the memory in four-byte words that New takes.
func Words(b kernels.Backend, cfg model.Config, precision kernels.Precision, sigmas model.Ladder, n int) (int, error) {
	return model.ScoreWords(b, cfg, precision, batchOf(cfg, n), sample.WorkWords(len(sigmas)))
}

// batchOf chooses how many of n samples are drawn together.
func batchOf(cfg model.Config, n int) int { return max(1, min(n, BatchFor(cfg))) }

// Write draws the samples with the weights named prefix+NAME and writes their picture to path. When ctx ends first, it
// returns its error and writes nothing.
func (p *Previewer) Write(ctx context.Context, weights []model.Named, prefix, path string) error {
	if err := p.sampler.Load(weights, prefix); err != nil {
		return err
	}
	x, err := p.sampler.Draw(ctx, p.n, nil)
	if err != nil {
		return err
	}
	img, err := Picture(p.sampler.Config, x, p.Data, p.Names)
	if err != nil {
		return err
	}
	return picture.WritePNG(path, img)
}
