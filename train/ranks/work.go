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
//
// A GPU is behind its host, which waits for it and for others alike. While it is at a step, its own marks say where (package
// kernels, Pulse), and how long its part took.

package ranks

import (
	"sync"
	"time"

	"sigmaz/internal/rendezvous"
	"sigmaz/kernels"
)

const (
	mostBeats = 20 // about a second each
	longBeats = 15 // from which on who waits says so
	slower    = 10
)

// phase is what a rank is at.
type phase int

const (
	idle     phase = iota // between steps
	stepping              // at its own part of a step
	waiting               // for others
	awaiting              // for the device, and by it perhaps for others
)

type work struct {
	mu     sync.Mutex
	host   place
	device kernels.Pulse // nil: there is none

	// of the beats
	seen  place // at the last one
	beats int   // since that place was first seen
	most  int   // that a turn at the own part of a step took
}

// place is where a host or its device is.
type place struct {
	phase    phase
	turns    uint64 // of phases
	steps    uint64 // done
	ofDevice bool
}

// turn begins a phase, and returns the one before it.
func (w *work) turn(p phase) (before phase) {
	w.mu.Lock()
	defer w.mu.Unlock()
	before, w.host.phase = w.host.phase, p
	w.host.turns++
	return before
}

// stepped ends a step.
func (w *work) stepped(before phase) {
	w.turn(before)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.host.steps++
}

// follow has the place be that of a device while it is at a step; nil ends that.
func (w *work) follow(p kernels.Pulse) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.device = p
}

// worked is how long the device was at its own part of steps, and whether there is one.
func (w *work) worked() (worked time.Duration, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.device == nil {
		return 0, false
	}
	_, worked = w.device.Read()
	return worked, true
}

// place is where the rank is.
func (w *work) place() place {
	if w.device != nil && w.host.phase != waiting { // what it is to do next may wait for the host
		come, _ := w.device.Read()
		p := place{turns: come[kernels.Begun] + come[kernels.Worked] + come[kernels.Ended], steps: come[kernels.Ended], ofDevice: true}
		switch {
		case come[kernels.Worked] > come[kernels.Ended]:
			p.phase = waiting
			return p
		case come[kernels.Begun] > come[kernels.Worked]:
			p.phase = stepping
			return p
		}
	}
	return w.host
}

// beat returns the state of the rank at one of its beats.
func (w *work) beat() rendezvous.State {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.place()
	if w.seen != now {
		if w.seen.phase == stepping {
			w.most = max(w.most, w.beats)
		}
		w.seen, w.beats = now, 0
	}
	w.beats++
	switch {
	case (now.phase == waiting || now.phase == awaiting) && w.beats > longBeats:
		return rendezvous.Waits
	case now.phase == stepping && now.steps >= 2 && w.beats > max(mostBeats, slower*w.most):
		return rendezvous.Hangs
	}
	return rendezvous.Well
}
