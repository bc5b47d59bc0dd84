// The step counter of the state block, which everything random of a step depends on.

package kernels

// Tick adds one to the step of the state block, or By where that is not 0.
type Tick struct {
	State Buf
	By    uint64
}

func (o Tick) Name() string                    { return "tick" }
func (o Tick) Operands() (reads, writes []Buf) { return []Buf{o.State}, []Buf{o.State} }
func (o Tick) Ref(mem []float32) {
	SetStep(o.State.Of(mem), stepOf(mem, o.State)+o.steps())
}

func (o Tick) steps() uint64 { return max(1, o.By) }
