// The settings of samplers, their judge, and schedules of noise levels from sigma_1 to sigma_L:
//
//	karras      sigma_i = (sigma_1^(1/rho) + i/(n-1) (sigma_L^(1/rho) - sigma_1^(1/rho)))^rho    (Karras et al. 2022)
//	geometric   sigma_i = sigma_1 (sigma_L/sigma_1)^(i/(n-1))                                    rho to infinity
//	ladder      the levels that the network was trained on

package sample

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
	"sigmaz/model"
)

// The schedules.
const (
	KarrasSchedule    = "karras"
	GeometricSchedule = "geometric"
	LadderSchedule    = "ladder"
)

// Schedules lists them.
func Schedules() []string { return []string{KarrasSchedule, GeometricSchedule, LadderSchedule} }

// Settings say which sampler runs and how. [Defaults] fills them in.
type Settings struct {
	Sampler  string
	Schedule string  // "": the sampler's usual one
	NFE      int     // evaluations of the score for a sample, at most; 0: the sampler's usual number
	Rho      float64 // of the schedule karras
	Eta      float64 // how much of the noise is drawn anew; 0: none
	Denoise  bool    // end with D at sigma_L

	// of langevin
	T       int
	Epsilon float64

	// of pc
	SNR            float64
	Predictor      string
	CorrectorSteps int

	// of euler and heun: noise added before each step whose sigma lies within Min and Max
	Churn, ChurnMin, ChurnMax, ChurnNoise float64

	Tolerance float64 // of rk45, relative and absolute

	Resample int // of repaint: times that each level is left

	SigmaData float64 // of pigdm: deviation of the data, in the network's units

	SDE model.SDE // the network's process, not to be chosen: [DefaultsFor] sets it
}

// Defaults returns the usual settings of a sampler, for networks that see sigma or for those that do not. T and Epsilon
// are a run's own and stay 0.
func Defaults(sampler string, seesSigma bool) Settings {
	o := Settings{Sampler: sampler, Rho: 7, Denoise: true, SNR: 0.16, Predictor: ReversePredictor, CorrectorSteps: 1,
		ChurnMax: math.Inf(1), ChurnNoise: 1, Tolerance: 1e-5, Resample: 5, SigmaData: 1}
	if s := SamplerOf(sampler); s != nil {
		o.Eta = s.Eta
		if !seesSigma {
			o.Eta = s.BlindEta
		}
	}
	return o
}

// Check returns what is wrong with one of the settings by itself, as a [*setting.Error], or nil. What is wrong on a
// ladder, NewPlan finds; what does not suit a network, [Judge].
func (o *Settings) Check() error {
	word := func(key, value string, words []string) error {
		if slices.Contains(words, value) {
			return nil
		}
		return setting.Errorf(key, "is %q: expected one of %s%s", value, strings.Join(words, ", "), nearest.DidYouMean(value, words))
	}
	if s := SamplerOf(o.Sampler); s == nil || !s.Conditional {
		if err := word("sampler", o.Sampler, SamplerNames()); err != nil {
			return err
		}
	}
	if o.Schedule != "" {
		if err := word("schedule", o.Schedule, Schedules()); err != nil {
			return err
		}
	}
	if err := word("predictor", o.Predictor, Predictors()); err != nil {
		return err
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	switch {
	case o.NFE < 0 || o.NFE > maxSteps:
		return setting.Errorf("nfe", "is %d: expected between 1 and %d evaluations", o.NFE, maxSteps)
	case !(o.Rho >= 1 && o.Rho <= 1000):
		return setting.Errorf("rho", "is %g: expected a number from 1 to 1000; 7 is usual, and larger ones put more "+
			"steps at small noise", o.Rho)
	case !(o.Eta >= 0 && o.Eta <= 100):
		return setting.Errorf("eta", "is %g: expected a number from 0, no fresh noise, to 100", o.Eta)
	case !(o.SNR > 0 && o.SNR <= 1):
		return setting.Errorf("snr", "is %g: expected a number above 0 and up to 1; 0.16 is usual", o.SNR)
	case o.CorrectorSteps < 0 || o.CorrectorSteps > 1000:
		return setting.Errorf("corrector-steps", "is %d: expected between 0 and 1000 corrector steps a level", o.CorrectorSteps)
	case !(o.Churn >= 0 && finite(o.Churn)):
		return setting.Errorf("churn", "is %g: expected 0, no noise before the steps, or a positive number", o.Churn)
	case !(o.ChurnMin >= 0 && finite(o.ChurnMin)):
		return setting.Errorf("churn-min", "is %g: expected a noise level, or 0 for no bound", o.ChurnMin)
	case !(o.ChurnMax > o.ChurnMin):
		return setting.Errorf("churn-max", "is %g: expected a noise level above `churn-min` %g", o.ChurnMax, o.ChurnMin)
	case !(o.ChurnNoise > 0 && o.ChurnNoise <= 2):
		return setting.Errorf("churn-noise", "is %g: expected a factor above 0 and up to 2; 1 to 1.007 is usual", o.ChurnNoise)
	case o.Resample < 1 || o.Resample > 1000:
		return setting.Errorf("resample", "is %d: expected between 1 and 1000 times that each level is left; 5 is usual", o.Resample)
	case !(o.SigmaData > 0 && finite(o.SigmaData)):
		return setting.Errorf("sigma-data", "is %g: expected the deviation of the data, a positive number, such as 0.25 for "+
			"images in [0, 1]", o.SigmaData)
	case !(o.Tolerance >= 1e-7 && o.Tolerance <= 1):
		return setting.Errorf("tolerance", "is %g: expected a number from 1e-07, what float32 can hold, to 1; 1e-05 is "+
			"usual and 1e-03 enough for pictures", o.Tolerance)
	}
	return nil
}

// maxSteps bounds a plan.
const maxSteps = 1 << 20

// NewPlan makes the plan of a sampler on a ladder: its first and last level are the ends of the schedule. An epsilon of
// 0 is chosen by Technique 4.
func NewPlan(o Settings, ladder model.Ladder) (*Plan, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s := SamplerOf(o.Sampler)
	if o.Sampler == Langevin {
		return Options{T: o.T, Epsilon: o.Epsilon, Denoise: o.Denoise}.Plan(ladder)
	}
	if len(ladder) < 2 {
		return nil, setting.Errorf("sampler", "is %s, which goes from the largest noise to the smallest, and this ladder "+
			"has one level: expected %s", o.Sampler, Langevin)
	}
	if s.rows == nil {
		p := &Plan{Settings: o, Sigmas: []float64{ladder.Begin(), ladder.End()}, repeat: 1}
		return p, nil
	}
	if s.inTime != nil && o.SDE.Preserving() {
		return planInTime(o, s, ladder)
	}
	if o.Schedule == "" {
		if o.Schedule = s.Schedule; o.NFE > 0 && o.Schedule == LadderSchedule {
			o.Schedule = GeometricSchedule
		}
	}
	sigmas, err := o.sigmas(s, ladder)
	if err != nil {
		return nil, err
	}
	p := newPlan(o, sigmas, s.rows(&o, sigmas))
	p.guided = s.guided
	return p, nil
}

// newPlan makes a plan of rows that serve one step each.
func newPlan(o Settings, sigmas []float64, rows []row) *Plan {
	return &Plan{Settings: o, Sigmas: sigmas, rows: rows, repeat: 1, steps: len(rows)}
}

// stagesOf returns the evaluations of a step, the last one excepted; 0 for pc, whose levels are all alike.
func (o *Settings) stagesOf(s *Sampler) int {
	if s.Name == Repaint {
		return o.Resample
	}
	return s.stages
}

// levelsFor returns how many noise levels a number of evaluations is enough for.
func (o *Settings) levelsFor(s *Sampler) int {
	if stages := o.stagesOf(s); stages > 0 {
		return 1 + (o.NFE-1)/stages
	}
	return o.NFE / (1 + o.CorrectorSteps)
}

// sigmas returns the noise levels of the schedule.
func (o *Settings) sigmas(s *Sampler, ladder model.Ladder) ([]float64, error) {
	n := s.Steps
	if o.NFE > 0 {
		if n = o.levelsFor(s); n < 2 {
			return nil, setting.Errorf("nfe", "is %d: expected enough for two noise levels of %s, %d or more", o.NFE, o.Sampler,
				o.leastNFE(s))
		}
	}
	if o.Schedule == LadderSchedule {
		if o.NFE > 0 {
			return nil, setting.Errorf("nfe", "is %d, and the `schedule` ladder has as many levels as the run, %d: leave one "+
				"of them out, or use `schedule` geometric", o.NFE, len(ladder))
		}
		return ladder.Float64s(), nil
	}
	if n == 0 {
		n = len(ladder)
	}
	if o.Schedule == GeometricSchedule {
		return geometric(ladder.Begin(), ladder.End(), n), nil
	}
	return karras(ladder.Begin(), ladder.End(), n, o.Rho), nil
}

// leastNFE returns the evaluations that two noise levels take.
func (o *Settings) leastNFE(s *Sampler) int {
	if stages := o.stagesOf(s); stages > 0 {
		return 1 + stages
	}
	return 2 * (1 + o.CorrectorSteps)
}

func geometric(begin, end float64, n int) []float64 {
	sigmas := make([]float64, n)
	for i := range sigmas {
		sigmas[i] = begin * math.Pow(end/begin, float64(i)/float64(n-1))
	}
	return sigmas
}

func karras(begin, end float64, n int, rho float64) []float64 {
	sigmas := make([]float64, n)
	a, b := math.Pow(begin, 1/rho), math.Pow(end, 1/rho)
	for i := range sigmas {
		sigmas[i] = math.Pow(a+float64(i)/float64(n-1)*(b-a), rho)
	}
	return sigmas
}

// String says what the plan does, for logs.
func (p *Plan) String() string {
	o := &p.Settings
	var parts []string
	add := func(format string, a ...any) { parts = append(parts, fmt.Sprintf(format, a...)) }
	s := SamplerOf(o.Sampler)
	if !p.Adaptive() {
		schedule := o.Schedule
		if schedule == "" {
			schedule = "equal steps of t"
		}
		if schedule == KarrasSchedule {
			schedule += fmt.Sprintf(" rho %g", o.Rho)
		}
		add("%d noise levels (%s)", len(p.Sigmas), schedule)
	}
	for _, key := range s.Uses {
		switch key {
		case "eta":
			add("eta %g", o.Eta)
		case "snr":
			switch add("predictor %s", o.Predictor); o.CorrectorSteps {
			case 0:
				add("no corrector")
			case 1:
				add("1 corrector step a level, snr %g", o.SNR)
			default:
				add("%d corrector steps a level, snr %g", o.CorrectorSteps, o.SNR)
			}
		case "churn":
			if o.Churn > 0 {
				add("churn %g", o.Churn)
			}
		case "resample":
			add("each left %d times", o.Resample)
		case "sigma-data":
			add("data of the deviation %.3g", o.SigmaData)
		case "tolerance":
			add("tolerance %g", o.Tolerance)
		}
	}
	return o.Sampler + ": " + strings.Join(parts, ", ")
}

// Tamer says what to try where the plan has run away.
func (p *Plan) Tamer() string {
	if o := &p.Settings; o.Sampler == Langevin {
		return fmt.Sprintf("a smaller epsilon than %.3g or more than T = %d steps a level", o.Epsilon, o.T)
	}
	return "another sampler than " + p.Settings.Sampler
}
