// Shards: a step's batch of B rows in S equal parts of neighbouring rows, each one pass of a plan for B/S rows. The gradient
// of the batch is a binary tree over those of its parts, a node of which is the mean of its two:
//
//	part        0     1     2     3            g = (left + right)/2
//	             \   /       \   /
//	             sums[0]      sums[0]          what is summed up to height k waits in sums[k] for its right neighbour,
//	                 \       /                 so that log2 S + 1 gradients live at most
//	                   grads
//
// A half is exact, so the root is the mean over the batch as the loss has it. One step of Adam follows, with the norm of the
// root where gradients are clipped. S is a power of two and belongs to the run: another S adds in another order, which rounds
// otherwise, and S = 1 is the plan of the whole batch.
//
// Part p of step k is pass k S + p, and row r of it is sample (k S + p) B/S + r = k B + place: a pass draws images, noise, levels
// and masks as a step of B/S rows would, and they are those of the whole batch. Only what the rows of a step share (its levels,
// its strata) needs to know the batch, see [kernels.Perturb].

package train

import (
	"fmt"
	"math/bits"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// checkShards judges the parts of a batch. The error is a [*setting.Error].
func checkShards(shards, batch int) error {
	most := batch & -batch // the largest power of two that divides it
	switch {
	case shards == 0:
		return nil
	case shards < 0:
		return setting.Errorf("shards", "is %d: expected a power of two, or 1 for a batch in one piece", shards)
	case shards&(shards-1) == 0 && shards <= most:
		return nil
	}
	below := min(most, 1<<(bits.Len(uint(shards))-1))
	nearest := fmt.Sprint(below)
	if above := 1 << bits.Len(uint(shards)); above <= most {
		nearest = fmt.Sprintf("%d or %d", below, above)
	}
	other := ""
	if shards&(shards-1) == 0 { // the batch has no such divisor
		other = fmt.Sprintf(", or `batch` %d", batch/shards*shards+shards)
		if batch > shards {
			other = fmt.Sprintf(", or `batch` %d or %d", batch/shards*shards, batch/shards*shards+shards)
		}
	}
	return setting.Errorf("shards", "is %d: expected a power of two that divides the %d of `batch`, such as %s%s", shards, batch, nearest,
		other)
}

// parts returns S.
func (c *TrainerConfig) parts() int { return max(1, c.Shards) }

// rows returns the rows of a part.
func (c *TrainerConfig) rows() int { return c.Batch / c.parts() }

// own returns how many of the parts this trainer does: all, or those of its rank.
func (c *TrainerConfig) own() int { return c.parts() / c.ranks() }

// levelsOfSums returns the height of the tree over the own parts.
func (c *TrainerConfig) levelsOfSums() int { return bits.Len(uint(c.own())) - 1 }

// parted is what a step does beside the passes of its parts.
type parted struct {
	folds  []kernels.Program // that after a pass whose number, among the own ones of its step, ends in so many ones
	update kernels.Program   // Adam
	joint  *joint            // what ranks do; nil without them
	last   kernels.Program   // the end of a step: the update; with ranks, the last pass and what they do before it, too
}

// newParted compiles it. The program of a step is there already.
func (t *Trainer) newParted() (p *parted, err error) {
	l := &t.layout
	p = &parted{}
	for ones := range t.c.levelsOfSums() + 1 {
		fold, err := t.backend.Compile(t.arena, l.fold(ones, l.all()))
		if err != nil {
			return nil, err
		}
		p.folds = append(p.folds, fold)
	}
	update := append(t.optimiser(), kernels.Tick{State: l.state})
	if skip := t.c.parts() - t.c.own(); skip > 0 { // to the own parts of the next step
		update = append(update, kernels.Tick{State: l.passes, By: uint64(skip)})
	}
	if p.update, err = t.backend.Compile(t.arena, update); err != nil {
		return nil, err
	}
	if p.last = p.update; t.c.ranks() > 1 && t.step != nil {
		p.joint, err = t.newJoint()
		p.last = kernels.Together(t.backend, t.passAndUpdate)
	}
	return p, err
}

// fold lists what takes the gradient of a part into the tree: the part completes as many nodes as its number ends in ones,
// and what it completes lies where the next one to the right finds it. The root lies in grads.
//
// The first of two parts is multiplied by one and has zero added, which makes -0 +0. It has to be so where a rank does one part
// only, too, since it makes a difference to the sign of a sum that is zero.
func (l *layout) fold(ones int, of span) (ops []kernels.Op) {
	of.n = min(of.n, l.all().n-of.lo) // behind that there are no gradients to add
	grads, sums := of.of(l.grads), make([]kernels.Buf, len(l.sums))
	for i := range sums {
		sums[i] = of.of(l.sums[i])
	}
	if ones == 0 {
		to := grads
		if len(sums) > 0 {
			to = sums[0]
		}
		return []kernels.Op{mean(to, grads, kernels.Buf{})}
	}
	right := grads
	for height := range ones {
		left := sums[height]
		to := left
		switch {
		case height+1 == len(sums):
			to = grads
		case height+1 == ones:
			to = sums[ones]
		}
		ops = append(ops, mean(to, left, right))
		right = to
	}
	return ops
}

// mean is the operation dst = (a + b)/2, or dst = a + 0 without b.
func mean(dst, a, b kernels.Buf) kernels.Op {
	op := kernels.ScaledSum{N: dst.N / sumRow, Dst: dst, A: a, B: b, Inner: 1, Outer: 0.5}
	if b.N == 0 {
		op.Outer = 1
	}
	return op
}

// sumRow is the values of a row of what adds gradients: a cache line.
const sumRow = 16

// all is every gradient with what lies between their end and that of the last cache line, where nothing is ever written but sums
// of it: adding goes by whole rows, which workers share.
func (l *layout) all() span { return span{0, (l.grads.N + sumRow - 1) / sumRow * sumRow} }

// runParts does a step part by part. With ranks the last part is of the end of the step: it exchanges as it goes.
func (t *Trainer) runParts() error {
	passes, end := t.c.own(), t.parted.last.Run
	if t.c.ranks() > 1 {
		if err := t.parted.joint.mark(kernels.Begun); err != nil {
			return err
		}
		passes, end = passes-1, t.finish
	}
	for part := range passes {
		if err := t.step.RunAll(); err != nil {
			return err
		}
		if err := t.parted.folds[bits.TrailingZeros(^uint(part))].Run(); err != nil {
			return err
		}
		t.passes++
	}
	return end()
}
