package ranks

import (
	"testing"
	"time"

	"sigmaz/internal/rendezvous"
	"sigmaz/kernels"
)

// device is a pulse that has come to its marks so often.
type device [3]uint64

func (d device) Mark(kernels.Mark) (kernels.Program, error)   { return nil, nil }
func (d device) Read() (come [3]uint64, worked time.Duration) { return d, 0 }

// While a device is at a step it is the one that counts: its host waits for it and for others alike, or is a step ahead.
func TestWorkOfDevice(t *testing.T) {
	for _, test := range []struct {
		name  string
		host  phase
		come  device
		after int
		state rendezvous.State
	}{
		{"at its own part", awaiting, device{3, 2, 2}, mostBeats + 1, rendezvous.Hangs},
		{"at its own part, and its host is at a call", waiting, device{3, 2, 2}, longBeats + 1, rendezvous.Waits},
		{"at its first one", awaiting, device{1, 0, 0}, 0, 0},
		{"behind it", stepping, device{3, 3, 2}, longBeats + 1, rendezvous.Waits},
		{"at none", stepping, device{3, 3, 3}, mostBeats + 1, rendezvous.Hangs},
		{"at none, and its host waits", awaiting, device{3, 3, 3}, longBeats + 1, rendezvous.Waits},
	} {
		var w work
		w.follow(test.come)
		for range 3 {
			w.stepped(w.turn(stepping))
		}
		w.turn(test.host)
		after, state := 0, rendezvous.Well
		for beat := 1; beat <= 100 && after == 0; beat++ {
			if state = w.beat(); state != rendezvous.Well {
				after = beat
			}
		}
		if after != test.after || state != test.state {
			t.Errorf("%s: state %v from beat %d on, expected %v from %d on", test.name, state, after, test.state, test.after)
		}
	}
}

// A rank says that it hangs in its own part of a step alone, after far more beats than ever before.
func TestWork(t *testing.T) {
	for _, test := range []struct {
		name  string
		steps []int // beats in each step before
		phase phase // then, for ever
		after int   // the first beat with another state; 0: none
		state rendezvous.State
	}{
		{"the first step", nil, stepping, 0, 0},
		{"the second step", []int{3}, stepping, 0, 0},
		{"short steps", []int{0, 1}, stepping, mostBeats + 1, rendezvous.Hangs},
		{"long steps", []int{3, 7, 2}, stepping, 71, rendezvous.Hangs},
		{"a long first step", []int{30, 0}, stepping, 301, rendezvous.Hangs},
		{"between steps", []int{0, 0, 0}, idle, 0, 0},
		{"waiting", []int{0, 0, 0}, waiting, longBeats + 1, rendezvous.Waits},
		{"waiting at first", nil, waiting, longBeats + 1, rendezvous.Waits},
	} {
		var w work
		for _, beats := range test.steps {
			before := w.turn(stepping)
			for range beats {
				if s := w.beat(); s != rendezvous.Well {
					t.Fatalf("%s: %v while it comes on", test.name, s)
				}
			}
			w.turn(w.turn(waiting)) // for the others, in the midst of it
			w.stepped(before)
		}
		w.turn(test.phase)
		after := 0
		for beat := 1; beat <= 1000 && after == 0; beat++ {
			if s := w.beat(); s != rendezvous.Well {
				if after = beat; s != test.state {
					t.Errorf("%s: state %v, expected %v", test.name, s, test.state)
				}
			}
		}
		if after != test.after {
			t.Errorf("%s: the state is another from beat %d on, expected %d", test.name, after, test.after)
		}
		if w.turn(idle); w.beat() != rendezvous.Well {
			t.Errorf("%s: the state stays when the rank has come on", test.name)
		}
	}
}
