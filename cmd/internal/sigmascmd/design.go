// The design of noise from distances: Techniques 1, 2 and 4 of Song and Ermon 2020, in the order in which each choice
// rests on the one before.
//
//	sigma_1      the largest distance between two rows
//	sigma_L      0.01 for images, see train.SigmaEndOf for the rule by the smallest distance
//	L            neighbouring shells overlap by C = 0.567
//	T, epsilon   the step size that leaves the least noise; T such that a chain is stable, or what a budget allows

package sigmascmd

import (
	"fmt"
	"math"
	"strconv"

	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// Report is the design and what it rests on: what -json writes.
type Report struct {
	Data      Data      `json:"data"`
	Distances Distances `json:"distances"`
	Ladder    Ladder    `json:"ladder"`
	Langevin  Langevin  `json:"langevin"`
	Sampling  Sampling  `json:"sampling"`
	Check     Check     `json:"check"`
	Flags     []string  `json:"flags"` // of train
}

// Data is what was looked at.
type Data struct {
	Spec       string  `json:"spec"`
	Name       string  `json:"name"`
	Images     bool    `json:"images"`
	Rows       int     `json:"rows"`
	Height     int     `json:"height"`
	Width      int     `json:"width"`
	Channels   int     `json:"channels"`
	D          int     `json:"d"`  // values a row
	SD         float64 `json:"sd"` // of a value about the mean row
	Duplicates int     `json:"duplicates"`
}

// Distances are exact over all pairs, but for the quantiles, which are those of Sampled rows. Rows are counted from 0.
type Distances struct {
	Largest  float64 `json:"largest"`
	Farthest [2]int  `json:"farthest"`
	Smallest float64 `json:"smallest"` // between rows that differ
	Nearest  [2]int  `json:"nearest"`
	Pairs    int64   `json:"pairs"`
	Seconds  float64 `json:"seconds"` // that the search took
	Device   string  `json:"device"`  // on which

	Sampled int     `json:"sampled"`
	Median  float64 `json:"median"`
	Most    float64 `json:"q999"` // which 99.9 % do not exceed
}

// Ladder is the noise levels.
type Ladder struct {
	Begin     float64 `json:"sigma_begin"`
	BeginRule string  `json:"sigma_begin_rule"` // "data" or "" for one that was given
	End       float64 `json:"sigma_end"`
	EndRule   string  `json:"sigma_end_rule"`    // "data", "data-literal" or ""
	Touch     float64 `json:"sigma_end_touch"`   // d_min/(2 sqrt D)
	Bounded   float64 `json:"sigma_end_by_data"` // the same within the bounds of the rule

	Levels     int     `json:"levels"`
	LevelsRule string  `json:"levels_rule"` // "technique 2", "given" or "preset"
	Ratio      float64 `json:"ratio"`       // g
	Overlap    float64 `json:"overlap"`     // C

	sigmas model.Ladder
}

// Langevin is a plan of annealed Langevin dynamics.
type Langevin struct {
	T           int     `json:"T"`
	TRule       string  `json:"T_rule"` // "preset", "given", "nfe" or "stable": the least stable one
	Epsilon     float64 `json:"epsilon"`
	EpsilonRule string  `json:"epsilon_rule"`        // "technique 4" or "preset"
	Q           float64 `json:"q"`                   // epsilon/sigma_L^2
	EndVariance float64 `json:"end_variance"`        // in units of sigma_L^2, of a chain on one point
	Margin      float64 `json:"stability,omitempty"` // T q/(4(g-1)); 0 where the network sees sigma, which needs none
	NFE         int     `json:"nfe"`

	verdict sample.Stability
}

// Sampling is what samples cost, by the network's usual sampler and by Langevin dynamics.
type Sampling struct {
	Sampler string  `json:"sampler"`
	Eta     float64 `json:"eta"`
	NFE     int     `json:"nfe"`
	Cost    *Cost   `json:"cost,omitempty"`
}

// Check is how far, in nats, the data with noise sigma_1 are from noise alone, in the Gaussian approximation.
type Check struct {
	FromMean float64 `json:"from_mean"` // N(mean, sigma_1^2 I)
	FromZero float64 `json:"from_zero"` // N(0, sigma_1^2 I)
}

// wish is what of the design is asked for. The zero values leave the choice open.
type wish struct {
	begin, end train.SigmaEnd // end: the zero value is the preset's
	levels, t  int
	nfe        int
}

// round4 rounds to four digits, as flags have numbers: what is printed is what is computed with.
func round4(v float64) float64 {
	v, _ = strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	return v
}

// chooseLadder chooses the noise levels.
func (r *Report) chooseLadder(c *train.Config, w wish) error {
	l := &r.Ladder
	l.Begin, l.BeginRule = w.begin.Value, w.begin.Rule
	if l.BeginRule != "" {
		l.Begin = round4(r.Distances.Largest)
	}
	l.Bounded, l.Touch = train.SigmaEndOf(r.Distances.Smallest, r.Data.D, r.Data.Images, 1)
	if w.end == (train.SigmaEnd{}) {
		w.end = c.Sigma.End
	}
	switch l.End, l.EndRule = w.end.Value, w.end.Rule; l.EndRule {
	case train.RuleData:
		l.End = round4(l.Bounded)
	case train.RuleLiteral:
		l.End = round4(r.Distances.Smallest)
	}
	// The ends are judged before a number of levels is made of them.
	if err := model.CheckLadder("", l.Begin, l.End, max(2, w.levels)); err != nil {
		return err
	}
	switch {
	case w.levels != 0:
		l.Levels, l.LevelsRule = w.levels, "given"
	case !r.Data.Images && c.Sigma.Levels != 0: // in few dimensions Technique 2 has no answer
		l.Levels, l.LevelsRule = c.Sigma.Levels, "preset"
	default:
		var err error
		if l.Levels, _, err = model.Technique2(l.Begin, l.End, r.Data.D); err != nil {
			return err
		}
		l.LevelsRule = "technique 2"
	}
	var err error
	if l.sigmas, err = model.NewLadder("", l.Begin, l.End, l.Levels); err != nil {
		return err
	}
	l.Ratio = l.sigmas.Ratio()
	l.Overlap = model.Overlap(l.Ratio, r.Data.D)
	return nil
}

// chooseSteps chooses T and epsilon. It refuses a T that is asked for and not stable.
func (r *Report) chooseSteps(c *train.Config, w wish) error {
	g, sees := &r.Langevin, c.Network.SeesSigma()
	sigmas := r.Ladder.sigmas
	rounded := func(t int) float64 { return round4(sample.Epsilon(sigmas, t)) }
	switch {
	case w.nfe != 0:
		g.T, g.TRule = sample.StepsFor(len(sigmas), w.nfe), "nfe"
	case w.t != 0:
		g.T, g.TRule = w.t, "given"
	default:
		g.T, g.TRule = c.Sampling.T, "preset"
		verdict, _ := sample.JudgeStability(sees, sigmas, g.T, rounded(g.T))
		if t := sample.LeastSteps(sigmas); verdict != sample.Stable && t > 0 {
			g.T, g.TRule = t, "stable"
		}
	}
	if g.T == 0 {
		return r.refuse(w, sees, fmt.Sprintf("-nfe is %d, less than a step at each of the %d levels takes, %d", w.nfe, len(sigmas),
			len(sigmas)+1))
	}
	g.Epsilon, g.EpsilonRule = rounded(g.T), "technique 4"
	if end := c.Sigma.End.Value; sees && g.TRule == "preset" && c.Sampling.Epsilon != 0 && end > 0 {
		g.Epsilon, g.EpsilonRule = round4(c.Sampling.Epsilon*math.Pow(sigmas.End()/end, 2)), "preset"
	}
	o := sample.Options{T: g.T, Epsilon: g.Epsilon, Denoise: c.Sampling.Denoise}
	if err := o.Check(sigmas); err != nil {
		return err
	}
	g.Q = g.Epsilon / (sigmas.End() * sigmas.End())
	g.EndVariance = sample.EndVariance(sigmas, g.T, g.Epsilon)
	g.NFE = o.NFE(len(sigmas))
	verdict, margin := sample.JudgeStability(sees, sigmas, g.T, g.Epsilon)
	if !math.IsInf(margin, 0) {
		g.Margin = margin
	}
	g.verdict = verdict
	if verdict == sample.Unstable && g.TRule != "preset" { // nobody asked for the preset's T, and no other would do
		asked := fmt.Sprintf("-T is %d", g.T)
		if w.nfe != 0 {
			asked = fmt.Sprintf("-nfe is %d, which is T = %d at %d levels", w.nfe, g.T, len(sigmas))
		}
		return r.refuse(w, sees, fmt.Sprintf("%s with stability %.2f: below 1 annealed Langevin dynamics runs away on a network "+
			"that does not see sigma", asked, margin))
	}
	return nil
}

// refuse makes the error for a plan that is not to be used, with those that are.
func (r *Report) refuse(w wish, sees bool, why string) error {
	sigmas := r.Ladder.sigmas
	t := 1
	if !sees {
		t = sample.LeastSteps(sigmas)
	}
	use := "more -levels"
	switch {
	case t > 0 && w.nfe != 0:
		use = fmt.Sprintf("-nfe %d or more (T = %d)", len(sigmas)*t+1, t)
	case t > 0:
		use = fmt.Sprintf("-T %d or more", t)
	}
	if s := sample.SamplerOf(sample.Recommended); !sees {
		use += fmt.Sprintf(", or leave it out and sample by %s, which takes %d evaluations (sample -sampler %s)", title(s.Name),
			s.Steps, s.Name)
	}
	return fmt.Errorf("%s; use %s", why, use)
}

// chooseSampler says by what samples are drawn where nobody names a sampler.
func (r *Report) chooseSampler(c *train.Config) error {
	sigmas := r.Ladder.sigmas
	r.Sampling = Sampling{Sampler: sample.DefaultSampler(c.Network, sigmas, false), NFE: r.Langevin.NFE}
	if r.Sampling.Sampler == sample.Langevin {
		return nil
	}
	plan, err := sample.NewPlan(sample.DefaultsFor(r.Sampling.Sampler, c.Network), sigmas)
	if err != nil {
		return err
	}
	r.Sampling.NFE, r.Sampling.Eta = plan.NFE(), plan.Settings.Eta
	return nil
}

// check compares the noised data with noise. Between Gaussians of covariance C + sigma^2 I and sigma^2 I the divergence
// is tr C^2/(4 sigma^4) to second order, and |m|^2/(2 sigma^2) more where one of the means is 0.
func (r *Report) check(s *dataset.Spread) {
	sigma2 := r.Ladder.Begin * r.Ladder.Begin
	m2 := 0.0
	for _, m := range s.Mean {
		m2 += m * m
	}
	r.Check.FromMean = s.TraceSquare / (4 * sigma2 * sigma2)
	r.Check.FromZero = r.Check.FromMean + m2/(2*sigma2)
}

// flags are those of train that make the ladder.
func (r *Report) flags() []string {
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	return []string{"-sigma-begin", number(r.Ladder.Begin), "-sigma-end", number(r.Ladder.End),
		"-levels", strconv.Itoa(r.Ladder.Levels), "-T", strconv.Itoa(r.Langevin.T), "-epsilon", number(r.Langevin.Epsilon)}
}
