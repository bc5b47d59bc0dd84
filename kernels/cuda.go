//go:build cgo && !nocuda

// The CUDA backend: an arena is one allocation, a program one CUDA graph.
//
// Compile turns every operation into launches of the kernels in *.cu, with all addresses and sizes in place; the first Run
// captures them as a graph, and from then on a Run is one call that returns before the device is done. Reading or writing
// an arena waits for it.
package kernels

import (
	"embed"
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"

	"sigmaz/cuda"
	"sigmaz/kernels/internal/ptx"
)

//go:embed ptx/*.ptx
var ptxFiles embed.FS

// cudaBackend is a device with what programs share.
type cudaBackend struct {
	device *cuda.Device

	mu        sync.Mutex
	modules   map[string]*cuda.Module // by the names of their kernels
	functions map[string]*cuda.Function
	data      map[*Data]*cuda.Buffer
	stage     *cuda.Pinned // for small reads, nil before the first
	last      string       // the last program that was started, for errors
}

// NewCUDA is the backend of the CUDA device with that number, counted from 0.
func NewCUDA(ordinal int) (Backend, error) {
	d, err := cuda.Open(ordinal)
	if err != nil {
		return nil, err
	}
	b := &cudaBackend{device: d, modules: map[string]*cuda.Module{},
		functions: map[string]*cuda.Function{}, data: map[*Data]*cuda.Buffer{}}
	if err := b.load(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return b, nil
}

// load loads all kernels. It comes before any memory is taken: a device that cannot run them is known at once, and what
// their code takes is no longer free when sizes are decided.
func (b *cudaBackend) load() error {
	modules := map[string]*cuda.Module{} // by file
	for _, k := range kernelList {
		if modules[k.file] == nil {
			text, err := ptxFiles.ReadFile("ptx/" + k.file + ".ptx")
			if err != nil {
				return err
			}
			if err := checkEntries(k.file, text); err != nil {
				return err
			}
			if modules[k.file], err = b.device.Load(k.file, text); err != nil {
				return err
			}
		}
		b.modules[k.name] = modules[k.file]
	}
	return nil
}

// kernel is an entry point of the PTX files.
type kernel struct {
	file   string // of ptx/FILE.ptx
	name   string
	params string // their types, as in ptx.Entry
}

// checkEntries refuses a PTX file that does not fit cuda_launches.go. The driver is told neither the number nor the sizes
// of a launch's arguments, so a kernel with other parameters would read nonsense.
func checkEntries(file string, text []byte) error {
	entries, err := ptx.Entries(text)
	if err != nil {
		return fmt.Errorf("kernels: ptx/%s.ptx: %w", file, err)
	}
	params := map[string]string{}
	for _, e := range entries {
		params[e.Name] = e.Params
	}
	const regenerate = "run go generate ./kernels and build again"
	for _, k := range kernelList {
		if k.file != file {
			continue
		}
		if got, ok := params[k.name]; !ok {
			return fmt.Errorf("kernels: ptx/%s.ptx has no kernel %s, which cuda_launches.go launches: %s",
				file, k.name, regenerate)
		} else if got != k.params {
			return fmt.Errorf("kernels: kernel %s of ptx/%s.ptx takes (%s), and cuda_launches.go gives it (%s): %s",
				k.name, file, got, k.params, regenerate)
		}
	}
	return nil
}

func (b *cudaBackend) Name() string {
	major, minor := b.device.Capability()
	driver := b.device.DriverVersion()
	return fmt.Sprintf("cuda (%s, sm_%d%d, driver for CUDA %d.%d)", b.device.Name(), major, minor, driver/1000, driver%1000/10)
}

func (b *cudaBackend) Close() error { return b.device.Close() }

// Workspace is that of the program that needs most: they share it, since they never run at the same time.
func (b *cudaBackend) Workspace(programs ...[]Op) int {
	words := 0
	for _, ops := range programs {
		words = max(words, CUDAWorkspaceWords(ops))
	}
	return words
}

// function finds a kernel.
func (b *cudaBackend) function(kernel string) (*cuda.Function, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.functions[kernel]; f != nil {
		return f, nil
	}
	m := b.modules[kernel]
	if m == nil {
		return nil, fmt.Errorf("there is no CUDA kernel %q", kernel)
	}
	f, err := m.Function(kernel)
	if err != nil {
		return nil, err
	}
	b.functions[kernel] = f
	return f, nil
}

// cudaMemory is a buffer that is freed when nobody knows of it any more.
type cudaMemory struct{ *cuda.Buffer }

func (b *cudaBackend) alloc(words int, owner string) (*cudaMemory, error) {
	// An empty arena still has an address.
	buf, err := b.device.Alloc(4*max(1, int64(words)), owner)
	if err != nil {
		return nil, err
	}
	m := &cudaMemory{buf}
	runtime.AddCleanup(m, func(buf *cuda.Buffer) { buf.Free() }, buf)
	return m, nil
}

// cudaArena is an arena in device memory, with the working memory of its programs behind it.
type cudaArena struct {
	backend   *cudaBackend
	mem       *cudaMemory
	words     int
	workspace int // words
}

func (b *cudaBackend) Alloc(words int, programs ...[]Op) (Arena, error) {
	a := &cudaArena{backend: b, words: words, workspace: b.Workspace(programs...)}
	var err error
	if a.mem, err = b.alloc(a.behind()+a.workspace, "the arena"); err != nil {
		return nil, err
	}
	return a, nil
}

// behind is the first word behind the arena that the kernels may read 16 bytes at a time.
func (a *cudaArena) behind() int { return (a.words + 63) / 64 * 64 }

func (a *cudaArena) Words() int      { return a.words }
func (a *cudaArena) Host() []float32 { return nil }

func (a *cudaArena) Read(dst []float32, b Buf) error {
	if err := a.check("Read", len(dst), b); err != nil {
		return err
	}
	return a.backend.after(a.backend.read(a.mem, bytesOf(dst), 4*int64(b.Off)))
}

func (a *cudaArena) Write(b Buf, src []float32) error {
	if err := a.check("Write", len(src), b); err != nil {
		return err
	}
	return a.backend.after(a.mem.Write(4*int64(b.Off), bytesOf(src)))
}

func (a *cudaArena) check(what string, n int, b Buf) error {
	if n != b.N || b.Off < 0 || b.Off+b.N > a.words {
		return fmt.Errorf("kernels: %s of %d values, window of words %d to %d in an arena of %d", what, n, b.Off, b.Off+b.N, a.words)
	}
	return nil
}

// after adds to an error which program ran before: a kernel's failure shows only where the host waits for it.
func (b *cudaBackend) after(err error) error {
	if err == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == "" {
		return err
	}
	return fmt.Errorf("after %s: %w", b.last, err)
}

// resident is the device's copy of a data set, made once.
func (b *cudaBackend) resident(d *Data) (address, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if buf := b.data[d]; buf != nil {
		return address(buf.Addr()), nil
	}
	buf, err := b.device.Alloc(d.Size(), "the data set")
	if err != nil {
		return 0, err
	}
	all := d.U8
	if d.F32 != nil {
		all = bytesOf(d.F32)
	}
	if d.Rows == nil {
		err = buf.Write(0, all[:d.Size()])
	} else {
		err = writeRows(buf, all, d.Rows, int(d.Size())/d.N)
	}
	if err != nil {
		return 0, errors.Join(err, buf.Free())
	}
	b.data[d] = buf
	return address(buf.Addr()), nil
}

// writeRows copies rows of n bytes to the device one after the other, many with each write.
func writeRows(buf *cuda.Buffer, all []byte, rows []uint32, n int) error {
	const some = 16 << 20
	block := make([]byte, 0, max(some, n))
	off := int64(0)
	for i, r := range rows {
		block = append(block, all[int(r)*n:(int(r)+1)*n]...)
		if len(block)+n > cap(block) || i == len(rows)-1 {
			if err := buf.Write(off, block); err != nil {
				return err
			}
			off += int64(len(block))
			block = block[:0]
		}
	}
	return nil
}

// stageBytes is the size of the pinned memory that small reads go through, such as those of the losses.
const stageBytes = 1 << 20

// read copies from the device. What is small goes through pinned memory, which the device writes by itself.
func (b *cudaBackend) read(m *cudaMemory, dst []byte, off int64) error {
	if len(dst) > stageBytes {
		return m.Read(dst, off)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.stage == nil {
		var err error
		if b.stage, err = b.device.AllocPinned(stageBytes); err != nil {
			return err
		}
	}
	stage := b.stage.Bytes()[:len(dst)]
	if err := m.Read(stage, off); err != nil {
		return err
	}
	copy(dst, stage)
	return nil
}

// cudaOp is an operation that has CUDA kernels.
type cudaOp interface {
	Op
	// launch lists the launches that the operation is made of.
	launch(l *launcher)
}

func (b *cudaBackend) Compile(a Arena, ops []Op) (Program, error) {
	arena, ok := a.(*cudaArena)
	if !ok || arena.backend != b {
		return nil, errors.New("kernels: the CUDA backend was given another backend's arena")
	}
	l := &launcher{backend: b, arena: arena, workspace: arena.mem.Addr() + 4*uint64(arena.behind())}
	keep := []any{arena}
	if words := CUDAWorkspaceWords(ops); words > arena.workspace { // a program that Alloc was not told of
		more, err := b.alloc(words, "working memory")
		if err != nil {
			return nil, err
		}
		l.workspace, keep = more.Addr(), append(keep, more)
	}
	for i := 0; i < len(ops); i++ {
		op, ok := ops[i].(cudaOp)
		if _, host := ops[i].(HostFunc); host {
			return nil, fmt.Errorf("kernels: %s is a Go function, which no CUDA device can run: use the CPU", ops[i].Name())
		} else if !ok {
			return nil, fmt.Errorf("kernels: operation %s has no CUDA kernel", ops[i].Name())
		}
		reads, writes := op.Operands()
		l.reads, l.writes = append(reads, writes...), writes
		for _, w := range l.reads {
			if w.Off < 0 || w.Off+w.N > arena.words {
				return nil, fmt.Errorf("kernels: %s: a window of words %d to %d in an arena of %d", op.Name(), w.Off, w.Off+w.N, arena.words)
			}
		}
		if norm, ok := op.(Norm); ok && i+1 < len(ops) && norm.fuses(ops[i+1]) {
			norm.launchFused(l, true)
			i++
		} else {
			op.launch(l)
		}
		if l.err != nil {
			return nil, fmt.Errorf("kernels: %s: %w", op.Name(), l.err)
		}
	}
	p := &cudaProgram{backend: b, launches: l.launches, keep: keep}
	switch n := len(ops); n {
	case 0:
	case 1:
		p.name = ops[0].Name()
	default:
		p.name = fmt.Sprintf("%s ... %s (%d kernels)", ops[0].Name(), ops[n-1].Name(), len(l.launches))
	}
	return p, nil
}

// cudaProgram is a compiled program.
type cudaProgram struct {
	backend  *cudaBackend
	name     string
	launches []launch
	graph    *cuda.Graph // nil before the first run
	keep     []any       // memory that the launches use
}

// launch is one kernel call.
type launch struct {
	kernel   string
	function *cuda.Function
	grid     gridDim
	block    blockDim
	args     *cuda.Args
}

func (p *cudaProgram) Run() error {
	if len(p.launches) == 0 {
		return nil
	}
	b := p.backend
	if p.graph == nil {
		g, err := b.device.Capture(func() error {
			for _, l := range p.launches {
				if err := b.device.Launch(l.function, l.grid, l.block, 0, l.args); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("running %s: %w", p.name, err)
		}
		runtime.AddCleanup(p, func(g *cuda.Graph) { g.Destroy() }, g)
		p.graph = g
		for _, l := range p.launches {
			l.args.Free()
		}
	}
	if err := p.graph.Launch(); err != nil {
		return fmt.Errorf("running %s: %w", p.name, err)
	}
	b.mu.Lock()
	b.last = p.name
	b.mu.Unlock()
	runtime.KeepAlive(p)
	return nil
}

// launcher collects the launches of a program. For each kernel, cuda_launches.go has a method that adds a launch:
//
//	l.fill(grid, block, fillArgs{dst: o.Dst, value: o.Value, n: uint64(o.Dst.N)})
type launcher struct {
	backend   *cudaBackend
	arena     *cudaArena
	workspace uint64
	launches  []launch
	err       error // the first one

	// What the operation at hand may touch. Reads holds its writes, too: a kernel may read what one before it wrote.
	reads, writes []Buf
}

// gridDim is the number of blocks of a launch, blockDim the number of threads of a block, in three dimensions.
type (
	gridDim  [3]int
	blockDim [3]int
)

// pointer is an argument that points to device memory: a window of the arena, absent if empty, or an address.
type pointer interface{ isPointer() }

// address is a place in device memory that is no window of the arena; 0 is absent.
type address uint64

func (Buf) isPointer()     {}
func (address) isPointer() {}

// work is the address of word off of the working memory.
func (l *launcher) work(off int) address { return address(l.workspace + 4*uint64(off)) }

// launch adds a launch of a kernel.
func (l *launcher) launch(kernel string, grid gridDim, block blockDim, args *cuda.Args) {
	if l.err != nil {
		return
	}
	f, err := l.backend.function(kernel)
	if err != nil {
		l.err = err
		return
	}
	l.launches = append(l.launches, launch{kernel, f, grid, block, args})
}

// read returns the address of what a kernel only reads.
func (l *launcher) read(kernel, param string, p pointer) uint64 {
	return l.address(kernel, param, p, "reads", l.reads)
}

// write returns the address of what a kernel writes.
func (l *launcher) write(kernel, param string, p pointer) uint64 {
	return l.address(kernel, param, p, "writes", l.writes)
}

// address returns the address of an argument. A window must lie in one that the operation lists as read or written:
// this finds arguments in each other's place, and operands that are not listed, whose memory a plan would give away.
func (l *launcher) address(kernel, param string, p pointer, does string, listed []Buf) uint64 {
	switch p := p.(type) {
	case address:
		return uint64(p)
	case Buf:
		if p.N == 0 {
			return 0
		}
		for _, w := range listed {
			if w.Off <= p.Off && p.Off+p.N <= w.Off+w.N {
				return l.arena.mem.Addr() + 4*uint64(p.Off)
			}
		}
		l.fail("kernel %s %s %s, words %d to %d, and the operation does not say so", kernel, does, param, p.Off, p.Off+p.N)
	default:
		l.fail("kernel %s is given no %s", kernel, param)
	}
	return 0
}

// int32 checks an argument that the kernel takes as an int.
func (l *launcher) int32(kernel, param string, v int) int32 {
	if v != int(int32(v)) {
		l.fail("kernel %s takes %s with 32 bits: %d is too large", kernel, param, v)
	}
	return int32(v)
}

// flag turns a bool into the int that a kernel takes for it.
func flag(v bool) int {
	if v {
		return 1
	}
	return 0
}

// fail keeps the first error.
func (l *launcher) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// small checks that images and weights have fewer words than the kernels' int counts.
func (l *launcher) small(words ...int) {
	for _, n := range words {
		if n >= math.MaxInt32 {
			l.fail("an image or the weights have %d values: the CUDA kernels take fewer than %d",
				n, math.MaxInt32)
		}
	}
}

// maxGrid is the largest second and third dimension of a grid.
const maxGrid = 65535

// flat is the launch of a kernel that gives four of n elements to each thread.
func flat(n int) (grid gridDim, block blockDim) {
	const threads = 256
	return gridDim{max(1, ceil(n, 4*threads)), 1, 1}, blockDim{threads, 1, 1}
}

// each is the launch of a kernel that gives one of n elements to each thread.
func each(n int) (grid gridDim, block blockDim) {
	const threads = 128
	return gridDim{max(1, ceil(n, threads)), 1, 1}, blockDim{threads, 1, 1}
}

// byRow is the launch of a kernel over rows of d elements: the first dimension is quads of elements, the second rows. A
// thread takes so many quads of a row.
func byRow(rows, d, quads int) (grid gridDim, block blockDim) {
	const threads = 128
	n := ceil(d, 4)
	across := min(threads, powerOf2(n))
	grid = gridDim{ceil(n, across*quads), min(maxGrid, ceil(rows, threads/across)), 1}
	return grid, blockDim{across, threads / across, 1}
}

// byPixel is the launch of a kernel that gives `wide` channels of a pixel to each thread; the second dimension is images.
func byPixel(images, words, wide int) (grid gridDim, block blockDim) {
	const threads = 256
	return gridDim{ceil(words/wide, threads), min(maxGrid, images), 1}, blockDim{threads, 1, 1}
}

// wide is the number of channels that a thread takes at once: 4 where the windows are aligned and the channels divide.
func wide(channels int, bufs ...Buf) int {
	if channels%4 == 0 && aligned(bufs...) {
		return 4
	}
	return 1
}
