// The settings as flags: a table that the parser, the help text and completion read. A field of the configuration
// becomes a flag by a row here.

package traincmd

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// settingFlag is a flag that sets one field of the configuration, and all that there is to say about it. Whether it may
// change when a run is gone on with is decided in package train, see [train.MayChange].
type settingFlag struct {
	Name string
	Arg  string // placeholder in the help text; "" for a boolean flag
	Unit string
	Help string
	// Field is a pointer to the field, or a flag.Value that sets it, as [cli.Set] takes both.
	Field   func(c *train.Config) any
	Default string   // as the help text shows it, where the default preset does not tell; "": what that has
	Known   []string // values that are known by name; those of a [word] need not be told
	// Unused says why a run has no use for the setting, "" where it has: who gives it expects it to do something.
	// nil: all runs use it.
	Unused func(c *train.Config) string
}

// settingGroup is settings under a heading of the help text.
type settingGroup struct {
	Name     string
	Note     string
	Settings []settingFlag
}

// groups are the settings in the order of the help text.
var groups = []settingGroup{
	{
		Name: "Data and network",
		Settings: []settingFlag{
			{
				Name: "data", Arg: "SPEC",
				Help: "what to learn: glyphs, toy:NAME, or a folder or files, commas between: pictures (PNG, " +
					"JPEG, WebP), IDX, CIFAR binary, NPY, CSV; also in ZIP or TAR",
				Known: dataset.MadeSpecs(),
				Field: func(c *train.Config) any { return &c.Data },
			},
			{
				Name: "crop", Arg: "HxW", Unit: "pixels",
				Help:    "cut out the middle of each image, HxW or N for a square, before it is scaled",
				Default: "all",
				Field:   func(c *train.Config) any { return &c.Reading.Crop },
			},
			{
				Name: "size", Arg: "HxW", Unit: "pixels",
				Help:    "scale each image to HxW, or N for a square, and cut off what its other aspect leaves over",
				Default: "its own",
				Field:   func(c *train.Config) any { return &c.Reading.Size },
			},
			{
				Name: "channels", Arg: "WHICH",
				Help:  "grey, colour, or auto: grey if every image is",
				Field: func(c *train.Config) any { return word{&c.Reading.Channels, "grey,colour"} },
			},
			{
				Name: "white", Arg: "V",
				Help: "the value that is white in image files: 1 for images of 0 and 1, 4095 for 12 bits in 16, " +
					"any for NPY",
				Default: "255, or what the type of the values says",
				Field:   func(c *train.Config) any { return &c.Reading.White },
			},
			{
				Name: "damaged", Arg: "WHAT",
				Help:    "what becomes of damaged pictures: stop lists them all and stops, skip passes them over",
				Default: "stop",
				Field:   func(c *train.Config) any { return cli.Choice{To: &c.Reading.Damaged, Words: []string{"stop", "skip"}} },
			},
			{
				Name: "layout", Arg: "ORDER",
				Help:  "of NPY images (N, ...): nhwc, nchw, or auto: channels are the dimension that is 1 or 3",
				Field: func(c *train.Config) any { return word{&c.Reading.Layout, "nhwc,nchw"} },
			},
			{
				Name: "columns", Arg: "LIST",
				Help:    "columns of a table to learn: names, numbers from 1 and ranges, such as a,c,3-5",
				Default: "all",
				Field:   func(c *train.Config) any { return &c.Reading.Columns },
			},
			{
				Name: "categories", Arg: "LIST",
				Help: "columns of a table whose numbers are categories, as -columns lists them; columns of words are found by " +
					"themselves",
				Default: "columns of words",
				Field:   func(c *train.Config) any { return &c.Reading.Categories },
			},
			{
				Name: "bounded", Arg: "COLUMN=LOW:HIGH,...",
				Help:  "columns of a table whose numbers lie between bounds, which samples keep, such as share=0:1",
				Field: func(c *train.Config) any { return &c.Reading.Bounded },
			},
			{
				Name: "header", Arg: "WHETHER",
				Help: "whether a table begins with its columns' names: yes, no, or auto: unless its first " +
					"line is all numbers",
				Field: func(c *train.Config) any { return word{&c.Reading.Header, "yes,no"} },
			},
			{
				Name: "classes",
				Help: "tell the network the class of each row: the digit of glyphs, the labels beside IDX images or in CIFAR, the folder " +
					"of a picture, the -label of a table; of networks " + strings.Join(model.ClassNetworks(), ", "),
				Field: func(c *train.Config) any { return &c.Reading.Classes },
			},
			{
				Name: "label", Arg: "COLUMN",
				Help: "column of a table that holds the class of each row, by name or number, and is then not learned; of CIFAR-100 fine " +
					"(100 classes) or coarse (20). As -classes, it tells the network the class",
				Default: "none; of CIFAR-100 with -classes fine",
				Field:   func(c *train.Config) any { return &c.Reading.Label },
			},
			{
				Name: "label-dropout", Arg: "P",
				Help: "of -classes: the probability that a step leaves a label out, so that the network learns the score without a class, " +
					"too, which sample -guidance needs",
				Default: fmt.Sprintf("%g with -classes", train.UsualLabelDropout),
				Field:   func(c *train.Config) any { return optional{&c.LabelDropout} },
				Unused: func(c *train.Config) string {
					return when(!c.Reading.Labelled(), "is for runs whose network is told classes: give -classes")
				},
			},
			{
				Name: "standardize", Arg: "HOW",
				Help: "bring vectors from files to unit size: columns (mean 0, deviation 1), whiten (no " +
					"correlation either) or none; undone on samples",
				Field: func(c *train.Config) any { return word{&c.Reading.Standardize, "columns,whiten,none"} },
			},
			{
				Name: "cache", Arg: "DIR",
				Help:    "folder for decoded images, or none",
				Default: "sigmaz in the user's cache folder",
				Known:   []string{"none"},
				Field:   func(c *train.Config) any { return &c.Cache },
			},
			{
				Name: "held-out", Arg: "N", Unit: "images",
				Help:  "images kept from training for the held-out loss; 0: none",
				Field: func(c *train.Config) any { return &c.HeldOut },
			},
			{
				Name:  "flip",
				Help:  "mirror images left to right at random",
				Field: func(c *train.Config) any { return &c.Flip },
			},
			{
				Name:  "dequantize",
				Help:  "add uniform noise below one grey level",
				Field: func(c *train.Config) any { return &c.Dequantize },
			},
			{
				Name: "net", Arg: "NAME",
				Help: "network: " + strings.Join(model.Networks(), ", ") + "; mlp is for vectors, and ncsn brings " +
					"its own ladder and sampling to another network's preset",
				Known: model.Networks(),
				Field: func(c *train.Config) any { return &c.Network.Net },
			},
			{
				Name: "ngf", Arg: "N", Unit: "channels",
				Help:   "width of the networks for images: channels at full resolution",
				Field:  func(c *train.Config) any { return &c.Network.NGF },
				Unused: imagesOnly("ngf"),
			},
			{
				Name: "normalization", Arg: "NAME",
				Help:    "norm of the networks for images: " + strings.Join(model.Normalizations(), " or "),
				Default: model.Normalizations()[0],
				Known:   model.Normalizations(),
				Field:   func(c *train.Config) any { return &c.Network.Normalization },
				Unused: func(c *train.Config) string {
					if c.Network.Uses("unet") {
						return "is for networks with instance norms, and this is " + c.Network.Net
					}
					return imagesOnly("normalization")(c)
				},
			},
			{
				Name: "nonlinearity", Arg: "NAME",
				Help:    "activation of the networks for images: " + strings.Join(model.Nonlinearities(), ", "),
				Default: model.Nonlinearities()[0] + ", of U-Nets swish",
				Known:   model.Nonlinearities(),
				Field:   func(c *train.Config) any { return &c.Network.Nonlinearity },
				Unused:  imagesOnly("nonlinearity"),
			},
			{
				Name:  "rescaled",
				Help:  "learn images in [-1, 1] instead of [0, 1]; sigma is then in those units",
				Field: func(c *train.Config) any { return &c.Network.Rescaled },
				Unused: func(c *train.Config) string {
					return when(!c.Network.Uses("rescaled"), "is for images, and network "+c.Network.Net+" takes vectors")
				},
			},
			{
				Name: "hidden", Arg: "N", Unit: "units",
				Help:    "width of mlp: units of each hidden layer",
				Default: "128",
				Field:   func(c *train.Config) any { return &c.Network.Hidden },
				Unused: func(c *train.Config) string {
					return when(!c.Network.Uses("hidden"), "is for network mlp, and this is "+c.Network.Net)
				},
			},
		},
	},
	unetSettings,
	{
		Name: "Noise ladder and loss",
		Note: "SIGMA is a standard deviation per value, in the units of the data: images are in [0, " +
			"1], or with -rescaled in [-1, 1].",
		Settings: []settingFlag{
			{
				Name: "sigma-begin", Arg: "SIGMA",
				Help:   "largest noise: a number, or data: the largest distance between two images",
				Known:  []string{train.RuleData},
				Field:  func(c *train.Config) any { return &c.Sigma.Begin },
				Unused: endsOfProcess,
			},
			{
				Name: "sigma-end", Arg: "SIGMA",
				Help:  "smallest noise: a number, data (d_min/(2 sqrt D), for images from 0.004 to 0.03) or data-literal (d_min)",
				Known: []string{train.RuleData, train.RuleLiteral},
				Field: func(c *train.Config) any { return &c.Sigma.End },
				Unused: func(c *train.Config) string {
					return cmp.Or(endsOfProcess(c), when(c.Sigma.Levels == 1, "has no meaning with one level, which is at sigma-begin"))
				},
			},
			{
				Name: "levels", Arg: "L", Unit: "levels",
				Help:  "number of noise levels, or auto: by Technique 2",
				Known: []string{auto},
				Field: func(c *train.Config) any { return (*levels)(&c.Sigma.Levels) },
			},
			{
				Name: "spacing", Arg: "HOW",
				Help:    "of the levels: " + strings.Join(model.Spacings(), " or "),
				Default: model.Spacings()[0],
				Known:   model.Spacings(),
				Field:   func(c *train.Config) any { return &c.Sigma.Spacing },
				Unused:  endsOfProcess,
			},
			{
				Name: "sde", Arg: "NAME",
				Help: "process that noises the data: ve, x + sigma z; vp or subvp, which take it to noise of unit size (with -rescaled " +
					"for images), at uniform times, or with -noise ladder vp in the steps of DDPM",
				Default: model.SDEs()[0],
				Known:   model.SDEs(),
				Field:   func(c *train.Config) any { return choice{&c.Network.SDE.Kind, model.SDEs()} },
			},
			{
				Name: "beta-min", Arg: "B",
				Help:    "of vp and subvp: b(0); 0: the default",
				Default: "0.1",
				Field:   func(c *train.Config) any { return &c.Network.SDE.BetaMin },
				Unused:  preservingOnly,
			},
			{
				Name: "beta-max", Arg: "B",
				Help:    "of vp and subvp: b(1); 0: the default",
				Default: "20",
				Field:   func(c *train.Config) any { return &c.Network.SDE.BetaMax },
				Unused:  preservingOnly,
			},
			{
				Name: "parameterization", Arg: "NAME",
				Help: "edm for c_skip, c_out and c_in of Karras et al. 2022 around the network, which then sees sigma by the size of " +
					"its input; made for -noise lognormal",
				Default: model.PlainParameterization,
				Known:   model.Parameterizations(),
				Field:   func(c *train.Config) any { return choice{&c.Network.Parameterization, model.Parameterizations()} },
			},
			{
				Name: "noise", Arg: "HOW",
				Help: "what sigma is drawn from: the levels of the ladder, or a density of ln sigma, stratified over the " +
					"batch: loguniform over the ladder's range, lognormal with the weight of EDM, uniform-t for vp and subvp",
				Default: model.Densities()[0] + ", with vp and subvp " + model.UniformTime,
				Known:   model.Densities(),
				Field:   func(c *train.Config) any { return density{&c.Noise} },
			},
			{
				Name: "P-mean", Arg: "MEAN",
				Help:    "of lognormal: the mean of ln sigma",
				Default: "-1.2 + ln(sigma-data/0.5)",
				Field:   func(c *train.Config) any { return optional{&c.Noise.PMean} },
			},
			{
				Name: "P-std", Arg: "SD",
				Help:    "of lognormal: the deviation of ln sigma; 0: the default",
				Default: "1.2",
				Field:   func(c *train.Config) any { return &c.Noise.PStd },
			},
			{
				Name: "sigma-data", Arg: "SD",
				Help:    "of lognormal: the deviation of the data, in the weight (sigma^2 + SD^2)/SD^2; 0: the default",
				Default: "0.25 of images, 0.5 with -rescaled, that of the vectors",
				Field:   func(c *train.Config) any { return &c.Noise.SigmaData },
			},
			{
				Name:  "likelihood-weighting",
				Help:  "weigh the loss by g(t)^2, so that it bounds the likelihood",
				Field: func(c *train.Config) any { return &c.Loss.Likelihood },
			},
			{
				Name:  "reduce-mean",
				Help:  "the loss is a mean over values, not half their sum",
				Field: func(c *train.Config) any { return &c.Loss.ReduceMean },
			},
			{
				Name: "anneal-power", Arg: "P",
				Help:  "P in the weight sigma^P of each level's loss; 2 weighs all alike",
				Field: func(c *train.Config) any { return &c.Loss.AnnealPower },
			},
			{
				Name: "levels-per-step", Arg: "K", Unit: "levels",
				Help:  "levels drawn each step and shared out over the batch; 0: one an image",
				Field: func(c *train.Config) any { return &c.Loss.LevelsPerStep },
			},
			{
				Name:  "stratified",
				Help:  "draw the levels evenly over the ladder",
				Field: func(c *train.Config) any { return &c.Loss.Stratified },
				Unused: func(c *train.Config) string {
					return when(c.Noise.Continuous() && !c.Loss.Stratified,
						"is for levels of the ladder, and draws of -noise "+c.Noise.Density+" are always stratified")
				},
			},
		},
	},
	{
		Name: "Optimisation",
		Settings: []settingFlag{
			{
				Name: "steps", Arg: "N", Unit: "steps",
				Help:  "optimiser steps of the whole run",
				Field: func(c *train.Config) any { return &c.Steps },
			},
			{
				Name: "batch", Arg: "N", Unit: "images",
				Help:  "images of a step",
				Field: func(c *train.Config) any { return &c.Batch },
			},
			{
				Name: "shards", Arg: "S", Unit: "parts",
				Help: "do a step's batch in S equal parts, one after the other, in about 1/S of the memory: a power of two that divides " +
					"the batch. Their gradients are added in a fixed order",
				Default: "1",
				Field:   func(c *train.Config) any { return &c.Shards },
			},
			{
				Name: "lr", Arg: "LR",
				Help:  "learning rate of Adam, or auto: 1e-4 at ngf 128, in proportion to 1/ngf, and 1e-3 for ncsn",
				Known: []string{auto},
				Field: func(c *train.Config) any { return (*rate)(&c.Adam.LR) },
			},
			{
				Name: "beta1", Arg: "B",
				Help:  "decay of Adam's first moment, in [0, 1)",
				Field: func(c *train.Config) any { return &c.Adam.Beta1 },
			},
			{
				Name: "beta2", Arg: "B",
				Help:  "decay of Adam's second moment, in [0, 1)",
				Field: func(c *train.Config) any { return &c.Adam.Beta2 },
			},
			{
				Name: "adam-eps", Arg: "EPS",
				Help:  "added to the root of Adam's second moment",
				Field: func(c *train.Config) any { return &c.Adam.Eps },
			},
			{
				Name: "grad-clip", Arg: "NORM",
				Help:    "scale gradients down to NORM where that of all together is larger; 0: leave them",
				Default: "0",
				Field:   func(c *train.Config) any { return &c.Adam.Clip },
			},
			{
				Name: "lr-warmup", Arg: "N", Unit: "steps",
				Help:    "the learning rate of step n is LR min(n/N, 1), n from 0; 0: LR from the first step",
				Default: "0",
				Field:   func(c *train.Config) any { return &c.Adam.Warmup },
			},
			{
				Name: "ema", Arg: "RATE",
				Help:  "rate of the moving average of the weights (EMA), in [0, 1); 0: none",
				Field: func(c *train.Config) any { return &c.EMA.Rate },
			},
			{
				Name:  "ema-warmup",
				Help:  "the average's rate is min(RATE, (1+n)/(10+n)) after n steps",
				Field: func(c *train.Config) any { return &c.EMA.Warmup },
				Unused: func(c *train.Config) string {
					return when(c.EMA.Rate == 0, "is for the moving average of the weights, and there is none (ema 0)")
				},
			},
			{
				Name: "seed", Arg: "N",
				Help:  "seed of weights, noise, batches and made data",
				Field: func(c *train.Config) any { return &c.Seed },
			},
		},
	},
	{
		Name: "Sampling (previews; defaults of the sample command)",
		Settings: []settingFlag{
			{
				Name: "sampler", Arg: "NAME",
				Help:    "langevin for annealed Langevin dynamics, which -T and -epsilon ask for too, and which ncsn has anyway",
				Default: "by the network",
				Known:   []string{model.Langevin},
				Field:   func(c *train.Config) any { return &c.Sampling.Sampler },
			},
			{
				Name: "T", Arg: "N", Unit: "steps",
				Help:  "Langevin steps at each level",
				Field: func(c *train.Config) any { return &c.Sampling.T },
			},
			{
				Name: "epsilon", Arg: "EPS",
				Help:    "step size at the last level, in a_i = EPS sigma_i^2/sigma_L^2; 0: by Technique 4",
				Default: "by Technique 4",
				Field:   func(c *train.Config) any { return &c.Sampling.Epsilon },
			},
			{
				Name:  "denoise",
				Help:  "end with the denoising step x + sigma_L^2 s(x, sigma_L)",
				Field: func(c *train.Config) any { return &c.Sampling.Denoise },
			},
		},
	},
	{
		Name: "Bookkeeping",
		Settings: []settingFlag{
			{
				Name: "log-every", Arg: "N", Unit: "steps",
				Help:  "steps between lines of metrics.jsonl",
				Field: func(c *train.Config) any { return &c.LogEvery },
			},
			{
				Name: "eval-every", Arg: "N", Unit: "steps",
				Help:  "steps between held-out losses; 0: never",
				Field: func(c *train.Config) any { return &c.EvalEvery },
			},
			{
				Name: "preview-every", Arg: "N", Unit: "steps",
				Help:  "steps between preview pictures; 0: only at the end",
				Field: func(c *train.Config) any { return &c.PreviewEvery },
			},
			{
				Name: "preview-n", Arg: "N", Unit: "samples",
				Help:  "samples in a preview; 0: no previews",
				Field: func(c *train.Config) any { return &c.PreviewN },
			},
			{
				Name: "checkpoint-every", Arg: "N", Unit: "steps",
				Help:  "steps between checkpoints; 0: only at the end",
				Field: func(c *train.Config) any { return &c.CheckpointEvery },
			},
			{
				Name: "eval-metric", Arg: "NAME",
				Help: "measure of samples at each checkpoint, as eval takes it, against images that are trained on: " +
					strings.Join(train.EvalMetrics(), ", ") + ", or none",
				Known: append(train.EvalMetrics(), none),
				Field: func(c *train.Config) any { return metric{&c.EvalMetric} },
			},
			{
				Name: "eval-samples", Arg: "N", Unit: "samples",
				Help:    "how many samples it is taken of",
				Default: "500",
				Field:   func(c *train.Config) any { return &c.EvalSamples },
				Unused: func(c *train.Config) string {
					return when(c.EvalMetric == "", "is how many samples a measure is taken of, and none is: give -eval-metric "+train.KIDDigits+" too")
				},
			},
			{
				Name: "keep-checkpoints", Arg: "N", Unit: "checkpoints",
				Help:  "newest checkpoints to keep; 0: all",
				Field: func(c *train.Config) any { return &c.KeepCheckpoints },
			},
		},
	},
	{
		Name: "Machine",
		Settings: []settingFlag{
			{
				Name: "precision", Arg: "NAME",
				Help:    cli.PrecisionHelp,
				Default: "tf32 with -gpu, float32 on the CPU",
				Known:   kernels.PrecisionNames(),
				Field:   func(c *train.Config) any { return cli.Precision(&c.Precision) },
			},
			{
				Name: "workers", Arg: "N", Unit: "goroutines",
				Help:  "worker goroutines on the CPU, which change no result; 0: one a core",
				Field: func(c *train.Config) any { return &c.Workers },
			},
		},
	},
}

// reading are the settings of how data is read or made, those of another command that reads what train does.
var reading = []string{"crop", "size", "channels", "white", "damaged", "layout", "columns", "header", "categories", "bounded", "standardize", "cache", "seed"}

// ReadingFlags makes the flags by which train reads data. They set c.
func ReadingFlags(c *train.Config) (flags []cli.Flag) {
	for s := range settings() {
		if slices.Contains(reading, s.Name) {
			known := s.Known
			if w, ok := s.Field(c).(word); ok {
				known = w.all()
			}
			flags = append(flags, cli.Flag{Name: s.Name, Arg: s.Arg, Unit: s.Unit, Help: s.Help, Value: s.Field(c), Default: s.Default,
				Known: known})
		}
	}
	return flags
}

// CopyReading sets in c what was given by [ReadingFlags], which from has.
func CopyReading(c, from *train.Config, given func(name string) bool) error {
	for s := range settings() {
		if slices.Contains(reading, s.Name) && given(s.Name) {
			if err := cli.Set(s.Field(c), cli.Text(s.Field(from))); err != nil {
				return cli.Usagef("-%s %v", s.Name, err)
			}
		}
	}
	return nil
}

// imagesOnly makes the reason for a setting that networks for images use alone.
func imagesOnly(setting string) func(c *train.Config) string {
	return func(c *train.Config) string {
		return when(!c.Network.Uses(setting), "is for networks for images, and this is "+c.Network.Net)
	}
}

// when is text where a condition holds.
func when(holds bool, text string) string {
	if holds {
		return text
	}
	return ""
}

// settings are those of all groups, in order.
func settings() iter.Seq[settingFlag] {
	return func(yield func(settingFlag) bool) {
		for _, g := range groups {
			for _, s := range g.Settings {
				if !yield(s) {
					return
				}
			}
		}
	}
}

// levels is a number of noise levels and rate a learning rate; both may be auto, which is 0 in the configuration.
type (
	levels int
	rate   float64
)

const auto = "auto"

// preservingOnly says that a setting is of vp and subvp.
func preservingOnly(c *train.Config) string {
	return when(!c.Network.SDE.Preserving(), "is for -sde "+model.VP+" and "+model.SubVP)
}

// endsOfProcess says that vp and subvp have their own ladder.
func endsOfProcess(c *train.Config) string {
	return when(c.Network.SDE.Preserving(), "is for -sde "+model.VE+": the noise of "+c.Network.SDE.Kind+" is by -beta-min and -beta-max")
}

// choice is one of some words, of which the first is the empty string in the configuration.
type choice struct {
	to    *string
	words []string
}

func (c choice) String() string {
	if c.to == nil || *c.to == "" {
		return cmp.Or(append(c.words, "")...)
	}
	return *c.to
}

func (c choice) Set(text string) error {
	if err := (cli.Choice{To: c.to, Words: c.words}).Set(text); err != nil {
		return err
	}
	if text == c.words[0] {
		*c.to = ""
	}
	return nil
}

// density is what sigma is drawn from; the ladder, the usual one, is the empty string in the configuration. Another one
// leaves what a configuration says about its own behind.
type density struct{ of *model.Noise }

func (d density) String() string { return cmp.Or(d.of.Density, model.LadderNoise) }

func (d density) Set(text string) error {
	was, now := d.String(), ""
	if err := (cli.Choice{To: &now, Words: model.Densities()}).Set(text); err != nil {
		return err
	}
	switch {
	case now == model.LadderNoise:
		*d.of = model.Noise{Density: now} // named: processes that preserve the variance have another usual one
	case now != was:
		*d.of = model.Noise{Density: now}
	}
	return nil
}

// optional is a number that need not be there.
type optional struct{ to **float64 }

func (o optional) String() string {
	if *o.to == nil {
		return ""
	}
	return cli.Text(*o.to)
}

func (o optional) Set(text string) error {
	var v float64
	if err := cli.Set(&v, text); err != nil {
		return err
	}
	*o.to = &v
	return nil
}

// word is one of some words with commas between; auto is the empty string in the configuration.
type word struct {
	to    *string
	words string
}

// all is every word, auto last.
func (w word) all() []string { return append(strings.Split(w.words, ","), auto) }

func (w word) String() string {
	if w.to == nil || *w.to == "" {
		return auto
	}
	return *w.to
}

func (w word) Set(text string) error {
	if err := (cli.Choice{To: w.to, Words: w.all()}).Set(text); err != nil {
		return err
	}
	if text == auto {
		*w.to = ""
	}
	return nil
}

// none stands for no measure of quality.
const none = "none"

// metric is a measure of quality or none, which is the empty string in the configuration.
type metric struct{ to *string }

func (m metric) String() string {
	if m.to == nil || *m.to == "" {
		return none
	}
	return *m.to
}

func (m metric) Set(text string) error {
	if err := (cli.Choice{To: m.to, Words: append(train.EvalMetrics(), none)}).Set(text); err != nil {
		return err
	}
	if text == none {
		*m.to = ""
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
	var bad *setting.Error
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
