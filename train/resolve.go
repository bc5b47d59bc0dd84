// From wish to numbers: what a configuration leaves to the data is looked up there once, before training.
package train

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"time"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// Data is the data set of a run, divided.
type Data struct {
	Name    string
	Mapped  bool // it lies in a mapped file, not in memory
	Train   *kernels.Data
	HeldOut *kernels.Data // nil without a held-out loss
}

// EpsilonRule chooses or checks the step size of sampling: eps is the one asked for, 0 to choose it. It is an argument
// because this package does not know samplers.
type EpsilonRule func(sigmas model.Ladder, t int, eps float64) (float64, error)

// Resolve opens the data, divides it, and replaces every choice that the configuration leaves open by a number: the
// network's image size, the ends of the ladder, the number of levels, the step size. What it finds it tells on out. For
// a configuration that is resolved already it checks that the data is the same.
func (c *Config) Resolve(ctx context.Context, out io.Writer, epsilon EpsilonRule) (*Data, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	set, err := c.open(ctx, out)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(out, "data     %s%s\n", set.Name, map[bool]string{true: ", mapped from the cache"}[set.Mapped])
	switch {
	case c.DataSum != "" && c.DataSum != set.Sum:
		return nil, fmt.Errorf("data %q is not what this run was started with (checksum %s, expected %s): give the same data with -data, or start a new run", c.Data, set.Sum, c.DataSum)
	case c.DataSum != "" && !reflect.DeepEqual(c.Scaler, set.Scaler):
		return nil, fmt.Errorf("data %q is not what this run was started with (its columns have other names, means or deviations): give the same data with -data, or start a new run", c.Data)
	}
	if err := c.shape(&set.Data); err != nil {
		return nil, err
	}
	switch {
	case c.HeldOut > 0 && c.DataSum == "":
		c.Split = SplitByContent
	case c.HeldOut > 0 && c.Split != SplitByContent:
		fmt.Fprintf(out, "warning  this run was begun by a version of sigmaz that held other images out: its held-out losses from here on are of images that it was trained on, and its weights not those of a run that was never stopped\n")
	}
	c.DataSum, c.Scaler = set.Sum, set.Scaler
	d := &Data{Name: set.Name, Mapped: set.Mapped, Train: &set.Data}
	train := set
	if c.HeldOut > 0 {
		if 2*c.HeldOut >= set.N {
			return nil, &ValueError{"held-out", fmt.Sprintf("is %d: expected less than half of the %d images; 0 keeps none", c.HeldOut, set.N)}
		}
		var held *dataset.Set
		train, held = set.Split(c.Seed, c.HeldOut)
		d.Train, d.HeldOut = &train.Data, &held.Data
	}
	if c.Network.NeedsDataSD() && c.Network.DataSD == 0 {
		c.Network.DataSD = deviation(d.Train)
	}
	if c.Sigma.Begin.Rule != "" || c.Sigma.End.Rule != "" {
		unit := 1.0 // of the data as the network sees it
		if c.Network.Rescaled {
			unit = 2
		}
		if err := c.Sigma.fromData(ctx, out, train, unit); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := c.schedule(epsilon); err != nil {
		return nil, err
	}
	// A run whose configuration cannot be read again could not be gone on with.
	if size := len(c.YAML()); size > maxConfigBytes {
		return nil, &ValueError{"standardize", fmt.Sprintf("of %d columns would take %.1f MB of configuration, of which %.1f are read: use -standardize columns or none, or choose fewer with -columns", c.Network.Channels, float64(size)/1e6, maxConfigBytes/1e6)}
	}
	return d, nil
}

// Source is the data of the run, to be opened.
func (c *Config) Source() dataset.Source {
	return dataset.Source{Spec: c.Data, Seed: c.Seed, Settings: c.Reading, Cache: c.Cache}
}

// open reads the data, with its progress on out.
func (c *Config) open(ctx context.Context, out io.Writer) (*dataset.Set, error) {
	line := newStatus(out)
	defer line.close()
	start := time.Now()
	source := c.Source()
	source.Note = line.say
	source.Progress = func(done, total int) {
		if total == 0 {
			start = time.Now() // of what the time that is left is told of
			line.show(fmt.Sprintf("looking  at file %d", done))
			return
		}
		left := time.Duration(float64(time.Since(start)) * float64(total-done) / float64(done))
		line.show(fmt.Sprintf("reading  %d %% of %d, %s left", 100*done/total, total, shortTime(left)))
	}
	set, err := source.Open(ctx)
	var bad *setting.Error
	if errors.As(err, &bad) {
		return nil, &ValueError{bad.Key, bad.Text}
	}
	return set, err
}

// ResolveShape is Resolve without data, for -dry-run: the image size is the preset's. It fails where the data is needed.
func (c *Config) ResolveShape(epsilon EpsilonRule) error {
	if err := c.Validate(); err != nil {
		return err
	}
	if c.Sigma.Begin.Rule != "" || c.Sigma.End.Rule != "" {
		return fmt.Errorf("sigma: the rule %q needs the data", RuleData)
	}
	c.network()
	if c.Network.NeedsDataSD() && c.Network.DataSD == 0 {
		c.Network.DataSD = 1
	}
	return c.schedule(epsilon)
}

// network clears the settings that the chosen network does not have and names the choices that a new run leaves to their
// defaults, so that a stored configuration says what is.
func (c *Config) network() {
	if c.DataSum == "" {
		orElse := func(v *string, def string) {
			if *v == "" {
				*v = def
			}
		}
		orElse(&c.Network.Normalization, model.Normalizations()[0])
		orElse(&c.Network.Nonlinearity, model.Nonlinearities()[0])
		orElse(&c.Sigma.Spacing, model.Spacings()[0])
	}
	c.Network.DropUnused()
}

// shape takes the network's size from the data and refuses data that the network cannot take.
func (c *Config) shape(d *kernels.Data) error {
	vectors := d.U8 == nil
	switch {
	case vectors && c.Network.TakesImages():
		return &ValueError{"net", fmt.Sprintf("is %s, which takes images, but data %q is vectors of %d values: use -net mlp, or -preset toy", c.Network.Net, c.Data, d.D())}
	case !vectors && !c.Network.TakesImages():
		return &ValueError{"net", fmt.Sprintf("is %s, which takes vectors, but data %q is images: use -net ncsnv2", c.Network.Net, c.Data)}
	case vectors && (c.Flip || c.Dequantize):
		return &ValueError{"flip", "and dequantize are for images, and the data is vectors: leave them out"}
	}
	c.Network.Height, c.Network.Width, c.Network.Channels = d.H, d.W, d.C
	c.network()
	if vectors {
		return nil // whose deviation is still to be found
	}
	// Before the distances of all pairs are, which can take minutes; how many levels they lead to does not matter yet.
	n := c.Network
	n.Levels = max(1, c.Sigma.Levels)
	if err := n.Validate(); err != nil {
		return fmt.Errorf("%w; -size N or -size HxW makes image files another size", err)
	}
	return nil
}

// schedule completes the ladder, the step size and the learning rate.
func (c *Config) schedule(epsilon EpsilonRule) error {
	if c.Adam.LR == auto {
		c.Adam.LR = c.Network.LearningRate()
	}
	if c.Sigma.Levels == auto {
		levels, _, err := Technique2(c.Sigma.Begin.Value, c.Sigma.End.Value, c.Network.D())
		if err != nil {
			return err
		}
		c.Sigma.Levels = levels
	}
	if c.Network.Levels = 0; c.Network.NeedsLevels() {
		c.Network.Levels = c.Sigma.Levels
	}
	if err := c.Network.Validate(); err != nil {
		return err
	}
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

// checkLoss refuses a weighting of the loss that float32 cannot hold, whatever the learning rate. With zero weights the
// loss is D/2 sigma^(p-2) at level sigma, and Adam takes squares of its gradients.
func (c *Config) checkLoss(ladder model.Ladder) error {
	const least, most = 1e-18, 1e18
	p := c.Loss.AnnealPower
	for _, s := range ladder {
		if loss := 0.5 * float64(c.Network.D()) * math.Pow(float64(s), p-2); !(loss >= least && loss <= most) {
			return &ValueError{"anneal-power", fmt.Sprintf("is %g: with it the loss at sigma %.4g is about %.3g, and float32 holds it with its squares from %g to %g: expected a number about 2, which weighs all levels alike", p, s, loss, least, most)}
		}
	}
	return nil
}

// allPairs is the number of vectors beyond which the smallest distance, for which all pairs have to be looked at, is not
// found unless it is asked for.
const allPairs = 20_000

// fromData replaces the rules for the ladder's ends by numbers from the pairwise distances of the data. Both distances
// are told, whichever was asked for, but for many vectors. Lengths are unit times those in the data set.
func (s *Sigma) fromData(ctx context.Context, out io.Writer, set *dataset.Set, unit float64) error {
	if s.End.Rule == "" && set.F32 != nil && set.N > allPairs {
		largest, err := set.Diameter(ctx)
		if err != nil {
			return err
		}
		largest *= unit
		fmt.Fprintf(out, "sigma    sigma-begin data = %.6g: d_max, the largest distance between two of %d\n", largest, set.N)
		s.Begin, s.Distances = SigmaEnd{Value: largest}, &Distances{Max: largest}
		return nil
	}
	fmt.Fprintf(out, "sigma    distances between all pairs of %d ...\n", set.N)
	start, told := time.Now(), time.Now()
	dist, err := set.Distances(ctx, func(done, total int64) {
		if time.Since(told) > 5*time.Second && done > 0 {
			told = time.Now()
			left := time.Duration(float64(time.Since(start)) * float64(total-done) / float64(done))
			fmt.Fprintf(out, "         %d %% of the pairs, %s left\n", 100*done/total, shortTime(left))
		}
	})
	if err != nil {
		return err
	}
	dist.Max, dist.Min = unit*dist.Max, unit*dist.Min
	s.Distances = &Distances{Max: dist.Max, Min: dist.Min, Duplicates: int(dist.Duplicates)}
	end := dist.Min / (2 * math.Sqrt(float64(set.D())))
	fmt.Fprintf(out, "         sigma-begin data = %.6g: d_max, the largest distance between two of them\n", dist.Max)
	fmt.Fprintf(out, "         sigma-end data = %.6g: d_min/(2 sqrt D), where noise about the two nearest (d_min = %.6g, over distinct ones; %d duplicates) just touches\n", end, dist.Min, dist.Duplicates)
	fmt.Fprintf(out, "         sigma-end data-literal = %.6g: d_min itself, a distance used as a deviation per value\n", dist.Min)
	if s.Begin.Rule == RuleData {
		s.Begin = SigmaEnd{Value: dist.Max}
	}
	switch s.End.Rule {
	case RuleData:
		s.End = SigmaEnd{Value: end}
	case RuleLiteral:
		s.End = SigmaEnd{Value: dist.Min}
	}
	return nil
}

// deviation is the standard deviation of all values about their one mean.
func deviation(d *kernels.Data) float64 {
	n := float64(d.N) * float64(d.D())
	sum, sum2 := 0.0, 0.0
	for i := range d.N {
		for _, v := range d.Floats(i) {
			sum += float64(v)
		}
	}
	mean := sum / n
	for i := range d.N {
		for _, v := range d.Floats(i) {
			e := float64(v) - mean
			sum2 += e * e
		}
	}
	return math.Sqrt(sum2 / n)
}

// ringSteps is how many steps' losses the device holds before the host has to read them.
const ringSteps = 64

// Trainer is the configuration as the trainer takes it. Data and HeldOut may be nil to ask for its size only.
func (c *Config) Trainer(d *Data) (TrainerConfig, error) {
	ladder, err := c.Ladder()
	if err != nil {
		return TrainerConfig{}, err
	}
	t := TrainerConfig{
		Network: c.Network, Batch: c.Batch, Sigmas: ladder, AnnealPower: c.Loss.AnnealPower,
		Adam:    c.Adam,
		EMARate: c.EMA.Rate, EMAWarmup: c.EMA.Warmup, Seed: c.Seed, Flip: c.Flip, Dequantize: c.Dequantize,
		LevelsPerStep: c.Loss.LevelsPerStep, Stratified: c.Loss.Stratified, Ring: ringSteps,
	}
	if d != nil {
		t.Data, t.HeldOut = d.Train, d.HeldOut
	}
	return t, nil
}
