// The roofline of a training step, docs/roofline.md: bytes and FLOP of its launches, and the time that they take at
// least on an H200, if neither its multiply-adds nor its memory ever waits.

//go:build cgo && !nocuda

package train

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

var update = flag.Bool("update", false, "write docs/roofline.md anew")

// The ceilings of an H200 SXM by its data sheet, without sparsity.
const (
	h200Multiprocessors = 132
	h200Bytes           = 4.8e12 // a second
	h200Float32         = 67e12  // FLOP a second
	h200TF32            = 494e12
	h200BF16            = 989e12
)

// rooflineBatch is the batch of every preset here.
const rooflineBatch = 128

// cifar10Launches counts the launches of a step of a preset on CIFAR-10.
func cifar10Launches(t *testing.T, name string, precision kernels.Precision) []kernels.LaunchCount {
	t.Helper()
	preset, err := FindPreset(name)
	if err != nil {
		t.Fatal(err)
	}
	c := preset.Config
	if c.Batch != rooflineBatch {
		t.Fatalf("the batch of %s is %d", name, c.Batch)
	}
	ladder := make(model.Ladder, c.Sigma.Levels)
	for i := range ladder {
		ladder[i] = 1
	}
	tr := &Trainer{c: TrainerConfig{Network: c.Network, Precision: precision, Multiprocessors: h200Multiprocessors,
		Batch: c.Batch, Sigmas: ladder, Noise: c.Noise, AnnealPower: c.Loss.AnnealPower, Adam: c.Adam, EMARate: c.EMA.Rate,
		EMAWarmup: c.EMA.Warmup, Flip: c.Flip, Data: &kernels.Data{N: 50_000, H: 32, W: 32, C: 3}}}
	p, err := newPlans(tr.c)
	if err != nil {
		t.Fatal(err)
	}
	tr.layout, tr.net, tr.plan = p.layout, p.net, p.train
	ops, after := tr.aroundStep(p)
	ops = append(append(ops, p.train.Ops...), after...)
	counts, err := kernels.CountLaunches(ops, h200Multiprocessors)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// A step has so many launches, and moves so many bytes beside what its convolutions must.
func TestStepTraffic(t *testing.T) {
	for _, c := range []struct {
		preset    string
		precision kernels.Precision
		launches  int
		beside    int // bytes
	}{
		{"cifar10", kernels.Float32, 416, 21_815_666_576},
		{"cifar10", kernels.TF32, 416, 18_736_293_776},
		{"cifar10", kernels.BF16, 402, 11_082_437_776},
		{"ncsnpp-cifar10-small", kernels.Float32, 1397, 25_815_990_732},
		{"ncsnpp-cifar10-small", kernels.BF16, 1345, 14_317_115_980},
		{"ncsnpp-cifar10", kernels.Float32, 1397, 52_258_112_692},
		{"ncsnpp-cifar10", kernels.TF32, 1397, 50_495_059_124},
		{"ncsnpp-cifar10", kernels.BF16, 1345, 27_972_582_836},
	} {
		beside := 0
		counts := cifar10Launches(t, c.preset, c.precision)
		for _, l := range counts {
			beside += l.Beside
		}
		if len(counts) != c.launches || beside != c.beside {
			t.Errorf("%s, %s: %d launches and %d bytes beside the convolutions, expected %d and %d", c.preset, c.precision,
				len(counts), beside, c.launches, c.beside)
		}
	}
}

// rooflineRow is all launches of one kernel.
type rooflineRow struct {
	calls int
	kernels.LaunchCount
	arithmetic, memory float64 // seconds
}

// add adds another row's figures.
func (r *rooflineRow) add(o *rooflineRow) {
	r.calls += o.calls
	r.Read += o.Read
	r.Written += o.Written
	r.Beside += o.Beside
	r.Asked += o.Asked
	r.FLOP += o.FLOP
	r.arithmetic += o.arithmetic
	r.memory += o.memory
}

// rooflineTable counts by kernel, the longest first, and returns the sums.
func rooflineTable(counts []kernels.LaunchCount) (rows []*rooflineRow, all rooflineRow, seconds float64) {
	by := map[string]*rooflineRow{}
	for _, c := range counts {
		r := by[c.Kernel]
		if r == nil {
			r = &rooflineRow{}
			r.Kernel = c.Kernel
			by[c.Kernel] = r
		}
		peak := h200Float32
		switch {
		case strings.HasSuffix(c.Kernel, "_tf32"):
			peak = h200TF32
		case strings.HasPrefix(c.Kernel, "conv_") && strings.Contains(c.Kernel, "bf16_"):
			peak = h200BF16
		}
		arithmetic, memory := float64(c.FLOP)/peak, float64(c.Read+c.Written)/h200Bytes
		seconds += max(arithmetic, memory)
		one := &rooflineRow{1, c, arithmetic, memory}
		r.add(one)
		all.add(one)
	}
	rows = slices.SortedFunc(maps.Values(by), func(a, b *rooflineRow) int {
		return cmp.Or(cmp.Compare(max(b.arithmetic, b.memory), max(a.arithmetic, a.memory)), cmp.Compare(a.Kernel, b.Kernel))
	})
	return rows, all, seconds
}

// roofline is the page.
func roofline(t *testing.T) []byte {
	var b bytes.Buffer
	b.WriteString(`# What a training step costs, and what an H200 allows

Counted, not measured: no figure here comes from a GPU. Bytes and FLOP are counted from the arguments of the launches that one training step makes, and
the times are what these would take if nothing ever waited, at the ceilings of NVIDIA's data sheet for the H200 SXM (dense, without sparsity): 4.8 TB/s of
memory, 67 TFLOP/s in float32, 494 in TF32, 989 in bf16. A real step takes longer. What was measured is in [speed.md](speed.md).

The steps are those of three presets for CIFAR-10 (32x32x3, batch 128) on 132 multiprocessors: cifar10 (NCSNv2, ngf 128), ncsnpp-cifar10-small (NCSN++,
ngf 64) and ncsnpp-cifar10 (NCSN++, ngf 128). A test fails where this page is stale; it is written by

    go test ./train -run Roofline -args -update

- **GB** every operand of a launch once, read or written. What a kernel reads several times is meant to come from the caches from the second time on.
- **asked** what the threads of a kernel read, in GB: the same byte as often as they do. The tiles of a convolution share pixels and weights; the windows
  of a pooling overlap 25 times.
- **beside** the part of GB that has nothing to do with the convolutions: all of it, but of a convolution only what it moves beside its two factors and
  one result.
- **GFLOP** a multiply-add is 2, every other operation on a value 1. Kernels that work on a few values of each channel or image count as 0.
- **ms** the longer of the two times. In the last row it is the sum over the launches.
`)
	for _, preset := range []string{"cifar10", "ncsnpp-cifar10-small", "ncsnpp-cifar10"} {
		for _, precision := range kernels.Precisions {
			counts := cifar10Launches(t, preset, precision)
			rooflineSection(&b, preset, precision, counts)
			if preset == "cifar10" && precision == kernels.BF16 {
				rooflineFloor(&b, counts)
			}
		}
	}
	return b.Bytes()
}

// rooflineSection writes what a step of a preset launches.
func rooflineSection(b *bytes.Buffer, preset string, precision kernels.Precision, counts []kernels.LaunchCount) {
	rows, all, seconds := rooflineTable(counts)
	fmt.Fprintf(b, `
## %s, %s

%d launches, %.2f TFLOP, %.1f GB, %.1f GB of them beside the convolutions; at least %.1f ms a step, which is %.0f images/s.

| kernel | calls | GFLOP | GB | beside | asked | FLOP/byte | ms, arithmetic | ms, memory | ms |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`, preset, precision, all.calls, float64(all.FLOP)/1e12, float64(all.Read+all.Written)/1e9, float64(all.Beside)/1e9,
		1e3*seconds, rooflineBatch/seconds)
	all.Kernel = "all"
	// Kernels that take next to nothing share a row.
	const least = 5e-6
	others := rooflineRow{}
	shown := slices.DeleteFunc(rows, func(r *rooflineRow) bool {
		small := max(r.arithmetic, r.memory) < least
		if small {
			others.add(r)
		}
		return small
	})
	others.Kernel = "others"
	for _, r := range append(shown, &others, &all) {
		ms := 1e3 * max(r.arithmetic, r.memory)
		if r == &all {
			ms = 1e3 * seconds
		}
		fmt.Fprintf(b, "| %s | %d | %.1f | %.3f | %.3f | %.2f | %.1f | %.3f | %.3f | %.3f |\n", r.Kernel, r.calls,
			float64(r.FLOP)/1e9, float64(r.Read+r.Written)/1e9, float64(r.Beside)/1e9, float64(r.Asked)/1e9,
			float64(r.FLOP)/float64(r.Read+r.Written), 1e3*r.arithmetic, 1e3*r.memory, ms)
	}
}

// rooflineFloor writes what of the bytes beside the convolutions could go at best, if every pass that is known to be
// avoidable were.
func rooflineFloor(b *bytes.Buffer, counts []kernels.LaunchCount) {
	rows := []struct {
		what, why string
		kernels   []string // prefixes; the first row that has one takes the kernel
		avoidable func(c kernels.LaunchCount) int
		now, can  int
	}{
		{what: "parts of weights' gradients", kernels: []string{"conv_grad_weight"},
			why:       "all, if one block summed over all pixels: most of the card would wait then",
			avoidable: func(c kernels.LaunchCount) int { return c.Beside }},
		{what: "sums and gradients that convolutions take along", kernels: []string{"conv_"},
			why: "none: each is the other operand of a sum, or a sum that is read again later"},
		{what: "moments for norms", kernels: []string{"norm_moments"},
			why: "none: of a pool, and of a convolution that runs in float32; the others make them"},
		{what: "sums of norms' gradients", kernels: []string{"norm_grad_sums"},
			why:       "half, if convolutions made these too: of the two images that they read one has just been made",
			avoidable: func(c kernels.LaunchCount) int { return c.Beside / 2 }},
		{what: "norms and their gradients", kernels: []string{"norm_"},
			why: "none: the mean is known when all of an image is, which is read for it and written once"},
		{what: "pools and resizing", kernels: []string{"maxpool", "meanpool", "resize"}, why: "none: one read, one written"},
		{what: "Adam and the moving average", kernels: []string{"adam"},
			why: "none: four of float32 a parameter, read and written, and the gradient"},
		{what: "weights in bf16", kernels: []string{"narrow"}, why: "the reading, if Adam wrote them: then all that writes parameters would have to",
			avoidable: func(c kernels.LaunchCount) int { return c.Read }},
		{what: "others", kernels: []string{""}, why: "none"},
	}
	now, can := 0, 0
	for _, c := range counts {
		for i := range rows {
			r := &rows[i]
			if !slices.ContainsFunc(r.kernels, func(p string) bool { return strings.HasPrefix(c.Kernel, p) }) {
				continue
			}
			r.now, now = r.now+c.Beside, now+c.Beside
			if r.avoidable != nil {
				r.can, can = r.can+r.avoidable(c), can+r.avoidable(c)
			}
			break
		}
	}
	b.WriteString(`
What of the bytes beside the convolutions could still go, with parameters, statistics and loss in float32:

| | GB | could go | |
|---|--:|--:|---|
`)
	for _, r := range rows {
		fmt.Fprintf(b, "| %s | %.3f | %.3f | %s |\n", r.what, float64(r.now)/1e9, float64(r.can)/1e9, r.why)
	}
	fmt.Fprintf(b, "| all | %.3f | %.3f | %.1f GB would be left |\n", float64(now)/1e9, float64(can)/1e9, float64(now-can)/1e9)
}

// The page docs/roofline.md is what the program launches.
func TestRoofline(t *testing.T) {
	const page = "../docs/roofline.md"
	want := roofline(t)
	if *update {
		if err := os.WriteFile(page, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is stale: go test ./train -run Roofline -args -update", page)
	}
}
