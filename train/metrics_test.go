package train

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigmaz/model"
)

func TestCutBack(t *testing.T) {
	const (
		l10 = `{"step":10,"loss":3}` + "\n"
		e10 = `{"step":10,"held_out_loss":3}` + "\n"
		l20 = `{"step":20,"loss":2}` + "\n"
		x25 = `{"step":25,"loss":1,"end":true}` + "\n"
		e25 = `{"step":25,"held_out_loss":1,"end":true}` + "\n"
	)
	c10 := string(withCRC([]byte(strings.TrimSpace(l10))))
	c20 := string(withCRC([]byte(strings.TrimSpace(l20))))
	for _, test := range []struct {
		name, text        string
		step              uint64
		keepEnd           bool
		want              string
		logged, evaluated bool
		damaged           int
	}{
		{"nothing to cut", l10 + e10 + l20, 20, false, l10 + e10 + l20, true, false, 0},
		{"later lines", l10 + e10 + l20, 15, false, l10 + e10, false, false, 0},
		{"both lines of the step", l10 + e10 + l20, 10, false, l10 + e10, true, true, 0},
		{"before the first", l10 + l20, 3, false, "", false, false, 0},
		{"torn last line", l10 + l20[:9], 20, false, l10, false, false, 0},
		{"torn line that another one followed", l10 + l20[:9] + l20, 20, false, l10, false, false, 0},
		{"damage between lines", l10 + "{\"step\":1x,\"loss\":3}\n" + l20, 20, false, l10 + l20, true, false, 1},
		{"lines with checks", c10 + c20, 20, false, c10 + c20, true, false, 0},
		{"older lines before those with checks", l10 + c20, 20, false, l10 + c20, true, false, 0},
		{"a wrong digit", strings.Replace(c10, "loss\":3", "loss\":4", 1) + c20, 20, false, c20, true, false, 1},
		{"a line without its check after one with", c10 + l20 + c20, 20, false, c10 + c20, true, false, 1},
		{"a damaged end", c10 + strings.Replace(c20, "2", "3", 1), 20, false, c10, false, false, 0},
		{"a line without end", l10 + strings.Repeat("x", maxLine+70000), 20, false, l10, false, false, 0},
		{"a line too long", l10 + strings.Repeat("x", maxLine+70000) + "\n" + l20, 20, false, l10 + l20, true, false, 2},
		{"last line without its end", l10 + strings.TrimSpace(l20), 20, false, l10, false, false, 0},
		{"lines of the end, more steps", l10 + x25 + e25, 25, false, l10, false, false, 0},
		{"lines of the end, no more steps", l10 + x25 + e25, 25, true, l10 + x25 + e25, true, true, 0},
		{"zeros after a power failure", l10 + "\x00\x00\x00\x00", 20, false, l10, false, false, 0},
		{"empty", "", 5, false, "", false, false, 0},
	} {
		path := filepath.Join(t.TempDir(), "metrics.jsonl")
		if err := os.WriteFile(path, []byte(test.text), 0o666); err != nil {
			t.Fatal(err)
		}
		kept := false
		c, err := cutBack(path, test.step, test.keepEnd, func() error { kept = true; return nil })
		got, _ := os.ReadFile(path)
		if err != nil || string(got) != test.want || c.logged != test.logged || c.evaluated != test.evaluated ||
			c.damaged != test.damaged || kept != (c.damaged > 0) {
			t.Errorf("%s: left %q, %+v, error %v; expected %q, %v, %v, %d damaged", test.name, got, c,
				err, test.want, test.logged, test.evaluated, test.damaged)
		}
		if ends := test.logged && !strings.Contains(test.want, "end"); c.windowEnds != ends {
			t.Errorf("%s: a window ends: %v", test.name, c.windowEnds)
		}
	}
	if _, err := cutBack(filepath.Join(t.TempDir(), "none"), 3, false, nil); err != nil {
		t.Errorf("no file: %v", err)
	}
}

func TestWindow(t *testing.T) {
	sigmas := model.Ladder{4, 2, 1}
	w := newLossWindow(model.Noise{}, model.SDE{}, sigmas)
	for i, r := range []LossRecord{
		{Step: 1, Loss: []float32{1, 2, 3}, Level: []uint32{0, 2, 0}},
		{Step: 2, Loss: []float32{5, 6, 7}, Level: []uint32{2, 2, 0}},
	} {
		loss, err := w.add(r)
		if want := []float64{2, 6}[i]; err != nil || loss != want {
			t.Errorf("loss of step %d is %g, error %v, expected %g", i+1, loss, err, want)
		}
	}
	check := func(w *lossWindow) {
		t.Helper()
		m := w.levels()
		if w.loss() != 4 || len(m.Level) != 2 || m.Level[1] != 2 || m.Count[0] != 3 || m.Loss[0] != 11.0/3 ||
			m.Loss[1] != 13.0/3 {
			t.Errorf("window %+v, mean %g, levels %+v", w, w.loss(), m)
		}
	}
	check(w)

	// through a checkpoint's tensors
	stored := append([]model.Named{{Name: "param.x"}}, w.tensors()...)
	back := newLossWindow(model.Noise{}, model.SDE{}, sigmas)
	rest, err := back.restore(stored)
	if err != nil || len(rest) != 1 || rest[0].Name != "param.x" {
		t.Fatalf("restore left %v, error %v", rest, err)
	}
	check(back)
	if _, err := newLossWindow(model.Noise{}, model.SDE{}, model.Ladder{8, 4, 2, 1}).restore(stored); err == nil {
		t.Error("another number of levels: expected an error")
	}
	if _, err := newLossWindow(model.Noise{}, model.SDE{}, sigmas).restore(nil); err == nil {
		t.Error("no tensors: expected an error")
	}

	w.reset()
	check(back) // a copy
	var bad *NonFiniteError
	for _, v := range []float64{math.NaN(), math.Inf(1)} {
		_, err = back.add(LossRecord{Step: 9, Loss: []float32{1, float32(v)}, Level: []uint32{0, 1}})
		if !errors.As(err, &bad) || bad.Step != 9 || bad.Level != 1 || bad.Sigma != 2 {
			t.Errorf("loss %g: error %v, expected step 9, level 1, sigma 2", v, err)
		}
	}
}
