//go:build cgo && !nocuda

// The library and its communicators.

package nccl

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -ldl
#include "library.h"
*/
import "C"

import (
	"fmt"
	"sync"
	"time"
	"unsafe"
)

const (
	success    = 0
	inProgress = 7
)

// Open loads the library and returns its version. It does so once.
func Open() (version int, err error) {
	o := opened()
	return o.version, o.err
}

var opened = sync.OnceValue(func() (o struct {
	version int
	err     error
}) {
	var version C.int
	if why := C.sigmaz_nccl_load(&version); why != nil {
		o.err = missing(C.GoString(why))
		return o
	}
	o.version = int(version)
	if o.err = checkVersion(o.version); o.err != nil {
		return o
	}
	if name := C.sigmaz_nccl_find(); name != nil {
		o.err = missing("its libnccl.so.2 lacks " + C.GoString(name))
	}
	return o
})

// NewID returns the name of a new communicator, which all its ranks are to be given.
func NewID() ([]byte, error) {
	if _, err := Open(); err != nil {
		return nil, err
	}
	id := make([]byte, IDBytes)
	if result := C.sigmaz_nccl_id(unsafe.Pointer(&id[0])); result != success {
		return nil, failed("ncclGetUniqueId", result, nil)
	}
	return id, nil
}

// Comm is this process's end of a communicator: one device, whose context was current when it was made.
type Comm struct {
	rank, size int

	mu     sync.Mutex // held during each call of the library
	handle unsafe.Pointer
	failed error         // why there is no handle any more
	ended  chan struct{} // closed when the library has let go of it
}

// Init begins to join the other ranks of a communicator.
func Init(id []byte, rank, size int) (*Comm, error) {
	if _, err := Open(); err != nil {
		return nil, err
	}
	if len(id) != IDBytes {
		return nil, fmt.Errorf("NCCL: the name of a communicator has %d bytes, expected %d", len(id), IDBytes)
	}
	c := &Comm{rank: rank, size: size, ended: make(chan struct{})}
	result := C.sigmaz_nccl_init(&c.handle, C.int(size), unsafe.Pointer(&id[0]), C.int(rank))
	if result != success && result != inProgress {
		err := failed("ncclCommInitRankConfig", result, nil)
		c.Abort(err)
		return nil, err
	}
	return c, nil
}

// Ready waits until all ranks have joined, for so long at most.
func (c *Comm) Ready(most time.Duration) error { return c.settle("ncclCommInitRankConfig", most) }

// Exchange queues on a stream that window i of send, n floats, goes to each other rank i, and what it sends to window i of
// recv. The own windows are left as they are.
func (c *Comm) Exchange(send, recv uint64, n int, stream uintptr) error {
	return c.queue("ncclGroupEnd", func(handle unsafe.Pointer) C.int {
		return C.sigmaz_nccl_exchange(handle, C.int(c.rank), C.int(c.size), C.uint64_t(send), C.uint64_t(recv), C.size_t(n), pointer(stream))
	})
}

// AllGather queues on a stream that the own window of all, n floats, goes to all, and theirs come to the other windows.
func (c *Comm) AllGather(all uint64, n int, stream uintptr) error {
	return c.queue("ncclAllGather", func(handle unsafe.Pointer) C.int {
		return C.sigmaz_nccl_all_gather(handle, C.int(c.rank), C.uint64_t(all), C.size_t(n), pointer(stream))
	})
}

// pointer is a handle of the driver, which points to nothing of Go's.
func pointer(handle uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&handle)) }

// queue makes a call and waits until what it asks for is on its stream.
func (c *Comm) queue(call string, f func(handle unsafe.Pointer) C.int) error {
	c.mu.Lock()
	if c.failed != nil {
		defer c.mu.Unlock()
		return c.failed
	}
	result := f(c.handle)
	if result != success && result != inProgress {
		err := failed(call, result, c.handle)
		c.mu.Unlock()
		c.Abort(err)
		return err
	}
	c.mu.Unlock()
	return c.settle(call, 0)
}

// settle waits until nothing is in progress, for so long at most; 0 is for ever.
func (c *Comm) settle(call string, most time.Duration) error {
	begun := time.Now()
	for pause := 10 * time.Microsecond; ; pause = min(2*pause, 2*time.Millisecond) {
		busy, err := c.state(call)
		if err != nil || !busy {
			return err
		}
		if most > 0 && time.Since(begun) > most {
			err := fmt.Errorf("NCCL: %s is not done after %v: a device does not reach the others; NCCL_DEBUG=INFO has the library say more",
				call, most)
			c.Abort(err)
			return err
		}
		time.Sleep(pause)
	}
}

// state asks for the communicator's state; a failure of another process or of a device shows there, too.
func (c *Comm) state(call string) (busy bool, err error) {
	c.mu.Lock()
	if c.failed != nil {
		defer c.mu.Unlock()
		return false, c.failed
	}
	state := C.int(success)
	result := C.sigmaz_nccl_state(c.handle, &state)
	if result == success {
		result = state
	}
	if result != success && result != inProgress {
		err = failed(call, result, c.handle)
	}
	c.mu.Unlock()
	if err != nil {
		c.Abort(err)
	}
	return result == inProgress, err
}

// Check returns why the communicator is lost, nil while it is not. Any goroutine may call it.
func (c *Comm) Check() error {
	_, err := c.state("ncclCommGetAsyncError")
	return err
}

// Abort ends what waits for other ranks, here alone; whatever was to come is not there then. Every later call fails with
// the error. Any goroutine may call it, and only the first call counts. It does not wait: the library's own end takes as long as
// work that uses the communicator is on its way out.
func (c *Comm) Abort(why error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return
	}
	handle := c.handle
	c.handle, c.failed = nil, why
	go func() {
		defer close(c.ended)
		if handle != nil {
			C.sigmaz_nccl_abort(handle)
		}
	}()
}

// Close leaves the communicator, after what is queued on it, or after it was aborted: for so long it waits at most.
func (c *Comm) Close(most time.Duration) error {
	c.mu.Lock()
	if c.failed != nil {
		c.mu.Unlock()
		select {
		case <-c.ended:
		case <-time.After(most):
		}
		return nil
	}
	result := C.sigmaz_nccl_finalize(c.handle)
	if result != success && result != inProgress {
		err := failed("ncclCommFinalize", result, c.handle)
		c.mu.Unlock()
		c.Abort(err)
		return err
	}
	c.mu.Unlock()
	if err := c.settle("ncclCommFinalize", most); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed != nil {
		return nil
	}
	result = C.sigmaz_nccl_destroy(c.handle)
	c.handle, c.failed = nil, ErrClosed
	close(c.ended)
	if result != success {
		return failed("ncclCommDestroy", result, nil)
	}
	return nil
}

// failed makes the error of a result, in the library's words. handle may be nil.
func failed(call string, result C.int, handle unsafe.Pointer) error {
	said := C.GoString(C.sigmaz_nccl_text(result))
	if last := C.sigmaz_nccl_last(handle); last != nil && *last != 0 {
		said += ": " + C.GoString(last)
	}
	return fmt.Errorf("NCCL: %s: %s", call, said)
}
