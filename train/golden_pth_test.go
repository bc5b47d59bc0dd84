// Checkpoints of PyTorch against the golden files beside them.

package train

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/golden"
)

// pthFiles are the checkpoints beside golden files, each with its golden file.
func pthFiles(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, path := range golden.Glob(t, "*.pth") {
		files[path] = strings.TrimSuffix(strings.TrimSuffix(path, ".pth"), "-legacy") + ".safetensors"
	}
	return files
}

// Both containers hold the golden file's values bit for bit; Adam's moments and steps are those that training here
// comes to, which shows that each is told by the right name.
func TestPyTorchCheckpoints(t *testing.T) {
	files := pthFiles(t)
	if len(files) < 4 {
		t.Errorf("%d checkpoints, expected at least two in each container", len(files))
	}
	for path, file := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			g := goldenFile{golden.Read(t, file)}
			if net := g.Meta["net"]; !slices.Contains(model.Networks(), net) {
				t.Skipf("network %s is not built in", net)
			}
			w, err := checkpoint.OpenWeights(path)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for prefix, inFile := range map[string]string{checkpoint.ParamPrefix: "adam.",
				checkpoint.EMAPrefix: "ema."} {
				list, err := w.Tensors(prefix)
				if err != nil {
					t.Fatal(err)
				}
				if len(list) == 0 && prefix == checkpoint.EMAPrefix && hasNoAverage(g.Network(t)) {
					continue
				}
				want := g.Group(inFile, prefix)
				for i, nt := range list { // the golden file has what is not trained once
					if name := strings.TrimPrefix(nt.Name, prefix); !g.has(inFile + name) {
						want = slices.Insert(want, i, model.Named{Name: nt.Name, T: g.Tensor(t, "param."+name)})
					}
				}
				if err := sameTensors(list, want); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
			sigmas := g.ladder(t)
			if hasSigmas := g.Network(t).HasSigmas(); hasSigmas != (w.Ladder.Sigmas != nil) {
				t.Errorf("the ladder in the file: %t, expected %t", w.Ladder.Sigmas != nil, hasSigmas)
			}
			for i, s := range w.Ladder.Sigmas {
				if float32(s) != sigmas[i] {
					t.Errorf("level %d is %g, expected %g", i, s, sigmas[i])
				}
			}
			if err := w.CheckAdam(); err != nil {
				t.Fatal(err)
			}
			want := checkpoint.AdamSettings{LR: g.Number(t, "lr"), Beta1: 0.9, Beta2: 0.999, Eps: g.Number(t, "adam_eps")}
			if g.Process() != "" { // it keeps the rate of its last step, which warmed up
				rates := g.Floats(t, "lrs")
				want.LR, _ = strconv.ParseFloat(fmt.Sprint(rates[len(rates)-1]), 64)
			}
			got := w.Adam.AdamSettings
			if got != want || w.Step != uint64(g.Number(t, "adam_steps")) || !w.Stepped {
				t.Errorf("step %d, %+v, expected %v, %+v", w.Step, got, g.Meta["adam_steps"], want)
			}

			idle := map[string]bool{}
			for _, name := range strings.Split(g.Meta["idle"], ",") {
				idle[name] = true
			}
			backend := kernels.NewCPU(0)
			var tr *Trainer
			var table strings.Builder
			compare := func([]float32) (beyond error) {
				table.Reset()
				for prefix, tol := range map[string]float64{checkpoint.AdamMPrefix: gradTol,
					checkpoint.AdamVPrefix: 2 * gradTol} {
					worst := 0.0
					for _, nt := range g.named(t, tr, prefix) {
						if idle[strings.TrimPrefix(nt.Name, prefix)] {
							continue
						}
						values := nt.T.Float32s()
						file := make([]float32, len(values))
						if err := w.ReadTensor(nt.Name, file); err != nil {
							t.Fatal(err)
						}
						beyond = errors.Join(beyond, approx.Compare(nt.Name, values, file, approx.RelMax(tol)))
						worst = max(worst, approx.WorstRel(values, file))
					}
					fmt.Fprintf(&table, "  %s %.1e of max", prefix, worst)
				}
				return beyond
			}
			if g.Process() == "" {
				tr = g.trainer(t, backend)
				g.adamSteps(t, tr, backend, compare)
			} else {
				tr = g.processTrainer(t, backend)
				for range g.Int(t, "adam_steps") {
					if _, err := tr.StepFixed(); err != nil {
						t.Fatal(err)
					}
				}
				if err := compare(nil); err != nil {
					t.Error(err)
				}
			}
			t.Logf("worst errors:%s", table.String())

			// Going on from the file is going on from where it was written.
			from := map[string]string{checkpoint.ParamPrefix: checkpoint.ParamPrefix,
				checkpoint.EMAPrefix: checkpoint.EMAPrefix, checkpoint.AdamMPrefix: checkpoint.AdamMPrefix,
				checkpoint.AdamVPrefix: checkpoint.AdamVPrefix}
			if !w.Has(checkpoint.EMAPrefix) {
				from[checkpoint.EMAPrefix] = checkpoint.ParamPrefix
			}
			if err := tr.Continue(w.Step, w, from[checkpoint.EMAPrefix]); err != nil {
				t.Fatal(err)
			}
			if tr.StepsDone() != w.Step {
				t.Errorf("at step %d, expected %d", tr.StepsDone(), w.Step)
			}
			for prefix, of := range from {
				got, err := tr.Named(prefix)
				if err != nil {
					t.Fatal(err)
				}
				file, err := w.Tensors(of)
				for i := range file {
					file[i].Name = prefix + strings.TrimPrefix(file[i].Name, of)
				}
				if err == nil {
					err = sameTensors(got, file)
				}
				if err != nil {
					t.Errorf("after Continue, %s: %v", prefix, err)
				}
			}
		})
	}
}

// has says whether the file has a tensor.
func (g goldenFile) has(name string) bool {
	return slices.ContainsFunc(g.Tensors, func(nt model.Named) bool { return nt.Name == name })
}

// ladder returns the file's ladder, whatever it is kept in.
func (g goldenFile) ladder(t *testing.T) model.Ladder {
	if g.Process() != "" {
		return g.sigmas(t)
	}
	return g.Floats(t, "sigmas")
}

// hasNoAverage says whether the network was published without a moving average of its weights.
func hasNoAverage(c model.Config) bool {
	recipe := c.Recipe()
	return recipe != nil && recipe.EMARate == 0
}

// sameTensors compares names, shapes and bits.
func sameTensors(got, want []model.Named) error {
	if len(got) != len(want) {
		return fmt.Errorf("%d tensors, expected %d", len(got), len(want))
	}
	for i, w := range want {
		g := got[i]
		if g.Name != w.Name || !g.T.Shape().Eq(w.T.Shape()) {
			return fmt.Errorf("tensor %d is %s %v, expected %s %v", i, g.Name, g.T.Shape(), w.Name, w.T.Shape())
		}
		for j, v := range w.T.Float32s() {
			if b := g.T.Float32s()[j]; math.Float32bits(b) != math.Float32bits(v) {
				return fmt.Errorf("%s: value %d is %g, expected %g", w.Name, j, b, v)
			}
		}
	}
	return nil
}
