// Operations of the caller's own.

package kernels

// HostFunc is an operation given as a Go function, for scores that are known in closed form. Only a backend with
// arenas that the host can address runs it.
type HostFunc struct {
	Label         string
	Reads, Writes []Buf
	F             func(mem []float32)
}

func (o HostFunc) Name() string                    { return o.Label }
func (o HostFunc) Operands() (reads, writes []Buf) { return o.Reads, o.Writes }
func (o HostFunc) Ref(mem []float32)               { o.F(mem) }
