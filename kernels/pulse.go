// Where a device is in a step, as the host sees it without waiting: the device counts marks, which lie between the programs.

package kernels

import "time"

// Mark is a place in a step.
type Mark int

const (
	Begun  Mark = iota // before anything of it
	Worked             // behind what does not depend on other ranks
	Ended              // behind all of it
	marks
)

// Pulse counts marks of a device, which has memory of its own and does not keep its host waiting.
type Pulse interface {
	// Mark returns the program that comes to a mark.
	Mark(m Mark) (Program, error)
	// Read returns how often the device has come to each mark, and the time from [Begun] to [Worked] in all. Any goroutine may
	// call it, until the backend is closed.
	Read() (come [marks]uint64, worked time.Duration)
}

// NewPulse returns a pulse of a backend, nil of one whose programs have ended when Run returns.
func NewPulse(b Backend) (Pulse, error) {
	if b, ok := b.(interface{ pulse() (Pulse, error) }); ok {
		return b.pulse()
	}
	return nil, nil
}
