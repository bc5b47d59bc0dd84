// What readers of a run folder are given.

package train

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// What is read is what was written, without what was damaged.
func TestReadMetrics(t *testing.T) {
	dir := t.TempDir()
	if err := ReadMetrics(dir, func(*Line) { t.Error("a line of no file") }); err != nil {
		t.Fatal(err)
	}
	text := `{"step":2,"loss":1.5,"loss_relative":0.5,"loss_per_level":{"level":[0,3],"count":[4,2],"loss":[2,1]},"images_per_s":9,"time":"2026-01-02T03:04:05Z"}` + "\n" +
		string(withCRC([]byte(`{"step":4,"loss":1.25,"loss_relative":0.4,"loss_per_bin":{"ln_sigma":[-0.5],"count":[4],"loss":[2]},"images_per_s":9,"time":"2026-01-02T03:04:06Z"}`))) +
		`{"step":5,"loss":7,"crc":"00000000"}` + "\n" +
		`{"step":6,"loss":7,"loss_per_level":{"level":[0],"count":[],"loss":[]}}` + "\n" + `{"step":7}` + "\nnonsense\n" +
		string(withCRC([]byte(`{"step":8,"held_out_loss":3,"held_out_per_level":[1,5],"time":"2026-01-02T03:04:07Z"}`))) +
		`{"step":9,"loss":1}` // not finished
	if err := os.WriteFile(filepath.Join(dir, metricsFile), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	var all []*Line
	if err := ReadMetrics(dir, func(l *Line) { all = append(all, l) }); err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Fatalf("%d lines, expected 3", len(all))
	}
	a, b, c := all[0], all[1], all[2]
	if a.Step != 2 || *a.Loss != 1.5 || a.LossRelative != 0.5 || a.ImagesPerS != 9 || a.HeldOutLoss != nil ||
		!reflect.DeepEqual(a.LossPerLevel, &LevelMeans{Level: []int{0, 3}, Count: []int64{4, 2}, Loss: []float64{2, 1}}) {
		t.Errorf("the first line is %+v", a)
	}
	if b.Step != 4 || b.LossPerBin == nil || b.LossPerBin.LnSigma[0] != -0.5 || b.Time.Unix() != 1767323046 {
		t.Errorf("the second line is %+v", b)
	}
	if c.Step != 8 || c.Loss != nil || *c.HeldOutLoss != 3 || !reflect.DeepEqual(c.HeldOutPerLevel, []float64{1, 5}) {
		t.Errorf("the third line is %+v", c)
	}
}

// The lines that a run reports are those that its folder holds.
func TestWroteIsTheLine(t *testing.T) {
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, metricsFile))
	if err != nil {
		t.Fatal(err)
	}
	var told []*Line
	r := &run{metrics: f, o: Options{Events: func(e Event) {
		l, err := ParseLine(e.(Wrote).Line)
		if err != nil {
			t.Error(err)
		}
		told = append(told, l)
	}}}
	if err := r.write(lossLine{Step: 1, Loss: 2, LossPerLevel: &LevelMeans{Level: []int{1}, Count: []int64{1}, Loss: []float64{3}}, Time: now()}); err != nil {
		t.Fatal(err)
	}
	if err := r.write(evalLine{Step: 1, HeldOutLoss: 2, HeldOutPerLevel: []float64{2}, Time: now()}); err != nil {
		t.Fatal(err)
	}
	f.Close()
	var read []*Line
	if err := ReadMetrics(dir, func(l *Line) { read = append(read, l) }); err != nil {
		t.Fatal(err)
	}
	if len(read) != 2 || !reflect.DeepEqual(read, told) {
		t.Errorf("the folder holds %+v, the run told %+v", read, told)
	}
}

// Previews are listed by step, and nothing else is.
func TestPreviews(t *testing.T) {
	dir := t.TempDir()
	if got := Previews(dir); got != nil {
		t.Errorf("no folder holds %v", got)
	}
	samples := filepath.Join(dir, samplesDir)
	if err := os.Mkdir(samples, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"step-10000000.png", "step-0000500.png", "sample-0000500-seed0.png", "step-x.png"} {
		if err := os.WriteFile(filepath.Join(samples, name), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want := []Picture{{500, filepath.Join(samples, "step-0000500.png")}, {10000000, filepath.Join(samples, "step-10000000.png")}}
	if got := Previews(dir); !reflect.DeepEqual(got, want) {
		t.Errorf("listed %v, expected %v", got, want)
	}
}
