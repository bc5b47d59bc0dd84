// The networks of Song and Ermon for images: NCSN (2019), NCSNv2 (2020) and its larger forms. All are RefineNets on a
// dilated ResNet: stages of two residual blocks down, and from the last stage up a chain of refine blocks, each on the
// stage of its size and the block before. n = ngf channels at full size; names are PyTorch's:
//
//	ncsn, ncsnv2                    ncsnv2deeper                    ncsnv2deepest
//	begin_conv  C -> n     1        begin_conv  C -> n     1        begin_conv  C -> n     1
//	res1        n          1        res1        n          1        res1        n          1
//	res2        2n, pool   1/2      res2        2n, pool   1/2      res2        2n, pool   1/2
//	res3        2n, dil 2  1/2      res3        2n, pool   1/4      res3        2n, pool   1/4
//	                                                                res31       2n, pool   1/8
//	res4        2n, dil 4  1/2      res4        4n, dil 2  1/4      res4        4n, dil 2  1/8
//	                                res5        4n, dil 4  1/4      res5        4n, dil 4  1/8
//	refine1     2n         1/2      refine1     4n         1/4      refine1     4n         1/8
//	refine2     2n         1/2      refine2     2n         1/4      refine2     2n         1/8
//	                                                                refine31    2n         1/8
//	                                refine3     2n         1/4      refine3     2n         1/4
//	refine3     n          1/2      refine4     n          1/2      refine4     n          1/2
//	refine4     n          1        refine5     n          1        refine5     n          1
//	normalizer, act, end_conv  n -> C  1  in all of them
//
// NCSNv2 and its larger forms divide the output by sigma,
//
//	s(x~, sigma) = f(2 x~ - 1) / sigma
//
// so f predicts minus the noise z and never sees sigma. NCSN is told the level i: its norms take their parameters from
// row i of a table each, there are norms in its refine blocks too, their pooling is the average instead of the maximum,
// and nothing is divided: s(x~, i) = f(2 x~ - 1, i).

package model

import (
	"fmt"
	"slices"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// stageSpec is a stage: two residual blocks. The first one changes the channels and the size.
type stageSpec struct {
	name     string
	width    int // channels in units of n
	down     bool
	dilation int // 1: none; with one, "down" keeps the size
}

// refineSpec is a refine block.
type refineSpec struct {
	name  string
	width int // channels in units of n
}

// refineNet is one of the networks in this file.
type refineNet struct {
	name   string
	stages []stageSpec
	refine []refineSpec // in the order of their use
	// conditional says that the network is told the noise level: NCSN.
	conditional bool
}

// The networks differ in these lists alone, and NCSN in being conditional.
var (
	ncsnStages = []stageSpec{
		{"res1", 1, false, 1}, {"res2", 2, true, 1}, {"res3", 2, true, 2}, {"res4", 2, true, 4},
	}
	ncsnRefine = []refineSpec{{"refine1", 2}, {"refine2", 2}, {"refine3", 1}, {"refine4", 1}}

	deeperStages = []stageSpec{
		{"res1", 1, false, 1}, {"res2", 2, true, 1}, {"res3", 2, true, 1}, {"res4", 4, true, 2}, {"res5", 4, true, 4},
	}
	deeperRefine = []refineSpec{{"refine1", 4}, {"refine2", 2}, {"refine3", 2}, {"refine4", 1}, {"refine5", 1}}

	deepestStages = []stageSpec{
		{"res1", 1, false, 1}, {"res2", 2, true, 1}, {"res3", 2, true, 1}, {"res31", 2, true, 1},
		{"res4", 4, true, 2}, {"res5", 4, true, 4},
	}
	deepestRefine = []refineSpec{
		{"refine1", 4}, {"refine2", 2}, {"refine31", 2}, {"refine3", 2}, {"refine4", 1}, {"refine5", 1},
	}
)

// row completes a network's row of the table, which has its learning rate, published sampling and recipe, with what all
// networks of this file share.
func (r refineNet) row(n network) network {
	n.name, n.validate, n.params, n.score = r.name, r.validate, r.params, r.score
	n.settings, n.needsLevels, n.width = []string{"ngf", "normalization", "nonlinearity", "rescaled"}, r.needsLevels, 8
	n.mark, n.recognise = "begin_conv.weight of four dimensions", r.recognise
	n.noise, n.sigmas = blind, true
	if r.conditional {
		n.noise, n.sigmas = byLevel, false
	}
	return n
}

// needsLevels is [Config.NeedsLevels]: NCSN has a row of parameters for each level, and in the originals the last norm
// of an unconditional network with InstanceNorm takes the number of levels for its epsilon.
func (r refineNet) needsLevels(c Config) bool {
	return r.conditional || c.normalization() == instanceNorm
}

// recognise lists the network with each norm for parameters that begin as those of all networks in this file do.
func (r refineNet) recognise(shapes map[string]tensor.Shape, levels int) (list []Config) {
	first := shapes["begin_conv.weight"] // (n, C, 3, 3)
	if len(first) != 4 {
		return nil
	}
	if table := shapes["normalizer.embed.weight"]; len(table) == 2 { // a row for each level
		levels = table[0]
	}
	for _, norm := range Normalizations() {
		c := Config{Net: r.name, NGF: first[0], Channels: first[1], Normalization: norm}
		if r.needsLevels(c) {
			c.Levels = levels
		}
		list = append(list, c)
	}
	return list
}

// halvings counts how often the network halves the image.
func (r refineNet) halvings() int {
	n := 0
	for _, s := range r.stages {
		if s.down && s.dilation == 1 {
			n++
		}
	}
	return n
}

func (r refineNet) validate(c Config) error {
	unit, times := 1<<r.halvings(), [...]string{"", "", " twice", " three times"}[r.halvings()]
	switch {
	case c.NGF < 2:
		return setting.Errorf("ngf", "is %d: expected at least 2 channels, because the norm takes the variance over "+
			"them", c.NGF)
	case c.D() == 0:
		return nil
	case c.Height%unit != 0 || c.Width%unit != 0:
		return fmt.Errorf("the images are %d x %d (height x width): network %s halves both%s, so both must be "+
			"multiples of %d, such as %d x %d",
			c.Height, c.Width, r.name, times, unit, nearestMultiple(c.Height, unit), nearestMultiple(c.Width, unit))
	case c.Height*c.Width == unit*unit:
		return fmt.Errorf("the images are %d x %d (height x width): network %s makes a single pixel of them, of "+
			"which a norm leaves nothing, so one of the two must be larger, such as %d x %d",
			c.Height, c.Width, r.name, 2*unit, 2*unit)
	case c.NeedsLevels() && c.Levels < 1:
		return fmt.Errorf("levels is %d: network %s with %s depends on the number of noise levels, at least 1",
			c.Levels, r.name, c.normalization())
	}
	return nil
}

// nearestMultiple returns the multiple of unit that is nearest to n, and at least unit.
func nearestMultiple(n, unit int) int { return max(1, (n+unit/2)/unit) * unit }

// Normalizations lists the norms of the networks for images, the published one first.
func Normalizations() []string { return []string{instanceNormPlus, instanceNorm} }

const (
	instanceNormPlus = "InstanceNorm++"
	instanceNorm     = "InstanceNorm"
)

func (c Config) normalization() string {
	if c.Normalization == "" {
		return instanceNormPlus
	}
	return c.Normalization
}

// Nonlinearities lists the activations of the networks for images: first that of NCSN, last that of the U-Nets. lrelu has
// slope 0.2 below 0, swish is x/(1 + e^-x).
func Nonlinearities() []string {
	return []string{string(kernels.ELU), string(kernels.ReLU), string(kernels.LReLU), string(kernels.Swish)}
}

// nonlinearity is the network's activation: that which it was published with where none is named.
func (c Config) nonlinearity() string {
	switch {
	case c.Nonlinearity != "":
		return c.Nonlinearity
	case c.Uses("unet"):
		return string(kernels.Swish)
	}
	return string(kernels.ELU)
}

// stageBlocks lists the residual blocks of the stages.
func (r refineNet) stageBlocks(n int) (blocks [][2]resBlock) {
	in := n
	for _, s := range r.stages {
		out := s.width * n
		blocks = append(blocks, [2]resBlock{
			{s.name + ".0", in, out, s.down, s.dilation},
			{s.name + ".1", out, out, false, s.dilation},
		})
		in = out
	}
	return blocks
}

// refineBlocks lists the refine blocks in the order of their use: the first on the last stage, the others on the stages
// before it and on each other.
func (r refineNet) refineBlocks(n int) (blocks []refineBlock) {
	for i, s := range r.refine {
		in := []int{n * r.stages[len(r.stages)-1-i].width}
		if i > 0 {
			in = append(in, n*r.refine[i-1].width)
		}
		blocks = append(blocks, refineBlock{s.name, in, s.width * n, i == len(r.refine)-1})
	}
	return blocks
}

func (r refineNet) params(c Config) []*Param {
	d := refineParams{norms: r.norms(c)}
	n := c.NGF
	d.conv("begin_conv", c.Channels, n, 3, true)
	d.norm("normalizer", n)
	d.conv("end_conv", n, c.Channels, 3, true)
	for _, stage := range r.stageBlocks(n) {
		for _, block := range stage {
			block.declare(&d)
		}
	}
	blocks := r.refineBlocks(n) // registered in the order of their names: refine3, then refine31
	slices.SortFunc(blocks, func(a, b refineBlock) int { return strings.Compare(a.path, b.path) })
	for _, block := range blocks {
		block.declare(&d)
	}
	return d.list
}

func (r refineNet) score(base *builder, c Config, x *gorgonia.Node) *gorgonia.Node {
	b := &refineBuilder{builder: base, norms: r.norms(c), activation: kernels.Activation(c.nonlinearity())}
	if c.centres() {
		x = b.node(graph.Affine{Scale: 2, Shift: -1}, "rescale", x)
	}
	h := b.conv("begin_conv", 1, x)
	var stages []*gorgonia.Node
	for _, stage := range r.stageBlocks(c.NGF) {
		for _, block := range stage {
			h = block.build(b, h)
		}
		stages = append(stages, h)
	}
	for i, block := range r.refineBlocks(c.NGF) {
		if i == 0 {
			h = block.build(b, h)
			continue
		}
		h = block.build(b, stages[len(stages)-1-i], h)
	}
	if !b.norms.Plus && !r.conditional {
		b.norms.Epsilon = float64(c.Levels) // see NeedsLevels
	}
	h = b.act("act", b.norm("normalizer", h))
	h = b.conv("end_conv", 1, h)
	if r.conditional {
		return h
	}
	return b.divSigma(c, h)
}

// norms says which norms a network has.
func (r refineNet) norms(c Config) graph.Norm {
	n := graph.Norm{Plus: c.normalization() == instanceNormPlus}
	if r.conditional {
		n.Levels = c.Levels
	}
	return n
}
