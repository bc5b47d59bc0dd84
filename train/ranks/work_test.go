package ranks

import (
	"testing"

	"sigmaz/internal/rendezvous"
)

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
		{"between steps", []int{0, 0, 0}, between, 0, 0},
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
		if w.turn(between); w.beat() != rendezvous.Well {
			t.Errorf("%s: the state stays when the rank has come on", test.name)
		}
	}
}
