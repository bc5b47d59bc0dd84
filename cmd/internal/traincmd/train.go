// Train: a new run or one that is gone on with, from the configuration to the last line of output.

package traincmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/progress"
	"sigmaz/cmd/internal/watch"
	"sigmaz/internal/picture"
	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
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
