// Marks: places in what a backend was given to do.

package kernels

// Mark is a place behind what was started before it was set last.
type Mark interface {
	// Set sets it here.
	Set() error
	// Wait waits until the backend has come to it. Any goroutine may call it; none may set it meanwhile.
	Wait() error
}

// NewMark returns a mark of a backend that works while the host goes on; nil of one that is done when a call returns.
func NewMark(b Backend) (Mark, error) {
	if b, ok := b.(interface{ newMark() (Mark, error) }); ok {
		return b.newMark()
	}
	return nil, nil
}
