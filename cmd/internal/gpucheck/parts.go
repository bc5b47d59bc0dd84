//go:build linux

// The parts of a check.

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
)

// part is one of them. Its result has no name yet.
type part struct {
	name  string
	about string
	must  bool          // the check is not done without it
	needs []string      // parts that must have passed, where they are wanted
	limit time.Duration // on a GPU the parts that must be done take less than half of it
	run   func(c *check, ctx context.Context) partResult
}

// right is the parts that say whether results are right: nothing is measured before.
var right = []string{"conformance", "golden"}

// parts lists them, what matters first at the front. The first one finds the device, and is always run.
var parts = []part{
	{"device", "card, driver, what sigmaz calls it, who else uses it", true, nil, 90 * time.Second, (*check).device},
	{"driver", "tests of package cuda", true, nil, 90 * time.Second, (*check).driver},
	{"conformance", "every kernel against its reference", true, nil, 240 * time.Second, (*check).conformance},
	{"golden", "networks against golden files and Gorgonia's machine, 50 steps against the CPU", true, nil,
		200 * time.Second, (*check).golden},
	{"bench", "sigmaz bench in each precision", true, right, 180 * time.Second, (*check).bench},
	{"pytorch", "sigmaz and PyTorch in turns, eager and compiled, where PyTorch has CUDA", false, right, 270 * time.Second,
		(*check).pytorch},
	{"train", "a short training run and samples from it, with pictures", true, right, 120 * time.Second, (*check).train},
	{"tune", "tiles and parts of the convolution with most of the work", false, right, 90 * time.Second, (*check).tune},
	{"memcheck", "compute-sanitizer on the conformance cases, where it is installed", false, nil, 200 * time.Second,
		(*check).memcheck},
	{"racecheck", "its search for races in shared memory", false, nil, 360 * time.Second, (*check).racecheck},
}

func partNames() (names []string) {
	for _, p := range parts {
		names = append(names, p.name)
	}
	return names
}

// partList is the parts for the help text.
func partList() cli.List {
	l := cli.List{Name: "Parts, in this order (*: the check is not done without it)"}
	for _, p := range parts {
		name := p.name
		if p.must {
			name += " *"
		}
		l.Rows = append(l.Rows, [2]string{name, p.about})
	}
	return l
}

// ----------------------------------------------------------------------------------------------------------- tests

// tests runs a test program in the folder that looks to it like its package's, and counts.
func (c *check) tests(ctx context.Context, folder, program string, flags ...string) partResult {
	out := c.command(ctx, folder, "./"+program, append([]string{"-test.v"}, flags...)...)
	count := func(what string) int {
		return strings.Count("\n"+out.text, "\n--- "+what) + strings.Count(out.text, " --- "+what)
	}
	detail := fmt.Sprintf("%d passed", count("PASS"))
	if n := count("SKIP"); n > 0 {
		detail += fmt.Sprintf(", %d skipped", n)
	}
	if out.ok() && count("PASS") > 0 {
		return partResult{Result: passed, Detail: detail}
	}
	return partResult{Result: failed, Detail: fmt.Sprintf("%d failed, %s: %s", count("FAIL"), detail, out.why())}
}

// named makes the pattern of tests that build.sh has listed, those of a GPU.
func (c *check) named(folder string, more ...string) string {
	return "^(" + strings.Join(append(lines(c.work, filepath.Join(folder, "tests")), more...), "|") + ")$"
}

func (c *check) driver(ctx context.Context) partResult {
	// These two look for the source, and for what only the stand-in can pretend.
	return c.tests(ctx, "cuda", "cuda.test", "-test.skip", "^(TestSurface|TestFaults)$")
}

func (c *check) conformance(ctx context.Context) partResult {
	if c.quick {
		return c.tests(ctx, "kernels", "kernels.test", "-test.run", "^TestConformanceCUDA$/./(^33x31$|-33$)")
	}
	// What follows is about the stand-in, which has tested it; these would test it again.
	return c.tests(ctx, "kernels", "kernels.test", "-test.run", c.named("kernels"),
		"-test.skip", "^Test(RacesCUDA|BarriersCUDA|ThreadOrdersCUDA|MultiprocessorsCUDA|LaunchesNameEveryParameter)$")
}

func (c *check) golden(ctx context.Context) partResult {
	if c.quick {
		return c.tests(ctx, "networks", "train.test", "-test.run", "^TestGolden$/^mlp-2.safetensors$/^cuda$")
	}
	return c.tests(ctx, "networks", "train.test", "-test.run", c.named("networks", "TestGolden", "TestTapeMachineAgrees"))
}

// ----------------------------------------------------------------------------------------------------------- speed

// published is the size that the goals are about: CIFAR-10 at its batch.
const published = "128,32,3,128"

// bench measures each precision by itself; the first one, which is the default, at every size.
func (c *check) bench(ctx context.Context) partResult {
	return c.benches(ctx, "bench-", "Measured by bench, ", func(i int) []string {
		flags := []string{"-tables", "memory,network,kernels,convolution"}
		switch {
		case c.found.standin:
		case c.quick:
			flags = append(flags, "-quick")
		case i > 0:
			flags = append(flags, "-size", published)
		}
		return flags
	})
}

// tune measures the choices that the rule might have made.
func (c *check) tune(ctx context.Context) partResult {
	return c.benches(ctx, "tune-", "Tiles and parts, ", func(int) []string {
		if c.quick {
			return []string{"-tables", "tune", "-quick"}
		}
		return []string{"-tables", "tune"}
	})
}

// benches runs bench in each precision, with the flags for the number i of it. The numbers go to files of the work
// folder that begin with prefix, from which the report takes them.
func (c *check) benches(ctx context.Context, prefix, title string, flags func(i int) []string) partResult {
	var said []string
	for i, p := range c.report.Precisions {
		numbers := filepath.Join(c.work, prefix+p+".json")
		args := append([]string{"bench", "-gpu", "-precision", p, "-json", numbers}, flags(i)...)
		out := c.command(ctx, ".", c.sigmaz(), args...)
		c.update(func(r *report) { r.section(title+p, out.text) })
		if !out.ok() {
			return partResult{Result: failed, Detail: p + ": " + out.why()}
		}
		said = append(said, p+": "+strings.Join(essence(out.text), ", "))
	}
	for _, p := range c.report.Unknown {
		said = append(said, p+": this build does not know it")
	}
	return partResult{Result: passed, Detail: strings.Join(said, "; ")}
}

// checked matches what bench says of its check, share what it says of the rate of a kernel that memory limits.
var (
	checked = regexp.MustCompile(`(?m)^checked +(\d+) results`)
	share   = regexp.MustCompile(`(?m)^(perturb|langevin) .*\((\d+)%\)`)
)

// essence is what matters most of a bench's output: that results were right, the shares of a copy's rate, and what is
// the fastest of the choices.
func essence(text string) (all []string) {
	if m := checked.FindStringSubmatch(text); m != nil {
		all = append(all, m[1]+" results right")
	}
	for _, m := range share.FindAllStringSubmatch(text, -1) {
		all = append(all, fmt.Sprintf("%s at %s %% of a copy", m[1], m[2]))
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "is the fastest") {
			all = append(all, strings.TrimSpace(line))
		}
	}
	return all
}

// ----------------------------------------------------------------------------------------------------------- train

func (c *check) train(ctx context.Context) partResult {
	flags := []string{"-steps", "2000", "-ngf", "32", "-batch", "64", "-eval-every", "1000", "-preview-every", "0",
		"-preview-n", "36"}
	samples := "64"
	if c.quick || c.found.standin {
		flags = []string{"-data", "toy:swissroll", "-steps", "20", "-batch", "32", "-hidden", "16", "-levels", "5", "-T", "2",
			"-eval-every", "0", "-preview-n", "16"}
		samples = "16"
	}
	runs := filepath.Join(c.work, "runs")
	out := c.command(ctx, ".", c.sigmaz(), append([]string{"train", "-gpu", "-runs", runs, "-name", "check",
		"-checkpoint-every", "0"}, flags...)...)
	if !out.ok() {
		return partResult{Result: failed, Detail: out.why()}
	}
	loss := "not printed"
	for line := range strings.Lines(out.text) {
		if value, ok := strings.CutPrefix(line, "loss "); ok {
			loss = strings.TrimSpace(value)
		}
	}
	sample := filepath.Join(c.work, sampleFile)
	out = c.command(ctx, ".", c.sigmaz(), "sample", filepath.Join(runs, "check"), "-gpu", "-n", samples, "-o", sample)
	if !out.ok() {
		return partResult{Result: failed, Detail: "sampling: " + out.why()}
	}
	previews, _ := filepath.Glob(filepath.Join(runs, "check", "samples", "step-*.png"))
	slices.Sort(previews)
	pictures := map[string]string{sampleFile: sample}
	if len(previews) > 0 {
		pictures[previewFile] = previews[len(previews)-1]
	}
	for name, path := range pictures {
		data, err := os.ReadFile(path)
		if err == nil {
			err = c.results.put(name, data)
		}
		if err != nil {
			return partResult{Result: failed, Detail: err.Error()}
		}
	}
	return partResult{Result: passed, Detail: "loss " + loss}
}

// ------------------------------------------------------------------------------------------------------- sanitizer

// cannot matches what compute-sanitizer says where it cannot work, on a machine whose kernel does not let it.
var cannot = regexp.MustCompile(`(?i)^(=+ |(internal |sanitizer )*error: |compute-sanitizer: ).*` +
	`(device (is )?not supported|(unable|failed|not able) to (find|load|inject)[a-z ]*(injection|library)|` +
	`cannot (inject|find injection)|unable to inject)`)

var summaryLine = regexp.MustCompile(`(?m)^=* *((ERROR|RACECHECK) SUMMARY.*)$`)

// The conformance cases that the sanitizer follows: operations, with what a case does in another way or precision, and
// what a case's name begins with. It is slow: memcheck has a few odd sizes of every operation, racecheck of those whose
// threads share memory.
const (
	memcheckOperations = "."
	memcheckCases      = "2x7x5x17|3x2x2x8|2x14x14x16-16-k3-d2|1x7x3x6-33-k3-d2|33x1x1x31-17|2x8x8x64-32-k3-d2|" +
		"2x5x7x3-32-k3-d1|3x4x20-5-swish=true|2x16x32|2x33x1-in-place|.N:2_H:7|.N:2_P:5_CA:2|33x4_|" +
		"3x1023$|1023$|33x31|.*-33$|edm|step_3|langevin_33x31|noise_5x12|5x12,|33.of.7.drop|129x300x40|1.of.4.by.33"
	racecheckOperations = "^(conv|conv_grad_input|conv_grad_weight|norm|norm_grad|group_norm|group_norm_grad|" +
		"attention_scores|attention_mix|add_row_grad|perturb|loss|loss_grad|grad_norm|adam|" +
		"sampler_gain|ode_slope|ode_norm|pair_extremes)(-tf32|-bf16)?$"
	racecheckCases = "(2x7x5x17|2x14x14x16-16-k3-d2|1x7x3x6-33-k3-d2|2x8x8x64-32-k3-d2|2x5x7x3-32-k3-d1|" +
		"3x4x20-5-swish=true|2x16x32.*|33x31.*|1023|images-33|129x300x40.*)$"
)

func (c *check) memcheck(ctx context.Context) partResult {
	return c.sanitizer(ctx, "memcheck", memcheckOperations, memcheckCases)
}

func (c *check) racecheck(ctx context.Context) partResult {
	return c.sanitizer(ctx, "racecheck", racecheckOperations, racecheckCases)
}

func (c *check) sanitizer(ctx context.Context, tool, operations, cases string) partResult {
	if c.found.standin {
		return partResult{Result: skipped, Detail: "the stand-in checks bounds and races by itself"}
	}
	program := ""
	for _, name := range []string{"compute-sanitizer", "/usr/local/cuda/bin/compute-sanitizer",
		"/usr/local/cuda/compute-sanitizer/compute-sanitizer"} {
		if path, err := exec.LookPath(name); err == nil {
			program = path
			break
		}
	}
	if program == "" {
		return partResult{Result: skipped, Detail: "compute-sanitizer is not installed"}
	}
	out := c.command(ctx, "kernels", program, "--tool", tool, "--error-exitcode", "9", "./kernels.test", "-test.v",
		"-test.run", fmt.Sprintf("TestConformanceCUDA/%s/^(%s)", operations, cases))
	return judge(out)
}

// judge reads compute-sanitizer's verdict.
func judge(out *output) partResult {
	n := strings.Count(out.text, "--- PASS")
	summary, unable := "no summary", ""
	if all := summaryLine.FindAllStringSubmatch(out.text, -1); len(all) > 0 {
		summary = all[len(all)-1][1]
	}
	for line := range strings.Lines(out.text) {
		if cannot.MatchString(line) {
			unable = strings.TrimLeft(strings.TrimSpace(line), "= ")
			break
		}
	}
	switch {
	case unable != "" && n == 0 && out.ended == nil && out.code >= 0:
		return partResult{Result: skipped, Detail: "compute-sanitizer does not work here: " + unable}
	case out.ok() && n > 0 && summary != "no summary" && unable == "":
		return partResult{Result: passed, Detail: fmt.Sprintf("%d passed, %s", n, summary)}
	}
	return partResult{Result: failed,
		Detail: fmt.Sprintf("exit code %d, %d passed, %s: %s", out.code, n, summary, out.why())}
}
