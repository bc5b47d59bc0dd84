package train

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
)

// tiny is a configuration that trains a hundred steps in moments, with its data.
func tiny(net string) (*Config, *Splits) {
	c := &Config{
		Preset: "test", Data: "test", Seed: 5,
		Sigma: Sigma{Begin: SigmaEnd{Value: 2}, End: SigmaEnd{Value: 0.1}, Levels: 5},
		Loss:  Loss{AnnealPower: 2}, Adam: Adam{LR: 2e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}, EMA: EMA{Rate: 0.99, Warmup: true},
		Batch: 3, Steps: 100, HeldOut: 4, Sampling: Sampling{T: 2, Epsilon: 1e-3},
		LogEvery: 20, EvalEvery: 30, PreviewEvery: 50, PreviewN: 1, CheckpointEvery: 50,
	}
	words := func(n int, purpose uint64) []uint32 {
		w := make([]uint32, n)
		for i := range w {
			w[i] = kernels.Stream{Seed: 1, Purpose: kernels.PurposeData, N: purpose}.Word(i)
		}
		return w
	}
	data := func(n int, which uint64) *kernels.Data {
		if net == "mlp" {
			x := make([]float32, 2*n)
			kernels.Stream{Seed: 1, Purpose: kernels.PurposeData, N: which}.Normals(x)
			return &kernels.Data{N: n, H: 1, W: 1, C: 2, F32: x}
		}
		d := &kernels.Data{N: n, H: 8, W: 8, C: 1}
		for _, w := range words(n*64, which) {
			d.U8 = append(d.U8, byte(w>>24))
		}
		return d
	}
	if net == "mlp" {
		c.Network = model.Config{Net: net, Height: 1, Width: 1, Channels: 2, Hidden: 16, DataSD: 1}
	} else {
		c.Network = model.Config{Net: net, Height: 8, Width: 8, Channels: 1, NGF: 2}
		c.Flip, c.Dequantize = true, true
	}
	if net == "ncsn" { // without a moving average, on images in [-1, 1]
		c.Network.Levels, c.Network.Rescaled, c.EMA = 5, true, EMA{}
	}
	if net == "ncsnpp" { // with all that an original has in training
		c.Network.NGF, c.Adam.Clip, c.Adam.Warmup = 4, 1, 10
		c.Network.UNet = model.UNet{ChMult: "1,2", ResBlocks: 1, Attention: "4", Dropout: 0.2, FIR: true, SkipRescale: true,
			ProgressiveInput: "residual", ScaleBySigma: true}
	}
	return c, &Splits{Name: "test", Train: data(11, 0), HeldOut: data(4, 1)}
}

// withNoise makes a configuration draw sigma by a density, as it is resolved.
func withNoise(t *testing.T, c *Config, density string) {
	t.Helper()
	c.Noise.Density = density
	if err := c.complete(nil); err != nil {
		t.Fatal(err)
	}
}

// trial runs c in folder, or goes on with the run there, until a step at which it is stopped (0: to the end).
func trial(t *testing.T, c *Config, d *Splits, folder string, resume bool, stopAt uint64, workers int) *Result {
	t.Helper()
	b := kernels.NewCPU(workers)
	defer b.Close()
	o := Options{Backend: b, Folder: folder}
	if resume {
		stored, err := Load(folder, "")
		if err != nil {
			t.Fatal(err)
		}
		steps := c.Steps
		c, o.From = stored.Config, stored
		c.Steps = steps
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	local := *c
	if stopAt > 0 {
		local.PreviewEvery = stopAt
	}
	o.Hooks.Preview = func(ctx context.Context, step uint64, weights []model.Named, path string) error {
		if stopAt > 0 && step == stopAt {
			cancel() // as a signal would, in the middle of a preview
			return ctx.Err()
		}
		return os.WriteFile(path, fmt.Appendf(nil, "%d tensors", len(weights)), 0o666)
	}
	r, err := Run(ctx, &local, d, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// metricLines reads metrics.jsonl without what depends on the clock.
func metricLines(t *testing.T, folder string) []string {
	t.Helper()
	f, err := os.Open(filepath.Join(folder, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var lines []string
	for s := bufio.NewScanner(f); s.Scan(); {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(s.Bytes(), &m); err != nil {
			t.Fatalf("line %q: %v", s.Text(), err)
		}
		delete(m, "time")
		delete(m, "images_per_s")
		delete(m, "slowest_rank")
		delete(m, "waiting")
		delete(m, "crc")
		b, _ := json.Marshal(m)
		lines = append(lines, string(b))
	}
	return lines
}

// sameRun compares everything that two runs left behind at their last step, bit for bit.
func sameRun(t *testing.T, got, want string) {
	t.Helper()
	if g, w := metricLines(t, got), metricLines(t, want); !slices.Equal(g, w) {
		t.Errorf("metrics\n%s\nexpected\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
	read := func(dir string) *checkpoint.Checkpoint {
		path, err := Latest(dir)
		if err != nil {
			t.Fatal(err)
		}
		c, err := checkpoint.ReadCheckpoint(path)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	g, w := read(got), read(want)
	if g.Step != w.Step || g.Seed != w.Seed || len(g.Tensors) != len(w.Tensors) {
		t.Fatalf("checkpoint at step %d, seed %d, %d tensors; expected %d, %d, %d", g.Step, g.Seed, len(g.Tensors), w.Step,
			w.Seed, len(w.Tensors))
	}
	for i, x := range g.Tensors {
		y := w.Tensors[i]
		if x.Name != y.Name || !x.T.Shape().Eq(y.T.Shape()) || !sameBits(x.T.Data(), y.T.Data()) {
			t.Errorf("tensor %s differs from %s", x.Name, y.Name)
		}
	}
}

func sameBits(a, b any) bool {
	x, ok := a.([]float32)
	if !ok {
		return reflect.DeepEqual(a, b)
	}
	y, ok := b.([]float32)
	return ok && slices.EqualFunc(x, y, func(p, q float32) bool { return math.Float32bits(p) == math.Float32bits(q) })
}

// A run that is stopped and goes on is the run that was never stopped.
func TestStopAndResume(t *testing.T) {
	for _, r := range []struct {
		name, net, noise string
		sde              model.SDE
		edm              string
	}{
		{name: "ncsnv2", net: "ncsnv2"}, {name: "ncsn", net: "ncsn"}, {name: "mlp", net: "mlp"},
		{name: "ncsnv2 loguniform", net: "ncsnv2", noise: model.LogUniform}, {name: "mlp lognormal", net: "mlp", noise: model.LogNormal},
		{name: "ncsnv2 edm", net: "ncsnv2", noise: model.LogNormal, edm: model.EDM},
		{name: "ncsnv2 vp", net: "ncsnv2", sde: model.SDE{Kind: model.VP}},
		{name: "mlp ddpm", net: "mlp", noise: model.LadderNoise, sde: model.SDE{Kind: model.VP}},
		{name: "mlp subvp", net: "mlp", sde: model.SDE{Kind: model.SubVP}},
		{name: "ncsnpp", net: "ncsnpp", noise: model.LogUniform},
		{name: "ncsnpp vp", net: "ncsnpp", sde: model.SDE{Kind: model.VP}},
	} {
		t.Run(r.name, func(t *testing.T) {
			c, d := tiny(r.net)
			if c.Network.SDE, c.Network.Parameterization = r.sde, r.edm; r.sde.Preserving() {
				c.Network.Rescaled = c.Network.TakesImages()
				c.Sigma.Levels = 30
				c.Loss.ReduceMean, c.Loss.Likelihood = r.net == "ncsnv2", r.sde.Kind == model.SubVP
			}
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			c.Noise.Density = r.noise
			c.settleProcess()
			withNoise(t, c, c.Noise.Density)
			whole := t.TempDir()
			if r := trial(t, c, d, whole, false, 0, 1); r.Stopped || r.Step != 100 {
				t.Fatalf("the unbroken run ended at %+v", r)
			}
			if n := len(metricLines(t, whole)); n != 5+4 { // losses at 20..100; held out at 30, 60, 90 and the end
				t.Errorf("%d lines of metrics, expected 9", n)
			}

			t.Run("steps 50, then 100", func(t *testing.T) {
				dir := t.TempDir()
				half := *c
				half.Steps = 50
				trial(t, &half, d, dir, false, 0, 2)
				trial(t, c, d, dir, true, 0, 3)
				sameRun(t, dir, whole)
			})
			t.Run("stopped at 37 and 60", func(t *testing.T) {
				dir := t.TempDir()
				if r := trial(t, c, d, dir, false, 37, 2); !r.Stopped || r.Step != 37 {
					t.Fatalf("stopped at %+v, expected step 37", r)
				}
				// 60 has a line of losses and one of the held-out loss; the preview is what is cut off
				if r := trial(t, c, d, dir, true, 60, 1); !r.Stopped || r.Step != 60 {
					t.Fatalf("stopped at %+v, expected step 60", r)
				}
				trial(t, c, d, dir, true, 0, 2)
				sameRun(t, dir, whole)
			})
			t.Run("killed after 70", func(t *testing.T) {
				dir := t.TempDir()
				trial(t, c, d, dir, false, 70, 1)
				// as if it had been killed without saving, in the middle of a line
				if err := os.Remove(filepath.Join(dir, checkpointsDir, "step-0000070.safetensors")); err != nil {
					t.Fatal(err)
				}
				f, err := os.OpenFile(filepath.Join(dir, metricsFile), os.O_APPEND|os.O_WRONLY, 0)
				if err != nil {
					t.Fatal(err)
				}
				f.WriteString(`{"step":80,"lo`)
				f.Close()
				trial(t, c, d, dir, true, 0, 1)
				sameRun(t, dir, whole)
			})
			t.Run("killed before the first checkpoint", func(t *testing.T) {
				dir := t.TempDir()
				trial(t, c, d, dir, false, 30, 1)
				if err := os.RemoveAll(filepath.Join(dir, checkpointsDir)); err != nil {
					t.Fatal(err)
				}
				trial(t, c, d, dir, true, 0, 1)
				sameRun(t, dir, whole)
			})
			t.Run("resumed when done", func(t *testing.T) {
				before, _ := os.ReadFile(filepath.Join(whole, metricsFile))
				if r := trial(t, c, d, whole, true, 0, 1); r.Stopped || r.Step != 100 {
					t.Errorf("ended at %+v, expected step 100", r)
				}
				if after, _ := os.ReadFile(filepath.Join(whole, metricsFile)); !bytes.Equal(before, after) {
					t.Error("the metrics of a finished run changed")
				}
			})
		})
	}
}

// A stop during the held-out loss leaves its line to the resumed run.
func TestStopInEvaluation(t *testing.T) {
	c, d := tiny("mlp")
	c.PreviewN, c.Steps, c.LogEvery = 0, 40, 10
	run := func(dir string, resume bool, ctx context.Context) {
		t.Helper()
		b := kernels.NewCPU(1)
		defer b.Close()
		o := Options{Backend: b, Folder: dir}
		if resume {
			stored, err := Load(dir, "")
			if err != nil {
				t.Fatal(err)
			}
			o.From = stored
		}
		if _, err := Run(ctx, c, d, o); err != nil {
			t.Fatal(err)
		}
	}
	whole, dir := t.TempDir(), t.TempDir()
	run(whole, false, t.Context())
	ctx := &stopAfterLines{Context: t.Context(), path: filepath.Join(dir, metricsFile), lines: 3} // the line of step 30
	run(dir, false, ctx)
	if n := len(metricLines(t, dir)); n != 3 {
		t.Fatalf("%d lines when it stopped, expected 3", n)
	}
	run(dir, true, t.Context())
	sameRun(t, dir, whole)
}

// stopAfterLines is a context that is done once a file has so many lines.
type stopAfterLines struct {
	context.Context
	path  string
	lines int
}

func (c *stopAfterLines) Err() error {
	if b, _ := os.ReadFile(c.path); bytes.Count(b, []byte("\n")) >= c.lines {
		return context.Canceled
	}
	return nil
}

// A loss that is not finite ends the run with what was found where, and leaves no checkpoint made of it.
func TestNonFiniteLoss(t *testing.T) {
	for _, every := range []uint64{1, 50} { // found in the weights before they are saved, or in the loss when it is read
		c, d := tiny("mlp")
		c.CheckpointEvery, c.PreviewN, c.Adam.LR = every, 0, 1e30
		dir := t.TempDir()
		b := kernels.NewCPU(1)
		defer b.Close()
		_, err := Run(t.Context(), c, d, Options{Backend: b, Folder: dir})
		var bad *NonFiniteError
		if !errors.As(err, &bad) || bad.Step == 0 || bad.Step > 5 {
			t.Fatalf("error %v, expected a NonFiniteError of the first steps", err)
		}
		want := []string{"is NaN", "step ", "no checkpoint was written yet", "`lr`"}
		if every > 1 {
			want = append(want, "the loss is", ", level ", "(sigma ")
		}
		paths, _ := listCheckpoints(dir)
		if len(paths) > 0 {
			want[2] = "the last good checkpoint is " + paths[len(paths)-1]
		}
		if strings.Contains(err.Error(), "Inf") {
			want[0] = "Inf"
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error %q says nothing of %q", err, w)
			}
		}
		for _, path := range paths {
			cp, err := checkpoint.ReadCheckpoint(path)
			if err != nil {
				t.Fatal(err)
			}
			if cp.Step >= bad.Step {
				t.Errorf("%s was written, though step %d is not finite", path, bad.Step)
			}
			if err := checkFinite(cp.Step, cp.Tensors); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// What cannot be written ends the run with the last good checkpoint's name, and going on from there loses nothing.
func TestCannotWrite(t *testing.T) {
	c, d := tiny("mlp")
	whole := t.TempDir()
	trial(t, c, d, whole, false, 0, 1)

	for _, test := range []struct {
		name   string
		breaks func(dir string) (mend func())
		want   []string
	}{
		{"the checkpoint of step 100", func(dir string) func() {
			path := filepath.Join(dir, checkpointsDir, "step-0000100.safetensors")
			os.MkdirAll(path, 0o777) // a folder where a file is to be put
			return func() { os.Remove(path) }
		}, []string{"cannot write checkpoint", "step-0000050.safetensors", "`resume` "}},
		{"the preview of step 50", func(dir string) func() {
			path := filepath.Join(dir, samplesDir, "step-0000050.png")
			os.MkdirAll(path, 0o777)
			return func() { os.Remove(path) }
		}, []string{"cannot draw the preview", "step-0000050.png", "step-0000050.safetensors", "`resume` "}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			mend := test.breaks(dir)
			b := kernels.NewCPU(1)
			defer b.Close()
			o := Options{Backend: b, Folder: dir}
			o.Hooks.Preview = func(_ context.Context, _ uint64, _ []model.Named, path string) error {
				return os.WriteFile(path, nil, 0o666)
			}
			_, err := Run(t.Context(), c, d, o)
			for _, w := range test.want {
				if err == nil || !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, expected one line with %q", err, w)
				}
			}
			mend()
			trial(t, c, d, dir, true, 0, 1)
			sameRun(t, dir, whole)
		})
	}
}

// badMetrics is a file of metrics that fails to write or to be put on disk.
type badMetrics struct {
	metrics
	write, sync error
}

func (m badMetrics) Write(p []byte) (int, error) {
	if m.write != nil {
		return 0, m.write
	}
	return m.metrics.Write(p)
}

func (m badMetrics) Sync() error { return m.sync }

// Metrics that cannot be written end the run with a checkpoint, and going on from there loses nothing.
func TestBadMetrics(t *testing.T) {
	c, d := tiny("mlp")
	whole := t.TempDir()
	trial(t, c, d, whole, false, 0, 1)
	for saved, bad := range map[string]badMetrics{
		"step-0000020.safetensors": {write: errors.New("no room")},
		"step-0000050.safetensors": {sync: errors.New("no disk")},
	} {
		dir := t.TempDir()
		b := kernels.NewCPU(1)
		defer b.Close()
		o := Options{Backend: b, Folder: dir}
		o.Hooks.Preview = func(_ context.Context, _ uint64, _ []model.Named, path string) error {
			return os.WriteFile(path, nil, 0o666)
		}
		local := *c
		r, err := openRun(&local, d, o)
		if err != nil {
			t.Fatal(err)
		}
		bad.metrics = r.metrics
		r.metrics = bad
		_, err = r.train(t.Context())
		r.close()
		for _, w := range []string{"cannot write the metrics: no ", saved, "`resume` "} {
			if err == nil || !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, expected one line with %q", err, w)
			}
		}
		trial(t, c, d, dir, true, 0, 1)
		sameRun(t, dir, whole)
	}
}

func TestKeepCheckpoints(t *testing.T) {
	c, d := tiny("mlp")
	c.CheckpointEvery, c.KeepCheckpoints = 10, 2
	dir := t.TempDir()
	trial(t, c, d, dir, false, 0, 1)
	paths, err := listCheckpoints(dir)
	if err != nil || len(paths) != 2 || filepath.Base(paths[0]) != "step-0000090.safetensors" {
		t.Errorf("kept %v, error %v, expected steps 90 and 100", paths, err)
	}
	// Killed after the last checkpoint and before the oldest was removed.
	whole, _ := os.ReadFile(paths[0])
	write(t, filepath.Join(dir, checkpointsDir, "step-0000080.safetensors"), string(whole))
	trial(t, c, d, dir, true, 0, 1)
	if again, _ := listCheckpoints(dir); !slices.Equal(again, paths) {
		t.Errorf("going on kept %v, expected %v", again, paths)
	}
}

// What cannot be gone on with is told in a sentence, and the files stay as they are.
func TestLoadRefuses(t *testing.T) {
	c, d := tiny("mlp")
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	trial(t, c, d, dir, false, 0, 1)
	config, _ := os.ReadFile(filepath.Join(dir, configFile))
	last := filepath.Join(dir, checkpointsDir, "step-0000100.safetensors")
	first := filepath.Join(dir, checkpointsDir, "step-0000050.safetensors")
	intact, _ := os.ReadFile(last)

	if s, err := Load("run", filepath.Dir(dir)); err != nil || s.Folder != dir {
		t.Errorf("by name: %v, error %v", s, err)
	}
	if s, err := Load(first, ""); err != nil || s.Step() != 50 || s.Folder != dir {
		t.Errorf("by checkpoint: %v, error %v", s, err)
	}
	refused := func(path string, want ...string) {
		t.Helper()
		_, err := Load(path, "")
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, expected one line with %q", err, w)
			}
		}
	}
	refused(filepath.Join(dir, "none"), "does not exist")
	refused(filepath.Join(dir, configFile), "not in the folder")
	refused(filepath.Dir(dir), "not a run folder")

	flipped := slices.Clone(intact)
	flipped[len(flipped)/2] ^= 1
	write(t, last, string(flipped))
	refused(dir, last, "`resume` "+first)
	write(t, last, string(intact))

	edit := func(old, new string) {
		write(t, filepath.Join(dir, configFile), strings.Replace(string(config), old, new, 1))
	}
	edit("lr: 0.002", "lr: 0.004")
	refused(dir, "adam.lr (0.002 and 0.004)")
	edit("batch:", "bach:")
	refused(dir, configFile, "bach", "did you mean batch?")
	edit("batch: 3", "batch: 0")
	refused(dir, configFile, "batch is 0")
	edit("steps: 100", "steps: 200")
	if s, err := Load(dir, ""); err != nil || s.Config.Steps != 200 {
		t.Errorf("more steps in config.yaml: %v, error %v", s, err)
	}
	os.Remove(filepath.Join(dir, configFile))
	if s, err := Load(dir, ""); err != nil || s.Config.Steps != 100 {
		t.Errorf("without config.yaml: %v, error %v", s, err)
	}

	c.Steps = 10
	b := kernels.NewCPU(1)
	defer b.Close()
	s, err := Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), c, d, Options{Backend: b, Folder: dir, From: s}); err == nil ||
		!strings.Contains(err.Error(), "steps is 10") {
		t.Errorf("fewer steps than done: error %v", err)
	}
}

// A run reports what it does: a loss line at its step, what is saved once it is there, pictures, and progress in
// between.
func TestEvents(t *testing.T) {
	c, d := tiny("mlp")
	dir := t.TempDir()
	b := kernels.NewCPU(1)
	defer b.Close()
	var got []string
	say := func(what string, step uint64) { got = append(got, fmt.Sprintf("%s %d", what, step)) }
	o := Options{Backend: b, Folder: dir, Events: func(e Event) {
		switch e := e.(type) {
		case Training:
			say("training", e.Step)
		case Logged:
			say("logged", e.Step)
			if e.Steps != 100 || e.Unit != "D/2" || !(e.Loss > 0) || math.Abs(e.Relative-e.Loss) > 1e-9 { // D = 2
				t.Errorf("a line of %+v", e)
			}
		case Evaluating:
			say("evaluating", e.Step)
		case HeldOut:
			say("held out", e.Step)
			if !(e.Loss > 0) || math.Abs(e.Relative-e.Loss) > 1e-9 {
				t.Errorf("held-out loss %+v", e)
			}
		case Saved:
			say("saved", e.Step)
			if cp, err := checkpoint.ReadCheckpoint(e.Path); err != nil || cp.Step != e.Step {
				t.Errorf("%+v: %v", e, err)
			}
		case Drawing:
			say("drawing", e.Step)
		case Picture:
			say("picture", e.Step)
			if _, err := os.Stat(e.Path); err != nil {
				t.Error(err)
			}
		case Wrote:
			if l, err := ParseLine(e.Line); err != nil || l.Step == 0 || l.Step > 100 {
				t.Errorf("wrote %s: %v", e.Line, err)
			}
		case Progress:
			if e.Step == 0 || e.Step > 100 || e.Steps != 100 {
				t.Errorf("progress %+v", e)
			}
		default:
			t.Errorf("a run with nothing to say of its start reports %+v", e)
		}
	}}
	o.Hooks.Preview = func(_ context.Context, _ uint64, _ []model.Named, path string) error {
		return os.WriteFile(path, nil, 0o666)
	}
	if _, err := Run(t.Context(), c, d, o); err != nil {
		t.Fatal(err)
	}
	want := []string{"training 0", "logged 20", "evaluating 30", "held out 30", "logged 40", "saved 50", "drawing 50",
		"picture 50",
		"logged 60", "evaluating 60", "held out 60", "logged 80", "evaluating 90", "held out 90",
		"logged 100", "evaluating 100", "held out 100", "saved 100", "drawing 100", "picture 100"}
	if !slices.Equal(got, want) {
		t.Errorf("reported\n%s\nexpected\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
