// Ranks whose arenas are the host's memory.

package ranks

import (
	"encoding/binary"
	"errors"
	"math"

	"sigmaz/kernels"
)

// Carrier carries slices of the host's memory between ranks, with parts of one length as a [Transport] has them. A call returns
// when its slices may be used again.
type Carrier interface {
	Rank() int
	Size() int
	Exchange(send, recv []float32) error
	AllGather(all []float32) error
	Close(failed error) error
}

// OnHost returns the transport between arenas of CPUs by a carrier.
func OnHost(c Carrier) Transport { return host{c} }

type host struct{ Carrier }

func (h host) Bind(b kernels.Backend) error {
	if _, own := b.FreeMemory(); own {
		return errors.New("this transport reaches memory of the host alone, and the backend has its own")
	}
	return nil
}

func (h host) Release() {}

func (h host) Exchange(a kernels.Arena, send, recv kernels.Buf) error {
	return h.Carrier.Exchange(send.Of(a.Host()), recv.Of(a.Host()))
}

func (h host) AllGather(a kernels.Arena, all kernels.Buf) error {
	return h.Carrier.AllGather(all.Of(a.Host()))
}

func (h host) Agree(own []byte) ([][]byte, error) {
	n := (len(own) + 3) / 4
	words := make([]float32, n*h.Size())
	padded := append(append([]byte(nil), own...), 0, 0, 0)
	for i := range n {
		words[h.Rank()*n+i] = math.Float32frombits(binary.LittleEndian.Uint32(padded[4*i:]))
	}
	if err := h.Carrier.AllGather(words); err != nil {
		return nil, err
	}
	all := make([][]byte, h.Size())
	for rank := range all {
		for _, w := range words[rank*n : (rank+1)*n] {
			all[rank] = binary.LittleEndian.AppendUint32(all[rank], math.Float32bits(w))
		}
		all[rank] = all[rank][:len(own)]
	}
	return all, nil
}

// Err is nil: a call that fails has said it.
func (h host) Err() error { return nil }
