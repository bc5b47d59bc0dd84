package train

import (
	"testing"
	"time"

	"sigmaz/kernels"
	"sigmaz/train/ranks"
	"sigmaz/train/ranks/rankstest"
)

// The rank that lets the others wait is named, and where ranks are about as fast as each other nobody is.
func TestSlowest(t *testing.T) {
	for _, test := range []struct {
		busy    []time.Duration
		rank    int
		waiting float64
	}{
		{nil, 0, 0}, {[]time.Duration{5}, 0, 0}, {[]time.Duration{0, 0}, 0, 0},
		{[]time.Duration{100, 90}, 0, 0.1},
		{[]time.Duration{60, 100}, 1, 0.4},
		{[]time.Duration{50, 50, 100, 50}, 2, 0.5},
		{[]time.Duration{90, 50, 95, 100}, 3, 0.1},  // a fast one is no slow one
		{[]time.Duration{50, 100, 100, 50}, 1, 0.5}, // half of them wait
	} {
		if rank, waiting := busy(test.busy).slowest(); waiting != test.waiting || waiting > 0 && rank != test.rank {
			t.Errorf("%v: rank %d, %v, expected rank %d, %v", test.busy, rank, waiting, test.rank, test.waiting)
		}
	}
}

// pulse is one of a device that was at its own part of steps for so long.
type pulse time.Duration

func (p pulse) Mark(kernels.Mark) (kernels.Program, error) { return nil, nil }
func (p pulse) Read() (come [3]uint64, worked time.Duration) {
	return come, time.Duration(p)
}

// A rank says how long it was busy since it last said so: of a host what its steps took, of a device what that has measured.
func TestPace(t *testing.T) {
	c, d := tiny("mlp")
	tc, err := c.Trainer(d)
	if err != nil {
		t.Fatal(err)
	}
	b := kernels.NewCPU(1)
	defer b.Close()
	tr, err := NewTrainer(b, tc)
	if err != nil {
		t.Fatal(err)
	}
	g := &ranks.Group{Transport: rankstest.Local(1)[0]}
	r := &run{o: Options{Backend: b, Ranks: g}, trainer: tr}
	if err := r.advance(); err != nil || g.Busy() == 0 {
		t.Fatalf("a step took %v, error %v", g.Busy(), err)
	}
	for _, worked := range []time.Duration{time.Minute, time.Minute + 3*time.Second} {
		g.Follow(pulse(worked))
		if _, err := r.stops(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r.pace.busy[0] != time.Minute+3*time.Second || r.pace.line[0] != r.pace.busy[0] {
		t.Errorf("a device was busy for %v, and %v of a line", r.pace.busy, r.pace.line)
	}
}
