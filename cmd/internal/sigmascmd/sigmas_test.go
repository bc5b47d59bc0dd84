package sigmascmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/cmd/internal/traincmd"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

func TestHelp(t *testing.T) { clitest.Check(t, New) }

// command runs the command.
func command(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = New().Execute(context.Background(), args, cli.Streams{Out: &out, Err: &errs})
	return code, out.String(), errs.String()
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := command(args...)
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// array writes an NPY file.
func array[V npy.Written](t *testing.T, name string, shape []int, values []V) string {
	t.Helper()
	var b bytes.Buffer
	if err := npy.WriteHeader[V](&b, shape); err != nil {
		t.Fatal(err)
	}
	if err := npy.WriteValues(&b, values); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// idx writes images of 8x8.
func idx(t *testing.T, n int, pixels []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "some-images-idx3-ubyte")
	if err := os.WriteFile(path, append([]byte{0, 0, 8, 3, 0, 0, 0, byte(n), 0, 0, 0, 8, 0, 0, 0, 8}, pixels...), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// sixImages are images of 8x8: a black one twice, one with a pixel of 51 in two copies that differ in place, a white
// one, and one a single step off black. All distances are known.
func sixImages(t *testing.T) string {
	x := make([]byte, 6*64)
	x[2*64+10], x[3*64+11] = 51, 51 // 0.2 from black, 0.2 sqrt 2 from each other
	for k := range 64 {
		x[4*64+k] = 255 // 8 from black
	}
	x[5*64] = 1
	return idx(t, 6, x)
}

// report runs the command with -json and returns the lines and the numbers.
func report(t *testing.T, args ...string) (lines string, r Report) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "r.json")
	lines = must(t, append(args, "-json", path)...)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	// Written again they are the same.
	var again bytes.Buffer
	if err := r.json(&again); err != nil || !bytes.Equal(again.Bytes(), b) {
		t.Errorf("read and written again:\n%s\n%s", b, again.Bytes())
	}
	return lines, r
}

// A data set whose distances are known, with two copies of one image and pairs at the same distance.
func TestSixImages(t *testing.T) {
	lines, r := report(t, sixImages(t))
	if r.Data.Rows != 6 || r.Data.D != 64 || r.Data.Duplicates != 1 || !r.Data.Images {
		t.Errorf("%+v", r.Data)
	}
	// White is furthest from black, of which image 0 is the first; 5 is one step from it.
	d := r.Distances
	if d.Largest != 8 || d.Farthest != [2]int{0, 4} || math.Abs(d.Smallest-1.0/255) > 1e-15 || d.Nearest != [2]int{0, 5} ||
		d.Pairs != 10 || d.Sampled != 6 {
		t.Errorf("%+v", d)
	}
	if l := r.Ladder; l.Begin != 8 || l.End != 0.01 || math.Abs(l.Touch-1.0/255/16) > 1e-15 || l.Bounded != 0.004 ||
		l.LevelsRule != "technique 2" {
		t.Errorf("%+v", l)
	}
	for _, want := range []string{"6 images 8x8x1, D = 64; 1 duplicates", "largest 8.0000 (images 0, 4), smallest 0.003922 (0, 5), over all 10 pairs",
		"sigma_1     8       the largest distance (Technique 1)",
		"sigma_L     0.01    2.6 grey levels; by the smallest distance d_min/(2 sqrt D) it would be 0.000245, within its bounds 0.004",
		"DPM++ 2M SDE, eta 3: 35 evaluations an image", "64 images x 35 evaluations = 2,240, about "} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
	// The lines come in one order.
	at := -1
	for _, name := range []string{"data", "distances", "sigma_1", "sigma_L", "levels", "T, epsilon", "sampling", "check", "flags"} {
		next := strings.Index("\n"+lines, fmt.Sprintf("\n%-*s", indent, name))
		if next <= at {
			t.Errorf("%s is not where it should be:\n%s", name, lines)
		}
		at = next
	}
}

// Points: a rectangle in the plane, whose diagonals are equal. The first of them counts.
func TestRectangle(t *testing.T) {
	lines, r := report(t, array(t, "r.npy", []int{4, 2}, []float32{0, 0, 3, 0, 0, 4, 3, 4}), "-standardize", "none")
	d := r.Distances
	if d.Largest != 5 || d.Farthest != [2]int{0, 3} || d.Smallest != 3 || d.Nearest != [2]int{0, 1} || r.Data.Images {
		t.Errorf("%+v", d)
	}
	if l, g := r.Ladder, r.Langevin; l.LevelsRule != "preset" || l.Levels != 100 || g.Margin != 0 || g.EpsilonRule != "preset" {
		t.Errorf("%+v, %+v", l, g)
	}
	// tr C = 2.25 + 4 over two values; m = (1.5, 2).
	sd, m2 := math.Sqrt(6.25/2), 6.25
	if math.Abs(r.Data.SD-sd) > 1e-12 || math.Abs(r.Check.FromZero-r.Check.FromMean-m2/50) > 1e-12 {
		t.Errorf("sd %g, %+v", r.Data.SD, r.Check)
	}
	for _, want := range []string{"(rows 0, 3)", "the network sees sigma: no condition on T", "of a value's deviation"} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %q in\n%s", want, lines)
		}
	}
}

// known makes a report as if the data had been looked at.
func known(t *testing.T, d int, largest, smallest float64) (*Report, *train.Config) {
	t.Helper()
	p, err := train.FindPreset("glyphs")
	if err != nil {
		t.Fatal(err)
	}
	return &Report{Data: Data{Images: true, D: d, SD: 0.25}, Distances: Distances{Largest: largest, Smallest: smallest}}, &p.Config
}

// The three data sets of which the distances are known, the default glyphs and the published ladder.
func TestDesign(t *testing.T) {
	data := train.SigmaEnd{Rule: train.RuleData}
	for _, test := range []struct {
		name              string
		d                 int
		largest, smallest float64
		w                 wish
		end               float64
		levels            int
		ratio, eps, q     float64
		margin            float64
		nfe               int
	}{
		{"glyphs", 784, 15, 0.473, wish{begin: data}, 0.01, 99, 1.07748, 1.069e-5, 0.1069, 1.72, 496},
		{"MNIST", 784, 16.8758, 0.8218, wish{begin: data}, 0.01, 101, 1.07714, 1.066e-5, 0.1066, 1.73, 506},
		{"MNIST by d_min", 784, 16.8758, 0.8218, wish{begin: data, end: data}, 0.01467, 96, 1.07701, 2.292e-5, 0.1064, 1.73, 481},
		{"Fashion-MNIST", 784, 22.4561, 0.0736, wish{begin: data}, 0.01, 105, 1.07702, 1.064e-5, 0.1065, 1.73, 526},
		{"CIFAR-10", 3072, 53.4150, 2.7506, wish{begin: data}, 0.01, 234, 1.03752, 6.179e-6, 0.0618, 2.06, 1171},
		{"CIFAR-10 by d_min", 3072, 53.4150, 2.7506, wish{begin: data, end: data}, 0.02481, 209, 1.03759, 3.810e-5, 0.0619, 2.06, 1046},
		{"published", 3072, 53.4150, 2.7506, wish{begin: train.SigmaEnd{Value: 50}}, 0.01, 232, 1.03756, 6.184e-6, 0.0618, 2.06, 1161},
	} {
		r, c := known(t, test.d, test.largest, test.smallest)
		if err := r.choose(c, test.w, new(bytes.Buffer)); err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		l, g := r.Ladder, r.Langevin
		if math.Abs(l.End-test.end) > 5e-6 || l.Levels != test.levels || math.Abs(l.Ratio-test.ratio) > 1.5e-5 ||
			math.Abs(g.Epsilon/test.eps-1) > 1e-3 || math.Abs(g.Q-test.q) > 1e-4 || math.Abs(g.Margin-test.margin) > 0.0051 ||
			g.NFE != test.nfe || g.T != 5 || r.Sampling.NFE != 35 || r.Sampling.Eta != 3 {
			t.Errorf("%s: %+v, %+v, %+v", test.name, l, g, r.Sampling)
		}
	}
}

// Plans that are not stable are refused with what would do; one near the limit comes with a warning.
func TestUnsafePlans(t *testing.T) {
	data := train.SigmaEnd{Rule: train.RuleData}
	mnist := func() (*Report, *train.Config) { return known(t, 784, 16.8758, 0.8218) }
	cifar := func() (*Report, *train.Config) { return known(t, 3072, 53.4150, 2.7506) }
	const sampler = "leave it out and sample by DPM++ 2M SDE, which takes 35 evaluations (sample -sampler dpm++-2m-sde)"
	for _, test := range []struct {
		data  func() (*Report, *train.Config)
		w     wish
		error string // "": none
		text  string
	}{
		{mnist, wish{nfe: 100}, "-nfe is 100, less than a step at each of the 101 levels takes, 102; use -nfe 506 or more (T = 5)", ""},
		{mnist, wish{nfe: 250}, "-nfe is 250, which is T = 2 at 101 levels with stability 0.83: below 1", ""},
		{mnist, wish{nfe: 500}, "", "warning: below 1 samples run away, and this is close to it: -T 5, 506 evaluations, is safe"},
		{mnist, wish{nfe: 1000}, "", "9, 8.69"},
		{mnist, wish{nfe: 2500}, "", "24, 5.3"},
		{cifar, wish{nfe: 250}, "-nfe is 250, which is T = 1 at 234 levels with stability 0.47", ""},
		{cifar, wish{nfe: 500}, "-nfe is 500, which is T = 2 at 234 levels with stability 0.91", ""},
		{cifar, wish{nfe: 1000}, "", "4, 6.3"},
		{mnist, wish{t: 2}, "-T is 2 with stability 0.83: below 1 annealed Langevin dynamics runs away on a network that does not see sigma; use -T 5 or more", ""},
		{mnist, wish{t: 3}, "", "warning: below 1"},
		{mnist, wish{levels: 2}, "", "no T is safe on so coarse a ladder: sample by DPM++ 2M SDE"},
		{mnist, wish{levels: 2, t: 9}, "use more -levels, or leave it out", ""},
		{mnist, wish{levels: 60}, "", "the least T that is safe on this ladder: the preset's is not"},
	} {
		r, c := test.data()
		test.w.begin = data
		var out bytes.Buffer
		err := r.choose(c, test.w, &out)
		if test.error == "" {
			if err != nil || !strings.Contains(out.String(), test.text) {
				t.Errorf("%+v: %v\n%s", test.w, err, &out)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.error) || !strings.Contains(err.Error(), sampler) {
			t.Errorf("%+v: %v", test.w, err)
		}
		if !strings.HasPrefix(out.String(), "sigma_1 ") || !strings.Contains(out.String(), "levels") {
			t.Errorf("%+v: what could be said was not:\n%s", test.w, &out)
		}
	}
}

// The flags of the last line and the file of -yaml are taken by train, and make the ladder that was printed.
func TestTrainTakesIt(t *testing.T) {
	dir := t.TempDir()
	x := make([]byte, 40*64)
	for k := range x {
		x[k] = byte(kernels.Stream{Seed: 3, Purpose: kernels.PurposeData}.Word(k))
	}
	images := idx(t, 40, x)
	table := array(t, "table.npy", []int{40, 3}, func() (v []float32) {
		for _, b := range x[:120] {
			v = append(v, float32(b))
		}
		return v
	}())
	for _, test := range []struct {
		data string
		args []string
		more []string // what makes the training short
	}{
		{images, []string{"-sigma-end", "data"}, []string{"-ngf", "2", "-batch", "2"}},
		{images, []string{"-white", "255", "-T", "40", "-seed", "5"}, []string{"-ngf", "2", "-batch", "2"}},
		{table, []string{"-standardize", "whiten"}, []string{"-hidden", "4", "-batch", "4"}},
	} {
		fragment := filepath.Join(dir, "noise.yaml")
		lines, r := report(t, append([]string{test.data, "-yaml", fragment}, test.args...)...)
		if !strings.Contains(lines, "flags       "+strings.Join(r.Flags, " ")+"\n") {
			t.Errorf("flags %q are not in\n%s", r.Flags, lines)
		}
		short := append([]string{"-runs", dir, "-steps", "2", "-held-out", "0", "-preview-n", "0", "-cache", "none"}, test.more...)
		byFlags := append([]string{"-data", test.data, "-name", "flags"}, r.Flags...)
		for i := 0; i < len(test.args); i += 2 { // how the data is read is for train too
			if name := test.args[i]; name == "-white" || name == "-seed" || name == "-standardize" {
				byFlags = append(byFlags, name, test.args[i+1])
			}
		}
		for name, args := range map[string][]string{"flags": byFlags, "yaml": {"-config", fragment, "-name", "yaml"}} {
			var out, errs bytes.Buffer
			code := traincmd.New().Execute(context.Background(), append(args, short...), cli.Streams{Out: &out, Err: &errs})
			if code != 0 || errs.Len() > 0 {
				t.Fatalf("%s %v: code %d: %s", name, args, code, &errs)
			}
			run, err := train.Load(filepath.Join(dir, name), "")
			if err != nil {
				t.Fatal(err)
			}
			c := run.Config
			if c.Sigma.Begin.Value != r.Ladder.Begin || c.Sigma.End.Value != r.Ladder.End || c.Sigma.Levels != r.Ladder.Levels ||
				c.Sampling.T != r.Langevin.T || c.Sampling.Epsilon != r.Langevin.Epsilon || c.Network.D() != r.Data.D {
				t.Errorf("%s: %+v, %+v, D = %d; the design is %+v, %+v", name, c.Sigma, c.Sampling, c.Network.D(), r.Ladder, r.Langevin)
			}
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What a file for train holds.
func TestFragment(t *testing.T) {
	r := &Report{Data: Data{Spec: "x"}, Ladder: Ladder{Begin: 8, End: 0.01, Levels: 70}, Langevin: Langevin{T: 6, Epsilon: 1.5e-5}}
	var out bytes.Buffer
	if err := r.yaml(&out, fragment{Preset: "cifar10", Seed: 3, Reading: dataset.Settings{Size: "8"}}); err != nil {
		t.Fatal(err)
	}
	c, err := train.ParseConfig(out.String())
	if err != nil {
		t.Fatal(err)
	}
	want := &train.Config{Preset: "cifar10", Data: "x", Seed: 3, Reading: dataset.Settings{Size: "8"},
		Sigma:    train.Sigma{Begin: train.SigmaEnd{Value: 8}, End: train.SigmaEnd{Value: 0.01}, Levels: 70},
		Sampling: train.Sampling{T: 6, Epsilon: 1.5e-5}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("%+v", c)
	}
}

// Both pictures, of images and of vectors of one, two and three columns, and what goes to standard output.
func TestPictures(t *testing.T) {
	open := func(path string) image.Image {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		m, err := png.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	random := func(n int) (v []float32) {
		z := make([]float32, n)
		kernels.Stream{Seed: 3, Purpose: kernels.PurposeData}.Normals(z)
		return z
	}
	for name, data := range map[string]string{
		"images": sixImages(t), "two images": idx(t, 2, make([]byte, 128)),
		"one column": array(t, "a.npy", []int{50, 1}, random(50)), "plane": array(t, "b.npy", []int{50, 2}, random(100)),
		"three columns": array(t, "c.npy", []int{50, 3}, random(150)),
	} {
		path := filepath.Join(t.TempDir(), "p.png")
		if name == "two images" { // both black: there is no distance
			if code, _, stderr := command(data, "-picture", path); code != 1 || !strings.Contains(stderr, "two distinct rows") {
				t.Errorf("%s: %d, %s", name, code, stderr)
			}
			continue
		}
		must(t, data, "-picture", path)
		for _, p := range []string{path, strings.TrimSuffix(path, ".png") + "-stacked.png"} {
			if b := open(p).Bounds(); b.Dx() < 600 || b.Dy() < 250 {
				t.Errorf("%s: %s is %v", name, p, b)
			}
		}
	}
	code, stdout, stderr := command(sixImages(t), "-picture", "-")
	if _, err := png.Decode(strings.NewReader(stdout)); code != 0 || err != nil || !strings.Contains(stderr, "\nflags ") {
		t.Errorf("to standard output: %d, %v, %s", code, err, stderr)
	}
}

// The distance between the values' distribution and the normal one, where it is known.
func TestKolmogorov(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{0}, 0.5},
		{[]float64{0, 0, 0}, 0.5},
		{[]float64{-1, 1}, 0.5 - 0.158655},
		{[]float64{9}, 1},
	} {
		if got := kolmogorov(test.values); math.Abs(got-test.want) > 1e-6 {
			t.Errorf("%v: %g, want %g", test.values, got, test.want)
		}
	}
}
