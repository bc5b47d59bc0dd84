// The measure of quality at checkpoints: samples of the network as it is, against images that it is trained on.

package traincmd

import (
	"context"
	"fmt"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/preview"
	"sigmaz/internal/picture"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/sample/eval"
	"sigmaz/sample/eval/digits"
	"sigmaz/train"
)

// qualityReference is how many images that are trained on stand for the data. Those held out are often too few.
const qualityReference = 2000

// qualityPlan returns how samples for the measure are drawn: as those of sample and eval are.
func qualityPlan(c *train.Config, sigmas model.Ladder) (*sample.Plan, error) {
	return sample.NewPlan(preview.SettingsFor(c, sigmas, false), sigmas)
}

// quality returns the function that takes the measure that the configuration names; nil where it names none. Its memory is
// taken here, as that of previews.
func quality(c *train.Config, data *train.Splits, sigmas model.Ladder, b kernels.Backend) (
	func(context.Context, uint64, []model.Named) (train.Quality, error), error) {
	if c.EvalMetric == "" {
		return nil, nil
	}
	plan, err := qualityPlan(c, sigmas)
	if err != nil {
		return nil, err
	}
	n := c.QualitySamples()
	s, err := preview.NewSampler(b, c.Network, c.Precision, sigmas, plan, c.Seed, min(n, preview.BatchFor(c.Network)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w; without -eval-metric it is not taken", c.EvalMetric, err)
	}
	var images []byte
	for _, i := range eval.Choose(qualityReference, data.Train.N, 0) {
		images = append(images, data.Train.Bytes(i)...)
	}
	reference, err := digits.Of(eval.Workers{Ctx: context.Background(), N: c.Workers}, images)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, step uint64, weights []model.Named) (q train.Quality, err error) {
		if err := s.Load(weights, ""); err != nil {
			return q, err
		}
		x, err := s.Draw(ctx, n, nil)
		if err != nil {
			return q, err
		}
		w := eval.Workers{Ctx: ctx, N: c.Workers}
		features, err := digits.Of(w, picture.Bytes(x))
		if err != nil {
			return q, err
		}
		kid, err := eval.KID(w, features, reference)
		o := plan.Settings
		return train.Quality{Metric: c.EvalMetric, Value: kid.Value, SE: kid.SE, Samples: n, Reference: reference.N, Split: "trained on",
			Sampler: o.Sampler, NFE: plan.NFE(), Denoise: o.Denoise, Seed: c.Seed}, err
	}, nil
}

// qualityCost says what the measure costs.
func qualityCost(c *train.Config, sigmas model.Ladder) (string, error) {
	plan, err := qualityPlan(c, sigmas)
	if err != nil {
		return "", err
	}
	evaluations := int64(c.QualitySamples()) * int64(plan.NFE())
	times := "at the end"
	if every := c.CheckpointEvery; every > 0 {
		times = fmt.Sprintf("%s, at each checkpoint", cli.Count(int((c.Steps+every-1)/every), "time"))
	}
	return fmt.Sprintf("%s of %s by %s: %d evaluations of the network, as long as %d steps of training; %s", c.EvalMetric,
		cli.Count(c.QualitySamples(), "sample"), plan.Settings.Sampler, evaluations, evaluations/(3*int64(c.Batch)), times), nil
}
