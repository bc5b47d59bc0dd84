// Programs, and what links carry between them, as one program.

package kernels

// Together returns a program that does what f does: run programs of the backend, and carry windows by links between them. On a
// GPU that becomes one graph, of which f is asked once more after it has run once: it must do the same each time.
func Together(b Backend, f func() error) Program {
	if b, ok := b.(interface{ together(f func() error) Program }); ok {
		return b.together(f)
	}
	return calls(f)
}

// calls is a program that is a function.
type calls func() error

func (f calls) Run() error { return f() }
