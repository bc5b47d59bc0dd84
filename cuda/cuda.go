//go:build cgo && !nocuda

// A device with its memory, kernels and graphs, through the driver. The same surface without CUDA is in cuda_none.go.

package cuda

/*
#cgo linux CFLAGS: -I/usr/local/cuda/include
#cgo linux LDFLAGS: -L/usr/local/cuda/lib64 -L/usr/local/cuda/lib64/stubs -lcuda -ldl

#include <stdlib.h>
#include "driver.h"
*/
import "C"

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"sync"
	"unsafe"

	"gorgonia.org/cu"
)

// Available returns why no device can be used (no driver, no GPU, a driver that is too old), or nil if one can.
func Available() error {
	if code := int(C.sigmaz_init_result()); code != 0 {
		return initError(failed("cuInit", code))
	}
	if err := checkDriver(cu.Version()); err != nil {
		return err
	}
	n, err := cu.NumDevices()
	if err != nil {
		return check("cuDeviceGetCount", err)
	}
	if n == 0 {
		return initError(failed("cuInit", codeNoDevice))
	}
	return nil
}

// Count returns the number of devices. They are numbered from 0.
func Count() (int, error) {
	if err := Available(); err != nil {
		return 0, err
	}
	n, err := cu.NumDevices()
	return n, check("cuDeviceGetCount", err)
}

// Device is one GPU with one context and one stream of launches. Its methods may be called from any goroutine. Launches
// run in the order of the calls.
type Device struct {
	device       cu.Device
	context      unsafe.Pointer
	name         string
	major, minor int
	units        int // multiprocessors
	driver       int // CUDA version, as cuDriverGetVersion counts
	stream       cu.Stream

	work chan func()   // for the device's thread
	done chan struct{} // closed when that thread has ended

	// Only the device's thread touches these.
	current   cu.Stream // that launches go to now: the device's own, or that of a branch
	capturing bool
	deferred  []any // things to free when the capture ends: freeing them during it would break it
	closed    bool
	lost      error                // the first error that cost the context; every later call returns it
	owned     map[any]func() error // buffers, modules, graphs and so on, each with the call that releases it
}

var errClosed = errors.New("the CUDA device is closed")

// Open opens the device of the given number, counted from 0.
func Open(ordinal int) (*Device, error) {
	n, err := Count()
	if err != nil {
		return nil, err
	}
	if err := checkOrdinal(ordinal, n); err != nil {
		return nil, err
	}
	d := &Device{work: make(chan func()), done: make(chan struct{}), owned: map[any]func() error{}}
	go d.thread()
	if err := d.do(func() error { return d.open(ordinal) }); err != nil {
		d.onThread(func() { d.closed = true })
		return nil, fmt.Errorf("opening device %d: %w", ordinal, err)
	}
	return d, nil
}

// open binds the device's thread, on which it runs, to the device's primary context, and makes the stream.
func (d *Device) open(ordinal int) (err error) {
	d.driver = cu.Version()
	if d.device, err = cu.GetDevice(ordinal); err != nil {
		return check("cuDeviceGet", err)
	}
	if d.name, err = d.device.Name(); err != nil {
		return check("cuDeviceGetName", err)
	}
	if d.major, d.minor, err = d.device.ComputeCapability(); err != nil {
		return check("cuDeviceGetAttribute", err)
	}
	if d.units, err = d.device.Attribute(cu.MultiprocessorCount); err != nil {
		return check("cuDeviceGetAttribute", err)
	}
	context, err := d.device.RetainPrimaryCtx()
	if err != nil {
		return check("cuDevicePrimaryCtxRetain", err)
	}
	if err = cu.SetCurrentContext(context); err != nil {
		d.device.ReleasePrimaryCtx()
		return check("cuCtxSetCurrent", err)
	}
	// The stream need not wait for the legacy default stream: only the zeroing of new buffers runs on that.
	if d.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
		d.device.ReleasePrimaryCtx()
		return check("cuStreamCreate", err)
	}
	d.current = d.stream
	d.context = C.sigmaz_context()
	return nil
}

// thread makes the driver calls, one closure after the other. It never unlocks its operating system thread, so that
// the thread, which is bound to the context, ends with it.
func (d *Device) thread() {
	runtime.LockOSThread()
	defer close(d.done)
	for !d.closed {
		(<-d.work)()
	}
}

// onThread runs job on the device's thread and waits for it. It returns false if the thread has ended.
func (d *Device) onThread(job func()) bool {
	ran := make(chan struct{})
	select {
	case d.work <- func() { job(); close(ran) }:
		<-ran
		return true
	case <-d.done:
		return false
	}
}

// do runs call on the device's thread. Once a call has lost the context, every later do returns that call's error.
func (d *Device) do(call func() error) error {
	err := errClosed
	d.onThread(func() {
		if err = d.lost; err != nil {
			return
		}
		err = call()
		var e *Error
		if errors.As(err, &e) && e.Lost() {
			d.lost = err
		}
	})
	return err
}

// outsideCapture runs call as do does, but refuses while a graph is captured, which call would break.
func (d *Device) outsideCapture(what string, call func() error) error {
	return d.do(func() error {
		if d.capturing {
			return fmt.Errorf("%s: not while a CUDA graph is captured", what)
		}
		return call()
	})
}

// free releases something that the device owns. It does nothing the second time, nor after the context was lost or the
// device closed: the thing is gone then. While a graph is captured it only takes note.
func (d *Device) free(what any) (err error) {
	d.onThread(func() {
		if d.capturing {
			d.deferred = append(d.deferred, what)
			return
		}
		err = d.release(what)
	})
	return err
}

// release does the work of free. It runs on the device's thread.
func (d *Device) release(what any) error {
	release := d.owned[what]
	delete(d.owned, what)
	if release == nil || d.lost != nil {
		return nil
	}
	return release()
}

// Name returns the driver's name for the device: "NVIDIA H100 PCIe".
func (d *Device) Name() string { return d.name }

// Capability returns the device's compute capability: 8 and 0 for sm_80.
func (d *Device) Capability() (major, minor int) { return d.major, d.minor }

// DriverVersion returns the newest CUDA version that the driver knows: 12040 for 12.4.
func (d *Device) DriverVersion() int { return d.driver }

// Multiprocessors returns the number of the device's streaming multiprocessors.
func (d *Device) Multiprocessors() int { return d.units }

// Memory returns the device's free and total memory in bytes.
func (d *Device) Memory() (free, total int64, err error) {
	err = d.do(func() error {
		free, total, err = memInfo()
		return err
	})
	return free, total, err
}

func memInfo() (free, total int64, err error) {
	free, total, err = cu.MemInfo()
	return free, total, check("cuMemGetInfo", err)
}

// Close waits for the device and releases everything that was made on it. Closing twice, or after the device was lost,
// does nothing.
func (d *Device) Close() error {
	var err error
	d.onThread(func() {
		d.closed = true
		if d.lost != nil {
			d.device.ReleasePrimaryCtx()
			return
		}
		err = check("cuCtxSynchronize", cu.Synchronize())
		for _, graphs := range []bool{true, false} { // graphs first: they refer to kernels and memory
			for what, release := range d.owned {
				if _, isGraph := what.(*Graph); isGraph == graphs {
					err = cmp.Or(err, release())
				}
			}
		}
		err = cmp.Or(err, check("cuStreamDestroy", d.stream.Destroy()))
		err = cmp.Or(err, check("cuDevicePrimaryCtxRelease", d.device.ReleasePrimaryCtx()))
	})
	return err
}

// Sync waits until all work queued on the device has ended, and returns the error of what failed.
func (d *Device) Sync() error {
	return d.outsideCapture("Sync", func() error { return check("cuStreamSynchronize", d.stream.Synchronize()) })
}

// Buffer is one allocation of device memory.
type Buffer struct {
	d     *Device
	addr  cu.DevicePtr
	bytes int64
	owner string
}

// Alloc reserves device memory and fills it with zeros. Owner says what the memory is for, and appears in errors. If
// the device has too little, the error is an [*OutOfMemory].
func (d *Device) Alloc(bytes int64, owner string) (*Buffer, error) {
	b := &Buffer{d: d, bytes: bytes, owner: owner}
	if bytes < 0 {
		return nil, fmt.Errorf("device memory for %s: %d bytes", owner, bytes)
	}
	err := d.outsideCapture("Alloc", func() error {
		if bytes == 0 {
			return nil
		}
		var err error
		if b.addr, err = cu.MemAlloc(bytes); err != nil {
			err := check("cuMemAlloc", err)
			var e *Error
			if free, total, infoErr := memInfo(); errors.As(err, &e) && e.Code == codeOutOfMemory && infoErr == nil {
				return &OutOfMemory{Need: bytes, Free: free, Total: total, Owner: owner}
			}
			return fmt.Errorf("device memory for %s (%s): %w", owner, size(bytes), err)
		}
		d.owned[b] = func() error { return check("cuMemFree", cu.MemFree(b.addr)) }
		// The zeroing runs on the legacy default stream. The device's stream does not wait for that, so wait here.
		if err := check("cuMemsetD8", cu.MemsetD8(b.addr, 0, bytes)); err != nil {
			return err
		}
		return check("cuCtxSynchronize", cu.Synchronize())
	})
	if err != nil {
		d.free(b)
		return nil, err
	}
	return b, nil
}

// Addr returns the buffer's address on the device: a multiple of 256, or 0 if the buffer is empty.
func (b *Buffer) Addr() uint64 { return uint64(b.addr) }

// Bytes returns the buffer's size.
func (b *Buffer) Bytes() int64 { return b.bytes }

// Owner returns what the buffer is for.
func (b *Buffer) Owner() string { return b.owner }

// Free releases the memory once the work queued before has ended. Freeing twice, or after the device was closed, does
// nothing.
func (b *Buffer) Free() error { return b.d.free(b) }

// Write copies src to the buffer from byte off on, after all work queued before. It waits for the copy: src may be
// changed afterwards.
func (b *Buffer) Write(off int64, src []byte) error {
	return b.copy("Write", off, src, func(addr cu.DevicePtr, host unsafe.Pointer) error {
		return check("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(addr, host, int64(len(src)), b.d.stream))
	})
}

// Read fills dst from the buffer from byte off on, after all work queued before.
func (b *Buffer) Read(dst []byte, off int64) error {
	return b.copy("Read", off, dst, func(addr cu.DevicePtr, host unsafe.Pointer) error {
		return check("cuMemcpyDtoHAsync", cu.MemcpyDtoHAsync(host, addr, int64(len(dst)), b.d.stream))
	})
}

// CopyWithin queues a copy of bytes from one place of the buffer to another, which must not overlap it. It does not wait
// for the copy.
func (b *Buffer) CopyWithin(to, from, bytes int64) error {
	what := "CopyWithin of " + b.owner
	if min(to, from, bytes) < 0 || bytes > b.bytes || max(to, from) > b.bytes-bytes ||
		max(to, from)-min(to, from) < bytes {
		return fmt.Errorf("%s: %d bytes from %d to %d of %d", what, bytes, from, to, b.bytes)
	}
	if bytes == 0 {
		return nil
	}
	return b.d.outsideCapture(what, func() error {
		if b.d.owned[b] == nil {
			return fmt.Errorf("%s: it was freed", what)
		}
		return check("cuMemcpyDtoDAsync", cu.MemcpyDtoDAsync(b.addr+cu.DevicePtr(to), b.addr+cu.DevicePtr(from), bytes,
			b.d.stream))
	})
}

// copy queues a copy on the device's stream and waits for it. The driver's synchronous copies will not do: they use
// the default stream, and return from a small write before the data has arrived.
func (b *Buffer) copy(what string, off int64, host []byte, queue func(cu.DevicePtr, unsafe.Pointer) error) error {
	return b.transfer(what, off, int64(len(host)), func(addr cu.DevicePtr) error {
		var pin runtime.Pinner
		defer pin.Unpin()
		pin.Pin(&host[0])
		if err := queue(addr, unsafe.Pointer(&host[0])); err != nil {
			return err
		}
		return check("cuStreamSynchronize", b.d.stream.Synchronize())
	})
}

// transfer runs a call that copies n bytes from or to the buffer, from byte off on.
func (b *Buffer) transfer(what string, off, n int64, call func(addr cu.DevicePtr) error) error {
	if off < 0 || off > b.bytes || n > b.bytes-off {
		return fmt.Errorf("%s of %s: bytes %d to %d of %d", what, b.owner, off, off+n, b.bytes)
	}
	if n == 0 {
		return nil
	}
	return b.d.outsideCapture(what+" of "+b.owner, func() error {
		if b.d.owned[b] == nil {
			return fmt.Errorf("%s of %s: it was freed", what, b.owner)
		}
		if err := call(b.addr + cu.DevicePtr(off)); err != nil {
			return fmt.Errorf("%s of %s: %w", what, b.owner, err)
		}
		return nil
	})
}

// Pinned is host memory that kernels read and write in place, and that [Stream.Copy] copies without the host's help.
// What a kernel wrote can be read after [Device.Sync].
type Pinned struct {
	d    *Device
	host unsafe.Pointer
	addr uint64
	n    int
}

// AllocPinned reserves pinned host memory and fills it with zeros.
func (d *Device) AllocPinned(bytes int) (*Pinned, error) {
	if bytes <= 0 {
		return nil, fmt.Errorf("pinned memory: %d bytes", bytes)
	}
	p := &Pinned{d: d, n: bytes}
	err := d.outsideCapture("AllocPinned", func() error {
		var device C.uint64_t
		if err := result("cuMemAllocHost", C.sigmaz_host_alloc(C.size_t(bytes), &p.host, &device)); err != nil {
			return fmt.Errorf("%s of pinned host memory: %w", size(int64(bytes)), err)
		}
		p.addr = uint64(device)
		d.owned[p] = func() error { return check("cuMemFreeHost", cu.MemFreeHost(p.host)) }
		clear(p.Bytes())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Bytes returns the memory itself. It must not be used after Free or [Device.Close].
func (p *Pinned) Bytes() []byte { return unsafe.Slice((*byte)(p.host), p.n) }

// Addr returns the memory's address on the device.
func (p *Pinned) Addr() uint64 { return p.addr }

// Free releases the memory. No queued work may still use it.
func (p *Pinned) Free() { p.d.free(p) }

// Stream is a queue of work: its work runs in the order of the calls, and beside that of other streams except where it
// waits for an [Event].
type Stream struct {
	d      *Device
	stream cu.Stream
}

// Launches returns the stream that launches run on, and what [Buffer.Write] and [Buffer.Read] copy.
func (d *Device) Launches() *Stream { return &Stream{d, d.stream} }

// NewStream makes a stream for copies beside the launches.
func (d *Device) NewStream() (*Stream, error) {
	s := &Stream{d: d}
	err := d.outsideCapture("NewStream", func() (err error) {
		if s.stream, err = cu.MakeStream(cu.NonBlocking); err != nil {
			return check("cuStreamCreate", err)
		}
		d.owned[s] = func() error { return check("cuStreamDestroy", s.stream.Destroy()) }
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Copy queues a copy of all of p to the buffer from byte off on, and returns at once: p must not be changed before the
// copy is done, which an event tells.
func (s *Stream) Copy(b *Buffer, off int64, p *Pinned) error {
	return b.transfer("Copy", off, int64(p.n), func(addr cu.DevicePtr) error {
		if b.d.owned[p] == nil {
			return errors.New("the pinned memory was freed")
		}
		return check("cuMemcpyHtoDAsync", cu.MemcpyHtoDAsync(addr, p.host, int64(p.n), s.stream))
	})
}

// Record makes the event stand for the work that the stream has been given up to now.
func (s *Stream) Record(e *Event) error {
	return e.use("Record", func() error { return e.record(s.stream) })
}

// Wait lets the stream's later work wait for what the event stands for now. The host does not wait.
func (s *Stream) Wait(e *Event) error {
	return e.use("Wait", func() error { return e.let(s.stream) })
}

// OnLaunches gives call the driver's handle of the stream that launches go to, for another library that queues work there.
// It runs on the device's thread, on which the context is current, also while a graph is captured.
func (d *Device) OnLaunches(call func(stream uintptr) error) error {
	return d.do(func() error { return call(uintptr(d.streamHandle())) })
}

// Destroy releases the stream, whose work still runs. Destroying twice, or after the device was closed, does nothing.
func (s *Stream) Destroy() error { return s.d.free(s) }

// Event stands for a place in a stream. One that was not recorded stands for none: nothing waits for it.
type Event struct {
	d     *Device
	event cu.Event
}

// NewEvent makes an event.
func (d *Device) NewEvent() (*Event, error) {
	e := &Event{d: d}
	err := d.outsideCapture("NewEvent", func() (err error) {
		if e.event, err = cu.MakeEvent(cu.DisableTiming | cu.BlockingSyncEvent); err != nil {
			return check("cuEventCreate", err)
		}
		d.owned[e] = func() error { return check("cuEventDestroy", cu.DestroyEvent(&e.event)) }
		return nil
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// use runs a call that needs the event.
func (e *Event) use(what string, call func() error) error {
	return e.d.outsideCapture(what+" of an event", func() error {
		if e.d.owned[e] == nil {
			return fmt.Errorf("%s of an event that was destroyed", what)
		}
		return call()
	})
}

// Synchronize waits until what the event stands for is done, and returns the error of what failed. Other goroutines may
// use the device meanwhile, also to capture a graph, but may not close it or destroy the event.
func (e *Event) Synchronize() error {
	var event unsafe.Pointer
	err := e.d.do(func() error {
		if e.d.owned[e] == nil {
			return errors.New("Synchronize of an event that was destroyed")
		}
		event = *(*unsafe.Pointer)(unsafe.Pointer(&e.event)) // as in handle
		return nil
	})
	if err != nil {
		return err
	}
	// Not on the device's thread, which has launches to make.
	if code := C.sigmaz_event_wait(e.d.context, event); code != 0 {
		return e.d.do(func() error { return result("cuEventSynchronize", code) }) // it may have cost the context
	}
	return nil
}

// Destroy releases the event. Destroying twice, or after the device was closed, does nothing.
func (e *Event) Destroy() error { return e.d.free(e) }

// record makes the event stand for the work that a stream has been given, and let has a stream's later work wait for what it
// stands for. Both run on the device's thread.
func (e *Event) record(s cu.Stream) error { return check("cuEventRecord", e.event.Record(s)) }
func (e *Event) let(s cu.Stream) error    { return check("cuStreamWaitEvent", s.Wait(e.event, 0)) }

// Branch is a second stream of launches, beside which the device's own goes on. In a capture both are of the graph.
type Branch struct {
	d           *Device
	stream      *Stream
	begun, done *Event
}

// NewBranch makes a branch.
func (d *Device) NewBranch() (*Branch, error) {
	b := &Branch{d: d}
	var err error
	if b.stream, err = d.NewStream(); err != nil {
		return nil, err
	}
	if b.begun, err = d.NewEvent(); err != nil {
		return nil, err
	}
	b.done, err = d.NewEvent()
	return b, err
}

// Run has the launches that f makes go to the branch, behind what was launched before. What is launched after f waits for
// them from the next [Branch.Join] on. No other goroutine may launch meanwhile.
func (b *Branch) Run(f func() error) error {
	err := b.d.do(func() error {
		err := cmp.Or(b.begun.record(b.d.stream), b.begun.let(b.stream.stream))
		b.d.current = b.stream.stream
		return err
	})
	if err == nil {
		err = f()
	}
	b.d.onThread(func() { b.d.current = b.d.stream })
	return err
}

// Join lets what is launched from now on wait for the branch.
func (b *Branch) Join() error {
	return b.d.do(func() error { return cmp.Or(b.done.record(b.stream.stream), b.done.let(b.d.stream)) })
}

// Module holds the kernels of one PTX file, loaded to the device.
type Module struct {
	d      *Device
	name   string
	module cu.Module
}

// Load compiles PTX for the device. Errors call the module by name.
func (d *Device) Load(name string, ptx []byte) (*Module, error) {
	if err := checkPTX(name, ptx, d.driver, d.major, d.minor, d.name); err != nil {
		return nil, err
	}
	m := &Module{d: d, name: name}
	err := d.outsideCapture("Load", func() error {
		log := &cu.JITErrorLogBuffer{Buffer: make([]byte, 8<<10)}
		var err error
		if m.module, err = cu.LoadDataEx(string(ptx), log); err != nil {
			err = fmt.Errorf("loading the kernels of %s: %w", name, check("cuModuleLoadDataEx", err))
			said, _, _ := bytes.Cut(log.Buffer, []byte{0})
			if said = bytes.TrimSpace(said); len(said) > 0 {
				err = fmt.Errorf("%w (%s)", err, bytes.ReplaceAll(said, []byte("\n"), []byte("; ")))
			}
			return err
		}
		d.owned[m] = func() error { return check("cuModuleUnload", m.module.Unload()) }
		return nil
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Function is one kernel of a module.
type Function struct {
	d        *Device
	name     string
	function cu.Function
}

// Function finds a kernel by its name.
func (m *Module) Function(name string) (*Function, error) {
	f := &Function{d: m.d, name: name}
	err := m.d.outsideCapture("Function", func() error { // the driver may load code now
		var err error
		if f.function, err = m.module.Function(name); err != nil {
			return fmt.Errorf("kernel %s of %s: %w", name, m.name, check("cuModuleGetFunction", err))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// handle returns the driver's own: cu.Function holds it and nothing else, and has no accessor for it.
func (f *Function) handle() unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&f.function)) }

// SetSharedMemory raises the dynamic shared memory that launches of f may ask for to a number of bytes. Without it
// they get at most 48 KiB.
func (f *Function) SetSharedMemory(bytes int) error {
	return f.d.outsideCapture("SetSharedMemory", func() error {
		if err := result("cuFuncSetAttribute", C.sigmaz_set_dynamic_shared(f.handle(), C.int(bytes))); err != nil {
			return fmt.Errorf("kernel %s with %s of shared memory: %w", f.name, size(int64(bytes)), err)
		}
		return nil
	})
}

// Args holds the arguments of one launch, in the order of the kernel's parameters, each in a cell of 8 bytes. A launch
// copies them: Args may be changed or used again right after it.
type Args struct{ cells []uint64 }

// NewArgs returns an empty list of arguments.
func NewArgs() *Args { return &Args{} }

// add appends a cell. The value is in its low bytes, which come first on the host and the device alike.
func (a *Args) add(v uint64) *Args {
	a.cells = append(a.cells, v)
	return a
}

// Ptr appends an address on the device.
func (a *Args) Ptr(addr uint64) *Args { return a.add(addr) }

// I32 appends an int.
func (a *Args) I32(v int32) *Args { return a.add(uint64(uint32(v))) }

// U32 appends an unsigned int.
func (a *Args) U32(v uint32) *Args { return a.add(uint64(v)) }

// U64 appends an unsigned long long.
func (a *Args) U64(v uint64) *Args { return a.add(v) }

// F32 appends a float.
func (a *Args) F32(v float32) *Args { return a.add(uint64(math.Float32bits(v))) }

// Launch queues one run of f: grid blocks of block threads each, with shared bytes of dynamic shared memory.
//
// The list of pointers that the driver takes is made in C. cu makes it in Go, in memory fresh from malloc: the garbage
// collector, when it is at work, looks at what such memory held before, and ends the process over an old pointer.
func (d *Device) Launch(f *Function, grid, block [3]int, shared int, a *Args) error {
	if min(grid[0], grid[1], grid[2], block[0], block[1], block[2]) < 1 {
		return fmt.Errorf("launching %s: a grid of %v and blocks of %v", f.name, grid, block)
	}
	return d.do(func() error {
		var cells *C.uint64_t
		n := 0
		if a != nil && len(a.cells) > 0 {
			cells, n = (*C.uint64_t)(&a.cells[0]), len(a.cells)
		}
		code := C.sigmaz_launch(f.handle(), C.uint(grid[0]), C.uint(grid[1]), C.uint(grid[2]), C.uint(block[0]),
			C.uint(block[1]), C.uint(block[2]), C.uint(shared), d.streamHandle(), cells, C.int(n))
		if err := result("cuLaunchKernel", code); err != nil {
			return fmt.Errorf("launching %s, grid %v, block %v: %w", f.name, grid, block, err)
		}
		return nil
	})
}

// Graph is a captured list of launches, which one call launches again.
type Graph struct {
	d    *Device
	exec unsafe.Pointer
}

// Capture records the launches that f makes as a graph. They do not run now. Until f returns, nothing else may be done
// on the device, and no other goroutine may launch on it.
func (d *Device) Capture(f func() error) (*Graph, error) {
	var outside cu.Stream // a graph may be made where launches go to a branch
	err := d.outsideCapture("Capture", func() error {
		if err := result("cuStreamBeginCapture", C.sigmaz_capture_begin(unsafe.Pointer(d.stream.C()))); err != nil {
			return err
		}
		d.capturing = true
		outside, d.current = d.current, d.stream
		return nil
	})
	if err != nil {
		return nil, err
	}
	g := &Graph{d: d}
	ended := false
	end := func(inner error) error {
		ended = true
		return d.do(func() error {
			d.capturing, d.current = false, outside
			defer func() {
				for _, what := range d.deferred {
					d.release(what)
				}
				d.deferred = nil
			}()
			var graph unsafe.Pointer
			err := result("cuStreamEndCapture", C.sigmaz_capture_end(unsafe.Pointer(d.stream.C()), &graph))
			if graph != nil {
				defer C.sigmaz_graph_destroy(graph)
			}
			// If a launch failed, the capture has failed too: the launch's error says more.
			if inner != nil {
				return inner
			}
			if err != nil {
				return err
			}
			if err := result("cuGraphInstantiateWithFlags", C.sigmaz_graph_instantiate(graph, &g.exec)); err != nil {
				return err
			}
			d.owned[g] = func() error { return result("cuGraphExecDestroy", C.sigmaz_exec_destroy(g.exec)) }
			return nil
		})
	}
	defer func() {
		if !ended { // f panicked
			end(errors.New("the capture was left"))
		}
	}()
	if err := end(f()); err != nil {
		return nil, fmt.Errorf("capturing a CUDA graph: %w", err)
	}
	return g, nil
}

// Launch queues one run of the graph and returns at once.
func (g *Graph) Launch() error {
	return g.d.outsideCapture("Launch of a graph", func() error {
		if g.d.owned[g] == nil {
			return errors.New("launch of a CUDA graph that was destroyed")
		}
		return result("cuGraphLaunch", C.sigmaz_graph_launch(g.exec, g.d.streamHandle()))
	})
}

// Destroy releases the graph. Destroying twice, or after the device was closed, does nothing.
func (g *Graph) Destroy() error { return g.d.free(g) }

// streamHandle returns the driver's handle of the stream that launches go to.
func (d *Device) streamHandle() unsafe.Pointer { return unsafe.Pointer(d.current.C()) }

// result returns the error of a call that driver.c made, nil for CUDA_SUCCESS.
func result(call string, code C.int) error {
	if code == 0 {
		return nil
	}
	return failed(call, int(code))
}

// check returns the error of a call that cu made. Its error type is not exported: an integer, perhaps wrapped.
func check(call string, err error) error {
	if err == nil {
		return nil
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if v := reflect.ValueOf(e); v.CanInt() {
			return failed(call, int(v.Int()))
		}
	}
	return fmt.Errorf("%s: %w", call, err)
}

// driverText keeps cuGetErrorName and cuGetErrorString to one caller at a time: any goroutine may make an error.
var driverText sync.Mutex

// failed makes the error of a result, in the driver's words.
func failed(call string, code int) *Error {
	driverText.Lock()
	defer driverText.Unlock()
	return &Error{
		Call: call,
		Code: code,
		Name: C.GoString(C.sigmaz_error_name(C.int(code))),
		Doc:  C.GoString(C.sigmaz_error_string(C.int(code))),
	}
}
