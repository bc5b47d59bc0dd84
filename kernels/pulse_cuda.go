//go:build cgo && !nocuda

// The launch of a mark, see pulse.cu.

package kernels

import (
	"sync/atomic"
	"time"
	"unsafe"

	"sigmaz/cuda"
)

// cudaPulse is the memory that the kernel writes.
type cudaPulse struct {
	backend *cudaBackend
	memory  *cuda.Pinned
	words   *[5]uint64 // as in pulse.cu
}

func (b *cudaBackend) pulse() (Pulse, error) {
	p := &cudaPulse{backend: b}
	var err error
	if p.memory, err = b.device.AllocPinned(int(unsafe.Sizeof(*p.words))); err != nil {
		return nil, err
	}
	p.words = (*[5]uint64)(unsafe.Pointer(unsafe.SliceData(p.memory.Bytes())))
	return p, nil
}

func (p *cudaPulse) Mark(m Mark) (Program, error) {
	l := &launcher{}
	l.pulse(gridDim{1, 1, 1}, blockDim{1, 1, 1}, pulseArgs{words: address(p.memory.Addr()), mark: int(m)})
	if l.err != nil {
		return nil, l.err
	}
	f, err := p.backend.function("pulse")
	if err != nil {
		return nil, err
	}
	l.launches[0].function = f
	return &cudaProgram{backend: p.backend, name: "pulse", launches: l.launches, keep: []any{p}}, nil
}

func (p *cudaPulse) Read() (come [marks]uint64, worked time.Duration) {
	for m := marks - 1; m >= 0; m-- { // a later mark first: it is never seen without those before it
		come[m] = atomic.LoadUint64(&p.words[m])
	}
	return come, time.Duration(atomic.LoadUint64(&p.words[4]))
}
