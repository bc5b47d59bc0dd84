// Flags: one table that the parser, the help text, and the rules of -resume read.
package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/weights"
	"sigmaz/internal/nearest"
	wrong "sigmaz/internal/setting"
	"sigmaz/model"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// setting is a flag that sets one field of the configuration.
type setting struct {
	group string
	name  string
	arg   string // placeholder in the help text
	unit  string
	help  string
	field func(c *train.Config) any // pointer to the field, as [cli.Set] takes it
	// free settings change no result, or are checked by other means, and may be given with -resume
	free bool
}

// The groups of the help text, in its order.
const (
	inData         = "Data and network"
	inNoise        = "Noise ladder and loss"
	inOptimisation = "Optimisation"
	inSampling     = "Sampling (previews; defaults of the sample command)"
	inBookkeeping  = "Bookkeeping"
	inMachine      = "Machine"
)

// notes are said below the headings.
var notes = map[string]string{
	inNoise: "SIGMA is a standard deviation per value, in the units of the data: images are in [0, 1], or with -rescaled in [-1, 1].",
}

// settings in the order of the help text.
var settings = []setting{
	{inData, "data", "SPEC", "", "what to learn: glyphs, toy:NAME, or a folder or files, commas between: pictures (PNG, JPEG; also in ZIP or TAR), IDX, CIFAR-10 binary, NPY, CSV", func(c *train.Config) any { return &c.Data }, true},
	{inData, "crop", "HxW", "pixels", "cut out the middle of each image, HxW or N for a square, before it is scaled", func(c *train.Config) any { return &c.Reading.Crop }, false},
	{inData, "size", "HxW", "pixels", "scale each image to HxW, or N for a square, and cut off what its other aspect leaves over", func(c *train.Config) any { return &c.Reading.Size }, false},
	{inData, "channels", "WHICH", "", "grey, colour, or auto: grey if every image is", func(c *train.Config) any { return word{&c.Reading.Channels, "grey,colour"} }, false},
	{inData, "layout", "ORDER", "", "of NPY images (N, ...): nhwc, nchw, or auto: channels are the dimension that is 1 or 3", func(c *train.Config) any { return word{&c.Reading.Layout, "nhwc,nchw"} }, false},
	{inData, "columns", "LIST", "", "columns of a table to learn: names, numbers from 1 and ranges, such as a,c,3-5", func(c *train.Config) any { return &c.Reading.Columns }, false},
	{inData, "header", "WHETHER", "", "whether a table begins with its columns' names: yes, no, or auto: unless its first line is all numbers", func(c *train.Config) any { return word{&c.Reading.Header, "yes,no"} }, false},
	{inData, "standardize", "HOW", "", "bring vectors from files to unit size: columns (mean 0, deviation 1), whiten (no correlation either) or none; undone on samples", func(c *train.Config) any { return word{&c.Reading.Standardize, "columns,whiten,none"} }, false},
	{inData, "cache", "DIR", "", "folder for decoded images, or none", func(c *train.Config) any { return &c.Cache }, true},
	{inData, "held-out", "N", "images", "images kept from training for the held-out loss; 0: none", func(c *train.Config) any { return &c.HeldOut }, false},
	{inData, "flip", "", "", "mirror images left to right at random", func(c *train.Config) any { return &c.Flip }, false},
	{inData, "dequantize", "", "", "add uniform noise below one grey level", func(c *train.Config) any { return &c.Dequantize }, false},
	{inData, "net", "NAME", "", "network: " + strings.Join(model.Networks(), ", ") + "; mlp is for vectors, and ncsn brings its own ladder and sampling to another network's preset", func(c *train.Config) any { return &c.Network.Net }, false},
	{inData, "ngf", "N", "channels", "width of the networks for images: channels at full resolution", func(c *train.Config) any { return &c.Network.NGF }, false},
	{inData, "normalization", "NAME", "", "norm of the networks for images: " + strings.Join(model.Normalizations(), " or "), func(c *train.Config) any { return &c.Network.Normalization }, false},
	{inData, "nonlinearity", "NAME", "", "activation of the networks for images: " + strings.Join(model.Nonlinearities(), ", "), func(c *train.Config) any { return &c.Network.Nonlinearity }, false},
	{inData, "rescaled", "", "", "learn images in [-1, 1] instead of [0, 1]; sigma is then in those units", func(c *train.Config) any { return &c.Network.Rescaled }, false},
	{inData, "hidden", "N", "units", "width of mlp: units of each hidden layer", func(c *train.Config) any { return &c.Network.Hidden }, false},

	{inNoise, "sigma-begin", "SIGMA", "", "largest noise: a number, or data: the largest distance between two images", func(c *train.Config) any { return &c.Sigma.Begin }, false},
	{inNoise, "sigma-end", "SIGMA", "", "smallest noise: a number, data (d_min/(2 sqrt D)) or data-literal (d_min)", func(c *train.Config) any { return &c.Sigma.End }, false},
	{inNoise, "levels", "L", "levels", "number of noise levels, or auto: by Technique 2", func(c *train.Config) any { return (*levels)(&c.Sigma.Levels) }, false},
	{inNoise, "spacing", "HOW", "", "of the levels: " + strings.Join(model.Spacings(), " or "), func(c *train.Config) any { return &c.Sigma.Spacing }, false},
	{inNoise, "anneal-power", "P", "", "P in the weight sigma^P of each level's loss; 2 weighs all alike", func(c *train.Config) any { return &c.Loss.AnnealPower }, false},
	{inNoise, "levels-per-step", "K", "levels", "levels drawn each step and shared out over the batch; 0: one an image", func(c *train.Config) any { return &c.Loss.LevelsPerStep }, false},
	{inNoise, "stratified", "", "", "draw the levels evenly over the ladder", func(c *train.Config) any { return &c.Loss.Stratified }, false},

	{inOptimisation, "steps", "N", "steps", "optimiser steps of the whole run", func(c *train.Config) any { return &c.Steps }, true},
	{inOptimisation, "batch", "N", "images", "images of a step", func(c *train.Config) any { return &c.Batch }, false},
	{inOptimisation, "lr", "LR", "", "learning rate of Adam, or auto: 1e-4 at ngf 128, in proportion to 1/ngf, and 1e-3 for ncsn", func(c *train.Config) any { return (*rate)(&c.Adam.LR) }, false},
	{inOptimisation, "beta1", "B", "", "decay of Adam's first moment, in [0, 1)", func(c *train.Config) any { return &c.Adam.Beta1 }, false},
	{inOptimisation, "beta2", "B", "", "decay of Adam's second moment, in [0, 1)", func(c *train.Config) any { return &c.Adam.Beta2 }, false},
	{inOptimisation, "adam-eps", "EPS", "", "added to the root of Adam's second moment", func(c *train.Config) any { return &c.Adam.Eps }, false},
	{inOptimisation, "ema", "RATE", "", "rate of the moving average of the weights (EMA), in [0, 1); 0: none", func(c *train.Config) any { return &c.EMA.Rate }, false},
	{inOptimisation, "ema-warmup", "", "", "the average's rate is min(RATE, (1+n)/(10+n)) after n steps", func(c *train.Config) any { return &c.EMA.Warmup }, false},
	{inOptimisation, "seed", "N", "", "seed of weights, noise, batches and made data", func(c *train.Config) any { return &c.Seed }, false},

	{inSampling, "T", "N", "steps", "Langevin steps at each level", func(c *train.Config) any { return &c.Sampling.T }, false},
	{inSampling, "epsilon", "EPS", "", "step size at the last level, in a_i = EPS sigma_i^2/sigma_L^2; 0: by Technique 4", func(c *train.Config) any { return &c.Sampling.Epsilon }, false},
	{inSampling, "denoise", "", "", "end with the denoising step x + sigma_L^2 s(x, sigma_L)", func(c *train.Config) any { return &c.Sampling.Denoise }, false},

	{inBookkeeping, "log-every", "N", "steps", "steps between lines of metrics.jsonl", func(c *train.Config) any { return &c.LogEvery }, true},
	{inBookkeeping, "eval-every", "N", "steps", "steps between held-out losses; 0: never", func(c *train.Config) any { return &c.EvalEvery }, true},
	{inBookkeeping, "preview-every", "N", "steps", "steps between preview pictures; 0: only at the end", func(c *train.Config) any { return &c.PreviewEvery }, true},
	{inBookkeeping, "preview-n", "N", "samples", "samples in a preview; 0: no previews", func(c *train.Config) any { return &c.PreviewN }, true},
	{inBookkeeping, "checkpoint-every", "N", "steps", "steps between checkpoints; 0: only at the end", func(c *train.Config) any { return &c.CheckpointEvery }, true},
	{inBookkeeping, "keep-checkpoints", "N", "checkpoints", "newest checkpoints to keep; 0: all", func(c *train.Config) any { return &c.KeepCheckpoints }, true},

	{inMachine, "workers", "N", "goroutines", "worker goroutines on the CPU, which change no result; 0: one a core", func(c *train.Config) any { return &c.Workers }, true},
}

// levels is a number of noise levels and rate a learning rate; both may be auto, which is 0 in the configuration.
type (
	levels int
	rate   float64
)

const auto = "auto"

// word is one of some words with commas between; auto is the empty string in the configuration.
type word struct {
	to    *string
	words string
}

func (w word) String() string {
	if w.to == nil || *w.to == "" {
		return auto
	}
	return *w.to
}

func (w word) Set(text string) error {
	if err := (cli.Choice{To: w.to, Words: append(strings.Split(w.words, ","), auto)}).Set(text); err != nil {
		return err
	}
	if text == auto {
		*w.to = ""
	}
	return nil
}

func (l *levels) String() string {
	if *l == 0 {
		return auto
	}
	return strconv.Itoa(int(*l))
}

func (l *levels) Set(text string) error {
	if *l = 0; text == auto {
		return nil
	}
	if err := cli.Set((*int)(l), text); err != nil {
		return fmt.Errorf("%w or auto%s", err, nearest.DidYouMean(text, []string{auto}))
	}
	var bad *wrong.Error
	if errors.As(model.CheckLevels(int(*l)), &bad) {
		return fmt.Errorf("%s, or auto", bad.Text)
	}
	return nil
}

func (r *rate) String() string {
	if *r == 0 {
		return auto
	}
	return cli.Text((*float64)(r))
}

func (r *rate) Set(text string) error {
	if *r = 0; text == auto {
		return nil
	}
	if err := cli.Set((*float64)(r), text); err != nil {
		return fmt.Errorf("%w or auto%s", err, nearest.DidYouMean(text, []string{auto}))
	}
	if !(*r > 0) {
		return fmt.Errorf("is %g: expected a positive learning rate, such as 1e-4, or auto", float64(*r))
	}
	return nil
}

// flags is a parsed command line.
type flags struct {
	*cli.Command
	settings map[string]string // settings that were given, by name

	preset, config, resume string
	init, goOn             string // -init and -continue
	runs, name             string
	dryRun, listPresets    bool
	device                 cli.Device
	cpuProfile             string
}

// value is a setting as the parser sees it: it keeps the text, and checks that it can be parsed.
type value struct {
	s setting
	f *flags
}

// String is the value in the default preset.
func (v value) String() string {
	def := train.Presets[0].Config
	return cli.Text(v.s.field(&def))
}

func (v value) IsBoolFlag() bool {
	_, ok := v.s.field(new(train.Config)).(*bool)
	return ok
}

func (v value) Set(text string) error {
	if err := cli.Set(v.s.field(new(train.Config)), text); err != nil {
		return err
	}
	v.f.settings[v.s.name] = text
	return nil
}

// newFlags is the command line before it is parsed.
func newFlags() *flags {
	f := &flags{settings: map[string]string{}, runs: "runs"}
	def := train.Presets[0].Name
	c := &cli.Command{
		Name: "train",
		About: "Trains a noise-conditional score network and leaves it in a run folder, runs/NAME. " +
			"Ctrl-C finishes the step at hand, saves and stops; a second one quits at once. " +
			"The defaults below are those of preset " + def + ".",
		Bare: func(arg string) string {
			switch ext := filepath.Ext(arg); {
			case train.IsRun(arg) || train.IsRun(filepath.Join("runs", arg)):
				return "resume"
			case ext == ".yaml" || ext == ".yml":
				return "config"
			}
			return "data"
		},
		Examples: []cli.Example{
			{Line: "train", What: "digits drawn from fonts, under two minutes on two cores"},
			{Line: "train -data toy:swissroll", What: "points in the plane, with pictures of the learned score field"},
			{Line: "train -preset fashion-mnist -data DIR -ngf 8 -batch 32 -steps 2000", What: "image files, at a size for two cores"},
			{Line: "train -preset cifar10 -dry-run", What: "what the published settings are and cost"},
			{Line: "train -resume runs/glyphs-1 -steps 6000", What: "go on with a run, to more steps"},
			{Line: "train -continue checkpoint_5000.pth -preset cifar10 -data DIR", What: "go on with a run of the original repository"},
		},
		Notes: []string{"Exit codes: 0 done, or stopped and saved; 1 failed; 2 wrong usage; 130 quit before saving."},
	}
	known := map[string][]string{"data": {"glyphs"}, "net": model.Networks(), "normalization": model.Normalizations(),
		"nonlinearity": model.Nonlinearities(), "spacing": model.Spacings()}
	for _, toy := range dataset.Toys() {
		known["data"] = append(known["data"], "toy:"+toy)
	}
	for _, s := range settings {
		if n := len(c.Groups); n == 0 || c.Groups[n-1].Name != s.group {
			c.Groups = append(c.Groups, cli.Group{Name: s.group, Note: notes[s.group]})
		}
		last := &c.Groups[len(c.Groups)-1]
		last.Flags = append(last.Flags, cli.Flag{Name: s.name, Arg: s.arg, Unit: s.unit, Help: s.help, Value: value{s, f}, Default: defaults[s.name], Known: known[s.name]})
	}
	machine := &c.Groups[len(c.Groups)-1]
	machine.Flags = append(f.device.Flags("train"), machine.Flags...)
	presets := cli.List{Name: "Presets (-preset NAME)"}
	var names []string
	for _, p := range train.Presets {
		names = append(names, p.Name)
		presets.Rows = append(presets.Rows, [2]string{p.Name, p.What})
	}
	c.Lists = []cli.List{presets}
	c.Groups = append([]cli.Group{{Name: "Run", Flags: []cli.Flag{
		{Name: "preset", Arg: "NAME", Help: "settings to start from", Value: &f.preset, Default: "by -data", Known: names},
		{Name: "list-presets", Help: "print the presets with the sources of their numbers and the data they expect, and stop", Value: &f.listPresets},
		{Name: "config", Arg: "FILE", Help: "settings in YAML, over the preset's and under the flags'", Value: &f.config},
		{Name: "init", Arg: "FILE", Help: "start from the weights of a run or a file: a checkpoint, a state_dict (.safetensors) or one of PyTorch (.pth); network and width are the file's", Value: &f.init},
		{Name: "continue", Arg: "FILE", Help: "go on from a checkpoint of PyTorch or of another run in a new run: weights, moving average, Adam's moments and settings, step and ladder", Value: &f.goOn},
		{Name: "name", Arg: "NAME", Help: "name of this run's folder", Value: &f.name, Default: "preset or data and a number"},
		{Name: "runs", Arg: "DIR", Help: "folder of all runs", Value: &f.runs},
		{Name: "resume", Arg: "RUN", Help: "go on with a run: its folder, name, or a checkpoint", Value: &f.resume},
		{Name: "dry-run", Help: "print the resolved settings, sizes and costs, and stop", Value: &f.dryRun},
		{Name: "cpuprofile", Arg: "FILE", Help: "write a CPU profile for go tool pprof", Value: &f.cpuProfile},
	}}}, c.Groups...)
	f.Command = c
	return f
}

// defaults are those that the default preset does not tell.
var defaults = map[string]string{"hidden": "128", "normalization": model.Normalizations()[0], "nonlinearity": model.Nonlinearities()[0], "spacing": model.Spacings()[0],
	"epsilon": "by Technique 4", "crop": "all", "size": "its own", "columns": "all", "cache": "sigmaz in the user's cache folder"}

// parse reads the command line.
func (f *flags) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return err
	}
	return f.device.Check(f.Command)
}

// configuration builds the settings of a new run: the preset, then the configuration file, then the flags.
func (f *flags) configuration() (*train.Config, train.Preset, error) {
	var file string
	wish := train.Config{} // what the file says about preset and data
	if f.config != "" {
		var err error
		if file, err = train.ReadConfig(f.config); err != nil {
			return nil, train.Preset{}, fmt.Errorf("-config: %w; give the name of a file with settings in YAML", err)
		}
		if err := wish.Merge(file); err != nil {
			return nil, train.Preset{}, fmt.Errorf("%s: %w", f.config, err)
		}
	}
	data := wish.Data
	if v, ok := f.settings["data"]; ok {
		data = v
	}
	name := f.preset
	if name == "" {
		name = wish.Preset
	}
	chosen := name != ""
	if !chosen {
		name = train.DefaultPreset(data)
	}
	preset, err := train.FindPreset(name)
	if err != nil {
		if f.preset == "" {
			return nil, preset, fmt.Errorf("%s: %w", f.config, err)
		}
		return nil, preset, cli.UsageOf(err)
	}
	c := preset.Config
	if !chosen && data != "" && data != c.Data && !strings.HasPrefix(data, "toy:") {
		// The default preset's ladder is made for its own images; for others the largest distance is looked for.
		c.Sigma.Begin = train.SigmaEnd{Rule: train.RuleData}
	}
	if strings.EqualFold(filepath.Ext(data), ".npy") {
		c.Reading = dataset.Settings{} // what a preset says about image files
	}
	net := wish.Network.Net
	if v, ok := f.settings["net"]; ok {
		net = v
	}
	if net != "" {
		c.SetNetwork(net)
	}
	// The file that the run starts from, before what is said about network and ladder on purpose.
	start, goOn := wish.Init, wish.Continue
	if f.init != "" || f.goOn != "" {
		start, goOn = f.init, f.goOn
	}
	switch {
	case start != "" && goOn != "":
		return nil, preset, cli.Usagef("-init and -continue are both given: expected one of them; -continue takes the weights too")
	case start != "":
		if start, err = weights.Find(start); err == nil {
			err = weights.Prepare(&c, start, false, net)
		}
	case goOn != "":
		if goOn, err = weights.Find(goOn); err == nil {
			err = weights.Prepare(&c, goOn, true, net)
		}
	}
	if err != nil {
		return nil, preset, err
	}
	if err := c.Merge(file); err != nil {
		return nil, preset, fmt.Errorf("%s: %w", f.config, err)
	}
	c.Init, c.Continue = start, goOn
	c.Preset, c.DataSum, c.Split, c.Scaler, c.Sigma.Distances = name, "", "", nil, nil // these describe the run that a stored file comes from
	if _, ok := f.settings["data"]; ok {
		c.Network.DataSD = 0 // of the file's data
	}
	if err := f.apply(&c); err != nil {
		return nil, preset, err
	}
	return &c, preset, f.validate(&c)
}

// apply sets what was given.
func (f *flags) apply(c *train.Config) error {
	for _, s := range settings {
		if v, ok := f.settings[s.name]; ok {
			if err := cli.Set(s.field(c), v); err != nil {
				return cli.Usagef("-%s %v", s.name, err)
			}
		}
	}
	return nil
}

// validate checks the settings; what is wrong by a flag is wrong usage.
func (f *flags) validate(c *train.Config) error {
	// Settings that this run has no use for are refused: who gives them expects them to do something.
	for _, unused := range []struct {
		flag string
		is   bool
		why  string
	}{
		{"hidden", !c.Network.Uses("hidden"), "is for network mlp, and this is " + c.Network.Net},
		{"ngf", !c.Network.Uses("ngf"), "is for networks for images, and this is " + c.Network.Net},
		{"normalization", !c.Network.Uses("normalization"), "is for networks for images, and this is " + c.Network.Net},
		{"nonlinearity", !c.Network.Uses("nonlinearity"), "is for networks for images, and this is " + c.Network.Net},
		{"rescaled", !c.Network.Uses("rescaled"), "is for images, and network " + c.Network.Net + " takes vectors"},
		{"ema-warmup", c.EMA.Rate == 0, "is for the moving average of the weights, and there is none (ema 0)"},
		{"sigma-end", c.Sigma.Levels == 1, "has no meaning with one level, which is at sigma-begin"},
	} {
		if f.Given(unused.flag) && unused.is {
			return cli.Usagef("-%s %s: leave it out", unused.flag, unused.why)
		}
	}
	err := c.Validate()
	var bad *wrong.Error
	if errors.As(err, &bad) && f.config != "" && !f.Given(bad.Key) {
		return fmt.Errorf("%s: %w", f.config, err)
	}
	return cli.UsageOf(err)
}

// checkResume refuses flags that would make the resumed run another one.
func (f *flags) checkResume() error {
	allowed := []string{"resume", "runs", "gpu", "device", "cpuprofile", "dry-run"}
	for _, s := range settings {
		if may, _ := train.MayChange(s.name); may {
			allowed = append(allowed, s.name)
		}
	}
	var refused []string
	for _, name := range f.GivenNames() {
		if !slices.Contains(allowed, name) {
			refused = append(refused, "-"+name)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	return cli.Usagef("%s cannot be changed with -resume, which goes on with the stored configuration: leave it out, or start a new run with -config RUN/config.yaml", strings.Join(refused, ", "))
}
