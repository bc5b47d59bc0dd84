// Chains: a plan on a device. One program does every step: the state and the table of steps lie in the score's arena,
// so that nothing goes to the device between steps. (An adaptive sampler's steps are chosen by the host: rk45.go.)

package sample

import (
	"fmt"

	"sigmaz/kernels"
	"sigmaz/model"
)

// Step describes a step to the callback that is called after it.
type Step struct {
	K        int     // number of steps before this one; of langevin, Level*T + step within the level, and L*T for denoising
	Level    int     // index in the plan's Sigmas
	T        int     // step within the level, from 0
	Sigma    float64 // noise level of this step
	Left     float64 // noise level that x has after it; 0 once it is denoised
	NFE      int     // score evaluations so far, this step's included
	Last     bool    // no step follows
	Denoised bool    // this step was to sigma 0

	score *model.Score
}

// Read copies x, (N, D), as it is after the step. It waits for the device; a callback that does not call it costs
// nothing.
func (s Step) Read(dst []float32) error { return s.score.Arena.Read(dst, s.score.X) }

// Chain is a sampler, compiled for one score.
type Chain struct {
	score  *model.Score
	plan   *Plan
	work   []float32       // what the score's Work holds before the first step
	step   kernels.Program // set sigma, score, update, step+1
	kick   kernels.Program // update, step+1; nil where every step evaluates the score
	finish kernels.Program // put back what is known; nil where nothing is
	guided kernels.Program // step with the guided score; nil where nothing guides
	ode    *deviceSolver   // of an adaptive plan, which has none of these
}

// NewChain compiles a plan. The ladder is the one that the network was trained on. The score's Work must have
// p.WorkWords words or more; from then on it belongs to the chain.
func NewChain(s *model.Score, p *Plan, ladder model.Ladder, seed uint64) (*Chain, error) {
	return newChain(s, p, ladder, noise{seed: seed})
}

// noise is what a chain draws from.
type noise struct {
	seed  uint64
	given []float32 // (draws, N, D) in place of what the seed gives, behind the plan's words in Work
	known []float32 // the same for what is known, (steps, N, directions), behind given
	// gain takes the place of the operation that computes gains.
	gain func(l layout, given kernels.Buf) kernels.Op
}

func newChain(s *model.Score, p *Plan, ladder model.Ladder, z noise) (*Chain, error) {
	c := &Chain{score: s, plan: p}
	if p.Adaptive() {
		var err error
		c.ode, err = newDeviceSolver(s, ladder, p.Settings.Tolerance, noTrace, p.guidance)
		return c, err
	}
	l := p.layout(s.N, s.D)
	if need := l.words + len(z.given) + len(z.known); s.Work.N < need {
		panic(fmt.Sprintf("sample: the score has %d words of work memory, the plan needs %d", s.Work.N, need))
	}
	table := p.table(ladder, s.ByLevel)
	for _, b := range []*kernels.Buf{&l.state, &l.table, &l.y, &l.gain, &l.blend} {
		if b.N > 0 {
			*b = s.Work.Slice(b.Off, b.N)
		}
	}
	c.work = make([]float32, l.table.Off-s.Work.Off+len(table))
	copy(c.work[l.table.Off-s.Work.Off:], table)

	var draws kernels.Buf
	if z.given != nil {
		draws = s.Work.Slice(l.words, len(z.given))
		if err := s.Arena.Write(draws, z.given); err != nil {
			return nil, err
		}
	}
	if p.blend != nil {
		if err := s.Arena.Write(l.blend, p.blend); err != nil {
			return nil, err
		}
	}
	step := kernels.SamplerStep{Table: l.table, State: l.state, Repeat: p.repeat}
	update := []kernels.Op{
		kernels.SamplerUpdate{SamplerStep: step, X: s.X, S: s.S, Y: l.y, Gain: l.gain, Draws: draws, Blend: l.blend,
			D: s.D, Seed: z.seed},
		kernels.Tick{State: l.state},
	}
	ops := []kernels.Op{kernels.SamplerSigma{SamplerStep: step, Sigma: s.Sigma, Level: s.Level}}
	score := s.Ops
	if p.known != nil {
		fit, known, finish, err := p.knownScore(s, l, step, z)
		if err != nil {
			return nil, err
		}
		if c.finish, err = s.Backend.Compile(s.Arena, finish); err != nil {
			return nil, err
		}
		ops, score = append(ops, fit...), known
	}
	var after []kernels.Op
	switch {
	case z.gain != nil:
		after = append(after, z.gain(l, draws))
	case p.gains():
		after = append(after, kernels.SamplerGain{SamplerStep: step, S: s.S, Gain: l.gain, D: s.D})
	}
	after = append(after, update...)
	if err := c.compileGuided(ops, after); err != nil {
		return nil, err
	}
	var err error
	if c.step, err = s.Backend.Compile(s.Arena, append(append(ops, score...), after...)); err != nil {
		return nil, err
	}
	if p.kicks() {
		c.kick, err = s.Backend.Compile(s.Arena, update)
	}
	return c, err
}

// knownScore brings what is known to the device. It returns the operations that make x agree with it at a step's noise
// level, those of a score that does, and those that make x hold it at the end, without noise.
func (p *Plan) knownScore(s *model.Score, l layout, step kernels.SamplerStep, z noise) (fits, score, finish []kernels.Op,
	err error) {
	known := l.known.moved(s.Work)
	if err := p.known.write(s.Arena, known); err != nil {
		return nil, nil, nil, err
	}
	misfit := kernels.SamplerMisfit{SamplerStep: step, Directions: known.Directions, X: s.X, Misfit: known.misfit, Seed: z.seed}
	fit := kernels.SamplerFit{Directions: known.Directions, State: l.state, X: s.X, Misfit: known.misfit}
	last := misfit
	last.Exact = true
	finish = []kernels.Op{last, fit}
	if p.guided {
		if s.V.N == 0 {
			panic("sample: a guided plan needs a score with its Jacobian: see Plan.Objective")
		}
		ops, product := s.Parts()
		misfit.S, misfit.Prior = s.S, float32(p.Settings.SigmaData)
		fit.X, fit.Alone = s.V, true
		score = append(append(score, ops...), misfit, fit)
		score = append(append(score, product...), kernels.SamplerGuide{SamplerStep: step, S: s.S, V: s.V, VJ: s.VJ, D: s.D})
		return nil, score, finish, nil
	}
	if z.known != nil {
		misfit.Draws = s.Work.Slice(l.words+len(z.given), len(z.known))
		if err := s.Arena.Write(misfit.Draws, z.known); err != nil {
			return nil, nil, nil, err
		}
	}
	return []kernels.Op{misfit, fit}, s.Ops, finish, nil
}

// Run takes x through all steps. It starts from what is in the score's X, whose rows are the images firstImage,
// firstImage+1, and so on. It calls each, which may be nil, after every step. An error of each ends the run at once
// and is returned as it is; x stays as the last step left it.
func (c *Chain) Run(firstImage uint32, each func(Step) error) error {
	if c.plan.Adaptive() {
		return c.adaptive(each)
	}
	kernels.SetWord(c.work, kernels.Buf{N: kernels.StateWords}, kernels.StateImage, firstImage)
	if err := c.score.Arena.Write(c.score.Work.Slice(0, len(c.work)), c.work); err != nil {
		return err
	}
	s := Step{score: c.score}
	for k := range c.plan.steps {
		r, _ := c.plan.at(k)
		program := c.step
		if r.sigma == 0 {
			program = c.kick
		} else {
			s.NFE += c.plan.evaluations(r.sigma)
		}
		if r.sigma != 0 && c.plan.guidance.at(r.sigma) {
			program = c.guided
		}
		if err := program.Run(); err != nil {
			return err
		}
		if k+1 == c.plan.steps && c.finish != nil {
			if err := c.finish.Run(); err != nil {
				return err
			}
		}
		if each == nil || r.mid {
			continue
		}
		if r.level != s.Level {
			s.Level, s.T = r.level, 0
		}
		s.Sigma, s.Left = c.plan.Sigmas[r.level], r.left
		s.Last, s.Denoised = k+1 == c.plan.steps, r.left == 0
		if err := each(s); err != nil {
			return err
		}
		s.K, s.T = s.K+1, s.T+1
	}
	return nil
}
