package traincmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
)

// pth is a checkpoint of PyTorch after three steps (model/testdata/golden/pth.py).
var pth = golden.Path("ncsnv2-10x8-swish-rescaled-linear.pth")

// short are flags for a run on glyphs that takes a moment. The learning rate moves no weight.
func short(runs string, more ...string) []string {
	return append([]string{"-data", "glyphs", "-runs", runs, "-batch", "2", "-held-out", "0", "-preview-n", "0",
		"-log-every", "1", "-lr", "1e-30"}, more...)
}

// tensorsOf are those with a prefix, by their names without it.
func tensorsOf(list []model.Named, prefix string) map[string][]float32 {
	m := map[string][]float32{}
	for _, nt := range list {
		if name, ok := strings.CutPrefix(nt.Name, prefix); ok {
			m[name], _ = nt.T.Data().([]float32)
		}
	}
	return m
}

func sameTensors(t *testing.T, what string, got, want map[string][]float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d tensors, expected %d", what, len(got), len(want))
	}
	for name, w := range want {
		if !slices.Equal(got[name], w) {
			t.Errorf("%s: %s is another", what, name)
		}
	}
}

// -init starts at step 0 from the raw weights and the file's average, -continue at the file's step with its moments.
func TestInit(t *testing.T) {
	_, original, err := checkpoint.ReadSafetensors(strings.TrimSuffix(pth, ".pth") + ".safetensors")
	if err != nil {
		t.Fatal(err)
	}
	runs := t.TempDir()
	for _, c := range []struct {
		flag, steps string
		last        uint64
		said        string
	}{
		{"-init", "1", 1, "init     weights of " + pth + " (PyTorch checkpoint, step 3); the moving average from its own"},
		{"-continue", "4", 4, "continue " + pth + " (PyTorch checkpoint, step 3) with Adam's moments; the moving average from its own"},
	} {
		name := strings.TrimPrefix(c.flag, "-")
		code, stdout, stderr := command(t, short(runs, c.flag, pth, "-steps", c.steps, "-name", name, "-ema", "0.999999",
			"-ema-warmup=false")...)
		if code != 0 || !strings.Contains(stdout, c.said) {
			t.Fatalf("%s: exit code %d, %s, %s", c.flag, code, stdout, stderr)
		}
		if moved := c.flag == "-init"; moved != strings.Contains(stdout, "warning  the ladder of") {
			t.Errorf("%s: it said %s", c.flag, stdout)
		}
		ck := weightsIn(t, filepath.Join(runs, name))
		if ck.Step != c.last {
			t.Errorf("%s ended at step %d, expected %d", c.flag, ck.Step, c.last)
		}
		sameTensors(t, c.flag, tensorsOf(ck.Tensors, "param."), tensorsOf(original, "adam."))
		w, err := checkpoint.OpenWeights(pth)
		if err != nil {
			t.Fatal(err)
		}
		moments, err := w.Tensors("adam_v.")
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		// v <- 0.999 v + 0.001 g^2 never falls below 0.999 v; without the file's it would start at 0.
		kept, all := 0, 0
		for name, v := range tensorsOf(moments, "adam_v.") {
			for i, now := range tensorsOf(ck.Tensors, "adam_v.")[name] {
				all++
				if now >= 0.9989*v[i] {
					kept++
				}
			}
		}
		if goesOn := c.flag == "-continue"; goesOn != (kept == all) {
			t.Errorf("%s: %d of %d second moments are at least the file's", c.flag, kept, all)
		}
		// The average has moved by a millionth of the way from the file's to the weights.
		for name, e := range tensorsOf(original, "ema.") {
			for i, now := range tensorsOf(ck.Tensors, "ema.")[name] {
				if d := now - e[i]; d > 1e-6 || d < -1e-6 {
					t.Fatalf("%s: the average of %s is %g, expected %g", c.flag, name, now, e[i])
				}
			}
		}
	}
	text, err := os.ReadFile(filepath.Join(runs, "continue", "config.yaml"))
	for _, want := range []string{"continue: " + pth, "levels: 5", "spacing: linear", "ngf: 3"} {
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("config.yaml has no %q: %v\n%s", want, err, text)
		}
	}
}

// Going on in a new run from a checkpoint of this program gives the bits of the run that was never stopped, whatever
// its noise.
func TestContinueOurs(t *testing.T) {
	for _, noise := range model.Densities() {
		t.Run(noise, func(t *testing.T) { continueOurs(t, noise) })
	}
}

func continueOurs(t *testing.T, noise string) {
	runs := t.TempDir()
	must := func(args ...string) {
		t.Helper()
		if code, _, stderr := command(t, args...); code != 0 {
			t.Fatalf("%v: exit code %d, %s", args, code, stderr)
		}
	}
	sde, without := model.VE, model.UniformTime // a process, and what it does not go with
	if noise == model.UniformTime {
		sde, without = model.VP, model.LadderNoise // for which there are too few levels
	}
	must(quick(runs, "-steps", "20", "-checkpoint-every", "10", "-preview-n", "0", "-name", "whole", "-noise", noise, "-sde", sde)...)
	must("-data", "toy:moons", "-runs", runs, "-batch", "4", "-held-out", "5", "-steps", "20", "-preview-n", "0",
		"-name", "second",
		"-continue", filepath.Join(runs, "whole", "checkpoints", "step-0000010.safetensors"))
	a, b := weightsIn(t, filepath.Join(runs, "whole")), weightsIn(t, filepath.Join(runs, "second"))
	if a.Step != 20 || b.Step != 20 {
		t.Fatalf("steps %d and %d", a.Step, b.Step)
	}
	for _, prefix := range []string{"param.", "ema.", "adam_m.", "adam_v."} {
		sameTensors(t, prefix, tensorsOf(b.Tensors, prefix), tensorsOf(a.Tensors, prefix))
	}
	// The new run goes on like any other.
	must("-resume", "second", "-runs", runs, "-steps", "22")
	// Other noise is another run, with its own numbers.
	for _, other := range model.Densities() {
		if other == without {
			continue
		}
		must("-config", filepath.Join(runs, "whole", "config.yaml"), "-runs", runs, "-noise", other, "-steps", "2",
			"-preview-n", "0")
	}
}

func TestInitRefused(t *testing.T) {
	runs := t.TempDir()
	trees := filepath.Join(golden.Module(), "model", "checkpoint", "testdata", "pth")
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"both", []string{"-init", pth, "-continue", pth}, 2, "-init and -continue are both given"},
		{"missing", []string{"-init", filepath.Join(trees, "none.pth")}, 1, "none.pth does not exist"},
		{"no steps left", []string{"-continue", pth, "-steps", "3"}, 1, "steps is 3, but " + pth + " is at step 3 already: give more"},
		{"another width", []string{"-init", pth, "-ngf", "4", "-steps", "1"}, 1, "param.begin_conv.weight is float32 [3, 1, 3, 3], expected float32 [4, 1, 3, 3]"},
		{"another network", []string{"-init", pth, "-net", "ncsn", "-steps", "1"}, 1, "holds network ncsnv2, and ncsn was asked for"},
		{"another ladder", []string{"-continue", pth, "-levels", "6", "-steps", "9"}, 1, "is not this run's (6 levels"},
		{"no Adam", []string{"-continue", filepath.Join(trees, "state_dict.pth")}, 1, "holds no state of Adam to go on with: start a new run from its weights with -init"},
		{"SGD", []string{"-continue", filepath.Join(trees, "sgd.pth")}, 1, "is not Adam"},
		{"amsgrad", []string{"-continue", filepath.Join(trees, "amsgrad.pth")}, 1, "amsgrad, which this program has not"},
		{"other tensors", []string{"-init", filepath.Join(trees, "list.pth")}, 1, "no begin_conv.weight"},
		{"with -resume", []string{"-resume", "x", "-init", pth}, 2, "cannot be changed with -resume"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"-runs", runs}, c.args...)
			if c.args[0] != "-resume" {
				args = short(runs, c.args...)
			}
			code, _, stderr := command(t, args...)
			if code != c.code || !strings.Contains(stderr, c.want) {
				t.Errorf("exit code %d, %q; expected %d and %q", code, stderr, c.code, c.want)
			}
		})
	}
	if entries, err := os.ReadDir(runs); err == nil && len(entries) > 0 {
		t.Errorf("%d entries are left in the folder of runs", len(entries))
	}
}
