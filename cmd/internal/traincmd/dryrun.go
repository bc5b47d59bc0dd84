// The dry run: everything that is known of a run before its first step.

package traincmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/preview"
	"sigmaz/cmd/internal/progress"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
)

// dryRun prints the resolved settings and what a run with them costs. Without the data it takes the preset's image
// size; where that is not enough, it prints the settings alone.
func dryRun(ctx context.Context, f *flags, b kernels.Backend, c *train.Config, preset train.Preset, hasData bool,
	out io.Writer) error {
	var data *train.Splits
	var err error
	if !hasData {
		expected, sizes := "", "sizes are the preset's"
		if preset.Files != "" {
			expected = "; expected: " + preset.Files
		}
		err = c.ResolveShape(epsilon)
		if errors.Is(err, train.ErrNeedsData) {
			sizes = "shapes are unknown"
		}
		fmt.Fprintf(out, "data     nothing at %s (-data says where it is%s); %s\n", c.Data, expected, sizes)
		if errors.Is(err, train.ErrNeedsData) {
			fmt.Fprintf(out, "\n%s\nshapes      unknown without the data, and with them the ladder, the step size and the "+
				"cost\n", c.YAML())
			return nil
		}
	} else {
		display := progress.New(out)
		defer display.Close()
		data, err = f.resolve(ctx, c, display)
	}
	if err == nil {
		err = c.ChoosePrecision(f.device.GPU)
	}
	if err != nil {
		return err
	}
	sigmas, err := c.Ladder()
	if err != nil {
		return err
	}
	info, err := model.Describe(c.Network)
	if err != nil {
		return err
	}
	tc, err := c.Trainer(data)
	if err != nil {
		return err
	}
	tc.DataMemory = f.dataMemory
	words, err := train.TrainerWords(b, tc)
	if err != nil {
		return err
	}
	taken := words
	n := c.Network
	fmt.Fprintf(out, "\n%s\n", c.YAML())
	fmt.Fprintf(out, "source      %s\n", preset.Source)
	fmt.Fprintf(out, "network     %s on %dx%dx%d: %d parameters in %d tensors\n", n.Net, n.Height, n.Width, n.Channels,
		info.Parameters, info.Tensors)
	fmt.Fprintf(out, "cost        %s multiply-adds an image forward, about three times that a training step and image\n",
		count(float64(info.MACs)))
	nfe, _ := evaluations(c, sigmas)
	fmt.Fprintf(out, "            %s over the run, and %s a sample\n",
		count(3*float64(info.MACs)*float64(c.Batch)*float64(c.Steps)),
		count(float64(info.MACs)*float64(nfe)))
	if f.gpus > 0 {
		if err := printScale(out, c, info, int(f.gpus)); err != nil {
			return err
		}
	}
	if c.EvalMetric != "" {
		text, err := qualityCost(c, sigmas)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "quality     %s\n", text)
	}
	if c.Precision != "" {
		fmt.Fprintf(out, "precision   %s for %.3g %% of them, by tensor cores\n", c.Precision,
			100*float64(info.TensorMACs)/float64(info.MACs))
	}
	fmt.Fprintf(out, "memory      %s for training", cli.Bytes(4*float64(words)))
	if c.PreviewN > 0 {
		plan, err := preview.PlanFor(c, sigmas)
		if err != nil {
			return err
		}
		words, err := preview.Words(b, c.Network, c.Precision, plan, c.PreviewN)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, ", %s for previews", cli.Bytes(4*float64(words)))
		taken += words
	}
	if data != nil {
		where := "of data"
		if data.Mapped {
			where = "of data on disk, mapped"
		}
		fmt.Fprintf(out, ", %s %s", cli.Bytes(float64(tc.Place(0).Data)), where)
	}
	if free, own := b.FreeMemory(); own && data != nil {
		fmt.Fprintf(out, "\ndata        %s", progress.PlacementText(tc.Place(free-4*int64(taken))))
	}
	fmt.Fprintf(out, "\ncheckpoint  %s\n", cli.Bytes(16*float64(info.Parameters)))
	fmt.Fprintf(out, "loss        D/2 = %g with zero weights (anneal-power 2)\n", float64(n.D())/2)
	fmt.Fprintf(out, "ladder      %s\n", ladderText(c, sigmas))
	if c.Noise.Continuous() {
		fmt.Fprintf(out, "noise       %s\n", noiseText(c, sigmas))
	}
	if c.Network.SeesSigma() {
		fmt.Fprintf(out, "stability   the network sees sigma: no condition on T\n")
	} else {
		fmt.Fprintf(out, "stability   T q / (4(g-1)) = %.3g with q = epsilon/sigma_L^2; %g or more is safe\n",
			sample.StabilityMargin(sigmas, c.Sampling.T, c.Sampling.Epsilon), sample.SafeMargin)
	}
	return nil
}

// count writes a large number with a prefix of the SI: 9.9 G.
func count(v float64) string {
	for _, u := range []struct {
		v float64
		s string
	}{{1e18, "E"}, {1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if v >= u.v {
			return fmt.Sprintf("%.3g %s", v/u.v, u.s)
		}
	}
	return fmt.Sprintf("%.3g", v)
}
