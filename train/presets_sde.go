// The presets of Song et al. 2021 beside VE continuous: VP and sub-VP, and training on the steps of a table (SMLD, DDPM).

package train

import (
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// process is how a published configuration noises its images.
type process struct {
	folder string // of its configuration
	kind   string // of [model.SDE]
	table  bool   // it is trained on the steps of a table
}

var (
	smld       = process{"ve/", "", true}
	ddpmTable  = process{"vp/", model.VP, true}
	continuous = process{"vp/", model.VP, false}
	subVP      = process{"subvp/", model.SubVP, false}
)

// otherProcesses lists the presets.
func otherProcesses() (list []Preset) {
	const files = "CIFAR-10's binary version, data_batch_1.bin to data_batch_5.bin"
	plus := model.UNet{ChMult: "1,2,2,2", ResBlocks: 4, Attention: "16", Dropout: 0.1, FIR: true, SkipRescale: true,
		ProgressiveInput: "residual", Embedding: "positional"}
	plain := plus
	plain.FIR, plain.ProgressiveInput = false, "none"
	ho := model.UNet{ChMult: "1,2,2,2", ResBlocks: 2, Attention: "16", Dropout: 0.1, ResampWithConv: true}
	deep := func(u model.UNet) model.UNet { u.ResBlocks = 8; return u }

	onCIFAR10 := func(name, net, what, config string, by process, u model.UNet, steps uint64) {
		c := Config{Data: "data/cifar-10-batches-bin", Network: model.Config{Net: net, Height: 32, Width: 32, NGF: 128, UNet: u},
			Sigma: Sigma{Begin: SigmaEnd{Value: 50}, Levels: 1000}, Batch: 128, Steps: steps, HeldOut: 64}
		list = append(list, by.preset(name, "the published "+what+" on CIFAR-10: for a GPU", config, files, c))
	}
	const usual, long = 1_300_001, 950_001
	onCIFAR10("ncsnpp-cifar10-smld", "ncsnpp", "NCSN++ on levels", "cifar10_ncsnpp.py", smld, plus, usual)
	onCIFAR10("ncsnpp-cifar10-vp", "ncsnpp", "NCSN++ with VP", "cifar10_ncsnpp_continuous.py", continuous, plus, usual)
	onCIFAR10("ncsnpp-cifar10-subvp", "ncsnpp", "NCSN++ with sub-VP", "cifar10_ncsnpp_continuous.py", subVP, plus, usual)
	onCIFAR10("ncsnpp-cifar10-ddpm", "ncsnpp", "NCSN++ on DDPM's steps", "cifar10_ncsnpp.py", ddpmTable, plus, usual)
	onCIFAR10("ncsnpp-deep-vp", "ncsnpp", "NCSN++, deep, with VP", "cifar10_ncsnpp_deep_continuous.py", continuous,
		deep(plus), long)
	onCIFAR10("ncsnpp-deep-subvp", "ncsnpp", "NCSN++, deep, with sub-VP", "cifar10_ncsnpp_deep_continuous.py", subVP,
		deep(plus), long)
	onCIFAR10("ddpmpp-cifar10", "ncsnpp", "DDPM++ on DDPM's steps", "cifar10_ddpmpp.py", ddpmTable, plain, usual)
	onCIFAR10("ddpmpp-cifar10-vp", "ncsnpp", "DDPM++ with VP", "cifar10_ddpmpp_continuous.py", continuous, plain, usual)
	onCIFAR10("ddpmpp-cifar10-subvp", "ncsnpp", "DDPM++ with sub-VP", "cifar10_ddpmpp_continuous.py", subVP, plain, usual)
	onCIFAR10("ddpmpp-deep-vp", "ncsnpp", "DDPM++, deep, with VP", "cifar10_ddpmpp_deep_continuous.py", continuous,
		deep(plain), long)
	onCIFAR10("ddpmpp-deep-subvp", "ncsnpp", "DDPM++, deep, with sub-VP", "cifar10_ddpmpp_deep_continuous.py", subVP,
		deep(plain), long)
	onCIFAR10("ddpm-cifar10", "ddpm", "DDPM", "ddpm/cifar10.py", ddpmTable, ho, usual)
	onCIFAR10("ddpm-cifar10-vp", "ddpm", "DDPM with VP", "ddpm/cifar10_continuous.py", continuous, ho, usual)
	onCIFAR10("ddpm-cifar10-subvp", "ddpm", "DDPM with sub-VP", "cifar10_ddpm_continuous.py", subVP, ho, usual)
	onCIFAR10("ddpm-cifar10-smld", "ddpm", "DDPM on levels", "cifar10_ddpm.py", smld, ho, usual)

	return append(list, smld.preset("ncsnpp-celeba", "the published NCSN++ on CelebA, 64x64: for a GPU", "celeba_ncsnpp.py",
		"CelebA's aligned images, img_align_celeba/*.jpg of 178x218, as files, ZIP or TAR",
		Config{Data: "data/celeba", Reading: dataset.Settings{Crop: "140", Size: "64"},
			Network: model.Config{Net: "ncsnpp", Height: 64, Width: 64, NGF: 128, UNet: plus},
			Sigma:   Sigma{Begin: SigmaEnd{Value: 90}, Levels: 1000}, Batch: 128, Steps: usual, HeldOut: 64}))
}

// preset completes a preset of the process.
func (p process) preset(name, what, config, files string, c Config) Preset {
	net := c.Network.Net
	c.EMA.Rate = 0.999
	if p.kind != "" {
		c.EMA.Rate, c.Loss.ReduceMean, c.Network.Rescaled = 0.9999, true, true
	}
	c.Network.UNet.ScaleBySigma = p.kind == ""
	of := scoreSDE(name, what, p.folder+config, files, c)
	of.Config.Network.Net, of.Config.Network.SDE.Kind = net, p.kind
	switch {
	case p.table:
		of.Config.Noise = model.Noise{}
		if p.kind != "" {
			of.Config.Noise.Density = model.LadderNoise
		}
	default:
		of.Config.Noise.Density = model.UniformTime
	}
	of.Config.settleProcess()              // the ends of sigma are the process's own
	of.Config.Network.SDE.Discrete = false // by the noise, where the preset is resolved
	return of
}
