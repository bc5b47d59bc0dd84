package ranks

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"testing"

	"sigmaz/kernels"
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
			g := &Group{Transport: transport}
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

func TestFromEnvironment(t *testing.T) {
	for _, test := range []struct {
		set  map[string]string
		want string
	}{
		{nil, "0 of 1"},
		{map[string]string{"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}, "2 of 4"},
		{map[string]string{"PMI_RANK": "0", "PMI_SIZE": "1"}, "0 of 1"},
		{map[string]string{"OMPI_COMM_WORLD_RANK": "2"}, "the environment has OMPI_COMM_WORLD_RANK without OMPI_COMM_WORLD_SIZE: expected both, " +
			"as mpirun of Open MPI sets them, or neither; unset it to train in one process"},
		{map[string]string{"PMI_SIZE": "2"}, "the environment has PMI_SIZE without PMI_RANK: expected both, as mpirun of MPICH sets them, or " +
			"neither; unset it to train in one process"},
		{map[string]string{"PMI_SIZE": "2", "PMI_RANK": "2"}, `the environment has PMI_RANK="2" and PMI_SIZE="2": expected a rank from 0 to ` +
			"below the number of ranks; unset both to train in one process"},
		{map[string]string{"PMI_SIZE": "two", "PMI_RANK": "0"}, `the environment has PMI_RANK="0" and PMI_SIZE="two": expected a rank from 0 to ` +
			"below the number of ranks; unset both to train in one process"},
	} {
		rank, size, err := FromEnvironment(func(name string) (string, bool) { v, ok := test.set[name]; return v, ok })
		got := fmt.Sprintf("%d of %d", rank, size)
		if err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%v: %q, expected %q", test.set, got, test.want)
		}
	}
}
