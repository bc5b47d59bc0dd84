// Presets: complete settings under a name. A preset is where the flags and the configuration file start from.

package train

import (
	"strings"

	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// Preset is settings and where they come from.
type Preset struct {
	Name   string
	What   string // one line for -h
	Source string // where the numbers come from, printed by -dry-run and -list-presets
	Files  string // what Config.Data is to hold; "" for data that is built in
	Config Config
}

// auto is the value of settings that [Config.Resolve] finds.
const auto = 0

// Presets in the order of the help text. The first is the default.
//
// Image sizes are those of the data that the preset is meant for; other data brings its own. EMA warm-up is on except
// where published settings are reproduced: after n steps without it the average still holds 0.999^n of the initial
// weights, 37 % after 1,000, and in short runs its samples are noise.
var Presets = append([]Preset{
	{
		Name: "glyphs",
		What: "digits drawn from fonts, a small NCSNv2, two to four minutes on two cores (default)",
		Source: "NCSNv2's loss and sampler (Song and Ermon 2020) on a network of 8 channels; " +
			"steps and batch found by trial on two cores: at the same time, 16 or 32 channels get too few steps, " +
			"batches of 32 give worse digits and so do batches of 8; levels stratified over the batch; " +
			"learning rate in proportion to 1/ngf from the published 1e-4 at 128; " +
			"sigma-begin: the largest distance between two of the digits, 14.9, rounded up; " +
			"levels and epsilon by Techniques 2 and 4",
		Config: Config{
			Data: "glyphs", Seed: 1,
			Network: model.Config{Net: "ncsnv2", Height: 28, Width: 28, Channels: 1, NGF: 8},
			// With seed 1 the largest distance is 14.9. The search over all pairs takes seconds that data which is
			// always the same need not cost; -sigma-begin data repeats it.
			Sigma: Sigma{Begin: SigmaEnd{Value: 15}, End: SigmaEnd{Value: 0.01}, Levels: auto},
			Loss:  Loss{AnnealPower: 2, Stratified: true},
			Adam:  Adam{LR: auto, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			EMA:   EMA{Rate: 0.999, Warmup: true},
			Batch: 16, Steps: 9000, HeldOut: 64,
			Sampling: Sampling{T: 5, Epsilon: auto, Denoise: true},
			LogEvery: 100, EvalEvery: 3000, PreviewEvery: 4500, PreviewN: 36, CheckpointEvery: 1000,
		},
	},
	{
		Name: "toy",
		What: "points in the plane (-data toy:swissroll, ...), an MLP, under a minute",
		Source: "three hidden layers that see sigma; found by trial on two cores; " +
			"sigma-begin covers the data (its coordinates have deviation 1), " +
			"sigma-end is below the thickness of the swiss roll's line (0.05)",
		Config: Config{
			Data: "toy:swissroll", Seed: 1,
			Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 128},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 4}, End: SigmaEnd{Value: 0.02}, Levels: 20},
			Loss:    Loss{AnnealPower: 2},
			Adam:    Adam{LR: 2e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			EMA:     EMA{Rate: 0.999, Warmup: true},
			Batch:   512, Steps: 6000, HeldOut: 2000,
			Sampling: Sampling{T: 20, Epsilon: auto, Denoise: true},
			LogEvery: 200, EvalEvery: 2000, PreviewEvery: 2000, PreviewN: 2000, CheckpointEvery: 2000,
		},
	},
	{
		Name:  "vectors",
		Files: "a table of numbers (CSV) or an NPY array (N, D)",
		What:  "rows of a table or an array of vectors (-data x.csv, ...), an MLP, under a minute",
		Source: "as toy, with what means and correlations true to the sampling error of thousands of draws take, " +
			"found by trial: large stratified batches against the noise of the gradient; " +
			"sigma-begin is the largest distance, sigma-end a hundredth of a column's deviation; " +
			"with q = epsilon/sigma_L^2 = 0.3, 20 steps at each of 100 levels leave the variance of a normal distribution 1 % " +
			"too large (by the recursion of the variance under exact scores), where Technique 4's q leaves 6 %",
		Config: Config{
			Data: "data/table.csv", Seed: 1,
			Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 5, Hidden: 128},
			Sigma:   Sigma{Begin: SigmaEnd{Rule: RuleData}, End: SigmaEnd{Value: 0.01}, Levels: 100},
			Loss:    Loss{AnnealPower: 2, Stratified: true},
			Adam:    Adam{LR: 2e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			EMA:     EMA{Rate: 0.999, Warmup: true},
			Batch:   2048, Steps: 8000, HeldOut: 64,
			Sampling: Sampling{T: 20, Epsilon: 3e-5, Denoise: true},
			LogEvery: 200, EvalEvery: 1000, PreviewEvery: 2000, PreviewN: 500, CheckpointEvery: 1000,
		},
	},
	{
		Name:  "fashion-mnist",
		Files: "Fashion-MNIST's IDX files, train-images-idx3-ubyte, with or without .gz",
		What:  "clothes, 28x28 grey, at the published width: for a GPU, or with -ngf 8 -batch 32 -steps 2000 for two cores",
		Source: "NCSNv2's CIFAR-10 settings (Song and Ermon 2020, ermongroup/ncsnv2 configs/cifar10.yml) carried over to " +
			"28x28 grey, which nobody published: " +
			"sigma-begin is the largest distance in the training set, 22.46, rounded up; " +
			"levels and epsilon by Techniques 2 and 4; learning rate 1e-4 at 128 channels, in proportion to 1/ngf; " +
			"no flip, because shoes point left",
		Config: Config{
			Data: "data/fashion-mnist", Seed: 1,
			Network: model.Config{Net: "ncsnv2", Height: 28, Width: 28, Channels: 1, NGF: 128},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 23}, End: SigmaEnd{Value: 0.01}, Levels: auto},
			Loss:    Loss{AnnealPower: 2},
			Adam:    Adam{LR: auto, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			EMA:     EMA{Rate: 0.999, Warmup: true},
			Batch:   128, Steps: 100_000, HeldOut: 64,
			Sampling: Sampling{T: 5, Epsilon: auto, Denoise: true},
			LogEvery: 50, EvalEvery: 1000, PreviewEvery: 1000, PreviewN: 36, CheckpointEvery: 1000,
		},
	},
	{
		Name:  "cifar10",
		What:  "the published NCSNv2 on CIFAR-10: for a GPU",
		Files: "CIFAR-10's binary version, data_batch_1.bin to data_batch_5.bin",
		Source: "Song and Ermon 2020, table 4 and ermongroup/ncsnv2 configs/cifar10.yml: sigma 50 to 0.01 in 232 levels, " +
			"T 5, epsilon 6.2e-6, " +
			"Adam 1e-4 (at other widths than 128 in proportion to 1/ngf), EMA 0.999 without warm-up, flip, no dequantisation",
		Config: Config{
			Data: "data/cifar-10-batches-bin", Seed: 1,
			Network: model.Config{Net: "ncsnv2", Height: 32, Width: 32, Channels: 3, NGF: 128},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 50}, End: SigmaEnd{Value: 0.01}, Levels: 232},
			Loss:    Loss{AnnealPower: 2},
			Adam:    Adam{LR: auto, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8},
			EMA:     EMA{Rate: 0.999},
			Batch:   128, Steps: 300_001, Flip: true, HeldOut: 64,
			Sampling: Sampling{T: 5, Epsilon: 6.2e-6, Denoise: true},
			LogEvery: 100, EvalEvery: 5000, PreviewEvery: 5000, PreviewN: 36, CheckpointEvery: 5000,
		},
	},
	published("celeba", "the published NCSNv2 on CelebA, 64x64: for a GPU",
		"Song and Ermon 2020, table 4 and ermongroup/ncsnv2 configs/celeba.yml: sigma 90 to 0.01 in 500 levels, "+
			"T 5, epsilon 3.3e-6, batch 128, 210,001 steps; the middle 140x140 of the aligned images, scaled to 64x64",
		"CelebA's aligned images, img_align_celeba/*.jpg of 178x218, as files, ZIP or TAR",
		Config{Data: "data/celeba", Reading: dataset.Settings{Crop: "140", Size: "64"},
			Network: model.Config{Net: "ncsnv2", Height: 64, Width: 64},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 90}, Levels: 500}, Batch: 128, Steps: 210_001, HeldOut: 64,
			Sampling: Sampling{T: 5, Epsilon: 3.3e-6}}),
	published("church", "the published NCSNv2Deeper on LSUN church outdoor, 64x64: for a GPU",
		"ermongroup/ncsnv2 configs/church.yml, which says 64x64 where table 4 of Song and Ermon 2020 says 96x96 "+
			"(-size 96); the other numbers agree: sigma 140 to 0.01 in 788 levels, T 4, epsilon 4.9e-6, "+
			"which is twice what Technique 4 gives (2.3e-6), batch 128, 200,001 steps",
		"LSUN's church_outdoor_train as image files, ZIP or TAR; each is scaled to 64 pixels on its shorter side and cut "+
			"to a square",
		Config{Data: "data/church_outdoor_train", Reading: dataset.Settings{Size: "64"},
			Network: model.Config{Net: "ncsnv2deeper", Height: 64, Width: 64},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 140}, Levels: 788}, Batch: 128, Steps: 200_001, HeldOut: 64,
			Sampling: Sampling{T: 4, Epsilon: 4.9e-6}}),
	lsun("bedroom"),
	lsun("tower"),
	published("ffhq", "the published NCSNv2Deepest on FFHQ, 256x256: for a large GPU",
		"ermongroup/ncsnv2 configs/ffhq.yml and Song and Ermon 2020, table 4: sigma 348 to 0.01 in 2,311 levels, "+
			"T 3, epsilon 9e-7 (the config's, and Technique 4's), batch 32, 80,001 steps, Adam's epsilon 1e-3",
		"FFHQ's images as files, ZIP or TAR; each is scaled to 256x256",
		Config{Data: "data/ffhq", Reading: dataset.Settings{Size: "256"},
			Network: model.Config{Net: "ncsnv2deepest", Height: 256, Width: 256},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 348}, Levels: 2311}, Adam: Adam{Eps: 1e-3},
			Batch: 32, Steps: 80_001, HeldOut: 8, Sampling: Sampling{T: 3, Epsilon: 9e-7}}),
	ncsn2019("ncsn-mnist", "MNIST, 28x28 grey", "MNIST's IDX files, train-images-idx3-ubyte, with or without .gz",
		Config{Data: "data/mnist", Network: model.Config{Height: 28, Width: 28, Channels: 1, NGF: 64}}),
	ncsn2019("ncsn-cifar10", "CIFAR-10", "CIFAR-10's binary version, data_batch_1.bin to data_batch_5.bin",
		Config{Data: "data/cifar-10-batches-bin", Network: model.Config{Height: 32, Width: 32, Channels: 3, NGF: 128},
			Flip: true}),
}, unetPresets()...)

// published completes a preset of NCSNv2 or its larger forms with what all of them share.
func published(name, what, source, files string, c Config) Preset {
	c.Seed = 1
	c.Network.Channels, c.Network.NGF = 3, 128
	c.Sigma.End, c.Loss.AnnealPower = SigmaEnd{Value: 0.01}, 2
	c.Adam = Adam{LR: auto, Beta1: 0.9, Beta2: 0.999, Eps: max(1e-8, c.Adam.Eps)}
	c.EMA, c.Flip, c.Sampling.Denoise = EMA{Rate: 0.999}, true, true
	c.LogEvery, c.EvalEvery, c.PreviewEvery, c.PreviewN, c.CheckpointEvery = 100, 5000, 5000, 36, 5000
	source += "; Adam 1e-4 (at other widths than 128 in proportion to 1/ngf), EMA 0.999 without warm-up, flip, " +
		"no dequantisation"
	return Preset{Name: name, What: what, Source: source, Files: files, Config: c}
}

// lsun returns the preset of LSUN bedroom or tower, which differ in their data alone.
func lsun(category string) Preset {
	return published(category, "the published NCSNv2Deeper on LSUN "+category+", 128x128: for a GPU",
		"Song and Ermon 2020, table 4 and ermongroup/ncsnv2 configs/"+category+".yml: sigma 190 to 0.01 in 1,086 levels, "+
			"T 3, epsilon 1.8e-6, batch 128, 150,001 steps",
		"LSUN's "+category+"_train as image files, ZIP or TAR; each is scaled to 128 pixels on its shorter side and cut "+
			"to a square",
		Config{Data: "data/" + category + "_train", Reading: dataset.Settings{Size: "128"},
			Network: model.Config{Net: "ncsnv2deeper", Height: 128, Width: 128},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 190}, Levels: 1086}, Batch: 128, Steps: 150_001, HeldOut: 64,
			Sampling: Sampling{T: 3, Epsilon: 1.8e-6}})
}

// ncsn2019 completes a preset of NCSN. Its 1,000 evaluations a sample are drawn without a denoising step.
func ncsn2019(name, what, files string, c Config) Preset {
	c.Seed, c.Batch, c.Steps, c.HeldOut = 1, 128, 200_001, 64
	c.Network.Net, c.Loss.AnnealPower = "ncsn", 2
	c.takeRecipe()
	c.Adam = Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}
	c.LogEvery, c.EvalEvery, c.PreviewEvery, c.PreviewN, c.CheckpointEvery = 100, 5000, 5000, 36, 5000
	flip := "no flip"
	if c.Flip {
		flip = "flip"
	}
	source := "Song and Ermon 2019, section 5 and ermongroup/ncsn configs/anneal.yml: sigma 1 to 0.01 in 10 levels, " +
		"T 100, epsilon 2e-5 in the convention x + a s + sqrt(2a) z of its code " +
		"(the paper's, with a/2 and sqrt(a), is half that), no denoising step; batch 128, 200,001 steps, Adam 1e-3, " +
		"no EMA, uniform dequantisation, " + flip
	return Preset{Name: name, What: "the published NCSN of 2019 on " + what + ": for a GPU", Source: source,
		Files: files, Config: c}
}

// takeRecipe sets what the network was published with by other numbers than other networks: the ladder, sampling,
// dequantisation and the moving average.
func (c *Config) takeRecipe() {
	r := c.Network.Recipe()
	t, denoise := c.Network.PublishedSampling()
	c.Sigma = Sigma{Begin: SigmaEnd{Value: r.Begin}, End: SigmaEnd{Value: r.End}, Levels: r.Levels}
	c.Sampling = Sampling{T: t, Epsilon: r.Epsilon, Denoise: denoise}
	c.Dequantize, c.EMA = r.Dequantize, EMA{Rate: r.EMARate}
}

// SetNetwork changes the network of a preset, and with it the settings that the preset has for its own network only:
// sizes where there are none, and the recipe of a network that has one.
func (c *Config) SetNetwork(net string) {
	was := c.Network
	c.Network.Net = net
	c.Network.SetDefaults()
	switch {
	case net == was.Net:
	case c.Network.Recipe() != nil:
		c.takeRecipe()
		c.Adam.LR = auto
	case was.Recipe() != nil && c.Network.TakesImages(): // from one that had its own
		c.Sigma = Sigma{Begin: SigmaEnd{Rule: RuleData}, End: SigmaEnd{Value: 0.01}, Levels: auto}
		c.Sampling = Sampling{T: 5, Epsilon: auto, Denoise: true}
		c.Dequantize, c.EMA = false, EMA{Rate: 0.999, Warmup: true}
		c.Adam.LR = auto
	}
}

// FindPreset returns the preset of that name, with its name written in its configuration.
func FindPreset(name string) (Preset, error) {
	var names []string
	for _, p := range Presets {
		if p.Name == name {
			p.Config.Preset = name
			return p, nil
		}
		names = append(names, p.Name)
	}
	return Preset{}, setting.Errorf("preset", "is %q: expected one of %s%s", name, strings.Join(names, ", "),
		nearest.DidYouMean(name, names))
}

// DefaultPreset names the preset for a data specification when none is asked for: toys and vectors from files have
// their own.
func DefaultPreset(data string) string {
	spec, _ := dataset.ParseSpec(data) // an error is told where the data is opened
	switch {
	case spec.Kind == dataset.Toy:
		return "toy"
	case dataset.IsVectors(data):
		return "vectors"
	}
	return Presets[0].Name
}
