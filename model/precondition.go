// How a network is wrapped to be the score (Karras et al. 2022, table 1; Song et al. 2021): what it is given of x~ = x + sigma z
// and of sigma, and how its output F becomes the score,
//
//	             its input   it is told         score
//	(none)       x~          sigma or a level   F, which networks that are published so divide by sigma
//	edm          c_in x~     ln(sigma)/4        ((c_skip - 1) x~ + c_out F)/sigma^2, with d = SigmaData:
//	                                            c_in 1/sqrt(sigma^2 + d^2)  c_skip d^2/(sigma^2 + d^2)  c_out sigma d c_in
//	vp, subvp    m x~        999 t, or a step   -F/sigma: F is the noise, as in DDPM
//
// A network that is given x~ alone sees the noise by the size of its input then, too.

package model

import (
	"math"

	"gorgonia.org/gorgonia"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// EDM is the parameterization of Karras et al. 2022.
const EDM = "edm"

// PlainParameterization is the name of none.
const PlainParameterization = "none"

// Parameterizations lists them, the usual one first.
func Parameterizations() []string { return []string{PlainParameterization, EDM} }

// checkWrap judges process and parameterization, by themselves and together. The error is a [*setting.Error].
func (c Config) checkWrap() error {
	if err := c.SDE.Check(); err != nil {
		return err
	}
	if c.Parameterization != "" {
		if err := oneOf("parameterization", c.Parameterization, Parameterizations()); err != nil {
			return err
		}
	}
	switch {
	case !c.edm() && c.SigmaData != 0:
		return setting.Errorf("parameterization", "is %s, which has no use for the data's deviation %g: use %s", PlainParameterization,
			c.SigmaData, EDM)
	case c.edm() && c.SDE.Preserving():
		return setting.Errorf("parameterization", "is %s, and `sde` %s has one of its own: leave one of them out", EDM, c.SDE.Kind)
	case c.edm() && c.row().noise == byLevel:
		return setting.Errorf("parameterization", "is %s, which takes any sigma, and network %s takes levels alone: use another `net`",
			EDM, c.Net)
	case c.edm() && (c.SigmaData < 0 || math.IsNaN(c.SigmaData) || math.IsInf(c.SigmaData, 0)):
		return setting.Errorf("sigma-data", "is %g: expected the deviation of the data, a positive number", c.SigmaData)
	case c.SDE.Preserving() && c.TakesImages() && !c.Rescaled:
		return setting.Errorf("sde", "is %s, which takes data around 0 to noise of unit size, and images in [0, 1] are not around 0: "+
			"give `rescaled`, which learns them in [-1, 1]", c.SDE.Kind)
	}
	return nil
}

func (c Config) edm() bool { return c.Parameterization == EDM }

// Preconditioned says whether the network is wrapped: its input and its output are scaled by sigma.
func (c Config) Preconditioned() bool { return c.edm() || c.SDE.Preserving() }

// centres says whether the network begins by bringing images from [0, 1] to [-1, 1]. An input that is scaled has unit size.
func (c Config) centres() bool { return !c.Rescaled && !c.Preconditioned() }

// DataDeviation returns the deviation of the data in the network's units: that of the configuration, or of a network for
// vectors, which knows it, or of images the published one.
func (c Config) DataDeviation() float64 {
	switch {
	case c.SigmaData != 0:
		return c.SigmaData
	case c.NeedsDataSD():
		return c.DataSD
	case c.Rescaled:
		return publishedSD
	}
	return publishedSD / 2
}

// CompleteWrap names what was left open of process and parameterization, for noise of the given density.
func (c *Config) CompleteWrap(density string) {
	c.SDE = c.SDE.Completed()
	if c.Uses("unet") && c.SDE.Preserving() && c.UNet.Embedding == "" {
		c.UNet.Embedding = positional // as published
	}
	// A table is what training on it alone has been told: DDPM's, or, of images, SMLD's.
	c.SDE.Discrete = density == LadderNoise && c.SDE.Kind == VP ||
		(density == "" || density == LadderNoise) && !c.SDE.Preserving() && !c.edm() && c.ToldSteps()
	if c.Parameterization == PlainParameterization {
		c.Parameterization = ""
	}
	if c.edm() {
		c.SigmaData = c.DataDeviation()
	}
	if c.Preconditioned() {
		c.UNet.ScaleBySigma = false // the score is made of the output here
	}
}

// ToldSteps says whether the network's embedding is one for the steps of a table, which leaves its process open.
func (c Config) ToldSteps() bool { return c.Uses("unet") && c.UNet.named().Embedding == positional }

// precondition returns the numbers by which the network is wrapped or told its level, nil where it needs none.
func (b *builder) precondition(c Config, weighted bool) *gorgonia.Node {
	l := graph.Precondition{Betas: c.SDE.betas(), Weighted: weighted}
	in := []*gorgonia.Node{b.sigma()}
	switch {
	case c.SDE.Preserving():
		if c.SDE.Discrete {
			l.Table = true
			in = append(in, b.constant("table", c.SDE.Ladder(c.Levels)))
		}
	case c.edm():
		l.SD = c.DataDeviation()
		l.Root = c.Uses("unet") && !c.ToldSteps()
	case c.SDE.Discrete:
		l.Level = true
		in = append(in, b.level())
	default:
		return nil
	}
	return b.node(l, "precondition", in...)
}

// wrapped builds the score of a network with the numbers of [builder.precondition].
func (b *builder) wrapped(row network, c Config, x *gorgonia.Node) *gorgonia.Node {
	if !c.Preconditioned() {
		return row.score(b, c, x)
	}
	in := x
	if !row.scalesInput {
		in = b.node(graph.PreconditionInput{}, "input.scaled", x, b.numbers)
	}
	return b.node(graph.PreconditionScore{}, "score", x, row.score(b, c, in), b.numbers)
}

// cond returns the node of what the network is told of the noise (N).
func (b *builder) cond() *gorgonia.Node {
	if b.numbers == nil {
		return b.sigma()
	}
	if b.told == nil {
		b.told = b.node(graph.PreconditionRow{Which: kernels.PreconditionCond}, "cond", b.numbers)
	}
	return b.told
}

// divSigma divides the output of a network that is published so by sigma; where it is wrapped, that is done there.
func (b *builder) divSigma(c Config, x *gorgonia.Node) *gorgonia.Node {
	if c.Preconditioned() {
		return x
	}
	return b.node(graph.DivSigma{}, "score", x, b.sigma())
}
