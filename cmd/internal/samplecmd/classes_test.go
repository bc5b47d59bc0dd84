// Samples of classes.

package samplecmd

import (
	"encoding/csv"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/npy"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// classConfig is a run on 8x8 images of three classes, toyClassConfig one on points of two.
func classConfig() *train.Config {
	c, drop := imageConfig(), 0.1
	c.Network = model.Config{Net: "ncsnpp", Height: 8, Width: 8, Channels: 1, NGF: 4, Classes: 3,
		UNet: model.UNet{ChMult: "1,2", ResBlocks: 1, ScaleBySigma: true, InitScale: 1}}
	c.ClassNames, c.LabelDropout, c.Reading = []string{"cat", "dog", "ant, or bee"}, &drop, dataset.Settings{Classes: true}
	return c
}

func toyClassConfig() *train.Config {
	c, of := toyConfig(), classConfig()
	c.Network.Classes, c.ClassNames, c.LabelDropout, c.Reading = 2, []string{"0", "1"}, of.LabelDropout, of.Reading
	return c
}

// drawn draws samples and returns them as an array.
func drawn(t *testing.T, run string, args ...string) (x []float32, stdout string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "x.npy")
	stdout, _ = mustRun(t, append([]string{run, "-npy", file, "-o", filepath.Join(t.TempDir(), "x.png")}, args...)...)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a, err := npy.NewReader(file, f, -1)
	if err == nil {
		x, err = npy.ReadAll[float32](a)
	}
	if err != nil {
		t.Fatal(err)
	}
	return x, stdout
}

// A sample depends on its own class alone: not on those beside it, the number of samples or the batch; and on the
// guidance, which counts its evaluations.
func TestClasses(t *testing.T) {
	run := writeRun(t, classConfig(), checkpoint.ParamPrefix, checkpoint.EMAPrefix)
	const d = 64
	for _, guidance := range [][]string{nil, {"-guidance", "2"}, {"-guidance", "2", "-guidance-interval", "0.6:0.9"}} {
		args := func(more ...string) []string { return append(slices.Clone(guidance), more...) }
		all, _ := drawn(t, run, args("-n", "7")...)
		for _, batch := range []string{"1", "3"} {
			if got, _ := drawn(t, run, args("-n", "7", "-batch", batch)...); !slices.Equal(got, all) {
				t.Errorf("%v: samples of batches of %s differ", guidance, batch)
			}
		}
		if got, _ := drawn(t, run, args("-n", "5")...); !slices.Equal(got, all[:5*d]) {
			t.Errorf("%v: the first 5 samples differ from those of 7", guidance)
		}
		dogs, stdout := drawn(t, run, args("-n", "7", "-class", "dog")...)
		if !slices.Equal(dogs[4*d:5*d], all[4*d:5*d]) || slices.Equal(dogs[5*d:6*d], all[5*d:6*d]) {
			t.Errorf("%v: sample 4 is to be of class dog, and sample 5 not", guidance)
		}
		if !strings.Contains(stdout, "; class dog") || !strings.Contains(stdout, "grid of the samples of class dog") {
			t.Errorf("%v: the class is not told:\n%s", guidance, stdout)
		}
		if by, _ := drawn(t, run, args("-n", "7", "-class", "1")...); !slices.Equal(by, dogs) {
			t.Errorf("%v: class 1 is not class dog", guidance)
		}
		evaluations := map[int]string{0: "= 35 evaluations", 2: "= 70 evaluations", 4: "= 55 evaluations"}[len(guidance)]
		if !strings.Contains(stdout, evaluations) {
			t.Errorf("%v: expected %s:\n%s", guidance, evaluations, stdout)
		}
	}
	plain, _ := drawn(t, run, "-n", "3")
	none, _ := drawn(t, run, "-n", "3", "-class", "none")
	if slices.Equal(plain, none) {
		t.Error("samples of no class are those of all")
	}
	for what, want := range map[string][]float32{"-guidance 1": plain, "-guidance 0": none,
		"-guidance 3 -guidance-interval 5:9": plain} {
		if got, _ := drawn(t, run, append([]string{"-n", "3"}, strings.Fields(what)...)...); !slices.Equal(got, want) {
			t.Errorf("%s differs from what it stands for", what)
		}
	}
	if got, _ := drawn(t, run, "-n", "3", "-class", `dog,"ant, or bee",none`); slices.Equal(got, plain) {
		t.Error("a list of classes changes nothing")
	}
	if got, _ := drawn(t, run, "-n", "3", "-class", "ant, or bee"); !slices.Equal(got[2*d:], plain[2*d:]) {
		t.Error("a name with a comma is not its class")
	}
}

// A U-Net hides the size of its input: one line says what stays where too little noise is drawn.
func TestHiddenSizeWarning(t *testing.T) {
	c := classConfig()
	c.Sigma.Begin, c.Sigma.End = train.SigmaEnd{Value: 15}, train.SigmaEnd{Value: 0.01}
	run := writeRun(t, c, checkpoint.ParamPrefix, checkpoint.EMAPrefix)
	for flags, warned := range map[string]bool{"": false, "-sampler heun": false, "-sampler dpm++-2m-sde -eta 0.3": true} {
		args := append([]string{run, "-n", "1", "-o", filepath.Join(t.TempDir(), "x.png")}, strings.Fields(flags)...)
		_, stderr := mustRun(t, args...)
		if got := strings.Contains(stderr, "divide the size of its input out"); got != warned ||
			got && (strings.Count(stderr, "warning") != 1 || !strings.Contains(stderr, "-parameterization edm")) {
			t.Errorf("%s: %q", flags, stderr)
		}
	}
}

// rk45 guides in an interval: it says how many evaluations that took, and a sample does not depend on its batch.
func TestGuidedRK45(t *testing.T) {
	run := writeRun(t, toyClassConfig(), checkpoint.ParamPrefix, checkpoint.EMAPrefix)
	args := []string{"-n", "7", "-sampler", "rk45"}
	plain, _ := drawn(t, run, args...)
	args = append(args, "-guidance", "2", "-guidance-interval", "0.1:1")
	all, stdout := drawn(t, run, args...)
	if slices.Equal(all, plain) || !strings.Contains(stdout, "guidance 2 at sigma 0.1 to 1") {
		t.Errorf("guidance changes nothing or is not told:\n%s", stdout)
	}
	if got, _ := drawn(t, run, append(args, "-batch", "3")...); !slices.Equal(got, all) {
		t.Error("samples of batches of 3 differ")
	}
}

// The grid has a row for each class, as many samples as fit, and the line says which.
func TestClassGrid(t *testing.T) {
	run := writeRun(t, classConfig(), checkpoint.ParamPrefix, checkpoint.EMAPrefix)
	out := filepath.Join(t.TempDir(), "grid.png")
	stdout, _ := mustRun(t, run, "-o", out)
	if !strings.Contains(stdout, "24 samples") || !strings.Contains(stdout, "a row for each class: cat, dog, ant, or bee") {
		t.Errorf("expected 8 samples of each of 3 classes:\n%s", stdout)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if b := img.Bounds(); (b.Dx()-1)/8 != (b.Dy()-1)/3 {
		t.Errorf("the grid is %dx%d pixels, expected 8 columns and 3 rows", b.Dx(), b.Dy())
	}
}

// A table of samples has their classes in a last column.
func TestClassTable(t *testing.T) {
	run, file := writeRun(t, toyClassConfig(), checkpoint.ParamPrefix, checkpoint.EMAPrefix), filepath.Join(t.TempDir(), "x.csv")
	mustRun(t, run, "-n", "5", "-csv", file, "-o", filepath.Join(t.TempDir(), "x.png"))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(b))).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatal(len(rows), err)
	}
	for i, row := range rows {
		if len(row) != 3 || row[2] != []string{"0", "1"}[i%2] {
			t.Errorf("row %d is %v", i, row)
		}
	}
	// The fields of the plane are those of one class, and are left out where there are several.
	for class, want := range map[string]bool{"all": false, "1": true, "none": true} {
		out := filepath.Join(t.TempDir(), "x.png")
		mustRun(t, run, "-n", "5", "-class", class, "-o", out)
		if _, err := os.Stat(strings.TrimSuffix(out, ".png") + "-fields.png"); (err == nil) != want {
			t.Errorf("class %s: fields %v", class, err)
		}
	}
}
