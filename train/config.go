// The configuration of a run: every setting that its result depends on, in one value that is printed by a dry run,
// stored as config.yaml in the run folder and in the metadata of every checkpoint.

package train

import (
	"errors"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// Config is the settings of a run. It begins as a wish, where 0 or a rule such as "data" leaves a choice open.
// [Config.Resolve] replaces these by numbers, and a stored configuration holds only numbers.
//
// Lengths of noise (sigma) are standard deviations per value, in the units of the data: images are in [0, 1].
//
// Tags: yaml is the key in a configuration file; resume says what becomes of the setting when a run is gone on with,
// see changes.go; name is the setting's name in errors and on a command line, where that is not the key.
type Config struct {
	Preset  string `yaml:"preset" resume:"note"`              // the preset that the settings started from
	Data    string `yaml:"data" resume:"change"`              // "glyphs", "toy:NAME", files or a folder: dataset.Source
	DataSum string `yaml:"data_sum,omitempty" resume:"fixed"` // CRC-32C of the data's shape and values, checked on resume
	Seed    uint64 `yaml:"seed" resume:"fixed"`               // of weights, batches, levels, noise and made data

	Reading dataset.Settings `yaml:"reading,omitempty" resume:"fixed"` // how data files are read
	Scaler  *dataset.Scaler  `yaml:"scaler,omitempty" resume:"fixed"`  // how vectors were standardised; undone on samples

	// Of runs whose network is told the class of a row, which Reading asks for: the names of the classes, as the data has
	// them, and the probability with which a step leaves a label out. nil is UsualLabelDropout.
	ClassNames   []string `yaml:"class_names,omitempty" resume:"fixed"`
	LabelDropout *float64 `yaml:"label_dropout,omitempty" resume:"fixed"`

	// Files that a run starts from instead of weights drawn from the seed; at most one of them. Init gives the
	// weights and their moving average; Continue also Adam's moments and the step from which the run goes on.
	Init     string `yaml:"init,omitempty" resume:"fixed"`
	Continue string `yaml:"continue,omitempty" resume:"fixed"`
	StartSum string `yaml:"start_sum,omitempty" resume:"fixed"` // SHA-256 of that file, checked when it is read again

	Network model.Config `yaml:"network" resume:"fixed"`
	Sigma   Sigma        `yaml:"sigma"`
	Noise   model.Noise  `yaml:"noise,omitempty" resume:"fixed"` // how sigma is drawn; empty: from the ladder
	Loss    Loss         `yaml:"loss" resume:"fixed"`
	Adam    Adam         `yaml:"adam" resume:"fixed"`
	EMA     EMA          `yaml:"ema" resume:"fixed"`

	// What convolutions compute in; in a stored configuration "" is float32. It may be changed because no device but a
	// GPU computes in another: the bits are others from then on.
	Precision kernels.Precision `yaml:"precision,omitempty" resume:"change"`

	// Multiprocessors is how many a GPU cuts sums over the batch for, which decides the bits of gradients: those of the
	// GPU that the run started on, wherever it goes on. 0 in runs that started on a CPU, or before there was the setting:
	// they keep the cuts of then.
	Multiprocessors int `yaml:"multiprocessors,omitempty" resume:"fixed"`

	// Computed is what the run is computed with, as [kernels.Backend] says it: the bits of its results are others with
	// another. "" in runs of earlier versions.
	Computed string `yaml:"computed,omitempty" resume:"note"`

	Batch      int    `yaml:"batch" resume:"fixed"`            // images a step
	Shards     int    `yaml:"shards,omitempty" resume:"fixed"` // equal parts that a step does its batch in, see shards.go; 0: 1
	Steps      uint64 `yaml:"steps" resume:"change"`           // optimiser steps of the whole run; never fewer than are done
	Flip       bool   `yaml:"flip" resume:"fixed"`             // mirror each image left to right with probability 1/2
	Dequantize bool   `yaml:"dequantize" resume:"fixed"`       // x = (255 x + U(0,1)) / 256 on each batch
	HeldOut    int    `yaml:"held_out" resume:"fixed"`         // images taken out of the data for the held-out loss; 0: none

	// Split is the rule by which the held-out images were chosen: SplitByContent, or "" in runs older than that rule.
	Split string `yaml:"split,omitempty" resume:"fixed"`

	Sampling Sampling `yaml:"sampling" resume:"fixed"`

	// What follows is bookkeeping: it changes no weight.

	LogEvery        uint64 `yaml:"log_every" resume:"change"`        // steps between lines of metrics.jsonl
	EvalEvery       uint64 `yaml:"eval_every" resume:"change"`       // steps between held-out losses; 0: none
	PreviewEvery    uint64 `yaml:"preview_every" resume:"change"`    // steps between preview pictures; 0: only at the end
	PreviewN        int    `yaml:"preview_n" resume:"change"`        // samples in a preview; 0: no previews
	CheckpointEvery uint64 `yaml:"checkpoint_every" resume:"change"` // steps between checkpoints; 0: only at the end
	KeepCheckpoints int    `yaml:"keep_checkpoints" resume:"change"` // newest checkpoints kept; 0: all

	// EvalMetric is a measure of samples that is taken at each checkpoint, one of [EvalMetrics]; "": none. EvalSamples is
	// how many samples it is taken of; 0: defaultEvalSamples.
	EvalMetric  string `yaml:"eval_metric,omitempty" resume:"change"`
	EvalSamples int    `yaml:"eval_samples,omitempty" resume:"change"`

	Workers int    `yaml:"workers" resume:"change"`         // worker goroutines of the CPU; 0: one a core
	Cache   string `yaml:"cache,omitempty" resume:"change"` // folder for decoded images; "": the user's; "none"
}

// UsualLabelDropout is how many labels a run leaves out where nobody says: enough to learn the score without classes.
const UsualLabelDropout = 0.1

// SplitByContent is the rule of [dataset.Set.Split].
const SplitByContent = "content"

// Sigma is the noise ladder.
type Sigma struct {
	Begin   SigmaEnd `yaml:"begin" name:"sigma-begin" resume:"fixed"` // sigma_1, the largest
	End     SigmaEnd `yaml:"end" name:"sigma-end" resume:"fixed"`     // sigma_L, the smallest
	Levels  int      `yaml:"levels" resume:"fixed"`                   // L; 0: by Technique 2
	Spacing string   `yaml:"spacing,omitempty" resume:"fixed"`        // one of model.Spacings; "": geometric

	// Distances is what a rule of [SigmaEnd] found in the data, in the units that the network is trained in.
	Distances *dataset.Distances `yaml:"distances,omitempty" resume:"note"`
}

// Loss is lambda(sigma) = sigma^AnnealPower of levels, and how levels are drawn. Other noise has a weight of its own.
type Loss struct {
	AnnealPower   float64 `yaml:"anneal_power"`    // p; 2 weighs all levels alike
	LevelsPerStep int     `yaml:"levels_per_step"` // levels drawn each step and shared out over the batch; 0: one an image
	Stratified    bool    `yaml:"stratified"`      // draws spread evenly over the ladder; those of a density always are

	// Likelihood weighs by g^2, so that the loss bounds the likelihood; ReduceMean takes the mean over values, not half their sum.
	Likelihood bool `yaml:"likelihood_weighting,omitempty" name:"likelihood-weighting"`
	ReduceMean bool `yaml:"reduce_mean,omitempty"`
}

// Adam is the optimiser's settings: the learning rate of step n, counted from 0, is LR min(n/Warmup, 1), and gradients are
// scaled by min(1, Clip/(norm + 1e-6)), the norm being that of all of them together.
type Adam struct {
	LR    float64 `yaml:"lr"`
	Beta1 float64 `yaml:"beta1"`
	Beta2 float64 `yaml:"beta2"`
	Eps   float64 `yaml:"eps" name:"adam-eps"`

	Clip   float64 `yaml:"clip,omitempty" name:"grad-clip"`   // largest norm of the gradients; 0: any
	Warmup uint64  `yaml:"warmup,omitempty" name:"lr-warmup"` // steps until the rate is LR; 0: from the first
}

// Rate returns the learning rate with which a run comes to a step: that of the update before it.
func (a *Adam) Rate(step uint64) float64 {
	if a.Warmup == 0 {
		return a.LR
	}
	return a.LR * min((float64(step)-1)/float64(a.Warmup), 1)
}

// EMA is the exponential moving average of the weights: ema <- r ema + (1-r) w, with r = Rate or, with Warmup,
// min(Rate, (1+n)/(10+n)) after step n. Rate 0 keeps none: samples and held-out loss are those of the weights
// themselves.
type EMA struct {
	Rate   float64 `yaml:"rate" name:"ema"`
	Warmup bool    `yaml:"warmup" name:"ema-warmup"`
}

// Sampling is how previews are drawn, and the defaults of the sample command for this run's checkpoints.
type Sampling struct {
	T       int     `yaml:"T"`       // Langevin steps at each level
	Epsilon float64 `yaml:"epsilon"` // step size at the last level, in a_i = epsilon sigma_i^2/sigma_L^2; 0: Technique 4
	Denoise bool    `yaml:"denoise"` // end with x + sigma_L^2 s

	// Sampler is "langevin", for which the settings above are, or "" for the network's usual one, which for NCSNv2 is
	// another (package sample).
	Sampler string `yaml:"sampler,omitempty"`
}

// Ladder returns the noise levels of a resolved configuration.
func (c *Config) Ladder() (model.Ladder, error) {
	if c.Sigma.Begin.Rule != "" || c.Sigma.End.Rule != "" || c.Sigma.Levels < 1 {
		return nil, errors.New("sigma: the ladder is not resolved yet: it depends on the data")
	}
	if sde := c.Network.SDE; sde.Preserving() && sde.Discrete {
		return sde.Ladder(c.Sigma.Levels), nil
	}
	return model.NewLadder(c.Sigma.Spacing, c.Sigma.Begin.Value, c.Sigma.End.Value, c.Sigma.Levels)
}

// LeavesOut returns the probability with which labels are left out; 0: the network has learned no score without classes.
func (c *Config) LeavesOut() float64 {
	if c.LabelDropout == nil {
		return 0
	}
	return *c.LabelDropout
}

// Rows says what the data of the run is counted in: images or rows.
func (c *Config) Rows() string {
	if c.Network.Vectors() {
		return "rows"
	}
	return "images"
}

// Unit returns the name of the loss of zero weights, to which shown losses are compared.
func (c *Config) Unit() string {
	if c.Noise.Density == model.LogNormal || c.Loss.Likelihood || c.Loss.ReduceMean {
		return "zero weights'"
	}
	return c.HeldOutUnit()
}

// HeldOutUnit is Unit for held-out losses, which are of the levels of the ladder whatever training draws.
func (c *Config) HeldOutUnit() string {
	if c.Loss.AnnealPower == 2 {
		return "D/2"
	}
	return "zero weights'"
}
