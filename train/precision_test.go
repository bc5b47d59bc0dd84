// Precision: which one a run gets, and that training in TF32 and in BF16 goes as in float32.

package train

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

func TestDefaultPrecision(t *testing.T) {
	for _, c := range []struct {
		net  model.Config
		gpu  bool
		want kernels.Precision
	}{
		{model.Config{Net: "ncsnv2", NGF: 128}, true, kernels.TF32},
		{model.Config{Net: "ncsnv2", NGF: 128}, false, kernels.Float32},
		{model.Config{Net: "ncsn", NGF: 32, Levels: 3}, true, kernels.TF32},
		{model.Config{Net: "ncsnv2", NGF: 16}, true, kernels.TF32}, // it has 32 channels at lower resolutions
		{model.Config{Net: "ncsnv2", NGF: 8}, true, kernels.Float32},
		{model.Config{Net: "mlp", Hidden: 128}, true, kernels.Float32},
	} {
		net := c.net
		net.Height, net.Width, net.Channels = 8, 8, 1
		if net.Net == "mlp" {
			net.Height, net.Width, net.Channels, net.DataSD = 1, 1, 2, 1
		}
		if got, err := DefaultPrecision(net, c.gpu); err != nil || got != c.want {
			t.Errorf("%s, %d channels, GPU %v: %s (%v), expected %s", net.Net, net.NGF, c.gpu, got, err, c.want)
		}
	}
}

func TestChoosePrecision(t *testing.T) {
	for _, c := range []struct {
		asked kernels.Precision
		gpu   bool
		want  string // of the stored configuration
		err   string
	}{
		{"", false, "", ""},
		{"", true, "precision: tf32\n", ""},
		{kernels.Float32, false, "", ""},
		{kernels.Float32, true, "", ""},
		{kernels.TF32, true, "precision: tf32\n", ""},
		{kernels.TF32, false, "", "precision is tf32, which takes a GPU: give `gpu`, or `precision` float32"},
		{kernels.BF16, true, "precision: bf16\n", ""},
		{kernels.BF16, false, "", "precision is bf16, which takes a GPU: give `gpu`, or `precision` float32"},
		{"bf17", true, "", `precision is "bf17": expected float32 or tf32 or bf16`},
	} {
		config := Presets[0].Config
		config.Network.NGF, config.Precision = 32, c.asked
		err := config.ResolveShape(nil)
		if err == nil {
			err = config.ChoosePrecision(c.gpu)
		}
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.err {
			t.Errorf("%q, GPU %v: error %q, expected %q", c.asked, c.gpu, text, c.err)
		}
		if err != nil {
			continue
		}
		stored := config.YAML()
		if c.want == "" && strings.Contains(stored, "precision") || !strings.Contains(stored, c.want) {
			t.Errorf("%q, GPU %v: expected %q in\n%s", c.asked, c.gpu, c.want, stored)
		}
		again, err := ParseConfig(stored)
		if err != nil || again.Precision != config.Precision {
			t.Errorf("%q, GPU %v: read again it is %q (%v)", c.asked, c.gpu, again.Precision, err)
		}
	}
}

// All plans of a trainer, that of the held-out loss too, are in its precision.
func TestPlansHaveThePrecision(t *testing.T) {
	for _, precision := range []kernels.Precision{kernels.TF32, kernels.BF16} {
		p, err := newPlans(TrainerConfig{Network: model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 32},
			Precision: precision, Batch: 2, Sigmas: model.Ladder{1, 0.5}, HeldOut: bars()})
		if err != nil {
			t.Fatal(err)
		}
		var counts []map[string]int
		for _, ops := range p.programs() {
			count := map[string]int{}
			for _, op := range ops {
				if on, ok := op.(interface{ OnTensorCores() bool }); ok && on.OnTensorCores() {
					count[op.Name()]++
				}
			}
			counts = append(counts, count)
		}
		n := counts[0]["conv"]
		want := fmt.Sprint([]map[string]int{{"conv": n, "conv_grad_input": n, "conv_grad_weight": n}, {"conv": n}})
		if got := fmt.Sprint(counts); n < 70 || got != want {
			t.Errorf("in %s on tensor cores: %s, expected %s", precision, got, want)
		}
	}
}

// BF16 halves the memory of the activations: that of the plan, less the copies of the weights. What stays is the places
// of maxima, which are words.
func TestBF16Memory(t *testing.T) {
	for _, c := range []struct {
		net   model.Config
		batch int
	}{ // those of the presets cifar10 and ffhq
		{model.Config{Net: "ncsnv2", Height: 32, Width: 32, Channels: 3, NGF: 128}, 128},
		{model.Config{Net: "ncsnv2deepest", Height: 256, Width: 256, Channels: 3, NGF: 128}, 32},
	} {
		arena := map[kernels.Precision]int{}
		for _, precision := range kernels.Precisions {
			p, err := newPlans(TrainerConfig{Network: c.net, Precision: precision, Batch: c.batch, Sigmas: model.Ladder{1, 0.5}})
			if err != nil {
				t.Fatal(err)
			}
			l := &p.layout
			arena[precision] = l.words - (l.level.Off + l.level.N)
			if precision != kernels.BF16 {
				continue
			}
			for _, op := range p.train.Ops {
				if n, ok := op.(kernels.Narrow); ok {
					arena[precision] -= n.Dst.Words()
				}
			}
		}
		if arena[kernels.TF32] != arena[kernels.Float32] {
			t.Errorf("%s: TF32 takes %d words, float32 %d", c.net.Net, arena[kernels.TF32], arena[kernels.Float32])
		}
		r := float64(arena[kernels.BF16]) / float64(arena[kernels.Float32])
		if t.Logf("%s: activations take %.3f of the memory in float32", c.net.Net, r); r > 0.55 {
			t.Error("that is more than half")
		}
	}
}

// roundingCPU runs on the CPU what is meant for tensor cores. It rounds the factors of products to memory of its own,
// and computes in float32 with them; what is kept in bf16 it brings there, and rounds back.
type roundingCPU struct{ kernels.Backend }

// tensorOp is a convolution on tensor cores: its two factors, and the same operation on others, in float32.
func tensorOp(op kernels.Op) (factors [2]kernels.Buf, on func(a, b kernels.Buf) kernels.Op, ok bool) {
	switch o := op.(type) {
	case kernels.Conv:
		return [2]kernels.Buf{o.X, o.Weight}, func(x, w kernels.Buf) kernels.Op {
			o.X, o.Weight = x, w
			return inFloat32(o)
		}, o.OnTensorCores()
	case kernels.ConvGradInput:
		return [2]kernels.Buf{o.DY, o.Weight}, func(dy, w kernels.Buf) kernels.Op {
			o.DY, o.Weight = dy, w
			return inFloat32(o)
		}, o.OnTensorCores()
	case kernels.ConvGradWeight:
		return [2]kernels.Buf{o.X, o.DY}, func(x, dy kernels.Buf) kernels.Op {
			o.X, o.DY = x, dy
			return inFloat32(o)
		}, o.OnTensorCores()
	}
	return factors, nil, false
}

func (b roundingCPU) Alloc(words int, programs ...[]kernels.Op) (kernels.Arena, error) {
	more := 0
	for _, ops := range programs {
		for _, op := range ops {
			if _, discard := op.(kernels.Discard); discard {
				continue
			}
			need := 0
			reads, writes := op.Operands()
			for _, w := range append(reads, writes...) {
				need += w.N
			}
			more = max(more, need)
		}
	}
	a, err := b.Backend.Alloc(words + more)
	return roundingArena{a, words}, err
}

type roundingArena struct {
	kernels.Arena
	scratch int // where the memory for rounded factors begins
}

// inFloat32 returns the operation in float32.
func inFloat32(op kernels.Op) kernels.Op {
	switch o := op.(type) {
	case kernels.Conv:
		o.Precision = kernels.Float32
		return o
	case kernels.ConvGradInput:
		o.Precision = kernels.Float32
		return o
	case kernels.ConvGradWeight:
		o.Precision = kernels.Float32
		return o
	}
	return op
}

func (b roundingCPU) Compile(a kernels.Arena, ops []kernels.Op) (kernels.Program, error) {
	var all []kernels.Op
	for _, op := range ops {
		if _, discard := op.(kernels.Discard); discard {
			continue
		}
		if kept := narrowWindows(op); len(kept) > 0 {
			all = append(all, throughWords(op, kept, a.(roundingArena).scratch)...)
			continue
		}
		factors, on, ok := tensorOp(op)
		if !ok {
			all = append(all, inFloat32(op)) // too narrow for tensor cores, or no convolution
			continue
		}
		at := a.(roundingArena).scratch
		var rounded [2]kernels.Buf
		for i, f := range factors {
			rounded[i] = kernels.Buf{Off: at, N: f.N}
			at += f.N
		}
		all = append(all, kernels.HostFunc{Label: "round", Reads: factors[:], Writes: rounded[:], F: func(mem []float32) {
			for i, f := range factors {
				r := rounded[i].Of(mem)
				for k, v := range f.Of(mem) {
					r[k] = math.Float32frombits((math.Float32bits(v) + 1<<12) &^ (1<<13 - 1))
				}
			}
		}}, on(rounded[0], rounded[1]))
		if o, ok := op.(kernels.ConvGradWeight); ok && o.DBias.N > 0 { // of what is not rounded
			all = append(all, kernels.HostFunc{Label: "bias", Reads: []kernels.Buf{o.DY}, Writes: []kernels.Buf{o.DBias},
				F: func(mem []float32) {
					sums := make([]float64, o.Cout)
					for i, v := range o.DY.Of(mem) {
						sums[i%o.Cout] += float64(v)
					}
					for i, v := range sums {
						o.DBias.Of(mem)[i] = float32(v)
					}
				}})
		}
	}
	return b.Backend.Compile(a.(roundingArena).Arena, all)
}

// narrowWindows lists the operation's windows that are not of words.
func narrowWindows(op kernels.Op) (list []kernels.Buf) {
	reads, writes := op.Operands()
	for _, w := range append(reads, writes...) {
		if w.Element != kernels.Words && !slices.Contains(list, w) {
			list = append(list, w)
		}
	}
	return list
}

// throughWords brings these windows to words from word `at` on, computes there, and rounds the results back.
func throughWords(op kernels.Op, kept []kernels.Buf, at int) []kernels.Op {
	words := map[kernels.Buf]kernels.Buf{}
	var there []kernels.Buf
	for _, w := range kept {
		words[w] = kernels.Buf{Off: at, N: w.N}
		there = append(there, words[w])
		at += w.N
	}
	moved := kernels.Moved(op, func(w kernels.Buf) kernels.Buf {
		if to, ok := words[w]; ok {
			return to
		}
		return w
	})
	_, writes := op.Operands()
	return []kernels.Op{
		kernels.HostFunc{Label: "load", Reads: kept, Writes: there, F: func(mem []float32) {
			for _, w := range kept {
				copy(words[w].Of(mem), w.Load(mem))
			}
		}},
		inFloat32(moved),
		kernels.HostFunc{Label: "store", Reads: there, Writes: kept, F: func(mem []float32) {
			for _, w := range writes {
				if to, ok := words[w]; ok {
					w.Store(mem, to.Of(mem))
				}
			}
		}},
	}
}

// poolCPU shows what each max pool of a program found, the places of its maxima, and takes others in their stead.
type poolCPU struct {
	kernels.Backend
	visit func(pool int, places []float32)
}

func (b poolCPU) Compile(a kernels.Arena, ops []kernels.Op) (kernels.Program, error) {
	var all []kernels.Op
	pools := 0
	for _, op := range ops {
		all = append(all, op)
		if o, ok := op.(kernels.MaxPool5); ok {
			pool, index := pools, []kernels.Buf{o.Index}
			pools++
			all = append(all, kernels.HostFunc{Label: "visit", Reads: index, Writes: index, F: func(mem []float32) {
				b.visit(pool, o.Index.Of(mem))
			}})
		}
	}
	return b.Backend.Compile(a, all)
}

// bars is 64 images of bars.
func bars() *kernels.Data {
	d := &kernels.Data{N: 64, H: 8, W: 8, C: 1, U8: make([]byte, 64*64)}
	for i := range d.U8 {
		n, p := i/64, i%64
		if r, c := p/8, p%8; n < 32 && r == n/4 || n >= 32 && c == (n-32)/4 {
			d.U8[i] = byte(150 + 35*(n%4))
		}
	}
	return d
}

// tensorTraining trains a network of 32 channels for some steps and returns the losses, and the trainer as it is then.
func tensorTraining(t *testing.T, b kernels.Backend, p kernels.Precision, batch, steps int) ([]float64, *Trainer) {
	t.Helper()
	tr, err := NewTrainer(b, TrainerConfig{
		Network: model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 32}, Precision: p,
		Batch: batch, Data: bars(), Sigmas: model.Ladder{2, 1, 0.5, 0.25}, AnnealPower: 2, Seed: 1, Ring: max(1, steps),
		Adam: Adam{LR: 1e-4, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8}})
	if err != nil {
		t.Fatal(err)
	}
	for range steps {
		if err := tr.Step(); err != nil {
			t.Fatal(err)
		}
	}
	records, err := tr.Losses(nil)
	if err != nil {
		t.Fatal(err)
	}
	var losses []float64
	for _, r := range records {
		losses = append(losses, r.Mean())
	}
	return losses, tr
}

// sameDirection wants the gradients of two trainers to point the same way, tensor by tensor: their cosine is least at
// least. It returns the least there is.
func sameDirection(t *testing.T, got, want *Trainer, least float64) float64 {
	t.Helper()
	g, err := got.Named("grad.")
	if err != nil {
		t.Fatal(err)
	}
	w, err := want.Named("grad.")
	if err != nil {
		t.Fatal(err)
	}
	worst := 1.0
	for i := range w {
		var dot, gg, ww float64
		for k, v := range w[i].T.Float32s() {
			x := float64(g[i].T.Float32s()[k])
			dot, gg, ww = dot+x*float64(v), gg+x*x, ww+float64(v)*float64(v)
		}
		c := dot / math.Sqrt(gg*ww)
		if worst = min(worst, c); !(c >= least) {
			t.Errorf("the cosine of the gradients of %s is %.6f", w[i].Name, c)
		}
	}
	return worst
}

// Training in TF32 and in BF16 goes as in float32: the gradients point the same way, and after 200 steps the loss is
// within 1 %. The CPU rounds here as tensor cores do, and as activations in bf16 are.
//
// The gradients of BF16 are compared at the batch that is trained with, for maxima of pools move: see
// TestBF16PoolPlaces.
func TestTF32Training(t *testing.T) { testTraining(t, kernels.TF32, 4) }
func TestBF16Training(t *testing.T) { testTraining(t, kernels.BF16, 128) }

// What turns the gradients of BF16 away from those of float32 is the max pools. Rounded values order otherwise, or are
// the same where they were not, so that about one maximum in a hundred is found at another place of its window, and the
// gradient goes there: a jump for that pixel, whatever the size of the error. The jumps of different rows have nothing
// to do with each other, so they cancel in larger batches. With the places that float32 finds, all gradients point the
// same way, down to a single row.
func TestBF16PoolPlaces(t *testing.T) {
	cpu := kernels.NewCPU(0)
	for _, batch := range []int{1, 4} {
		places := map[int][]byte{} // of each pool's maxima: a byte for each of its values
		read := func(index []float32) (all []byte) {
			for _, word := range index {
				all = binary.LittleEndian.AppendUint32(all, math.Float32bits(word))
			}
			return all
		}
		_, want := tensorTraining(t, poolCPU{cpu, func(pool int, index []float32) {
			places[pool] = read(index)
		}}, kernels.Float32, batch, 1)
		values, moved := 0, 0
		_, got := tensorTraining(t, poolCPU{roundingCPU{cpu}, func(pool int, index []float32) {
			for i, place := range read(index) {
				values++
				if place != places[pool][i] {
					moved++
				}
			}
			for i := range index {
				index[i] = math.Float32frombits(binary.LittleEndian.Uint32(places[pool][4*i:]))
			}
		}}, kernels.BF16, batch, 1)
		cosine := sameDirection(t, got, want, 0.999)
		t.Logf("batch %d: %d of %d maxima move; without, the least cosine of a gradient is 1 - %.1e", batch, moved, values, 1-cosine)
		if len(places) != 8 || moved == 0 {
			t.Errorf("batch %d: %d pools, of which %d maxima move", batch, len(places), moved)
		}
	}
}

func testTraining(t *testing.T, precision kernels.Precision, batch int) {
	const steps, window = 200, 50
	cpu := kernels.NewCPU(0)
	_, want := tensorTraining(t, cpu, kernels.Float32, batch, 1)
	_, got := tensorTraining(t, roundingCPU{cpu}, precision, batch, 1)
	cosine := sameDirection(t, got, want, 0.999)

	mean := func(losses []float64) (sum float64) {
		for _, l := range losses {
			sum += l / float64(len(losses))
		}
		return sum
	}
	exact, _ := tensorTraining(t, cpu, kernels.Float32, 4, steps)
	rounded, _ := tensorTraining(t, roundingCPU{cpu}, precision, 4, steps)
	text := ""
	for _, losses := range [][]float64{exact, rounded} {
		first, last := mean(losses[:window]), mean(losses[steps-window:])
		if text += fmt.Sprintf("; %.4g to %.4g", first, last); !(last <= 0.7*first) {
			t.Errorf("the loss falls from %.4g to %.4g", first, last)
		}
	}
	off := mean(rounded[steps-window:])/mean(exact[steps-window:]) - 1
	if !(math.Abs(off) <= 0.01) {
		t.Errorf("the loss is off by %.2f %%", 100*off)
	}
	t.Logf("least cosine of a gradient 1 - %.1e; loss, %d steps, float32 and %s: %s; off by %.3f %%",
		1-cosine, window, precision, text[2:], 100*off)
}
