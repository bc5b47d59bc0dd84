//go:build cgo && !nocuda

// Links between CUDA devices, by NCCL on the stream that launches go to.

package kernels

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"sigmaz/cuda/nccl"
)

// cudaLink is a communicator of the backend's device.
type cudaLink struct {
	backend *cudaBackend
	comm    *nccl.Comm
	size    int
	parts   map[*cudaTogether]bool // that have calls of the link in their graphs
}

// NewLink begins to join the devices of the other ranks that are given the same name. The backend must be a GPU.
func NewLink(b Backend, id []byte, rank, size int) (Link, error) {
	backend, ok := b.(*cudaBackend)
	if !ok {
		return nil, errors.New("kernels: a link needs a GPU")
	}
	l := &cudaLink{backend: backend, size: size, parts: map[*cudaTogether]bool{}}
	err := backend.device.OnLaunches(func(uintptr) (err error) {
		l.comm, err = nccl.Init(id, rank, size)
		return err
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (l *cudaLink) Ready(most time.Duration) error {
	return l.backend.device.OnLaunches(func(uintptr) error { return l.comm.Ready(most) })
}

func (l *cudaLink) Exchange(a Arena, send, recv Buf) error {
	return l.queue("the exchange of gradients", a, func(at func(Buf) uint64, stream uintptr) error {
		return l.comm.Exchange(at(send), at(recv), send.N/l.size, stream)
	}, send, recv)
}

func (l *cudaLink) AllGather(a Arena, all Buf) error {
	return l.queue("the all-gather", a, func(at func(Buf) uint64, stream uintptr) error {
		return l.comm.AllGather(at(all), all.N/l.size, stream)
	}, all)
}

// queue makes a call with the addresses of windows, which it looks at first.
func (l *cudaLink) queue(what string, a Arena, call func(at func(Buf) uint64, stream uintptr) error, windows ...Buf) error {
	arena, ok := a.(*cudaArena)
	if !ok || arena.backend != l.backend {
		return errors.New("kernels: a link was given another backend's arena")
	}
	for _, b := range windows {
		if err := arena.check(what, b.N, b); err != nil {
			return err
		}
		if b.N%l.size != 0 || b.N != windows[0].N {
			return fmt.Errorf("kernels: %s of %d values among %d ranks", what, b.N, l.size)
		}
	}
	if r := l.backend.recording; r != nil {
		r.links[l], l.parts[r] = true, true
	}
	at := func(b Buf) uint64 { return arena.mem.Addr() + 4*uint64(b.Off) }
	err := l.backend.device.OnLaunches(func(stream uintptr) error { return call(at, stream) })
	runtime.KeepAlive(arena)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	l.backend.mu.Lock()
	l.backend.last = what
	l.backend.mu.Unlock()
	return nil
}

func (l *cudaLink) Check() error    { return l.comm.Check() }
func (l *cudaLink) Abort(why error) { l.comm.Abort(why) }

// Close first takes graphs apart that use the communicator, which lasts as long as they do.
func (l *cudaLink) Close(most time.Duration) error {
	for p := range l.parts {
		p.release()
		delete(p.links, l)
	}
	err := l.backend.device.OnLaunches(func(uintptr) error { return l.comm.Close(most) })
	if err != nil { // also of a device that is lost, which has made no call
		l.comm.Abort(err)
		l.comm.Close(most)
	}
	return err
}
