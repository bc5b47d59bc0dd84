package samplecmd

import (
	"math"
	"os"
	"path/filepath"
	"testing"

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
		rows, y, err := j.knownColumns()
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
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
		scaled, target := j.inNetworkUnits(rows, y)
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
	mean, deviation := moments([]float32{1, 0, 3, 0, 5, 3}, 2)
	if mean[0] != 3 || mean[1] != 1 || deviation[0] != 2 || !(math.Abs(float64(deviation[1])-math.Sqrt(3)) <= 1e-6) {
		t.Errorf("mean %v, deviation %v", mean, deviation)
	}
}
