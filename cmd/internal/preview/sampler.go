// The sampler: a network with the memory and the programs of a plan of sampling.

package preview

import (
	"context"
	"fmt"
	"math"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
)

// Sampler is a plan of sampling on one network, compiled once and used for any weights and any number of samples.
type Sampler struct {
	Config model.Config
	Sigmas model.Ladder // that the network was trained on
	Plan   *sample.Plan
	Seed   uint64
	// Guide is an image in the network's units that samples begin at, with noise of the plan's first level; nil: none.
	Guide []float32
	// Classes are those of the samples, in turn: sample k has Classes[k mod len(Classes)]. nil: none is known. At first they
	// are all that the network is told.
	Classes []uint32
	// NetworkUnits says that Draw gives samples in the units of the network, where those are [-1, 1] too.
	NetworkUnits bool

	score *model.Score
	chain *sample.Chain
}

// BatchFor chooses how many rows are drawn together where nobody says: 512 vectors, or between 1 and 64 images, such
// that one layer's activations at full resolution fill about 16 MiB. The samples do not depend on it.
func BatchFor(cfg model.Config) int {
	if cfg.Vectors() {
		return 512
	}
	return min(max(1<<22/(cfg.Height*cfg.Width*max(cfg.NGF, 1)), 1), 64)
}

// NewSampler builds the network for batches of the given number of rows, with convolutions in the given precision. Load
// gives it weights.
func NewSampler(b kernels.Backend, cfg model.Config, precision kernels.Precision, sigmas model.Ladder,
	plan *sample.Plan, seed uint64, batch int) (*Sampler, error) {
	score, err := model.NewScoreFor(b, cfg, plan.Objective(), precision, batch, plan.WorkWords(batch, cfg.D()))
	if err != nil {
		return nil, err
	}
	chain, err := sample.NewChain(score, plan, sigmas, seed)
	if err != nil {
		return nil, err
	}
	s := &Sampler{Config: cfg, Sigmas: sigmas, Plan: plan, Seed: seed, score: score, chain: chain}
	for class := range cfg.Classes {
		s.Classes = append(s.Classes, uint32(class))
	}
	return s, nil
}

// Load takes the weights named prefix+NAME: "ema." or "param.".
func (s *Sampler) Load(weights []model.Named, prefix string) error {
	return s.score.Load(weights, prefix)
}

// LoadFrom is Load from a set of tensors, which may lie in a file.
func (s *Sampler) LoadFrom(set model.TensorSet, prefix string) error {
	return s.score.LoadFrom(set, prefix)
}

// Batch is one batch on its way: samples First to First+Rows-1, after a step of the chain.
type Batch struct {
	First, Rows int
	sample.Step
	sampler *Sampler
}

// Read copies all rows of the batch, in the units that Draw gives. The first Rows of them count.
func (b Batch) Read(dst []float32) error {
	if err := b.Step.Read(dst); err != nil {
		return err
	}
	b.sampler.unscale(dst)
	return nil
}

// unscale brings images that the network has in [-1, 1] back to [0, 1].
func (s *Sampler) unscale(x []float32) {
	if !s.Config.Rescaled || s.NetworkUnits {
		return
	}
	for i, v := range x {
		x[i] = (v + 1) / 2
	}
}

// setClasses tells the network the classes of the batch whose first sample is first.
func (s *Sampler) setClasses(first int) error {
	if s.Config.Classes == 0 {
		return nil
	}
	classes := make([]uint32, s.score.N)
	for i := range classes {
		if classes[i] = uint32(s.Config.NoClass()); len(s.Classes) > 0 {
			classes[i] = s.Classes[(first+i)%len(s.Classes)]
		}
	}
	return s.score.SetClasses(classes)
}

// Values returns the number of values that Read needs room for.
func (s *Sampler) Values() int { return s.score.N * s.score.D }

// Draw draws samples 0 to n-1 as [Team.Draw] does, on the one device.
func (s *Sampler) Draw(ctx context.Context, n int, each func(Batch) error) ([]float32, error) {
	return Team{s}.Draw(ctx, n, each)
}

// Denoised returns images (n, D) in the network's units without noise of sigma, as Draw gives them: Tweedie's mean
// x + sigma^2 s. level is that of sigma in the ladder, for networks that are told levels.
func (s *Sampler) Denoised(x []float32, sigma float64, level int) ([]float32, error) {
	err := s.setClasses(0)
	var score []float32
	if err == nil {
		score, err = sample.EvaluateField(s.score, x, float32(sigma), level)
	}
	if err != nil {
		return nil, err
	}
	for i, v := range score {
		score[i] = model.Denoised(x[i], v, sigma)
		if math.IsNaN(float64(score[i])) || math.IsInf(float64(score[i]), 0) {
			return nil, fmt.Errorf("the image became %g: the weights are not finite", score[i])
		}
	}
	s.unscale(score)
	return score, nil
}
