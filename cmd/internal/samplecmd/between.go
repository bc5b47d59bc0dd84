// Frames from one sample to another.

package samplecmd

import (
	"fmt"
	"image"
	"strconv"
	"strings"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/preview"
	"sigmaz/internal/picture"
	"sigmaz/sample"
)

// betweenOptions is what the command line says about them.
type betweenOptions struct {
	ends      string
	frames    int
	sameNoise bool

	a, b uint32
}

// maxFrames keeps the picture, a row of the frames, one that can be looked at.
const maxFrames = gridMax

func (o *options) betweenFlags() []cli.Flag {
	b := &o.between
	b.frames = 16
	return []cli.Flag{
		{Name: "interpolate", Arg: "A:B", Help: "frames from sample A to sample B of this seed: their noise, turned from one to the other " +
			"by cos and sin; the first and the last are these samples", Value: &b.ends},
		{Name: "frames", Arg: "N", Unit: "frames", Help: "of -interpolate: how many, both ends included", Value: &b.frames},
		{Name: "same-noise", Help: "of -interpolate: the noise of the steps is that of sample A in all frames, and the start alone is turned; " +
			"by a sampler without noise it is the same", Value: &b.sameNoise},
	}
}

// checkBetween finds what is wrong with the flags.
func (o *options) checkBetween() error {
	b := &o.between
	if !o.Given("interpolate") {
		for _, name := range []string{"frames", "same-noise"} {
			if o.Given(name) {
				return cli.Usagef("-%s is of frames between two samples: give -interpolate A:B, or leave -%s out", name, name)
			}
		}
		return nil
	}
	first, last, ok := strings.Cut(b.ends, ":")
	at := func(text string) (uint32, bool) {
		v, err := strconv.ParseUint(text, 10, 31)
		return uint32(v), err == nil
	}
	var okA, okB bool
	b.a, okA = at(first)
	b.b, okB = at(last)
	switch {
	case !ok || !okA || !okB:
		return cli.Usagef("-interpolate is %q: expected the numbers of two samples, from 0 on, as in 0:7", b.ends)
	case b.a == b.b:
		return cli.Usagef("-interpolate is %q, which is one sample: expected the numbers of two", b.ends)
	case b.frames < 2 || b.frames > maxFrames:
		return cli.Usagef("-frames is %d: expected 2, both samples themselves, to %d", b.frames, maxFrames)
	case o.Given("n"):
		return cli.Usagef("-n is how many samples are drawn, and -interpolate draws frames between two: give -frames N instead")
	case o.measures():
		return cli.Usagef("-interpolate goes from one sample to another, and something is known of them by other flags: leave one of the " +
			"two out")
	}
	for _, name := range []string{"denoise-image", "from"} {
		if o.Given(name) {
			return cli.Usagef("-%s gives an image to begin at, and -interpolate two samples: leave one of the two out", name)
		}
	}
	return nil
}

// settleBetween makes the plan draw the frames.
func (j *job) settleBetween() error {
	b := &j.between
	if b.ends == "" {
		return nil
	}
	if j.gif != "" && j.vectors() {
		return fmt.Errorf("-gif with -interpolate: expected images, found samples of %d values; leave it out, and write the frames with "+
			"-npy FILE or -csv FILE", j.cfg.Network.D())
	}
	j.n = b.frames
	j.plan.Between(sample.Between{A: b.a, B: b.b, Frames: b.frames, SameNoise: b.sameNoise})
	return nil
}

// saysBetween is the line about the frames.
func (j *job) saysBetween() string {
	b := &j.between
	what := fmt.Sprintf("frame k of 0 to %d: noise of sample %d times cos and of sample %d times sin of %.3g k degrees", b.frames-1, b.a, b.b,
		90/float64(b.frames-1))
	if b.sameNoise {
		what += fmt.Sprintf(" in the start, of sample %d alone in the steps", b.a)
	}
	return what
}

// framesBetween draws each frame as a picture of a film.
func (j *job) framesBetween(x []float32) (frames []image.Image) {
	net := j.cfg.Network
	for d := net.D(); len(x) >= d; x = x[d:] {
		frames = append(frames, picture.Grid(preview.Images(net, x[:d]), 1, 2*picture.AutoScale(net.Height, net.Width)))
	}
	return frames
}
