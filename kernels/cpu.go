// The CPU backend: worker goroutines and the assembly of internal/vec.
//
// A program is compiled to phases, between which all workers meet. Most operations work on the rows (images) of a batch
// one by one, so a chain of such operations needs no meeting point inside: one task takes a few rows through the whole
// chain, from the perturbation to the last gradient, and its activations stay in the core's own cache. Sums over the
// batch (weight gradients, the mean loss) are kept apart for each task and added in a phase after the chain.
//
// Rows are shared out over a fixed number of tasks and sums are added in the order of the tasks, so the bits do not
// depend on the number of workers.
package kernels

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"sigmaz/kernels/internal/vec"
)

const (
	// taskCount bounds the tasks of a chain. Each keeps its own sums of the weight gradients, so memory bounds it too.
	taskCount = 16
	// sumlessTaskCount is the same for a chain that sums nothing over the batch.
	sumlessTaskCount = 64
	// wideRow is the row size in words from which a task takes one row at a time through the chain. Smaller rows go
	// together, so that a linear layer sees a matrix.
	wideRow = 256
)

// NewCPU is the backend that runs on the host with the given number of worker goroutines (0: one for each core).
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

// Alloc leaves the programs' memory to them: they take it when they first run.
func (c *cpu) Alloc(words int, _ ...[]Op) (Arena, error) {
	return hostArena(make([]float32, words)), nil
}

func (c *cpu) Close() error { return nil }

func (c *cpu) Compile(a Arena, ops []Op) (Program, error) {
	mem := a.Host()
	if mem == nil {
		return nil, fmt.Errorf("kernels: the CPU backend cannot address this arena")
	}
	p := &cpuProgram{workers: c.workers}
	// Working memory beside the arena is only taken by programs that are run.
	p.build = sync.OnceFunc(func() { p.phases, p.scratch = compile(mem, ops) })
	return p, nil
}

// Workspace counts packed weights, the tasks' sums and the workers' scratch of each program. Nothing is allocated for it.
func (c *cpu) Workspace(programs ...[]Op) int {
	total := 0
	for _, ops := range programs {
		scratch := 0
		for _, op := range ops {
			s := lower(nil, op)
			total += s.workspace
			scratch = max(scratch, s.scratch)
		}
		total += c.workers * scratch
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
	workers int
	build   func()
	phases  []phase
	scratch int // floats of scratch of each worker
	states  []*worker
}

// phase is tasks that may run in any order and at the same time.
type phase struct {
	tasks int
	run   func(task int, w *worker)
}

// worker is what one goroutine has for itself.
type worker struct{ scratch []float32 }

func (p *cpuProgram) Run() error {
	p.build()
	for len(p.states) < p.workers {
		p.states = append(p.states, &worker{make([]float32, p.scratch)})
	}
	for _, ph := range p.phases {
		ph.runOn(p.states)
	}
	return nil
}

// runOn runs the tasks on the workers; the calling goroutine is one of them. Which worker runs a task is chance, what
// the task computes is not.
func (ph phase) runOn(states []*worker) {
	var next atomic.Int64
	work := func(w *worker) {
		for {
			task := int(next.Add(1)) - 1
			if task >= ph.tasks {
				return
			}
			ph.run(task, w)
		}
	}
	var done sync.WaitGroup
	for i := 1; i < min(len(states), ph.tasks); i++ {
		done.Go(func() { work(states[i]) })
	}
	work(states[0])
	done.Wait()
}

// stage is an operation as the CPU runs it.
type stage struct {
	// ready allocates the stage's workspace; it is called once, before everything else.
	ready func()
	rows  int // rows of the batch; 0: not by rows, only before is used
	// run takes rows lo to hi through the operation. The rows belong to the given task, and first says that they are
	// the first of it, when its sums start from zero.
	run func(lo, hi, task int, first bool, w *worker)
	// sums says that the stage keeps sums for each task.
	sums bool
	// before and after are run by all workers before the chain that the stage is part of and after it.
	before, after []phase
	// shared are windows that run and before read whole, not row by row; late are those that after writes.
	shared, late []Buf
	scratch      int // words that each worker needs
	workspace    int // words that the stage takes for good when it is made ready
	width        int // words of a row
}

// compile lowers operations to phases.
func compile(mem []float32, ops []Op) (phases []phase, scratch int) {
	var c chain
	for i := 0; i < len(ops); i++ {
		op := ops[i]
		reads, writes := op.Operands()
		s := lower(mem, op)
		if norm, ok := op.(Norm); ok && i+1 < len(ops) && norm.fuses(ops[i+1]) {
			s = lowerNorm(mem, norm, vec.ScaleShiftELU) // on one read; the windows are the norm's
			i++
		}
		if s.ready != nil {
			s.ready()
		}
		scratch = max(scratch, s.scratch)
		if s.rows == 0 {
			phases = append(phases, c.flush()...)
			phases = append(phases, s.before...)
			continue
		}
		for _, b := range append(without(reads, s.shared), without(writes, s.late)...) {
			s.width = max(s.width, b.N/s.rows)
		}
		if !c.takes(s, reads, writes) {
			phases = append(phases, c.flush()...)
		}
		c.add(s, reads, writes)
	}
	return append(phases, c.flush()...), scratch
}

// chain is stages that one task runs one after the other for its rows.
type chain struct {
	stages       []stage
	reads, rowed []Buf // windows read and windows written row by row
	late         []Buf // windows written after the chain
	shared       []Buf // windows read as a whole
}

// takes says whether stage s may join the chain: rows must be independent, so what it reads or writes row by row must
// lie exactly on the rows of what the chain touches, or apart from it; and nothing may be read as a whole, or be
// written after the chain, that the chain itself writes or still needs.
func (c *chain) takes(s stage, reads, writes []Buf) bool {
	if len(c.stages) == 0 {
		return true
	}
	if c.stages[0].rows != s.rows {
		return false
	}
	for _, b := range s.shared {
		if anyOverlap(b, c.rowed, false) || anyOverlap(b, c.late, false) {
			return false
		}
	}
	for _, b := range s.late {
		if anyOverlap(b, c.rowed, false) || anyOverlap(b, c.reads, false) || anyOverlap(b, c.shared, false) || anyOverlap(b, c.late, false) {
			return false
		}
	}
	for _, b := range without(reads, s.shared) {
		if anyOverlap(b, c.rowed, true) || anyOverlap(b, c.late, false) {
			return false
		}
	}
	for _, b := range without(writes, s.late) {
		if anyOverlap(b, c.rowed, true) || anyOverlap(b, c.reads, true) || anyOverlap(b, c.late, false) || anyOverlap(b, c.shared, false) {
			return false
		}
	}
	return true
}

func (c *chain) add(s stage, reads, writes []Buf) {
	c.stages = append(c.stages, s)
	c.reads = append(c.reads, without(reads, s.shared)...)
	c.rowed = append(c.rowed, without(writes, s.late)...)
	c.late = append(c.late, s.late...)
	c.shared = append(c.shared, s.shared...)
}

// anyOverlap says whether b shares words with one of list; with sameRows identical windows do not count, because their
// rows are the same.
func anyOverlap(b Buf, list []Buf, sameRows bool) bool {
	for _, o := range list {
		if b.Off < o.Off+o.N && o.Off < b.Off+b.N && !(sameRows && b == o) {
			return true
		}
	}
	return false
}

// without is list less the windows of remove.
func without(list, remove []Buf) []Buf {
	var out []Buf
next:
	for _, b := range list {
		for _, r := range remove {
			if b == r {
				continue next
			}
		}
		out = append(out, b)
	}
	return out
}

// flush ends the chain: what comes before it, the chain itself, what comes after it.
func (c *chain) flush() []phase {
	stages := c.stages
	*c = chain{}
	if len(stages) == 0 {
		return nil
	}
	rows, tasks, width := stages[0].rows, sumlessTaskCount, 0
	var before, after []phase
	for _, s := range stages {
		before = append(before, s.before...)
		after = append(after, s.after...)
		width = max(width, s.width)
		if s.sums {
			tasks = taskCount
		}
	}
	tasks = min(tasks, rows)
	chained := phase{tasks, func(task int, w *worker) {
		from, to := task*rows/tasks, (task+1)*rows/tasks
		block := to - from
		if width >= wideRow {
			block = 1
		}
		for lo := from; lo < to; lo += block {
			for i := range stages {
				stages[i].run(lo, lo+block, task, lo == from, w)
			}
		}
	}}
	var phases []phase
	for _, ph := range []phase{together(before), chained, together(after)} {
		if ph.tasks > 0 {
			phases = append(phases, ph)
		}
	}
	return phases
}

// together makes one phase of several that do not depend on each other.
func together(phases []phase) phase {
	var starts []int
	total := 0
	for _, ph := range phases {
		starts = append(starts, total)
		total += ph.tasks
	}
	owner := make([]int, total)
	for i, ph := range phases {
		for t := range ph.tasks {
			owner[starts[i]+t] = i
		}
	}
	return phase{total, func(task int, w *worker) {
		i := owner[task]
		phases[i].run(task-starts[i], w)
	}}
}
