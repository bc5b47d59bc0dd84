package model

import (
	"math"
	"testing"
)

func lognormal(mean, sd, data float64) Noise {
	return Noise{Density: LogNormal, PMean: &mean, PStd: sd, SigmaData: data}
}

// The weights against the table of the objective's forms: on |sigma s + z|^2, and on |D - x|^2, which is sigma^2 less.
func TestNoiseWeights(t *testing.T) {
	const sd = 0.25
	for _, sigma := range []float64{0.01, 0.067, 0.25, 1, 15} {
		for _, c := range []struct {
			noise  Noise
			onF    float64
			onMean float64
		}{
			{Noise{}, 1, 1 / (sigma * sigma)},
			{Noise{Density: LogUniform}, 1, 1 / (sigma * sigma)},
			{lognormal(-1.893, 1.2, sd), (sigma*sigma + sd*sd) / (sd * sd), (sigma*sigma + sd*sd) / (sigma * sd * sigma * sd)},
		} {
			lambda := c.noise.Weight(2).At(sigma)
			for _, w := range []struct{ got, want float64 }{
				{lambda / (sigma * sigma), c.onF}, {lambda / math.Pow(sigma, 4), c.onMean},
			} {
				if math.Abs(w.got/w.want-1) > 1e-14 {
					t.Errorf("%s at sigma %g: weight %.15g, expected %.15g", c.noise.Density, sigma, w.got, w.want)
				}
			}
		}
	}
}

// MeanWeight and Outside against sums over the quantiles.
func TestNoiseMoments(t *testing.T) {
	ladder := Ladder{4, 1, 0.25}
	n := lognormal(-0.5, 0.7, 0.4)
	d, w := n.DensityOf(SDE{}.On(ladder)), n.Weight(2)
	const steps = 1 << 20
	var mean, above, below float64
	for i := range uint32(steps) {
		sigma := float64(d.Sigma(i<<12 + 1<<11))
		mean += w.At(sigma) / (sigma * sigma) / steps
		if sigma > 4 {
			above += 1.0 / steps
		}
		if sigma < 0.25 {
			below += 1.0 / steps
		}
	}
	if got := n.MeanWeight(Config{}); math.Abs(got/mean-1) > 1e-4 {
		t.Errorf("the mean weight is %.6g, a sum over the draws gives %.6g", got, mean)
	}
	if a, b := n.Outside(ladder); math.Abs(a-above) > 2e-6 || math.Abs(b-below) > 2e-6 {
		t.Errorf("%.6g of the draws above the ladder and %.6g below, counted are %.6g and %.6g", a, b, above, below)
	}
	if least, most := (Noise{Density: LogUniform}).Range(SDE{}.On(ladder)); least != 0.25 || most != 4 {
		t.Errorf("loguniform draws from %g to %g, expected the ladder's ends", least, most)
	}
}

// What is left open is as published, for data of any deviation. The ladder by its name is the ladder.
func TestNoiseDefaults(t *testing.T) {
	named := Noise{Density: LadderNoise}
	if err := named.Complete(Config{}); err != nil || named != (Noise{}) {
		t.Errorf("the ladder is stored as %+v, error %v", named, err)
	}
	given := -1.0
	for _, c := range []struct {
		noise   Noise
		net     Config
		p, s, d float64
	}{
		{Noise{}, Config{Net: "ncsnv2"}, -1.8931, 1.2, 0.25},
		{Noise{}, Config{Net: "ncsnv2", Rescaled: true}, -1.2, 1.2, 0.5},
		{Noise{}, Config{Net: "mlp", DataSD: 1}, -0.5069, 1.2, 1},
		{Noise{PMean: &given, PStd: 0.5, SigmaData: 2}, Config{Net: "mlp", DataSD: 1}, -1, 0.5, 2},
	} {
		n := c.noise
		n.Density = LogNormal
		if err := n.Complete(c.net); err != nil || *n.PMean != c.p || n.PStd != c.s || n.SigmaData != c.d {
			t.Errorf("%+v for %+v: P_mean %g, P_std %g, sigma_data %g, error %v; expected %g, %g, %g", c.noise, c.net, *n.PMean, n.PStd,
				n.SigmaData, err, c.p, c.s, c.d)
		}
	}
}
