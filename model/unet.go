// What a U-Net of Song et al. 2021 is built from: the settings of NCSN++ and DDPM++ by the names of their original
// configurations (yang-song/score_sde), and what is wrong with them. The network itself is in ncsnpp.go.

package model

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sigmaz/internal/setting"
	"sigmaz/model/graph"
)

// UNet is the settings of the networks ncsnpp and ddpm beside ngf and nonlinearity. Lists are numbers with commas.
type UNet struct {
	// ChMult is the channels of each level in units of ngf. Each level but the last halves the image.
	ChMult string `yaml:"ch_mult,omitempty"`
	// ResBlocks is n, the blocks of a level on the way down; on the way up there are n+1.
	ResBlocks int `yaml:"num_res_blocks,omitempty"`
	// Attention is the widths of images whose levels have self-attention, beside the middle, which always has: in
	// pixels, or as a part of the network's input, such as 1/2.
	Attention string `yaml:"attn_resolutions,omitempty"`
	// Dropout is its probability in training.
	Dropout float64 `yaml:"dropout,omitempty"`

	ResBlock       string `yaml:"resblock_type,omitempty"`    // one of ResBlocks; "": biggan
	ResampWithConv bool   `yaml:"resamp_with_conv,omitempty"` // ddpm blocks: images are halved and doubled by convolutions
	FIR            bool   `yaml:"fir,omitempty"`              // images are halved and doubled with a filter of four taps
	FIRKernel      string `yaml:"fir_kernel,omitempty"`       // its taps, of any sum; "": 1,3,3,1
	SkipRescale    bool   `yaml:"skip_rescale,omitempty"`     // sums of two branches are divided by sqrt 2

	Progressive      string `yaml:"progressive,omitempty"`         // images on the way up, one of Progressives; "": none
	ProgressiveInput string `yaml:"progressive_input,omitempty"`   // and on the way down, one of ProgressiveInputs; "": none
	Combine          string `yaml:"progressive_combine,omitempty"` // how input_skip joins, one of Combines; "": sum

	Unconditional bool    `yaml:"unconditional,omitempty"`  // the network is not told sigma
	Embedding     string  `yaml:"embedding_type,omitempty"` // of the noise level, one of Embeddings; "": fourier
	FourierScale  float64 `yaml:"fourier_scale,omitempty"`  // deviation of its frequencies; 0: 16
	InitScale     float64 `yaml:"init_scale,omitempty"`     // of initial weights that end a branch; 0: 1e-10
	ScaleBySigma  bool    `yaml:"scale_by_sigma,omitempty"` // the output is divided by sigma
}

// Choices of a U-Net, the usual one first.
const (
	bigGAN, ddpmBlock         = "biggan", "ddpm"
	noPyramid                 = "none"
	outputSkip, inputSkip     = "output_skip", "input_skip"
	residualPyramid           = "residual"
	combineSum, combineCat    = "sum", "cat"
	fourier, positional       = "fourier", "positional"
	publishedMult             = "1,2,2,2"
	publishedFIR              = "1,3,3,1"
	publishedFourierScale     = 16
	leastPositional, maxScale = 4, 1e3
	mostLevels, mostBlocks    = 16, 64
)

// ResBlocks lists the types of residual blocks: those of BigGAN, which resample themselves, and those of DDPM.
func ResBlocks() []string { return []string{bigGAN, ddpmBlock} }

// Progressives lists the pyramids on the way up: none, a sum of images, or of features.
func Progressives() []string { return []string{noPyramid, outputSkip, residualPyramid} }

// ProgressiveInputs lists the pyramids on the way down: none, the input in smaller sizes, or convolutions of it.
func ProgressiveInputs() []string { return []string{noPyramid, inputSkip, residualPyramid} }

// Combines lists how an input in a smaller size joins what the network has: by sum, or as more channels.
func Combines() []string { return []string{combineSum, combineCat} }

// Embeddings lists the embeddings of the noise level: sines of its logarithm at random frequencies, or of itself at
// fixed ones.
func Embeddings() []string { return []string{fourier, positional} }

// ddpm keeps what network ddpm has a choice in, and sets the rest as it has that.
func (u UNet) ddpm() UNet {
	return UNet{ChMult: u.ChMult, ResBlocks: u.ResBlocks, Attention: u.Attention, Dropout: u.Dropout,
		ResampWithConv: u.ResampWithConv, Unconditional: u.Unconditional, InitScale: u.InitScale, ScaleBySigma: u.ScaleBySigma,
		ResBlock: ddpmBlock, Embedding: positional}
}

// Fixed says whether network ddpm has no choice in a setting of UNet that ncsnpp has, by the setting's key.
func Fixed(key string) bool {
	return slices.Contains([]string{"resblock_type", "fir", "fir_kernel", "skip_rescale", "progressive", "progressive_input",
		"progressive_combine", "embedding_type", "fourier_scale"}, key)
}

// named returns the settings with the names of those that "" stands for.
func (u UNet) named() UNet {
	for _, choice := range []struct {
		value *string
		name  string
	}{
		{&u.ChMult, publishedMult}, {&u.ResBlock, bigGAN}, {&u.Progressive, noPyramid}, {&u.ProgressiveInput, noPyramid},
		{&u.Combine, combineSum}, {&u.Embedding, fourier}, {&u.FIRKernel, publishedFIR},
	} {
		if *choice.value == "" {
			*choice.value = choice.name
		}
	}
	if u.FourierScale == 0 {
		u.FourierScale = publishedFourierScale
	}
	return u
}

// validate judges the settings by themselves. The error is a [*setting.Error].
func (u UNet) validate() error {
	u = u.named()
	for _, choice := range []struct {
		key, value string
		words      []string
	}{
		{"resblock-type", u.ResBlock, ResBlocks()}, {"progressive", u.Progressive, Progressives()},
		{"progressive-input", u.ProgressiveInput, ProgressiveInputs()}, {"progressive-combine", u.Combine, Combines()},
		{"embedding-type", u.Embedding, Embeddings()},
	} {
		if err := oneOf(choice.key, choice.value, choice.words); err != nil {
			return err
		}
	}
	mult, err := wholeNumbers(u.ChMult)
	if err != nil || len(mult) < 1 || len(mult) > mostLevels || slices.Min(mult) < 1 || slices.Max(mult) > 1<<10 {
		return setting.Errorf("ch-mult", "is %q: expected the channels of 1 to %d levels in units of `ngf`, such as 1,2,2,2",
			u.ChMult, mostLevels)
	}
	if _, err := u.attention(1 << 20); err != nil {
		return setting.Errorf("attn-resolutions", "is %q: expected widths of images, such as 16, or none for attention in the "+
			"middle alone", u.Attention)
	}
	kernel, err := numbers(u.FIRKernel)
	sum := 0.0
	for _, k := range kernel {
		sum += k
	}
	switch {
	case err != nil || len(kernel) != 4 || !(math.Abs(sum) > 1e-6) || math.IsInf(sum, 0):
		return setting.Errorf("fir-kernel", "is %q: expected four numbers whose sum is not 0, such as 1,3,3,1", u.FIRKernel)
	case u.ResBlocks < 1 || u.ResBlocks > mostBlocks:
		return setting.Errorf("num-res-blocks", "is %d: expected 1 to %d blocks a level", u.ResBlocks, mostBlocks)
	case !(u.Dropout >= 0 && u.Dropout < 1):
		return setting.Errorf("dropout", "is %g: expected a probability from 0 to below 1, such as 0.1", u.Dropout)
	case !(u.FourierScale > 0 && u.FourierScale <= maxScale):
		return setting.Errorf("fourier-scale", "is %g: expected a positive deviation of at most %g, such as %d", u.FourierScale,
			float64(maxScale), publishedFourierScale)
	case !(u.InitScale >= 0 && u.InitScale <= maxScale):
		return setting.Errorf("init-scale", "is %g: expected a scale of 0 to %g; 0 begins with branches that add nothing",
			u.InitScale, float64(maxScale))
	}
	return nil
}

// Mult returns the channels of each level in units of ngf, of valid settings.
func (u UNet) Mult() []int {
	list, err := wholeNumbers(u.ChMult)
	if err != nil {
		panic(buildError{fmt.Errorf("ch_mult %q: %w", u.ChMult, err)})
	}
	return list
}

// attention returns the widths of images whose levels have attention, where the input is so wide.
func (u UNet) attention(input int) (widths []int, err error) {
	if u.Attention == "" || u.Attention == noPyramid {
		return nil, nil
	}
	for _, word := range strings.Split(u.Attention, ",") {
		part, ok := strings.CutPrefix(strings.TrimSpace(word), "1/")
		n, err := strconv.Atoi(part)
		switch {
		case err != nil || n < 1:
			return nil, fmt.Errorf("%q is no width", word)
		case !ok:
			widths = append(widths, n)
		case input%n == 0:
			widths = append(widths, input/n)
		}
	}
	return widths, nil
}

// Attends says whether the levels with images of that width have attention, where the input is so wide, of valid
// settings.
func (u UNet) Attends(width, input int) bool {
	widths, _ := u.attention(input)
	return width > 0 && slices.Contains(widths, width)
}

// kernel returns the taps of the filter, of valid settings.
func (u UNet) kernel() (taps [4]float32) {
	list, _ := numbers(u.FIRKernel)
	for i := range taps {
		taps[i] = float32(list[i])
	}
	return taps
}

// wholeNumbers reads numbers with commas.
func wholeNumbers(text string) (list []int, err error) {
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

// numbers reads numbers with commas.
func numbers(text string) (list []float64, err error) {
	for _, word := range strings.Split(text, ",") {
		v, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// validate judges the settings of a network of this class, and with sizes what comes from the data.
func (n uNet) validate(c Config) error {
	u := n.settings(c)
	if err := u.validate(); err != nil {
		return err
	}
	if c.NGF < 1 {
		return setting.Errorf("ngf", "is %d: expected at least 4 channels", c.NGF)
	}
	if u.Embedding == positional && !u.Unconditional && c.NGF < leastPositional {
		return setting.Errorf("ngf", "is %d: expected at least %d channels, which the embedding of the noise needs", c.NGF,
			leastPositional)
	}
	if bad := n.undivided(c); bad > 0 {
		return setting.Errorf("ngf", "is %d: a group norm of %d channels has %d groups, which must divide them and be at least 1: "+
			"expected a width such as %d", c.NGF, bad, n.groups(bad), n.nearestWidth(c))
	}
	if c.Classes > 0 && u.Unconditional {
		return setting.Errorf("classes", "is told a network beside the noise, which `unconditional` leaves out: leave one of the two out")
	}
	levels := len(u.Mult())
	unit := 1 << (levels - 1)
	if c.D() == 0 {
		return nil
	}
	if c.Height%unit != 0 || c.Width%unit != 0 {
		return fmt.Errorf("`ch-mult` is %s, of %d levels that halve the images %d times, and images of %d x %d (height x "+
			"width) cannot be: expected fewer levels, or multiples of %d such as %d x %d", u.ChMult, levels, levels-1, c.Height,
			c.Width, unit, nearestMultiple(c.Height, unit), nearestMultiple(c.Width, unit))
	}
	var widths []string
	for l := range levels {
		if u.Attends(c.Width>>l, c.Width) {
			return nil
		}
		widths = append(widths, strconv.Itoa(c.Width>>l))
	}
	if u.Attention != "" && u.Attention != noPyramid {
		return fmt.Errorf("`attn-resolutions` is %s, and the levels of images of %d x %d (height x width) are %s wide: "+
			"expected one of these, or none for attention in the middle alone", u.Attention, c.Height, c.Width,
			strings.Join(widths, ", "))
	}
	return nil
}

// groups returns how many groups a norm of so many channels has.
func (n uNet) groups(channels int) int {
	if n.fixedGroups > 0 {
		return n.fixedGroups
	}
	return graph.Groups(channels)
}

// undivided returns the channels of the first norm whose groups do not divide them, 0 where there is none.
func (n uNet) undivided(c Config) int {
	p := &uNetPass{uNet: n, c: c, u: n.settings(c)}
	p.run(value{c: max(1, c.Channels)})
	return p.undivided
}

// nearestWidth returns the ngf nearest to the configuration's of which all norms can be divided.
func (n uNet) nearestWidth(c Config) int {
	for d := 1; ; d++ {
		for _, ngf := range []int{c.NGF + d, c.NGF - d} {
			if c := c; ngf >= leastPositional {
				if c.NGF = ngf; n.undivided(c) == 0 {
					return ngf
				}
			}
		}
	}
}
