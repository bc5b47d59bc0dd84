// Which sampler is taken, with which settings, and what is said about it.

package samplecmd

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/preview"
	"sigmaz/internal/setting"
	"sigmaz/sample"
)

// samplerFlags copies the value of each flag of a sampler.
var samplerFlags = []struct {
	name string
	copy func(to, from *sample.Settings)
}{
	{"nfe", func(to, from *sample.Settings) { to.NFE = from.NFE }},
	{"schedule", func(to, from *sample.Settings) { to.Schedule = from.Schedule }},
	{"rho", func(to, from *sample.Settings) { to.Rho = from.Rho }},
	{"eta", func(to, from *sample.Settings) { to.Eta = from.Eta }},
	{"T", func(to, from *sample.Settings) { to.T = from.T }},
	{"epsilon", func(to, from *sample.Settings) { to.Epsilon = from.Epsilon }},
	{"denoise", func(to, from *sample.Settings) { to.Denoise = from.Denoise }},
	{"predictor", func(to, from *sample.Settings) { to.Predictor = from.Predictor }},
	{"corrector-steps", func(to, from *sample.Settings) { to.CorrectorSteps = from.CorrectorSteps }},
	{"snr", func(to, from *sample.Settings) { to.SNR = from.SNR }},
	{"churn", func(to, from *sample.Settings) { to.Churn = from.Churn }},
	{"churn-min", func(to, from *sample.Settings) { to.ChurnMin = from.ChurnMin }},
	{"churn-max", func(to, from *sample.Settings) { to.ChurnMax = from.ChurnMax }},
	{"churn-noise", func(to, from *sample.Settings) { to.ChurnNoise = from.ChurnNoise }},
	{"tolerance", func(to, from *sample.Settings) { to.Tolerance = from.Tolerance }},
	{"resample", func(to, from *sample.Settings) { to.Resample = from.Resample }},
	{"sigma-data", func(to, from *sample.Settings) { to.SigmaData = from.SigmaData }},
}

// chooseLangevin takes annealed Langevin dynamics where only its own flags are given, and tells whether it is now known
// which sampler is meant.
func (o *options) chooseLangevin() (known bool) {
	if o.Given("sampler") || o.measures() {
		return true
	}
	if o.Given("T") || o.Given("epsilon") || o.Given("denoise") {
		o.set.Sampler = sample.Langevin
		return true
	}
	return false
}

// checkSampler finds flags that the sampler has no use for.
func (o *options) checkSampler() error {
	uses := func(s *sample.Sampler, flag string) bool { return slices.Contains(s.Uses, flag) }
	s := sample.SamplerOf(o.set.Sampler)
	for _, f := range samplerFlags {
		if !o.Given(f.name) || uses(s, f.name) {
			continue
		}
		chosen, names := "sampler", sample.SamplerNames()
		if o.measures() {
			chosen, names = "method", sample.Methods()
		}
		users := slices.DeleteFunc(names, func(name string) bool { return !uses(sample.SamplerOf(name), f.name) })
		owners, one := "the "+chosen+"s "+strings.Join(users, ", "), "one of them"
		switch len(users) {
		case 0:
			return cli.Usagef("-%s has no use where something is known of the samples: leave it out", f.name)
		case 1:
			owners, one = chosen+" "+users[0], "it"
		}
		if !o.Given(chosen) {
			return cli.Usagef("-%s is of %s, and the %s is %s: name %s with -%s, or leave -%s out",
				f.name, owners, chosen, o.set.Sampler, one, chosen, f.name)
		}
		return cli.Usagef("-%s is of %s, and -%s is %s: leave one of the two out", f.name, owners, chosen, o.set.Sampler)
	}
	switch {
	case o.Given("nfe") && o.set.NFE < 1:
		return cli.Usagef("-nfe is %d: expected at least 1 evaluation of the network", o.set.NFE)
	case o.Given("rho") && o.Given("schedule") && o.set.Schedule != sample.KarrasSchedule,
		o.Given("rho") && !o.Given("schedule") && s.Schedule != sample.KarrasSchedule:
		return cli.Usagef("-rho is of -schedule %s: give that, or leave -rho out", sample.KarrasSchedule)
	}
	for _, name := range []string{"churn-min", "churn-max", "churn-noise"} {
		if o.Given(name) && o.set.Churn == 0 {
			return cli.Usagef("-%s says where -churn adds noise, and it adds none: give -churn C, or leave -%s out", name, name)
		}
	}
	if o.set.CorrectorSteps == 0 && o.Given("snr") {
		return cli.Usagef("-snr is the size of the corrector's steps, and -corrector-steps is 0: leave one of the two out")
	}
	return nil
}

// settleSampler makes the plan: the sampler's usual settings, the run's, and over them the flags.
func (j *job) settleSampler() error {
	o, run, net := j.options, j.cfg.Sampling, j.cfg.Network
	if !o.chooseLangevin() {
		o.set.Sampler = preview.SamplerFor(j.cfg, j.sigmas, !j.in.Ours())
		if err := o.checkSampler(); err != nil {
			return err
		}
		j.chosen = o.set.Sampler != sample.Langevin
	}
	set := sample.DefaultsFor(o.set.Sampler, net)
	if set.Sampler == sample.Langevin {
		set.T, set.Epsilon, set.Denoise = run.T, run.Epsilon, run.Denoise
		if o.measures() && !o.Given("T") {
			// Technique 4 lowers epsilon where T grows, which would undo it: the run's stays.
			if set.T = max(knownT, run.T); set.Epsilon == 0 {
				set.Epsilon = sample.Epsilon(j.sigmas, run.T)
			}
		}
		if o.Given("T") && o.set.T != run.T {
			set.Epsilon = 0 // the run's was chosen for its T
		}
	}
	for _, f := range samplerFlags {
		if o.Given(f.name) {
			f.copy(&set, &o.set)
		}
	}
	var err error
	if j.plan, err = sample.NewPlan(set, j.sigmas[j.guide.level:]); err != nil {
		var bad *setting.Error
		if errors.As(err, &bad) && bad.Key == "nfe" {
			return cli.UsageOf(err)
		}
		return flagged(err)
	}
	if err := sample.JudgeGuided(net, j.plan); err != nil {
		return flagged(err)
	}
	if j.stays, j.unfit = sample.Judge(net, j.plan, j.sigmas); j.unfit != nil && !o.anyway {
		return flagged(j.unfit)
	}
	return nil
}

// flagged writes the flag of a setting that an error names.
func flagged(err error) error {
	var bad *setting.Error
	if errors.As(err, &bad) {
		return errors.New("-" + bad.Error())
	}
	return err
}

// says is the line about what is drawn.
func (j *job) says() string {
	o, nfe := &j.plan.Settings, j.plan.NFE()
	levels := len(j.plan.Sigmas)
	sigmas := fmt.Sprintf("sigma %.3g to %.3g", j.plan.Sigmas[0], j.plan.Sigmas[levels-1])
	switch {
	case o.Sampler == sample.Langevin:
		denoise := ""
		if o.Denoise {
			denoise = " + 1"
		}
		return fmt.Sprintf("%s at %s x T %d%s = %d evaluations of the network each, %d in all; %s, epsilon %.3g, seed %d",
			cli.Count(j.n, "sample"), cli.Count(levels, "level"), o.T, denoise, nfe, int64(nfe)*int64(j.n), sigmas, o.Epsilon,
			j.seed)
	case j.plan.Adaptive():
		return fmt.Sprintf("%s by %s; %s, seed %d", cli.Count(j.n, "sample"), j.plan, sigmas, j.seed)
	}
	return fmt.Sprintf("%s by %s = %d evaluations of the network each, %d in all; %s, seed %d", cli.Count(j.n, "sample"), j.plan,
		nfe, int64(nfe)*int64(j.n), sigmas, j.seed)
}

// choice is the line about a sampler that nobody named: until there was a choice, it was annealed Langevin dynamics.
func (j *job) choice() string {
	run := j.cfg.Sampling
	langevin := sample.Options{T: run.T, Epsilon: run.Epsilon, Denoise: run.Denoise}
	return fmt.Sprintf("%s is the default sampler for runs of %s; -sampler langevin takes the run's T %d and epsilon %.3g, %d evaluations "+
		"a sample", j.plan.Settings.Sampler, j.cfg.Network.Net, run.T, run.Epsilon, langevin.NFE(len(j.sigmas)))
}

// warnings are what there is to say against the plan.
func (j *job) warnings() (all []string) {
	if j.plan.Settings.Sampler == sample.Langevin {
		if w := j.unstable(); w != "" {
			all = append(all, w)
		}
	}
	if j.unfit == nil {
		if doubt := sample.Doubt(j.cfg.Network, j.plan); doubt != nil {
			all = append(all, flagged(doubt).Error())
		}
		return all
	}
	if j.stays == 0 {
		return append(all, fmt.Sprintf("%s knows noise only as one of its levels: the nearest one stands for the others, as -anyway "+
			"asks", j.cfg.Network.Net))
	}
	return append(all, fmt.Sprintf("%s does not see sigma: noise of %.3g sigma_L = %.3g is predicted to stay in samples whose start is "+
		"one standard deviation too loud, as -anyway allows", j.cfg.Network.Net, j.stays, j.stays*j.sigmas.End()))
}

// writeResiduals prints what noise x holds on its way, for a network that does not see sigma.
func (j *job) writeResiduals(w io.Writer) {
	net := j.cfg.Network
	if net.SeesSigma() && !net.HidesSize() {
		fmt.Fprintf(w, "%s sees sigma: nothing is to be said about the noise of its samples beforehand\n", net.Net)
		return
	}
	off := sample.StartError(net.D())
	var of [3][]sample.Residual
	for i := range of {
		of[i] = j.plan.Residuals(j.plan.Sigmas[0] * (1 + float64(i-1)*off))
	}
	fmt.Fprintf(w, "noise that a sample holds over sigma, on data that is one point, for a start %.2g %% too quiet, right, and as much too "+
		"loud:\n", 100*off)
	const lines = 12
	last := len(of[0]) - 1
	n := min(lines, last+1)
	for i := range n {
		at := last
		if n > 1 {
			at = i * last / (n - 1)
		}
		fmt.Fprintf(w, "  sigma %-8.3g %8.3f %8.3f %8.3f\n", of[0][at].Sigma, of[0][at].Ratio, of[1][at].Ratio, of[2][at].Ratio)
	}
}

// adaptiveWork is what a batch of an adaptive sampler counts for in the progress.
const adaptiveWork = 1000

// work is what a batch counts for in the progress, worked how much of it is done.
func (j *job) work() int {
	if j.plan.Adaptive() {
		return adaptiveWork
	}
	return j.plan.NFE()
}

func (j *job) worked(b preview.Batch) int {
	if !j.plan.Adaptive() {
		return b.NFE
	}
	begin, end := j.plan.Sigmas[0], j.plan.Sigmas[1]
	return int(adaptiveWork * math.Log(begin/max(b.Left, end)) / math.Log(begin/end))
}

// unstable returns a warning, with settings that are safe, where this schedule of langevin lets a network that does not see sigma
// run away or nearly so, and "" elsewhere.
func (j *job) unstable() string {
	o := &j.plan.Settings
	verdict, margin := sample.JudgeStability(j.cfg.Network.SeesSigma(), j.sigmas, o.T, o.Epsilon)
	if verdict == sample.Stable {
		return ""
	}
	will := "noise will grow from level to level"
	if verdict == sample.Marginal {
		will = "below 1 noise grows from level to level, and this is close to it"
	}
	t, eps := sample.SafeSteps(j.sigmas, o.T, o.Epsilon)
	use := fmt.Sprintf("-T %d -epsilon %.3g", t, o.Epsilon)
	if eps > 0 {
		use += fmt.Sprintf(" or -T %d -epsilon %.3g", o.T, eps)
	}
	end2 := j.sigmas.End() * j.sigmas.End()
	return fmt.Sprintf("T epsilon/sigma_L^2 = %.3g is %.2f of 4(g-1), where g = %.4g is the ratio of neighbouring "+
		"levels: %s does not see sigma and %s; use %s",
		float64(o.T)*o.Epsilon/end2, margin, j.sigmas.Ratio(), j.cfg.Network.Net, will, use)
}
