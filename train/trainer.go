// The trainer: everything between two optimiser steps as programs on one arena.
//
//	step      perturb, forward, loss, backward, Adam and EMA, record, tick
//	held out  perturb with every level in turn, forward with the averaged weights (or, where no average is kept, with the
//	          parameters), loss, record, tick
//
// Layout of the arena, in words; the memory of the two plans overlaps, since they never run at the same time:
//
//	state | held-out state | ladder | parameters | gradients | m | v | ema | ring | memory of the plans
package train

import (
	"context"
	"fmt"
	"math"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/graph"
)

// TrainerConfig is what a trainer is built from.
type TrainerConfig struct {
	Network     model.Config
	Batch       int
	Sigmas      model.Ladder
	AnnealPower float64 // p of the loss weight sigma^p
	Adam        Adam
	EMARate     float64 // 0: no average is kept, and samples and the held-out loss are those of the parameters
	EMAWarmup   bool    // rate min(EMARate, (1+n)/(10+n))

	Data    *kernels.Data // nil where batches are given by SetBatch
	HeldOut *kernels.Data // may be nil
	Seed    uint64

	Flip, Dequantize bool
	LevelsPerStep    int // levels drawn each step and shared out over the batch; 0: one for each row
	Stratified       bool

	Ring int // steps between two calls of Losses, at most; 0: 1
}

// Trainer owns an arena with a network's parameters and the programs that train it.
type Trainer struct {
	c       TrainerConfig
	backend kernels.Backend
	arena   kernels.Arena
	layout  layout
	net     *model.Network
	plan    *graph.Plan
	steps   uint64
	read    uint64 // steps whose losses were read

	step      *graph.Machine // the whole step, nil without data
	gradients *graph.Machine // forward and backward of the batch given by SetBatch
	fixed     *graph.Machine // the same, then Adam and EMA
	heldOut   *graph.Machine // nil without held-out data
	evalRing  kernels.Buf    // (2 Batch) losses and levels of one held-out batch
}

// layout is where everything lies.
type layout struct {
	state, evalState, ladder kernels.Buf
	params, grads, m, v, ema kernels.Buf
	ring, level              kernels.Buf
	base                     int           // first word behind what lasts
	words                    int           // size of the arena
	param                    []kernels.Buf // of each parameter, relative to its group
}

// averaged is the weights that samples and the held-out loss are taken with.
func (l *layout) averaged() kernels.Buf {
	if l.ema.N > 0 {
		return l.ema
	}
	return l.params
}

// groups are the tensors of a checkpoint by prefix: one window of all parameters each, of none for an average that is
// not kept.
func (l *layout) groups() []struct {
	prefix string
	buf    kernels.Buf
} {
	return []struct {
		prefix string
		buf    kernels.Buf
	}{{"param.", l.params}, {"ema.", l.ema}, {"adam_m.", l.m}, {"adam_v.", l.v}, {"grad.", l.grads}}
}

// at is the window of parameter i in a group.
func (l *layout) at(group kernels.Buf, i int) kernels.Buf {
	return group.Slice(l.param[i].Off, l.param[i].N)
}

// plans are the two graphs of a trainer with their memory.
type plans struct {
	layout       layout
	net, evalNet *model.Network
	plan, eval   *graph.Plan
}

// newPlans lays out the arena: everything is known before a word of it is allocated.
func newPlans(c TrainerConfig) (*plans, error) {
	if c.Batch < 1 {
		return nil, fmt.Errorf("batch is %d: expected at least 1", c.Batch)
	}
	if len(c.Sigmas) < 1 {
		return nil, fmt.Errorf("the noise ladder is empty: expected at least one level")
	}
	for _, d := range []*kernels.Data{c.Data, c.HeldOut} {
		if d != nil && (d.H != c.Network.Height || d.W != c.Network.Width || d.C != c.Network.Channels) {
			return nil, fmt.Errorf("the data have shape %dx%dx%d, the network takes %dx%dx%d (height x width x "+
				"channels)",
				d.H, d.W, d.C, c.Network.Height, c.Network.Width, c.Network.Channels)
		}
	}
	p := &plans{}
	var err error
	if p.net, err = model.Build(c.Network, c.Batch, model.Gradients, c.AnnealPower); err != nil {
		return nil, err
	}
	l := &p.layout
	take := func(n int) kernels.Buf {
		b := kernels.Buf{Off: l.base, N: n}
		l.base += (n + 15) / 16 * 16 // whole cache lines
		return b
	}
	l.state, l.evalState, l.ladder = take(kernels.StateWords), take(kernels.StateWords), take(len(c.Sigmas))
	count := 0
	for _, p := range p.net.Params {
		n := p.Shape.TotalSize()
		l.param = append(l.param, kernels.Buf{Off: count, N: n})
		count += n
	}
	l.params, l.grads, l.m, l.v = take(count), take(count), take(count), take(count)
	if c.EMARate > 0 {
		l.ema = take(count)
	}
	l.ring, l.level = take(max(1, c.Ring)*2*c.Batch), take(c.Batch)

	placed := map[*gorgonia.Node]kernels.Buf{p.net.Level: l.level}
	for i, p := range p.net.Params {
		placed[p.Node] = l.at(l.params, i)
	}
	outputs := gorgonia.Nodes{p.net.Score, p.net.Loss}
	for i, g := range p.net.Grads {
		placed[g] = l.at(l.grads, i)
		outputs = append(outputs, g)
	}
	if p.plan, err = graph.NewPlan(outputs, placed, l.base); err != nil {
		return nil, err
	}
	l.words = p.plan.End
	if c.HeldOut == nil {
		return p, nil
	}
	if p.evalNet, err = model.Build(c.Network, c.Batch, model.LossOnly, c.AnnealPower); err != nil {
		return nil, err
	}
	placed = map[*gorgonia.Node]kernels.Buf{p.evalNet.Level: l.level}
	for i, p := range p.evalNet.Params {
		placed[p.Node] = l.at(l.averaged(), i)
	}
	base := l.base + (2*c.Batch+15)/16*16 // room for one batch of losses and levels
	if p.eval, err = graph.NewPlan(gorgonia.Nodes{p.evalNet.Loss}, placed, base); err != nil {
		return nil, err
	}
	l.words = max(l.words, p.eval.End)
	return p, nil
}

// TrainerWords is the memory in four-byte words that a trainer takes on a backend: its one arena, and what the programs
// that train and evaluate take beside it.
func TrainerWords(b kernels.Backend, c TrainerConfig) (int, error) {
	p, err := newPlans(c)
	if err != nil {
		return 0, err
	}
	return p.layout.words + b.Workspace(p.programs()...), nil
}

// programs are the plans' operations.
func (p *plans) programs() [][]kernels.Op {
	if p.eval == nil {
		return [][]kernels.Op{p.plan.Ops}
	}
	return [][]kernels.Op{p.plan.Ops, p.eval.Ops}
}

// NewTrainer builds the graphs, allocates the arena, compiles the programs and draws initial weights from the seed.
//
// Where the device has too little memory, the error says which batch would fit.
func NewTrainer(b kernels.Backend, c TrainerConfig) (*Trainer, error) {
	t, err := newTrainer(b, c)
	if err == nil {
		return t, nil
	}
	var back int64 // what is given back: the arena, where the data set was too much
	if t != nil && t.arena != nil {
		if words, err := TrainerWords(b, c); err == nil {
			back = 4 * int64(words)
		}
	}
	for _, d := range []*kernels.Data{c.Data, c.HeldOut} {
		if d != nil {
			back -= d.Size()
		}
	}
	return nil, model.WithFittingBatch(err, back, c.Batch, func(batch int) (int, error) {
		c.Batch = batch
		return TrainerWords(b, c)
	})
}

func newTrainer(b kernels.Backend, c TrainerConfig) (*Trainer, error) {
	p, err := newPlans(c)
	if err != nil {
		return nil, err
	}
	t := &Trainer{c: c, backend: b, layout: p.layout, net: p.net, plan: p.plan}
	l := &t.layout
	if t.arena, err = b.Alloc(l.words, p.programs()...); err != nil {
		return t, err
	}
	if err := t.arena.Write(l.ladder, c.Sigmas); err != nil {
		return t, err
	}
	adam := kernels.Adam{Param: l.params, Grad: l.grads, M: l.m, V: l.v, EMA: l.ema, State: l.state,
		LR: c.Adam.LR, Beta1: c.Adam.Beta1, Beta2: c.Adam.Beta2, Eps: c.Adam.Eps, Rate: c.EMARate, Warmup: c.EMAWarmup}
	tick := kernels.Tick{State: l.state}
	if t.gradients, err = graph.NewMachine(b, t.arena, nil, t.plan, nil); err != nil {
		return t, err
	}
	if t.fixed, err = graph.NewMachine(b, t.arena, nil, t.plan, []kernels.Op{adam, tick}); err != nil {
		return t, err
	}
	if c.Data != nil {
		perturb := kernels.Perturb{N: c.Batch, XTilde: t.plan.Buf(t.net.XTilde), Z: t.plan.Buf(t.net.Z),
			Sigma: t.plan.Buf(t.net.Sigma), Level: l.level, Ladder: l.ladder, State: l.state, Data: c.Data, Seed: c.Seed,
			Flip: c.Flip, Dequantize: c.Dequantize, Rescale: c.Network.Rescaled, LevelsPerStep: c.LevelsPerStep, Stratified: c.Stratified}
		record := kernels.Record{Ring: l.ring, PerRow: t.plan.Hidden(t.net.Loss, 0), Level: l.level, State: l.state}
		if t.step, err = graph.NewMachine(b, t.arena, []kernels.Op{perturb}, t.plan,
			[]kernels.Op{adam, record, tick}); err != nil {
			return t, err
		}
	}
	if c.HeldOut != nil {
		t.evalRing = kernels.Buf{Off: l.base, N: 2 * c.Batch}
		perturb := kernels.Perturb{N: c.Batch, XTilde: p.eval.Buf(p.evalNet.XTilde), Z: p.eval.Buf(p.evalNet.Z),
			Sigma: p.eval.Buf(p.evalNet.Sigma), Level: l.level, Ladder: l.ladder, State: l.evalState, Data: c.HeldOut,
			Seed: c.Seed, Rescale: c.Network.Rescaled, Every: true}
		record := kernels.Record{Ring: t.evalRing, PerRow: p.eval.Hidden(p.evalNet.Loss, 0), Level: l.level,
			State: l.evalState}
		tick := kernels.Tick{State: l.evalState}
		if t.heldOut, err = graph.NewMachine(b, t.arena, []kernels.Op{perturb}, p.eval,
			[]kernels.Op{record, tick}); err != nil {
			return t, err
		}
	}
	return t, t.Init(c.Seed)
}

// Init draws initial weights from the seed and starts the run anew.
func (t *Trainer) Init(seed uint64) error {
	l := &t.layout
	weights := make([]float32, l.params.N)
	for i, p := range t.net.Params {
		p.Init(l.param[i].Of(weights), kernels.Stream{Seed: seed, Purpose: kernels.PurposeInit, N: uint64(i)})
	}
	for _, b := range []kernels.Buf{l.params, l.ema} {
		if b.N == 0 {
			continue
		}
		if err := t.arena.Write(b, weights); err != nil {
			return err
		}
	}
	zeros := make([]float32, l.params.N)
	for _, b := range []kernels.Buf{l.m, l.v} {
		if err := t.arena.Write(b, zeros); err != nil {
			return err
		}
	}
	return t.setStep(0)
}

func (t *Trainer) setStep(step uint64) error {
	t.steps, t.read = step, step
	state := make([]float32, kernels.StateWords)
	kernels.SetStep(state, step)
	return t.arena.Write(t.layout.state, state)
}

// Step is one optimiser step: perturb, forward, loss, backward, Adam, EMA. Nothing is read back.
func (t *Trainer) Step() error {
	if t.step == nil {
		return fmt.Errorf("trainer: no data set was given")
	}
	if t.steps-t.read >= uint64(max(1, t.c.Ring)) {
		return fmt.Errorf("trainer: the losses of %d steps were not read", t.steps-t.read)
	}
	if err := t.step.RunAll(); err != nil {
		return err
	}
	t.steps++
	return nil
}

// StepsDone is the number of optimiser steps done.
func (t *Trainer) StepsDone() uint64 { return t.steps }

// LossRecord is the loss of one step: of each row, 1/2 sigma^p |s + z/sigma|^2, with the row's level.
type LossRecord struct {
	Step  uint64 // counted from 1: the number of steps done after it
	Loss  []float32
	Level []uint32
}

// Mean is the step's loss, summed in the order of the rows.
func (r LossRecord) Mean() float64 {
	var sum float64
	for _, v := range r.Loss {
		sum += float64(v)
	}
	return sum / float64(len(r.Loss))
}

// Losses appends the records of all steps since the last call.
func (t *Trainer) Losses(dst []LossRecord) ([]LossRecord, error) {
	if t.read == t.steps {
		return dst, nil
	}
	n := t.c.Batch
	ring := make([]float32, t.layout.ring.N) // one copy for all steps
	if err := t.arena.Read(ring, t.layout.ring); err != nil {
		return dst, err
	}
	for ; t.read < t.steps; t.read++ {
		slot := int(t.read % uint64(max(1, t.c.Ring)))
		words := ring[slot*2*n : (slot+1)*2*n : (slot+1)*2*n]
		dst = append(dst, LossRecord{t.read + 1, words[:n:n], bitsOf(words[n:])})
	}
	return dst, nil
}

// bitsOf reads words as uint32.
func bitsOf(words []float32) []uint32 {
	out := make([]uint32, len(words))
	for i, w := range words {
		out[i] = math.Float32bits(w)
	}
	return out
}

// HeldOutLoss is the full objective on the held-out rows with the averaged weights (see Averaged) and fixed noise: the
// mean over all levels, 1/L sum over i, and the mean of each level.
func (t *Trainer) HeldOutLoss(ctx context.Context) (full float64, perLevel []float64, err error) {
	if t.heldOut == nil {
		return 0, nil, fmt.Errorf("trainer: no held-out data were given")
	}
	if err := t.arena.Write(t.layout.evalState, make([]float32, kernels.StateWords)); err != nil {
		return 0, nil, err
	}
	levels, total, n := len(t.c.Sigmas), t.c.HeldOut.N*len(t.c.Sigmas), t.c.Batch
	perLevel = make([]float64, levels)
	words := make([]float32, 2*n)
	for done := 0; done < total; done += n {
		if err := ctx.Err(); err != nil {
			return 0, nil, err
		}
		if err := t.heldOut.RunAll(); err != nil {
			return 0, nil, err
		}
		if err := t.arena.Read(words, t.evalRing); err != nil {
			return 0, nil, err
		}
		for r := range min(n, total-done) {
			perLevel[math.Float32bits(words[n+r])] += float64(words[r])
		}
	}
	for i := range perLevel {
		perLevel[i] /= float64(t.c.HeldOut.N)
		full += perLevel[i] / float64(levels)
	}
	return full, perLevel, nil
}

// SetBatch gives a batch by hand: x~ and z of (N, H, W, C) values, and the noise level of each row, 0 being the largest
// sigma.
func (t *Trainer) SetBatch(xTilde, z []float32, level []int) error {
	sigma, words := make([]float32, len(level)), make([]float32, len(level))
	for row, l := range level {
		if l < 0 || l >= len(t.c.Sigmas) {
			return fmt.Errorf("trainer: row %d has level %d, expected 0 to %d", row, l, len(t.c.Sigmas)-1)
		}
		sigma[row], words[row] = t.c.Sigmas[l], math.Float32frombits(uint32(l))
	}
	for _, in := range []struct {
		name string
		b    kernels.Buf
		v    []float32
	}{
		{"x_tilde", t.plan.Buf(t.net.XTilde), xTilde}, {"z", t.plan.Buf(t.net.Z), z},
		{"sigma", t.plan.Buf(t.net.Sigma), sigma}, {"level", t.layout.level, words},
	} {
		if len(in.v) != in.b.N {
			return fmt.Errorf("trainer: %s has %d values, expected %d", in.name, len(in.v), in.b.N)
		}
		if err := t.arena.Write(in.b, in.v); err != nil {
			return err
		}
	}
	return nil
}

// Gradients runs forward and backward on the batch given by SetBatch and returns the loss.
func (t *Trainer) Gradients() (float64, error) { return t.runFixed(t.gradients) }

// StepFixed is an optimiser step on the batch given by SetBatch; it returns the loss before the step.
func (t *Trainer) StepFixed() (float64, error) {
	loss, err := t.runFixed(t.fixed)
	if err == nil {
		t.steps++
		t.read = t.steps
	}
	return loss, err
}

func (t *Trainer) runFixed(m *graph.Machine) (float64, error) {
	if err := m.RunAll(); err != nil {
		return 0, err
	}
	var loss [1]float32
	err := t.arena.Read(loss[:], t.plan.Buf(t.net.Loss))
	return float64(loss[0]), err
}

// Score is s(x~, sigma) of the last pass, (N, H, W, C) values.
func (t *Trainer) Score() ([]float32, error) {
	s := make([]float32, t.plan.Buf(t.net.Score).N)
	return s, t.arena.Read(s, t.plan.Buf(t.net.Score))
}

// Averaged is the prefix of the weights to sample with: "ema.", or "param." where no average is kept.
func (t *Trainer) Averaged() string {
	if t.layout.ema.N > 0 {
		return "ema."
	}
	return "param."
}

// group is the window of all tensors with a prefix.
func (t *Trainer) group(prefix string) (kernels.Buf, error) {
	for _, g := range t.layout.groups() {
		if g.prefix == prefix && g.buf.N > 0 {
			return g.buf, nil
		}
	}
	return kernels.Buf{}, fmt.Errorf("trainer: no tensors are called %q", prefix)
}

// Named lists a copy of the tensors of one group, "param.", "ema.", "adam_m.", "adam_v." or "grad.", in PyTorch's names
// and layouts.
func (t *Trainer) Named(prefix string) ([]model.Named, error) {
	b, err := t.group(prefix)
	if err != nil {
		return nil, err
	}
	words := make([]float32, b.N)
	if err := t.arena.Read(words, b); err != nil {
		return nil, err
	}
	var list []model.Named
	for i, p := range t.net.Params {
		data := make([]float32, p.Shape.TotalSize())
		p.ToTorch(data, t.layout.param[i].Of(words))
		list = append(list, model.Named{Name: prefix + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(data))})
	}
	return list, nil
}

// stored lists the groups that a checkpoint keeps: parameters, moving average if there is one, and moments.
func (t *Trainer) stored() []string {
	if t.layout.ema.N == 0 {
		return []string{"param.", "adam_m.", "adam_v."}
	}
	return []string{"param.", "ema.", "adam_m.", "adam_v."}
}

// State lists everything that a checkpoint keeps.
func (t *Trainer) State() ([]model.Named, error) {
	var all []model.Named
	for _, prefix := range t.stored() {
		list, err := t.Named(prefix)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// Restore continues from a checkpoint's tensors at the given step.
func (t *Trainer) Restore(step uint64, tensors []model.Named) error {
	return t.Continue(step, model.NamedSet(tensors), checkpoint.EMAPrefix)
}

// Continue continues from the tensors of a set, called as [Trainer.State] calls them but for the moving average, which
// is called ema+NAME, at the given step.
func (t *Trainer) Continue(step uint64, set model.TensorSet, ema string) error {
	for _, prefix := range t.stored() {
		from := prefix
		if prefix == checkpoint.EMAPrefix {
			from = ema
		}
		if err := t.load(set, from, prefix); err != nil {
			return err
		}
	}
	return t.setStep(step)
}

// Load takes weights from the tensors called prefix+NAME and starts a new run with them.
func (t *Trainer) Load(tensors []model.Named, prefix string) error {
	return t.Start(model.NamedSet(tensors), prefix, prefix)
}

// Start starts a new run with the weights of a set, called param+NAME, and their moving average, called ema+NAME.
func (t *Trainer) Start(set model.TensorSet, param, ema string) error {
	if err := t.Init(t.c.Seed); err != nil {
		return err
	}
	if err := t.load(set, param, "param."); err != nil || t.layout.ema.N == 0 {
		return err
	}
	return t.load(set, ema, "ema.")
}

// load fills one group from the tensors called from+NAME.
func (t *Trainer) load(set model.TensorSet, from, group string) error {
	b, err := t.group(group)
	if err != nil {
		return err
	}
	return model.ReadParams(t.net.Params, set, from, func(i int, words []float32) error {
		return t.arena.Write(t.layout.at(b, i), words)
	})
}
