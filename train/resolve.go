// From wish to numbers: what a configuration leaves to the data is looked up there once, before training.

package train

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"sigmaz/internal/mapped"
	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// EpsilonRule chooses or checks the step size of sampling: eps is the one asked for, 0 to choose it. It is an argument
// because this package does not know samplers.
type EpsilonRule func(sigmas model.Ladder, t int, eps float64) (float64, error)

// Resolve opens the data, divides it, and replaces every choice that the configuration leaves open by a number: the
// network's image size, the ends of the ladder, the number of levels, the step size. It reports what it finds. For a
// configuration that is resolved already it checks that the data is the same.
func (c *Config) Resolve(ctx context.Context, events Events, epsilon EpsilonRule) (_ *Splits, err error) {
	defer mapped.Guard(&err)()
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.settleProcess()
	set, err := c.openData(ctx, events)
	if err != nil {
		return nil, err
	}
	if err := c.checkSame(set); err != nil {
		return nil, err
	}
	if err := c.takeClasses(set); err != nil {
		return nil, err
	}
	if err := c.TakeSize(&set.Data); err != nil {
		return nil, err
	}
	splits, train, err := c.split(set, events)
	if err != nil {
		return nil, err
	}
	if c.Network.NeedsDataSD() && c.Network.DataSD == 0 {
		c.Network.DataSD = deviation(splits.Train)
	}
	if err := c.checkCentred(splits.Train); err != nil {
		return nil, err
	}
	unit := 1.0 // of the data as the network sees it
	if c.Network.Rescaled {
		unit = 2
	}
	if c.Sigma.Begin.Rule != "" || c.Sigma.End.Rule != "" {
		if err := c.Sigma.takeFromData(ctx, events, train, unit); err != nil {
			return nil, err
		}
	} else {
		c.Sigma.noteEarlierRule(events, train, unit)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.complete(epsilon); err != nil {
		return nil, err
	}
	// A run whose configuration cannot be read again could not be gone on with.
	if size := len(c.YAML()); size > maxConfigBytes {
		return nil, setting.Errorf("standardize", "of %d columns would take %.1f MB of configuration, and at most "+
			"%.1f are read: use `standardize` columns or none, or choose fewer with `columns`",
			c.Network.Channels, float64(size)/1e6, maxConfigBytes/1e6)
	}
	return splits, nil
}

// ErrNeedsData is the error of [Config.ResolveShape] where the ladder is a function of the data.
var ErrNeedsData = fmt.Errorf("sigma: the rule %q needs the data", RuleData)

// ResolveShape is Resolve without data, for a dry run: the image size is the preset's. Where the data is needed it
// resolves what it can, leaves no size, and fails with [ErrNeedsData].
func (c *Config) ResolveShape(epsilon EpsilonRule) error {
	if err := c.Validate(); err != nil {
		return err
	}
	c.settleProcess()
	c.settleNetwork()
	if c.Sigma.Begin.Rule != "" || c.Sigma.End.Rule != "" {
		if c.Adam.LR == auto {
			c.Adam.LR = c.Network.LearningRate()
		}
		c.Network.Height, c.Network.Width, c.Network.Channels = 0, 0, 0
		return ErrNeedsData
	}
	if c.Network.NeedsDataSD() && c.Network.DataSD == 0 {
		c.Network.DataSD = 1
	}
	return c.complete(epsilon)
}

// settleNetwork clears the settings that the chosen network does not have, and names the choices that a new run
// leaves to their defaults, so that a stored configuration says what they are.
func (c *Config) settleNetwork() {
	if c.DataSum == "" {
		if c.Sigma.Spacing == "" {
			c.Sigma.Spacing = model.Spacings()[0]
		}
		c.Network.NameChoices()
	}
	c.Network.DropUnused()
}

// TakeSize takes the network's size from the data and refuses data that the network cannot take.
func (c *Config) TakeSize(d *kernels.Data) error {
	vectors := d.U8 == nil
	switch {
	case vectors && c.Network.TakesImages():
		return setting.Errorf("net", "is %s, which takes images, but data %q is vectors of %d values: use `net` "+
			"mlp, or `preset` toy",
			c.Network.Net, c.Data, d.D())
	case !vectors && !c.Network.TakesImages():
		return setting.Errorf("net", "is %s, which takes vectors, but data %q is images: use `net` ncsnv2",
			c.Network.Net, c.Data)
	case vectors && (c.Flip || c.Dequantize):
		return setting.Errorf("flip", "and `dequantize` are for images, and the data is vectors: leave them out")
	}
	c.Network.Height, c.Network.Width, c.Network.Channels = d.H, d.W, d.C
	c.settleNetwork()
	if err := c.checkQuality(d); err != nil {
		return err
	}
	if vectors {
		return nil // whose deviation is still to be found
	}
	// The size is judged before the distances of all pairs are taken, which can be minutes. How many levels they lead
	// to does not matter yet.
	n := c.Network
	n.Levels = max(1, c.Sigma.Levels)
	if err := n.Validate(); err != nil {
		return fmt.Errorf("%w; `size` N or `size` HxW makes image files another size", err)
	}
	return nil
}

// takeClasses takes the classes from the data and refuses others than the network has that the run starts from.
func (c *Config) takeClasses(set *dataset.Set) error {
	names := func(classes []string) string {
		if len(classes) == 0 {
			return "none"
		}
		return fmt.Sprintf("%d (%s to %s)", len(classes), classes[0], classes[len(classes)-1])
	}
	switch have := c.Network.Classes; {
	case have > 0 && !slices.Equal(c.ClassNames, set.Classes):
		return setting.Errorf("classes", "of the data are %s, and the network that the run starts from is told %s: give data of these "+
			"classes, with `classes` or `label`", names(set.Classes), names(c.ClassNames))
	case have == 0 && len(set.Classes) > 0 && c.Init+c.Continue != "":
		return setting.Errorf("classes", "needs a network that is told them from its first step, and that of the file has none: leave "+
			"it out, or start from weights of a run with classes")
	}
	c.Network.Classes, c.ClassNames = len(set.Classes), set.Classes
	if usual := UsualLabelDropout; c.LabelDropout == nil && len(set.Classes) > 0 {
		c.LabelDropout = &usual
	}
	return nil
}

// complete completes what follows from the other settings: learning rate, ladder and step size.
func (c *Config) complete(epsilon EpsilonRule) error {
	if c.Adam.LR == auto {
		c.Adam.LR = c.Network.LearningRate()
	}
	if c.Shards == 1 { // as every run without the setting
		c.Shards = 0
	}
	if c.Sigma.Levels == auto {
		levels, _, err := model.Technique2(c.Sigma.Begin.Value, c.Sigma.End.Value, c.Network.D())
		if err != nil {
			return err
		}
		c.Sigma.Levels = levels
	}
	c.Network.CompleteWrap(c.Noise.Density)
	if c.Network.Levels = 0; c.Network.NeedsLevels() {
		c.Network.Levels = c.Sigma.Levels
	}
	if err := c.Network.Validate(); err != nil {
		return err
	}
	if err := c.Noise.Complete(c.Network); err != nil {
		return err
	}
	c.Loss.Stratified = c.Loss.Stratified || c.Noise.Continuous()
	ladder, err := c.Ladder()
	if err != nil {
		return err
	}
	if err := c.checkLoss(ladder); err != nil {
		return err
	}
	if epsilon == nil {
		return nil
	}
	c.Sampling.Epsilon, err = epsilon(ladder, c.Sampling.T, c.Sampling.Epsilon)
	return err
}

// checkLoss refuses a weighting of the loss that float32 cannot hold, whatever the learning rate. With zero weights
// the loss is D/2 sigma^(p-2) at level sigma, and Adam takes squares of its gradients.
func (c *Config) checkLoss(ladder model.Ladder) error {
	const least, most = 1e-18, 1e18
	p := c.Loss.AnnealPower
	for _, s := range ladder {
		if loss := 0.5 * float64(c.Network.D()) * math.Pow(float64(s), p-2); !(loss >= least && loss <= most) {
			return setting.Errorf("anneal-power", "is %g: with it the loss at sigma %.4g is about %.3g, and "+
				"float32 holds it with its squares "+
				"from %g to %g: expected a number about 2, which weighs all levels alike", p, s, loss, least, most)
		}
	}
	if w := c.Noise.Weight(p); w.SD != 0 {
		_, s := c.Noise.Range(c.Network.SDE.On(ladder))
		if loss := 0.5 * float64(c.Network.D()) * w.At(s) / (s * s); !(loss <= most) {
			return setting.Errorf("sigma-data", "is %g: with it the loss at sigma %.4g is about %.3g, and float32 holds it with "+
				"its squares up to %g: expected the deviation of the data, or a lower `P-std`", w.SD, s, loss, most)
		}
	}
	return nil
}

// allPairs is the number of vectors beyond which the smallest distance, for which all pairs have to be looked at, is
// not found unless it is asked for.
const allPairs = 20_000

// takeFromData replaces the rules for the ladder's ends by numbers from the pairwise distances of the data. It
// reports both distances, whichever was asked for, unless there are very many vectors. Lengths are unit times those
// in the data set.
func (s *Sigma) takeFromData(ctx context.Context, events Events, set *dataset.Set, unit float64) error {
	if s.End.Rule == "" && set.F32 != nil && set.N > allPairs {
		largest, err := set.Diameter(ctx)
		if err != nil {
			return err
		}
		largest *= unit
		events.report(Diameter{largest, set.N})
		s.Begin, s.Distances = SigmaEnd{Value: largest}, &dataset.Distances{Max: largest}
		return nil
	}
	events.report(Comparing{set.N})
	start := time.Now()
	dist, err := set.Distances(ctx, func(done, total int64) {
		if done > 0 {
			events.report(Compared{done, total, timeLeft(start, done, total)})
		}
	})
	if err != nil {
		return err
	}
	dist.Max, dist.Min = unit*dist.Max, unit*dist.Min
	s.Distances = &dist
	end, touch := SigmaEndOf(s.Distances.Min, set.D(), set.U8 != nil, unit)
	events.report(PairDistances{*s.Distances, end, touch})
	if s.Begin.Rule == RuleData {
		s.Begin = SigmaEnd{Value: s.Distances.Max}
	}
	switch s.End.Rule {
	case RuleData:
		s.End = SigmaEnd{Value: end}
	case RuleLiteral:
		s.End = SigmaEnd{Value: s.Distances.Min}
		events.report(Warning{fmt.Sprintf("`sigma-end` %s is a distance used as a deviation per value: noise of that deviation is "+
			"%.3g times as long as the distance, and what samples end in is hidden by it; `sigma-end` %s, or 0.01, is for use",
			RuleLiteral, math.Sqrt(float64(set.D())), RuleData)})
	}
	return nil
}

// noteEarlierRule says where the sigma_L of a run is that of RuleData from before it had bounds.
func (s *Sigma) noteEarlierRule(events Events, set *dataset.Set, unit float64) {
	if s.Distances == nil || s.Distances.Min == 0 {
		return
	}
	if end, touch := SigmaEndOf(s.Distances.Min, set.D(), set.U8 != nil, unit); s.End.Value == touch && end != touch {
		events.report(DataNote{fmt.Sprintf("sigma    `sigma-end` stays %.6g, as this run was begun; in a new one the rule data "+
			"gives %.6g", touch, end)})
	}
}

// ringSteps is how many steps' losses the device holds before the host has to read them.
const ringSteps = 64

// Trainer returns the configuration as the trainer takes it. The data may be nil to ask for the trainer's size only.
func (c *Config) Trainer(s *Splits) (TrainerConfig, error) {
	ladder, err := c.Ladder()
	if err != nil {
		return TrainerConfig{}, err
	}
	t := TrainerConfig{
		Network: c.Network, Precision: c.Precision, Multiprocessors: c.Multiprocessors,
		Batch: c.Batch, Shards: c.Shards, Sigmas: ladder, Noise: c.Noise, AnnealPower: c.Loss.AnnealPower,
		Likelihood: c.Loss.Likelihood, ReduceMean: c.Loss.ReduceMean,
		Adam:    c.Adam,
		EMARate: c.EMA.Rate, EMAWarmup: c.EMA.Warmup, Seed: c.Seed, Flip: c.Flip, Dequantize: c.Dequantize,
		LabelDropout: c.LeavesOut(), LevelsPerStep: c.Loss.LevelsPerStep, Stratified: c.Loss.Stratified, Ring: ringSteps,
	}
	if s != nil {
		t.Data, t.HeldOut = s.Train, s.HeldOut
	}
	return t, nil
}
