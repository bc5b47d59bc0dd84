// Ranks: R processes that train one run, R a power of two up to its S parts. Rank r does the S/R neighbouring parts from
// r S/R on and adds them as the subtree that they are (shards.go). Then
//
//	exchange     rank r receives slice r of the R subtrees' sums
//	join         it adds them by what is left of the tree, from neighbours up
//	all-gather   it receives the other slices of the root
//
// which is the tree of one process: a + b is b + a to the bit, and nobody else adds anything. A rank sends 2 (R-1)/R of the
// gradient. Each then takes the whole step of Adam, so all hold the same parameters, and a run goes on with any number of ranks.
// The losses of the rows go round, too: every rank has those of the whole batch. Between GPUs all of this is queued on the
// stream of the programs, and the host does not wait for it.

package train

import (
	"time"

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
	return setting.Errorf("shards", "is %d, and %d processes share the parts: expected a power of two of processes up to that; start %d",
		shards, size, fewer)
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

// join adds the slices of a rank by what is left of the tree. That of its own sum lies among the gradients, where the root
// belongs, and those of others where they were received.
func (l *layout) join(rank, size int) []kernels.Op {
	return []kernels.Op{kernels.TreeMean{Count: size, Own: rank, Dst: l.slices(size).Slice(rank*l.slice, l.slice), Windows: l.others}}
}

// joinAndUpdate turns the sum of this rank's parts into the gradient of the batch, and takes the step. It is the same in each.
func (t *Trainer) joinAndUpdate() error {
	l, g := &t.layout, t.c.Ranks
	grads := l.slices(g.Size())
	if err := g.Exchange(t.arena, grads, l.others); err != nil {
		return err
	}
	if err := t.parted.join.Run(); err != nil {
		return err
	}
	if err := g.AllGather(t.arena, grads); err != nil {
		return err
	}
	return t.parted.update.Run()
}

// exchange ends a step: what ranks have to do together.
func (t *Trainer) exchange() error {
	l, g := &t.layout, t.c.Ranks
	// The losses of this step lie in the ring where those of its passes do, one after the other.
	n := t.c.parts() * 2 * t.c.rows()
	slot := int(t.steps % uint64(max(1, t.c.Ring)))
	if err := g.AllGather(t.arena, l.ring.Slice(slot*n, n)); err != nil {
		return err
	}
	before := g.Sent
	if err := t.parted.last.Run(); err != nil {
		return err
	}
	if g.Sent > before {
		t.parted.sent = g.Sent - before
	} else { // as part of a graph, which sends what it has sent when it was made
		g.Sent += t.parted.sent
	}
	return nil
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

// arrival is when the device of this rank has done the own parts of a step, of which the host knows nothing else: it has queued
// them, and what comes after them waits for others.
type arrival struct {
	mark kernels.Mark // nil where the host does them itself
	came chan came    // gets one for each step; nil where none is under way
	took time.Duration
}

type came struct {
	took time.Duration
	err  error
}

// arrives comes between the own parts of a step, begun at that time, and what ranks do together.
func (t *Trainer) arrives(begun time.Time) error {
	a := &t.arrival
	if a.mark == nil {
		return nil
	}
	if err := a.mark.Set(); err != nil {
		return err
	}
	c := make(chan came, 1)
	a.came = c
	go func() {
		err := a.mark.Wait()
		c <- came{time.Since(begun), err}
	}()
	return nil
}

// wait waits until the device has come there, if it was sent.
func (a *arrival) wait() error {
	if a.came == nil {
		return nil
	}
	c := <-a.came
	a.came, a.took = nil, c.took
	return c.err
}

// await is for what the device does after what ranks do together. A device that has not come so far is waited for before, so that
// one that hangs is told from one that waits for others.
func (t *Trainer) await(f func() error) error {
	g := t.c.Ranks
	if g == nil {
		return f()
	}
	if err := g.Own(t.arrival.wait); err != nil {
		return err
	}
	return g.Await(f)
}
