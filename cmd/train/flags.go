// Flags: one table that the parser, the help text, and the rules of -resume read.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigmaz/model"
	"sigmaz/train"
)

// setting is a flag that sets one field of the configuration.
type setting struct {
	group string
	name  string
	arg   string // placeholder in the help text
	help  string
	field func(c *train.Config) any // pointer to the field
	// free settings change no result, or are checked by other means, and may be given with -resume
	free bool
}

// settings in the order of the help text.
var settings = []setting{
	{"Data and network", "data", "SPEC", "glyphs, toy:NAME, image files or a folder (IDX, CIFAR-10 binary)", func(c *train.Config) any { return &c.Data }, true},
	{"Data and network", "held-out", "N", "images kept from training for the held-out loss; 0: none", func(c *train.Config) any { return &c.HeldOut }, false},
	{"Data and network", "flip", "", "mirror images left to right at random", func(c *train.Config) any { return &c.Flip }, false},
	{"Data and network", "dequantize", "", "add uniform noise below one grey level", func(c *train.Config) any { return &c.Dequantize }, false},
	{"Data and network", "net", "NAME", "network: " + strings.Join(model.Networks(), ", "), func(c *train.Config) any { return &c.Network.Net }, false},
	{"Data and network", "ngf", "N", "ncsnv2: channels at full resolution", func(c *train.Config) any { return &c.Network.NGF }, false},
	{"Data and network", "hidden", "N", "mlp: width of the hidden layers", func(c *train.Config) any { return &c.Network.Hidden }, false},

	{"Noise ladder and loss", "sigma-begin", "SIGMA", "largest noise: a number, or data (largest distance between two images)", func(c *train.Config) any { return &c.Sigma.Begin }, false},
	{"Noise ladder and loss", "sigma-end", "SIGMA", "smallest noise: a number, data (d_min/(2 sqrt D)) or data-literal (d_min)", func(c *train.Config) any { return &c.Sigma.End }, false},
	{"Noise ladder and loss", "levels", "L", "noise levels, or auto: by Technique 2", func(c *train.Config) any { return (*levels)(&c.Sigma.Levels) }, false},
	{"Noise ladder and loss", "anneal-power", "P", "loss weight lambda(sigma) = sigma^P", func(c *train.Config) any { return &c.Loss.AnnealPower }, false},
	{"Noise ladder and loss", "levels-per-step", "K", "levels drawn each step and shared out over the batch; 0: one an image", func(c *train.Config) any { return &c.Loss.LevelsPerStep }, false},
	{"Noise ladder and loss", "stratified", "", "draw the levels evenly over the ladder", func(c *train.Config) any { return &c.Loss.Stratified }, false},

	{"Optimisation", "steps", "N", "optimiser steps of the whole run", func(c *train.Config) any { return &c.Steps }, true},
	{"Optimisation", "batch", "N", "images a step", func(c *train.Config) any { return &c.Batch }, false},
	{"Optimisation", "lr", "LR", "Adam: learning rate, or auto: 1e-4 at ngf 128, as 1/ngf", func(c *train.Config) any { return (*rate)(&c.Adam.LR) }, false},
	{"Optimisation", "beta1", "B", "Adam: decay of the first moment", func(c *train.Config) any { return &c.Adam.Beta1 }, false},
	{"Optimisation", "beta2", "B", "Adam: decay of the second moment", func(c *train.Config) any { return &c.Adam.Beta2 }, false},
	{"Optimisation", "adam-eps", "EPS", "Adam: added to the root of the second moment", func(c *train.Config) any { return &c.Adam.Eps }, false},
	{"Optimisation", "ema", "RATE", "rate of the moving average of the weights", func(c *train.Config) any { return &c.EMA.Rate }, false},
	{"Optimisation", "ema-warmup", "", "use min(rate, (1+n)/(10+n)) after n steps", func(c *train.Config) any { return &c.EMA.Warmup }, false},
	{"Optimisation", "seed", "N", "seed of weights, noise, batches and made data", func(c *train.Config) any { return &c.Seed }, false},

	{"Sampling (previews; default of the sample command)", "T", "N", "Langevin steps at each level", func(c *train.Config) any { return &c.Sampling.T }, false},
	{"Sampling (previews; default of the sample command)", "epsilon", "EPS", "step size at the last level; 0: by Technique 4", func(c *train.Config) any { return &c.Sampling.Epsilon }, false},
	{"Sampling (previews; default of the sample command)", "denoise", "", "end with the denoising step", func(c *train.Config) any { return &c.Sampling.Denoise }, false},

	{"Bookkeeping, each in steps", "log-every", "N", "lines of metrics.jsonl", func(c *train.Config) any { return &c.LogEvery }, true},
	{"Bookkeeping, each in steps", "eval-every", "N", "held-out loss; 0: never", func(c *train.Config) any { return &c.EvalEvery }, true},
	{"Bookkeeping, each in steps", "preview-every", "N", "preview pictures; 0: only at the end", func(c *train.Config) any { return &c.PreviewEvery }, true},
	{"Bookkeeping, each in steps", "preview-n", "N", "samples in a preview; 0: no previews", func(c *train.Config) any { return &c.PreviewN }, true},
	{"Bookkeeping, each in steps", "checkpoint-every", "N", "checkpoints; 0: only at the end", func(c *train.Config) any { return &c.CheckpointEvery }, true},
	{"Bookkeeping, each in steps", "keep-checkpoints", "N", "newest checkpoints to keep; 0: all", func(c *train.Config) any { return &c.KeepCheckpoints }, true},

	{"Machine", "workers", "N", "worker goroutines, which change no result; 0: one a core", func(c *train.Config) any { return &c.Workers }, true},
}

// levels is a number of noise levels and rate a learning rate; both may be auto, which is 0 in the configuration.
type (
	levels int
	rate   float64
)

const auto = "auto"

// set parses v into the field of c.
func (s setting) set(c *train.Config, v string) error {
	var err error
	switch p := s.field(c).(type) {
	case *string:
		*p = v
	case *bool:
		if *p, err = strconv.ParseBool(v); err != nil {
			return fmt.Errorf("is %q: expected true or false", v)
		}
	case *int:
		if *p, err = strconv.Atoi(v); err != nil {
			return fmt.Errorf("is %q: expected a whole number", v)
		}
	case *levels:
		if *p = 0; v == auto {
			break
		}
		n, err := strconv.Atoi(v)
		if err != nil {
			return fmt.Errorf("is %q: expected a whole number or auto", v)
		}
		if *p = levels(n); n < 1 {
			return fmt.Errorf("is %d: expected at least 1 noise level, or auto", n)
		}
	case *rate:
		if *p = 0; v == auto {
			break
		}
		lr, err := strconv.ParseFloat(v, 64)
		if err != nil {
			return fmt.Errorf("is %q: expected a number or auto", v)
		}
		if *p = rate(lr); !(lr > 0) {
			return fmt.Errorf("is %g: expected a positive learning rate, such as 1e-4, or auto", lr)
		}
	case *uint64:
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			if i, err := strconv.ParseInt(v, 10, 64); err == nil {
				return fmt.Errorf("is %d: expected a number that is not negative", i)
			}
			return fmt.Errorf("is %q: expected a whole number", v)
		}
		*p = n
	case *float64:
		if *p, err = strconv.ParseFloat(v, 64); err != nil {
			return fmt.Errorf("is %q: expected a number", v)
		}
	case *train.SigmaEnd:
		if *p, err = train.ParseSigmaEnd(v); err != nil {
			return fmt.Errorf("is %w", err)
		}
	}
	return nil
}

// text is the field's value as the help text shows it.
func (s setting) text(c *train.Config) string {
	switch p := s.field(c).(type) {
	case *string:
		return *p
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *levels:
		if *p == 0 {
			return auto
		}
		return strconv.Itoa(int(*p))
	case *rate:
		if *p == 0 {
			return auto
		}
		return strconv.FormatFloat(float64(*p), 'g', -1, 64)
	case *uint64:
		return strconv.FormatUint(*p, 10)
	case *float64:
		return strconv.FormatFloat(*p, 'g', -1, 64)
	case *train.SigmaEnd:
		return p.String()
	}
	return ""
}

// flags is a parsed command line.
type flags struct {
	given map[string]string // settings that were given, by name

	preset, config, resume string
	runs, name             string
	dryRun                 bool
	gpu                    bool
	device                 int
	cpuProfile             string

	set map[string]bool // every flag that was given
}

// value is a setting as package flag sees it: it keeps the text, and checks that it can be parsed.
type value struct {
	s setting
	f *flags
}

func (v value) String() string { return "" }
func (v value) IsBoolFlag() bool {
	if v.s.field == nil {
		return false // the zero value that package flag makes for its own help text
	}
	_, ok := v.s.field(new(train.Config)).(*bool)
	return ok
}
func (v value) Set(text string) error {
	if err := v.s.set(new(train.Config), text); err != nil {
		return err
	}
	v.f.given[v.s.name] = text
	return nil
}

// usageError is a wrong command line: exit code 2.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text + "; -h lists the flags" }

func usagef(format string, a ...any) error { return &usageError{fmt.Sprintf(format, a...)} }

// parse reads the command line. It returns flag.ErrHelp for -h.
func parse(args []string) (*flags, error) {
	f := &flags{given: map[string]string{}, set: map[string]bool{}}
	fs := flag.NewFlagSet("train", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, s := range settings {
		fs.Var(value{s, f}, s.name, "")
	}
	fs.StringVar(&f.preset, "preset", "", "")
	fs.StringVar(&f.config, "config", "", "")
	fs.StringVar(&f.resume, "resume", "", "")
	fs.StringVar(&f.runs, "runs", "runs", "")
	fs.StringVar(&f.name, "name", "", "")
	fs.BoolVar(&f.dryRun, "dry-run", false, "")
	fs.BoolVar(&f.gpu, "gpu", false, "")
	fs.IntVar(&f.device, "device", 0, "")
	fs.StringVar(&f.cpuProfile, "cpuprofile", "", "")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, err
		}
		var names []string
		fs.VisitAll(func(fl *flag.Flag) { names = append(names, "-"+fl.Name) })
		return nil, &usageError{parseError(err.Error(), names)}
	}
	fs.Visit(func(fl *flag.Flag) { f.set[fl.Name] = true })
	if fs.NArg() > 0 {
		return nil, usagef("unexpected argument %q: every setting is a flag, such as -data %[1]s", fs.Arg(0))
	}
	if f.set["device"] && !f.gpu {
		return nil, usagef("-device %d names a GPU: give -gpu too, or leave it out to train on the CPU", f.device)
	}
	return f, nil
}

var invalidValue = regexp.MustCompile(`^invalid (boolean )?value (".*") for (?:flag )?(-[^ :]+): (.*)$`)

// parseError rewrites the messages of package flag into the project's form.
func parseError(text string, names []string) string {
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: "); ok {
		return fmt.Sprintf("unknown flag %s%s", name, train.DidYouMean(name, names))
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: "); ok {
		return fmt.Sprintf("%s needs a value after it", name)
	}
	// `invalid value "x" for flag -steps: WHY` or `invalid boolean value "x" for -flip: WHY`, where WHY is that of
	// value.Set or, for the flags that are no settings, "parse error"
	if m := invalidValue.FindStringSubmatch(text); m != nil {
		kind, value, name, why := m[1], m[2], m[3], m[4]
		switch {
		case strings.HasPrefix(why, "is "):
			return name + " " + why
		case kind != "":
			return fmt.Sprintf("%s is %s: expected true or false", name, value)
		}
		return fmt.Sprintf("%s is %s: expected a whole number", name, value)
	}
	return text
}

// configuration builds the settings of a new run: the preset, then the configuration file, then the flags.
func (f *flags) configuration(readFile func(string) ([]byte, error)) (*train.Config, train.Preset, error) {
	var file string
	wish := train.Config{} // what the file says about preset and data
	if f.config != "" {
		b, err := readFile(f.config)
		if err != nil {
			return nil, train.Preset{}, fmt.Errorf("-config: %w", err)
		}
		file = string(b)
		if err := wish.Merge(file); err != nil {
			return nil, train.Preset{}, fmt.Errorf("%s: %w", f.config, err)
		}
	}
	data := wish.Data
	if v, ok := f.given["data"]; ok {
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
		return nil, preset, &usageError{"-" + err.Error()}
	}
	c := preset.Config
	if !chosen && data != "" && data != c.Data && !strings.HasPrefix(data, "toy:") {
		// The default preset's ladder is made for its own images; for others the largest distance is looked for.
		c.Sigma.Begin = train.SigmaEnd{Rule: train.RuleData}
	}
	if err := c.Merge(file); err != nil {
		return nil, preset, fmt.Errorf("%s: %w", f.config, err)
	}
	c.Preset, c.DataSum, c.Sigma.Distances = name, "", nil // these describe the run that a stored file comes from
	if _, ok := f.given["data"]; ok {
		c.Network.DataSD = 0 // of the file's data
	}
	if err := f.apply(&c); err != nil {
		return nil, preset, err
	}
	if _, ok := f.given["net"]; ok { // sizes for a network that the preset does not have
		if c.Network.Net == "mlp" && c.Network.Hidden == 0 && !f.set["hidden"] {
			c.Network.Hidden = 128
		}
		if c.Network.Net == "ncsnv2" && c.Network.NGF == 0 && !f.set["ngf"] {
			c.Network.NGF = 8
		}
	}
	return &c, preset, f.validate(&c)
}

// apply sets what was given.
func (f *flags) apply(c *train.Config) error {
	for _, s := range settings {
		if v, ok := f.given[s.name]; ok {
			if err := s.set(c, v); err != nil {
				return usagef("-%s %v", s.name, err)
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
		{"hidden", c.Network.Net != "mlp", "is for network mlp, and this is " + c.Network.Net},
		{"ngf", c.Network.Net == "mlp", "is for network ncsnv2, and this is mlp"},
		{"sigma-end", c.Sigma.Levels == 1, "has no meaning with one level, which is at sigma-begin"},
	} {
		if f.set[unused.flag] && unused.is {
			return usagef("-%s %s: leave it out", unused.flag, unused.why)
		}
	}
	err := c.Validate()
	var bad *train.ValueError
	if errors.As(err, &bad) {
		if f.set[bad.Key] || f.config == "" {
			return &usageError{"-" + bad.Error()}
		}
		return fmt.Errorf("%s: %w", f.config, err)
	}
	return err
}

// checkResume refuses flags that would make the resumed run another one.
func (f *flags) checkResume() error {
	allowed := []string{"resume", "runs", "gpu", "device", "cpuprofile", "dry-run"}
	for _, s := range settings {
		if s.free {
			allowed = append(allowed, s.name)
		}
	}
	var refused []string
	for name := range f.set {
		if !slices.Contains(allowed, name) {
			refused = append(refused, "-"+name)
		}
	}
	if len(refused) == 0 {
		return nil
	}
	slices.Sort(refused)
	return usagef("%s cannot be changed with -resume, which goes on with the stored configuration: leave it out, or start a new run with -config RUN/config.yaml", strings.Join(refused, ", "))
}

// help prints the flags in groups, with the default preset's values.
func help(w io.Writer) {
	def, _ := train.FindPreset(train.Presets[0].Name)
	fmt.Fprintf(w, `Trains a noise-conditional score network and leaves it in a run folder.

  train                                  digits drawn from fonts, a few minutes
  train -data toy:swissroll              points in the plane
  train -preset fashion-mnist -data DIR  image files
  train -resume runs/glyphs-1            go on with a run

Ctrl-C finishes the step at hand and saves; a second one quits at once.

Presets (-preset NAME; the values in brackets below are those of %s):
`, def.Name)
	for _, p := range train.Presets {
		fmt.Fprintf(w, "  %-15s %s\n", p.Name, p.What)
	}
	line := func(name, arg, help, def string) {
		left := "-" + name
		if arg != "" {
			left += " " + arg
		}
		if def != "" {
			help += " [" + def + "]"
		}
		fmt.Fprintf(w, "  %-22s %s\n", left, help)
	}
	group := ""
	for _, s := range settings {
		if s.group != group {
			group = s.group
			fmt.Fprintf(w, "\n%s:\n", group)
			if group == "Machine" {
				line("gpu", "", "train on a GPU", "")
				line("device", "N", "which GPU", "0")
			}
		}
		d := s.text(&def.Config)
		if s.name == "hidden" {
			d = "128"
		}
		if s.name == "epsilon" && d == "0" {
			d = "by Technique 4"
		}
		line(s.name, s.arg, s.help, d)
	}
	fmt.Fprintf(w, "\nRun:\n")
	line("preset", "NAME", "settings to start from", "by -data")
	line("config", "FILE", "settings in YAML, over the preset's and under the flags'", "")
	line("runs", "DIR", "folder of all runs", "runs")
	line("name", "NAME", "name of this run's folder", "preset or data and a number")
	line("resume", "RUN", "go on with a run: its folder, name, or a checkpoint", "")
	line("dry-run", "", "print the resolved settings, sizes and costs, and stop", "")
	line("cpuprofile", "FILE", "write a CPU profile", "")
	fmt.Fprintf(w, "\nExit codes: 0 done, or stopped and saved; 1 failed; 2 wrong usage; 130 quit before saving.\n")
}
