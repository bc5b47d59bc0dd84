// The configuration of a run: every setting that its result depends on, in one value that is printed by -dry-run,
// stored as config.yaml in the run folder and in the metadata of every checkpoint.
package train

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"

	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// Config is the settings of a run. A configuration is first a wish, where 0 or a rule such as "data" leaves a choice to
// the program; [Config.Resolve] replaces these by numbers, and a stored configuration holds only numbers.
//
// Lengths of noise (sigma) are standard deviations per value, in the units of the data: images are in [0, 1].
type Config struct {
	Preset  string `yaml:"preset"`             // the preset that the settings started from
	Data    string `yaml:"data"`               // "glyphs", "toy:NAME", files or a folder: dataset.Source
	DataSum string `yaml:"data_sum,omitempty"` // CRC-32C of the data's shape and values, checked on resume
	Seed    uint64 `yaml:"seed"`               // of weights, batches, levels, noise and made data

	Reading dataset.Settings `yaml:"reading,omitempty"` // how data files are read
	Scaler  *dataset.Scaler  `yaml:"scaler,omitempty"`  // how vectors from files were standardised; undone on samples

	// Files that a run starts from instead of weights drawn from the seed; at most one of them. Init gives the weights and
	// their moving average; Continue also Adam's moments and the step from which the run goes on.
	Init     string `yaml:"init,omitempty"`
	Continue string `yaml:"continue,omitempty"`

	Network model.Config `yaml:"network"`
	Sigma   Sigma        `yaml:"sigma"`
	Loss    Loss         `yaml:"loss"`
	Adam    Adam         `yaml:"adam"`
	EMA     EMA          `yaml:"ema"`

	Batch      int    `yaml:"batch"`           // images a step
	Steps      uint64 `yaml:"steps"`           // optimiser steps of the whole run
	Flip       bool   `yaml:"flip"`            // mirror each image left to right with probability 1/2
	Dequantize bool   `yaml:"dequantize"`      // x = (255 x + U(0,1)) / 256 on each batch
	HeldOut    int    `yaml:"held_out"`        // images taken out of the data for the held-out loss; 0: none
	Split      string `yaml:"split,omitempty"` // the rule by which they were chosen: SplitByContent; "" in runs of before there was that

	Sampling Sampling `yaml:"sampling"`

	// What follows is bookkeeping: it changes no weight, and -resume may change it.

	LogEvery        uint64 `yaml:"log_every"`        // steps between lines of metrics.jsonl
	EvalEvery       uint64 `yaml:"eval_every"`       // steps between held-out losses; 0: none
	PreviewEvery    uint64 `yaml:"preview_every"`    // steps between preview pictures; 0: only at the end
	PreviewN        int    `yaml:"preview_n"`        // samples in a preview; 0: no previews
	CheckpointEvery uint64 `yaml:"checkpoint_every"` // steps between checkpoints; 0: only at the end
	KeepCheckpoints int    `yaml:"keep_checkpoints"` // newest checkpoints kept; 0: all
	Workers         int    `yaml:"workers"`          // worker goroutines of the CPU; 0: one a core
	Cache           string `yaml:"cache,omitempty"`  // folder for decoded images; "": the user's; "none": no cache
}

// SplitByContent is the rule of [dataset.Set.Split].
const SplitByContent = "content"

// Sigma is the noise ladder.
type Sigma struct {
	Begin     SigmaEnd   `yaml:"begin"`               // sigma_1, the largest
	End       SigmaEnd   `yaml:"end"`                 // sigma_L, the smallest
	Levels    int        `yaml:"levels"`              // L; 0: by Technique 2
	Spacing   string     `yaml:"spacing,omitempty"`   // one of model.Spacings; "": geometric
	Distances *Distances `yaml:"distances,omitempty"` // what a rule found in the data
}

// Distances is the pairwise distances (Euclidean, over all D values) that the rules of [SigmaEnd] use.
type Distances struct {
	Max        float64 `yaml:"max"`                  // d_max, the largest
	Min        float64 `yaml:"min,omitempty"`        // d_min, the smallest between two images that differ; 0: not looked for
	Duplicates int     `yaml:"duplicates,omitempty"` // images that are equal to another one
}

// SigmaEnd is one end of the ladder: a number, or the rule that finds it.
type SigmaEnd struct {
	Value float64
	Rule  string // "", RuleData or RuleLiteral; with a rule, Value is not used
}

// The rules for an end of the ladder.
//
// RuleData is the largest pairwise distance for sigma_1 (Technique 1 of Song and Ermon 2020) and d_min/(2 sqrt D) for
// sigma_L: noise of standard deviation sigma per value has the length sigma sqrt D, so at that sigma the balls of noise
// about the two nearest images just touch. RuleLiteral takes d_min itself as sigma_L, a distance between whole images
// used as a deviation per value: on images it leaves far too much noise, and is there to be compared with.
const (
	RuleData    = "data"
	RuleLiteral = "data-literal"
)

// ParseSigmaEnd reads a number or a rule.
func ParseSigmaEnd(s string) (SigmaEnd, error) {
	if s == RuleData || s == RuleLiteral {
		return SigmaEnd{Rule: s}, nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return SigmaEnd{}, fmt.Errorf("%q: expected a positive number, %q or %q", s, RuleData, RuleLiteral)
	}
	return SigmaEnd{Value: v}, nil
}

func (e SigmaEnd) String() string {
	if e.Rule != "" {
		return e.Rule
	}
	return strconv.FormatFloat(e.Value, 'g', -1, 64)
}

// Set is ParseSigmaEnd into e, as a flag.Value: the error is the rest of a sentence that begins with the flag.
func (e *SigmaEnd) Set(s string) (err error) {
	if *e, err = ParseSigmaEnd(s); err != nil {
		return fmt.Errorf("is %w", err)
	}
	return nil
}

// MarshalYAML writes the number or the rule.
func (e SigmaEnd) MarshalYAML() (any, error) {
	if e.Rule != "" {
		return e.Rule, nil
	}
	return e.Value, nil
}

// UnmarshalYAML reads the number or the rule.
func (e *SigmaEnd) UnmarshalYAML(b []byte) (err error) {
	*e, err = ParseSigmaEnd(strings.Trim(strings.TrimSpace(string(b)), `"'`))
	return err
}

// Loss is lambda(sigma) = sigma^AnnealPower and how levels are drawn.
type Loss struct {
	AnnealPower   float64 `yaml:"anneal_power"`    // p; 2 weighs all levels alike
	LevelsPerStep int     `yaml:"levels_per_step"` // levels drawn each step and shared out over the batch; 0: one an image
	Stratified    bool    `yaml:"stratified"`      // draws spread evenly over the ladder
}

// Adam is the optimiser's settings.
type Adam struct {
	LR    float64 `yaml:"lr"`
	Beta1 float64 `yaml:"beta1"`
	Beta2 float64 `yaml:"beta2"`
	Eps   float64 `yaml:"eps"`
}

// EMA is the exponential moving average of the weights: ema <- r ema + (1-r) w, with r = Rate or, with Warmup,
// min(Rate, (1+n)/(10+n)) after step n. Rate 0 keeps none: samples and held-out loss are those of the weights themselves.
type EMA struct {
	Rate   float64 `yaml:"rate"`
	Warmup bool    `yaml:"warmup"`
}

// Sampling is how previews are drawn, and the defaults of the sample command for this run's checkpoints.
type Sampling struct {
	T       int     `yaml:"T"`       // Langevin steps at each level
	Epsilon float64 `yaml:"epsilon"` // step size at the last level, in a_i = epsilon sigma_i^2/sigma_L^2; 0: Technique 4
	Denoise bool    `yaml:"denoise"` // end with x + sigma_L^2 s
}

// ValueError is a setting with a value that no run can have. Its text is one sentence.
type ValueError struct{ Key, Text string }

func (e *ValueError) Error() string { return e.Key + " " + e.Text }

// Validate checks each setting by itself and the settings against each other, as far as that is possible without the
// data. The error is a [*ValueError].
func (c *Config) Validate() error {
	bad := func(key, format string, a ...any) error { return &ValueError{key, fmt.Sprintf(format, a...)} }
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	positive := func(v float64) bool { return v > 0 && finite(v) }
	// Bounds far above any use, below which sizes are computed without overflow. What really fits is a matter of memory.
	const maxWidth, maxBatch, maxPreview, maxWorkers = 1 << 14, 1 << 20, 100_000, 1 << 12
	n, nets := c.Network, model.Networks()
	var badReading *setting.Error
	switch {
	case c.Data == "":
		return bad("data", `is empty: expected "glyphs", "toy:NAME", files or a folder`)
	case errors.As(c.Reading.Validate(), &badReading):
		return &ValueError{badReading.Key, badReading.Text}
	case !slices.Contains(nets, n.Net):
		return bad("net", "is %q: expected one of %s%s", n.Net, strings.Join(nets, ", "), nearest.DidYouMean(n.Net, nets))
	case n.Uses("ngf") && n.NGF < 2:
		return bad("ngf", "is %d: expected at least 2 channels, because the norm takes the variance over them", n.NGF)
	case n.NGF > maxWidth:
		return bad("ngf", "is %d: expected at most %d channels", n.NGF, maxWidth)
	case n.Hidden > maxWidth:
		return bad("hidden", "is %d: expected at most %d units a layer", n.Hidden, maxWidth)
	case n.Uses("hidden") && n.Hidden < 1:
		return bad("hidden", "is %d: expected at least 1 unit a layer", n.Hidden)
	case n.Normalization != "" && !slices.Contains(model.Normalizations(), n.Normalization):
		return bad("normalization", "is %q: expected %s%s", n.Normalization, strings.Join(model.Normalizations(), " or "), nearest.DidYouMean(n.Normalization, model.Normalizations()))
	case n.Nonlinearity != "" && !slices.Contains(model.Nonlinearities(), n.Nonlinearity):
		return bad("nonlinearity", "is %q: expected one of %s%s", n.Nonlinearity, strings.Join(model.Nonlinearities(), ", "), nearest.DidYouMean(n.Nonlinearity, model.Nonlinearities()))
	case c.Sigma.Spacing != "" && !slices.Contains(model.Spacings(), c.Sigma.Spacing):
		return bad("spacing", "is %q: expected %s%s", c.Sigma.Spacing, strings.Join(model.Spacings(), " or "), nearest.DidYouMean(c.Sigma.Spacing, model.Spacings()))
	case c.Sigma.Spacing == model.LinearSpacing && c.Sigma.Levels == auto:
		return bad("levels", "is auto, by Technique 2, which is about geometric ladders: give a number with linear spacing")
	case c.Init != "" && c.Continue != "":
		return bad("init", "and continue are both given: expected one of them; continue takes the weights too")
	case c.Batch < 1:
		return bad("batch", "is %d: expected at least 1 image a step", c.Batch)
	case c.Batch > maxBatch:
		return bad("batch", "is %d: expected at most %d images a step", c.Batch, maxBatch)
	case c.Steps < 1:
		return bad("steps", "is %d: expected at least 1 optimiser step", c.Steps)
	case c.Steps > 1<<53:
		return bad("steps", "is %d: expected at most 2^53", c.Steps)
	case c.Sigma.Levels < 0:
		return bad("levels", "is %d: expected at least 1 noise level, or auto (0)", c.Sigma.Levels)
	case c.Sigma.Levels > MaxLevels:
		return bad("levels", "is %d: expected at most %d noise levels", c.Sigma.Levels, MaxLevels)
	case c.Sigma.Begin.Rule == RuleLiteral:
		return bad("sigma-begin", "is %s: expected a number or %q; %[1]s is a rule for sigma-end", RuleLiteral, RuleData)
	case c.Sigma.Begin.Rule == "" && !positive(c.Sigma.Begin.Value):
		return bad("sigma-begin", "is %s: expected a positive number or %q", c.Sigma.Begin, RuleData)
	case c.Sigma.End.Rule == "" && !positive(c.Sigma.End.Value):
		return bad("sigma-end", "is %s: expected a positive number, %q or %q", c.Sigma.End, RuleData, RuleLiteral)
	case c.Sigma.Levels != 1 && c.Sigma.Begin.Rule == "" && c.Sigma.End.Rule == "" && c.Sigma.Begin.Value <= c.Sigma.End.Value:
		return bad("sigma-begin", "%s is not larger than sigma-end %s: the ladder runs from the largest noise to the smallest; raise sigma-begin or lower sigma-end", c.Sigma.Begin, c.Sigma.End)
	case !finite(c.Loss.AnnealPower):
		return bad("anneal-power", "is %g: expected a number; 2 weighs all levels alike", c.Loss.AnnealPower)
	case c.Loss.LevelsPerStep < 0:
		return bad("levels-per-step", "is %d: expected at least 1, or 0 for a level for each image", c.Loss.LevelsPerStep)
	case c.Loss.LevelsPerStep > c.Batch:
		return bad("levels-per-step", "is %d, more than the %d images of a batch: lower it or raise batch", c.Loss.LevelsPerStep, c.Batch)
	case c.Adam.LR != auto && !positive(c.Adam.LR):
		return bad("lr", "is %g: expected a positive learning rate, such as 1e-4, or 0 for one that suits the network", c.Adam.LR)
	case !(c.Adam.Beta1 >= 0 && c.Adam.Beta1 < 1):
		return bad("beta1", "is %g: expected a number in [0, 1)", c.Adam.Beta1)
	case !(c.Adam.Beta2 >= 0 && c.Adam.Beta2 < 1):
		return bad("beta2", "is %g: expected a number in [0, 1)", c.Adam.Beta2)
	case !positive(c.Adam.Eps):
		return bad("adam-eps", "is %g: expected a positive number, such as 1e-8", c.Adam.Eps)
	case !(c.EMA.Rate >= 0 && c.EMA.Rate < 1):
		return bad("ema", "is %g: expected a rate in [0, 1); 0 keeps no average", c.EMA.Rate)
	case c.HeldOut < 0:
		return bad("held-out", "is %d: expected a number of images, or 0 for no held-out loss", c.HeldOut)
	case c.Split != "" && c.Split != SplitByContent:
		return bad("split", "is %q: expected %s, the rule by which held-out images are chosen; another version of sigmaz may know it", c.Split, SplitByContent)
	case c.Sampling.T < 1:
		return bad("T", "is %d: expected at least 1 Langevin step a level", c.Sampling.T)
	case !(c.Sampling.Epsilon >= 0) || !finite(c.Sampling.Epsilon):
		return bad("epsilon", "is %g: expected a positive step size, or 0 to choose it by Technique 4", c.Sampling.Epsilon)
	case c.LogEvery < 1:
		return bad("log-every", "is %d: expected at least 1 step", c.LogEvery)
	case c.PreviewN < 0:
		return bad("preview-n", "is %d: expected a number of samples, or 0 for no previews", c.PreviewN)
	case c.PreviewN > maxPreview:
		return bad("preview-n", "is %d: expected at most %d samples", c.PreviewN, maxPreview)
	case c.KeepCheckpoints < 0:
		return bad("keep-checkpoints", "is %d: expected a number of checkpoints to keep, or 0 for all", c.KeepCheckpoints)
	case c.Workers < 0 || c.Workers > maxWorkers:
		return bad("workers", "is %d: expected a number of worker goroutines up to %d, or 0 for one a core", c.Workers, maxWorkers)
	}
	return nil
}

// Ladder is the noise levels of a resolved configuration.
func (c *Config) Ladder() (model.Ladder, error) {
	if c.Sigma.Begin.Rule != "" || c.Sigma.End.Rule != "" || c.Sigma.Levels < 1 {
		return nil, errors.New("sigma: the ladder is not resolved yet: it depends on the data")
	}
	return model.NewLadder(c.Sigma.Spacing, c.Sigma.Begin.Value, c.Sigma.End.Value, c.Sigma.Levels)
}

// NFE is the number of score evaluations of one sample: L T, and one for the denoising step.
func (c *Config) NFE() int {
	n := c.Sigma.Levels * c.Sampling.T
	if c.Sampling.Denoise {
		n++
	}
	return n
}

// Unit is what the loss of zero weights is called, beside which losses are shown.
func (c *Config) Unit() string {
	if c.Loss.AnnealPower == 2 {
		return "D/2"
	}
	return "zero weights'"
}

// YAML is the configuration as it is stored.
func (c *Config) YAML() string {
	b, err := yaml.Marshal(c)
	if err != nil {
		panic("train: a Config that cannot be written as YAML: " + err.Error()) // plain values only: cannot happen
	}
	return string(b)
}

// ParseConfig reads a stored configuration, strictly: an unknown key, a key given twice or a value of another kind is an
// error that names the key. It does not call Validate.
func ParseConfig(text string) (*Config, error) {
	c := new(Config)
	if err := c.Merge(text); err != nil {
		return nil, err
	}
	return c, nil
}

// Merge overwrites the settings that text names, as strictly as [ParseConfig], and keeps the others.
func (c *Config) Merge(text string) error {
	if err := checkText(text); err != nil {
		return err
	}
	var keys map[string]any
	if err := yaml.UnmarshalWithOptions([]byte(text), &keys, yaml.Strict()); err != nil {
		return errors.New(yamlError(err))
	}
	if err := checkKeys("", keys, reflect.TypeFor[Config]()); err != nil {
		return err
	}
	if len(keys) == 0 {
		return nil // an empty file, which the library would read as "set everything to zero"
	}
	merged := *c
	if err := yaml.UnmarshalWithOptions([]byte(text), &merged, yaml.Strict()); err != nil {
		return errors.New(yamlError(err))
	}
	*c = merged
	return nil
}

// yamlError is the first line of a YAML error, without the excerpt of the file below it: "[3:5] ...".
func yamlError(err error) string {
	line, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	if line = strings.TrimSpace(line); len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "..."
	}
	return line + " (in brackets: line and column)"
}

// checkKeys compares the keys and the kinds of values of a YAML mapping with the fields of t. The YAML library finds
// unknown keys too, but it neither says which key was meant nor refuses 1.5 for a whole number.
func checkKeys(prefix string, keys map[string]any, t reflect.Type) error {
	known := make([]string, 0, t.NumField())
	fields := map[string]reflect.Type{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		known = append(known, name)
		fields[name] = t.Field(i).Type
	}
	names := make([]string, 0, len(keys))
	for k := range keys {
		names = append(names, k)
	}
	slices.Sort(names) // one order of complaints
	for _, k := range names {
		ft, ok := fields[k]
		if !ok {
			hint := nearest.DidYouMean(k, known)
			if hint == "" {
				hint = "; known are " + strings.Join(known, ", ")
			}
			return fmt.Errorf("unknown key %q%s", prefix+k, hint)
		}
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		v := keys[k]
		want := ""
		switch ft.Kind() {
		case reflect.Struct:
			if ft == reflect.TypeFor[SigmaEnd]() {
				switch s := v.(type) {
				case string:
					if _, err := ParseSigmaEnd(s); err != nil {
						return fmt.Errorf("key %q is %w", prefix+k, err)
					}
				case uint64, int64, float64:
				default:
					want = `a number or "data"`
				}
				break
			}
			sub, ok := v.(map[string]any)
			if !ok {
				want = "a mapping with keys of its own"
				break
			}
			if err := checkKeys(prefix+k+".", sub, ft); err != nil {
				return err
			}
		case reflect.Int, reflect.Int64:
			switch v.(type) {
			case uint64, int64:
			default:
				want = "a whole number"
			}
		case reflect.Uint64:
			if _, ok := v.(uint64); !ok {
				want = "a whole number, not negative"
			}
		case reflect.Float64:
			switch v := v.(type) {
			case uint64, int64, float64:
			case string: // the library takes 1e-8, a float in YAML 1.2, for a string until it knows the field
				if _, err := strconv.ParseFloat(v, 64); err != nil {
					want = "a number"
				}
			default:
				want = "a number"
			}
		case reflect.Bool:
			if _, ok := v.(bool); !ok {
				want = "true or false"
			}
		case reflect.String:
			if _, ok := v.(string); !ok {
				want = "text (put it between quotes)"
			}
		}
		if want != "" {
			return fmt.Errorf("key %q is %v: expected %s", prefix+k, v, want)
		}
	}
	return nil
}

// Differs names the first setting in which a run with configuration d would differ in its result from one with c, with
// both values; "" when there is none. Bookkeeping and the number of steps do not count.
func (c *Config) Differs(d *Config) string {
	a, b := *c, *d
	for _, x := range []*Config{&a, &b} {
		x.Data, x.Preset = "", "" // DataSum says whether the data is the same, wherever it lies
		x.Steps, x.LogEvery, x.EvalEvery, x.PreviewEvery, x.PreviewN = 0, 0, 0, 0, 0
		x.CheckpointEvery, x.KeepCheckpoints, x.Workers, x.Cache = 0, 0, 0, ""
		x.Sigma.Distances = nil
	}
	return difference("", reflect.ValueOf(a), reflect.ValueOf(b))
}

// difference walks two structs of one type and describes the first field that is not equal.
func difference(prefix string, a, b reflect.Value) string {
	for i := range a.NumField() {
		name, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("yaml"), ",")
		x, y := a.Field(i), b.Field(i)
		if x.Kind() == reflect.Struct && x.Type() != reflect.TypeFor[SigmaEnd]() {
			if d := difference(prefix+name+".", x, y); d != "" {
				return d
			}
		} else if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			return fmt.Sprintf("%s%s (%v and %v)", prefix, name, x.Interface(), y.Interface())
		}
	}
	return ""
}
