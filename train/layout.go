// Where a trainer's memory lies: one arena, known in size before a word of it is allocated. In words,
//
//	state | held-out state | state of the passes | ladder | parameters | gradients | sums of gradients |
//	those of other ranks | m | v | ema | norm | what is not trained | ring | level |
//	classes | labels | held-out labels | mask | masks | their numbers | memory of the plans
//
// The plans of training and of the held-out loss share their memory, since they never run at the same time.

package train

import (
	"cmp"
	"fmt"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
	"sigmaz/model/graph"
)

// layout is where everything lies. A group is a window of one value for each of all trained parameters, in their order.
type layout struct {
	state, heldOutState, ladder kernels.Buf
	passes                      kernels.Buf   // the state that counts parts of batches, see shards.go; of one part it is state
	sums                        []kernels.Buf // of the gradients of parts, as large as grads
	others                      kernels.Buf   // this rank's slice of all ranks' sums
	slice                       int           // values of the gradients that a rank joins, see exchange.go
	params, grads, m, v, ema    kernels.Buf   // groups; ema is absent where no average is kept
	norm                        kernels.Buf   // (1) of all gradients; absent where they are not clipped
	frozen                      kernels.Buf   // parameters that are not trained: of all groups
	constants                   []kernels.Buf // in the order of the network's
	ring, level                 kernels.Buf
	class                       kernels.Buf   // (rows of a part) uint32; absent where the network is told no classes
	labels, heldOutLabels       kernels.Buf   // (rows) uint32, of all rows of the data, where there are classes
	masked                      masked        // of data with missing values; absent where nothing is missing
	heldOutRing                 kernels.Buf   // (2 rows of a part) losses and levels of one held-out batch, if there are any
	words                       int           // size of the arena
	param                       []kernels.Buf // of each parameter, relative to its group, or to frozen
	isFrozen                    []bool        // of each parameter
}

// masked is where the masks of the loss lie.
type masked struct {
	mask, number kernels.Buf // of a part: (rows, D), and (rows) uint32, which mask each row has
	masks        kernels.Buf // (masks, D)
	of, heldOut  kernels.Buf // (rows) uint32, of all rows of the data, which mask each has
}

// averaged returns the group of weights that samples and the held-out loss are taken with.
func (l *layout) averaged() kernels.Buf {
	if l.ema.N > 0 {
		return l.ema
	}
	return l.params
}

// group returns the group of the tensors whose names start with prefix; absent where there is none.
func (l *layout) group(prefix string) kernels.Buf {
	return map[string]kernels.Buf{
		checkpoint.ParamPrefix: l.params, checkpoint.EMAPrefix: l.ema,
		checkpoint.AdamMPrefix: l.m, checkpoint.AdamVPrefix: l.v, gradPrefix: l.grads,
	}[prefix]
}

// at returns the window of parameter i in a group, or where it lies once for all groups.
func (l *layout) at(group kernels.Buf, i int) kernels.Buf {
	if l.isFrozen[i] {
		return l.frozen.Slice(l.param[i].Off, l.param[i].N)
	}
	return group.Slice(l.param[i].Off, l.param[i].N)
}

// plans are the two graphs of a trainer with their memory. Those of the held-out loss are nil without held-out data.
type plans struct {
	layout          layout
	net, heldOutNet *model.Network
	train, heldOut  *graph.Plan
}

// newPlans builds the graphs and lays out the arena.
func newPlans(c TrainerConfig) (*plans, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	p := &plans{}
	var err error
	if p.net, err = model.Build(c.Network, c.rows(), model.Gradients, c.weight()); err != nil {
		return nil, err
	}
	l := &p.layout
	take := func(n int) kernels.Buf {
		b := kernels.Buf{Off: l.words, N: n}
		l.words += (n + 15) / 16 * 16 // whole cache lines
		return b
	}
	l.state, l.heldOutState = take(kernels.StateWords), take(kernels.StateWords)
	if l.passes = l.state; c.parts() > 1 {
		l.passes = take(kernels.StateWords)
	}
	l.ladder = take(len(c.Sigmas))
	count, frozen := 0, 0
	for _, p := range p.net.Params {
		n, end := p.Shape.TotalSize(), &count
		if p.Frozen {
			end = &frozen
		}
		l.param, l.isFrozen = append(l.param, kernels.Buf{Off: *end, N: n}), append(l.isFrozen, p.Frozen)
		*end += n
	}
	l.params, l.grads = take(count), take(count)
	if c.ranks() > 1 {
		l.slice = sliceOf(count, c.ranks())
		l.words = l.grads.Off + c.ranks()*l.slice
	}
	l.m, l.v = take(count), take(count)
	for range c.levelsOfSums() {
		l.sums = append(l.sums, take(count))
	}
	if c.ranks() > 1 {
		l.others = take(c.ranks() * l.slice)
	}
	if c.EMARate > 0 {
		l.ema = take(count)
	}
	if c.Adam.Clip > 0 {
		l.norm = take(1)
	}
	l.frozen = take(frozen)
	for _, c := range p.net.Constants {
		l.constants = append(l.constants, take(len(c.Values)))
	}
	l.ring, l.level = take(max(1, c.Ring)*2*c.Batch), take(c.rows())
	if c.Network.Classes > 0 {
		l.class = take(c.rows())
		if c.Data != nil {
			l.labels = take(c.Data.N)
		}
		if c.HeldOut != nil {
			l.heldOutLabels = take(c.HeldOut.N)
		}
	}
	if c.masks() {
		m := &l.masked
		m.mask, m.number, m.masks = take(c.rows()*c.Network.D()), take(c.rows()), take(len(c.Data.Masks))
		m.of = take(c.Data.N)
		if c.HeldOut != nil {
			m.heldOut = take(c.HeldOut.N)
		}
	}

	base := l.words // of both plans
	if err := p.planTraining(c, base); err != nil || c.HeldOut == nil {
		return p, err
	}
	l.words = base // the memory of the two plans overlaps
	l.heldOutRing = take(2 * c.rows())
	return p, p.planHeldOut(c)
}

// weight returns lambda of the loss of training.
func (c *TrainerConfig) weight() kernels.Weight {
	w := c.Noise.Weight(c.AnnealPower)
	if c.Likelihood {
		w = c.Noise.LikelihoodWeight(c.Network.SDE.On(c.Sigmas))
	}
	w.Masked = c.masks()
	if c.ReduceMean {
		if w.Scale == 0 {
			w.Scale = 1
		}
		w.Scale *= 2 / float64(c.Network.D())
	}
	return w
}

// masks tells whether values of the data are missing.
func (c *TrainerConfig) masks() bool { return c.Data != nil && c.Data.Masks != nil }

// validate refuses what no trainer can be built from; the network's configuration is judged by [model.Build].
func (c *TrainerConfig) validate() error {
	if c.Batch < 1 {
		return fmt.Errorf("batch is %d: expected at least 1", c.Batch)
	}
	if err := cmp.Or(checkShards(c.Shards, c.Batch), checkRanks(c.ranks(), c.parts())); err != nil {
		return err
	}
	if len(c.Sigmas) < 1 {
		return fmt.Errorf("the noise ladder is empty: expected at least one level")
	}
	if err := cmp.Or(c.Noise.Check(), c.Noise.CheckFor(c.Network)); err != nil {
		return err
	}
	if c.Noise.Density == model.LogNormal && (c.Noise.PMean == nil || c.Noise.PStd == 0) {
		return fmt.Errorf("the noise is %s without P_mean and P_std: expected both, as Noise.Complete finds them", c.Noise.Density)
	}
	if err := c.DataMemory.validate(); err != nil {
		return err
	}
	n := c.Network
	for _, d := range []*kernels.Data{c.Data, c.HeldOut} {
		if d != nil && (d.H != n.Height || d.W != n.Width || d.C != n.Channels) {
			return fmt.Errorf("the data have shape %dx%dx%d, the network takes %dx%dx%d (height x width x channels)",
				d.H, d.W, d.C, n.Height, n.Width, n.Channels)
		}
		if d != nil && n.Classes > 0 && d.Labels == nil {
			return fmt.Errorf("the data have no labels, and the network is told %d classes", n.Classes)
		}
	}
	return nil
}

// planTraining plans score, loss and gradients, in memory from word base on.
func (p *plans) planTraining(c TrainerConfig, base int) (err error) {
	l := &p.layout
	placed := map[*gorgonia.Node]kernels.Buf{p.net.Level: l.level, p.net.State: l.passes, p.net.Class: l.class, p.net.Mask: l.masked.mask}
	l.placeConstants(placed, p.net)
	outputs := gorgonia.Nodes{p.net.Score, p.net.Loss}
	for i, p := range p.net.Params {
		placed[p.Node] = l.at(l.params, i)
	}
	for i, g := range p.net.Grads {
		if g == nil {
			continue
		}
		placed[g] = l.at(l.grads, i)
		outputs = append(outputs, g)
	}
	if p.train, err = graph.NewPlan(outputs, placed, base, c.Precision); err != nil {
		return err
	}
	kernels.CutSums(p.train.Ops, c.Multiprocessors)
	kernels.SeedDropout(p.train.Ops, c.Seed)
	l.words = p.train.End
	return nil
}

// planHeldOut plans the loss of held-out data with the averaged weights, in memory behind that of the layout so far,
// which training uses too.
func (p *plans) planHeldOut(c TrainerConfig) (err error) {
	l := &p.layout
	weight := kernels.Weight{Power: c.AnnealPower, Masked: c.masks()}
	if p.heldOutNet, err = model.Build(c.Network, c.rows(), model.LossOnly, weight); err != nil {
		return err
	}
	placed := map[*gorgonia.Node]kernels.Buf{p.heldOutNet.Level: l.level, p.heldOutNet.Class: l.class,
		p.heldOutNet.Mask: l.masked.mask}
	l.placeConstants(placed, p.heldOutNet)
	for i, p := range p.heldOutNet.Params {
		placed[p.Node] = l.at(l.averaged(), i)
	}
	loss := gorgonia.Nodes{p.heldOutNet.Loss}
	if p.heldOut, err = graph.NewPlan(loss, placed, l.words, c.Precision); err != nil {
		return err
	}
	l.words = max(p.train.End, p.heldOut.End)
	return nil
}

// placeConstants places those of a network: all that a trainer builds have the same.
func (l *layout) placeConstants(placed map[*gorgonia.Node]kernels.Buf, net *model.Network) {
	for i, c := range net.Constants {
		placed[c.Node] = l.constants[i]
	}
}

// gradNorm is the operation that a step begins its optimiser with where gradients are clipped, nil where they are not.
func (l *layout) gradNorm() []kernels.Op {
	if l.norm.N == 0 {
		return nil
	}
	return []kernels.Op{kernels.GradNorm{Norm: l.norm, Grad: l.grads}}
}

// programs lists the operations that take memory beside the arena: those of the plans, and the norm of gradients.
func (p *plans) programs() [][]kernels.Op {
	list := [][]kernels.Op{p.train.Ops}
	if p.heldOut != nil {
		list = append(list, p.heldOut.Ops)
	}
	if norm := p.layout.gradNorm(); norm != nil {
		list = append(list, norm)
	}
	return list
}

// TrainerWords returns the memory in four-byte words that a trainer takes on a backend: its one arena, and what the
// programs that train and evaluate take beside it.
func TrainerWords(b kernels.Backend, c TrainerConfig) (int, error) {
	p, err := newPlans(c)
	if err != nil {
		return 0, err
	}
	return p.layout.words + b.Workspace(p.programs()...), nil
}
