// What several GPUs would gain, by a formula: expected, nothing of it is measured. With one image's share of a step t on one GPU,
// a batch of B images, R GPUs, a gradient of G bytes and a link of w bytes a second each way,
//
//	X(R) = 2 (R-1)/R G/w + 2 l        exchange of slices and all-gather, each of which begins after a latency l
//	T(R) = t B/R + X(R)               of a fixed batch; of one that grows with R, t B + X(R)
//	efficiency = T(1)/(R T(R))        or T(1)/T(R)
//
// t is counted: three times the multiply-adds of a forward pass at the peak of the card's data sheet, which no real step comes
// near. The longer the step, the less the exchange weighs: the efficiency is no lower than this, as long as a GPU's part of the
// batch keeps it busy. That the exchange goes on beside the backward pass is left out, which is on the same side.

package traincmd

import (
	"fmt"
	"io"

	"sigmaz/cmd/internal/cli"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/train"
)

// links are what connects GPUs: bytes a second each way for each of them, and the latency of a message in seconds.
var links = []struct {
	name    string
	rate    float64
	latency float64
}{
	{"NVLink", 450e9, 5e-6}, // fourth generation: 900 GB/s both ways together
	{"400 Gbit/s", 50e9, 10e-6},
	{"100 Gbit/s", 12.5e9, 10e-6},
}

// peaks are the FLOP a second of the data sheet of an H200 SXM, without sparsity.
var peaks = map[kernels.Precision]float64{kernels.Float32: 67e12, kernels.TF32: 494e12, kernels.BF16: 989e12}

// maxGPUs is what the table ends with.
const maxGPUs = 64

// exchangeTime returns X(R) in seconds.
func exchangeTime(gpus int, gradient, rate, latency float64) float64 {
	if gpus == 1 {
		return 0
	}
	return 2*float64(gpus-1)/float64(gpus)*gradient/rate + 2*latency
}

// efficiencies returns those of a fixed and of a growing batch, whose step takes one GPU so many seconds.
func efficiencies(gpus int, step, exchange float64) (fixed, growing float64) {
	r := float64(gpus)
	return step / (r * (step/r + exchange)), step / (step + exchange)
}

// printScale prints the table, up to so many GPUs.
func printScale(out io.Writer, c *train.Config, info model.Info, gpus int) error {
	precision := c.Precision
	if precision == "" {
		var err error
		if precision, err = train.DefaultPrecision(c.Network, true); err != nil {
			return err
		}
	}
	onTensorCores := 0.0
	if precision != kernels.Float32 {
		onTensorCores = float64(info.TensorMACs)
	}
	const flop = 2 * 3 // of a multiply-add, and of its share of the gradients
	step := flop * float64(c.Batch) * (onTensorCores/peaks[precision] + (float64(info.MACs)-onTensorCores)/peaks[kernels.Float32])
	gradient := 4 * float64(info.Parameters)
	fmt.Fprintf(out, "gpus        expected, not measured: a gradient of %s, a step of %d images counted as %.3g ms at the peak of an H200 in %s;\n"+
		"            no lower than this, as real steps take longer and the exchange then weighs less\n", cli.Bytes(gradient), c.Batch, 1e3*step,
		precision)
	fmt.Fprintf(out, "            GPUs  images each")
	for _, l := range links {
		fmt.Fprintf(out, "  %12s", l.name)
	}
	fmt.Fprintf(out, "    %% of R times the speed, batch of %d / %d for each GPU\n", c.Batch, c.Batch)
	for r := 1; r <= gpus; r *= 2 {
		fixedToo := c.Batch%r == 0
		each := "-"
		if fixedToo {
			each = fmt.Sprint(c.Batch / r)
		}
		fmt.Fprintf(out, "            %4d  %11s", r, each)
		for _, l := range links {
			fixed, growing := efficiencies(r, step, exchangeTime(r, gradient, l.rate, l.latency))
			text := fmt.Sprintf("- / %.0f", 100*growing)
			if fixedToo {
				text = fmt.Sprintf("%.0f / %.0f", 100*fixed, 100*growing)
			}
			fmt.Fprintf(out, "  %12s", text)
		}
		fmt.Fprintln(out)
	}
	return nil
}
