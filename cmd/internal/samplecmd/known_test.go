package samplecmd

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/npy"
	"sigmaz/model"
	"sigmaz/sample"
	"sigmaz/train"
	"sigmaz/train/dataset"
)

// A table of one row, by place and by names, in the data's units and in the network's.
func TestKnownColumns(t *testing.T) {
	j := &job{options: newOptions(), cfg: &train.Config{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 3}}}
	j.cfg.Scaler = &dataset.Scaler{Columns: []string{"a", "b", "c"}, Mean: []float64{1, 2, 3}, SD: []float64{2, 4, 8},
		Root: []float64{1, 0, 0, 0, 0.8, 0.6, 0, 0.6, 0.8}}
	for text, want := range map[string][]float64{ // of a, b and c
		"5,,11\n":             {5, math.NaN(), 11},
		" 5 , , 11 \n":        {5, math.NaN(), 11},
		"c,a\n11,5\n":         {5, math.NaN(), 11},
		"# a note\nb\n-1e1\n": {math.NaN(), -10, math.NaN()},
	} {
		j.given.known = filepath.Join(t.TempDir(), "row.csv")
		if err := os.WriteFile(j.given.known, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		all, err := j.knownColumns()
		if err != nil || len(all) != 1 {
			t.Errorf("%q: %d rows, %v", text, len(all), err)
			continue
		}
		rows, y := all[0].rows, all[0].ys[0]
		k := 0
		for i, v := range want {
			if math.IsNaN(v) {
				continue
			}
			if k == len(rows) || len(rows[k]) != 1 || rows[k][0] != (sample.Term{At: i, Weight: 1}) || y[k] != v {
				t.Errorf("%q: rows %v are %v, expected %v", text, rows, y, want)
				break
			}
			k++
		}
		// the network's values that the rows ask for give the data's
		inUnits := j.inNetworkUnits(all[0])
		scaled, target := inUnits.rows, inUnits.ys[0]
		x := []float32{0.5, -0.25, 2}
		data := j.cfg.Scaler.Undo(x)
		for k, row := range scaled {
			off := -target[k]
			for _, e := range row {
				off += e.Weight * float64(x[e.At])
			}
			if want := data[rows[k][0].At] - y[k]; !(math.Abs(off-want) <= 1e-12) {
				t.Errorf("%q: row %d is off by %g in the network's units, %g in the data's", text, k, off, want)
			}
		}
	}
}

func TestMoments(t *testing.T) {
	mean, deviation := moments([]float32{1, 0, 3, 0, 5, 3}, 2, 1)
	if mean[0] != 3 || mean[1] != 1 || deviation[0] != 2 || !(math.Abs(float64(deviation[1])-math.Sqrt(3)) <= 1e-6) {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
	mean, deviation = moments([]float32{1, 7, 3, 8}, 1, 2) // of two images in turn
	if !slices.Equal(mean, []float32{2, 7.5}) || !(math.Abs(float64(deviation[0])-math.Sqrt2) <= 1e-6) {
		t.Errorf("of two images: mean %v, deviation %v", mean, deviation)
	}
	if mean, deviation = moments([]float32{1, 7}, 1, 2); !slices.Equal(mean, []float32{1, 7}) || deviation[0] != 0 {
		t.Errorf("of a sample each: mean %v, deviation %v", mean, deviation)
	}
}

// A table of several rows, each with its own blanks.
func TestKnownRowsOfTable(t *testing.T) {
	j := &job{options: newOptions(), cfg: &train.Config{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2}}}
	for text, want := range map[string]string{
		"1,\n,2\n-3,\n":        "[{[[{0 1}]] [[1]]} {[[{1 1}]] [[2]]} {[[{0 1}]] [[-3]]}]",
		"1,\n,\n":              "is all blank in row 2",
		"1,\n1,2\n":            "[{[[{0 1}]] [[1]]} {[[{0 1}] [{1 1}]] [[1 2]]}]",
		"\ufeff1.5;\r\n;2\r\n": "[{[[{0 1}]] [[1.5]]} {[[{1 1}]] [[2]]}]", // as -data reads it
		"1,5\t\n3,5\t\n":       "[{[[{0 1}]] [[1.5]]} {[[{0 1}]] [[3.5]]}]",
		"1,2\n":                "has a value for each of the 2 columns",
		"1,\n1\n":              "has 1 values in row 2: expected 2",
		"1,\nNaN,\n":           "is all blank in row 2",
		"":                     "found an empty file",
		"a,\n1,\n":             `names the column "a"`,
	} {
		j.given.known = filepath.Join(t.TempDir(), "5%d rows.csv")
		if err := os.WriteFile(j.given.known, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		all, err := j.knownColumns()
		if got := fmt.Sprint(all, err); !strings.Contains(got, want) {
			t.Errorf("%q: %s, expected %s", text, got, want)
		}
	}
}

// A table with names may have the columns that the run has left out, and its class; a name that is near one of the run's is a slip.
func TestKnownColumnsPassedOver(t *testing.T) {
	j := &job{options: newOptions(), cfg: &train.Config{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 2}}}
	j.cfg.Scaler = &dataset.Scaler{Columns: []string{"height", "width"}, Mean: make([]float64, 2), SD: []float64{1, 1}}
	for _, c := range []struct{ columns, label, text, want, passed string }{
		{"height,width", "", "id,height,width,kind\n7,1,,oak\n8,,2,\n", "[{[[{0 1}]] [[1]]} {[[{1 1}]] [[2]]}]", "id,kind"},
		{"", "kind", "kind,width\noak,2\n", "[{[[{1 1}]] [[2]]}]", "kind"},
		{"", "", "kind,width\noak,2\n", `names the column "kind"`, ""},
		{"2-3", "", "id,heihgt,width\n7,1,\n", `names the column "heihgt"`, "id"},
		{"2-3", "", "id,kind\n7,oak\n", `names the column "id"`, ""},
		{"2-3", "", "7,1,2\n", "has 3 values: expected 2, of the columns that the run has learned, with blanks", ""},
		{"2-3", "", "id,width\n7,\n", "is all blank", "id"},
	} {
		j.given.known, j.passed = filepath.Join(t.TempDir(), "rows.csv"), nil
		j.cfg.Reading.Columns, j.cfg.Reading.Label = c.columns, c.label
		if err := os.WriteFile(j.given.known, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		all, err := j.knownColumns()
		if got := fmt.Sprint(all, err); !strings.Contains(got, c.want) || strings.Join(j.passed, ",") != c.passed {
			t.Errorf("%+v: %s, passed over %q", c, got, j.passed)
		}
	}
}

// What was given of a bounded column and of a category is written as it was given: decoded, a number near an end would be it.
func TestKnownCellsAreKept(t *testing.T) {
	j := &job{options: newOptions(), cfg: &train.Config{Network: model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 3}}}
	j.cfg.Scaler = &dataset.Scaler{Columns: []string{`#"1`, "kind"}, Mean: make([]float64, 3), SD: []float64{1, 1, 1}, Encodings: []dataset.Encoding{
		{Column: 1, Bounds: &dataset.Bounds{Low: 0, High: 1, From: -0.1, To: 1}}, {Column: 2, Categories: []string{"oak", "#ash"}}}}
	j.given.known = filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(j.given.known, []byte("\"#\"\"1\",kind\n0.0062,\n,oak\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := j.knownColumns(); err != nil {
		t.Fatal(err)
	}
	x := []float32{-2.3, 0, 1, -9, 0, 1, -2.3, 1, 0, 50, 0, 1} // shares of less than 0.1, and 1 as nearly as float64 has it
	var out strings.Builder
	if err := j.table(&out, x); err != nil {
		t.Fatal(err)
	}
	want := "\"#\"\"1\",kind\n0.0062,#ash\n0,oak\n0.0062,oak\n0.999999999,oak\n"
	if out.String() != want {
		t.Errorf("written are %q, expected %q", out.String(), want)
	}
}

// Images with a mask each: sample k has image and mask k mod their number, as if it were drawn of them alone.
func TestSeveralKnownImages(t *testing.T) {
	run := writeRun(t, imageConfig(), "param.", "ema.")
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	array := func(name string, shape []int, x []float64) {
		f, err := os.Create(file(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(npy.Write(f, shape, x), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	const n, d = 3, 64
	images, masks := make([]float64, n*d), make([]float64, n*d)
	for i := range images {
		images[i] = float64(float32(i%7) / 8)
		if i%(2+i/d) == 0 {
			masks[i] = 1
		}
	}
	array("images.npy", []int{n, 8, 8, 1}, images)
	array("masks.npy", []int{n, 8, 8}, masks)
	method := []string{run, "-method", "repaint", "-nfe", "11"}
	stdout, _ := mustRun(t, append(method, "-known", file("images.npy"), "-mask", file("masks.npy"), "-npy", file("x.npy"), "-n", "7",
		"-batch", "2", "-truth", file("images.npy"), "-mean", file("mean.png"), "-deviation", file("sd.png"))...)
	for _, want := range []string{"known: 16 to 32 coordinates of 64 values, of 3 in turn", "mean.png: the mean of 7 samples, of each of 3 images",
		"against the truth: samples PSNR"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("output has no %q:\n%s", want, stdout)
		}
	}
	_, x := readNPY(t, file("x.npy"))
	for k := range 7 {
		for i := range d {
			if at := k%n*d + i; masks[at] == 1 && x[k*d+i] != float32(images[at]) {
				t.Fatalf("value %d of sample %d is %g: expected %g, which is known", i, k, x[k*d+i], images[at])
			}
		}
	}
	array("image.npy", []int{8, 8, 1}, images[d:2*d])
	array("mask.npy", []int{8, 8}, masks[d:2*d])
	mustRun(t, append(method, "-known", file("image.npy"), "-mask", file("mask.npy"), "-npy", file("one.npy"), "-n", "5")...)
	_, one := readNPY(t, file("one.npy"))
	if !slices.Equal(one[d:2*d], x[d:2*d]) || !slices.Equal(one[4*d:], x[4*d:5*d]) || slices.Equal(one[:d], x[:d]) {
		t.Error("samples 1 and 4 of several images are not those of their image alone")
	}
	mustRun(t, append(method, "-known", file("images.npy"), "-upscale", "2", "-npy", file("x.npy"), "-o", file("x.png"))...)
	if shape, _ := readNPY(t, file("x.npy")); shape != "(3, 8, 8, 1)" {
		t.Errorf("three images, a sample each: shape %s", shape)
	}
}
