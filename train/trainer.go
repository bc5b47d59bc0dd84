// The trainer: everything between two optimiser steps as programs on one arena.
//
//	step      perturb, draw classes and masks where there are some, forward, loss, backward, norm of the gradients where they are clipped,
//	          Adam and EMA, record, tick (a batch in parts: shards.go)
//	held out  perturb with every level in turn, forward with the averaged weights (or, where no average is kept, with
//	          the parameters), loss, record, tick
//
// layout.go lays out the arena, steps.go runs the programs, state.go takes weights and moments in and out.

package train

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/graph"
	"sigmaz/train/ranks"
)

// TrainerConfig is what a trainer is built from.
type TrainerConfig struct {
	Network         model.Config
	Precision       kernels.Precision // of convolutions; "": float32
	Multiprocessors int               // see Config
	Batch           int
	Shards          int          // equal parts that a step does its batch in, see shards.go; 0: 1
	Ranks           *ranks.Group // the processes that share the parts, see exchange.go; nil: this one does all
	Sigmas          model.Ladder
	Noise           model.Noise // how training draws sigma; held out are the levels
	AnnealPower     float64     // p of the levels' loss weight sigma^p
	Likelihood      bool        // the weight of the loss is that which bounds the likelihood, in the place of the noise's own
	ReduceMean      bool        // the loss is a mean over values, not half their sum
	Adam            Adam
	EMARate         float64 // 0: no average is kept, and samples and the held-out loss are those of the parameters
	EMAWarmup       bool    // rate min(EMARate, (1+n)/(10+n))

	Data    *kernels.Data // nil where batches are given by SetBatch
	HeldOut *kernels.Data // may be nil
	Seed    uint64

	DataMemory DataMemory // where Data and HeldOut lie on a device with memory of its own; "": AutoMemory

	LabelDropout     float64 // probability that a step leaves a label out, of networks that are told classes
	Flip, Dequantize bool
	LevelsPerStep    int // levels drawn each step and shared out over the batch; 0: one for each row
	Stratified       bool

	Ring int // steps between two calls of Losses, at most; 0: 1

	leastBucket int // values of gradients that ranks exchange at once, at least; 0: smallBucket
}

// Trainer owns an arena with a network's parameters and the programs that train it.
type Trainer struct {
	c       TrainerConfig
	backend kernels.Backend
	arena   kernels.Arena
	layout  layout
	net     *model.Network
	plan    *graph.Plan
	steps   uint64 // done
	read    uint64 // steps whose losses were read
	passes  uint64 // of parts that this trainer did

	placement Placement // of the data, where the device has memory of its own

	step      *graph.Machine // the whole step, or that of a part of its batch; nil without data
	parted    *parted        // what a step does beside it with parts; nil where the batch is one
	gradients *graph.Machine // forward and backward of the batch given by SetBatch; nil where batches are done in parts
	fixed     *graph.Machine // the same, then Adam and EMA
	heldOut   *graph.Machine // the loss of a held-out batch, nil without held-out data
}

// NewTrainer builds the graphs, allocates the arena, compiles the programs and draws initial weights from the seed.
//
// Where the device has too little memory, the error says which batch would fit.
func NewTrainer(b kernels.Backend, c TrainerConfig) (*Trainer, error) {
	t, err := newTrainer(b, c)
	if err == nil {
		return t, nil
	}
	var back int64 // bytes that are given back: the arena, where the data set was too much
	if t != nil && t.arena != nil {
		if words, err := TrainerWords(b, c); err == nil {
			back = 4 * int64(words)
		}
	}
	onDevice := c.DataMemory == DeviceMemory
	if onDevice {
		back -= c.Place(0).Data
	}
	parts := c.parts()
	fitting := model.WithFittingBatch(err, back, c.Batch, func(batch int) (int, error) {
		c.Batch = (batch + parts - 1) / parts * parts
		words, err := TrainerWords(b, c)
		if !onDevice { // with a smaller batch, too, it lies with the host where it has to
			words += int(c.window() / 4)
		}
		return words, err
	})
	var oom kernels.OutOfMemory
	if onDevice && errors.As(err, &oom) {
		fitting = fmt.Errorf("%w; with `data-memory` auto or host the data is kept on the host instead", fitting)
	}
	return nil, fitting
}

func newTrainer(b kernels.Backend, c TrainerConfig) (*Trainer, error) {
	p, err := newPlans(c)
	if err != nil {
		return nil, err
	}
	t := &Trainer{c: c, backend: b, layout: p.layout, net: p.net, plan: p.train}
	if t.arena, err = b.Alloc(t.layout.words, p.programs()...); err != nil {
		return t, err
	}
	if free, own := b.FreeMemory(); own {
		t.placement = c.Place(free)
	}
	if err := t.arena.Write(t.layout.ladder, c.Sigmas); err != nil {
		return t, err
	}
	for i, c := range t.net.Constants {
		if err := t.arena.Write(t.layout.constants[i], c.Values); err != nil {
			return t, err
		}
	}
	if err := t.writeLabels(); err != nil {
		return t, err
	}
	if err := t.writeMasks(); err != nil {
		return t, err
	}
	if err := t.compile(p); err != nil {
		return t, err
	}
	return t, t.Init(c.Seed)
}

// compile makes the programs: each is a plan between what comes before and after it.
func (t *Trainer) compile(p *plans) (err error) {
	c, l := &t.c, &t.layout
	machine := func(before []kernels.Op, plan *graph.Plan, after ...kernels.Op) *graph.Machine {
		var m *graph.Machine
		if err == nil {
			m, err = graph.NewMachine(t.backend, t.arena, before, plan, after)
		}
		return m
	}
	if c.parts() == 1 {
		t.gradients = machine(nil, p.train)
		t.fixed = machine(nil, p.train, append(t.optimiser(), kernels.Tick{State: l.state})...)
	}
	if c.Data != nil {
		before, after := t.aroundStep(p)
		t.step = machine(before, p.train, after...)
	}
	if c.parts() > 1 && err == nil {
		t.parted, err = t.newParted()
	}
	if c.HeldOut != nil {
		draw := t.perturb(p.heldOutNet, p.heldOut, c.HeldOut, l.heldOutState)
		draw.Every = true
		record := kernels.Record{Ring: l.heldOutRing, PerRow: p.heldOut.Hidden(p.heldOutNet.Loss, 0), Level: l.level,
			State: l.heldOutState}
		before := append([]kernels.Op{draw}, t.drawClasses(l.heldOutLabels, l.heldOutState, len(c.Sigmas))...)
		before = append(before, t.drawMasks(l.masked.heldOut, l.heldOutState, len(c.Sigmas))...)
		t.heldOut = machine(before, p.heldOut, record, kernels.Tick{State: l.heldOutState})
	}
	return err
}

// aroundStep lists what a step does before and after its plan; of a batch in parts, what each part does.
func (t *Trainer) aroundStep(p *plans) (before, after []kernels.Op) {
	c, l := &t.c, &t.layout
	draw := t.perturb(p.net, p.train, c.Data, l.passes)
	draw.Batch = c.Batch
	draw.Flip, draw.Dequantize = c.Flip, c.Dequantize
	draw.LevelsPerStep, draw.Stratified, draw.Density = c.LevelsPerStep, c.Stratified, c.Noise.DensityOf(c.Network.SDE.On(c.Sigmas))
	record := kernels.Record{Ring: l.ring, PerRow: p.train.Hidden(p.net.Loss, 0), Level: l.level, State: l.passes}
	before = append([]kernels.Op{draw}, t.drawClasses(l.labels, l.passes, 0)...)
	before = append(before, t.drawMasks(l.masked.of, l.passes, 0)...)
	if c.parts() == 1 {
		after = t.optimiser()
	}
	return before, append(after, record, kernels.Tick{State: l.passes})
}

// drawClasses draws the classes of a batch beside its images, where the network is told some. levels is that of
// [kernels.DrawClasses].
func (t *Trainer) drawClasses(labels, state kernels.Buf, levels int) []kernels.Op {
	c := &t.c
	if c.Network.Classes == 0 {
		return nil
	}
	return []kernels.Op{kernels.DrawClasses{N: c.rows(), Class: t.layout.class, Labels: labels, State: state, Seed: c.Seed,
		None: uint32(c.Network.NoClass()), Drop: c.LabelDropout, Levels: levels}}
}

// drawMasks brings the mask of each row of a batch, where values are missing: its number is drawn beside the row as a class
// is that is never left out.
func (t *Trainer) drawMasks(numbers, state kernels.Buf, levels int) []kernels.Op {
	m := &t.layout.masked
	if m.mask.N == 0 {
		return nil
	}
	return []kernels.Op{
		kernels.DrawClasses{N: t.c.rows(), Class: m.number, Labels: numbers, State: state, Seed: t.c.Seed, Levels: levels},
		kernels.Lookup{N: t.c.rows(), Y: m.mask, Table: m.masks, Index: m.number},
	}
}

// writeLabels brings the labels of the data to the device, where all of them stay.
func (t *Trainer) writeLabels() error {
	if err := t.writeNumbers(t.layout.labels, t.c.Data, (*kernels.Data).Label); err != nil {
		return err
	}
	return t.writeNumbers(t.layout.heldOutLabels, t.c.HeldOut, (*kernels.Data).Label)
}

// writeMasks brings the masks of the data to the device, and which of them each row has. A batch that is given by hand
// has all its values.
func (t *Trainer) writeMasks() error {
	m := &t.layout.masked
	if m.mask.N == 0 {
		return nil
	}
	number := func(d *kernels.Data, i int) uint32 { return d.Mask[d.Row(i)] }
	return cmp.Or(t.writeNumbers(m.of, t.c.Data, number), t.writeNumbers(m.heldOut, t.c.HeldOut, number),
		t.arena.Write(m.masks, t.c.Data.Masks), t.arena.Write(m.mask, slices.Repeat([]float32{1}, m.mask.N)))
}

// writeNumbers writes a number of each row of data to a window, which may be absent.
func (t *Trainer) writeNumbers(to kernels.Buf, data *kernels.Data, number func(d *kernels.Data, i int) uint32) error {
	if to.N == 0 {
		return nil
	}
	words := make([]float32, data.N)
	for i := range words {
		words[i] = math.Float32frombits(number(data, i))
	}
	return t.arena.Write(to, words)
}

// perturb draws a batch for a plan.
func (t *Trainer) perturb(net *model.Network, plan *graph.Plan, data *kernels.Data, state kernels.Buf) kernels.Perturb {
	return kernels.Perturb{N: t.c.rows(), XTilde: plan.Buf(net.XTilde), Z: plan.Buf(net.Z), Sigma: plan.Buf(net.Sigma),
		Level: t.layout.level, Ladder: t.layout.ladder, State: state, Data: data,
		Streamed: t.placement.Host, Seed: t.c.Seed, Rescale: t.c.Network.Rescaled}
}

// optimiser is the step of Adam and of the average, after the norm of the gradients where they are clipped.
func (t *Trainer) optimiser() []kernels.Op {
	c, l := &t.c, &t.layout
	return append(l.gradNorm(), kernels.Adam{Param: l.params, Grad: l.grads, M: l.m, V: l.v, EMA: l.ema, State: l.state,
		LR: c.Adam.LR, Beta1: c.Adam.Beta1, Beta2: c.Adam.Beta2, Eps: c.Adam.Eps, Rate: c.EMARate, Warmup: c.EMAWarmup,
		Norm: l.norm, Clip: c.Adam.Clip, LRWarmup: c.Adam.Warmup})
}

// Init draws initial weights from the seed and starts the run anew.
func (t *Trainer) Init(seed uint64) error {
	l := &t.layout
	weights := make([]float32, l.params.N)
	frozen := make([]float32, l.frozen.N)
	for i, p := range t.net.Params {
		words := weights
		if p.Frozen {
			words = frozen
		}
		p.Init(l.param[i].Of(words), kernels.Stream{Seed: seed, Purpose: kernels.PurposeInit, N: uint64(i)})
	}
	if len(frozen) > 0 {
		if err := t.arena.Write(l.frozen, frozen); err != nil {
			return err
		}
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
	if err := t.writeStep(t.layout.state, step); err != nil || t.parted == nil {
		return err
	}
	first := step * uint64(t.c.parts())
	if t.c.ranks() > 1 {
		first += uint64(t.c.Ranks.Rank() * t.c.own())
	}
	return t.writeStep(t.layout.passes, first)
}

// writeStep makes a state block that of a step.
func (t *Trainer) writeStep(b kernels.Buf, step uint64) error {
	state := make([]float32, kernels.StateWords)
	kernels.SetStep(state, step)
	return t.await(func() error { return t.arena.Write(b, state) })
}
