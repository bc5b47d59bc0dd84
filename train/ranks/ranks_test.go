package ranks

import (
	"errors"
	"sync"
	"testing"
)

// Every rank gets from each other what is cut for it, and the count says what was sent.
func TestLocal(t *testing.T) {
	const size = 4
	cuts := []int{0, 3, 3, 8, 10} // one of nothing
	var all sync.WaitGroup
	for _, transport := range Local(size) {
		all.Go(func() {
			g := &Group{Transport: transport}
			r := g.Rank()
			own := cuts[r+1] - cuts[r]
			for round := range 50 { // ranks run ahead of one another
				send, recv := make([]float32, 10), make([]float32, size*own)
				for i := range send {
					send[i] = float32(1000*round + 100*r + i)
				}
				if err := g.Exchange(send, cuts, recv); err != nil {
					t.Error(err)
				}
				for from := range size {
					for i := range own {
						want := float32(1000*round + 100*from + cuts[r] + i)
						if from == r {
							want = 0
						}
						if got := recv[from*own+i]; got != want {
							t.Errorf("rank %d has %v from rank %d, expected %v", r, got, from, want)
						}
					}
				}
				if err := g.AllGather(send, cuts); err != nil {
					t.Error(err)
				}
				for i, v := range send {
					from := 0
					for i >= cuts[from+1] {
						from++
					}
					if want := float32(1000*round + 100*from + i); v != want {
						t.Errorf("rank %d gathers %v at %d, expected %v", r, v, i, want)
					}
				}
			}
			if want := int64(50 * 4 * (10 - own + 3*own)); g.Sent != want {
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
	go func() { done <- all[0].AllGather(make([]float32, 2), Even(1, 2)) }()
	all[1].Close(errors.New("no"))
	if err := <-done; err == nil || err.Error() != "rank 1 has ended" {
		t.Errorf("error %v", err)
	}
}
