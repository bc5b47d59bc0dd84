// How samples of a run are drawn: previews, and the defaults of annealed Langevin dynamics.

package traincmd

import (
	"context"
	"fmt"

	"sigmaz/cmd/internal/preview"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
)

// previews returns the function that draws pictures of the training, all from one seed, so that two of them differ by
// the weights alone. Its memory is taken here, before that of the training, so that a device on which both do not fit
// is known at once.
func previews(c *train.Config, data *train.Splits, sigmas model.Ladder, b kernels.Backend) (
	func(context.Context, uint64, []model.Named, string) error, error) {
	if c.PreviewN == 0 {
		return nil, nil
	}
	plan, err := preview.PlanFor(c, sigmas)
	if err != nil {
		return nil, err
	}
	p, err := preview.New(b, c.Network, c.Precision, sigmas, plan, c.Seed, c.PreviewN)
	if err != nil {
		return nil, fmt.Errorf("previews: %w; -preview-n 0 draws none", err)
	}
	if data.Train.F32 != nil {
		for i := range min(data.Train.N, c.PreviewN) {
			p.Data = append(p.Data, data.Train.Floats(i)...)
		}
		if c.Scaler != nil {
			p.Names = c.Scaler.CoordinateNames()
		}
	}
	return func(ctx context.Context, step uint64, weights []model.Named, path string) error {
		return p.Write(ctx, weights, "", path)
	}, nil
}

// sampling returns the options by which samples of a run are drawn.
func sampling(c *train.Config) sample.Options {
	return sample.Options{T: c.Sampling.T, Epsilon: c.Sampling.Epsilon, Denoise: c.Sampling.Denoise, Seed: c.Seed}
}

// evaluations returns what a sample takes where nobody chooses a sampler, and which sampler that is.
func evaluations(c *train.Config, sigmas model.Ladder) (nfe int, sampler string) {
	sampler = preview.SamplerFor(c, sigmas, false)
	if sampler == sample.Langevin {
		return sampling(c).NFE(len(sigmas)), sampler
	}
	return sample.SamplerOf(sampler).Steps, sampler
}

// epsilon returns the step size of sampling: the one asked for, or Technique 4's where that is 0. It is checked.
func epsilon(sigmas model.Ladder, t int, eps float64) (float64, error) {
	if eps == 0 {
		eps = sample.Epsilon(sigmas, t)
	}
	return eps, sample.Options{T: t, Epsilon: eps}.Check(sigmas)
}
