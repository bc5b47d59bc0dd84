// What is wrong with a configuration, before the data is known.

package train

import (
	"cmp"
	"math"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
)

// Bounds far above any use, below which sizes are computed without overflow. What really fits is a matter of memory.
const (
	maxBatch   = 1 << 20
	maxPreview = 100_000
)

// Validate judges each setting by itself and the settings against each other, as far as that is possible without the
// data. The error is a [*setting.Error]: one sentence that begins with the setting's name.
func (c *Config) Validate() error {
	return cmp.Or(
		c.validateData(),
		c.Network.ValidateSettings(),
		c.Sigma.validate(),
		c.validateStart(),
		c.validateClasses(),
		c.validatePrecision(),
		c.validateMultiprocessors(),
		c.validateSteps(),
		c.Loss.validate(c.Batch),
		c.validateNoise(),
		c.validateProcess(),
		c.Adam.validate(),
		c.EMA.validate(),
		model.CheckT(c.Sampling.T),
		model.CheckEpsilon(c.Sampling.Epsilon),
		model.CheckSampler(c.Sampling.Sampler),
		c.validateBookkeeping(),
	)
}

func (c *Config) validateData() error {
	switch {
	case c.Data == "":
		return setting.Errorf("data", `is empty: expected "glyphs", "toy:NAME", files or a folder`)
	case c.HeldOut < 0:
		return setting.Errorf("held-out", "is %d: expected a number of images, or 0 for no held-out loss", c.HeldOut)
	case c.Split != "" && c.Split != SplitByContent:
		return setting.Errorf("split", "is %q: expected %s, the rule by which held-out images are chosen; "+
			"another version of sigmaz may know it",
			c.Split, SplitByContent)
	}
	return c.Reading.Validate()
}

// validate judges the ladder by what is known of it: an end that a rule will find is at odds with nothing.
func (s *Sigma) validate() error {
	begin, end, levels := s.Begin.Value, s.End.Value, s.Levels
	if s.Begin.Rule != "" {
		begin = math.MaxFloat64
	}
	if s.End.Rule != "" {
		end = math.SmallestNonzeroFloat64
	}
	if levels == auto {
		levels = 2
	}
	switch {
	case s.Spacing == model.LinearSpacing && s.Levels == auto:
		return setting.Errorf("levels", "is auto, by Technique 2, which is about geometric ladders: give a "+
			"number with linear spacing")
	case s.Begin.Rule == RuleLiteral:
		return setting.Errorf("sigma-begin", "is %s: expected a number or %q; %[1]s is a rule for `sigma-end`",
			RuleLiteral, RuleData)
	}
	return model.CheckLadder(s.Spacing, begin, end, levels)
}

func (c *Config) validateStart() error {
	if c.Init != "" && c.Continue != "" {
		return setting.Errorf("init", "and `continue` are both given: expected one of them; `continue` takes the "+
			"weights too")
	}
	return nil
}

func (c *Config) validateClasses() error {
	p := c.LabelDropout
	switch {
	case c.Reading.Labelled():
		if err := c.Network.CheckClasses(); err != nil {
			return err
		}
	case p != nil:
		return setting.Errorf("label-dropout", "is for runs whose network is told classes: give `classes`, or leave it out")
	}
	if p != nil && !(*p >= 0 && *p < 1) {
		return setting.Errorf("label-dropout", "is %g: expected a probability from 0 to below 1, such as %g", *p, UsualLabelDropout)
	}
	return nil
}

func (c *Config) validateSteps() error {
	switch {
	case c.Batch < 1:
		return setting.Errorf("batch", "is %d: expected at least 1 image a step", c.Batch)
	case c.Batch > maxBatch:
		return setting.Errorf("batch", "is %d: expected at most %d images a step", c.Batch, maxBatch)
	case checkShards(c.Shards, c.Batch) != nil:
		return checkShards(c.Shards, c.Batch)
	case c.Steps < 1:
		return setting.Errorf("steps", "is %d: expected at least 1 optimiser step", c.Steps)
	case c.Steps > 1<<53:
		return setting.Errorf("steps", "is %d: expected at most 2^53", c.Steps)
	}
	return nil
}

func (l *Loss) validate(batch int) error {
	switch {
	case !finite(l.AnnealPower):
		return setting.Errorf("anneal-power", "is %g: expected a number; 2 weighs all levels alike", l.AnnealPower)
	case l.LevelsPerStep < 0:
		return setting.Errorf("levels-per-step", "is %d: expected at least 1, or 0 for a level for each image",
			l.LevelsPerStep)
	case l.LevelsPerStep > batch:
		return setting.Errorf("levels-per-step", "is %d, more than the %d images of a batch: lower it or "+
			"raise `batch`", l.LevelsPerStep, batch)
	}
	return nil
}

// validateNoise judges how sigma is drawn against the settings that are about the levels of the ladder.
func (c *Config) validateNoise() error {
	n := c.Noise
	if c.Network.SDE.Preserving() && n.Density == "" {
		n.Density = model.UniformTime // see settleProcess
	}
	if err := cmp.Or(n.Check(), n.CheckFor(c.Network)); err != nil || !n.Continuous() {
		return err
	}
	switch {
	case c.Loss.LevelsPerStep > 0:
		return setting.Errorf("levels-per-step", "is %d, and `noise` %s draws a sigma for each image: leave it at 0",
			c.Loss.LevelsPerStep, n.Density)
	case c.Loss.AnnealPower != 2:
		return setting.Errorf("anneal-power", "is %g, and `noise` %s has a weight of its own: leave it at 2",
			c.Loss.AnnealPower, n.Density)
	case n.Density == model.LogUniform && c.Sigma.Levels == 1:
		return setting.Errorf("levels", "is 1, and `noise` %s draws sigma between both ends of the ladder: give 2 or more",
			n.Density)
	}
	return nil
}

func (a *Adam) validate() error {
	switch {
	case a.LR != auto && !(a.LR > 0 && finite(a.LR)):
		return setting.Errorf("lr", "is %g: expected a positive learning rate, such as 1e-4, or 0 for one that "+
			"suits the network", a.LR)
	case !(a.Beta1 >= 0 && a.Beta1 < 1):
		return setting.Errorf("beta1", "is %g: expected a number in [0, 1)", a.Beta1)
	case !(a.Beta2 >= 0 && a.Beta2 < 1):
		return setting.Errorf("beta2", "is %g: expected a number in [0, 1)", a.Beta2)
	case !(a.Eps > 0 && finite(a.Eps)):
		return setting.Errorf("adam-eps", "is %g: expected a positive number, such as 1e-8", a.Eps)
	case !(a.Clip >= 0 && finite(a.Clip)):
		return setting.Errorf("grad-clip", "is %g: expected a positive norm, such as 1, or 0 to leave gradients as they are", a.Clip)
	case a.Warmup > 1<<53:
		return setting.Errorf("lr-warmup", "is %d: expected at most 2^53 steps", a.Warmup)
	}
	return nil
}

func (e *EMA) validate() error {
	if !(e.Rate >= 0 && e.Rate < 1) {
		return setting.Errorf("ema", "is %g: expected a rate in [0, 1); 0 keeps no average", e.Rate)
	}
	return nil
}

func (c *Config) validateBookkeeping() error {
	switch {
	case c.LogEvery < 1:
		return setting.Errorf("log-every", "is %d: expected at least 1 step", c.LogEvery)
	case c.PreviewN < 0:
		return setting.Errorf("preview-n", "is %d: expected a number of samples, or 0 for no previews", c.PreviewN)
	case c.PreviewN > maxPreview:
		return setting.Errorf("preview-n", "is %d: expected at most %d samples", c.PreviewN, maxPreview)
	case c.KeepCheckpoints < 0:
		return setting.Errorf("keep-checkpoints", "is %d: expected a number of checkpoints to keep, or 0 for all",
			c.KeepCheckpoints)
	}
	return cmp.Or(c.validateQuality(), kernels.CheckWorkers(c.Workers))
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// checkSteps judges the steps of a run that begins after some are done, which are those of what, and makes at least
// so many more.
func checkSteps(steps uint64, what string, done, more uint64) error {
	if steps < done || steps-done < more {
		return setting.Errorf("steps", "is %d, but %s is at step %d already: give more", steps, what, done)
	}
	return nil
}
