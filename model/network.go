// The table of networks: what each is built from, and every default and property that is its own.
//
// A new network is a file with its functions (mlp.go is a short one) and a row here. Nothing else in the program
// decides by a network's name: it asks a [Config].

package model

import (
	"fmt"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/internal/nearest"
	"sigmaz/internal/setting"
)

// network is one row of the table of networks.
type network struct {
	name string // in configurations, checkpoints and flags

	// What it is built from.

	// validate judges what is the network's own. A size of 0 is not known yet, nor is then anything else from the data.
	validate func(c Config) error
	// params lists the parameters in registration order.
	params func(c Config) []*Param
	// score builds s(x~, sigma); the builder has the nodes of sigma and of the level.
	score func(b *builder, c Config, x *gorgonia.Node) *gorgonia.Node

	// What it takes.

	vectors bool // a row is a vector (N, D), not an image (N, H, W, C)
	// scalesInput says that it brings its input to unit size itself.
	scalesInput bool
	noise       noise // how it is told the noise of a row
	// settings are the keys of Config that it has a use for, beside those of every network and levels.
	settings []string
	// needsLevels says whether it depends on the number of levels L; nil: never.
	needsLevels func(c Config) bool

	// Its defaults.

	width        int                    // ngf or hidden, whichever is among its settings
	unet         UNet                   // where that is among its settings
	named        func(u UNet) UNet      // names the choices that such settings leave to the network
	learningRate func(c Config) float64 // Adam's
	steps        int                    // T, Langevin steps a level, as published
	denoise      bool                   // whether its samples end with a denoising step, as published
	recipe       *Recipe                // what it brings to settings that were made for another network; nil: nothing

	// Its state_dict.

	// sigmas says that the original class keeps the ladder as the buffer "sigmas".
	sigmas bool
	// recognise lists the configurations that parameters of these shapes, by their names in a state_dict, may be of,
	// and none where they are not marked as the network's by mark, which says what it looks for. Nil: a file without a
	// configuration is never taken for this network.
	recognise func(shapes map[string]tensor.Shape, levels int) []Config
	mark      string
}

// noise is how a network is told the noise of a row.
type noise int

const (
	blind   noise = iota // not at all
	byLevel              // as a level of the ladder: it has no score between two levels
	bySigma              // as sigma
)

// Recipe is the settings with which a network was published where they differ from those of the others, so that
// settings made for another network do not suit it.
type Recipe struct {
	Begin, End float64 // sigma_1 and sigma_L of the ladder
	Levels     int     // L
	Epsilon    float64 // step size of sampling at the last level
	Dequantize bool    // x = (255 x + U(0,1)) / 256 on each batch
	EMARate    float64 // of the moving average of the weights; 0: none is kept
}

// networks is the table, in the order of the help text. It is filled in init because the rows' functions look into it.
var networks []network

func init() {
	networks = []network{
		// NCSN's learning rate is published for two widths, 64 and 128, and is the same for both.
		refineNet{"ncsn", ncsnStages, ncsnRefine, true}.row(network{
			learningRate: func(Config) float64 { return 1e-3 },
			steps:        100,
			recipe:       &Recipe{Begin: 1, End: 0.01, Levels: 10, Epsilon: 2e-5, Dequantize: true, EMARate: 0},
		}),
		refineNet{"ncsnv2", ncsnStages, ncsnRefine, false}.row(network{
			learningRate: rateByWidth, steps: 5, denoise: true,
		}),
		refineNet{"ncsnv2deeper", deeperStages, deeperRefine, false}.row(network{
			learningRate: rateByWidth, steps: 4, denoise: true,
		}),
		refineNet{"ncsnv2deepest", deepestStages, deepestRefine, false}.row(network{
			learningRate: rateByWidth, steps: 3, denoise: true,
		}),
		ncsnpp.row(network{
			width: 16,
			unet: UNet{ChMult: "1,2,2", ResBlocks: 1, FIR: true, SkipRescale: true, ProgressiveInput: residualPyramid,
				ScaleBySigma: true},
		}),
		ddpm.row(network{width: 32, unet: UNet{ChMult: "1,2,2", ResBlocks: 1, ResampWithConv: true, ScaleBySigma: true}}),
		{
			name: "mlp", validate: validateMLP, params: paramsMLP, score: scoreMLP,
			vectors: true, noise: bySigma, scalesInput: true, settings: []string{"hidden", "data_sd", "classes"},
			width: 128, learningRate: func(Config) float64 { return 2e-3 }, steps: 20, denoise: true,
		},
	}
}

// rateByWidth is the published 1e-4 of NCSNv2 at its published width of 128 channels, and in inverse proportion to the
// width at others, as the updates of Adam want it (Yang et al. 2021, "Tensor programs V", table 3). Eight channels then
// learn some sixteen times as fast, and do.
func rateByWidth(c Config) float64 { return 1e-4 * 128 / float64(c.NGF) }

// row returns the row of c's network, the zero row where there is none of that name.
func (c Config) row() network {
	for _, n := range networks {
		if n.name == c.Net {
			return n
		}
	}
	return network{}
}

// Networks lists the networks by name.
func Networks() []string { return namesOf(func(network) bool { return true }) }

// ImageNetworks lists the networks for images by name.
func ImageNetworks() []string { return namesOf(func(n network) bool { return !n.vectors }) }

// namesOf lists the networks whose row is chosen.
func namesOf(chosen func(network) bool) (names []string) {
	for _, n := range networks {
		if chosen(n) {
			names = append(names, n.name)
		}
	}
	return names
}

// Validate returns what is wrong with the configuration, in one sentence, or nil. It judges the settings, as
// [Config.ValidateSettings] does, and what comes from the data: size, number of levels and deviation.
func (c Config) Validate() error {
	if err := c.ValidateSettings(); err != nil {
		return err
	}
	if c.Height < 1 || c.Width < 1 || c.Channels < 1 {
		return fmt.Errorf("network input is %d x %d x %d (height, width, channels): expected all to be at least 1",
			c.Height, c.Width, c.Channels)
	}
	return c.row().validate(c)
}

// ValidateSettings judges what somebody chooses, before the data is known. The error is a [*setting.Error].
func (c Config) ValidateSettings() error {
	for _, choice := range []struct {
		key, value string
		words      []string
		open       bool // "" is a value too
	}{
		{"net", c.Net, Networks(), false},
		{"normalization", c.Normalization, Normalizations(), true},
		{"nonlinearity", c.Nonlinearity, Nonlinearities(), true},
	} {
		if choice.open && choice.value == "" {
			continue
		}
		if err := oneOf(choice.key, choice.value, choice.words); err != nil {
			return err
		}
	}
	// Far above any use, so that sizes are computed without overflow. What really fits is a matter of memory.
	const maxWidth, maxClasses = 1 << 14, 1 << 14
	switch {
	case c.NGF > maxWidth:
		return setting.Errorf("ngf", "is %d: expected at most %d channels", c.NGF, maxWidth)
	case c.Hidden > maxWidth:
		return setting.Errorf("hidden", "is %d: expected at most %d units a layer", c.Hidden, maxWidth)
	case c.Classes < 0 || c.Classes > maxClasses:
		return setting.Errorf("classes", "is %d: expected 2 to %d classes", c.Classes, maxClasses)
	case c.Classes > 0:
		if err := c.CheckClasses(); err != nil {
			return err
		}
	}
	if err := c.checkWrap(); err != nil {
		return err
	}
	c.Height, c.Width, c.Channels = 0, 0, 0 // not known
	return c.row().validate(c)
}

// oneOf judges a setting whose value is one of some words.
func oneOf(key, value string, words []string) error {
	if slices.Contains(words, value) {
		return nil
	}
	list := "one of " + strings.Join(words, ", ")
	if len(words) == 2 {
		list = words[0] + " or " + words[1]
	}
	return setting.Errorf(key, "is %q: expected %s%s", value, list, nearest.DidYouMean(value, words))
}

// CheckClasses returns why the network cannot be told classes, as a [*setting.Error], or nil.
func (c Config) CheckClasses() error {
	if c.Uses("classes") {
		return nil
	}
	return setting.Errorf("classes", "is for networks that are told the class of a row, and %s is none: use `net` %s", c.Net,
		strings.Join(ClassNetworks(), " or "))
}

// ClassNetworks lists the networks that can be told classes, by name.
func ClassNetworks() []string {
	return namesOf(func(n network) bool { return slices.Contains(n.settings, "classes") })
}

// Vectors says whether the network is one for vectors (N, D).
func (c Config) Vectors() bool { return c.row().vectors }

// TakesImages says whether the network is one for images (N, H, W, C).
func (c Config) TakesImages() bool { n := c.row(); return n.name != "" && !n.vectors }

// SeesSigma says whether the network is told the noise, as sigma or as a level, or sees it by the size of its input. One that
// does not, such as NCSNv2, bounds the step sizes that sampling survives: T q >= 4(g-1), see package sample.
func (c Config) SeesSigma() bool { return c.row().noise != blind || c.Preconditioned() }

// HidesSize says whether the network is told the noise and does not see the size of its input all the same: a U-Net divides it
// out in its norms, of which one stands before the output, and in the score it counts only where it is scaled by sigma.
func (c Config) HidesSize() bool { return c.Uses("unet") && !c.Preconditioned() }

// TakesLevels says whether the network is told the noise as a level of the ladder, and so has no score between two
// levels.
func (c Config) TakesLevels() bool {
	return c.row().noise == byLevel || c.SDE.Discrete && !c.SDE.Preserving()
}

// NeedsLevels says whether the network depends on the number of noise levels, Levels.
func (c Config) NeedsLevels() bool {
	n := c.row()
	return c.SDE.Discrete || n.needsLevels != nil && n.needsLevels(c)
}

// NeedsDataSD says whether the network depends on the standard deviation of the data, DataSD.
func (c Config) NeedsDataSD() bool { return c.Uses("data_sd") }

// HasSigmas says whether the original class keeps the ladder as the buffer "sigmas" (L), the first entry of its
// state_dict.
func (c Config) HasSigmas() bool { return c.row().sigmas }

// Uses says whether the network has a use for a setting of its own, by the setting's key: ngf, hidden, data_sd, classes,
// normalization, nonlinearity, rescaled or unet, which is all of UNet. All networks use net, height, width and channels;
// for levels see NeedsLevels.
func (c Config) Uses(key string) bool { return slices.Contains(c.row().settings, key) }

// DropUnused clears the settings that the network has no use for.
func (c *Config) DropUnused() {
	clear := func(key string, v any) {
		if c.Uses(key) {
			return
		}
		switch v := v.(type) {
		case *int:
			*v = 0
		case *float64:
			*v = 0
		case *string:
			*v = ""
		case *bool:
			*v = false
		case *UNet:
			*v = UNet{}
		}
	}
	clear("ngf", &c.NGF)
	clear("hidden", &c.Hidden)
	clear("data_sd", &c.DataSD)
	clear("classes", &c.Classes)
	clear("normalization", &c.Normalization)
	clear("nonlinearity", &c.Nonlinearity)
	clear("rescaled", &c.Rescaled)
	clear("unet", &c.UNet)
}

// SetDefaults gives the network its own default for ngf, hidden or all of unet where it has that setting and it is 0.
func (c *Config) SetDefaults() {
	if c.UNet == (UNet{}) && c.Uses("unet") {
		c.UNet = c.row().unet
	}
	if c.NGF == 0 && c.Uses("ngf") {
		c.NGF = c.row().width
	}
	if c.Hidden == 0 && c.Uses("hidden") {
		c.Hidden = c.row().width
	}
}

// NameChoices names the choices that a configuration leaves to its network, so that a stored one says what they are,
// and clears the settings that the network has no use for.
func (c *Config) NameChoices() {
	c.Normalization, c.Nonlinearity = c.normalization(), c.nonlinearity()
	if named := c.row().named; named != nil {
		c.UNet = named(c.UNet)
	}
	c.DropUnused()
}

// LearningRate returns Adam's learning rate that suits the network where none is given. The configuration must be
// valid.
func (c Config) LearningRate() float64 { return c.row().learningRate(c) }

// PublishedSampling returns the Langevin steps a level, T, of the network's published samples, and whether they end
// with a denoising step.
func (c Config) PublishedSampling() (steps int, denoise bool) {
	n := c.row()
	return n.steps, n.denoise
}

// Recipe returns what the network brings to settings that were made for another one, nil for nothing.
func (c Config) Recipe() *Recipe { return c.row().recipe }

// Recognise lists the configurations that parameters of these shapes, by their names in a state_dict, may be of, at
// least one. levels is the number of noise levels where it is known, or 0. Fields that leave no mark on the shapes are
// not set.
func Recognise(shapes map[string]tensor.Shape, levels int) (list []Config, err error) {
	var marks, missing []string
	for _, n := range networks {
		if n.recognise == nil {
			continue
		}
		list = append(list, n.recognise(shapes, levels)...)
		if !slices.Contains(marks, n.mark) {
			marks = append(marks, n.mark)
		}
	}
	if len(list) > 0 {
		return list, nil
	}
	for _, mark := range marks {
		names := namesOf(func(n network) bool { return n.recognise != nil && n.mark == mark })
		missing = append(missing, fmt.Sprintf("%s, with which all of them begin (%s)", mark, strings.Join(names, ", ")))
	}
	return nil, fmt.Errorf("the tensors are of no network that is known: they have no %s",
		strings.Join(missing, ", and no "))
}
