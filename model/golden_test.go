// The networks against PyTorch: testdata/golden/README.md says what a golden file holds.
package model

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gorgonia.org/tensor"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
)

// The tolerances are those of two float32 programs that sum in another order. A wrong constant shows: the epsilon of the
// norm, 1e-6 for 1e-5, changes the score by 3.8e-5.
const (
	scoreTol = 1e-5 // of the largest element
	gradTol  = 1e-4 // of each tensor's largest element
	lossTol  = 1e-5 // relative
	paramTol = 0.05 // learning rates
)

// testBackends are the backends that networks are tested on.
var testBackends = []testBackend{{"cpu", func(t *testing.T) kernels.Backend { return kernels.NewCPU(0) }}}

type testBackend struct {
	name string
	open func(t *testing.T) kernels.Backend
}

func TestGolden(t *testing.T) {
	dirs := []string{filepath.Join("testdata", "golden")}
	if dir := os.Getenv("GOLDEN_DIR"); dir != "" {
		dirs = append(dirs, dir)
	}
	found := map[string]bool{}
	for _, dir := range dirs {
		files, err := filepath.Glob(filepath.Join(dir, "*.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 0 {
			t.Errorf("%s holds no *.safetensors", dir)
		}
		for _, file := range files {
			g := readGolden(t, file)
			found[g.meta["net"]] = true
			t.Run(filepath.Base(file), func(t *testing.T) {
				if net := g.meta["net"]; !slices.Contains(Networks(), net) {
					t.Skipf("network %s is not built in", net)
				}
				for _, b := range testBackends {
					t.Run(b.name, func(t *testing.T) { g.run(t, b.open(t)) })
				}
			})
		}
	}
	for _, net := range Networks() {
		if !found[net] {
			t.Errorf("there is no golden file of network %s", net)
		}
	}
}

// golden is one file.
type golden struct {
	meta    map[string]string
	order   []Named
	tensors map[string]*tensor.Dense
}

func readGolden(t *testing.T, path string) golden {
	t.Helper()
	meta, order, err := ReadSafetensors(path)
	if err != nil {
		t.Fatal(err)
	}
	if meta["format"] != "golden-1" {
		t.Fatalf("%s has format %q, expected golden-1", path, meta["format"])
	}
	g := golden{meta, order, map[string]*tensor.Dense{}}
	for _, nt := range order {
		g.tensors[nt.Name] = nt.T
	}
	return g
}

// number is a number in the metadata; keys that belong to other networks are 0.
func (g golden) number(t *testing.T, key string) float64 {
	t.Helper()
	v, ok := g.meta[key]
	if !ok {
		return 0
	}
	f, err := strconv.ParseFloat(v, 64)
	if err != nil {
		t.Fatalf("metadata %s: %v", key, err)
	}
	return f
}

func (g golden) values(t *testing.T, name string) []float32 {
	t.Helper()
	v, ok := g.tensors[name]
	if !ok || v.Dtype() != tensor.Float32 {
		t.Fatalf("no float32 tensor %s", name)
	}
	return v.Float32s()
}

// nhwc is a tensor of (N, C, H, W) in the order (N, H, W, C).
func (g golden) nhwc(t *testing.T, name string) []float32 {
	t.Helper()
	src := g.values(t, name)
	s := g.tensors[name].Shape()
	if len(s) != 4 {
		t.Fatalf("%s has shape %v, expected N,C,H,W", name, s)
	}
	dst := make([]float32, 0, len(src))
	c, pixels := s[1], s[2]*s[3]
	for n := range s[0] {
		for p := range pixels {
			for k := range c {
				dst = append(dst, src[(n*c+k)*pixels+p])
			}
		}
	}
	return dst
}

// check compares and returns the worst error relative to the largest element, for the table.
func check(t *testing.T, name string, got, want []float32, tol approx.Tol) float64 {
	t.Helper()
	if err := approx.Compare(name, got, want, tol); err != nil {
		t.Error(err)
	}
	return approx.WorstRel(got, want)
}

// group compares the trainer's tensors called from+NAME with the file's called to+NAME: all of them, in the file's
// order. tol is asked for each tensor; the answer is the worst of measure and its tensor.
func (g golden) group(t *testing.T, tr *Trainer, from, to string, tol approx.Tol, measure func(got, want []float32) float64) (worst float64, name string) {
	t.Helper()
	got, err := tr.Named(from)
	if err != nil {
		t.Fatal(err)
	}
	var want []Named
	for _, nt := range g.order {
		if strings.HasPrefix(nt.Name, to) {
			want = append(want, nt)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d tensors called %sNAME, expected %d", len(got), from, len(want))
	}
	for i, w := range want {
		short := strings.TrimPrefix(w.Name, to)
		if got[i].Name != from+short || !got[i].T.Shape().Eq(w.T.Shape()) {
			t.Fatalf("tensor %d is %s %v, expected %s%s %v", i, got[i].Name, got[i].T.Shape(), from, short, w.T.Shape())
		}
		gv, wv := got[i].T.Float32s(), w.T.Float32s()
		if err := approx.Compare(w.Name, gv, wv, tol); err != nil {
			t.Error(err)
		}
		if m := measure(gv, wv); m >= worst {
			worst, name = m, short
		}
	}
	return worst, name
}

func (g golden) run(t *testing.T, backend kernels.Backend) {
	integer := func(key string) int { return int(g.number(t, key)) }
	n, levels := integer("batch"), integer("levels")
	lr := g.number(t, "lr")

	// The ladder and the perturbation of the file are those of this program.
	sigmas := Ladder(g.values(t, "sigmas"))
	ladder, err := Geometric(g.number(t, "sigma_begin"), g.number(t, "sigma_end"), levels)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "sigmas", ladder, sigmas, approx.Rel(1.2e-7)) // one unit in the last place: exp and log of two libraries
	x, z, xt := g.nhwc(t, "x"), g.nhwc(t, "z"), g.nhwc(t, "xt")
	labels := g.tensors["labels"].Int64s()
	if len(labels) != n {
		t.Fatalf("%d labels for a batch of %d", len(labels), n)
	}
	sigma := make([]float32, n)
	mine := make([]float32, len(x))
	for row, label := range labels {
		sigma[row] = sigmas[label]
		for i, d := row*len(x)/n, len(x)/n; i < (row+1)*d; i++ {
			mine[i] = x[i] + float32(sigma[row]*z[i])
		}
	}
	check(t, "xt", mine, xt, approx.Tol{})

	tr, err := NewTrainer(backend, TrainerConfig{
		Network: Config{Net: g.meta["net"], NGF: integer("ngf"), Height: integer("height"), Width: integer("width"),
			Channels: integer("channels"), Hidden: integer("hidden"), DataSD: g.number(t, "data_sd")},
		Batch: n, Sigmas: sigmas, AnnealPower: 2,
		Adam:    AdamConfig{LR: lr, Beta1: 0.9, Beta2: 0.999, Eps: g.number(t, "adam_eps")},
		EMARate: g.number(t, "ema_rate"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Load(g.order, "param."); err != nil {
		t.Fatal(err)
	}
	if err := tr.SetBatch(xt, z, sigma); err != nil {
		t.Fatal(err)
	}
	table := &strings.Builder{}
	line := func(what string, worst float64, unit, where string) {
		fmt.Fprintf(table, "\n  %-10s %8.1e %-10s %s", what, worst, unit, where)
	}

	// What was loaded is what is held, through both changes of layout.
	g.group(t, tr, "param.", "param.", approx.Tol{}, approx.WorstAbs)
	g.group(t, tr, "ema.", "param.", approx.Tol{}, approx.WorstAbs)

	loss, err := tr.Gradients()
	if err != nil {
		t.Fatal(err)
	}
	score, err := tr.Score()
	if err != nil {
		t.Fatal(err)
	}
	line("score", check(t, "score", score, g.nhwc(t, "score"), approx.RelMax(scoreTol)), "of max", "")
	line("loss", check(t, "loss", []float32{float32(loss)}, g.values(t, "loss"), approx.Rel(lossTol)), "relative", "")
	worst, name := g.group(t, tr, "grad.", "grad.", approx.RelMax(gradTol), approx.WorstRel)
	line("gradients", worst, "of max", name)

	losses := make([]float32, integer("adam_steps"))
	for i := range losses {
		loss, err := tr.StepFixed()
		if err != nil {
			t.Fatal(err)
		}
		losses[i] = float32(loss)
	}
	line("losses", check(t, "losses", losses, g.values(t, "losses"), approx.Rel(lossTol)), "of max", "")
	inLR := func(got, want []float32) float64 { return approx.WorstAbs(got, want) / lr }
	worst, name = g.group(t, tr, "param.", "adam.", approx.Abs(paramTol*lr), inLR)
	line("after Adam", worst, "lr", name)
	worst, name = g.group(t, tr, "ema.", "ema.", approx.Abs(paramTol*lr), inLR)
	line("EMA", worst, "lr", name)
	t.Logf("%s, %s: worst errors%s", g.meta["net"], backend.Name(), table)

	g.emaMoved(t, tr)
}

// emaMoved compares how far the moving average has moved along the way that it should. 3 steps at rate 0.999 move it by
// 0.006 lr, so the tolerance of its values alone would pass an average that stands still.
func (g golden) emaMoved(t *testing.T, tr *Trainer) {
	t.Helper()
	got, err := tr.Named("ema.")
	if err != nil {
		t.Fatal(err)
	}
	var dot, norm float64
	for _, e := range got {
		short := strings.TrimPrefix(e.Name, "ema.")
		first, want := g.values(t, "param."+short), g.values(t, "ema."+short)
		for i, v := range e.T.Float32s() {
			w := float64(want[i]) - float64(first[i])
			dot += (float64(v) - float64(first[i])) * w
			norm += w * w
		}
	}
	if ratio := dot / norm; !(math.Abs(ratio-1) < 0.02) {
		t.Errorf("the EMA moved %.4f times as far as it should", ratio)
	}
}
