package train

import (
	"testing"
	"time"

	"sigmaz/kernels"
	"sigmaz/train/ranks"
)

// The rank that lets the others wait is named, and where ranks are about as fast as each other nobody is.
func TestSlowest(t *testing.T) {
	for _, test := range []struct {
		busy    []time.Duration
		rank    int
		waiting float64
	}{
		{nil, 0, 0}, {[]time.Duration{5}, 0, 0}, {[]time.Duration{0, 0}, 0, 0},
		{[]time.Duration{100, 90}, 0, 0},
		{[]time.Duration{60, 100}, 1, 0.4},
		{[]time.Duration{50, 50, 100, 50}, 2, 0.5},
		{[]time.Duration{90, 50, 95, 100}, 3, 0},    // a fast one is no slow one
		{[]time.Duration{50, 100, 100, 50}, 1, 0.5}, // half of them wait
	} {
		p := pace{busy: test.busy}
		if rank, waiting := p.slowest(); waiting != test.waiting || waiting > 0 && rank != test.rank {
			t.Errorf("%v: rank %d, %v, expected rank %d, %v", test.busy, rank, waiting, test.rank, test.waiting)
		}
	}
}

// What a line says of ranks is of the steps since the line before, also where that is not worth a word of progress.
func TestPaceInLine(t *testing.T) {
	p := pace{line: []time.Duration{90, 100}}
	if rank, waiting := p.inLine(); rank == nil || *rank != 1 || *waiting != 0.1 {
		t.Errorf("rank %v, %v, expected rank 1, 0.1", rank, waiting)
	}
	if rank, waiting := p.inLine(); rank != nil || waiting != nil {
		t.Errorf("rank %v, %v, where nothing was measured since", rank, waiting)
	}
}

// queued is a backend whose programs return before they are done, as a GPU's do.
type queued struct{ kernels.Backend }

func (queued) Multiprocessors() int { return 4 }

// How long a step takes the host measures where it does it, and the trainer where the host has only queued it.
func TestAdvance(t *testing.T) {
	b := kernels.NewCPU(1)
	c, d := tiny("mlp")
	tc, err := c.Trainer(d)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := NewTrainer(b, tc)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		backend  kernels.Backend
		measured bool
	}{{b, true}, {queued{b}, false}} {
		r := &run{o: Options{Backend: test.backend, Ranks: &ranks.Group{}}, trainer: tr}
		if err := r.advance(); err != nil || (r.pace.own > 0) != test.measured {
			t.Errorf("%T: %v, took %v", test.backend, err, r.pace.own)
		}
	}
}
