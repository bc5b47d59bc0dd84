// The U-Nets of Song et al. 2021: the published ones by their numbers, and those that cannot be.

package model_test

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/golden"
)

// unetOf is a network for square colour images of a side.
func unetOf(net string, side, ngf int, u model.UNet) model.Config {
	return model.Config{Net: net, Height: side, Width: side, Channels: 3, NGF: ngf, Nonlinearity: "swish", UNet: u}
}

// publishedUNets are the networks of the configurations of score_sde.
func publishedUNets() map[string]model.Config {
	ve := model.UNet{ChMult: "1,2,2,2", ResBlocks: 4, Attention: "16", Dropout: 0.1, FIR: true, SkipRescale: true,
		ProgressiveInput: "residual", Embedding: "fourier", ScaleBySigma: true}
	with := func(u model.UNet, change func(*model.UNet)) model.UNet { change(&u); return u }
	discrete := with(ve, func(u *model.UNet) { u.Embedding = "positional" })
	plain := with(discrete, func(u *model.UNet) { u.FIR, u.ProgressiveInput, u.ScaleBySigma = false, "none", false })
	deep := func(u model.UNet) model.UNet { return with(u, func(u *model.UNet) { u.ResBlocks = 8 }) }
	large := with(ve, func(u *model.UNet) {
		u.ChMult, u.ResBlocks, u.Dropout = "1,1,2,2,2,2,2", 2, 0
		u.Progressive, u.ProgressiveInput = "output_skip", "input_skip"
	})
	huge := with(large, func(u *model.UNet) { u.ChMult, u.ResBlocks = "1,2,4,8,16,32,32,32", 1 })
	ho := model.UNet{ChMult: "1,2,2,2", ResBlocks: 2, Attention: "16", Dropout: 0.1, ResampWithConv: true}
	return map[string]model.Config{
		"ve/cifar10_ncsnpp_continuous":      unetOf("ncsnpp", 32, 128, ve),
		"ve/cifar10_ncsnpp":                 unetOf("ncsnpp", 32, 128, discrete),
		"ve/celeba_ncsnpp":                  unetOf("ncsnpp", 64, 128, discrete),
		"ve/cifar10_ncsnpp_deep_continuous": unetOf("ncsnpp", 32, 128, deep(ve)),
		"vp/cifar10_ncsnpp_deep_continuous": unetOf("ncsnpp", 32, 128, deep(discrete)),
		"vp/cifar10_ddpmpp":                 unetOf("ncsnpp", 32, 128, plain),
		"vp/cifar10_ddpmpp_deep_continuous": unetOf("ncsnpp", 32, 128, deep(plain)),
		"ve/ffhq_256_ncsnpp_continuous":     unetOf("ncsnpp", 256, 128, large),
		"ve/ffhq_ncsnpp_continuous":         unetOf("ncsnpp", 1024, 16, huge),
		"vp/ddpm/cifar10":                   unetOf("ddpm", 32, 128, ho),
		"vp/ddpm/bedroom": unetOf("ddpm", 256, 128, with(ho, func(u *model.UNet) {
			u.ChMult, u.Dropout = "1,1,2,2,4,4", 0
		})),
	}
}

// What running the original constructors gave: modules, trained parameters and their tensors, keys of the state_dict, and
// work.
func TestPublishedUNets(t *testing.T) {
	want := map[string]struct {
		modules, parameters, tensors, keys int
		work                               float64 // G multiply-adds
	}{
		"ve/cifar10_ncsnpp_continuous":      {59, 62_758_787, 570, 572, 10.876},
		"ve/cifar10_ncsnpp":                 {58, 62_693_251, 570, 571, 10.876},
		"ve/celeba_ncsnpp":                  {58, 62_693_251, 570, 571, 41.978},
		"ve/cifar10_ncsnpp_deep_continuous": {95, 107_586_947, 962, 964, 18.576},
		"vp/cifar10_ncsnpp_deep_continuous": {94, 107_521_411, 962, 963, 18.576},
		"vp/cifar10_ddpmpp":                 {55, 61_804_419, 564, 565, 10.847},
		"vp/cifar10_ddpmpp_deep_continuous": {91, 106_632_579, 956, 957, 18.547},
		"ve/ffhq_256_ncsnpp_continuous":     {77, 65_574_421, 644, 646, 265.888},
		"ve/ffhq_ncsnpp_continuous":         {70, 105_785_880, 552, 554, 249.195},
		"vp/ddpm/cifar10":                   {37, 35_218_947, 308, 309, 6.021},
		"vp/ddpm/bedroom":                   {51, 111_569_923, 430, 431, 247.843},
	}
	networks := publishedUNets()
	if len(networks) != len(want) {
		t.Errorf("%d networks, expected %d", len(networks), len(want))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		c, want := networks[name], want[name]
		dict, err := c.StateDict(1000)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		params, err := c.Params()
		if err != nil {
			t.Fatal(err)
		}
		tensors, parameters := 0, 0
		for _, p := range params {
			if !p.Frozen {
				tensors, parameters = tensors+1, parameters+p.Shape.TotalSize()
			}
		}
		last := dict[len(dict)-1].Name
		if got := fmt.Sprintf("all_modules.%d.bias", want.modules-1); last != got {
			t.Errorf("%s: the last entry is %s, expected %s", name, last, got)
		}
		if parameters != want.parameters || tensors != want.tensors || len(dict) != want.keys {
			t.Errorf("%s: %d parameters in %d tensors, %d entries; expected %d in %d, %d", name, parameters, tensors,
				len(dict), want.parameters, want.tensors, want.keys)
		}
		info, err := model.Describe(c)
		if err != nil {
			t.Fatal(err)
		}
		if info.Parameters != want.parameters {
			t.Errorf("%s: described with %d parameters", name, info.Parameters)
		}
		if g := float64(info.MACs) / 1e9; math.Abs(g/want.work-1) > 1e-3 {
			t.Errorf("%s: %.5g G multiply-adds, expected %.5g", name, g, want.work)
		}
	}
	dict, err := networks["ve/cifar10_ncsnpp_continuous"].StateDict(1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range []string{"sigmas (1000)", "all_modules.0.W (128)", "all_modules.1.weight (512, 256)",
		"all_modules.8.GroupNorm_0.weight (128)", "all_modules.8.Conv_0.weight (128, 128, 3, 3)",
		"all_modules.8.Dense_0.weight (128, 512)", "all_modules.8.Conv_2.weight (128, 128, 1, 1)",
		"all_modules.9.Conv2d_0.weight (128, 3, 3, 3)", "all_modules.11.NIN_0.W (256, 256)", "all_modules.11.NIN_0.b (256)"} {
		if !slices.ContainsFunc(dict, func(e model.Entry) bool { return fmt.Sprintf("%s %v", e.Name, e.Shape) == entry }) {
			t.Errorf("ve/cifar10_ncsnpp_continuous has no %s", entry)
		}
	}
}

func TestBadUNets(t *testing.T) {
	good := unetOf("ncsnpp", 16, 8, model.UNet{ChMult: "1,2", ResBlocks: 1, Attention: "8"})
	ddpm := unetOf("ddpm", 16, 32, model.UNet{ChMult: "1,2", ResBlocks: 1})
	for _, test := range []struct {
		c      model.Config
		change func(c *model.Config)
		want   string // "": none
	}{
		{good, func(*model.Config) {}, ""},
		{ddpm, func(*model.Config) {}, ""},
		{good, func(c *model.Config) { c.NGF = 12 }, ""},
		{good, func(c *model.Config) { c.NGF, c.UNet.ChMult = 10, "1,1" }, ""},
		{good, func(c *model.Config) { c.NGF = 14 },
			"ngf is 14: a group norm of 14 channels has 3 groups, which must divide them and be at least 1: expected a width such as 16"},
		{good, func(c *model.Config) { c.NGF = 132 }, "ngf is 132: a group norm of 132 channels has 32 groups"},
		{good, func(c *model.Config) { c.NGF = 6 }, "ngf is 6: a group norm of 18 channels has 4 groups"},
		{good, func(c *model.Config) { c.NGF = 3 }, "ngf is 3: a group norm of 3 channels has 0 groups"},
		{good, func(c *model.Config) { c.NGF = 0 }, "ngf is 0: expected at least 4 channels"},
		{good, func(c *model.Config) { c.NGF, c.UNet.Embedding = 3, "positional" },
			"ngf is 3: expected at least 4 channels, which the embedding of the noise needs"},
		{ddpm, func(c *model.Config) { c.NGF = 48 }, "ngf is 48: a group norm of 48 channels has 32 groups, which must divide them " +
			"and be at least 1: expected a width such as 64"},
		{good, func(c *model.Config) { c.Height = 17 }, "ch-mult is 1,2, of 2 levels that halve the images 1 times, and images of 17 x " +
			"16 (height x width) cannot be: expected fewer levels, or multiples of 2 such as 18 x 16"},
		{good, func(c *model.Config) { c.Height = 24 }, ""},
		{good, func(c *model.Config) { c.Width = 24 }, "attn-resolutions is 8, and the levels of images of 16 x 24 (height x width) " +
			"are 24, 12 wide: expected one of these, or none"},
		{good, func(c *model.Config) { c.UNet.Attention = "8,4" }, ""},
		{good, func(c *model.Config) { c.UNet.Attention = "none" }, ""},
		{good, func(c *model.Config) { c.UNet.Attention = "8;4" }, `attn-resolutions is "8;4": expected widths`},
		{good, func(c *model.Config) { c.UNet.ChMult = "1,0" }, `ch-mult is "1,0": expected the channels`},
		{good, func(c *model.Config) { c.UNet.ChMult = "none" }, `ch-mult is "none": expected the channels`},
		{good, func(c *model.Config) { c.UNet.ResBlocks = 0 }, "num-res-blocks is 0: expected 1 to 64"},
		{good, func(c *model.Config) { c.UNet.Dropout = 1 }, "dropout is 1: expected a probability"},
		{good, func(c *model.Config) { c.UNet.Dropout = math.NaN() }, "dropout is NaN"},
		{good, func(c *model.Config) { c.UNet.FIRKernel = "1,2,1" }, `fir-kernel is "1,2,1": expected four numbers`},
		{good, func(c *model.Config) { c.UNet.FIRKernel = "1,-1,1,-1" }, `fir-kernel is "1,-1,1,-1": expected four numbers`},
		{good, func(c *model.Config) { c.UNet.FIRKernel = "1,2,3,4" }, ""},
		{good, func(c *model.Config) { c.UNet.FourierScale = -1 }, "fourier-scale is -1"},
		{good, func(c *model.Config) { c.UNet.InitScale = -1 }, "init-scale is -1"},
		{good, func(c *model.Config) { c.UNet.ResBlock = "bigan" }, `resblock-type is "bigan": expected biggan or ddpm; did you mean`},
		{good, func(c *model.Config) { c.UNet.Progressive = "input_skip" }, `progressive is "input_skip": expected one of none, ` +
			"output_skip, residual"},
		{good, func(c *model.Config) { c.UNet.ProgressiveInput = "skip" }, `progressive-input is "skip"`},
		{good, func(c *model.Config) { c.UNet.Combine = "add" }, `progressive-combine is "add": expected sum or cat`},
		{good, func(c *model.Config) { c.UNet.Embedding = "none" }, `embedding-type is "none": expected fourier or positional`},
	} {
		c := test.c
		test.change(&c)
		_, err := model.Build(c, 1, model.Gradients, kernels.Weight{Power: 2})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%dx%d ngf %d %+v: error %v, expected %q", c.Height, c.Width, c.NGF, c.UNet, err, test.want)
		}
	}
}

// A state_dict alone tells the network's parameters: the published ones, and every branch of the class.
func TestRecogniseUNets(t *testing.T) {
	list := publishedUNets()
	for _, u := range golden.UNetBranches() {
		list[fmt.Sprintf("%+v", u)] = model.Config{Net: "ncsnpp", Height: 16, Width: 16, Channels: 3, NGF: 8, UNet: u}
	}
	for name, c := range list {
		params, err := c.Params()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shapes := map[string]tensor.Shape{}
		for _, p := range params {
			shapes[p.Name] = p.TorchShape()
		}
		found, err := model.Recognise(shapes, 0)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.ContainsFunc(found, func(got model.Config) bool { return got.Net == c.Net && model.SameParameters(c, got) }) {
			t.Errorf("%s is not among %+v", name, found)
		}
	}
}
