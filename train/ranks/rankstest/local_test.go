package rankstest

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"sigmaz/kernels"
	"sigmaz/train/ranks"
)

// arena is memory of the host.
type arena struct {
	kernels.Arena
	mem []float32
}

func (a arena) Host() []float32 { return a.mem }

// Every rank gets from each other what is its part, and the count says what was sent.
func TestLocal(t *testing.T) {
	const size, n = 4, 3
	send, recv := kernels.Buf{Off: 2, N: size * n}, kernels.Buf{Off: 20, N: size * n}
	var all sync.WaitGroup
	for _, transport := range Local(size) {
		all.Go(func() {
			g := &ranks.Group{Transport: transport}
			r := g.Rank()
			for round := range 50 { // ranks run ahead of one another
				a := arena{mem: make([]float32, 40)}
				for i := range send.Of(a.mem) {
					send.Of(a.mem)[i] = float32(1000*round + 100*r + i)
				}
				if err := g.Exchange(a, send, recv); err != nil {
					t.Error(err)
				}
				for i, got := range recv.Of(a.mem) {
					from := i / n
					want := float32(1000*round + 100*from + r*n + i%n)
					if from == r {
						want = 0
					}
					if got != want {
						t.Errorf("rank %d has %v from rank %d, expected %v", r, got, from, want)
					}
				}
				if err := g.AllGather(a, send); err != nil {
					t.Error(err)
				}
				for i, v := range send.Of(a.mem) {
					if want := float32(1000*round + 100*(i/n) + i); v != want {
						t.Errorf("rank %d gathers %v at %d, expected %v", r, v, i, want)
					}
				}
				said, err := g.Agree([]byte{byte(round), byte(r), 0xff, 7, 9})
				if err != nil {
					t.Error(err)
				}
				for from, b := range said {
					if !bytes.Equal(b, []byte{byte(round), byte(from), 0xff, 7, 9}) {
						t.Errorf("rank %d hears %v of rank %d", r, b, from)
					}
				}
			}
			if want := int64(50 * 4 * 2 * (size - 1) * n); g.Sent != want {
				t.Errorf("rank %d sent %d bytes, expected %d", r, g.Sent, want)
			}
		})
	}
	all.Wait()
}

// Where a rank fails, the others do not wait for it for ever.
func TestLocalEnds(t *testing.T) {
	all := Local(2)
	done := make(chan error)
	go func() { done <- all[0].AllGather(arena{mem: make([]float32, 2)}, kernels.Buf{N: 2}) }()
	all[1].Close(errors.New("no"))
	if err := <-done; err == nil || err.Error() != "rank 1 has ended" {
		t.Errorf("error %v", err)
	}
}
