// Train: a new run or one that is gone on with, from the configuration to the last line of output.

package traincmd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/preview"
	"sigmaz/cmd/internal/progress"
	"sigmaz/cmd/internal/watch"
	"sigmaz/internal/memory"
	"sigmaz/internal/picture"
	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// New makes the command.
func New() *cli.Command { return newFlags().Command }

// start begins a run or goes on with one.
func start(ctx context.Context, f *flags, s cli.Streams) (err error) {
	if f.follows() && (f.dryRun || f.listPresets) { // which rank 0 does
		return nil
	}
	if f.follows() && f.isChild() {
		endWithParent()
	}
	leave, err := f.join(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = leave(err) }()
	if f.follows() {
		s.Out, s.Err, f.cpuProfile, f.watching = io.Discard, io.Discard, "", watch.Options{}
	}
	out := s.Messages(f.cpuProfile)
	if err := f.checkProfile(s); err != nil {
		return err
	}
	if f.listPresets {
		return listPresets(f, out)
	}
	if err := f.startWatching(out); err != nil {
		return err
	}
	defer f.watch.Close()
	if f.resume != "" {
		return resume(ctx, f, s, out)
	}
	return begin(ctx, f, s, out)
}

// listPresets prints every preset with what it is, where its numbers come from and the data that it expects.
func listPresets(f *flags, out io.Writer) error {
	if given := f.GivenNames(); len(given) > 1 {
		return cli.Usagef("-list-presets stands alone: leave out the other flags, or use -preset NAME -dry-run to see a " +
			"preset in full")
	}
	var entries []cli.Entry
	for _, p := range train.Presets {
		data := "data: built in"
		if p.Files != "" {
			data = fmt.Sprintf("data: %s, or where -data says: %s", p.Config.Data, p.Files)
		}
		entries = append(entries, cli.Entry{Name: p.Name, Paragraphs: []string{p.What, data, "source: " + p.Source}})
	}
	return cli.PrintEntries(out, entries)
}

// begin starts a new run.
func begin(ctx context.Context, f *flags, s cli.Streams, out io.Writer) error {
	c, preset, err := f.configuration()
	if err != nil {
		return err
	}
	if f.group != nil {
		c.ShareOut(f.group.Size())
		if err := cmp.Or(c.Validate(), c.CheckRanks(f.group.Size())); err != nil {
			return cli.UsageOf(err)
		}
	}
	absent := !f.Given("data") && missing(c.Data)
	if absent && !f.dryRun {
		return f.noData(c, preset)
	}
	b, err := kernels.Open(f.device.GPU, f.device.N, c.Workers)
	if err != nil {
		return err
	}
	defer b.Close()
	if !f.goesOn { // or it would not have the bits of the run that it goes on from
		c.RecordMultiprocessors(b)
	}
	fmt.Fprintf(out, "sigmaz   preset %s, network %s, %s\n", c.Preset, c.Network.Net, b.Name())
	if f.dryRun {
		err := dryRun(ctx, f, b, c, preset, !absent, out)
		if absent && preset.Files == "" && err == nil { // no data that the preset knows: its size would be that of other data
			err = f.noData(c, preset)
		}
		return err
	}

	// The folder comes first: a place that cannot be written is known before the data is read.
	var folder string
	var lock *train.Lock
	if !f.follows() {
		if folder, lock, err = train.CreateFolder(f.runs, f.name, baseName(c, preset, f.preset != "")); err != nil {
			return cli.UsageOf(err)
		}
		defer lock.Release()
		warnLock(lock, out)
	}
	display := progress.New(out)
	defer display.Close()
	data, err := f.resolve(ctx, c, display)
	if err == nil {
		err = c.ChoosePrecision(f.device.GPU)
	}
	if err != nil {
		lock.Discard()
		return err
	}
	fmt.Fprintf(out, "run      %s\n", folder)
	if err = learn(ctx, c, data, b, train.Options{Folder: folder, DataMemory: f.dataMemory}, f, s, display); err != nil {
		lock.Discard() // nothing, once there is anything in the folder
	}
	return err
}

// resolve reads the data and settles what depends on it. A setting that does not go with the data is named by its flag,
// if that was given.
func (f *flags) resolve(ctx context.Context, c *train.Config, display *progress.Display) (*train.Splits, error) {
	data, err := c.Resolve(ctx, f.watch.Events(display.Event), epsilon)
	var bad *setting.Error
	if errors.As(err, &bad) && f.Given(bad.Key) && err.Error() == bad.Error() {
		return nil, fmt.Errorf("-%w", err)
	}
	return data, err
}

// noData is the error for data that neither the flag names nor is where the preset or the configuration says.
func (f *flags) noData(c *train.Config, preset train.Preset) error {
	const known = "pictures, arrays or tables, in a file or a folder"
	if c.Data == preset.Config.Data || f.config == "" {
		return fmt.Errorf("the data of preset %s is not at %s: say where it is with -data; expected: %s", c.Preset, c.Data,
			cmp.Or(preset.Files, known))
	}
	return fmt.Errorf("%s: its data is not at %s: mend the path, or say where it is with -data; expected: %s", f.config,
		c.Data, cmp.Or(preset.Files, known))
}

// resume goes on with a run.
func resume(ctx context.Context, f *flags, s cli.Streams, out io.Writer) error {
	if err := f.checkResume(); err != nil {
		return err
	}
	folder, _, err := train.FindFolder(f.resume, f.runs)
	if err != nil {
		return err
	}
	// The lock comes before the checkpoint is chosen: another trainer could write a newer one in between.
	if !f.dryRun && !f.follows() && train.IsRun(folder) {
		lock, err := train.LockFolder(folder)
		if err != nil {
			return err
		}
		defer lock.Release()
		warnLock(lock, out)
	}
	stored, err := train.Load(f.resume, f.runs)
	if err != nil {
		return err
	}
	c := stored.Config
	c.Precision = c.StoredPrecision()
	was := c.Precision
	if err := f.apply(c); err != nil {
		return err
	}
	if err := f.validate(c); err != nil {
		return err
	}
	if err := stored.CheckSteps(c.Steps); err != nil {
		return fmt.Errorf("-%w", err)
	}
	if f.group != nil {
		if err := c.CheckRanks(f.group.Size()); err != nil {
			return fmt.Errorf("%s: %w", stored.Folder, err)
		}
	}
	b, err := kernels.Open(f.device.GPU, f.device.N, c.Workers)
	if err != nil {
		return err
	}
	defer b.Close()
	fmt.Fprintf(out, "sigmaz   resume %s at step %d, network %s, %s\n", stored.Folder, stored.Step(),
		c.Network.Net, b.Name())
	if c.Precision != was {
		fmt.Fprintf(out, "warning  the run goes on in %s and was in %s until now: its bits are others from here on\n",
			c.Precision, was)
	}
	if f.dryRun {
		stored := train.Preset{Name: c.Preset, Source: "the stored configuration"}
		return dryRun(ctx, f, b, c, stored, true, out)
	}
	display := progress.New(out)
	defer display.Close()
	data, err := f.resolve(ctx, c, display)
	if err == nil {
		err = c.ChoosePrecision(f.device.GPU)
	}
	if err != nil && !f.Given("data") {
		err = cmp.Or(moved(stored.Folder, c.Data), err)
	}
	if err != nil {
		return err
	}
	return learn(ctx, c, data, b, train.Options{Folder: stored.Folder, From: stored, DataMemory: f.dataMemory}, f, s, display)
}

// warnLock warns where a folder could not be locked.
func warnLock(l *train.Lock, out io.Writer) {
	if l.Warning != "" {
		fmt.Fprintf(out, "warning  %s\n", l.Warning)
	}
}

// learn runs the loop and says where everything is.
func learn(ctx context.Context, c *train.Config, data *train.Splits, b kernels.Backend, o train.Options, f *flags,
	s cli.Streams, display *progress.Display) (err error) {
	out := s.Messages(f.cpuProfile)
	sigmas, err := c.Ladder()
	if err != nil {
		return err
	}
	if err := checkMemory(b, c, data, f.device.GPU); err != nil {
		return err
	}
	if c.Precision != "" {
		info, err := model.Describe(c.Network)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "compute  %s\n", precisionText(c.Precision, info.TensorMACs > 0))
	}
	fmt.Fprintf(out, "ladder   %s\n", ladderText(c, sigmas))
	if c.Noise.Continuous() {
		fmt.Fprintf(out, "noise    %s\n", noiseText(c, sigmas))
	}
	average := "no moving average of the weights"
	if c.EMA.Rate > 0 {
		average = fmt.Sprintf("moving average of the weights %g%s", c.EMA.Rate,
			map[bool]string{true: ", warmed up"}[c.EMA.Warmup])
	}
	fmt.Fprintf(out, "adam     learning rate %.4g%s; %s\n", c.Adam.LR, limitsText(c.Adam), average)
	warnMargin(c, sigmas, out)
	warnWarmup(c, out)
	warnAverage(c, out)
	o.Backend, o.Events = b, f.watch.Events(display.Event)
	f.watch.Begin(watch.Run{Folder: o.Folder, Config: c, Sigmas: sigmas, About: aboutText(c, sigmas, b), FreeMemory: b.FreeMemory})
	if o.Ranks = f.group; !f.follows() {
		if o.Hooks.Preview, err = previews(c, data, sigmas, b); err != nil {
			return err
		}
		if o.Hooks.Quality, err = quality(c, data, sigmas, b); err != nil {
			return err
		}
	}
	if o.Hooks.Quality != nil {
		text, err := qualityCost(c, sigmas)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "quality  %s\n", text)
	}
	if text := picture.ChannelsText(c.Network.Channels); text != "" && o.Hooks.Preview != nil && !c.Network.Vectors() {
		fmt.Fprintf(out, "previews show samples %s\n", text)
	}
	stop, err := profile(cli.Output{Flag: "-cpuprofile", Path: f.cpuProfile}, s)
	if err != nil {
		return err
	}
	defer func() { err = cmp.Or(err, stop()) }()
	if g := f.group; g != nil {
		fmt.Fprintf(out, "ranks    %d processes, which do %s of each batch each; rank 0 writes and reports\n", g.Size(),
			cli.Count(c.Shards/g.Size(), "part"))
	}
	fmt.Fprintf(out, "training %s of %d%s; Ctrl-C saves and stops\n", cli.Count(int(c.Steps), "step"), c.Batch, partsText(c))
	r, err := train.Run(ctx, c, data, o)
	display.Close()
	defer func() { err = f.stopWatching(r, err, out) }()
	if err != nil {
		return err
	}
	again := f.CommandLine("train", f.device)
	if f.Given("gpus") {
		again = f.CommandLine("train", cli.Device{}) + " -gpus " + f.gpus.String()
	}
	if f.Given("data-memory") {
		again += " -data-memory " + string(f.dataMemory)
	}
	again += watchAgain(f) + " -resume " + cli.Shell(o.Folder)
	if r.Stopped {
		fmt.Fprintf(out, "stopped after step %d of %d, saved as %s\ngo on with: %s\n", r.Step, c.Steps, r.Checkpoint, again)
		return nil
	}
	if o.From != nil && o.From.Step() == r.Step {
		fmt.Fprintf(out, "the run is at its last step, %d; %s -steps %d trains on\n", r.Step, again, 2*r.Step)
	} else {
		fmt.Fprintf(out, "done     %s in %s, %.0f %s/s\n", cli.Count(int(r.Step), "step"), r.Elapsed.Round(100*time.Millisecond),
			r.ImagesPerS, c.Rows())
	}
	if r.Loss == r.Loss {
		fmt.Fprintf(out, "loss     %.4g, %.3f of %s, over the last window", r.Loss, r.Relative, c.Unit())
		if r.HeldOut == r.HeldOut {
			fmt.Fprintf(out, "; held out%s: %.4g", map[bool]string{true: ", averaged weights"}[c.EMA.Rate > 0], r.HeldOut)
		}
		fmt.Fprintln(out)
	}
	if r.Picture != "" {
		fmt.Fprintf(out, "pictures %s\n", r.Picture)
	}
	fmt.Fprintf(out, "weights  %s\nsample   %s %s\n", r.Checkpoint, f.CommandLine("sample", f.device), cli.Shell(o.Folder))
	return nil
}

// partsText says in how many parts a batch is done, if it is more than one.
func partsText(c *train.Config) string {
	if c.Shards < 2 {
		return ""
	}
	return fmt.Sprintf(" in %d parts", c.Shards)
}

// checkProfile refuses a name for the profile that stands for another file. Nothing in a file says that it is an old
// profile and not data, so that none is replaced.
func (f *flags) checkProfile(s cli.Streams) error {
	if f.cpuProfile == "" {
		return nil
	}
	if _, err := os.Lstat(f.cpuProfile); err == nil && f.cpuProfile != cli.Stdout {
		return fmt.Errorf("-cpuprofile: %s exists already: expected the name of a new file; choose another, or delete it",
			f.cpuProfile)
	}
	return cli.Output{Flag: "-cpuprofile", Path: f.cpuProfile}.Check(s)
}

// profile starts a CPU profile, if there is to be one, which stop writes.
func profile(to cli.Output, s cli.Streams) (stop func() error, err error) {
	if to.Path == "" {
		return func() error { return nil }, nil
	}
	var b bytes.Buffer
	if err := pprof.StartCPUProfile(&b); err != nil {
		return nil, fmt.Errorf("-cpuprofile: %w", err)
	}
	return func() error {
		pprof.StopCPUProfile()
		return to.Write(s, func(w io.Writer) error { _, err := b.WriteTo(w); return err })
	}, nil
}

// precisionText says what a precision other than float32 is used for: convolutions for tensor cores, if there are any.
func precisionText(p kernels.Precision, used bool) string {
	if !used {
		return fmt.Sprintf("float32: no convolution has channels in multiples of 32, so -precision %s changes nothing", p)
	}
	return fmt.Sprintf("convolutions in %s", p)
}

// trainerWords returns the memory in four-byte words that training with a configuration takes.
func trainerWords(b kernels.Backend, c *train.Config, data *train.Splits) (int, error) {
	tc, err := c.Trainer(data)
	if err != nil {
		return 0, err
	}
	return train.TrainerWords(b, tc)
}

// checkMemory refuses a network and batch that the machine cannot hold, before the attempt ends the process. A GPU says
// so itself.
func checkMemory(b kernels.Backend, c *train.Config, data *train.Splits, gpu bool) error {
	words, err := trainerWords(b, c, data)
	if err != nil {
		return err
	}
	have := memory.Host()
	if need := 4 * float64(words); !gpu && have > 0 && need > have {
		what := fmt.Sprintf("ngf %d", c.Network.NGF)
		if c.Network.Vectors() {
			what = fmt.Sprintf("hidden %d", c.Network.Hidden)
		}
		whose := "this machine has"
		if _, left, ok := memory.Limit(); ok && left <= have {
			whose = "the limit of this process (ulimit) leaves"
		}
		return fmt.Errorf("training with batch %d and %s needs %s of memory, and %s %s: lower one of the two, or do the batch in "+
			"parts with -shards (-dry-run tells what a choice takes)", c.Batch, what, cli.Bytes(need), whose, cli.Bytes(have))
	}
	return nil
}

// previews returns the function that draws pictures of the training, all from one seed, so that two of them differ by
// the weights alone. Its memory is taken here, before that of the training, so that a device on which both do not fit
// is known at once.
func previews(c *train.Config, data *train.Splits, sigmas model.Ladder, b kernels.Backend) (
	func(context.Context, uint64, []model.Named, string) error, error) {
	if c.PreviewN == 0 {
		return nil, nil
	}
	plan, err := preview.PlanFor(c, sigmas)
	if err != nil {
		return nil, err
	}
	p, err := preview.New(b, c.Network, c.Precision, sigmas, plan, c.Seed, c.PreviewN)
	if err != nil {
		return nil, fmt.Errorf("previews: %w; -preview-n 0 draws none", err)
	}
	if data.Train.F32 != nil {
		for i := range min(data.Train.N, c.PreviewN) {
			p.Data = append(p.Data, data.Train.Floats(i)...)
		}
		if c.Scaler != nil {
			p.Names = c.Scaler.CoordinateNames()
		}
	}
	return func(ctx context.Context, step uint64, weights []model.Named, path string) error {
		return p.Write(ctx, weights, "", path)
	}, nil
}

// sampling returns the options by which samples of a run are drawn.
func sampling(c *train.Config) sample.Options {
	return sample.Options{T: c.Sampling.T, Epsilon: c.Sampling.Epsilon, Denoise: c.Sampling.Denoise, Seed: c.Seed}
}

// evaluations returns what a sample takes where nobody chooses a sampler, and which sampler that is.
func evaluations(c *train.Config, sigmas model.Ladder) (nfe int, sampler string) {
	sampler = preview.SamplerFor(c, sigmas, false)
	if sampler == sample.Langevin {
		return sampling(c).NFE(len(sigmas)), sampler
	}
	return sample.SamplerOf(sampler).Steps, sampler
}

// epsilon returns the step size of sampling: the one asked for, or Technique 4's where that is 0. It is checked.
func epsilon(sigmas model.Ladder, t int, eps float64) (float64, error) {
	if eps == 0 {
		eps = sample.Epsilon(sigmas, t)
	}
	return eps, sample.Options{T: t, Epsilon: eps}.Check(sigmas)
}

// missing tells whether data is one path and nothing is there.
func missing(data string) bool {
	spec, err := dataset.ParseSpec(data)
	if err != nil || len(spec.Paths) != 1 {
		return false
	}
	_, err = os.Stat(spec.Paths[0])
	return errors.Is(err, fs.ErrNotExist)
}

// moved explains that a run's data is not where its configuration says, which may be relative to the folder that the run
// was started in; nil where every path leads to something.
func moved(folder, data string) error {
	spec, err := dataset.ParseSpec(data)
	if err != nil {
		return nil
	}
	started := filepath.Join(folder, "..", "..") // unless it was told to keep runs elsewhere
	var here, there []string
	gone := ""
	for _, p := range spec.Paths {
		if _, err := os.Stat(p); errors.Is(err, fs.ErrNotExist) && gone == "" {
			gone = p
		}
		here = append(here, p)
		if !filepath.IsAbs(p) {
			p = filepath.Join(started, p)
		}
		if _, err := os.Stat(p); err == nil {
			there = append(there, p)
		}
	}
	switch {
	case gone == "":
		return nil
	case filepath.IsAbs(gone):
		return fmt.Errorf("the data of %s is not at %s any more: say where it is with -data", folder, gone)
	}
	hint := ""
	if len(there) == len(here) {
		hint = ", such as -data " + cli.Shell(strings.Join(there, ","))
	}
	return fmt.Errorf("the data of %s is not at %s, which counts from the folder in which the run was started, not from "+
		"this one: go on from there, or say where it is with -data%s", folder, gone, hint)
}

func ladderText(c *train.Config, sigmas model.Ladder) string {
	text := fmt.Sprintf("%s, sigma %.4g to %.4g, ratio g = %.6g; T = %d, epsilon = %.4g, "+
		"%d score evaluations a sample",
		cli.Count(len(sigmas), "level"), sigmas.Begin(), sigmas.End(), sigmas.Ratio(), c.Sampling.T, c.Sampling.Epsilon,
		sampling(c).NFE(len(sigmas)))
	if nfe, sampler := evaluations(c, sigmas); sampler != sample.Langevin {
		text += fmt.Sprintf(" by %s, %d by %s, the default", sample.Langevin, nfe, sampler)
	}
	return text
}

// noiseText says what sigma is drawn from where that is not the ladder.
func noiseText(c *train.Config, sigmas model.Ladder) string {
	n := c.Noise
	if n.Density == model.UniformTime {
		sde := c.Network.SDE
		least, most := n.Range(sde.On(sigmas))
		return fmt.Sprintf("%s of %s, beta %g to %g, stratified over the batch: sigma/m from %.3g to %.4g", n.Density, sde.Kind,
			sde.BetaMin, sde.BetaMax, least, most)
	}
	if n.Density == model.LogUniform {
		return fmt.Sprintf("%s between both ends of the ladder, stratified over the batch", n.Density)
	}
	above, below := n.Outside(sigmas)
	return fmt.Sprintf("%s, P_mean %.4g, P_std %.4g, stratified over the batch: %.2g %% of the draws above the ladder, %.2g %% "+
		"below; weight (sigma^2 + s^2)/s^2, s = %.4g", n.Density, *n.PMean, n.PStd, 100*above, 100*below, n.SigmaData)
}

// warnMargin warns where sampling from a network that does not see sigma would run away or nearly so.
func warnMargin(c *train.Config, sigmas model.Ladder, out io.Writer) {
	verdict, margin := sample.JudgeStability(c.Network.SeesSigma(), sigmas, c.Sampling.T, c.Sampling.Epsilon)
	if verdict == sample.Stable {
		return
	}
	what := "is close to it"
	if verdict == sample.Unstable {
		what = "is beyond it"
	}
	fmt.Fprintf(out, "warning  T q / (4(g-1)) = %.2f: below 1 samples of a network that does not see sigma run away, "+
		"and this %s; use more levels or a larger T (%.1f is safe)\n", margin, what, sample.SafeMargin)
}

// limitsText says what keeps Adam's steps small, if anything does.
func limitsText(a train.Adam) (text string) {
	if a.Warmup > 0 {
		text += fmt.Sprintf(", warmed up over %d steps", a.Warmup)
	}
	if a.Clip > 0 {
		text += fmt.Sprintf(", gradients clipped at %g", a.Clip)
	}
	return text
}

// warnWarmup warns of a learning rate that is never reached.
func warnWarmup(c *train.Config, out io.Writer) {
	if w := c.Adam.Warmup; w >= c.Steps {
		fmt.Fprintf(out, "warning  the learning rate rises over %d steps and the run has %d: its last step has %.2g of it\n",
			w, c.Steps, float64(c.Steps-1)/float64(w))
	}
}

// warnAverage warns where samples, which are drawn with the moving average of the weights, will show the weights that
// training began with.
func warnAverage(c *train.Config, out io.Writer) {
	if c.EMA.Warmup || c.EMA.Rate == 0 || c.Init != "" || c.Continue != "" {
		return
	}
	if left := math.Pow(c.EMA.Rate, float64(c.Steps)); left > 0.01 {
		fmt.Fprintf(out, "warning  after %d steps the moving average, with which samples are drawn, still holds %.0f %% of "+
			"the initial weights; -ema-warmup lets it follow from the start\n", c.Steps, 100*left)
	}
}

// dryRun prints the resolved settings and what a run with them costs. Without the data it takes the preset's image
// size; where that is not enough, it prints the settings alone.
func dryRun(ctx context.Context, f *flags, b kernels.Backend, c *train.Config, preset train.Preset, hasData bool,
	out io.Writer) error {
	var data *train.Splits
	var err error
	if !hasData {
		expected, sizes := "", "sizes are the preset's"
		if preset.Files != "" {
			expected = "; expected: " + preset.Files
		}
		err = c.ResolveShape(epsilon)
		if errors.Is(err, train.ErrNeedsData) {
			sizes = "shapes are unknown"
		}
		fmt.Fprintf(out, "data     nothing at %s (-data says where it is%s); %s\n", c.Data, expected, sizes)
		if errors.Is(err, train.ErrNeedsData) {
			fmt.Fprintf(out, "\n%s\nshapes      unknown without the data, and with them the ladder, the step size and the "+
				"cost\n", c.YAML())
			return nil
		}
	} else {
		display := progress.New(out)
		defer display.Close()
		data, err = f.resolve(ctx, c, display)
	}
	if err == nil {
		err = c.ChoosePrecision(f.device.GPU)
	}
	if err != nil {
		return err
	}
	sigmas, err := c.Ladder()
	if err != nil {
		return err
	}
	info, err := model.Describe(c.Network)
	if err != nil {
		return err
	}
	tc, err := c.Trainer(data)
	if err != nil {
		return err
	}
	tc.DataMemory = f.dataMemory
	words, err := train.TrainerWords(b, tc)
	if err != nil {
		return err
	}
	taken := words
	n := c.Network
	fmt.Fprintf(out, "\n%s\n", c.YAML())
	fmt.Fprintf(out, "source      %s\n", preset.Source)
	fmt.Fprintf(out, "network     %s on %dx%dx%d: %d parameters in %d tensors\n", n.Net, n.Height, n.Width, n.Channels,
		info.Parameters, info.Tensors)
	fmt.Fprintf(out, "cost        %s multiply-adds an image forward, about three times that a training step and image\n",
		count(float64(info.MACs)))
	nfe, _ := evaluations(c, sigmas)
	fmt.Fprintf(out, "            %s over the run, and %s a sample\n",
		count(3*float64(info.MACs)*float64(c.Batch)*float64(c.Steps)),
		count(float64(info.MACs)*float64(nfe)))
	if f.gpus > 0 {
		if err := printScale(out, c, info, int(f.gpus)); err != nil {
			return err
		}
	}
	if c.EvalMetric != "" {
		text, err := qualityCost(c, sigmas)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "quality     %s\n", text)
	}
	if c.Precision != "" {
		fmt.Fprintf(out, "precision   %s for %.3g %% of them, by tensor cores\n", c.Precision,
			100*float64(info.TensorMACs)/float64(info.MACs))
	}
	fmt.Fprintf(out, "memory      %s for training", cli.Bytes(4*float64(words)))
	if c.PreviewN > 0 {
		plan, err := preview.PlanFor(c, sigmas)
		if err != nil {
			return err
		}
		words, err := preview.Words(b, c.Network, c.Precision, plan, c.PreviewN)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, ", %s for previews", cli.Bytes(4*float64(words)))
		taken += words
	}
	if data != nil {
		where := "of data"
		if data.Mapped {
			where = "of data on disk, mapped"
		}
		fmt.Fprintf(out, ", %s %s", cli.Bytes(float64(tc.Place(0).Data)), where)
	}
	if free, own := b.FreeMemory(); own && data != nil {
		fmt.Fprintf(out, "\ndata        %s", progress.PlacementText(tc.Place(free-4*int64(taken))))
	}
	fmt.Fprintf(out, "\ncheckpoint  %s\n", cli.Bytes(16*float64(info.Parameters)))
	fmt.Fprintf(out, "loss        D/2 = %g with zero weights (anneal-power 2)\n", float64(n.D())/2)
	fmt.Fprintf(out, "ladder      %s\n", ladderText(c, sigmas))
	if c.Noise.Continuous() {
		fmt.Fprintf(out, "noise       %s\n", noiseText(c, sigmas))
	}
	if c.Network.SeesSigma() {
		fmt.Fprintf(out, "stability   the network sees sigma: no condition on T\n")
	} else {
		fmt.Fprintf(out, "stability   T q / (4(g-1)) = %.3g with q = epsilon/sigma_L^2; %g or more is safe\n",
			sample.StabilityMargin(sigmas, c.Sampling.T, c.Sampling.Epsilon), sample.SafeMargin)
	}
	return nil
}

// count writes a large number with a prefix of the SI: 9.9 G.
func count(v float64) string {
	for _, u := range []struct {
		v float64
		s string
	}{{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.v {
			return fmt.Sprintf("%.3g %s", v/u.v, u.s)
		}
	}
	return fmt.Sprintf("%.3g", v)
}

// baseName returns the run's name without its number: the preset's, or the data's where that says more.
func baseName(c *train.Config, preset train.Preset, presetGiven bool) string {
	spec, _ := dataset.ParseSpec(c.Data) // an error is told where the data is opened
	if spec.Kind == dataset.Toy {
		return spec.Toy
	}
	if presetGiven || c.Data == preset.Config.Data {
		return preset.Name
	}
	first := c.Data
	if len(spec.Paths) > 0 {
		first = spec.Paths[0]
	}
	name := strings.TrimLeft(filepath.Base(filepath.Clean(first)), ".")
	for _, ext := range []string{".gz", ".bz2", ".tar", ".tgz", ".zip", ".csv", ".tsv", ".txt", ".npy", ".npz", ".bin"} {
		name = strings.TrimSuffix(name, ext)
	}
	if name == "" || name == string(filepath.Separator) {
		return preset.Name
	}
	return name
}
