package kernels

import "fmt"

// NewCPU is the backend that runs on the host with the given number of worker goroutines (0: one per core).
func NewCPU(workers int) Backend { return &cpu{workers: workers} }

type cpu struct{ workers int }

func (c *cpu) Name() string                   { return fmt.Sprintf("cpu (%d workers)", c.workers) }
func (c *cpu) Alloc(words int) (Arena, error) { return hostArena(make([]float32, words)), nil }
func (c *cpu) Close() error                   { return nil }
func (c *cpu) Compile(a Arena, ops []Op) (Program, error) {
	return &cpuProgram{mem: a.Host(), ops: ops}, nil
}

type hostArena []float32

func (a hostArena) Words() int                       { return len(a) }
func (a hostArena) Read(dst []float32, b Buf) error  { copy(dst, b.Of(a)); return nil }
func (a hostArena) Write(b Buf, src []float32) error { copy(b.Of(a), src); return nil }
func (a hostArena) Host() []float32                  { return a }

type cpuProgram struct {
	mem []float32
	ops []Op
}

func (p *cpuProgram) Run() error {
	for _, op := range p.ops {
		op.Ref(p.mem)
	}
	return nil
}
