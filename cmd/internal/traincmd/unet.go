// The settings of the U-Nets as flags.

package traincmd

import (
	"strings"

	"sigmaz/model"
	"sigmaz/train"
)

// unetSettings are those of networks ncsnpp and ddpm.
var unetSettings = settingGroup{
	Name: "U-Nets",
	Note: "Networks ncsnpp and ddpm. The names are those of their published configurations, which the presets ncsnpp-... have.",
	Settings: []settingFlag{
		{
			Name: "ch-mult", Arg: "LIST",
			Help:    "channels of each level in units of -ngf, commas between; each level but the last halves the images",
			Default: "1,2,2",
			Field:   func(c *train.Config) any { return &c.Network.UNet.ChMult },
		},
		{
			Name: "num-res-blocks", Arg: "N", Unit: "blocks",
			Help:    "residual blocks of a level on the way down",
			Default: "1",
			Field:   func(c *train.Config) any { return &c.Network.UNet.ResBlocks },
		},
		{
			Name: "attn-resolutions", Arg: "LIST",
			Help:    "widths of images whose levels have self-attention, commas between, or none; the middle always has",
			Default: "none",
			Known:   []string{"none"},
			Field:   func(c *train.Config) any { return &c.Network.UNet.Attention },
		},
		{
			Name: "dropout", Arg: "P",
			Help:    "probability of dropout in training, in [0, 1)",
			Default: "0",
			Field:   func(c *train.Config) any { return &c.Network.UNet.Dropout },
		},
		{
			Name: "resblock-type", Arg: "NAME",
			Help:    "residual blocks: " + strings.Join(model.ResBlocks(), " or "),
			Default: model.ResBlocks()[0],
			Known:   model.ResBlocks(),
			Field:   func(c *train.Config) any { return &c.Network.UNet.ResBlock },
		},
		{
			Name:  "resamp-with-conv",
			Help:  "with ddpm blocks: halve and double images by convolutions",
			Field: func(c *train.Config) any { return &c.Network.UNet.ResampWithConv },
		},
		{
			Name:    "fir",
			Help:    "halve and double images with a filter",
			Default: "true",
			Field:   func(c *train.Config) any { return &c.Network.UNet.FIR },
		},
		{
			Name: "fir-kernel", Arg: "LIST",
			Help:    "the four taps of that filter, commas between",
			Default: "1,3,3,1",
			Field:   func(c *train.Config) any { return &c.Network.UNet.FIRKernel },
		},
		{
			Name:    "skip-rescale",
			Help:    "divide sums of two branches by sqrt 2",
			Default: "true",
			Field:   func(c *train.Config) any { return &c.Network.UNet.SkipRescale },
		},
		{
			Name: "progressive", Arg: "NAME",
			Help:    "pyramid on the way up: " + strings.Join(model.Progressives(), ", "),
			Default: model.Progressives()[0],
			Known:   model.Progressives(),
			Field:   func(c *train.Config) any { return &c.Network.UNet.Progressive },
		},
		{
			Name: "progressive-input", Arg: "NAME",
			Help:    "pyramid on the way down: " + strings.Join(model.ProgressiveInputs(), ", "),
			Default: "residual",
			Known:   model.ProgressiveInputs(),
			Field:   func(c *train.Config) any { return &c.Network.UNet.ProgressiveInput },
		},
		{
			Name: "progressive-combine", Arg: "HOW",
			Help:    "how input_skip joins what the network has: " + strings.Join(model.Combines(), " or "),
			Default: model.Combines()[0],
			Known:   model.Combines(),
			Field:   func(c *train.Config) any { return &c.Network.UNet.Combine },
		},
		{
			Name:  "unconditional",
			Help:  "do not tell the network the noise",
			Field: func(c *train.Config) any { return &c.Network.UNet.Unconditional },
		},
		{
			Name: "embedding-type", Arg: "NAME",
			Help:    "embedding of the noise: " + strings.Join(model.Embeddings(), " or "),
			Default: model.Embeddings()[0],
			Known:   model.Embeddings(),
			Field:   func(c *train.Config) any { return &c.Network.UNet.Embedding },
		},
		{
			Name: "fourier-scale", Arg: "S",
			Help:    "deviation of the frequencies of that embedding",
			Default: "16",
			Field:   func(c *train.Config) any { return &c.Network.UNet.FourierScale },
		},
		{
			Name: "init-scale", Arg: "S",
			Help:    "scale of the variance of first weights that end a branch; 0: next to nothing",
			Default: "0",
			Field:   func(c *train.Config) any { return &c.Network.UNet.InitScale },
		},
		{
			Name:    "scale-by-sigma",
			Help:    "divide the output by sigma",
			Default: "true",
			Field:   func(c *train.Config) any { return &c.Network.UNet.ScaleBySigma },
		},
	},
}

func init() {
	for i := range unetSettings.Settings {
		s := &unetSettings.Settings[i]
		key := strings.ReplaceAll(s.Name, "-", "_")
		s.Unused = func(c *train.Config) string {
			switch {
			case !c.Network.Uses("unet"):
				return "is for networks ncsnpp and ddpm, and this is " + c.Network.Net
			case c.Network.Net == "ddpm" && model.Fixed(key):
				return "is for network ncsnpp, and ddpm has no choice in it"
			}
			return ""
		}
	}
}
