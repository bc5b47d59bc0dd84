// From operations to phases. Stages with independent rows are joined to chains.

package kernels

const (
	// taskCount bounds the tasks of a chain. Each keeps its own sums of the weight gradients, so memory bounds it too.
	taskCount = 16
	// sumlessTaskCount is the same for a chain that sums nothing over the batch.
	sumlessTaskCount = 64
	// wideRow is the row size in words from which a task takes one row at a time through the chain, or as many as a
	// stage asks for. Smaller rows go together, so that a linear layer sees a matrix.
	wideRow = 256
	// chainTemporaryWords bounds the transformed filters of a chain: they should stay in the cache that the cores
	// share while the images pass.
	chainTemporaryWords = 1 << 20
)

// layout is a compiled program before its memory is taken.
type layout struct {
	phases      []phase
	stages      []stage
	temporaries []*temporary
	temporary   int // words of the memory that the temporaries take in turn
	scratch     int // words of scratch of each worker
	workers     int
}

// working is the number of words that the stages use one after the other: the temporaries and the workers' scratch.
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
		if s.allocate != nil {
			s.allocate()
		}
	}
	return workers
}

// place gives a temporary its memory behind the first words, which others have.
func (l *layout) place(t *temporary, taken int) (end int) {
	t.at = taken
	l.temporaries = append(l.temporaries, t)
	l.temporary = max(l.temporary, wholeLines(taken+t.words))
	return taken + t.words
}

// wholeLines rounds words up to whole cache lines.
func wholeLines(words int) int { return (words + 15) / 16 * 16 }

// compile lowers operations to phases.
func compile(mem []float32, ops []Op, workers int) *layout {
	l := &layout{workers: workers}
	var c chain
	ops = withoutDiscards(ops)
	for len(ops) > 0 {
		op, n := fuseCPU(ops)
		ops = ops[n:]
		reads, writes := op.Operands()
		s := op.lower(mem)
		l.stages = append(l.stages, s)
		l.scratch = max(l.scratch, wholeLines(s.scratch))
		if s.rows == 0 {
			l.flush(&c)
			if s.temporary != nil {
				l.place(s.temporary, 0)
			}
			l.phases = append(l.phases, s.before...)
			continue
		}
		for _, b := range append(without(reads, s.readWhole), without(writes, s.writtenAfter)...) {
			s.rowWords = max(s.rowWords, b.N/s.rows)
		}
		if !c.takes(s, reads, writes) {
			l.flush(&c)
		}
		c.add(s, reads, writes)
	}
	l.flush(&c)
	return l
}

// chain is stages that a task runs one after the other for its rows.
type chain struct {
	stages                  []stage
	readByRow, writtenByRow []Buf
	readWhole, writtenAfter []Buf // see stage
	temporary               int   // words of temporary memory
}

// takes says whether stage s may join the chain. Rows must be independent, so what s reads or writes row by row must
// lie exactly on the rows that the chain touches, or apart from them. And s may not read as a whole, nor write after
// the chain, what the chain itself writes or still needs.
func (c *chain) takes(s stage, reads, writes []Buf) bool {
	if len(c.stages) == 0 {
		return true
	}
	if c.stages[0].rows != s.rows {
		return false
	}
	if s.temporary != nil && c.temporary > 0 && c.temporary+s.temporary.words > chainTemporaryWords {
		return false
	}
	for _, b := range s.readWhole {
		if anyOverlap(b, c.writtenByRow, false) || anyOverlap(b, c.writtenAfter, false) {
			return false
		}
	}
	for _, b := range s.writtenAfter {
		if anyOverlap(b, c.writtenByRow, false) || anyOverlap(b, c.readByRow, false) ||
			anyOverlap(b, c.readWhole, false) || anyOverlap(b, c.writtenAfter, false) {
			return false
		}
	}
	for _, b := range without(reads, s.readWhole) {
		if anyOverlap(b, c.writtenByRow, true) || anyOverlap(b, c.writtenAfter, false) {
			return false
		}
	}
	for _, b := range without(writes, s.writtenAfter) {
		if anyOverlap(b, c.writtenByRow, true) || anyOverlap(b, c.readByRow, true) ||
			anyOverlap(b, c.writtenAfter, false) || anyOverlap(b, c.readWhole, false) {
			return false
		}
	}
	return true
}

func (c *chain) add(s stage, reads, writes []Buf) {
	c.stages = append(c.stages, s)
	c.readByRow = append(c.readByRow, without(reads, s.readWhole)...)
	c.writtenByRow = append(c.writtenByRow, without(writes, s.writtenAfter)...)
	c.writtenAfter = append(c.writtenAfter, s.writtenAfter...)
	c.readWhole = append(c.readWhole, s.readWhole...)
	if s.temporary != nil {
		c.temporary += s.temporary.words
	}
}

// flush ends the chain: what comes before it, the chain itself, what comes after it.
func (l *layout) flush(c *chain) {
	stages := c.stages
	*c = chain{}
	if len(stages) == 0 {
		return
	}
	taken := 0
	var before, after []phase
	for _, s := range stages {
		before = append(before, s.before...)
		after = append(after, s.after...)
		if s.temporary != nil {
			taken = l.place(s.temporary, taken)
		}
	}
	phases := append([]phase{together(before)}, shareOut(stages, l.workers)...)
	for _, ph := range append(phases, together(after)) {
		if ph.tasks > 0 {
			l.phases = append(l.phases, ph)
		}
	}
}

// shareOut makes the phases in which tasks take their rows through stages of equally many rows.
func shareOut(stages []stage, workers int) []phase {
	rows, rowWords, rowsAtOnce, sums := stages[0].rows, 0, 1, false
	for _, s := range stages {
		rowWords = max(rowWords, s.rowWords)
		rowsAtOnce = max(rowsAtOnce, s.rowsAtOnce)
		sums = sums || s.sumsByTask
	}
	// The number of tasks may depend on the workers only where it does not change a sum.
	tasks := sumlessTaskCount
	if sums {
		tasks = taskCount
	} else if rowWords >= wideRow {
		rowsAtOnce = max(1, min(rowsAtOnce, rows/workers))
	}
	tasks = min(tasks, (rows+rowsAtOnce-1)/rowsAtOnce)
	chained := func(stages []stage) phase {
		if len(stages) == 0 {
			return phase{}
		}
		return phase{tasks, func(task int, w *worker) {
			from, to := task*rows/tasks, (task+1)*rows/tasks
			step := to - from
			if rowWords >= wideRow {
				step = rowsAtOnce
			}
			for lo := from; lo < to; lo += step {
				for i := range stages {
					stages[i].run(lo, min(lo+step, to), task, lo == from, w)
				}
			}
		}}
	}
	// With fewer rows than workers, stages that have tiles cut the chain in pieces. The pieces keep the tasks of the
	// whole chain: they must not depend on the workers.
	var phases []phase
	from := 0
	for i, s := range stages {
		if s.runTiles != nil && rows < workers {
			phases = append(phases, chained(stages[from:i]), s.byTiles(workers))
			from = i + 1
		}
	}
	return append(phases, chained(stages[from:]))
}

// byTiles returns the stage's run with its tiles shared out over the workers.
func (s stage) byTiles(workers int) phase {
	tasks := min(workers, s.tiles)
	return phase{tasks, func(task int, w *worker) {
		s.runTiles(task*s.tiles/tasks, (task+1)*s.tiles/tasks, w)
	}}
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
