// The presets of Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations": the
// settings of the configurations that were published with the paper, whose names they have.

package train

import (
	"sigmaz/model"
	"sigmaz/train/dataset"
)

// unetPresets lists them: first those whose sigma is drawn between the ends of a ladder (VE continuous), then the others.
func unetPresets() []Preset { return append(continuousVE(), otherProcesses()...) }

// continuousVE lists the presets of networks that are told sigma.
func continuousVE() []Preset {
	cifar10 := model.UNet{ChMult: "1,2,2,2", ResBlocks: 4, Attention: "16", Dropout: 0.1, FIR: true, SkipRescale: true,
		ProgressiveInput: "residual", ScaleBySigma: true}
	deep := cifar10
	deep.ResBlocks = 8
	large := model.UNet{ChMult: "1,1,2,2,2,2,2", ResBlocks: 2, Attention: "16", FIR: true, SkipRescale: true,
		Progressive: "output_skip", ProgressiveInput: "input_skip", ScaleBySigma: true}
	huge := large
	huge.ChMult, huge.ResBlocks = "1,2,4,8,16,32,32,32", 1

	onCIFAR10 := func(name, what, config string, u model.UNet, steps uint64) Preset {
		return scoreSDE(name, what+" on CIFAR-10: for a GPU", "ve/"+config,
			"CIFAR-10's binary version, data_batch_1.bin to data_batch_5.bin",
			Config{Data: "data/cifar-10-batches-bin", Network: model.Config{Height: 32, Width: 32, NGF: 128, UNet: u},
				Sigma: Sigma{Begin: SigmaEnd{Value: 50}, Levels: 1000}, EMA: EMA{Rate: 0.999}, Batch: 128, Steps: steps,
				HeldOut: 64})
	}
	at256 := func(name, what, config, data, files string, begin float64) Preset {
		return scoreSDE(name, "the published NCSN++ on "+what+", 256x256: for a large GPU", "ve/"+config, files,
			Config{Data: data, Reading: dataset.Settings{Size: "256"},
				Network: model.Config{Height: 256, Width: 256, NGF: 128, UNet: large},
				Sigma:   Sigma{Begin: SigmaEnd{Value: begin}, Levels: 2000}, EMA: EMA{Rate: 0.999}, Batch: 64,
				Steps: 2_400_001, HeldOut: 8})
	}
	at1024 := func(name, what, config, data, files string) Preset {
		return scoreSDE(name, "the published NCSN++ on "+what+", 1024x1024: for a large GPU", "ve/"+config, files,
			Config{Data: data, Reading: dataset.Settings{Size: "1024"},
				Network: model.Config{Height: 1024, Width: 1024, NGF: 16, UNet: huge}, Adam: Adam{LR: 2e-4},
				Sigma: Sigma{Begin: SigmaEnd{Value: 1348}, Levels: 2000}, EMA: EMA{Rate: 0.9999}, Batch: 8,
				Steps: 2_400_001, HeldOut: 8})
	}
	const square = " as image files, ZIP or TAR; each is scaled to 256 pixels on its shorter side and cut to a square"
	return []Preset{
		digits(),
		onCIFAR10("ncsnpp-cifar10", "the published NCSN++", "cifar10_ncsnpp_continuous.py", cifar10, 1_300_001),
		onCIFAR10("ncsnpp-cifar10-deep", "the published NCSN++, deep,", "cifar10_ncsnpp_deep_continuous.py", deep, 950_001),
		at256("ncsnpp-bedroom", "LSUN bedroom", "bedroom_ncsnpp_continuous.py", "data/bedroom_train",
			"LSUN's bedroom_train"+square, 378),
		at256("ncsnpp-church", "LSUN church outdoor", "church_ncsnpp_continuous.py", "data/church_outdoor_train",
			"LSUN's church_outdoor_train"+square, 380),
		at256("ncsnpp-ffhq256", "FFHQ", "ffhq_256_ncsnpp_continuous.py", "data/ffhq",
			"FFHQ's images as files, ZIP or TAR; each is scaled to 256x256", 348),
		at256("ncsnpp-celebahq256", "CelebA-HQ", "celebahq_256_ncsnpp_continuous.py", "data/celebahq",
			"CelebA-HQ's images as files, ZIP or TAR; each is scaled to 256x256", 348),
		at1024("ncsnpp-ffhq", "FFHQ", "ffhq_ncsnpp_continuous.py", "data/ffhq", "FFHQ's images as files, ZIP or TAR"),
		at1024("ncsnpp-celebahq", "CelebA-HQ", "celebahq_ncsnpp_continuous.py", "data/celebahq",
			"CelebA-HQ's images as files, ZIP or TAR"),
		smallCIFAR10(cifar10),
	}
}

// digits is a U-Net for two cores.
func digits() Preset {
	return Preset{
		Name: "digits",
		What: "digits drawn from fonts, a small NCSN++, at most ten minutes on two cores",
		Source: "NCSN++ (Song et al. 2021) at an eighth of its width, one block a level instead of four and " +
			"self-attention at 7x7: 59 M multiply-adds an image, twice those of the network of preset glyphs; data and " +
			"ends of sigma as there, sigma drawn between them; gradients clipped as published, a shorter warm-up",
		Config: Config{
			Data: "glyphs", Seed: 1,
			Network: model.Config{Net: "ncsnpp", Height: 28, Width: 28, Channels: 1, NGF: 16, UNet: model.UNet{
				ChMult: "1,2,2", ResBlocks: 1, Attention: "7", FIR: true, SkipRescale: true, ProgressiveInput: "residual",
				ScaleBySigma: true}},
			Sigma: Sigma{Begin: SigmaEnd{Value: 15}, End: SigmaEnd{Value: 0.01}, Levels: auto},
			Noise: model.Noise{Density: model.LogUniform},
			Loss:  Loss{AnnealPower: 2},
			Adam:  Adam{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1, Warmup: 200},
			EMA:   EMA{Rate: 0.999, Warmup: true},
			Batch: 16, Steps: 10_000, HeldOut: 64,
			Sampling: Sampling{T: 5, Epsilon: auto, Denoise: true},
			LogEvery: 100, EvalEvery: 5000, PreviewEvery: 5000, PreviewN: 36, CheckpointEvery: 1000,
		},
	}
}

// smallCIFAR10 is the published network at half its width, for a shorter time.
func smallCIFAR10(u model.UNet) Preset {
	p := scoreSDE("ncsnpp-cifar10-small", "NCSN++ at half its width on CIFAR-10: for one GPU",
		"ve/cifar10_ncsnpp_continuous.py",
		"CIFAR-10's binary version, data_batch_1.bin to data_batch_5.bin",
		Config{Data: "data/cifar-10-batches-bin", Network: model.Config{Height: 32, Width: 32, NGF: 64, UNet: u},
			Sigma: Sigma{Begin: SigmaEnd{Value: 50}, Levels: 1000}, EMA: EMA{Rate: 0.999}, Batch: 128, Steps: 200_000,
			HeldOut: 64})
	p.Source = "counted, not tried: ncsnpp-cifar10 with 64 channels, 2.76 G multiply-adds an image and 15.7 M " +
		"parameters, so 200,000 steps of 128 are 4.2e17 FLOP; everything else from " + p.Source
	return p
}

// scoreSDE completes a preset with what all of those published configurations share.
func scoreSDE(name, what, config, files string, c Config) Preset {
	c.Seed = 1
	c.Network.Net, c.Network.Channels, c.Network.Nonlinearity = "ncsnpp", 3, "swish"
	c.Sigma.End, c.Noise.Density, c.Loss.AnnealPower = SigmaEnd{Value: 0.01}, model.LogUniform, 2
	c.Adam = Adam{LR: c.Adam.LR, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Clip: 1, Warmup: 5000}
	c.EMA.Warmup, c.Flip = true, true
	c.Sampling = Sampling{T: 5, Epsilon: auto, Denoise: true}
	c.LogEvery, c.EvalEvery, c.PreviewEvery, c.PreviewN, c.CheckpointEvery = 100, 50_000, 10_000, 36, 10_000
	source := "Song et al. 2021 and yang-song/score_sde_pytorch configs/" + config + ": the network, the noise and " +
		"its ends, batch, steps and dropout; Adam 2e-4 after a warm-up of 5,000 steps (at other widths than the published " +
		"in proportion to 1/ngf where that is 128), gradients clipped at 1, EMA with warm-up, flip, no dequantisation; " +
		"sampled there by 2 evaluations a level, one of them a corrector's"
	return Preset{Name: name, What: what, Source: source, Files: files, Config: c}
}
