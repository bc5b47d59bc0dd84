// The check before anything is measured: every operation, a training step and a score against the plain Go reference.

package benchcmd

import (
	"fmt"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
	"sigmaz/train"
)

// tolerance is the error of a kernel's result relative to its largest element; whole passes through a network may be
// off by passTolerance.
const (
	tolerance     = 1e-5
	passTolerance = 1e-4
)

// reference runs every operation in plain Go.
type reference struct{}

func (reference) Name() string                  { return "reference" }
func (reference) Arithmetic() string            { return "reference" }
func (reference) Multiprocessors() int          { return 0 }
func (reference) FreeMemory() (int64, bool)     { return 0, false }
func (reference) Workspace(...[]kernels.Op) int { return 0 }
func (reference) Close() error                  { return nil }
func (reference) Alloc(words int, _ ...[]kernels.Op) (kernels.Arena, error) {
	return kernels.NewCPU(1).Alloc(words)
}
func (reference) Compile(a kernels.Arena, ops []kernels.Op) (kernels.Program, error) {
	return refProgram{a.Host(), ops}, nil
}

type refProgram struct {
	mem []float32
	ops []kernels.Op
}

func (p refProgram) Run() error {
	for _, op := range p.ops {
		kernels.Reference(op, p.mem)
	}
	return nil
}

// compared counts one result that agrees with the reference, and refuses one that does not.
func (b *bench) compared(name string, got, want []float32, tol approx.Tol) error {
	if err := approx.Compare(name, got, want, tol); err != nil {
		return err
	}
	b.report.Checked++
	b.report.Worst = max(b.report.Worst, approx.WorstRel(got, want))
	return nil
}

// agrees runs an operation on the backend and in the reference, from the same memory: normals, state blocks of zeros, and
// what fill sets, which may be nil.
func (b *bench) agrees(op kernels.Op, words int, tol approx.Tol, fill func(mem []float32)) error {
	all := kernels.Buf{Off: 0, N: words}
	init := make([]float32, words)
	kernels.Stream{Seed: 5, Purpose: kernels.PurposeData}.Normals(init)
	reads, writes := op.Operands()
	for _, r := range reads { // state blocks are the only words that are no floats
		switch {
		case r.N == kernels.StateWords:
			copy(r.Of(init), make([]float32, r.N))
		case r.Element != kernels.Words:
			values := make([]float32, r.N)
			kernels.Stream{Seed: 5, Purpose: kernels.PurposeData, N: uint64(r.Off)}.Normals(values)
			r.Store(init, values)
		}
	}
	if fill != nil {
		fill(init)
	}
	var results [2][]float32
	for i, backend := range []kernels.Backend{b.backend, reference{}} {
		a, err := backend.Alloc(words)
		if err != nil {
			return err
		}
		if err := a.Write(all, init); err != nil {
			return err
		}
		p, err := backend.Compile(a, []kernels.Op{op})
		if err != nil {
			return err
		}
		if err := p.Run(); err != nil {
			return err
		}
		results[i] = make([]float32, words)
		if err := a.Read(results[i], all); err != nil {
			return err
		}
	}
	for i, w := range writes {
		name := fmt.Sprintf("%s, result %d", op.Name(), i)
		tol := tol
		if w.Element == kernels.BFloat16 { // rounded on both sides of a tie
			tol.Rel = 1. / 128
		}
		if err := b.compared(name, w.Load(results[0]), w.Load(results[1]), tol); err != nil {
			return err
		}
	}
	return nil
}

// checkAll compares what the tables measure with the reference, at sizes that it can do. Convolutions are compared in
// their table.
func (b *bench) checkAll() error {
	for _, n := range []int{1, 5} {
		e := newElementwise(n, 32, 32, 3, testImages(7, 32, 32, 3))
		if err := b.agrees(e.perturb, e.words, approx.Tol{}, nil); err != nil {
			return err
		}
		if err := b.agrees(e.langevin, e.words, approx.Tol{}, e.fill); err != nil {
			return err
		}
		if err := b.agrees(e.copy, e.words, approx.Tol{}, nil); err != nil {
			return err
		}
	}
	for _, s := range []kernels.ConvShape{
		{N: 2, H: 12, W: 8, Cin: 1, Cout: 8, K: 3, Dilation: 1}, {N: 2, H: 12, W: 8, Cin: 32, Cout: 48, K: 3, Dilation: 2},
		{N: 3, H: 7, W: 5, Cin: 48, Cout: 20, K: 1, Dilation: 1}, {N: 1, H: 9, W: 8, Cin: 32, Cout: 64, K: 3, Dilation: 1},
	} {
		if err := b.checkConv(s); err != nil {
			return err
		}
	}
	if err := b.checkDistances(); err != nil {
		return err
	}
	return b.checkNetwork()
}

// checkNetwork trains two steps on the backend and in the reference: losses, scores and weights.
func (b *bench) checkNetwork() error {
	n := network{ngf: 4, size: 12, channels: 2, batch: 3, precision: b.device.Precision}
	type result struct{ losses, score, weights []float32 }
	var results [2]result
	for i, backend := range []kernels.Backend{b.backend, reference{}} {
		t, _, err := n.trainer(backend)
		if err != nil {
			return err
		}
		r := &results[i]
		for range 2 {
			if err := t.Step(); err != nil {
				return err
			}
			records, err := t.Losses(nil)
			if err != nil {
				return err
			}
			r.losses = append(r.losses, records[0].Loss...)
		}
		if r.score, err = t.Score(); err != nil {
			return err
		}
		if r.weights, err = flat(t, "param."); err != nil {
			return err
		}
	}
	got, want := results[0], results[1]
	if err := b.compared("losses of two training steps", got.losses, want.losses, approx.Rel(passTolerance)); err != nil {
		return err
	}
	if err := b.compared("score after a training step", got.score, want.score, approx.RelMax(passTolerance)); err != nil {
		return err
	}
	// Adam divides by the root of its second moment: where a gradient is nearly nothing its sign decides.
	return b.compared("weights after two training steps", got.weights, want.weights, approx.Abs(learningRate))
}

// flat copies one group of a trainer's tensors into one slice.
func flat(t *train.Trainer, prefix string) ([]float32, error) {
	named, err := t.Named(prefix)
	if err != nil {
		return nil, err
	}
	var all []float32
	for _, n := range named {
		all = append(all, n.T.Data().([]float32)...)
	}
	return all, nil
}

// normals fills a window of an arena with normals, a block of them repeated: drawing gigabytes would take longer than
// measuring.
func normals(a kernels.Arena, w kernels.Buf) error {
	values := make([]float32, min(w.N, 1<<20))
	kernels.Stream{Seed: 6, Purpose: kernels.PurposeData}.Normals(values)
	b := kernels.Buf{N: len(values), Element: w.Element}
	block := make([]float32, b.Words())
	b.Store(block, values)
	all := kernels.Buf{Off: w.Off, N: w.Words()}
	for off := 0; off < all.N; off += len(block) {
		n := min(len(block), all.N-off)
		if err := a.Write(all.Slice(off, n), block[:n]); err != nil {
			return err
		}
	}
	return nil
}

// testImages makes images of bytes without a pattern that a branch predictor could learn.
func testImages(n, h, w, c int) *kernels.Data {
	d := &kernels.Data{N: n, H: h, W: w, C: c, U8: make([]byte, n*h*w*c)}
	s := kernels.Stream{Seed: 8, Purpose: kernels.PurposeData}
	for i := 0; i < len(d.U8); i += 4 {
		for j, v := range s.Block(uint32(i / 4)) {
			if i+j < len(d.U8) {
				d.U8[i+j] = byte(v >> 24)
			}
		}
	}
	return d
}
