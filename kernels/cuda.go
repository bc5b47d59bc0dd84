//go:build cgo && !nocuda

// The CUDA backend: the device, its kernels and its memory. An arena is one allocation, a program one CUDA graph
// (cuda_program.go).

package kernels

import (
	"embed"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"sigmaz/cuda"
	"sigmaz/internal/mapped"
	"sigmaz/kernels/internal/ptx"
)

//go:embed ptx/*.ptx
var ptxFiles embed.FS

// cudaBackend is a device and what its programs have in common.
type cudaBackend struct {
	device *cuda.Device

	mu        sync.Mutex
	modules   map[string]*cuda.Module // by the names of their kernels
	functions map[string]*cuda.Function
	data      map[*Data]*cuda.Buffer
	feeds     map[*feed]bool // of all programs
	copies    *cuda.Stream   // of the feeds, nil before the first
	pinned    *cuda.Pinned   // memory of the host for small reads, nil before the first
	last      string         // the last program that was started, for errors

	recording *cudaTogether // what the programs that run, and links, are part of; nil: each is by itself
	branch    *cuda.Branch  // for what runs beside the rest, nil before the first
	aside     bool          // whether launches go there now
	midst     bool          // whether a program runs that stands still for another
}

// NewCUDA opens the CUDA device with the given number, counted from 0.
func NewCUDA(ordinal int) (Backend, error) {
	d, err := cuda.Open(ordinal)
	if err != nil {
		return nil, err
	}
	b := &cudaBackend{device: d, modules: map[string]*cuda.Module{},
		functions: map[string]*cuda.Function{}, data: map[*Data]*cuda.Buffer{}, feeds: map[*feed]bool{}}
	if err := b.load(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return b, nil
}

// load loads all kernels, before any memory is taken. So a device that cannot run them is known at once, and the
// memory that their code takes no longer counts as free when sizes are decided.
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

// checkEntries refuses a PTX file that does not fit cuda_launches.go. The driver is told neither the number nor the
// sizes of a launch's arguments, so a kernel with other parameters would read nonsense.
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
	return fmt.Sprintf("cuda (%s, sm_%d%d, driver for CUDA %d.%d)",
		b.device.Name(), major, minor, driver/1000, driver%1000/10)
}

func (b *cudaBackend) Arithmetic() string { return "gpu" }

func (b *cudaBackend) Multiprocessors() int { return b.device.Multiprocessors() }

// FreeMemory says 0 of a device that does not answer, whose next call has the reason.
func (b *cudaBackend) FreeMemory() (int64, bool) {
	free, _, _ := b.device.Memory()
	return free, true
}

func (b *cudaBackend) Close() error {
	b.mu.Lock()
	feeds := slices.Collect(maps.Keys(b.feeds))
	b.mu.Unlock()
	for _, f := range feeds {
		f.stop(b)
	}
	return b.device.Close()
}

// Workspace returns the need of the program that needs most: programs never run at the same time, so they share it.
func (b *cudaBackend) Workspace(programs ...[]Op) int {
	words := 0
	for _, ops := range programs {
		words = max(words, cudaWorkspace(ops))
	}
	return words
}

// function returns a kernel by its name.
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

// cudaMemory is a buffer that is freed once nothing refers to it.
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

	// states are the state blocks by which data is streamed, as they are on the device after what was started: the host
	// has to know the next step before the device gets there.
	states map[Buf][]float32
}

func (b *cudaBackend) Alloc(words int, programs ...[]Op) (Arena, error) {
	a := &cudaArena{backend: b, words: words, workspace: b.Workspace(programs...), states: map[Buf][]float32{}}
	var err error
	if a.mem, err = b.alloc(a.behind()+a.workspace, "the arena"); err != nil {
		return nil, err
	}
	return a, nil
}

// behind returns the first word behind the arena from which kernels may read 16 bytes at a time.
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
	if err := a.backend.after(a.mem.Write(4*int64(b.Off), bytesOf(src))); err != nil {
		return err
	}
	for state, words := range a.states {
		if lo, hi := max(state.Off, b.Off), min(state.Off+state.N, b.Off+b.N); lo < hi {
			copy(words[lo-state.Off:hi-state.Off], src[lo-b.Off:])
		}
	}
	return nil
}

// follow begins to follow a state block.
func (a *cudaArena) follow(state Buf) error {
	if a.states[state] != nil {
		return nil
	}
	words := make([]float32, state.N)
	a.states[state] = words
	return a.Read(words, state)
}

// tick does what the operation does on the device.
func (a *cudaArena) tick(o Tick) {
	if words := a.states[o.State]; words != nil {
		Tick{State: Buf{N: o.State.N}, By: o.By}.Ref(words)
	}
}

func (a *cudaArena) check(what string, n int, b Buf) error {
	if n != b.N || b.Off < 0 || b.Off+b.Words() > a.words {
		return fmt.Errorf("kernels: %s of %d values, window of words %d to %d in an arena of %d",
			what, n, b.Off, b.Off+b.Words(), a.words)
	}
	if b.Element != Words {
		return fmt.Errorf("kernels: %s of a window of %v: it takes words", what, b.Element)
	}
	return nil
}

// after adds to an error the program that ran before: a kernel's failure shows only where the host waits for the
// device.
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

// resident returns the address of the device's copy of a data set, which it makes once.
func (b *cudaBackend) resident(d *Data) (_ address, err error) {
	defer mapped.Guard(&err)()
	b.mu.Lock()
	defer b.mu.Unlock()
	if buf := b.data[d]; buf != nil {
		return address(buf.Addr()), nil
	}
	buf, err := b.device.Alloc(d.Size(), "the data set")
	if err != nil {
		return 0, err
	}
	if err = writeRows(buf, d); err != nil {
		return 0, errors.Join(err, buf.Free())
	}
	b.data[d] = buf
	return address(buf.Addr()), nil
}

// writeRows copies the rows to the device, where they lie one after the other; a write takes many rows. They go through
// memory of our own, since a mapped file may be cut short, which the driver could not say.
func writeRows(buf *cuda.Buffer, d *Data) error {
	const blockBytes = 16 << 20
	n := int(d.rowSize())
	block := make([]byte, 0, max(blockBytes, n))
	off := int64(0)
	for i := range d.N {
		block = append(block, d.raw(i)...)
		if len(block)+n > cap(block) || i == d.N-1 {
			if err := buf.Write(off, block); err != nil {
				return err
			}
			off += int64(len(block))
			block = block[:0]
		}
	}
	return nil
}

// pinnedBytes is the size of the pinned memory that small reads go through, such as those of the losses.
const pinnedBytes = 1 << 20

// read copies from the device. Small reads go through pinned memory, which the device writes without the host's help.
func (b *cudaBackend) read(m *cudaMemory, dst []byte, off int64) error {
	if len(dst) > pinnedBytes {
		return m.Read(dst, off)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pinned == nil {
		var err error
		if b.pinned, err = b.device.AllocPinned(pinnedBytes); err != nil {
			return err
		}
	}
	pinned := b.pinned.Bytes()[:len(dst)]
	if err := m.Read(pinned, off); err != nil {
		return err
	}
	copy(dst, pinned)
	return nil
}
