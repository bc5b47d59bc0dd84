// Samples that begin at an image: one with noise to be taken off, or one to be drawn anew from a noise level on.

package samplecmd

import (
	"errors"
	"fmt"
	"math"

	"sigmaz/cmd/internal/cli"
)

// guideOptions is what the command line says about the image.
type guideOptions struct {
	denoise, from string
	sigma         float64
	level         int
}

func (o *options) guideFlags() []cli.Flag {
	g := &o.guide
	return []cli.Flag{
		{Name: "denoise-image", Arg: "FILE", Help: "an image with noise of -sigma: takes it off in one evaluation, by Tweedie's mean",
			Value: &g.denoise},
		{Name: "sigma", Arg: "S", Help: "of -denoise-image: the noise's deviation, in the images' units", Value: &g.sigma},
		{Name: "from", Arg: "FILE", Help: "an image that samples begin at, with the noise of -level, and keep the layout of", Value: &g.from},
		{Name: "level", Arg: "K", Unit: "level", Help: "of -from: the level of the run's ladder to begin at, 0 the largest; from sigma 0.2 to " +
			"0.5 the layout stays, above 1 little does", Value: &g.level},
	}
}

// checkGuide finds what is wrong with the flags as far as that is known without the checkpoint.
func (o *options) checkGuide() error {
	g := &o.guide
	switch {
	case g.denoise != "" && g.from != "":
		return cli.Usagef("-denoise-image and -from both are the image to begin at: leave one of the two out")
	case (g.denoise != "" || g.from != "") && o.measures():
		return cli.Usagef("-%s gives samples to begin at, and something is known of them by other flags: leave one of the two out",
			map[bool]string{true: "denoise-image", false: "from"}[g.denoise != ""])
	case o.Given("sigma") && g.denoise == "":
		return cli.Usagef("-sigma is the noise of -denoise-image: give that image, or leave -sigma out")
	case g.denoise != "" && !(g.sigma > 0 && !math.IsInf(g.sigma, 0)):
		return cli.Usagef("-sigma is %g: expected the deviation of the noise in -denoise-image, above 0", g.sigma)
	case o.Given("level") != (g.from != ""):
		return cli.Usagef("-from is the image to begin at and -level the noise level: give both, or leave both out")
	}
	if g.denoise == "" {
		return nil
	}
	for _, name := range []string{"n", "batch", "seed", "gif", "sampler", "nfe", "T", "epsilon", "denoise"} {
		if o.Given(name) {
			return cli.Usagef("-%s is of drawn samples, and -denoise-image draws none: leave one of the two out", name)
		}
	}
	return nil
}

// settleGuide reads the image, in the network's units.
func (j *job) settleGuide() error {
	g, net := &j.guide, j.cfg.Network
	path, flag := g.denoise, "denoise-image"
	if path == "" {
		if path, flag = g.from, "from"; path == "" {
			return nil
		}
	}
	if j.vectors() {
		return fmt.Errorf("-%s: the samples are vectors, not images; leave it out", flag)
	}
	x, err := j.readImage(flag, path)
	if err != nil {
		return err
	}
	j.begin = make([]float32, len(x))
	for i, v := range x {
		if net.Rescaled {
			v = 2*v - 1
		}
		j.begin[i] = float32(v)
	}
	if g.denoise == "" {
		return nil
	}
	sigma := j.sigmaOfNoise()
	if begin, end := j.sigmas.Begin(), j.sigmas.End(); sigma < end/2 || sigma > begin*2 {
		return fmt.Errorf("-sigma is %g: expected noise of the run's ladder, sigma %.3g to %.3g", g.sigma, g.sigma*end/sigma,
			g.sigma*begin/sigma)
	}
	if net.TakesLevels() {
		if at := float64(j.sigmas[j.sigmas.Nearest(sigma)]); math.Abs(math.Log(at/sigma)) > 0.05 {
			return fmt.Errorf("-sigma is %g: %s knows noise only as one of its levels, of which the nearest is %.3g; expected one of them",
				g.sigma, net.Net, g.sigma*at/sigma)
		}
	}
	return nil
}

// sigmaOfNoise is that of -sigma, in the network's units.
func (j *job) sigmaOfNoise() float64 {
	if j.cfg.Network.Rescaled {
		return 2 * j.guide.sigma
	}
	return j.guide.sigma
}

// checkLevel finds a level that the ladder does not have, or from which no sampler goes.
func (j *job) checkLevel() error {
	if j.guide.from == "" {
		return nil
	}
	switch k, n := j.guide.level, len(j.sigmas); {
	case k < 0 || k >= n:
		return fmt.Errorf("-level is %d: expected 0 to %d, one of the run's %d levels", k, n-1, n)
	case k == n-1:
		return errors.New("-level is the last, whose noise a single step takes off: use -denoise-image, or a level before it")
	}
	return nil
}
