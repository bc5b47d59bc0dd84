// Programs, and what links carry between them, as one program; what runs beside it, and what comes in the midst of one.

package kernels

// Together returns a program that does what f does: run programs of the backend, and carry windows by links between them. On a
// GPU that becomes one graph, of which f is asked once more after it has run once: it must do the same each time.
func Together(b Backend, f func() error) Program {
	if b, ok := b.(interface{ together(f func() error) Program }); ok {
		return b.together(f)
	}
	return calls(f)
}

// AsDone returns a program that runs p and calls then(i), for each window in turn, once p does nothing more to it and to those
// before it. On a GPU that is in the midst of p: what then starts comes before the rest of it, except [Beside], and may need no
// working memory.
func AsDone(p Program, windows []Buf, then func(i int) error) Program {
	if p, ok := p.(interface {
		asDone(windows []Buf, then func(i int) error) Program
	}); ok {
		return p.asDone(windows, then)
	}
	return calls(func() error {
		if err := p.Run(); err != nil {
			return err
		}
		for i := range windows {
			if err := then(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// Beside has what f starts run beside what is started later, where the backend can: it comes behind what was started before, and
// before what is started after the next [Rejoin]. Its programs may need no working memory, which those beside them use.
func Beside(b Backend, f func() error) error {
	if b, ok := b.(branching); ok {
		return b.beside(f)
	}
	return f()
}

// Rejoin lets what is started from now on wait for what was started [Beside].
func Rejoin(b Backend) error {
	if b, ok := b.(branching); ok {
		return b.rejoin()
	}
	return nil
}

// branching is a backend on which programs run beside each other.
type branching interface {
	beside(f func() error) error
	rejoin() error
}

// calls is a program that is a function.
type calls func() error

func (f calls) Run() error { return f() }
