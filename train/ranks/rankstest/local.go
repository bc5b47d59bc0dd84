// Ranks that are goroutines of one process: what tests compare others with.

package rankstest

import (
	"fmt"
	"sync"

	"sigmaz/train/ranks"
)

// local is the carrier of one of them.
type local struct {
	rank int
	*hub
}

// hub is what they share: box[i][j] holds what rank i sent to rank j. A rank is never more than one call ahead of another.
type hub struct {
	box  [][]chan []float32
	gone chan struct{} // closed when a rank has failed
	once sync.Once
	who  int // that rank
}

// Local returns the transports of so many ranks within this process.
func Local(size int) []ranks.Transport {
	h := &hub{gone: make(chan struct{})}
	var all []ranks.Transport
	for i := range size {
		var to []chan []float32
		for range size {
			to = append(to, make(chan []float32, 2))
		}
		h.box = append(h.box, to)
		all = append(all, ranks.OnHost(local{i, h}))
	}
	return all
}

func (l local) Rank() int { return l.rank }
func (l local) Size() int { return len(l.box) }

// part is that of a rank.
func (l local) part(words []float32, rank int) []float32 {
	n := len(words) / l.Size()
	return words[rank*n : (rank+1)*n]
}

func (l local) Exchange(send, recv []float32) error {
	return l.swap(func(i int) []float32 { return l.part(send, i) }, func(i int) []float32 { return l.part(recv, i) })
}

func (l local) AllGather(all []float32) error {
	return l.swap(func(int) []float32 { return l.part(all, l.rank) }, func(i int) []float32 { return l.part(all, i) })
}

// swap sends a copy of a window to each other rank and receives one from each.
func (l local) swap(send, recv func(rank int) []float32) error {
	for i := range l.box {
		if i != l.rank {
			l.box[l.rank][i] <- append([]float32(nil), send(i)...)
		}
	}
	for i := range l.box {
		if i == l.rank {
			continue
		}
		select {
		case words := <-l.box[i][l.rank]:
			if len(words) != len(recv(i)) {
				return fmt.Errorf("rank %d sent %d values to rank %d, which expects %d", i, len(words), l.rank, len(recv(i)))
			}
			copy(recv(i), words)
		case <-l.gone:
			return fmt.Errorf("rank %d has ended", l.who)
		}
	}
	return nil
}

func (l local) Close(failed error) error {
	if failed != nil {
		l.once.Do(func() {
			l.who = l.rank
			close(l.gone)
		})
	}
	return nil
}
