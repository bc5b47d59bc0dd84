//go:build cgo && !nocuda

// Programs on CUDA: operations become launches, launches a graph.
//
// Compile turns every operation into launches of the kernels in *.cu, with all addresses and sizes in place. The
// first Run captures them as a graph; from then on a Run is one call that returns before the device is done. Reading
// or writing an arena waits for the device.

package kernels

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"sigmaz/cuda"
)

// cudaOp is an operation with CUDA kernels, or several fused ones.
type cudaOp interface {
	Name() string
	Operands() (reads, writes []Buf)
	// launch lists the launches that the operation is made of.
	launch(l *launcher)
}

// cudaWorkspacer is an operation whose kernels need working memory beside the arena. The operations of a program use
// the same memory, one after the other.
type cudaWorkspacer interface {
	// cudaWorkspace returns its size in words. It depends on the operation alone: a program's memory is known before
	// any of it is reserved, and a sum is split the same way, with the same bits, on every device.
	cudaWorkspace() int
}

// cudaWorkspace returns the words of working memory that a program needs: those of the operation that needs most.
func cudaWorkspace(ops []Op) (words int) {
	for _, op := range ops {
		if w, ok := op.(cudaWorkspacer); ok {
			words = max(words, w.cudaWorkspace())
		}
	}
	return words
}

func (b *cudaBackend) Compile(a Arena, ops []Op) (_ Program, err error) {
	arena, ok := a.(*cudaArena)
	if !ok || arena.backend != b {
		return nil, errors.New("kernels: the CUDA backend was given another backend's arena")
	}
	var feeds []*feed
	defer func() {
		if err != nil {
			for _, f := range feeds {
				f.stop(b)
			}
		}
	}()
	l := &launcher{multiprocessors: b.Multiprocessors(), arena: arena.mem.Addr(),
		workspace: arena.mem.Addr() + 4*uint64(arena.behind())}
	l.data = func(o Perturb) (address, int, error) {
		if !o.Streamed {
			at, err := b.resident(o.Data)
			return at, 0, err
		}
		f, err := b.newFeed(o)
		if err != nil {
			return 0, 0, err
		}
		feeds = append(feeds, f)
		return address(f.window.Addr()), StreamedSteps, nil
	}
	keep := []any{arena}
	if words := cudaWorkspace(ops); words > arena.workspace { // Alloc did not count this program
		more, err := b.alloc(words, "working memory")
		if err != nil {
			return nil, err
		}
		l.workspace, keep = more.Addr(), append(keep, more)
	}
	if err := l.all(ops, arena.words); err != nil {
		return nil, err
	}
	for i := range l.launches {
		var err error
		if l.launches[i].function, err = b.function(l.launches[i].kernel); err != nil {
			return nil, err
		}
	}
	p := &cudaProgram{backend: b, arena: arena, launches: l.launches, workspace: cudaWorkspace(ops), keep: keep, feeds: feeds}
	for _, f := range p.feeds {
		if err := arena.follow(f.op.State); err != nil {
			return nil, err
		}
		runtime.AddCleanup(p, func(f *feed) { go f.stop(b) }, f)
	}
	for _, op := range ops {
		if tick, ok := op.(Tick); ok {
			p.ticks = append(p.ticks, tick)
		}
	}
	switch n := len(ops); n {
	case 0:
	case 1:
		p.name = ops[0].Name()
	default:
		p.name = fmt.Sprintf("%s ... %s (%d kernels)", ops[0].Name(), ops[n-1].Name(), len(l.launches))
	}
	return p, nil
}

// all lists the launches of operations on an arena of so many words.
func (l *launcher) all(ops []Op, words int) error {
	list, err := fuseCUDA(ops)
	if err != nil {
		return err
	}
	for _, op := range list {
		l.op = op
		l.reads, l.writes = op.Operands()
		for _, w := range slices.Concat(l.reads, l.writes) {
			if w.Off < 0 || w.Off+w.Words() > words {
				return fmt.Errorf("kernels: %s: a window of words %d to %d in an arena of %d",
					op.Name(), w.Off, w.Off+w.Words(), words)
			}
		}
		op.launch(l)
		if l.err != nil {
			return fmt.Errorf("kernels: %s: %w", op.Name(), l.err)
		}
	}
	return nil
}

// cudaProgram is a compiled program.
type cudaProgram struct {
	backend  *cudaBackend
	arena    *cudaArena
	name     string
	launches []launch
	stops    []int             // launches before which then is called, from first to last; none: it is not
	then     func(i int) error // at stop i
	graphs   []*cuda.Graph     // of the launches between stops, none before the first run

	workspace int   // words that it needs
	keep      []any // memory that the launches use
	feeds     []*feed
	ticks     []Tick
}

// launch is one kernel call.
type launch struct {
	kernel   string
	function *cuda.Function
	grid     gridDim
	block    blockDim
	args     *cuda.Args

	op      cudaOp // that it is part of
	traffic traffic
}

func (p *cudaProgram) Run() error {
	if len(p.launches) == 0 && len(p.stops) == 0 {
		return nil
	}
	b := p.backend
	if (b.aside || b.midst) && p.workspace > 0 {
		return fmt.Errorf("kernels: %s needs working memory, so it cannot run beside another program or in the midst of one", p.name)
	}
	if r := b.recording; r != nil {
		if r.programs = append(r.programs, p); r.capturing {
			return p.eachPiece(func(i, lo, hi int) error { return p.launch(lo, hi) })
		}
	}
	if p.graphs == nil {
		if err := p.capture(); err != nil {
			return fmt.Errorf("running %s: %w", p.name, err)
		}
	}
	if err := p.start(); err != nil {
		return fmt.Errorf("running %s: %w", p.name, err)
	}
	b.mu.Lock()
	b.last = p.name
	b.mu.Unlock()
	runtime.KeepAlive(p)
	return nil
}

// pieces returns where the ranges of launches between stops end.
func (p *cudaProgram) pieces() []int { return append(slices.Clip(p.stops), len(p.launches)) }

// eachPiece calls f with each piece, and then at each stop.
func (p *cudaProgram) eachPiece(f func(i, lo, hi int) error) error {
	lo := 0
	for i, hi := range p.pieces() {
		if err := f(i, lo, hi); err != nil {
			return err
		}
		if lo = hi; i < len(p.stops) {
			p.backend.midst = true
			err := p.then(i)
			p.backend.midst = false
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// launch queues launches one by one: that becomes a graph.
func (p *cudaProgram) launch(lo, hi int) error {
	for _, l := range p.launches[lo:hi] {
		if err := p.backend.device.Launch(l.function, l.grid, l.block, 0, l.args); err != nil {
			return err
		}
	}
	return nil
}

// capture makes the graphs.
func (p *cudaProgram) capture() error {
	var graphs []*cuda.Graph
	lo := 0
	for _, hi := range p.pieces() {
		var g *cuda.Graph // none of nothing
		if lo < hi {
			var err error
			if g, err = p.backend.device.Capture(func() error { return p.launch(lo, hi) }); err != nil {
				return err
			}
			runtime.AddCleanup(p, func(g *cuda.Graph) { g.Destroy() }, g)
		}
		graphs = append(graphs, g)
		lo = hi
	}
	p.graphs = graphs
	return nil
}

// start launches the graphs, between what its feeds do before and after.
func (p *cudaProgram) start() error {
	for _, f := range p.feeds {
		if err := f.before(p.step(f)); err != nil {
			return err
		}
	}
	err := p.eachPiece(func(i, _, _ int) error {
		if p.graphs[i] == nil {
			return nil
		}
		return p.graphs[i].Launch()
	})
	if err != nil {
		return err
	}
	for _, f := range p.feeds {
		if err := f.after(p.step(f)); err != nil {
			return err
		}
	}
	p.ticked()
	return nil
}

// asDone puts a stop behind the last launch that touches each window or one before it.
func (p *cudaProgram) asDone(windows []Buf, then func(i int) error) Program {
	copied := *p
	copied.then, copied.graphs, copied.stops = then, nil, nil
	copied.keep = append(slices.Clip(p.keep), p) // whose end is that of its feeds
	for i, b := range windows {
		stop := 0
		if i > 0 {
			stop = copied.stops[i-1]
		}
		for at := len(p.launches); at > stop; at-- {
			reads, writes := p.launches[at-1].op.Operands()
			if anyOverlap(b, reads, false) || anyOverlap(b, writes, false) {
				stop = at
				break
			}
		}
		copied.stops = append(copied.stops, stop)
	}
	return &copied
}

// ticked does for the host what the program's ticks do on the device.
func (p *cudaProgram) ticked() {
	for _, tick := range p.ticks {
		p.arena.tick(tick)
	}
}

// step returns the step that a feed's operation is at.
func (p *cudaProgram) step(f *feed) uint64 {
	return stepOf(p.arena.states[f.op.State], Buf{N: f.op.State.N})
}
