// Ranks: R processes that train one run, R a power of two up to its S parts. Rank r does the S/R neighbouring parts from
// r S/R on and adds them as the subtree that they are (shards.go). Then
//
//	exchange     rank r receives slice r of the R subtrees' sums
//	join         it adds them by what is left of the tree, from neighbours up
//	all-gather   it receives the other slices of the root
//
// which is the tree of one process: a + b is b + a to the bit, and nobody else adds anything. A rank sends 2 (R-1)/R of the
// gradient. Each then takes the whole step of Adam, so all hold the same parameters, and a run goes on with any number of ranks.
// The losses of the rows go round, too: every rank has those of the whole batch. Between GPUs all of this is queued beside the
// programs, and the host does not wait for it.
//
// The three go by buckets, spans of the gradients from the last to the first, in about the order in which the backward pass has
// done with them: a bucket is on its way while the pass of the last part works on those before it. What the buckets are changes
// no bit.

package train

import (
	"cmp"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// checkRanks judges how many ranks do a batch in so many parts. The error is a [*setting.Error].
func checkRanks(size, shards int) error {
	if shards%size == 0 && size <= kernels.MaxTreeWindows { // so it is a power of two as shards is
		return nil
	}
	fewer := min(shards, size, kernels.MaxTreeWindows)
	for shards%fewer != 0 {
		fewer--
	}
	return setting.Errorf("shards", "is %d, and %d processes share the parts: expected a power of two of processes up to that; "+
		"start %d, such as by `gpus`", shards, size, fewer)
}

// ranks returns R.
func (c *TrainerConfig) ranks() int {
	if c.Ranks == nil {
		return 1
	}
	return c.Ranks.Size()
}

// sliceOf returns the values of a rank's slice of so many gradients, in whole rows. The slices are of one length: together they
// may be longer than the gradients.
func sliceOf(count, size int) int {
	rows := (count + sumRow - 1) / sumRow
	return (rows + size - 1) / size * sumRow
}

// slices is the gradients with what fills the last slices up.
func (l *layout) slices(size int) kernels.Buf {
	return kernels.Buf{Off: l.grads.Off, N: size * l.slice}
}

const (
	smallBucket = 1 << 14 // values; as many buckets of less would cost more than they hide
	largeBucket = 1 << 21
	fewBuckets  = 8
)

// span is a part of a group.
type span struct{ lo, n int }

// of returns the part of a group.
func (s span) of(group kernels.Buf) kernels.Buf { return kernels.Buf{Off: group.Off + s.lo, N: s.n} }

// buckets cuts the gradients of so many ranks into spans, in which every rank has a slice of whole rows, of so many values at
// least where there are as many.
func (l *layout) buckets(size, least int) []span {
	unit := size * sumRow
	total := l.slices(size).N
	n := max(1, min(total/least, max(fewBuckets, total/largeBucket)))
	list := make([]span, n)
	for i := range list {
		lo, hi := total/unit*i/n*unit, total/unit*(i+1)/n*unit
		list[n-1-i] = span{lo, hi - lo}
	}
	return list
}

// join adds a rank's slices of a bucket by what is left of the tree. That of its own sum lies among the gradients, where the root
// belongs, and those of others where they were received.
func (l *layout) join(rank, size int, bucket span) []kernels.Op {
	grads, n := bucket.of(l.grads), bucket.n/size
	return []kernels.Op{kernels.TreeMean{Count: size, Own: rank, Dst: grads.Slice(rank*n, n), Windows: bucket.of(l.others)}}
}

// joint is what ranks do with each other in a step.
type joint struct {
	buckets     []span
	folds, join []kernels.Program // of each bucket: the last fold of the own parts, and the join
	pass        kernels.Program   // of the last part, in whose midst buckets are exchanged
	pulse       kernels.Pulse     // of the device; nil where it has none
	marks       []kernels.Program // of the pulse, by kernels.Mark
	sent        int64             // bytes that the exchange sends
}

// newJoint compiles it.
func (t *Trainer) newJoint() (*joint, error) {
	l, size := &t.layout, t.c.ranks()
	e := &joint{buckets: l.buckets(size, cmp.Or(t.c.leastBucket, smallBucket))}
	var done []kernels.Buf
	for _, bucket := range e.buckets {
		fold, err := t.backend.Compile(t.arena, l.fold(t.c.levelsOfSums(), bucket))
		if err != nil {
			return nil, err
		}
		join, err := t.backend.Compile(t.arena, l.join(t.c.Ranks.Rank(), size, bucket))
		if err != nil {
			return nil, err
		}
		e.folds, e.join = append(e.folds, fold), append(e.join, join)
		done = append(done, bucket.of(l.grads))
	}
	e.pass = kernels.AsDone(t.step.Program(), done, t.exchange)
	return e, e.newMarks(t.backend)
}

// newMarks compiles the marks of the device's pulse.
func (e *joint) newMarks(b kernels.Backend) (err error) {
	if e.pulse, err = kernels.NewPulse(b); err != nil || e.pulse == nil {
		return err
	}
	for _, m := range []kernels.Mark{kernels.Begun, kernels.Worked, kernels.Ended} {
		mark, err := e.pulse.Mark(m)
		if err != nil {
			return err
		}
		e.marks = append(e.marks, mark)
	}
	return nil
}

// mark has the device come to a mark, where it has a pulse.
func (e *joint) mark(m kernels.Mark) error {
	if e.pulse == nil {
		return nil
	}
	return e.marks[m].Run()
}

// follow has the ranks follow the device's pulse, until they are released.
func (t *Trainer) follow() {
	if t.parted != nil && t.parted.joint != nil {
		t.c.Ranks.Follow(t.parted.joint.pulse)
	}
}

// exchange turns a bucket of the sum of this rank's parts into one of the gradient of the batch.
func (t *Trainer) exchange(bucket int) error {
	e, g := t.parted.joint, t.c.Ranks
	if err := e.folds[bucket].Run(); err != nil {
		return err
	}
	grads, others := e.buckets[bucket].of(t.layout.grads), e.buckets[bucket].of(t.layout.others)
	return kernels.Beside(t.backend, func() error {
		if err := g.Exchange(t.arena, grads, others); err != nil {
			return err
		}
		if err := e.join[bucket].Run(); err != nil {
			return err
		}
		return g.AllGather(t.arena, grads)
	})
}

// passAndUpdate does the last of the own parts, and takes the step. It is the same in each.
func (t *Trainer) passAndUpdate() error {
	e := t.parted.joint
	for _, f := range []func() error{
		e.pass.Run,
		func() error { return e.mark(kernels.Worked) },
		func() error { return kernels.Rejoin(t.backend) },
		t.parted.update.Run,
		func() error { return e.mark(kernels.Ended) },
	} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// finish ends a step: what ranks have to do together.
func (t *Trainer) finish() error {
	l, g, e := &t.layout, t.c.Ranks, t.parted.joint
	before := g.Sent
	if err := t.parted.last.Run(); err != nil {
		return err
	}
	t.passes++
	if g.Sent > before {
		e.sent = g.Sent - before
	} else { // as part of a graph, which sends what it has sent when it was made
		g.Sent += e.sent
	}
	// The losses of this step lie in the ring where those of its passes do, one after the other.
	n := t.c.parts() * 2 * t.c.rows()
	slot := int(t.steps % uint64(max(1, t.c.Ring)))
	// All calls of a link go to one stream, and the next step comes behind this one.
	if err := kernels.Beside(t.backend, func() error { return g.AllGather(t.arena, l.ring.Slice(slot*n, n)) }); err != nil {
		return err
	}
	return g.Await(func() error { return kernels.Rejoin(t.backend) }) // a driver may keep the host until the others are here
}

// lost returns why ranks are lost, if they are, in the place of what came of it: memory then holds what it held before.
func (t *Trainer) lost(err error) error {
	if g := t.c.Ranks; g != nil {
		if lost := g.Err(); lost != nil {
			return &ranksError{lost}
		}
	}
	return err
}

// fetch reads a window of what ranks have done together.
func (t *Trainer) fetch(dst []float32, b kernels.Buf) error {
	return t.lost(t.await(func() error { return t.arena.Read(dst, b) }))
}

// await is for what the device does after what ranks do together.
func (t *Trainer) await(f func() error) error {
	if g := t.c.Ranks; g != nil {
		return g.Await(f)
	}
	return f()
}
