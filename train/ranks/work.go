// What a rank is at, and whether it hangs. Its process may beat while what it works on does not come on: a kernel that never ends,
// a deadlock, a read from a disk that is gone. All that can be seen from outside is time, and a false alarm is worse than a late
// one. So a rank says that it hangs where
//
//	it is in a step, and not in a call that waits for others,
//	it has been there for mostBeats of its own beats and for slower times as many as ever before, and
//	it has done two steps in this process: the first ones may compile and connect,
//
// and it is lost where another one says at the same time that it waits (package rendezvous). Time is counted in beats, of which a
// process has none while it is stopped, sleeps with its machine or gets no processor. What may take long and has no measure,
// such as writing a checkpoint, a preview or the held-out loss, is done between steps.

package ranks

import (
	"sync"

	"sigmaz/internal/rendezvous"
)

const (
	mostBeats = 20 // about a second each
	longBeats = 15 // from which on who waits says so
	slower    = 10
)

// phase is what a rank is at.
type phase int

const (
	between  phase = iota // steps
	stepping              // at its own part of a step
	waiting               // for others
)

type work struct {
	mu    sync.Mutex
	phase phase
	turns int // of the phase
	steps int // done

	// of the beats
	seen  int // turn at the last one
	beats int // since that turn was first seen
	most  int // that a turn at the own part of a step took
}

// turn begins a phase, and returns the one before it.
func (w *work) turn(p phase) (before phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.phase == stepping && w.seen == w.turns {
		w.most = max(w.most, w.beats)
	}
	before, w.phase = w.phase, p
	w.turns++
	return before
}

// stepped ends a step.
func (w *work) stepped(before phase) {
	w.turn(before)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.steps++
}

// beat returns the state of the rank at one of its beats.
func (w *work) beat() rendezvous.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen != w.turns {
		w.seen, w.beats = w.turns, 0
	}
	w.beats++
	switch {
	case w.phase == waiting && w.beats > longBeats:
		return rendezvous.Waits
	case w.phase == stepping && w.steps >= 2 && w.beats > max(mostBeats, slower*w.most):
		return rendezvous.Hangs
	}
	return rendezvous.Well
}
