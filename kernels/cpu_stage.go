// What an operation tells the CPU backend: the stage that it is lowered to.

package kernels

// cpuOp is an operation, or several fused ones, that the CPU runs faster than by the reference.
type cpuOp interface {
	Operands() (reads, writes []Buf)
	// lower says how. It only computes sizes: mem is nil where a program's memory is counted.
	lower(mem []float32) stage
}

// cpuFuser is an operation whose pass over memory can do the work of operations after it too, because what it writes
// is what they read. The bits must be those of the operations one after the other.
type cpuFuser interface {
	// fuseCPU returns one operation that does the work of this one and of the first n of next. n is 0 if there are
	// none.
	fuseCPU(next []Op) (op cpuOp, n int)
}

// fuseCPU returns the first of ops as the CPU runs it, with those after it that it takes along: n in all.
func fuseCPU(ops []Op) (op cpuOp, n int) {
	if f, ok := ops[0].(cpuFuser); ok {
		if op, taken := f.fuseCPU(ops[1:]); taken > 0 {
			return op, 1 + taken
		}
	}
	if op, ok := ops[0].(cpuOp); ok {
		return op, 1
	}
	return viaReference{ops[0]}, 1
}

// viaReference runs an operation by its reference, by rows where it can.
type viaReference struct{ Op }

func (o viaReference) lower(mem []float32) stage {
	type byRow interface {
		Rows() int
		RefRows(mem []float32, lo, hi int)
	}
	if r, ok := o.Op.(byRow); ok {
		return byRows(r.Rows(), nil, func(lo, hi int) { r.RefRows(mem, lo, hi) })
	}
	return stage{before: []phase{once(func() { o.Ref(mem) })}}
}

// stage is an operation as the CPU runs it: phases before its rows, the rows themselves, phases after them.
type stage struct {
	// rows is the number of rows (images) that run goes through. 0: the stage consists of the phases in before.
	rows int
	// run takes rows lo to hi through the operation. The rows belong to the given task; first says that they are its
	// first ones, when its sums start from zero.
	run func(lo, hi, task int, first bool, w *worker)
	// before and after are run by all workers before the chain that the stage is part of, and after it.
	before, after []phase
	// sumsByTask says that run keeps sums for each task.
	sumsByTask bool
	// readWhole are the windows that run and before read as a whole, not row by row; writtenAfter are those that only
	// the phases in after write.
	readWhole, writtenAfter []Buf
	// rowWords is the largest row of all other windows.
	rowWords int
	// rowsAtOnce is the number of rows that run is fastest with; 0: it does not matter.
	rowsAtOnce int

	// tiles and runTiles are for a stage that can share out less than a row: it has so many tiles in all, and runTiles
	// computes some of them.
	tiles    int
	runTiles func(from, to int, w *worker)

	// scratch is the words that each worker needs while it runs the stage.
	scratch int
	// workspace is the words that the stage keeps for good. allocate takes them, once, before everything else.
	workspace int
	allocate  func()
	// temporary is the stage's memory from before to after the chain, or to the end of before if there are no rows.
	temporary *temporary
}

// temporary is memory that stages take in turn.
type temporary struct {
	words int
	mem   []float32
	at    int // first word in the memory of all
}

// byRows returns a stage that needs nothing but its rows.
func byRows(rows int, readWhole []Buf, f func(lo, hi int)) stage {
	return stage{rows: rows, readWhole: readWhole, run: func(lo, hi, _ int, _ bool, _ *worker) { f(lo, hi) }}
}

// once returns a phase of a single task.
func once(f func()) phase { return phase{1, func(int, *worker) { f() }} }
