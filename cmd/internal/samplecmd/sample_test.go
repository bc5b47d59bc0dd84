package samplecmd

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"image/gif"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gorgonia.org/tensor"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
	"sigmaz/sample"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// imageConfig is a run on 8x8 images with three levels, toyConfig one on points in the plane.
func imageConfig() *train.Config {
	return &train.Config{Data: "glyphs", Seed: 1, Batch: 1, Steps: 1, LogEvery: 1,
		Network:  model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 2},
		Sigma:    train.Sigma{Begin: train.SigmaEnd{Value: 1}, End: train.SigmaEnd{Value: 0.5}, Levels: 3},
		Sampling: train.Sampling{T: 4, Epsilon: 0.16, Denoise: true}}
}

func toyConfig() *train.Config {
	c := imageConfig()
	c.Data = "toy:moons"
	c.Network = model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 8, DataSD: 1}
	return c
}

// writeRun writes a run folder with one checkpoint of untrained weights and returns it.
func writeRun(t *testing.T, c *train.Config, prefixes ...string) string {
	t.Helper()
	params, err := c.Network.Params()
	if err != nil {
		t.Fatal(err)
	}
	ck := &checkpoint.Checkpoint{Step: 7, Seed: c.Seed, Config: c.YAML()}
	for g, prefix := range prefixes {
		for i, p := range params {
			w := make([]float32, p.Shape.TotalSize())
			kernels.Stream{Seed: uint64(g), Purpose: kernels.PurposeInit, N: uint64(i)}.Normals(w)
			for j := range w {
				w[j] *= 0.1
			}
			ck.Tensors = append(ck.Tensors, model.Named{Name: prefix + p.Name,
				T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(w))})
		}
	}
	run := filepath.Join(t.TempDir(), "run")
	if err := os.MkdirAll(filepath.Join(run, "checkpoints"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := ck.Write(checkpointOf(run)); err != nil {
		t.Fatal(err)
	}
	return run
}

func checkpointOf(run string) string {
	return filepath.Join(run, "checkpoints", "step-0000007.safetensors")
}

// command runs the command and returns its exit code and output.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = New().Execute(context.Background(), args, cli.Streams{Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func mustRun(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := command(args...)
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	return stdout, stderr
}

// readNPY is as strict as numpy is about the header.
func readNPY(t *testing.T, path string) (shape string, data []float32) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 10 || string(b[:8]) != "\x93NUMPY\x01\x00" {
		t.Fatalf("%s is no NPY 1.0 file", path)
	}
	n := 10 + int(binary.LittleEndian.Uint16(b[8:]))
	_, shape, _ = strings.Cut(string(b[10:n]), "'shape': ")
	shape, _, _ = strings.Cut(shape, "), ")
	for b := b[n:]; len(b) > 0; b = b[4:] {
		data = append(data, math.Float32frombits(binary.LittleEndian.Uint32(b)))
	}
	return shape + ")", data
}

// Every file can be standard output: it gets the bytes that the file would have, and messages go to standard error.
func TestStandardOutput(t *testing.T) {
	images, points := writeRun(t, imageConfig(), "param.", "ema."), writeRun(t, toyConfig(), "param.", "ema.")
	for _, test := range []struct{ run, flag, name string }{
		{images, "-npy", "a.npy"}, {images, "-gif", "a.gif"}, {images, "-o", "a.png"},
		{points, "-npy", "b.npy"}, {points, "-csv", "b.csv"}, {points, "-o", "b.png"}, {points, "-gif", "b.gif"},
	} {
		t.Chdir(t.TempDir())
		rest := []string{test.run, "-n", "3"}
		if test.flag != "-o" {
			rest = append(rest, "-o", "o.png")
		}
		mustRun(t, append(rest, test.flag, test.name)...)
		want, err := os.ReadFile(test.name)
		if err != nil {
			t.Fatal(err)
		}
		stdout, stderr := mustRun(t, append(rest, test.flag, "-")...)
		if stdout != string(want) {
			t.Errorf("%s -: %d bytes on standard output, expected the %d of the file", test.flag, len(stdout), len(want))
		}
		if !strings.Contains(stderr, "\nstandard output: ") {
			t.Errorf("%s -: messages %s", test.flag, stderr)
		}
		if _, err := os.Lstat("-"); err == nil {
			t.Errorf("%s - made a file of that name", test.flag)
		}
	}
}

// A run of NCSN without a moving average is sampled with its weights; images that the network has in [-1, 1] come
// back in [0, 1].
func TestNetworkOptions(t *testing.T) {
	c := imageConfig()
	c.Network = model.Config{Net: "ncsn", Height: 8, Width: 8, Channels: 1, NGF: 2, Levels: 3}
	run := writeRun(t, c, "param.")
	file := filepath.Join(t.TempDir(), "x.npy")
	stdout, stderr := mustRun(t, run, "-n", "3", "-npy", file, "-gif", filepath.Join(t.TempDir(), "x.gif"))
	if stderr != "" || !strings.Contains(stdout, "ncsn, 8x8x1, raw weights (it holds no EMA)") {
		t.Errorf("stdout %s\nstderr %s", stdout, stderr)
	}
	if shape, _ := readNPY(t, file); shape != "(3, 8, 8, 1)" {
		t.Errorf("shape %s", shape)
	}

	// T steps of size nearly zero leave the start as it is: U[0, 1] either way
	values := map[bool][]float32{}
	for _, rescaled := range []bool{false, true} {
		c := imageConfig()
		c.Network.Rescaled, c.Sampling = rescaled, train.Sampling{T: 1, Epsilon: 1e-18}
		mustRun(t, writeRun(t, c, "ema."), "-sampler", "langevin", "-n", "4", "-npy", file)
		_, values[rescaled] = readNPY(t, file)
	}
	for i, v := range values[true] {
		if w := values[false][i]; math.Abs(float64(v-w)) > 1e-6 || !(w > -1e-6 && w < 1+1e-6) {
			t.Fatalf("value %d is %g in a rescaled run, %g in another", i, v, w)
		}
	}
}

func TestImages(t *testing.T) {
	run := writeRun(t, imageConfig(), "param.", "ema.")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }

	// flags before and after the run; 5 images in batches of 1 and of 4, where the second batch is not full
	stdout, stderr := mustRun(t, "-n", "5", run, "-batch", "1", "-seed", "3", "-npy", file("1.npy"))
	picture := filepath.Join(run, "samples", "sample-0000007-seed3.png")
	for _, want := range []string{"step 7", "EMA weights",
		"5 samples by dpm++-2m-sde: 35 noise levels (karras rho 7), eta 3 = 35 evaluations of the network each, 175 in all",
		"the default sampler for runs of ncsnv2; -sampler langevin takes the run's T 4 and epsilon 0.16, 13 evaluations",
		"5 samples in", picture, file("1.npy")} {
		if !strings.Contains(stdout, want) {
			t.Errorf("output has no %q:\n%s", want, stdout)
		}
	}
	if stderr != "" {
		t.Errorf("unexpected on stderr: %s", stderr)
	}
	first, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if img, err := png.Decode(bytes.NewReader(first)); err != nil || img.Bounds().Dx() < 3*8*2 {
		t.Errorf("grid: %v %v", img, err)
	}
	shape, want := readNPY(t, file("1.npy"))
	if shape != "(5, 8, 8, 1)" || len(want) != 5*64 {
		t.Fatalf("shape %s, %d values", shape, len(want))
	}

	mustRun(t, run, "-n", "5", "-batch", "4", "-workers", "1", "-seed=3", "-npy", file("4.npy"), "-gif", file("a.gif"),
		"-images", file("images"), "-o", file("grid.png"))
	if _, got := readNPY(t, file("4.npy")); !slices.Equal(got, want) {
		t.Error("batches of 4 give other images than batches of 1")
	}
	if second, err := os.ReadFile(file("grid.png")); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the pictures differ (%v)", err)
	}
	if entries, _ := os.ReadDir(file("images")); len(entries) != 5 || entries[4].Name() != "00004.png" {
		t.Errorf("images: %v", entries)
	}
	b, err := os.ReadFile(file("a.gif"))
	if err != nil {
		t.Fatal(err)
	}
	if g, err := gif.DecodeAll(bytes.NewReader(b)); err != nil || len(g.Image) != 35 {
		t.Errorf("GIF of 35 levels: %v", err)
	}

	// the same from the checkpoint file, fewer images; other weights, other numbers
	mustRun(t, checkpointOf(run), "-n", "2", "-seed", "3", "-npy", file("2.npy"), "-o", file("x.png"))
	if _, got := readNPY(t, file("2.npy")); !slices.Equal(got, want[:2*64]) {
		t.Error("the first two of two images are not the first two of five")
	}
	for _, args := range [][]string{{"-raw"}, {"-seed", "4"}, {"-T", "5"}, {"-epsilon", "0.02"}, {"-denoise=false"}} {
		mustRun(t, append([]string{run, "-n", "2", "-seed", "3", "-npy", file("other.npy"), "-o", file("x.png")}, args...)...)
		if _, got := readNPY(t, file("other.npy")); slices.Equal(got, want[:2*64]) {
			t.Errorf("%v changes nothing", args)
		}
	}
	if stdout, _ := mustRun(t, run, "-n", "1", "-T", "9", "-denoise=false", "-gif", file("a.gif"), "-o",
		file("x.png")); !strings.Contains(stdout, "T 9 = 27 evaluations") || strings.Contains(stdout, "epsilon 0.16,") {
		t.Errorf("-T 9: %s", stdout)
	}
}

// Frames between two samples: the ends are the samples themselves.
func TestInterpolate(t *testing.T) {
	run := writeRun(t, imageConfig(), "param.", "ema.")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	mustRun(t, run, "-n", "5", "-npy", file("all.npy"))
	_, all := readNPY(t, file("all.npy"))
	const d = 64
	for _, same := range []string{"-same-noise=false", "-same-noise"} {
		images := file("images" + same)
		stdout, _ := mustRun(t, run, "-interpolate", "4:1", "-frames", "6", "-batch", "4", "-npy", file("x.npy"), "-gif", file("x.gif"),
			"-images", images, same)
		picture := filepath.Join(run, "samples", "between-0000007-seed0-4-1.png")
		for _, want := range []string{"6 samples by dpm++-2m-sde", "frame k of 0 to 5: noise of sample 4 times cos and of sample 1 times sin of 18 k degrees",
			picture + ": the frames in a row", "x.gif: the frames as a film"} {
			if !strings.Contains(stdout, want) {
				t.Errorf("output has no %q:\n%s", want, stdout)
			}
		}
		_, x := readNPY(t, file("x.npy"))
		if len(x) != 6*d || !slices.Equal(x[:d], all[4*d:5*d]) || slices.Equal(x[5*d:], all[d:2*d]) != (same != "-same-noise") {
			t.Errorf("%s: the ends are not the samples", same)
		}
		f, err := os.Open(file("x.gif"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if film, err := gif.DecodeAll(f); err != nil || len(film.Image) != 6 {
			t.Errorf("the film: %v", err)
		}
		if entries, err := os.ReadDir(images); err != nil || len(entries) != 6 {
			t.Errorf("%d images, %v", len(entries), err)
		}
	}
}

func TestNoEMA(t *testing.T) {
	run := writeRun(t, imageConfig(), "param.")
	if stdout, _ := mustRun(t, run, "-n", "1"); !strings.Contains(stdout, "raw weights (it holds no EMA)") {
		t.Errorf("output does not say which weights: %s", stdout)
	}
}

// Every sampler draws points, the same in any batch, and says what it does.
func TestSamplers(t *testing.T) {
	run := writeRun(t, toyConfig(), "ema.")
	dir := t.TempDir()
	one, all := filepath.Join(dir, "one.npy"), filepath.Join(dir, "all.npy")
	seen := map[string]bool{}
	for _, name := range sample.SamplerNames() {
		args := []string{run, "-sampler", name, "-n", "3", "-o", filepath.Join(dir, "a.png")}
		mustRun(t, append(args, "-batch", "1", "-npy", one)...)
		if name == "heun" || name == "pc" {
			args = append(args, "-gif", filepath.Join(dir, "a.gif"))
		}
		stdout, stderr := mustRun(t, append(args, "-npy", all)...)
		_, x := readNPY(t, one)
		if _, y := readNPY(t, all); !slices.Equal(x, y) {
			t.Errorf("%s: samples depend on the batch", name)
		}
		if seen[fmt.Sprint(x)] {
			t.Errorf("%s: samples of another sampler", name)
		}
		seen[fmt.Sprint(x)] = true
		if name != sample.Langevin && !strings.Contains(stdout, "3 samples by "+name+": ") || stderr != "" {
			t.Errorf("%s: %s%s", name, stdout, stderr)
		}
	}
	for args, want := range map[string]string{
		"heun -nfe 8":         "4 noise levels (karras rho 7) = 7 evaluations of the network each, 14 in all",
		"dpm++-2m-sde":        "35 noise levels (karras rho 7), eta 1 = 35 evaluations",
		"consistent -eta 0.5": "3 noise levels (ladder), eta 0.5 = 3 evaluations",
		"consistent -nfe 20":  "20 noise levels (geometric), eta 1 = 20 evaluations",
		"pc -corrector-steps 2 -snr 0.2 -predictor em":         "predictor em, 2 corrector steps a level, snr 0.2 = 9 evaluations",
		"pc -corrector-steps 0":                                "no corrector = 3 evaluations",
		"euler -churn 4 -churn-min 0.6 -schedule geometric":    "35 noise levels (geometric), churn 4 = 35 evaluations",
		"rk45 -tolerance 1e-3 -denoise=false":                  "by rk45: tolerance 0.001; sigma",
		"rk45 -tolerance 1e-2":                                 " a sample\n",
		"langevin -T 2":                                        "3 levels x T 2 + 1 = 7 evaluations",
		"dpm++-sde -nfe 9 -schedule karras -rho 5 -eta 0.5 -v": "mlp sees sigma",
	} {
		stdout, _ := mustRun(t, append([]string{run, "-n", "2", "-o", filepath.Join(dir, "a.png"), "-sampler"}, strings.Fields(args)...)...)
		if !strings.Contains(stdout, want) {
			t.Errorf("%s: %q is not in %s", args, want, stdout)
		}
	}
}

// Which sampler is taken where nobody names one.
func TestDefaultSampler(t *testing.T) {
	blind, begun, levels, single, named := imageConfig(), imageConfig(), imageConfig(), imageConfig(), imageConfig()
	seen := toyConfig()
	named.Sampling.Sampler, seen.Sampling.Sampler = "langevin", "langevin"
	begun.Init = "checkpoint.pth"
	levels.Network.Net, levels.Network.Levels = "ncsn", 3
	single.Sigma.Levels, single.Sampling.T = 1, 20
	const langevin, new = " x T ", "5 samples by dpm++-2m-sde: "
	for _, c := range []struct {
		run  *train.Config
		args []string
		want string
	}{
		{blind, nil, new + "35 noise levels (karras rho 7), eta 3"},
		{blind, []string{"-nfe", "18", "-eta", "2"}, new + "18 noise levels (karras rho 7), eta 2"},
		{blind, []string{"-sampler", "langevin"}, "3 levels x T 4 + 1 = 13 evaluations of the network each, 65 in all; sigma 1 to 0.5, epsilon 0.16"},
		{blind, []string{"-T", "4"}, langevin}, {blind, []string{"-epsilon", "0.1"}, langevin},
		{blind, []string{"-denoise=false"}, "x T 4 = 12"},
		{begun, nil, langevin}, {levels, nil, langevin}, {single, nil, langevin}, {named, nil, langevin},
		{toyConfig(), nil, "5 samples by dpm++-2m: 35 noise levels (karras rho 7) = 35 evaluations"},
		{toyConfig(), []string{"-T", "4"}, langevin}, {seen, nil, langevin},
	} {
		stdout, _ := mustRun(t, append(c.args, writeRun(t, c.run, "param."), "-n", "5")...)
		if !strings.Contains(stdout, c.want) {
			t.Errorf("%s %v: no %q in %s", c.run.Network.Net, c.args, c.want, stdout)
		}
		if said := strings.Contains(stdout, "is the default sampler"); said != strings.HasPrefix(c.want, "5 samples by ") {
			t.Errorf("%v: it says which sampler is the default: %t", c.args, said)
		}
	}
	if code, _, stderr := command(writeRun(t, toyConfig(), "ema."), "-eta", "1"); code != 2 || !strings.Contains(stderr, "and the sampler is dpm++-2m") {
		t.Errorf("-eta for dpm++-2m: %d %s", code, stderr)
	}
}

// What does not suit a network that does not see sigma, or that knows only levels, is refused, and drawn with -anyway.
func TestAnyway(t *testing.T) {
	c := imageConfig()
	c.Sigma.End.Value = 0.01
	blind := writeRun(t, c, "ema.")
	if code, _, stderr := command(blind, "-sampler", "heun"); code != 1 || !strings.Contains(stderr, "-sampler is heun: ncsnv2 does not see sigma") {
		t.Errorf("%d %s", code, stderr)
	}
	stdout, stderr := mustRun(t, blind, "-sampler", "heun", "-n", "1", "-anyway", "-v")
	if !strings.Contains(stderr, "is predicted to stay") || !strings.Contains(stdout, "sigma 0.01 ") {
		t.Errorf("%s%s", stdout, stderr)
	}
	if _, stderr := mustRun(t, blind, "-sampler", "dpm++-2m-sde", "-n", "1"); stderr != "" {
		t.Errorf("a sampler that suits is warned about: %s", stderr)
	}
	c.Network.Net, c.Network.Levels = "ncsn", 3
	levels := writeRun(t, c, "param.")
	if code, _, stderr := command(levels, "-sampler", "dpm++-2m"); code != 1 || !strings.Contains(stderr, "ncsn knows noise only as one of the 3 levels") {
		t.Errorf("%d %s", code, stderr)
	}
	if _, stderr := mustRun(t, levels, "-sampler", "dpm++-2m", "-n", "1", "-anyway"); !strings.Contains(stderr, "the nearest one stands for") {
		t.Errorf("no warning: %s", stderr)
	}
	mustRun(t, levels, "-sampler", "consistent", "-n", "1")
}

// A network that does not see sigma is warned about, with settings that are not.
func TestWarning(t *testing.T) {
	run := writeRun(t, imageConfig(), "param.", "ema.")
	_, stderr := mustRun(t, run, "-n", "1", "-T", "1", "-epsilon", "0.001")
	i := strings.Index(stderr, "use -T ")
	if i < 0 {
		t.Fatalf("no warning: %q", stderr)
	}
	var T int
	var eps float64
	if _, err := fmt.Sscanf(stderr[i:], "use -T %d -epsilon %g", &T, &eps); err != nil {
		t.Fatal(err)
	}
	if _, stderr := mustRun(t, run, "-n", "1", "-T", "4", "-epsilon", "0.15"); !strings.Contains(stderr,
		"is 1.45 of 4(g-1)") || !strings.Contains(stderr, "is close to it") {
		t.Errorf("no warning close to the limit: %q", stderr)
	}
	if _, stderr := mustRun(t, run, "-n", "1", "-T", fmt.Sprint(T), "-epsilon", fmt.Sprint(eps)); stderr != "" {
		t.Errorf("the settings advised are warned about: %s", stderr)
	}
	if _, stderr := mustRun(t, writeRun(t, toyConfig(), "param."), "-n", "1", "-T", "1", "-epsilon",
		"0.001"); strings.Contains(stderr, "grow") {
		t.Errorf("a network that sees sigma is warned about: %s", stderr)
	}
}

func TestPoints(t *testing.T) {
	run := writeRun(t, toyConfig(), "param.", "ema.")
	dir := t.TempDir()
	npy, film := filepath.Join(dir, "a.npy"), filepath.Join(dir, "a.gif")
	stdout, _ := mustRun(t, run, "-n", "700", "-npy", npy, "-gif", film)
	if shape, _ := readNPY(t, npy); shape != "(700, 2)" {
		t.Errorf("shape %s", shape)
	}
	for _, name := range []string{"", "-fields", "-noise"} {
		path := filepath.Join(run, "samples", "sample-0000007-seed0"+name+".png")
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := png.Decode(bytes.NewReader(b)); err != nil {
			t.Error(err)
		}
		if !strings.Contains(stdout, path) {
			t.Errorf("%s is not named in the output", path)
		}
	}

	// the data has gone: pictures without it, and a warning
	c := toyConfig()
	c.Data = filepath.Join(dir, "gone")
	if _, stderr := mustRun(t, writeRun(t, c, "ema."), "-n", "20"); !strings.Contains(stderr, "without the data") {
		t.Errorf("no warning: %q", stderr)
	}

	// one level: no founding picture, a film of one frame
	c = toyConfig()
	c.Sigma.Levels, c.Sampling.T = 1, 20
	run = writeRun(t, c, "ema.")
	stdout, _ = mustRun(t, run, "-n", "20", "-denoise=false", "-gif", film)
	if !strings.Contains(stdout, "-fields.png") || strings.Contains(stdout, "-noise.png") ||
		!strings.Contains(stdout, "1 level x T 20 = 20 evaluations") {
		t.Errorf("one level: %s", stdout)
	}

	// more dimensions: pairs of columns
	c = toyConfig()
	c.Network.Channels = 5
	run = writeRun(t, c, "ema.")
	stdout, _ = mustRun(t, run, "-n", "3", "-npy", npy)
	if shape, _ := readNPY(t, npy); shape != "(3, 5)" || !strings.Contains(stdout, "sample-0000007-seed0.png") ||
		strings.Contains(stdout, "-fields.png") {
		t.Errorf("shape %s, output %s", shape, stdout)
	}
	if code, _, stderr := command(run, "-gif", film); code != 1 ||
		!strings.Contains(stderr, "-gif: expected images or points in the plane") {
		t.Errorf("film of five dimensions: %d %s", code, stderr)
	}
}

// Vectors that were standardised are written in their own units, as float64 and as a table with the columns' names.
func TestScaler(t *testing.T) {
	c := toyConfig()
	plain := writeRun(t, c, "ema.")
	c.Scaler = &dataset.Scaler{Columns: []string{"length, cm", "year"}, Mean: []float64{0.5, 1e9}, SD: []float64{2, 0.25}}
	run := writeRun(t, c, "ema.")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	mustRun(t, plain, "-n", "4", "-npy", file("y.npy"))
	stdout, _ := mustRun(t, run, "-n", "4", "-npy", file("x.npy"), "-csv", file("x.csv"))
	if !strings.Contains(stdout, "float64 [4 2], in the data's own units") || !strings.Contains(stdout, "standardised") {
		t.Errorf("output: %s", stdout)
	}
	_, y := readNPY(t, file("y.npy"))
	f, err := os.Open(file("x.npy"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in, err := npy.NewReader("x.npy", f, -1)
	if err != nil || in.Type() != "float64" {
		t.Fatalf("%v %v", in, err)
	}
	x, err := npy.ReadAll[float64](in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file("x.csv"))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 5 || !slices.Equal(rows[0], c.Scaler.Columns) {
		t.Fatalf("%v\n%s", err, text)
	}
	for i, v := range x {
		want := c.Scaler.Mean[i%2] + c.Scaler.SD[i%2]*float64(y[i])
		got, err := strconv.ParseFloat(rows[1+i/2][i%2], 64)
		if err != nil || v != want || math.Abs(got-want) > 1e-7*c.Scaler.SD[i%2]*max(1, math.Abs(float64(y[i]))) {
			t.Errorf("value %d: %v in the array and %s in the table, expected %v", i, v, rows[1+i/2][i%2], want)
		}
	}

	for _, bad := range []struct {
		spoil func(c *train.Config)
		args  []string
		want  string
	}{
		{func(c *train.Config) { c.Scaler = &dataset.Scaler{Mean: []float64{1}, SD: []float64{1}} }, nil, "scaler: expected 2 means"},
		{func(c *train.Config) { c.Scaler = &dataset.Scaler{Mean: []float64{1, 2}, SD: []float64{1, 0}} }, nil, "found 2 and 0 for column 2"},
		{func(c *train.Config) { *c = *imageConfig() }, []string{"-csv", file("i.csv")}, "-csv: images are no rows of a table"},
	} {
		c := toyConfig()
		bad.spoil(c)
		if code, _, stderr := command(append([]string{writeRun(t, c, "ema.")}, bad.args...)...); code != 1 ||
			!strings.Contains(stderr, bad.want) {
			t.Errorf("expected %q: %d %s", bad.want, code, stderr)
		}
	}
	if _, err := os.Stat(file("i.csv")); err == nil {
		t.Error("a refused table was written")
	}
}

func TestWrongUse(t *testing.T) {
	run := writeRun(t, imageConfig(), "param.", "ema.")
	dir := t.TempDir()
	damaged := filepath.Join(dir, "damaged.safetensors")
	b, err := os.ReadFile(checkpointOf(run))
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-3] ^= 1
	if err := os.WriteFile(damaged, b, 0o666); err != nil {
		t.Fatal(err)
	}
	full := filepath.Join(dir, "full")
	os.Mkdir(full, 0o777)
	os.WriteFile(filepath.Join(full, "00003.png"), nil, 0o666)
	missing := filepath.Join(dir, "missing")
	toy := writeRun(t, toyConfig(), "ema.")
	same, film := filepath.Join(dir, "same.png"), filepath.Join(dir, "film.gif")
	inDir := func(name string) string { return dir + "/./" + name } // not cleaned
	os.Mkdir(filepath.Join(dir, "taken-fields.png"), 0o777)

	for _, c := range []struct {
		name string
		args []string
		code int
		want []string // parts of the message
	}{
		{"two runs", []string{run, "other"}, 2, []string{"2 arguments", "other"}},
		{"unknown flag", []string{run, "-seeed", "1"}, 2, []string{"unknown flag -seeed", "did you mean -seed"}},
		{"no number", []string{run, "-n", "many"}, 2, []string{"-n", "many"}},
		{"-n 0", []string{run, "-n", "0"}, 2, []string{"-n is 0", "at least 1"}},
		{"-T 0", []string{run, "-T", "0"}, 2, []string{"-T is 0", "at least 1"}},
		{"-epsilon -1", []string{run, "-epsilon", "-1"}, 2, []string{"-epsilon is -1", "positive"}},
		{"-epsilon NaN", []string{run, "-epsilon", "NaN"}, 2, []string{"-epsilon is NaN"}},
		{"-batch 0", []string{run, "-batch", "0"}, 2, []string{"-batch is 0"}},
		{"-workers -1", []string{run, "-workers", "-1"}, 2, []string{"-workers is -1"}},
		{"-seed -1", []string{run, "-seed", "-1"}, 2, []string{"-seed"}},
		{"-o not a PNG", []string{run, "-o", "x.jpg"}, 2, []string{"-o is x.jpg", ".png"}},
		{"-npy empty", []string{run, "-npy", ""}, 2, []string{"-npy"}},
		{"-o is -npy", []string{run, "-o", same, "-npy", same}, 2, []string{"-o and -npy", same}},
		{"-o is -npy by another name", []string{run, "-o", same, "-npy", inDir("same.png")}, 2, []string{"-o and -npy", "same.png"}},
		{"-npy is -gif", []string{run, "-npy", inDir("full/../film.gif"), "-gif", film}, 2, []string{"-npy and -gif", film}},
		{"-npy is the default of -o", []string{run, "-npy", filepath.Join(run, "samples", "sample-0000007-seed0.png")}, 2, []string{"default of -o and -npy", "seed0.png"}},
		{"-npy is the picture of the fields", []string{toy, "-o", same, "-npy", inDir("same-fields.png")}, 2, []string{"-npy and the -fields.png beside -o", "same-fields.png"}},
		{"-npy is the picture of the noise", []string{toy, "-o", same, "-npy", inDir("same-noise.png")}, 2, []string{"-npy and the -noise.png beside -o", "same-noise.png"}},
		{"-npy is the default picture of the noise", []string{toy, "-npy", filepath.Join(toy, "samples", "sample-0000007-seed0-noise.png")}, 2, []string{"-npy and the -noise.png beside the default of -o", "seed0-noise.png"}},
		{"the picture of the fields is a folder", []string{toy, "-o", filepath.Join(dir, "taken.png")}, 1, []string{"taken-fields.png", "folder"}},
		{"-epsilon too large", []string{run, "-epsilon", "1"}, 1, []string{"epsilon is 1", "try"}},
		{"-n too large", []string{run, "-n", "2000000000"}, 1, []string{"-n is 2000000000", "at most"}},
		{"missing run", []string{missing}, 1, []string{missing, "does not exist"}},
		{"not a run", []string{full}, 1, []string{full}},
		{"damaged", []string{damaged}, 1, []string{damaged}},
		{"not a checkpoint", []string{filepath.Join(full, "00003.png")}, 1, []string{"00003.png"}},
		{"-o in a missing folder", []string{run, "-o", filepath.Join(missing, "a.png")}, 1, []string{missing}},
		{"-npy in a missing folder", []string{run, "-npy", filepath.Join(missing, "a.npy")}, 1, []string{missing}},
		{"-npy is a folder", []string{run, "-npy", full}, 1, []string{full, "folder"}},
		{"-images not empty", []string{run, "-images", full}, 1, []string{full, "not empty"}},
		{"-images below a file", []string{run, "-images", filepath.Join(damaged, "x")}, 1, []string{damaged}},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := command(c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range append(c.want, "sample: ") {
				if !strings.Contains(stderr, want) {
					t.Errorf("message %q has no %q", stderr, want)
				}
			}
			if strings.Count(stderr, "\n") != 1 || strings.Contains(stderr, "goroutine 1") {
				t.Errorf("not one line: %s", stderr)
			}
			if strings.Contains(stdout, "evaluations a second") {
				t.Errorf("samples were drawn before the mistake was found: %s", stdout)
			}
		})
	}
	if code, stdout, stderr := command("-h"); code != 0 || stderr != "" || !strings.Contains(stdout, "-denoise") {
		t.Errorf("-h: %d %q %q", code, stdout, stderr)
	}
}

// A checkpoint of PyTorch, in both containers, gives the samples that its weights give in a checkpoint of this
// program: the moving average by default.
func TestPyTorch(t *testing.T) {
	dir := golden.Path()
	const name = "ncsnv2-10x8-swish-rescaled-linear"
	_, tensors, err := checkpoint.ReadSafetensors(filepath.Join(dir, name+".safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	c := imageConfig()
	c.Network = model.Config{Net: "ncsnv2", Height: 10, Width: 8, Channels: 1, NGF: 3, Nonlinearity: "swish",
		Rescaled: true}
	c.Sigma = train.Sigma{Begin: train.SigmaEnd{Value: 10}, End: train.SigmaEnd{Value: 0.05}, Levels: 5, Spacing: "linear"}
	ck := &checkpoint.Checkpoint{Step: 7, Config: c.YAML()}
	for _, nt := range tensors {
		for from, to := range map[string]string{"adam.": "param.", "ema.": "ema."} {
			if short, ok := strings.CutPrefix(nt.Name, from); ok {
				ck.Tensors = append(ck.Tensors, model.Named{Name: to + short, T: nt.T})
			}
		}
	}
	ours, out, png := filepath.Join(t.TempDir(), "c.safetensors"), filepath.Join(t.TempDir(), "s.npy"),
		filepath.Join(t.TempDir(), "s.png")
	if err := ck.Write(ours); err != nil {
		t.Fatal(err)
	}
	flags := []string{"-n", "2", "-T", "2", "-epsilon", "1e-4", "-denoise", "-npy", out, "-o", png}
	var ema []float32
	for _, raw := range []string{"-raw=false", "-raw"} {
		mustRun(t, append([]string{ours, raw}, flags...)...)
		_, want := readNPY(t, out)
		if slices.Equal(want, ema) {
			t.Error("raw weights and moving average give the same samples")
		}
		ema = want
		for _, pth := range []string{name + ".pth", name + "-legacy.pth"} {
			stdout, _ := mustRun(t, append([]string{filepath.Join(dir, pth), "-net", "ncsnv2", "-size", "10x8", "-nonlinearity",
				"swish", "-rescaled", raw}, flags...)...)
			if _, got := readNPY(t, out); !slices.Equal(got, want) {
				t.Errorf("%s %s: other samples", pth, raw)
			}
			if !strings.Contains(stdout, "step 3, ncsnv2, 10x8x1") {
				t.Errorf("%s: it said %q", pth, stdout)
			}
		}
	}
	code, _, stderr := command(filepath.Join(dir, name+".pth"))
	if code != 1 || !strings.Contains(stderr, "give -size HxW") {
		t.Errorf("without a size: %d, %s", code, stderr)
	}
}

func TestHelp(t *testing.T) { clitest.Check(t, New) }

func TestUnwritable(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() == 0 {
		t.Skip("this user can write anywhere")
	}
	run := writeRun(t, imageConfig(), "ema.")
	dir := t.TempDir()
	os.Chmod(dir, 0o555)
	defer os.Chmod(dir, 0o777)
	if code, _, stderr := command(run, "-o", filepath.Join(dir, "a.png")); code != 1 ||
		!strings.Contains(stderr, "cannot write") {
		t.Errorf("%d %s", code, stderr)
	}
}

// Ctrl-C: what is finished is written, the rest is named, and nothing when there is nothing.
func TestInterrupt(t *testing.T) {
	run1 := writeRun(t, imageConfig(), "ema.")
	out := filepath.Join(t.TempDir(), "a.png")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var errs bytes.Buffer
	if code := New().Execute(ctx, []string{run1, "-n", "3", "-o", out}, cli.Streams{Out: io.Discard,
		Err: &errs}); code != 1 || !strings.Contains(errs.String(), "nothing was written") {
		t.Errorf("%d %s", code, errs.String())
	}
	if _, err := os.Stat(out); err == nil {
		t.Error("a picture of nothing was written")
	}

	const n = 30_000 // more than there is time for
	npy := filepath.Join(t.TempDir(), "a.npy")
	code, finished := 0, 0
	for patience := 100 * time.Millisecond; finished == 0 && patience < time.Minute; patience *= 4 {
		ctx, cancel = context.WithCancel(context.Background())
		time.AfterFunc(patience, cancel)
		errs.Reset()
		code = New().Execute(ctx, []string{run1, "-sampler", "langevin", "-n", fmt.Sprint(n), "-batch", "1", "-o", out, "-npy", npy},
			cli.Streams{Out: io.Discard, Err: &errs})
		cancel()
		fmt.Sscanf(errs.String(), "sample: interrupted: %d", &finished)
	}
	if want := fmt.Sprintf("%s finished and written, %d missing", cli.Count(finished, "sample"), n-finished); code != 1 || finished == 0 ||
		!strings.Contains(errs.String(), want) {
		t.Errorf("%d %s", code, errs.String())
	}
	if shape, _ := readNPY(t, npy); shape != fmt.Sprintf("(%d, 8, 8, 1)", finished) {
		t.Errorf("shape %s of %d", shape, finished)
	}
}
