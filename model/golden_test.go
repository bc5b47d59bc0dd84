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
	"text/tabwriter"

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
	var table goldenTable
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
					t.Run(b.name, func(t *testing.T) { table = append(table, g.run(t, b.open(t), filepath.Base(file), b.name)) })
				}
			})
		}
	}
	t.Logf("worst errors; gradients, parameters and averages in the tensor named\n%s", table)
	for _, net := range Networks() {
		if !found[net] {
			t.Errorf("there is no golden file of network %s", net)
		}
	}
}

// goldenTable is the worst errors of every case.
type goldenTable []goldenErrors

type goldenErrors struct {
	file, backend       string
	score, loss, losses float64 // relative to the largest element
	gradients           worstIn // relative to the tensor's largest element
	adam, ema           worstIn // in learning rates
	idle                int     // tensors without effect, left out of adam and ema
}

// worstIn is the worst error of a group of tensors and the tensor it is in.
type worstIn struct {
	error float64
	name  string
}

func (w worstIn) String() string { return fmt.Sprintf("%.1e\t%s", w.error, w.name) }

func (t goldenTable) String() string {
	out := &strings.Builder{}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "case\tbackend\tscore\tloss\tlosses\tgradients\t\tAdam, lr\t\tEMA, lr\t\t")
	for _, e := range t {
		idle := ""
		if e.idle > 0 {
			idle = fmt.Sprintf("%d idle", e.idle)
		}
		fmt.Fprintf(w, "%s\t%s\t%.1e\t%.1e\t%.1e\t%v\t%v\t%v\t%s\n", strings.TrimSuffix(e.file, ".safetensors"), e.backend,
			e.score, e.loss, e.losses, e.gradients, e.adam, e.ema, idle)
	}
	w.Flush()
	return out.String()
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

// group compares the trainer's tensors called from+NAME with the file's called to+NAME: all of them but those to skip, in
// the file's order. The answer is the worst of measure and its tensor.
func (g golden) group(t *testing.T, tr *Trainer, from, to string, tol approx.Tol, skip map[string]bool, measure func(got, want []float32) float64) (worst worstIn) {
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
		if skip[short] {
			continue
		}
		gv, wv := got[i].T.Float32s(), w.T.Float32s()
		if err := approx.Compare(w.Name, gv, wv, tol); err != nil {
			t.Error(err)
		}
		if m := measure(gv, wv); m >= worst.error {
			worst = worstIn{m, short}
		}
	}
	return worst
}

// idle lists the biases that an instance norm without alpha removes again, and says how far from 0 rounding may take
// their gradients: 1e-6 of the largest of all. Adam turns such a gradient, whatever its size, into a step of up to lr, so
// the parameters after it mean nothing.
func (g golden) idle(t *testing.T) (names map[string]bool, zero float64) {
	t.Helper()
	names = map[string]bool{}
	if g.meta["normalization"] != instanceNorm {
		return names, 0
	}
	size := func(nt Named) float64 {
		return approx.WorstAbs(nt.T.Float32s(), make([]float32, nt.T.Shape().TotalSize()))
	}
	var largest float64
	for _, nt := range g.order {
		if strings.HasPrefix(nt.Name, "grad.") {
			largest = max(largest, size(nt))
		}
	}
	for _, nt := range g.order {
		if short, ok := strings.CutPrefix(nt.Name, "grad."); ok && strings.HasSuffix(short, ".conv1.bias") && size(nt) < 1e-6*largest {
			names[short] = true
		}
	}
	return names, 1e-6 * largest
}

// network is the file's.
func (g golden) network(t *testing.T) Config {
	integer := func(key string) int { return int(g.number(t, key)) }
	c := Config{Net: g.meta["net"], NGF: integer("ngf"), Height: integer("height"), Width: integer("width"),
		Channels: integer("channels"), Hidden: integer("hidden"), DataSD: g.number(t, "data_sd")}
	if c.TakesImages() {
		c.Normalization, c.Nonlinearity = g.meta["normalization"], g.meta["nonlinearity"]
		c.Levels, c.Rescaled = integer("levels"), g.meta["rescaled"] == "true"
	}
	return c
}

// trainer has the file's parameters and its batch.
func (g golden) trainer(t *testing.T, backend kernels.Backend) *Trainer {
	t.Helper()
	tr, err := NewTrainer(backend, TrainerConfig{
		Network: g.network(t),
		Batch:   int(g.number(t, "batch")), Sigmas: g.values(t, "sigmas"), AnnealPower: 2,
		Adam:    AdamConfig{LR: g.number(t, "lr"), Beta1: 0.9, Beta2: 0.999, Eps: g.number(t, "adam_eps")},
		EMARate: g.number(t, "ema_rate"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Load(g.order, "param."); err != nil {
		t.Fatal(err)
	}
	var level []int
	for _, label := range g.tensors["labels"].Int64s() {
		level = append(level, int(label))
	}
	if err := tr.SetBatch(g.nhwc(t, "xt"), g.nhwc(t, "z"), level); err != nil {
		t.Fatal(err)
	}
	return tr
}

func (g golden) run(t *testing.T, backend kernels.Backend, file, name string) goldenErrors {
	integer := func(key string) int { return int(g.number(t, key)) }
	n, levels := integer("batch"), integer("levels")
	lr := g.number(t, "lr")
	e := goldenErrors{file: file, backend: name}

	// The ladder and the perturbation of the file are those of this program.
	sigmas := Ladder(g.values(t, "sigmas"))
	spacing := g.meta["spacing"] // of this project's own files; geometric where it is not said
	ladder, err := NewLadder(spacing, g.number(t, "sigma_begin"), g.number(t, "sigma_end"), levels)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "sigmas", ladder, sigmas, approx.Rel(1.2e-7)) // one unit in the last place: exp and log of two libraries
	x, z, xt := g.nhwc(t, "x"), g.nhwc(t, "z"), g.nhwc(t, "xt")
	labels := g.tensors["labels"].Int64s()
	if len(labels) != n {
		t.Fatalf("%d labels for a batch of %d", len(labels), n)
	}
	mine := make([]float32, len(x))
	for row, label := range labels {
		for i, d := row*len(x)/n, len(x)/n; i < (row+1)*d; i++ {
			mine[i] = x[i] + float32(sigmas[label]*z[i])
		}
	}
	check(t, "xt", mine, xt, approx.Tol{})

	tr := g.trainer(t, backend)

	// What was loaded is what is held, through both changes of layout.
	g.group(t, tr, "param.", "param.", approx.Tol{}, nil, approx.WorstAbs)
	g.group(t, tr, "ema.", "param.", approx.Tol{}, nil, approx.WorstAbs)

	loss, err := tr.Gradients()
	if err != nil {
		t.Fatal(err)
	}
	score, err := tr.Score()
	if err != nil {
		t.Fatal(err)
	}
	e.score = check(t, "score", score, g.nhwc(t, "score"), approx.RelMax(scoreTol))
	e.loss = check(t, "loss", []float32{float32(loss)}, g.values(t, "loss"), approx.Rel(lossTol))
	idle, zero := g.idle(t)
	e.idle = len(idle)
	e.gradients = g.group(t, tr, "grad.", "grad.", approx.RelMax(gradTol), idle, approx.WorstRel)
	grads, err := tr.Named("grad.")
	if err != nil {
		t.Fatal(err)
	}
	for _, nt := range grads {
		if short := strings.TrimPrefix(nt.Name, "grad."); idle[short] {
			check(t, nt.Name, nt.T.Float32s(), g.values(t, nt.Name), approx.Abs(zero))
		}
	}

	losses := make([]float32, integer("adam_steps"))
	for i := range losses {
		loss, err := tr.StepFixed()
		if err != nil {
			t.Fatal(err)
		}
		losses[i] = float32(loss)
	}
	e.losses = check(t, "losses", losses, g.values(t, "losses"), approx.Rel(lossTol))
	inLR := func(got, want []float32) float64 { return approx.WorstAbs(got, want) / lr }
	e.adam = g.group(t, tr, "param.", "adam.", approx.Abs(paramTol*lr), idle, inLR)
	e.ema = g.group(t, tr, "ema.", "ema.", approx.Abs(paramTol*lr), idle, inLR)
	g.emaMoved(t, tr, idle)
	return e
}

// emaMoved compares how far the moving average has moved along the way that it should. 3 steps at rate 0.999 move it by
// 0.006 lr, so the tolerance of its values alone would pass an average that stands still.
func (g golden) emaMoved(t *testing.T, tr *Trainer, skip map[string]bool) {
	t.Helper()
	got, err := tr.Named("ema.")
	if err != nil {
		t.Fatal(err)
	}
	var dot, norm float64
	for _, e := range got {
		short := strings.TrimPrefix(e.Name, "ema.")
		if skip[short] {
			continue
		}
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
