// The machine: runs a plan on a backend, as a gorgonia.VM.

package graph

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Machine is a plan compiled for one arena.
type Machine struct {
	plan    *Plan
	arena   kernels.Arena
	program kernels.Program
}

var _ gorgonia.VM = (*Machine)(nil)

// NewMachine compiles prologue, plan and epilogue into one program.
func NewMachine(b kernels.Backend, arena kernels.Arena, prologue []kernels.Op, plan *Plan,
	epilogue []kernels.Op) (*Machine, error) {
	ops := append(append(append([]kernels.Op(nil), prologue...), plan.Ops...), epilogue...)
	program, err := b.Compile(arena, ops)
	if err != nil {
		return nil, err
	}
	m := &Machine{plan, arena, program}
	return m, m.bind()
}

// bind makes the values of the graph's inputs, parameters among them, views of the arena, where the host can address
// it: node.Value() is then what Gorgonia's users expect.
func (m *Machine) bind() error {
	if m.arena.Host() == nil {
		return nil
	}
	for n := range m.plan.values {
		if n.Op() != nil {
			continue
		}
		v, err := m.Value(n)
		if err != nil {
			return err
		}
		if err := gorgonia.Let(n, v); err != nil {
			return fmt.Errorf("machine: %v: %w", n, err)
		}
	}
	return nil
}

// RunAll runs the program once.
func (m *Machine) RunAll() error { return m.program.Run() }

// Program returns what [Machine.RunAll] runs.
func (m *Machine) Program() kernels.Program { return m.program }

// Reset does nothing: a plan keeps no state between runs but what its buffers hold.
func (m *Machine) Reset() {}

// Close does nothing: the arena belongs to who made it.
func (m *Machine) Close() error { return nil }

// Value returns the value of a node that the plan keeps: on the CPU a view of the arena, elsewhere a copy of the
// device's.
func (m *Machine) Value(n *gorgonia.Node) (*tensor.Dense, error) {
	if m.plan.values[n] == nil {
		return nil, fmt.Errorf("machine: %v is not part of the plan", n)
	}
	return window(m.arena, m.plan.Buf(n), n.Shape())
}

// window returns a window of an arena as a tensor, without a copy where the host can address it.
func window(a kernels.Arena, b kernels.Buf, shape tensor.Shape) (*tensor.Dense, error) {
	var data []float32
	if mem := a.Host(); mem != nil {
		data = b.Of(mem)
	} else {
		data = make([]float32, b.N)
		if err := a.Read(data, b); err != nil {
			return nil, err
		}
	}
	if len(shape) == 0 {
		shape = tensor.Shape{1}
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(data)), nil
}
