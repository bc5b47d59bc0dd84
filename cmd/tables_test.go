package cmd_test

import (
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A table with words, blanks and bounds goes through every command: samples have its header, its words alone and lie within
// the bounds, what is known of a row stays, and a run that is resumed has the bits of one that was not stopped.
func TestTableWithWordsAndBlanks(t *testing.T) {
	dir := t.TempDir()
	var text strings.Builder
	text.WriteString("size,kind,share,grade\n")
	for i := range 120 {
		cells := []string{fmt.Sprint(1 + float64(i%40)/10), []string{"oak", "elm", "ash"}[i%3], fmt.Sprint(float64(i%11) / 10), fmt.Sprint(i % 2)}
		if i%3 == 1 {
			cells[i/3%4] = []string{"", "NA"}[i%2]
		}
		text.WriteString(strings.Join(cells, ",") + "\n")
	}
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put("t.csv", text.String())
	put("known.csv", "share,kind,size\n0.5,elm,\n1,,NA\n0.25,ash,2\n")
	put("whole.csv", "size,kind,share,grade\n"+strings.Repeat("1,oak,0.5,1\n", 25))
	flags := []string{"train", "-data", "t.csv", "-categories", "grade", "-bounded", "share=0:1,size=0:10", "-hidden", "16", "-batch", "32",
		"-held-out", "20", "-preview-n", "4", "-checkpoint-every", "10"}
	must(t, dir, append(slices.Clone(flags), "-steps", "20", "-name", "a")...)
	must(t, dir, append(slices.Clone(flags), "-steps", "10", "-name", "b")...)
	must(t, dir, "train", "-resume", "runs/b", "-steps", "20")
	a, errA := os.ReadFile(filepath.Join(dir, "runs/a/checkpoints/step-0000020.safetensors"))
	b, errB := os.ReadFile(filepath.Join(dir, "runs/b/checkpoints/step-0000020.safetensors"))
	if errA != nil || errB != nil || len(a) == 0 {
		t.Fatal(errA, errB)
	}
	if !slices.Equal(tail(a), tail(b)) {
		t.Error("the resumed run has other values")
	}
	read := func(name string) [][]string {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		rows, err := csv.NewReader(f).ReadAll()
		if err != nil || strings.Join(rows[0], ",") != "size,kind,share,grade" {
			t.Fatalf("%v, %v", rows, err)
		}
		for _, row := range rows[1:] {
			size, err1 := strconv.ParseFloat(row[0], 64)
			share, err2 := strconv.ParseFloat(row[2], 64)
			if err1 != nil || err2 != nil || !(size >= 0 && size <= 10 && share >= 0 && share <= 1) ||
				!slices.Contains([]string{"oak", "elm", "ash"}, row[1]) || row[3] != "0" && row[3] != "1" {
				t.Errorf("%s has the row %v", name, row)
			}
		}
		return rows[1:]
	}
	must(t, dir, "sample", "runs/a", "-n", "100", "-csv", "s.csv", "-npy", "s.npy", "-o", "s.png")
	if rows := read("s.csv"); len(rows) != 100 {
		t.Errorf("%d rows", len(rows))
	}
	must(t, dir, "sample", "runs/a", "-known", "known.csv", "-csv", "k.csv", "-o", "k.png", "-method", "repaint")
	near := func(text string, want float64) bool {
		v, err := strconv.ParseFloat(text, 64)
		return err == nil && math.Abs(v-want) < 1e-5
	}
	if rows := read("k.csv"); len(rows) != 3 || rows[0][1] != "elm" || rows[2][1] != "ash" || !near(rows[0][2], 0.5) || !near(rows[1][2], 1) ||
		!near(rows[2][0], 2) {
		t.Errorf("known rows came out as %v", rows)
	}
	says := must(t, dir, "eval", "s.csv", "t.csv", "-categories", "grade")
	for _, want := range []string{"kind, total variation", "kind=oak", "grade=1", "cells are missing: distances are of the rows without, 100 of 100 samples and 80 of 120"} {
		if !strings.Contains(says, want) {
			t.Errorf("eval does not say %q: %s", want, says)
		}
	}
	must(t, dir, "eval", "runs/a", "runs/a", "-split", "all", "-n", "50")
	must(t, dir, "sigmas", "t.csv", "-categories", "grade")
	for _, c := range []struct{ args, want string }{
		{"likelihood runs/a whole.csv", "the run's table has categories, whose values have no density"},
		{"sample runs/a -operator s.npy -measurement s.npy", "-operator is for vectors of plain numbers"},
		{"sample runs/a -known known.csv -measurement-sigma 0.1", "-measurement-sigma is of numbers in the data's units"},
		{"sample runs/a -known bad.csv", `expected one of ash, elm, oak, found "yew"`},
	} {
		put("bad.csv", "kind\nyew\n")
		code, _, says := command(t, dir, nil, strings.Fields(c.args)...)
		if code != 1 || !strings.Contains(says, c.want) {
			t.Errorf("%s: code %d, %s", c.args, code, says)
		}
	}
}

// tail is the end of a file, which of a checkpoint is values.
func tail(b []byte) []byte { return b[len(b)-3000:] }
