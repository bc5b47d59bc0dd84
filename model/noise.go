// The perturbation kernel: how data is noised in training and how errors are weighed,
//
//	x~ = x + sigma z,   z ~ N(0, I)
//
// of the variance-exploding process, whose mean keeps the coefficient 1 and whose deviation is sigma. Each row of a batch
// gets the sigma of a level, or one drawn by a density of ln sigma; its loss is 1/2 w |sigma s + z|^2:
//
//	            sigma                                        w
//	ladder      the L levels alike                           sigma^(p-2): 1 with anneal-power p = 2
//	loguniform  ln sigma uniform, ln sigma_L to ln sigma_1   1
//	lognormal   ln sigma normal, mean P_mean, sd P_std       (sigma^2 + sigma_data^2) / sigma_data^2
//	uniform-t   that of the process at a uniform time t      1
//
// (Song and Ermon 2019; Song et al. 2021; Karras et al. 2022.) What the network is told of sigma, and how its output
// becomes a score, its row says (network.go); one that takes levels knows nothing between them. A run with a density
// keeps its ladder, for the held-out loss and for samplers that walk down levels.

package model

import (
	"math"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// Noise is how training draws sigma and weighs the loss.
type Noise struct {
	Density   string   `yaml:"density" name:"noise"` // one of Densities; "": LadderNoise
	PMean     *float64 `yaml:"P_mean,omitempty"`     // of lognormal; nil: by SigmaData
	PStd      float64  `yaml:"P_std,omitempty"`      // of lognormal; 0: defaultPStd
	SigmaData float64  `yaml:"sigma_data,omitempty"` // of lognormal, the data's deviation; 0: by the network
}

// How sigma is drawn.
const (
	LadderNoise = "ladder"
	LogUniform  = "loguniform"
	LogNormal   = "lognormal"
	UniformTime = "uniform-t"
)

// Densities lists them, the usual one first.
func Densities() []string { return []string{LadderNoise, LogUniform, LogNormal, UniformTime} }

// Published are P_mean and P_std of data with deviation publishedSD; a shift of ln sigma takes them to other data. Images
// in [-1, 1] are taken to have that deviation (Karras et al. 2022, table 1).
const (
	publishedPMean, defaultPStd = -1.2, 1.2
	publishedSD                 = 0.5
)

// What is drawn lies between leastSigma and mostSigma, where the loss and its squares keep clear of float32's ends.
const leastSigma, mostSigma = 1e-6, 1e6

// Continuous says whether sigma is drawn by a density, not from the ladder.
func (n Noise) Continuous() bool { return n.Density != "" && n.Density != LadderNoise }

// Check judges the settings by themselves. The error is a [*setting.Error].
func (n Noise) Check() error {
	if n.Density != "" {
		if err := oneOf("noise", n.Density, Densities()); err != nil {
			return err
		}
	}
	if n.Density != LogNormal {
		name := n.Density
		if name == "" {
			name = LadderNoise
		}
		for _, of := range []struct {
			key   string
			given bool
		}{{"P-mean", n.PMean != nil}, {"P-std", n.PStd != 0}, {"sigma-data", n.SigmaData != 0}} {
			if of.given {
				return setting.Errorf(of.key, "is for `noise` %s, and this is %s: leave it out", LogNormal, name)
			}
		}
		return nil
	}
	switch {
	case n.PMean != nil && (math.IsNaN(*n.PMean) || math.IsInf(*n.PMean, 0)):
		return setting.Errorf("P-mean", "is %g: expected the mean of ln sigma, such as %g", *n.PMean, publishedPMean)
	case n.PStd != 0 && !(n.PStd > 0 && !math.IsInf(n.PStd, 0)):
		return setting.Errorf("P-std", "is %g: expected a positive deviation of ln sigma, such as %g", n.PStd, defaultPStd)
	case n.SigmaData != 0 && !(n.SigmaData > 0 && !math.IsInf(n.SigmaData, 0)):
		return setting.Errorf("sigma-data", "is %g: expected the deviation of the data, a positive number, such as 0.25 for "+
			"images in [0, 1]", n.SigmaData)
	}
	return nil
}

// CheckFor judges whether the network can be trained with the noise: one that takes levels has no score between them.
func (n Noise) CheckFor(c Config) error {
	if n.Density == UniformTime && !c.SDE.Preserving() {
		return setting.Errorf("noise", "is %s, which is for `sde` %s and %s, and this is %s: use `noise` %s, which that is there",
			n.Density, VP, SubVP, VE, LogUniform)
	}
	if n.Continuous() && c.TakesLevels() {
		return setting.Errorf("noise", "is %s, which draws sigma between the levels, and network %s takes levels alone: "+
			"use `noise` %s, or another `net`", n.Density, c.Net, LadderNoise)
	}
	return nil
}

// Complete names what was left open in a valid value: for lognormal the data's deviation, which networks for vectors know
// and which images are taken to have as published, and with it P_mean and P_std. It judges what is drawn then.
func (n *Noise) Complete(c Config) error {
	switch n.Density {
	case LadderNoise:
		if !c.SDE.Preserving() {
			n.Density = "" // as runs of before have it
		}
		return nil
	case "", LogUniform, UniformTime:
		return nil
	}
	if n.SigmaData == 0 {
		n.SigmaData = c.DataDeviation()
	}
	if n.PMean == nil {
		mean := math.Round(1e4*(publishedPMean+math.Log(n.SigmaData/publishedSD))) / 1e4
		n.PMean = &mean
	}
	if n.PStd == 0 {
		n.PStd = defaultPStd
	}
	if least, most := n.Range(Process{}); !(least >= leastSigma && most <= mostSigma) {
		return setting.Errorf("P-std", "is %g: with `P-mean` %g sigma is drawn from %.3g to %.3g, and float32 holds the loss "+
			"from %g to %g: lower it, or move `P-mean`", n.PStd, *n.PMean, least, most, leastSigma, mostSigma)
	}
	return nil
}

// DensityOf returns what the kernels draw sigma by, the zero value for the ladder. The end that draws are counted from is
// that of large sigma, as levels are.
func (n Noise) DensityOf(p Process) kernels.Density {
	switch n.Density {
	case LogUniform:
		return kernels.Density{Shift: math.Log(p.Begin), Scale: math.Log(p.End / p.Begin)}
	case UniformTime:
		return kernels.Density{Shift: 1, Scale: trainingTime - 1, Betas: p.betas()}
	case LogNormal:
		return kernels.Density{Normal: true, Shift: *n.PMean, Scale: -n.PStd}
	}
	return kernels.Density{}
}

// Range returns the smallest and the largest sigma that a density draws. Lognormal does not look at the ladder.
func (n Noise) Range(p Process) (least, most float64) {
	d := n.DensityOf(p)
	return float64(d.Sigma(math.MaxUint32)), float64(d.Sigma(0))
}

// Outside returns which parts of the draws lie above the ladder and below it.
func (n Noise) Outside(l Ladder) (above, below float64) {
	if n.Density != LogNormal {
		return 0, 0
	}
	tail := func(sd float64) float64 { return 0.5 * math.Erfc(sd/math.Sqrt2) }
	return tail((math.Log(l.Begin()) - *n.PMean) / n.PStd), tail((*n.PMean - math.Log(l.End())) / n.PStd)
}

// Weight returns lambda(sigma) of the loss, sigma^2 times the w above. power is p, the exponent of the ladder's.
func (n Noise) Weight(power float64) kernels.Weight {
	if n.Density == LogNormal {
		return kernels.Weight{Power: 2, SD: n.SigmaData}
	}
	return kernels.Weight{Power: power}
}

// MeanWeight returns the loss of a network of zero weights in units of D/2: the mean of w over the draws of a density, and
// 1 where it is made for what the network is wrapped in.
func (n Noise) MeanWeight(c Config) float64 {
	if n.Density != LogNormal || c.edm() {
		return 1
	}
	return 1 + math.Exp(2**n.PMean+2*n.PStd*n.PStd)/(n.SigmaData*n.SigmaData)
}

// MeanLikelihoodWeight returns the mean of g^2/std^2 over the draws of a density that is uniform in time.
func (n Noise) MeanLikelihoodWeight(p Process) float64 {
	if !p.Preserving() {
		return p.likelihoodScale()
	}
	const parts = 1 << 14
	d, sum := n.DensityOf(p), 0.0
	for i := range uint32(parts) {
		sum += p.betas().LikelihoodWeight(float64(d.Sigma(i<<18 + 1<<17)))
	}
	return sum / parts
}

// likelihoodScale returns g^2/std^2 of VE, which is the same at every t.
func (p Process) likelihoodScale() float64 { return 2 * math.Log(p.Begin/p.End) }

// LikelihoodWeight returns the weight of the loss that bounds the likelihood, g^2 of the process on |z/std - noise|^2 (Song et
// al. 2021, "Maximum likelihood training of score-based diffusion models").
func (n Noise) LikelihoodWeight(p Process) kernels.Weight {
	if p.Preserving() {
		return kernels.Weight{Power: 2, Factors: true}
	}
	return kernels.Weight{Power: 2, Scale: p.likelihoodScale()}
}
