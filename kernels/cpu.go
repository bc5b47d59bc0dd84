// The CPU backend: worker goroutines and the assembly of internal/vec.
//
// A program is compiled to phases, between which all workers meet. Most operations work on the rows (images) of a batch
// one by one, so a chain of such operations needs no meeting point inside: one task takes a few rows through the whole
// chain, and its activations stay in the core's own cache. Sums over the batch (norms' parameters, the mean loss) are kept
// apart for each task and added in a phase after the chain.
//
// Small networks are two chains, from the perturbation to the last gradient. In large ones the weights are what there is
// too much of: a chain ends when its transformed filters fill the cache that the cores share, and a large weight gradient
// is a phase of its own, shared out by channels (cpu_conv.go). What can be done in the pass of its predecessor is
// (cpu_fuse.go).
//
// Where sums are kept for each task, rows are shared out over a number of tasks that depends on the operations alone, and
// the sums are added in the order of the tasks. Elsewhere a row's values do not depend on the rows beside it. So the bits
// do not depend on the number of workers.
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
	// wideRow is the row size in words from which a task takes one row at a time through the chain, or as many as a stage
	// asks for. Smaller rows go together, so that a linear layer sees a matrix.
	wideRow = 256
	// temporaryWords bounds the transformed filters of a chain: they should stay in the cache that the cores share while
	// the images pass.
	temporaryWords = 1 << 20
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
	return hostArena(hugePages(make([]float32, words))), nil
}

func (c *cpu) Close() error { return nil }

func (c *cpu) Compile(a Arena, ops []Op) (Program, error) {
	mem := a.Host()
	if mem == nil {
		return nil, fmt.Errorf("kernels: the CPU backend cannot address this arena")
	}
	p := &cpuProgram{}
	// Working memory beside the arena is only taken by programs that are run.
	p.build = sync.OnceFunc(func() {
		l := compile(mem, ops, c.workers)
		p.phases, p.states = l.phases, l.allocate()
	})
	return p, nil
}

// Workspace counts packed weights and filters, the tasks' sums and the workers' scratch of each program. Nothing is
// allocated for it.
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
	build  func()
	phases []phase
	states []*worker
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
	block        int // rows that run likes to get together; 0: it does not matter
	// temporary is memory from before to after the chain (or to the end of before, if there are no rows).
	temporary *shared
	// A stage that can share out less than a row has so many tiles in all, and runTiles computes some of them.
	tiles    int
	runTiles func(from, to int, w *worker)
}

// shared is memory that stages use one after the other.
type shared struct {
	words int
	mem   []float32
	at    int // where it starts in the memory of all
}

// layout is a compiled program before its memory is taken.
type layout struct {
	phases      []phase
	stages      []stage
	temporaries []*shared
	temporary   int // words of the memory that the temporaries share
	scratch     int // words of scratch of each worker
	workers     int
}

// working is the size of what the stages use one after the other: the temporaries and the scratch of the workers.
func (l *layout) working() int { return l.temporary + l.workers*l.scratch }

// words is the memory that the program takes beside its arena.
func (l *layout) words() int {
	total := slabWords(l.working())
	for _, s := range l.stages {
		total += s.workspace
	}
	return total
}

// allocate takes that memory.
func (l *layout) allocate() (workers []*worker) {
	mem := slab(l.working())
	for _, t := range l.temporaries {
		t.mem = mem[t.at : t.at+t.words : t.at+t.words]
	}
	for i := range l.workers {
		workers = append(workers, &worker{part(mem[l.temporary:], i, l.workers)})
	}
	for _, s := range l.stages {
		if s.ready != nil {
			s.ready()
		}
	}
	return workers
}

// place gives a temporary its memory, behind words that are taken.
func (l *layout) place(t *shared, taken int) (end int) {
	t.at = taken
	l.temporaries = append(l.temporaries, t)
	l.temporary = max(l.temporary, (taken+t.words+15)/16*16)
	return taken + t.words
}

// compile lowers operations to phases.
func compile(mem []float32, ops []Op, workers int) *layout {
	l := &layout{workers: workers}
	var c chain
	for len(ops) > 0 {
		s, reads, writes, n := fused(mem, ops)
		ops = ops[n:]
		l.stages = append(l.stages, s)
		l.scratch = max(l.scratch, (s.scratch+15)/16*16) // whole cache lines
		if s.rows == 0 {
			l.flush(&c)
			if s.temporary != nil {
				l.place(s.temporary, 0)
			}
			l.phases = append(l.phases, s.before...)
			continue
		}
		for _, b := range append(without(reads, s.shared), without(writes, s.late)...) {
			s.width = max(s.width, b.N/s.rows)
		}
		if !c.takes(s, reads, writes) {
			l.flush(&c)
		}
		c.add(s, reads, writes)
	}
	l.flush(&c)
	return l
}

// byTiles is the stage's run with its tiles shared out over the workers, for batches with fewer rows than workers.
func (s stage) byTiles(workers int) phase {
	tasks := min(workers, s.tiles)
	return phase{tasks, func(task int, w *worker) {
		s.runTiles(task*s.tiles/tasks, (task+1)*s.tiles/tasks, w)
	}}
}

// chain is stages that one task runs one after the other for its rows.
type chain struct {
	stages       []stage
	reads, rowed []Buf // windows read and windows written row by row
	late         []Buf // windows written after the chain
	shared       []Buf // windows read as a whole
	temporary    int   // words of temporary memory
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
	if s.temporary != nil && c.temporary > 0 && c.temporary+s.temporary.words > temporaryWords {
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
	if s.temporary != nil {
		c.temporary += s.temporary.words
	}
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
func (l *layout) flush(c *chain) {
	stages := c.stages
	*c = chain{}
	if len(stages) == 0 {
		return
	}
	rows, width, block, taken, sums := stages[0].rows, 0, 1, 0, false
	var before, after []phase
	for _, s := range stages {
		before = append(before, s.before...)
		after = append(after, s.after...)
		width = max(width, s.width)
		block = max(block, s.block)
		sums = sums || s.sums
		if s.temporary != nil {
			taken = l.place(s.temporary, taken)
		}
	}
	// The number of tasks may depend on the workers only where it does not change a sum.
	tasks := sumlessTaskCount
	if sums {
		tasks = taskCount
	} else if width >= wideRow {
		block = max(1, min(block, rows/l.workers))
	}
	tasks = min(tasks, (rows+block-1)/block)
	chained := func(stages []stage) phase {
		if len(stages) == 0 {
			return phase{}
		}
		return phase{tasks, func(task int, w *worker) {
			from, to := task*rows/tasks, (task+1)*rows/tasks
			step := to - from
			if width >= wideRow {
				step = block
			}
			for lo := from; lo < to; lo += step {
				for i := range stages {
					stages[i].run(lo, min(lo+step, to), task, lo == from, w)
				}
			}
		}}
	}
	// With fewer rows than workers, stages that have tiles cut the chain in pieces. Its tasks stay those of the whole chain:
	// they must not depend on the workers.
	phases, from := []phase{together(before)}, 0
	for i, s := range stages {
		if s.runTiles != nil && rows < l.workers {
			phases = append(phases, chained(stages[from:i]), s.byTiles(l.workers))
			from = i + 1
		}
	}
	for _, ph := range append(phases, chained(stages[from:]), together(after)) {
		if ph.tasks > 0 {
			l.phases = append(l.phases, ph)
		}
	}
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
