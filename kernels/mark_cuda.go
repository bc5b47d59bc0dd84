//go:build cgo && !nocuda

// Marks on a GPU: events on the stream that programs run on.

package kernels

import (
	"runtime"

	"sigmaz/cuda"
)

type cudaMark struct {
	backend *cudaBackend
	event   *cuda.Event
}

func (b *cudaBackend) newMark() (Mark, error) {
	e, err := b.device.NewEvent()
	if err != nil {
		return nil, err
	}
	m := &cudaMark{b, e}
	runtime.AddCleanup(m, func(e *cuda.Event) { e.Destroy() }, e)
	return m, nil
}

func (m *cudaMark) Set() error { return m.backend.device.Launches().Record(m.event) }

func (m *cudaMark) Wait() error { return m.backend.after(m.event.Synchronize()) }
