// Annealed Langevin dynamics:
//
//	for each level i from the largest sigma down, T times:  x <- x + a_i s(x, sigma_i) + sqrt(2 a_i) z
//	then, if asked for:                                     x <- x + sigma_L^2 s(x, sigma_L)
//
// Each level starts where the one before ended (Song and Ermon 2019, algorithm 1). The last line is the denoising
// step of NCSNv2 (Song and Ermon 2020, after Jolicoeur-Martineau et al. 2020). k = level*T + t counts steps.

package sample

import (
	"fmt"
	"math"

	"sigmaz/kernels"
	"sigmaz/model"
)

// Options are the settings of annealed Langevin dynamics.
type Options struct {
	T          int     // Langevin steps at each level
	Epsilon    float64 // step size at the last level; the function Epsilon chooses one by Technique 4
	Denoise    bool    // end with x + sigma_L^2 s(x, sigma_L), Tweedie's mean
	Seed       uint64  // of the noise
	FirstImage uint32  // index of the first row among all images drawn from Seed
}

// Check returns what is wrong with the options for a ladder, or nil. It is the one judge of a schedule: T and epsilon
// together with the ladder. T by itself is judged by [model.CheckT], as in a run's configuration.
//
// The bound on epsilon: the score of a point mass at level i is -r/sigma_i^2 at distance r, so a step takes r to
// (1-q) r and adds noise. For q >= 2 every step overshoots by as much as it corrects, or more.
func (o Options) Check(sigmas model.Ladder) error {
	end := 0.0
	if len(sigmas) > 0 {
		end = sigmas.End()
	}
	limit := 2 * end * end
	if err := model.CheckT(o.T); err != nil {
		return err
	}
	switch {
	case len(sigmas) == 0:
		return fmt.Errorf("the noise ladder is empty: expected at least one level")
	case int64(o.T) >= math.MaxUint32/int64(len(sigmas)):
		//lint:ignore ST1005 T is the name of the setting
		return fmt.Errorf("T is %d: %d levels of that many steps are more than 2^32; lower T", o.T, len(sigmas))
	case !(o.Epsilon > 0) || math.IsInf(o.Epsilon, 0):
		return fmt.Errorf("epsilon is %g: expected a positive step size", o.Epsilon)
	case o.Epsilon >= limit:
		return fmt.Errorf("epsilon is %g: expected less than 2 sigma^2 = %.3g of the last level (sigma %.3g), "+
			"beyond which every step overshoots; for T = %d try %.3g", o.Epsilon, limit, end, o.T, Epsilon(sigmas, o.T))
	}
	return nil
}

// NFE returns the number of score evaluations for one image: L*T, and one more with the denoising step.
func (o Options) NFE(levels int) int {
	if o.Denoise {
		return levels*o.T + 1
	}
	return levels * o.T
}

// Step describes a step to the callback that is called after it.
type Step struct {
	K        int     // number of steps before this one: Level*T + step within the level; L*T for the denoising step
	Level    int     // index in the ladder
	T        int     // step within the level, from 0
	Sigma    float32 // noise level of this step
	Alpha    float32 // step size a_i; sigma_L^2 for the denoising step
	NFE      int     // score evaluations so far, this step's included
	Last     bool    // no step follows
	Denoised bool    // this was the denoising step

	score *model.Score
}

// Read copies x, (N, D), as it is after the step. It waits for the device; a callback that does not call it costs
// nothing.
func (s Step) Read(dst []float32) error { return s.score.Arena.Read(dst, s.score.X) }

// WorkWords returns how many words of [model.Score.Work] annealed Langevin dynamics needs on a ladder of L levels.
func WorkWords(levels int) int { return kernels.StateWords + 2*levels }

// Chain is annealed Langevin dynamics, compiled for one score, ladder and set of options. One program does every
// step: the state, the step sizes and the ladder lie in the score's arena, so that nothing goes to the device between
// steps.
type Chain struct {
	score   *model.Score
	sigmas  model.Ladder
	alphas  []float32
	opt     Options
	step    kernels.Program // set sigma, score, Langevin update, step+1
	denoise kernels.Program // set sigma, score, Tweedie's mean; nil without
	work    []float32       // what the score's Work holds before the first step
}

// NewChain compiles a chain. The score's Work must have WorkWords(len(sigmas)) words or more; from then on it belongs
// to the chain.
func NewChain(s *model.Score, sigmas model.Ladder, opt Options) (*Chain, error) {
	if err := opt.Check(sigmas); err != nil {
		return nil, err
	}
	levels := len(sigmas)
	if s.Work.N < WorkWords(levels) {
		panic(fmt.Sprintf("sample: the score has %d words of work memory, a ladder of %d levels needs %d",
			s.Work.N, levels, WorkWords(levels)))
	}
	state := s.Work.Slice(0, kernels.StateWords)
	alpha := s.Work.Slice(kernels.StateWords, levels)
	ladder := s.Work.Slice(kernels.StateWords+levels, levels)
	setSigma := kernels.SetSigma{Sigma: s.Sigma, Level: s.Level, Ladder: ladder, State: state, T: opt.T}

	c := &Chain{score: s, sigmas: sigmas, alphas: Alphas(sigmas, opt.Epsilon), opt: opt}
	c.work = make([]float32, WorkWords(levels))
	copy(c.work[kernels.StateWords:], c.alphas)
	copy(c.work[kernels.StateWords+levels:], sigmas)

	ops := append([]kernels.Op{setSigma}, s.Ops...)
	langevin := kernels.Langevin{X: s.X, S: s.S, Alpha: alpha, State: state, T: opt.T, D: s.D, Seed: opt.Seed}
	var err error
	if c.step, err = s.Backend.Compile(s.Arena, append(ops, langevin, kernels.Tick{State: state})); err != nil {
		return nil, err
	}
	if opt.Denoise {
		ops := append([]kernels.Op{setSigma}, s.Ops...)
		denoise := kernels.Denoise{X: s.X, S: s.S, Sigma: s.Sigma}
		if c.denoise, err = s.Backend.Compile(s.Arena, append(ops, denoise)); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Run takes x through all levels. It starts from what is in the score's X, whose rows are the images firstImage,
// firstImage+1, and so on. It calls each, which may be nil, after every step. An error of each ends the run at once
// and is returned as it is; x stays as the last step left it.
func (c *Chain) Run(firstImage uint32, each func(Step) error) error {
	work := kernels.Buf{Off: c.score.Work.Off, N: len(c.work)}
	kernels.SetWord(c.work, kernels.Buf{N: kernels.StateWords}, kernels.StateImage, firstImage)
	if err := c.score.Arena.Write(work, c.work); err != nil {
		return err
	}
	steps := len(c.sigmas) * c.opt.T
	for k := range steps {
		if err := c.step.Run(); err != nil {
			return err
		}
		if each == nil {
			continue
		}
		level := k / c.opt.T
		err := each(Step{K: k, Level: level, T: k % c.opt.T, Sigma: c.sigmas[level], Alpha: c.alphas[level], NFE: k + 1,
			Last: k+1 == steps && c.denoise == nil, score: c.score})
		if err != nil {
			return err
		}
	}
	if c.denoise == nil {
		return nil
	}
	// The state's step is now L*T, which SetSigma takes for the last level.
	if err := c.denoise.Run(); err != nil {
		return err
	}
	if each == nil {
		return nil
	}
	level := len(c.sigmas) - 1
	sigma := c.sigmas[level]
	return each(Step{K: steps, Level: level, Sigma: sigma, Alpha: sigma * sigma, NFE: steps + 1,
		Last: true, Denoised: true, score: c.score})
}

// Anneal runs annealed Langevin dynamics once, from what is in s.X (see [Start]). each is as in [Chain.Run]. On a
// ladder of one level this is Langevin dynamics at a fixed sigma with the step size opt.Epsilon.
func Anneal(s *model.Score, sigmas model.Ladder, opt Options, each func(Step) error) error {
	c, err := NewChain(s, sigmas, opt)
	if err != nil {
		return err
	}
	return c.Run(opt.FirstImage, each)
}
