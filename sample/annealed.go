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

// Plan returns the steps on a ladder. An epsilon of 0 is chosen by Technique 4.
func (o Options) Plan(sigmas model.Ladder) (*Plan, error) {
	if o.Epsilon == 0 && len(sigmas) > 0 && o.T > 0 {
		o.Epsilon = Epsilon(sigmas, o.T)
	}
	if err := o.Check(sigmas); err != nil {
		return nil, err
	}
	alphas := model.Ladder(Alphas(sigmas, o.Epsilon)).Float64s()
	p := &Plan{
		Settings: Settings{Sampler: Langevin, Schedule: LadderSchedule, T: o.T, Epsilon: o.Epsilon, Denoise: o.Denoise},
		Sigmas:   sigmas.Float64s(), repeat: o.T, steps: o.NFE(len(sigmas)),
	}
	p.rows = langevinSteps(p.Sigmas, alphas, o.T, o.Denoise)
	return p, nil
}

// WorkWords returns how many words of [model.Score.Work] annealed Langevin dynamics needs on a ladder of L levels. For
// other samplers it is [Plan.WorkWords].
func WorkWords(levels int) int { return kernels.StateWords + (levels+1)*kernels.StepWords }

// Anneal runs annealed Langevin dynamics once, from what is in s.X (see [Start]). each is as in [Chain.Run]. On a
// ladder of one level this is Langevin dynamics at a fixed sigma with the step size opt.Epsilon.
func Anneal(s *model.Score, sigmas model.Ladder, opt Options, each func(Step) error) error {
	p, err := opt.Plan(sigmas)
	if err != nil {
		return err
	}
	c, err := NewChain(s, p, sigmas, opt.Seed)
	if err != nil {
		return err
	}
	return c.Run(opt.FirstImage, each)
}
