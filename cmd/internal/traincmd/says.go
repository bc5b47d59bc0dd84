// What is said of a configuration: lines for people, and warnings.

package traincmd

import (
	"fmt"
	"io"
	"math"

	"sigmaz/cmd/internal/cli"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
)

// partsText says in how many parts a batch is done, if it is more than one.
func partsText(c *train.Config) string {
	if c.Shards < 2 {
		return ""
	}
	return fmt.Sprintf(" in %d parts", c.Shards)
}

// precisionText says what a precision other than float32 is used for: convolutions for tensor cores, if there are any.
func precisionText(p kernels.Precision, used bool) string {
	if !used {
		return fmt.Sprintf("float32: no convolution has channels in multiples of 32, so -precision %s changes nothing", p)
	}
	return fmt.Sprintf("convolutions in %s", p)
}

func ladderText(c *train.Config, sigmas model.Ladder) string {
	text := fmt.Sprintf("%s, sigma %.4g to %.4g, ratio g = %.6g; T = %d, epsilon = %.4g, "+
		"%d score evaluations a sample",
		cli.Count(len(sigmas), "level"), sigmas.Begin(), sigmas.End(), sigmas.Ratio(), c.Sampling.T, c.Sampling.Epsilon,
		sampling(c).NFE(len(sigmas)))
	if nfe, sampler := evaluations(c, sigmas); sampler != sample.Langevin {
		text += fmt.Sprintf(" by %s, %d by %s, the default", sample.Langevin, nfe, sampler)
	}
	return text
}

// noiseText says what sigma is drawn from where that is not the ladder.
func noiseText(c *train.Config, sigmas model.Ladder) string {
	n := c.Noise
	if n.Density == model.UniformTime {
		sde := c.Network.SDE
		least, most := n.Range(sde.On(sigmas))
		return fmt.Sprintf("%s of %s, beta %g to %g, stratified over the batch: sigma/m from %.3g to %.4g", n.Density, sde.Kind,
			sde.BetaMin, sde.BetaMax, least, most)
	}
	if n.Density == model.LogUniform {
		return fmt.Sprintf("%s between both ends of the ladder, stratified over the batch", n.Density)
	}
	above, below := n.Outside(sigmas)
	return fmt.Sprintf("%s, P_mean %.4g, P_std %.4g, stratified over the batch: %.2g %% of the draws above the ladder, %.2g %% "+
		"below; weight (sigma^2 + s^2)/s^2, s = %.4g", n.Density, *n.PMean, n.PStd, 100*above, 100*below, n.SigmaData)
}

// warnMargin warns where sampling from a network that does not see sigma would run away or nearly so.
func warnMargin(c *train.Config, sigmas model.Ladder, out io.Writer) {
	verdict, margin := sample.JudgeStability(c.Network.SeesSigma(), sigmas, c.Sampling.T, c.Sampling.Epsilon)
	if verdict == sample.Stable {
		return
	}
	what := "is close to it"
	if verdict == sample.Unstable {
		what = "is beyond it"
	}
	fmt.Fprintf(out, "warning  T q / (4(g-1)) = %.2f: below 1 samples of a network that does not see sigma run away, "+
		"and this %s; use more levels or a larger T (%.1f is safe)\n", margin, what, sample.SafeMargin)
}

// limitsText says what keeps Adam's steps small, if anything does.
func limitsText(a train.Adam) (text string) {
	if a.Warmup > 0 {
		text += fmt.Sprintf(", warmed up over %d steps", a.Warmup)
	}
	if a.Clip > 0 {
		text += fmt.Sprintf(", gradients clipped at %g", a.Clip)
	}
	return text
}

// warnWarmup warns of a learning rate that is never reached.
func warnWarmup(c *train.Config, out io.Writer) {
	if w := c.Adam.Warmup; w >= c.Steps {
		fmt.Fprintf(out, "warning  the learning rate rises over %d steps and the run has %d: its last step has %.2g of it\n",
			w, c.Steps, float64(c.Steps-1)/float64(w))
	}
}

// warnAverage warns where samples, which are drawn with the moving average of the weights, will show the weights that
// training began with.
func warnAverage(c *train.Config, out io.Writer) {
	if c.EMA.Warmup || c.EMA.Rate == 0 || c.Init != "" || c.Continue != "" {
		return
	}
	if left := math.Pow(c.EMA.Rate, float64(c.Steps)); left > 0.01 {
		fmt.Fprintf(out, "warning  after %d steps the moving average, with which samples are drawn, still holds %.0f %% of "+
			"the initial weights; -ema-warmup lets it follow from the start\n", c.Steps, 100*left)
	}
}
