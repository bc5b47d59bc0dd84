// Checkpoints of PyTorch against the golden files beside them: NAME.pth, in the zip container, and NAME-legacy.pth, in the
// older stream, were written after the Adam steps of NAME.safetensors.
package model

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
)

// pthFiles are the checkpoints beside golden files, each with its golden file.
func pthFiles(t testing.TB) map[string]string {
	t.Helper()
	dirs := []string{filepath.Join("testdata", "golden")}
	if dir := os.Getenv("GOLDEN_DIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	files := map[string]string{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(dir, "*.pth"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			files[path] = strings.TrimSuffix(strings.TrimSuffix(path, ".pth"), "-legacy") + ".safetensors"
		}
	}
	return files
}

// Both containers hold the golden file's values bit for bit; Adam's moments and steps are those that training here comes
// to, which shows that each is told by the right name.
func TestPyTorchCheckpoints(t *testing.T) {
	files := pthFiles(t)
	if len(files) < 4 {
		t.Errorf("%d checkpoints, expected at least two in each container", len(files))
	}
	for path, file := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			g := readGolden(t, file)
			if net := g.meta["net"]; !slices.Contains(Networks(), net) {
				t.Skipf("network %s is not built in", net)
			}
			w, err := OpenWeights(path)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			for prefix, golden := range map[string]string{ParamPrefix: "adam.", EMAPrefix: "ema."} {
				list, err := w.Tensors(prefix)
				if err != nil {
					t.Fatal(err)
				}
				if len(list) == 0 && prefix == EMAPrefix && g.meta["net"] == "ncsn" {
					continue // it has no moving average
				}
				var want []Named
				for _, nt := range g.order {
					if strings.HasPrefix(nt.Name, golden) {
						want = append(want, Named{prefix + strings.TrimPrefix(nt.Name, golden), nt.T})
					}
				}
				if err := sameTensors(list, want); err != nil {
					t.Errorf("%s: %v", prefix, err)
				}
			}
			sigmas := g.values(t, "sigmas")
			if hasSigmas := g.network(t).HasSigmas(); hasSigmas != (w.Sigmas != nil) {
				t.Errorf("the ladder in the file: %t, expected %t", w.Sigmas != nil, hasSigmas)
			}
			for i, s := range w.Sigmas {
				if float32(s) != sigmas[i] {
					t.Errorf("level %d is %g, expected %g", i, s, sigmas[i])
				}
			}
			if err := w.CheckAdam(); err != nil {
				t.Fatal(err)
			}
			want := AdamConfig{LR: g.number(t, "lr"), Beta1: 0.9, Beta2: 0.999, Eps: g.number(t, "adam_eps")}
			if w.Adam.AdamConfig != want || w.Step != uint64(g.number(t, "adam_steps")) || !w.Stepped {
				t.Errorf("step %d, %+v, expected %v, %+v", w.Step, w.Adam.AdamConfig, g.meta["adam_steps"], want)
			}

			tr := g.trainer(t, kernels.NewCPU(0))
			for range int(g.number(t, "adam_steps")) {
				if _, err := tr.StepFixed(); err != nil {
					t.Fatal(err)
				}
			}
			table := &strings.Builder{}
			for prefix, tol := range map[string]float64{adamM: gradTol, adamV: 2 * gradTol} {
				got, err := tr.Named(prefix)
				if err != nil {
					t.Fatal(err)
				}
				worst := 0.0
				for _, nt := range got {
					values := nt.T.Float32s()
					file := make([]float32, len(values))
					if err := w.ReadTensor(nt.Name, file); err != nil {
						t.Fatal(err)
					}
					if err := approx.Compare(nt.Name, values, file, approx.RelMax(tol)); err != nil {
						t.Error(err)
					}
					worst = max(worst, approx.WorstRel(values, file))
				}
				fmt.Fprintf(table, "  %s %.1e of max", prefix, worst)
			}
			t.Logf("worst errors:%s", table)

			// Going on from the file is going on from where it was written.
			from := map[string]string{ParamPrefix: ParamPrefix, EMAPrefix: EMAPrefix, adamM: adamM, adamV: adamV}
			if !w.Has(EMAPrefix) {
				from[EMAPrefix] = ParamPrefix
			}
			if err := tr.Continue(w.Step, w, from[EMAPrefix]); err != nil {
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
