package traincmd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/internal/memory"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/train"
)

// asCommand makes the test binary be the command, for the tests that need a process.
const asCommand = "SIGMAZ_TEST_TRAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		New().Main(os.Args[1:])
	}
	os.Exit(m.Run())
}

// command runs the command in this process.
func command(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = New().Execute(t.Context(), args, cli.Streams{Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// quick are flags that make a toy run take a moment.
func quick(runs string, more ...string) []string {
	return append([]string{"-data", "toy:moons", "-runs", runs, "-hidden", "8", "-batch", "4", "-steps", "20", "-held-out",
		"5", "-levels", "3", "-T", "2",
		"-preview-n", "9", "-log-every", "10"}, more...)
}

// What a user can get wrong: one line on stderr that names the offender, the exit code, and nothing written.
// NCSN on a preset of another network: its own ladder and sampling, levels that the network is told, and no average.
func TestNCSN(t *testing.T) {
	runs := t.TempDir()
	code, stdout, stderr := command(t, "-runs", runs, "-name", "n", "-net", "ncsn", "-ngf", "2", "-steps", "2", "-batch",
		"4", "-held-out", "2", "-preview-n", "2", "-T", "2", "-rescaled")
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	for _, want := range []string{"10 levels, sigma 1 to 0.01", "T = 2, epsilon = 2e-05, 20 score evaluations",
		"learning rate 0.001; no moving average of the weights"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	cp, err := checkpoint.ReadCheckpoint(filepath.Join(runs, "n", "checkpoints", "step-0000002.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	for _, nt := range cp.Tensors {
		if strings.HasPrefix(nt.Name, "ema.") {
			t.Fatalf("the checkpoint holds %s", nt.Name)
		}
	}
	if !strings.Contains(cp.Config, "levels: 10\n  normalization: InstanceNorm++\n  nonlinearity: "+
		"elu\n  rescaled: true\n") {
		t.Errorf("the configuration is\n%s", cp.Config)
	}
	if code, _, stderr := command(t, "-runs", runs, "-resume", "n", "-steps", "3"); code != 0 || stderr != "" {
		t.Errorf("resume: code %d, stderr %q", code, stderr)
	}
}

// Every preset with its source and the data that it expects; with -dry-run what it costs, without its data.
func TestPresets(t *testing.T) {
	code, stdout, stderr := command(t, "-list-presets")
	text := strings.Join(strings.Fields(stdout), " ")
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	for _, p := range train.Presets {
		for _, want := range []string{p.Name + " " + p.What, p.Source, p.Files} {
			if !strings.Contains(text, strings.Join(strings.Fields(want), " ")) {
				t.Errorf("preset %s: %q is not listed", p.Name, want)
			}
		}
	}
	for preset, want := range map[string][]string{
		"ncsn-mnist":   {"7638657 parameters in 173 tensors", "1.89 G multiply-adds", "1000 score evaluations", "the network sees sigma"},
		"ncsn-cifar10": {"30117635 parameters in 173 tensors", "9.89 G multiply-adds"},
		"celeba":       {"29694083 parameters", "39.6 G multiply-adds", "= 2.24 with", "nothing at data/celeba (-data says where it is; expected: CelebA"},
		"church":       {"83445379 parameters", "3153 score evaluations"},
		"bedroom":      {"83445379 parameters", "151 G multiply-adds", "= 1.48 with"},
		"tower":        {"83445379 parameters", "151 G multiply-adds"},
		"ffhq":         {"94132611 parameters", "419 G multiply-adds", "= 1.49 with", "6934 score evaluations"},

		"ncsnpp-cifar10":       {"62758787 parameters in 571 tensors", "10.9 G multiply-adds", "the network sees sigma"},
		"ddpmpp-cifar10-vp":    {"61804419 parameters", "10.8 G multiply-adds"},
		"ddpm-cifar10":         {"35218947 parameters", "6.02 G multiply-adds"},
		"ncsnpp-celeba":        {"62693251 parameters", "42 G multiply-adds"},
		"digits":               {"322945 parameters", "58.9 M multiply-adds"},
		"ncsnpp-cifar10-small": {"15716291 parameters", "2.76 G multiply-adds"},
		"ncsnpp-cifar10-deep":  {"107586947 parameters", "18.6 G multiply-adds"},
		"ncsnpp-ffhq256":       {"65574421 parameters", "266 G multiply-adds"},
		"ncsnpp-ffhq":          {"105785880 parameters", "249 G multiply-adds"},
	} {
		code, stdout, stderr := command(t, "-preset", preset, "-dry-run")
		for _, w := range want {
			if code != 0 || stderr != "" || !strings.Contains(stdout, w) {
				t.Errorf("-preset %s -dry-run: code %d, stderr %q, no %q in\n%s", preset, code, stderr, w, stdout)
			}
		}
	}
}

// Data that is not there: a dry run prints the settings, and says what is not known; a run names the file that names the
// data, and what was expected.
func TestDataNotThere(t *testing.T) {
	dir := t.TempDir()
	config := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	own := config("own.yaml", "data: nowhere/photos\nsteps: 77\n")
	known := config("known.yaml", "preset: cifar10\ndata: nowhere/batches\nsteps: 77\n")
	ladder := config("ladder.yaml", "preset: celeba\nsigma: {begin: data}\n")
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr []string
	}{
		{"-preset vectors -dry-run", 0, []string{"preset: vectors", "channels: 0", "nothing at data/table.csv", "shapes      unknown without the data"}, nil},
		{"-config " + ladder + " -dry-run", 0, []string{"nothing at data/celeba", "shapes are unknown", "begin: data"}, nil},
		{"-config " + own + " -dry-run", 1, []string{"steps: 77", "data: nowhere/photos", "shapes are unknown"}, []string{own + ": its data is not at nowhere/photos", "expected: pictures, arrays or tables"}},
		{"-config " + own + " -sigma-begin 9 -dry-run", 1, nil, []string{own + ": its data is not at nowhere/photos"}},
		{"-config " + own, 1, nil, []string{own + ": its data is not at nowhere/photos: mend the path, or say where it is with -data; expected: pictures"}},
		{"-config " + known + " -dry-run", 0, []string{"steps: 77", "nothing at nowhere/batches", "sizes are the preset's"}, nil},
		{"-config " + known, 1, nil, []string{known + ": its data is not at nowhere/batches", "expected: CIFAR-10's binary version"}},
		{"-preset vectors", 1, nil, []string{"the data of preset vectors is not at data/table.csv: say where it is with -data; expected: a table"}},
	} {
		runs := filepath.Join(dir, "runs")
		code, stdout, stderr := command(t, append(strings.Fields(c.args), "-runs", runs)...)
		for _, w := range c.stdout {
			if !strings.Contains(stdout, w) {
				t.Errorf("%s: no %q in\n%s", c.args, w, stdout)
			}
		}
		for _, w := range c.stderr {
			if !strings.Contains(stderr, w) {
				t.Errorf("%s: no %q in %q", c.args, w, stderr)
			}
		}
		if code != c.code || c.stderr == nil && stderr != "" || strings.Count(stderr, "\n") > 1 {
			t.Errorf("%s: code %d, %q", c.args, code, stderr)
		}
		if _, err := os.Stat(runs); err == nil {
			t.Errorf("%s made a folder", c.args)
		}
	}
}

func TestBadInput(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	misspelt := file("misspelt.yaml", "stpes: 3\n")
	zero := file("zero.yaml", "batch: 0\n")
	noPreset := file("preset.yaml", "preset: glyph\n")
	runs := filepath.Join(dir, "runs")
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"-stpes 3", 2, "unknown flag -stpes; did you mean -steps?"},
		{"-xyzzy", 2, "unknown flag -xyzzy"},
		{"-steps", 2, "-steps needs a value"},
		{"-steps many", 2, `-steps is "many": expected a whole number`},
		{"-steps -3", 2, "-steps is -3: expected"},
		{"-steps 0", 2, "-steps is 0: expected at least 1"},
		{"-batch 0", 2, "-batch is 0: expected at least 1"},
		{"-batch -1", 2, "-batch is -1: expected at least 1"},
		{"-levels -1", 2, "-levels is -1: expected at least 1"},
		{"-levels few", 2, `-levels is "few": expected a whole number or auto`},
		{"-ngf 1", 2, "-ngf is 1"},
		{"-flip=perhaps", 2, `-flip is "perhaps": expected true or false`},
		{"-dry-run=perhaps", 2, `-dry-run is "perhaps": expected true or false`},
		{"-gpu -device first", 2, `-device is "first": expected a whole number`},
		{"-lr 0", 2, "-lr is 0"},
		{"-lr NaN", 2, "-lr is NaN"},
		{"-sigma-begin large", 2, `-sigma-begin is "large": expected a positive number, "data"`},
		{"-sigma-begin 1 -sigma-end 1", 2, "-sigma-begin 1 is not larger than -sigma-end 1: the ladder runs from the largest noise to the smallest; raise -sigma-begin"},
		{"-sigma-begin 0.001", 2, "-sigma-begin 0.001 is not larger than -sigma-end 0.01"},
		{"-levels-per-step 33", 2, "-levels-per-step is 33, more than the 16"},
		{"-preset glyph", 2, `-preset is "glyph": expected one of glyphs, toy, vectors, fashion-mnist, cifar10, celeba, church, bedroom, tower, ffhq, ncsn-mnist, ncsn-cifar10, ` +
			"digits, ncsnpp-cifar10, ncsnpp-cifar10-deep, ncsnpp-bedroom, ncsnpp-church, ncsnpp-ffhq256, ncsnpp-celebahq256, ncsnpp-ffhq, " +
			"ncsnpp-celebahq, ncsnpp-cifar10-small, " +
			"ncsnpp-cifar10-smld, ncsnpp-cifar10-vp, ncsnpp-cifar10-subvp, ncsnpp-cifar10-ddpm, " +
			"ncsnpp-deep-vp, ncsnpp-deep-subvp, ddpmpp-cifar10, ddpmpp-cifar10-vp, " +
			"ddpmpp-cifar10-subvp, ddpmpp-deep-vp, ddpmpp-deep-subvp, ddpm-cifar10, " +
			"ddpm-cifar10-vp, ddpm-cifar10-subvp, ddpm-cifar10-smld, ncsnpp-celeba; did you mean glyphs?"},
		{"-net ncsnv3", 2, `-net is "ncsnv3": expected one of ` + strings.Join(model.Networks(), ", ") + `; did you mean ncsnv2?`},
		{"-normalization BatchNorm", 2, `-normalization is "BatchNorm": expected InstanceNorm++ or InstanceNorm`},
		{"-nonlinearity rellu", 2, `-nonlinearity is "rellu": expected one of elu, relu, lrelu, swish; did you mean relu?`},
		{"-spacing liner", 2, `-spacing is "liner": expected geometric or linear; did you mean linear?`},
		{"-spacing linear", 2, "-levels is auto, by Technique 2, which is about geometric ladders: give a number"},
		{"-data toy:moons -nonlinearity relu", 2, "-nonlinearity is for networks for images, and this is mlp"},
		{"-data toy:moons -rescaled", 2, "-rescaled is for images"},
		{"-net ncsn -ema-warmup", 2, "-ema-warmup is for the moving average of the weights, and there is none"},
		{"-list-presets -steps 5", 2, "-list-presets stands alone"},
		{"-net ncsnv2deepest -levels 10", 1, "network ncsnv2deepest halves both three times, so both must be multiples of 8, such as 32 x 32"},
		{"-preset ffhq", 1, "the data of preset ffhq is not at data/ffhq: say where it is with -data; expected: FFHQ's images"},
		{"glyphs", 2, `unexpected argument "glyphs"; did you mean -preset glyphs?`},
		{"cifar", 2, `unexpected argument "cifar"; did you mean -preset cifar10?`},
		{"images.zip", 2, `unexpected argument "images.zip": every setting is a flag, such as -data images.zip`},
		{"-levels atuo", 2, `-levels is "atuo": expected a whole number or auto; did you mean auto?`},
		{"-resume=", 2, "-resume is empty"},
		{"-device 1", 2, "-device 1 names a GPU"},
		{"-name a/b", 2, "-name is \"a/b\""},
		{"-config " + filepath.Join(dir, "none.yaml"), 1, "none.yaml"},
		{"-config " + misspelt, 1, misspelt + `: unknown key "stpes"; did you mean steps?`},
		{"-config " + zero, 1, zero + ": batch is 0"},
		{"-config " + noPreset, 1, noPreset + `: preset is "glyph"`},
		{"-data " + filepath.Join(dir, "no-such-file"), 1, "no-such-file"},
		{"-data " + zero, 1, "zero.yaml"},
		{"-data toy:swisroll", 1, "toy:swissroll"},
		{"-preset cifar10", 1, "-data"},
		{"-data toy:moons -net ncsnv2 -ngf 4", 1, "-net mlp"},
		{"-net mlp", 1, "-net ncsnv2"},
		{"-data toy:moons -levels auto", 1, "levels is auto"},
		{"-data toy:moons -epsilon 1", 1, "epsilon is 1"},
		{"-data toy:moons -held-out 30000", 1, "held-out is 30000"},
		{"-batch 100000000", 2, "-batch is 100000000: expected at most"},
		{"-resume " + filepath.Join(dir, "none"), 1, "does not exist"},
		{"-resume x -lr 1 -steps 5 -net mlp", 2, "-lr, -net cannot be changed with -resume"},
		{"-resume x -name y", 2, "-name cannot be changed with -resume"},
	} {
		code, _, stderr := command(t, append([]string{"-runs", runs}, strings.Fields(test.args)...)...)
		if code != test.code || !strings.Contains(stderr, test.want) || strings.Count(stderr, "\n") != 1 ||
			!strings.HasPrefix(stderr, "train: ") {
			t.Errorf("%s\ncode %d, stderr %q\nexpected %d and one line with %q", test.args, code, stderr, test.code, test.want)
		}
		if entries, _ := os.ReadDir(runs); len(entries) > 0 {
			t.Fatalf("%s left %v", test.args, entries)
		}
	}
	if memory.Host() > 0 {
		code, _, stderr := command(t, "-runs", runs, "-batch", "1000000")
		if code != 1 || !strings.Contains(stderr, "with batch 1000000 and ngf 8 needs 1.") ||
			strings.Count(stderr, "\n") != 1 {
			t.Errorf("more than the machine's memory: code %d, stderr %q", code, stderr)
		}
		if entries, _ := os.ReadDir(runs); len(entries) > 0 {
			t.Errorf("it left %v", entries)
		}
	}
	if code, _, stderr := command(t, quick(filepath.Join(zero, "runs"))...); code != 1 ||
		!strings.Contains(stderr, "-runs") {
		t.Errorf("runs below a file: code %d, stderr %q", code, stderr)
	}
}

func TestHelp(t *testing.T) {
	clitest.Check(t, New)
	text := New().HelpText(80)
	for _, p := range train.Presets {
		if !strings.Contains(text, "\n  "+p.Name+" ") {
			t.Errorf("-h does not tell of preset %s", p.Name)
		}
	}
}

func TestDryRun(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	for preset, want := range map[string][]string{
		"cifar10": {"29694083 parameters in 153 tensors", "232 levels, sigma 50 to 0.01, ratio g = 1.03756", "epsilon = 6.2e-06", "1161 score evaluations", "= 2.06", "configs/cifar10.yml", "lr: 0.0001"},
		"toy":     {"preset: toy", "hidden: 128", "D/2 = 1 ", "sees sigma"},
	} {
		code, stdout, stderr := command(t, "-preset", preset, "-dry-run", "-runs", runs)
		if code != 0 {
			t.Errorf("%s: code %d, stderr %q", preset, code, stderr)
		}
		for _, w := range want {
			if !strings.Contains(stdout, w) {
				t.Errorf("%s does not say %q:\n%s", preset, w, stdout)
			}
		}
	}
	if _, err := os.Stat(runs); err == nil {
		t.Error("-dry-run made the folder for runs")
	}
}

// The published step size is that of the published ladder and T; with others it is chosen anew, unless it is asked for.
func TestPublishedEpsilon(t *testing.T) {
	for flags, published := range map[string]bool{"": true, "-T 5": true, "-sigma-end 0.01": true, "-batch 64": true,
		"-sigma-end 0.03": false, "-sigma-begin 20": false, "-levels 100": false, "-T 3": false, "-sigma-end 0.03 -epsilon 6.2e-6": true} {
		code, stdout, stderr := command(t, append([]string{"-preset", "cifar10", "-dry-run"}, strings.Fields(flags)...)...)
		if code != 0 || strings.Contains(stdout, "epsilon = 6.2e-06") != published {
			t.Errorf("%s: code %d, stderr %q, expected the published epsilon: %v\n%s", flags, code, stderr, published, stdout)
		}
	}
}

// A run from flags to pictures, a second one beside it, and more steps for the first.
func TestTrain(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	code, stdout, stderr := command(t, quick(runs, "-sigma-begin", "data", "-sigma-end", "data",
		"-held-out", "24000", "-eval-every", "0")...) // half of the points out of the way: a quarter of the pairs
	if code != 0 || stderr != "" {
		t.Fatalf("code %d, stderr %q", code, stderr)
	}
	dir := filepath.Join(runs, "moons-1")
	for _, want := range []string{"sigma-begin data = ", "sigma-end data = ", "data-literal = ",
		filepath.Join(dir, "samples", "step-0000020.png"), "sample " + dir, "step 10/20  loss "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("does not say %q:\n%s", want, stdout)
		}
	}
	for _, name := range []string{"config.yaml", "metrics.jsonl", "samples/step-0000020.png",
		"checkpoints/step-0000020.safetensors", "checkpoints/latest"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	stored, err := train.Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if d := stored.Config.Sigma.Distances; d == nil || stored.Config.Sigma.Begin.Value != d.Max || d.Min <= 0 {
		t.Errorf("stored ladder %+v", stored.Config.Sigma)
	}

	if code, _, stderr := command(t, quick(runs, "-name", "moons-1")...); code != 1 ||
		!strings.Contains(stderr, "-resume "+dir) {
		t.Errorf("the same folder: code %d, stderr %q", code, stderr)
	}
	if code, _, stderr := command(t, "-resume", "moons-1", "-runs", runs, "-data", "toy:gaussians"); code != 1 ||
		!strings.Contains(stderr, "not what this run was started with") {
		t.Errorf("other data: code %d, stderr %q", code, stderr)
	}
	if code, _, stderr := command(t, "-resume", dir, "-steps", "5"); code != 1 ||
		!strings.Contains(stderr, "at step 20 already") {
		t.Errorf("fewer steps: code %d, stderr %q", code, stderr)
	}
	if code, stdout, stderr := command(t, "-resume", dir); code != 0 || !strings.Contains(stdout, "at its last step, 20") {
		t.Errorf("finished: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	if code, stdout, stderr := command(t, "-resume", dir, "-steps", "30", "-workers", "1"); code != 0 ||
		!strings.Contains(stdout, "step-0000030.png") {
		t.Errorf("more steps: code %d, stdout %q, stderr %q", code, stdout, stderr)
	}
	// Its stored configuration starts a run of its own.
	if code, _, stderr := command(t, "-config", filepath.Join(dir, "config.yaml"), "-runs", runs, "-lr",
		"0.01"); code != 0 {
		t.Errorf("-config: code %d, stderr %q", code, stderr)
	}
	if _, err := os.Stat(filepath.Join(runs, "moons-2", "config.yaml")); err != nil {
		t.Error(err)
	}
	// A loss that is not finite.
	if code, _, stderr := command(t, quick(runs, "-lr", "1e30")...); code != 1 ||
		!strings.Contains(stderr, "start a new run with a lower -lr") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("absurd learning rate: code %d, stderr %q", code, stderr)
	}
}

// Clipping and warm-up are told, and a rate that the run never reaches is warned of.
func TestWarmupIsTold(t *testing.T) {
	const warning = "the learning rate rises over 10 steps and the run has 3: its last step has 0.2 of it"
	for steps, warned := range map[string]bool{"10": true, "2": false} {
		code, stdout, stderr := command(t, "-data", "toy:moons", "-steps", "3", "-batch", "4", "-preview-n", "0", "-held-out", "0",
			"-grad-clip", "1.5", "-lr-warmup", steps, "-runs", t.TempDir())
		told := ", warmed up over " + steps + " steps, gradients clipped at 1.5; "
		if code != 0 || !strings.Contains(stdout, told) || strings.Contains(stdout, warning) != warned {
			t.Errorf("%s steps: code %d, %s\n%s", steps, code, stderr, stdout)
		}
	}
}

// SIGTERM finishes the step, saves and exits with 0; the resumed run ends with the weights of an unbroken one.
func TestSignal(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no signals to send")
	}
	runs := t.TempDir()
	start := func(args ...string) (*exec.Cmd, *bytes.Buffer) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &out
	}
	long := quick(runs, "-steps", "100000000", "-preview-n", "0", "-name", "stopped")
	cmd, out := start(long...)
	metrics := filepath.Join(runs, "stopped", "metrics.jsonl")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if b, _ := os.ReadFile(metrics); len(b) > 0 {
			break
		}
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			t.Fatalf("no metrics after 20 s:\n%s", out)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), "-resume "+filepath.Join(runs, "stopped")) {
		t.Fatalf("after SIGTERM: %v\n%s", err, out)
	}
	stopped, err := train.Load("stopped", runs)
	if err != nil {
		t.Fatal(err)
	}

	// both go on to a little after the stop
	steps := stopped.Step() + 7
	text := func(args ...string) {
		t.Helper()
		if code, _, stderr := command(t, args...); code != 0 {
			t.Fatalf("%v: code %d, stderr %q", args, code, stderr)
		}
	}
	n := strconv.FormatUint(steps, 10)
	text("-resume", "stopped", "-runs", runs, "-steps", n, "-workers", "3")
	text(quick(runs, "-steps", n, "-preview-n", "0", "-name", "whole")...)
	a, b := weightsIn(t, filepath.Join(runs, "stopped")), weightsIn(t, filepath.Join(runs, "whole"))
	if a.Step != steps || b.Step != steps || len(a.Tensors) != len(b.Tensors) {
		t.Fatalf("steps %d and %d, %d and %d tensors; expected step %d", a.Step, b.Step, len(a.Tensors),
			len(b.Tensors), steps)
	}
	for i := range a.Tensors {
		if x, ok := a.Tensors[i].T.Data().([]float32); ok && !slices.Equal(x, b.Tensors[i].T.Data().([]float32)) {
			t.Errorf("tensor %s differs", a.Tensors[i].Name)
		}
	}
}

func weightsIn(t *testing.T, dir string) *checkpoint.Checkpoint {
	t.Helper()
	path, err := train.Latest(dir)
	if err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.ReadCheckpoint(path)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A stop before the first step leaves no folder behind.
func TestStopBeforeTraining(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	runs := t.TempDir()
	var out, stderr bytes.Buffer
	if code := New().Execute(ctx, quick(runs), cli.Streams{Out: &out, Err: &stderr}); code != 130 ||
		!strings.Contains(stderr.String(), "nothing was written") {
		t.Errorf("code %d, stderr %q", code, &stderr)
	}
	if entries, _ := os.ReadDir(runs); len(entries) > 0 {
		t.Errorf("left %v", entries)
	}
}

// Going back to an earlier checkpoint keeps what came after it under other names, and comes to the same end.
func TestResumeFromEarlier(t *testing.T) {
	dir := t.TempDir()
	args := []string{"-runs", dir, "-name", "r", "-data", "toy:moons", "-hidden", "8", "-batch", "8", "-held-out", "0",
		"-steps", "20", "-checkpoint-every", "10", "-preview-n", "0", "-log-every", "5"}
	if code, _, stderr := command(t, args...); code != 0 {
		t.Fatal(stderr)
	}
	checkpoints := filepath.Join(dir, "r", "checkpoints")
	last := filepath.Join(checkpoints, "step-0000020.safetensors")
	want, err := os.ReadFile(last)
	if err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := command(t, "-resume", filepath.Join(checkpoints, "step-0000010.safetensors"))
	if code != 0 || !strings.Contains(stdout, "aside    later checkpoints (1)") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, file := range []string{last, last + ".aside"} {
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not the checkpoint of step 20: %v", file, err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "r", "metrics.jsonl.aside")); err != nil {
		t.Error(err)
	}
}

// Every flag of a setting has the name of a setting that package train knows: -resume asks there which may change.
func TestFlagsAreSettings(t *testing.T) {
	for s := range settings() {
		if _, known := train.MayChange(s.Name); !known {
			t.Errorf("-%s sets nothing that package train knows", s.Name)
		}
	}
}

// The evaluations of the network that a sample of the published settings takes.
func TestPublishedEvaluations(t *testing.T) {
	for name, want := range map[string]int{"ncsn-mnist": 1000, "ncsn-cifar10": 1000, "cifar10": 1161, "celeba": 2501,
		"church": 3153, "bedroom": 3259, "tower": 3259, "ffhq": 6934} {
		p, err := train.FindPreset(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := sampling(&p.Config).NFE(p.Config.Sigma.Levels); got != want {
			t.Errorf("%s: %d evaluations a sample, expected %d", name, got, want)
		}
	}
}

// A run whose data was given by a relative path is gone on with from elsewhere by a sentence that says how.
func TestDataCountsFromWhereTheRunStarted(t *testing.T) {
	top := t.TempDir()
	t.Chdir(top)
	for _, dir := range []string{"job", "elsewhere"} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	table := "a,b\n"
	for i := range 40 {
		table += fmt.Sprintf("%d,%d.5\n", i*i%7, i%5)
	}
	os.WriteFile("job/t.csv", []byte(table), 0o666)
	t.Chdir("job")
	if code, _, stderr := command(t, "-data", "t.csv", "-hidden", "4", "-steps", "2", "-preview-n", "0", "-held-out", "0",
		"-name", "r"); code != 0 {
		t.Fatal(stderr)
	}
	for _, test := range []struct{ from, run, want string }{
		{"..", "job/runs/r", "not at t.csv, which counts from the folder in which the run was started"},
		{"..", "job/runs/r", "-data, such as -data job/t.csv"},
		{"../elsewhere", "../job/runs/r", "-data, such as -data ../job/t.csv"},
	} {
		t.Chdir(filepath.Join(top, "job", test.from))
		if code, _, stderr := command(t, "-resume", test.run, "-steps", "4"); code != 1 || !strings.Contains(stderr, test.want) {
			t.Errorf("from %s: exit code %d, %s", test.from, code, stderr)
		}
	}
	t.Chdir(top)
	if code, _, stderr := command(t, "-resume", "job/runs/r", "-steps", "4", "-data", "job/t.csv"); code != 0 {
		t.Errorf("with -data: %s", stderr)
	}
	os.Remove("job/t.csv")
	if code, _, stderr := command(t, "-resume", "job/runs/r", "-steps", "6"); code != 1 ||
		!strings.Contains(stderr, "the data of job/runs/r is not at job/t.csv, which counts from") {
		t.Errorf("nothing is there: %s", stderr)
	}
	if err := moved("runs/r", filepath.Join(top, "gone")); err == nil || !strings.Contains(err.Error(), "any more") {
		t.Errorf("an absolute path: %v", err)
	}
	for _, data := range []string{"glyphs", "toy:moons", "elsewhere"} {
		if err := moved("runs/r", data); err != nil {
			t.Errorf("%s: %v", data, err)
		}
	}
}

// A precision that no convolution of the network can have is said to change nothing.
func TestPrecisionText(t *testing.T) {
	if s := precisionText("bf16", true); s != "convolutions in bf16" {
		t.Errorf("used: %q", s)
	}
	const unused = "float32: no convolution has channels in multiples of 32, so -precision bf16 changes nothing"
	if s := precisionText("bf16", false); s != unused {
		t.Errorf("not used: %q", s)
	}
}
