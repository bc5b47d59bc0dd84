// Previews of training: samples from one seed, so that pictures of different steps differ by the weights alone.

package preview

import (
	"context"

	"sigmaz/internal/picture"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
)

// SamplerFor returns the sampler of a run where nobody names one: what the run says, and else the network's usual one.
// imported says that the weights are another program's; a run begun by -init or -continue may go back to such.
func SamplerFor(c *train.Config, sigmas model.Ladder, imported bool) string {
	if c.Sampling.Sampler != "" {
		return c.Sampling.Sampler
	}
	return sample.DefaultSampler(c.Network, sigmas, imported || c.Init != "" || c.Continue != "")
}

// previewNFE is the evaluations for a sample of a preview: enough to see what the network has learned.
const previewNFE = 18

// SettingsFor returns the settings of a run's sampler where nobody gives any.
func SettingsFor(c *train.Config, sigmas model.Ladder, imported bool) sample.Settings {
	o := sample.DefaultsFor(SamplerFor(c, sigmas, imported), c.Network)
	if o.Sampler == sample.Langevin {
		o.T, o.Epsilon, o.Denoise = c.Sampling.T, c.Sampling.Epsilon, c.Sampling.Denoise
	}
	return o
}

// PlanFor returns the plan of a run's previews.
func PlanFor(c *train.Config, sigmas model.Ladder) (*sample.Plan, error) {
	o := SettingsFor(c, sigmas, false)
	if o.Sampler != sample.Langevin {
		o.NFE = previewNFE
	}
	return sample.NewPlan(o, sigmas)
}

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

// New prepares previews of n samples, all of one seed.
func New(b kernels.Backend, cfg model.Config, precision kernels.Precision, sigmas model.Ladder,
	plan *sample.Plan, seed uint64, n int) (*Previewer, error) {
	s, err := NewSampler(b, cfg, precision, sigmas, plan, seed, batchOf(cfg, n))
	if err != nil {
		return nil, err
	}
	return &Previewer{sampler: s, n: n}, nil
}

// Words counts the memory in four-byte words that New takes.
func Words(b kernels.Backend, cfg model.Config, precision kernels.Precision, plan *sample.Plan, n int) (int, error) {
	batch := batchOf(cfg, n)
	return model.ScoreWords(b, cfg, precision, batch, plan.WorkWords(batch, cfg.D()))
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
	img, err := Picture(p.sampler.Config, x, p.Data, p.Names, p.sampler.Config.Classes)
	if err != nil {
		return err
	}
	return picture.WritePNG(path, img)
}
