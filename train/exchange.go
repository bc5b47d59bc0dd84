// Ranks: R processes that train one run, R a power of two up to its S parts. Rank r does the S/R neighbouring parts from
// r S/R on and adds them as the subtree that they are (shards.go). Then
//
//	exchange     rank r receives slice r of the R subtrees' sums
//	join         it adds them by what is left of the tree, from neighbours up
//	all-gather   it receives the other slices of the root
//
// which is the tree of one process: a + b is b + a to the bit, and nobody else adds anything. A rank sends 2 (R-1)/R of the
// gradient. Each then takes the whole step of Adam, so all hold the same parameters, and a run goes on with any number of ranks.
// The losses of the rows go round, too: every rank has those of the whole batch.

package train

import (
	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/train/ranks"
)

// checkRanks judges how many ranks do a batch in so many parts. The error is a [*setting.Error].
func checkRanks(size, shards int) error {
	if shards%size == 0 { // so it is a power of two as shards is
		return nil
	}
	fewer := min(shards, size)
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

// slicesOf cuts so many gradients into a slice of whole rows for each rank.
func slicesOf(count, size int) (cuts []int) {
	rows := (count + sumRow - 1) / sumRow
	for r := range size + 1 {
		cuts = append(cuts, rows*r/size*sumRow)
	}
	return cuts
}

// join lists what adds the slices of a rank. That of its own sum lies among the gradients, where the root belongs, and those of
// others where they were received.
func (l *layout) join(rank int) (ops []kernels.Op) {
	own := whole(l.grads).Slice(l.cuts[rank], l.cuts[rank+1]-l.cuts[rank])
	if own.N == 0 {
		return nil
	}
	size := len(l.cuts) - 1
	slice := func(r int) kernels.Buf {
		if r == rank {
			return own
		}
		return l.others.Slice(r*own.N, own.N)
	}
	for apart := 1; apart < size; apart *= 2 {
		for r := 0; r < size; r += 2 * apart {
			to := slice(r)
			if 2*apart == size {
				to = own
			}
			ops = append(ops, mean(to, slice(r), slice(r+apart)))
		}
	}
	return ops
}

// exchange turns the sum of this rank's parts into the gradient of the batch.
func (t *Trainer) exchange() error {
	l, g := &t.layout, t.c.Ranks
	mem := t.arena.Host()
	grads := whole(l.grads).Of(mem)
	if err := g.Exchange(grads, l.cuts, l.others.Of(mem)); err != nil {
		return err
	}
	if err := t.parted.join.Run(); err != nil {
		return err
	}
	if err := g.AllGather(grads, l.cuts); err != nil {
		return err
	}
	// The losses of this step lie in the ring where those of its passes do, one after the other.
	n := t.c.parts() * 2 * t.c.rows()
	slot := int(t.steps % uint64(max(1, t.c.Ring)))
	return g.AllGather(l.ring.Slice(slot*n, n).Of(mem), ranks.Even(n/g.Size(), g.Size()))
}
