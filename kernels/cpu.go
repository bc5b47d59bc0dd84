// The CPU backend: goroutines, called workers, and the assembly of internal/vec.
//
// A program is compiled to phases, between which all workers wait for each other:
//
//	operations -> stages (cpu_stage.go, X_cpu.go) -> chains of stages (cpu_chain.go) -> phases -> tasks
//
// Most operations work on the rows (images) of a batch one by one, so a chain of such operations needs no wait inside:
// one task takes a few rows through the whole chain, and its activations stay in the core's own cache. Sums over the
// batch (gradients of parameters, the mean loss) are kept apart for each task and added in a phase after the chain.
//
// Small networks are two chains, from the perturbation to the last gradient. In large ones the weights are what there
// is too much of: a chain ends when its transformed filters fill the cache that the cores share, and a large weight
// gradient is a phase of its own, shared out by channels (conv_winograd_cpu.go). An operation that can be done in the
// pass of the one before it is fused with it (cpu_stage.go).
//
// The bits do not depend on the number of workers: where each task keeps sums, the number of tasks depends on the
// operations alone and the sums are added in the order of the tasks; elsewhere a row's values do not depend on the
// rows beside it.

package kernels

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"sigmaz/internal/mapped"
	"sigmaz/kernels/internal/vec"
)

// NewCPU returns the backend that runs on the host with the given number of workers (0: one for each core).
func NewCPU(workers int) Backend {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	return &cpu{workers}
}

type cpu struct{ workers int }

func (c *cpu) Name() string {
	plural := "s"
	if c.workers == 1 {
		plural = ""
	}
	return fmt.Sprintf("cpu (%s, %d worker%s)", vec.ISA(), c.workers, plural)
}

// Arithmetic is the instruction set. Plain Go calls functions that each architecture has its own code for.
func (c *cpu) Arithmetic() string {
	if isa := vec.ISA(); isa != "go" {
		return isa
	}
	return "go on " + runtime.GOARCH
}

// Alloc leaves the programs' memory to them: they take it when they first run.
func (c *cpu) Alloc(words int, _ ...[]Op) (Arena, error) {
	return hostArena(hugePages(make([]float32, words))), nil
}

func (c *cpu) Close() error { return nil }

func (c *cpu) Compile(a Arena, ops []Op) (Program, error) {
	mem := a.Host()
	if mem == nil {
		return nil, fmt.Errorf("kernels: the CPU backend cannot address this arena")
	}
	for _, op := range ops {
		if p := precisionOf(op); p != Float32 {
			return nil, fmt.Errorf("kernels: %s is to compute in %s: the CPU computes in float32 only", op.Name(), p)
		}
	}
	p := &cpuProgram{}
	// Only a program that is run takes working memory beside the arena.
	p.build = sync.OnceFunc(func() {
		l := compile(mem, ops, c.workers)
		p.phases, p.workers = l.phases, l.allocate()
	})
	return p, nil
}

func (c *cpu) Multiprocessors() int { return 0 }

func (c *cpu) FreeMemory() (int64, bool) { return 0, false }

// Workspace counts packed weights and filters, the tasks' sums and the workers' scratch of each program. It allocates
// none of it.
func (c *cpu) Workspace(programs ...[]Op) int {
	total := 0
	for _, ops := range programs {
		total += compile(nil, ops, c.workers).words()
	}
	return total
}

// hostArena is an arena in Go memory.
type hostArena []float32

func (a hostArena) Words() int                       { return len(a) }
func (a hostArena) Read(dst []float32, b Buf) error  { copy(dst, b.Of(a)); return nil }
func (a hostArena) Write(b Buf, src []float32) error { copy(b.Of(a), src); return nil }
func (a hostArena) Host() []float32                  { return a }

// cpuProgram is a compiled program.
type cpuProgram struct {
	build   func() // sets the other fields, once
	phases  []phase
	workers []*worker
}

func (p *cpuProgram) Run() error {
	p.build()
	for _, ph := range p.phases {
		if err := ph.runOn(p.workers); err != nil {
			return err
		}
	}
	return nil
}

// phase is tasks that may run in any order and at the same time.
type phase struct {
	tasks int
	run   func(task int, w *worker)
}

// worker is what one goroutine has for itself.
type worker struct{ scratch []float32 }

// runOn runs the tasks on the workers; the calling goroutine is the first of them. Which worker runs a task is chance,
// what the task computes is not. It fails where a data set lies in a mapped file that cannot be read any more.
func (ph phase) runOn(workers []*worker) error {
	var next atomic.Int64
	var fault atomic.Pointer[error]
	work := func(w *worker) {
		var err error
		defer func() {
			if err != nil {
				fault.Store(&err)
			}
		}()
		defer mapped.Guard(&err)()
		for {
			task := int(next.Add(1)) - 1
			if task >= ph.tasks {
				return
			}
			ph.run(task, w)
		}
	}
	var done sync.WaitGroup
	for i := 1; i < min(len(workers), ph.tasks); i++ {
		done.Go(func() { work(workers[i]) })
	}
	work(workers[0])
	done.Wait()
	if err := fault.Load(); err != nil {
		return *err
	}
	return nil
}
