//go:build !cgo || nocuda

// The exported names of cuda.go for a program built without CUDA. Nothing can be opened, so the rest is never reached.

package cuda

// Available returns why no device can be used.
func Available() error { return ErrNotBuilt }

// Count returns the number of devices.
func Count() (int, error) { return 0, ErrNotBuilt }

// Device is one GPU.
type Device struct{}

// Open opens the device of the given number, counted from 0.
func Open(ordinal int) (*Device, error) { return nil, ErrNotBuilt }

// Name returns the driver's name for the device.
func (d *Device) Name() string { return "" }

// Capability returns the device's compute capability.
func (d *Device) Capability() (major, minor int) { return 0, 0 }

// DriverVersion returns the newest CUDA version that the driver knows.
func (d *Device) DriverVersion() int { return 0 }

// Multiprocessors returns the number of the device's streaming multiprocessors.
func (d *Device) Multiprocessors() int { return 0 }

// Memory returns the device's free and total memory in bytes.
func (d *Device) Memory() (free, total int64, err error) { return 0, 0, ErrNotBuilt }

// Close releases everything that was made on the device.
func (d *Device) Close() error { return ErrNotBuilt }

// Sync waits until all work queued on the device has ended.
func (d *Device) Sync() error { return ErrNotBuilt }

// Buffer is one allocation of device memory.
type Buffer struct{}

// Alloc reserves device memory.
func (d *Device) Alloc(bytes int64, owner string) (*Buffer, error) { return nil, ErrNotBuilt }

// Addr returns the buffer's address on the device.
func (b *Buffer) Addr() uint64 { return 0 }

// Bytes returns the buffer's size.
func (b *Buffer) Bytes() int64 { return 0 }

// Owner returns what the buffer is for.
func (b *Buffer) Owner() string { return "" }

// Free releases the memory.
func (b *Buffer) Free() error { return ErrNotBuilt }

// Write copies src to the buffer.
func (b *Buffer) Write(off int64, src []byte) error { return ErrNotBuilt }

// Read fills dst from the buffer.
func (b *Buffer) Read(dst []byte, off int64) error { return ErrNotBuilt }

// CopyWithin queues a copy inside the buffer.
func (b *Buffer) CopyWithin(to, from, bytes int64) error { return ErrNotBuilt }

// Pinned is host memory that kernels read and write in place.
type Pinned struct{}

// AllocPinned reserves pinned host memory.
func (d *Device) AllocPinned(bytes int) (*Pinned, error) { return nil, ErrNotBuilt }

// Bytes returns the memory itself.
func (p *Pinned) Bytes() []byte { return nil }

// Addr returns the memory's address on the device.
func (p *Pinned) Addr() uint64 { return 0 }

// Free releases the memory.
func (p *Pinned) Free() {}

// Stream is a queue of work.
type Stream struct{}

// Launches returns the stream that launches run on.
func (d *Device) Launches() *Stream { return nil }

// NewStream makes a stream for copies beside the launches.
func (d *Device) NewStream() (*Stream, error) { return nil, ErrNotBuilt }

// OnLaunches gives call the handle of the stream that launches run on.
func (d *Device) OnLaunches(call func(stream uintptr) error) error { return ErrNotBuilt }

// Copy queues a copy of all of p to the buffer from byte off on.
func (s *Stream) Copy(b *Buffer, off int64, p *Pinned) error { return ErrNotBuilt }

// Record makes the event stand for the work that the stream has been given.
func (s *Stream) Record(e *Event) error { return ErrNotBuilt }

// Wait lets the stream's later work wait for what the event stands for.
func (s *Stream) Wait(e *Event) error { return ErrNotBuilt }

// Destroy releases the stream.
func (s *Stream) Destroy() error { return ErrNotBuilt }

// Event stands for a place in a stream.
type Event struct{}

// NewEvent makes an event.
func (d *Device) NewEvent() (*Event, error) { return nil, ErrNotBuilt }

// Synchronize waits until what the event stands for is done.
func (e *Event) Synchronize() error { return ErrNotBuilt }

// Destroy releases the event.
func (e *Event) Destroy() error { return ErrNotBuilt }

// Branch is a second stream of launches.
type Branch struct{}

// NewBranch makes a branch.
func (d *Device) NewBranch() (*Branch, error) { return nil, ErrNotBuilt }

// Run has the launches that f makes go to the branch.
func (b *Branch) Run(f func() error) error { return ErrNotBuilt }

// Join lets what is launched from now on wait for the branch.
func (b *Branch) Join() error { return ErrNotBuilt }

// Module holds the kernels of one PTX file.
type Module struct{}

// Load compiles PTX for the device.
func (d *Device) Load(name string, ptx []byte) (*Module, error) { return nil, ErrNotBuilt }

// Function is one kernel of a module.
type Function struct{}

// Function finds a kernel by its name.
func (m *Module) Function(name string) (*Function, error) { return nil, ErrNotBuilt }

// SetSharedMemory raises the dynamic shared memory that launches of f may ask for.
func (f *Function) SetSharedMemory(bytes int) error { return ErrNotBuilt }

// Args holds the arguments of one launch.
type Args struct{}

// NewArgs returns an empty list of arguments.
func NewArgs() *Args { return &Args{} }

// Ptr appends an address on the device.
func (a *Args) Ptr(addr uint64) *Args { return a }

// I32 appends an int.
func (a *Args) I32(v int32) *Args { return a }

// U32 appends an unsigned int.
func (a *Args) U32(v uint32) *Args { return a }

// U64 appends an unsigned long long.
func (a *Args) U64(v uint64) *Args { return a }

// F32 appends a float.
func (a *Args) F32(v float32) *Args { return a }

// Launch queues one run of f.
func (d *Device) Launch(f *Function, grid, block [3]int, shared int, a *Args) error {
	return ErrNotBuilt
}

// Graph is a captured list of launches, which one call launches again.
type Graph struct{}

// Capture records the launches that f makes as a graph.
func (d *Device) Capture(f func() error) (*Graph, error) { return nil, ErrNotBuilt }

// Launch queues one run of the graph.
func (g *Graph) Launch() error { return ErrNotBuilt }

// Destroy releases the graph.
func (g *Graph) Destroy() error { return ErrNotBuilt }
