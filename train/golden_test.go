// The networks against PyTorch: testdata/golden/README.md says what a golden file holds.

package train

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/golden"
)

// The tolerances are those of two float32 programs that sum in another order. A wrong constant shows: the epsilon of
// the norm, 1e-6 for 1e-5, changes the score by 3.8e-5.
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
	found := map[string]bool{}
	var table goldenTable
	for _, file := range golden.Glob(t, "*.safetensors") {
		g := goldenFile{golden.Read(t, file)}
		found[g.Meta["net"]] = true
		t.Run(filepath.Base(file), func(t *testing.T) {
			if net := g.Meta["net"]; !slices.Contains(model.Networks(), net) {
				t.Skipf("network %s is not built in", net)
			}
			for _, b := range testBackends {
				t.Run(b.name, func(t *testing.T) {
					run := g.run
					if g.Process() != "" {
						run = g.runProcess
					}
					table = append(table, run(t, b.open(t), filepath.Base(file), b.name))
				})
			}
		})
	}
	t.Logf("worst errors; gradients, parameters and averages in the tensor named\n%s", table)
	for _, net := range model.Networks() {
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
	starts              int     // of Adam's steps, see adamSteps
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
		if e.starts > 1 {
			idle += fmt.Sprintf(" start %d", e.starts)
		}
		fmt.Fprintf(w, "%s\t%s\t%.1e\t%.1e\t%.1e\t%v\t%v\t%v\t%s\n", strings.TrimSuffix(e.file, ".safetensors"),
			e.backend,
			e.score, e.loss, e.losses, e.gradients, e.adam, e.ema, idle)
	}
	w.Flush()
	return out.String()
}

// goldenFile is a golden file with what this package tests by it.
type goldenFile struct{ *golden.File }

// check compares and returns the worst error relative to the largest element, for the table.
func check(t *testing.T, name string, got, want []float32, tol approx.Tol) float64 {
	t.Helper()
	if err := approx.Compare(name, got, want, tol); err != nil {
		t.Error(err)
	}
	return approx.WorstRel(got, want)
}

// group compares the trainer's tensors called from+NAME with the file's called to+NAME: all of them but those to skip,
// in the file's order. It returns the worst of measure and its tensor, and what is beyond the tolerance as an error.
func (g goldenFile) group(t *testing.T, tr *Trainer, from, to string, tol approx.Tol, skip map[string]bool,
	measure func(got, want []float32) float64) (worst worstIn, beyond error) {
	t.Helper()
	got := g.named(t, tr, from)
	if to != "param." { // what is not trained is among the first values alone
		got = slices.DeleteFunc(got, func(nt model.Named) bool { return tr.isFrozen(strings.TrimPrefix(nt.Name, from)) })
	}
	var want []model.Named
	for _, nt := range g.Tensors {
		if strings.HasPrefix(nt.Name, to) {
			want = append(want, nt)
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d tensors called %sNAME, expected %d", len(got), from, len(want))
	}
	for i, w := range want {
		short := strings.TrimPrefix(w.Name, to)
		if shape := g.Tensor(t, "param."+short).Shape(); got[i].Name != from+short || !got[i].T.Shape().Eq(shape) {
			t.Fatalf("tensor %d is %s %v, expected %s%s %v", i, got[i].Name, got[i].T.Shape(), from, short, shape)
		}
		if skip[short] {
			continue
		}
		gv, wv := got[i].T.Float32s(), w.T.Float32s()
		if to != "param." {
			gv = g.Some(t, gv)
		}
		beyond = errors.Join(beyond, approx.Compare(w.Name, gv, wv, tol))
		if m := measure(gv, wv); m >= worst.error {
			worst = worstIn{m, short}
		}
	}
	return worst, beyond
}

// isFrozen says whether the parameter of that name is not trained.
func (t *Trainer) isFrozen(name string) bool {
	return slices.ContainsFunc(t.net.Params, func(p *model.Param) bool { return p.Frozen && p.Name == name })
}

// named lists the trainer's tensors with a prefix.
func (g goldenFile) named(t *testing.T, tr *Trainer, prefix string) []model.Named {
	t.Helper()
	list, err := tr.Named(prefix)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// idle lists the biases that an instance norm without alpha removes again, and says how far from 0 rounding may take
// their gradients: 1e-6 of the largest of all. Adam turns such a gradient, whatever its size, into a step of up to lr,
// so the parameters after it mean nothing.
func (g goldenFile) idle(t *testing.T) (names map[string]bool, zero float64) {
	t.Helper()
	names = map[string]bool{}
	if g.Meta["normalization"] != "InstanceNorm" {
		return names, 0
	}
	size := func(nt model.Named) float64 {
		return approx.WorstAbs(nt.T.Float32s(), make([]float32, nt.T.Shape().TotalSize()))
	}
	var largest float64
	for _, nt := range g.Tensors {
		if strings.HasPrefix(nt.Name, "grad.") {
			largest = max(largest, size(nt))
		}
	}
	for _, nt := range g.Tensors {
		if short, ok := strings.CutPrefix(nt.Name, "grad."); ok && strings.HasSuffix(short, ".conv1.bias") &&
			size(nt) < 1e-6*largest {
			names[short] = true
		}
	}
	return names, 1e-6 * largest
}

// trainer has the file's parameters and its batch.
func (g goldenFile) trainer(t *testing.T, backend kernels.Backend) *Trainer {
	t.Helper()
	tr, err := NewTrainer(backend, TrainerConfig{
		Network: g.Network(t),
		Batch:   int(g.Number(t, "batch")), Sigmas: g.Floats(t, "sigmas"), AnnealPower: 2,
		Adam:    Adam{LR: g.Number(t, "lr"), Beta1: 0.9, Beta2: 0.999, Eps: g.Number(t, "adam_eps")},
		EMARate: g.Number(t, "ema_rate"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Load(g.Tensors, "param."); err != nil {
		t.Fatal(err)
	}
	var level []int
	for _, label := range g.Tensor(t, "labels").Int64s() {
		level = append(level, int(label))
	}
	if err := tr.SetBatch(g.NHWC(t, "xt"), g.NHWC(t, "z"), level); err != nil {
		t.Fatal(err)
	}
	return tr
}

func (g goldenFile) run(t *testing.T, backend kernels.Backend, file, name string) goldenErrors {
	n, levels := g.Int(t, "batch"), g.Int(t, "levels")
	lr := g.Number(t, "lr")
	e := goldenErrors{file: file, backend: name}

	// The ladder and the perturbation of the file are those of this program.
	sigmas := model.Ladder(g.Floats(t, "sigmas"))
	spacing := g.Meta["spacing"] // of this project's own files; geometric where it is not said
	ladder, err := model.NewLadder(spacing, g.Number(t, "sigma_begin"), g.Number(t, "sigma_end"), levels)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "sigmas", ladder, sigmas, approx.Rel(1.2e-7)) // one unit in the last place: exp and log of two libraries
	x, z, xt := g.NHWC(t, "x"), g.NHWC(t, "z"), g.NHWC(t, "xt")
	labels := g.Tensor(t, "labels").Int64s()
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
	for _, prefix := range []string{"param.", "ema."} {
		if _, err := g.group(t, tr, prefix, "param.", approx.Tol{}, nil, approx.WorstAbs); err != nil {
			t.Error(err)
		}
	}

	loss, err := tr.Gradients()
	if err != nil {
		t.Fatal(err)
	}
	score, err := tr.Score()
	if err != nil {
		t.Fatal(err)
	}
	e.score = check(t, "score", score, g.NHWC(t, "score"), approx.RelMax(scoreTol))
	e.loss = check(t, "loss", []float32{float32(loss)}, g.Floats(t, "loss"), approx.Rel(lossTol))
	check(t, "the first of losses", []float32{float32(loss)}, g.Floats(t, "losses")[:1], approx.Rel(lossTol))
	idle, zero := g.idle(t)
	e.idle = len(idle)
	if e.gradients, err = g.group(t, tr, "grad.", "grad.", approx.RelMax(gradTol), idle, approx.WorstRel); err != nil {
		t.Error(err)
	}
	for _, nt := range g.named(t, tr, "grad.") {
		if short := strings.TrimPrefix(nt.Name, "grad."); idle[short] {
			check(t, nt.Name, nt.T.Float32s(), g.Floats(t, nt.Name), approx.Abs(zero))
		}
	}

	e.starts = g.adamSteps(t, tr, backend, func(losses []float32) (beyond error) {
		want := g.Floats(t, "losses")[1:]
		e.losses = approx.WorstRel(losses, want)
		beyond = approx.Compare("losses", losses, want, approx.Rel(lossTol))
		inLR := func(got, want []float32) float64 { return approx.WorstAbs(got, want) / lr }
		var errAdam, errEMA error
		e.adam, errAdam = g.group(t, tr, "param.", "adam.", approx.Abs(paramTol*lr), idle, inLR)
		e.ema, errEMA = g.group(t, tr, "ema.", "ema.", approx.Abs(paramTol*lr), idle, inLR)
		return errors.Join(beyond, errAdam, errEMA, g.emaMoved(t, tr, idle))
	})
	return e
}

// mostStarts is how many starts adamSteps tries.
const mostStarts = 16

// adamSteps runs the file's steps of Adam, those of the first step with the gradients of the file, and then compare,
// with the losses before each step but the first. The test fails where compare gives an error.
//
// The gradients of the file are taken because the first step of Adam is lr g/|g|: of a gradient that is rounding alone
// it keeps the sign.
//
// The later steps are no continuous function of the weights: where two pixels under a max pool are equal but for
// rounding, the gradient of the window goes to the one or the other. That changes gradients by a thousandth of the
// largest, and Adam makes more than the tolerance of it in small ones. Which of the two PyTorch took is what some start
// no further than rounding away comes to, so where compare gives an error the steps start again from weights that are a
// unit in the last place up, down, or the same, at random. It returns the number of starts.
func (g goldenFile) adamSteps(t *testing.T, tr *Trainer, backend kernels.Backend,
	compare func(losses []float32) error) (starts int) {
	t.Helper()
	l := &tr.layout
	first, err := backend.Compile(tr.arena, append(tr.optimiser(), kernels.Tick{State: l.state}))
	if err != nil {
		t.Fatal(err)
	}
	var beyond error
	for start := range mostStarts {
		if err := tr.Load(g.Tensors, "param."); err != nil {
			t.Fatal(err)
		}
		if start > 0 {
			g.nudge(t, tr, uint64(start))
		}
		if err := tr.load(model.NamedSet(g.Tensors), "grad.", gradPrefix); err != nil {
			t.Fatal(err)
		}
		if err := first.Run(); err != nil {
			t.Fatal(err)
		}
		if start == 0 {
			g.checkFirstStep(t, tr)
		}
		var losses []float32
		for range g.Int(t, "adam_steps") - 1 {
			loss, err := tr.StepFixed()
			if err != nil {
				t.Fatal(err)
			}
			losses = append(losses, float32(loss))
		}
		err := compare(losses)
		if err == nil {
			return start + 1
		}
		if beyond == nil {
			beyond = err
		}
	}
	t.Errorf("after the steps of Adam, from %d starts that differ by rounding; from the first of them:\n%v",
		mostStarts, beyond)
	return mostStarts
}

// nudge moves each weight by one unit in the last place, up or down, or leaves it, at random. The average starts at the
// weights.
func (g goldenFile) nudge(t *testing.T, tr *Trainer, seed uint64) {
	t.Helper()
	l := &tr.layout
	words := make([]float32, l.params.N)
	if err := tr.arena.Read(words, l.params); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	for i, w := range words {
		words[i] = math.Nextafter32(w, w+float32(random.IntN(3)-1))
	}
	for _, group := range []kernels.Buf{l.params, l.ema} {
		if err := tr.arena.Write(group, words); err != nil {
			t.Fatal(err)
		}
	}
}

// checkFirstStep compares the state after the first step with Adam's formulas, which leave no room for anything but
// rounding: with the moments 0 before it, the bias corrections leave lr g/(|g|+eps).
func (g goldenFile) checkFirstStep(t *testing.T, tr *Trainer) {
	t.Helper()
	const beta1, beta2 = 0.9, 0.999 // of all files
	lr, eps, rate := g.Number(t, "lr"), g.Number(t, "adam_eps"), g.Number(t, "ema_rate")
	for _, c := range []struct {
		prefix string
		after  func(param, grad float64) float64
		tol    approx.Tol
	}{
		{"adam_m.", func(_, grad float64) float64 { return (1 - beta1) * grad }, approx.Rel(5e-7)},
		{"adam_v.", func(_, grad float64) float64 { return (1 - beta2) * grad * grad }, approx.Tol{Abs: 1e-37, Rel: 5e-7}},
		{"param.", func(param, grad float64) float64 { return param - lr*grad/(math.Abs(grad)+eps) },
			approx.Tol{Abs: 1e-5 * lr, Rel: 1.2e-7}},
		{"ema.", func(param, grad float64) float64 { return param - (1-rate)*lr*grad/(math.Abs(grad)+eps) },
			approx.Tol{Abs: 1e-5 * (1 - rate) * lr, Rel: 1.2e-7}},
	} {
		for _, nt := range g.named(t, tr, c.prefix) {
			short := strings.TrimPrefix(nt.Name, c.prefix)
			param, grad := g.Floats(t, "param."+short), g.Floats(t, "grad."+short)
			want := make([]float32, len(param))
			for i := range want {
				want[i] = float32(c.after(float64(param[i]), float64(grad[i])))
			}
			check(t, nt.Name+" after one step", nt.T.Float32s(), want, c.tol)
		}
	}
}

// emaMoved compares how far the moving average has moved along the way that it should. 3 steps at rate 0.999 move it by
// 0.006 lr, so the tolerance of its values alone would pass an average that stands still.
func (g goldenFile) emaMoved(t *testing.T, tr *Trainer, skip map[string]bool) error {
	t.Helper()
	var dot, norm float64
	for _, e := range g.named(t, tr, "ema.") {
		short := strings.TrimPrefix(e.Name, "ema.")
		if skip[short] || tr.isFrozen(short) {
			continue
		}
		first, want := g.Some(t, g.Floats(t, "param."+short)), g.Floats(t, "ema."+short)
		for i, v := range g.Some(t, e.T.Float32s()) {
			w := float64(want[i]) - float64(first[i])
			dot += (float64(v) - float64(first[i])) * w
			norm += w * w
		}
	}
	if ratio := dot / norm; !(math.Abs(ratio-1) < 0.02) {
		return fmt.Errorf("the EMA moved %.4f times as far as it should", ratio)
	}
	return nil
}
