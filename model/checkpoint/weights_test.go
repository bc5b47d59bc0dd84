// Checkpoints of PyTorch against the golden files beside them: NAME.pth, in the zip container, and NAME-legacy.pth, in
// the older stream, were written after the Adam steps of NAME.safetensors.

package checkpoint

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model"
)

// What programs save, in the forms in which they do: testdata/pth/trees.py wrote it. Parameter i counts up from 10 i;
// the moving average is 0.5 more; gradients were i+1.
func TestWeightsTrees(t *testing.T) {
	names := []string{"a.weight", "a.bias", "b.weight"}
	for _, c := range []struct {
		file    string
		kind    string
		ema     bool
		step    uint64
		stepped bool
		adam    string // why training cannot go on with it, "" where it can
	}{
		{file: "list", kind: KindPyTorch, ema: true, step: 2, stepped: true}, // Adam's own count, not the list's
		{file: "list-without-ema", kind: KindPyTorch, step: 2, stepped: true},
		{file: "dict", kind: KindPyTorch, ema: true, step: 2, stepped: true},
		{file: "state_dict", kind: KindStateDict, adam: "holds no state of Adam"},
		{file: "half", kind: KindStateDict, adam: "holds no state of Adam"},
		{file: "amsgrad", kind: KindPyTorch, step: 2, stepped: true, adam: "Adam with amsgrad"},
		{file: "weight-decay", kind: KindPyTorch, step: 2, stepped: true, adam: "Adam with weight decay 0.1"},
		{file: "sgd", kind: KindPyTorch, adam: "is not Adam: it holds no exp_avg"},
		{file: "fresh", kind: KindPyTorch, adam: "holds no state of Adam"},
		{file: "uneven", kind: KindPyTorch, adam: "at step 2 with some parameters and at 3 with others"},
		{file: "fewer", kind: KindPyTorch, adam: "its optimiser has 2 parameters, its model 3"},
	} {
		t.Run(c.file, func(t *testing.T) {
			w, err := OpenWeights(filepath.Join("testdata", "pth", c.file+".pth"))
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if w.Kind != c.kind || w.Has(EMAPrefix) != c.ema || w.Step != c.step || w.Stepped != c.stepped {
				t.Errorf("%s, EMA %t, step %d, %t; expected %+v", w.Kind, w.Has(EMAPrefix), w.Step, w.Stepped, c)
			}
			if !slices.Equal(w.Ladder.Sigmas, []float64{4, 2, 1}) {
				t.Errorf("ladder %v", w.Ladder)
			}
			groups := map[string]float32{ParamPrefix: 0}
			if c.ema {
				groups[EMAPrefix] = 0.5
			}
			for prefix, more := range groups {
				list, err := w.Tensors(prefix)
				if err != nil || len(list) != len(names) {
					t.Fatalf("%d tensors, expected %d: %v", len(list), len(names), err)
				}
				for i, nt := range list {
					for k, v := range nt.T.Float32s() {
						if nt.Name != prefix+names[i] || v != float32(10*i+k)+more {
							t.Errorf("%s: value %d is %g, expected %s: %g", nt.Name, k, v, prefix+names[i],
								float32(10*i+k)+more)
						}
					}
				}
			}
			err = w.CheckAdam()
			if c.adam != "" {
				if err == nil || !strings.Contains(err.Error(), c.adam) || !strings.Contains(err.Error(), "`init`") {
					t.Errorf("Adam: %v, expected %q", err, c.adam)
				}
				return
			}
			if want := (AdamSettings{LR: 2e-4, Beta1: 0.8, Beta2: 0.99, Eps: 1e-7}); err != nil ||
				w.Adam.AdamSettings != want {
				t.Fatalf("Adam %+v, %v", w.Adam, err)
			}
			// After two steps of one gradient g: m = (1 - beta1^2) g, v = (1 - beta2^2) g^2.
			for i, name := range names {
				g := float64(i + 1)
				for prefix, want := range map[string]float64{AdamMPrefix: (1 - 0.8*0.8) * g,
					AdamVPrefix: (1 - 0.99*0.99) * g * g} {
					d := w.Described(prefix + name)
					if len(d) != 1 {
						t.Fatalf("%d tensors %s", len(d), prefix+name)
					}
					values := make([]float32, d[0].Shape.TotalSize())
					if err := w.ReadTensor(prefix+name, values); err != nil {
						t.Fatal(err)
					}
					if err := approx.Compare(prefix+name, values[:1], []float32{float32(want)},
						approx.Rel(1e-5)); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for file, want := range map[string]string{
		"numbers.pth":       "holds no checkpoint that is known (it is a list): expected a state_dict",
		"ema-of-others.pth": "moving average of other tensors than its 3 parameters",
		"empty-tensor.pth":  "holds no weights: its tensors are empty or of whole numbers: a (float32 [0, 2])",
		"trees.py":          "is neither a .safetensors file nor a .pth file",
		".":                 "is not a file",
		"missing.pth":       "no such file",
	} {
		if _, err := OpenWeights(filepath.Join("testdata", "pth", file)); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, expected %q", file, err, want)
		}
	}
}

// Tensors that do not fit are listed by name: missing, of another shape or type, and surplus, with what was expected.
func TestMisfits(t *testing.T) {
	c := model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 2}
	params, err := c.Params()
	if err != nil {
		t.Fatal(err)
	}
	var list []model.Named
	for _, p := range params {
		shape := append([]int(nil), p.TorchShape()...)
		switch p.Name {
		case "begin_conv.bias":
			continue
		case "end_conv.weight":
			shape[1] = 4
		}
		list = append(list, model.Named{Name: "ema." + p.Name, T: dense(make([]float32, product(shape)), shape...)})
		if p.Name == "normalizer.beta" {
			list[len(list)-1].T = dense(make([]int64, 2), 2)
		}
	}
	list = append(list, model.Named{Name: "ema.extra.weight", T: dense(make([]float32, 6), 2, 3)},
		model.Named{Name: "param.other", T: dense(make([]float32, 1), 1)})
	s, err := model.NewScore(kernels.NewCPU(1), c, kernels.Float32, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Load(list, "ema.")
	for _, want := range []string{"4 of them do not", "missing ema.begin_conv.bias, float32 [2]",
		"ema.end_conv.weight is float32 [1, 4, 3, 3], expected float32 [1, 2, 3, 3]",
		"ema.normalizer.beta is int64 [2], expected float32 [2]", "unexpected ema.extra.weight, float32 [2, 3]"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "param.other") {
		t.Errorf("%v: of another group", err)
	}
	if err := s.Load(list, "raw."); err == nil ||
		!strings.Contains(err.Error(), fmt.Sprintf("and %d more", len(params)-6)) {
		t.Errorf("no tensors at all: %v", err)
	}
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// What to do about a broken file depends on whose it is: a run has earlier checkpoints, another program's folder has
// none of ours.
func TestWhatToDo(t *testing.T) {
	whole := written(t, small())
	other := bytes.Replace(whole, []byte(formatPrefix), []byte("others-"), 1)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "checkpoints"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		content []byte
		earlier bool
	}{
		{"model.safetensors", nil, false},
		{"model.safetensors", other[:len(other)-1], false},
		{"model.safetensors", append(bytes.Clone(other), 0), false},
		{"model.safetensors", other[:40], false},
		{"copy.safetensors", whole[:len(whole)-1], true},
		{"checkpoints/step-1.safetensors", whole[:len(whole)-1], true},
		{"checkpoints/step-1.safetensors", nil, true},
		{"checkpoints/step-1.safetensors", whole[:40], true},
	} {
		path := filepath.Join(dir, filepath.FromSlash(test.name))
		if err := os.WriteFile(path, test.content, 0o666); err != nil {
			t.Fatal(err)
		}
		for what, read := range map[string]func() error{
			"as weights":      func() error { _, err := OpenWeights(path); return err },
			"as a checkpoint": func() error { _, err := ReadCheckpoint(path); return err },
		} {
			err := read()
			if err == nil || strings.Contains(err.Error(), "use an earlier checkpoint") != test.earlier ||
				!test.earlier && !strings.Contains(err.Error(), "copy or download it again") {
				t.Errorf("%s of %d bytes %s: %v", test.name, len(test.content), what, err)
			}
		}
	}
}
