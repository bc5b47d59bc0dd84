//go:build cgo && !nocuda

package sample

import (
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
	"sigmaz/model"
)

// onDevices runs a test on the CPU and on CUDA, where the updates are the device's and the score is computed on the host.
func onDevices(t *testing.T, run func(t *testing.T, on device)) {
	run(t, cpu)
	b := kerneltest.OpenCUDA(t)
	run(t, device{"cuda", func(t *testing.T, s *model.Score) {
		split := hostFuncs{b}
		a, err := split.Alloc(s.Arena.Words())
		if err != nil {
			t.Fatal(err)
		}
		s.Backend, s.Arena = split, a
	}})
}

// hostFuncs is a backend whose programs may have functions in Go: for them the arena goes to the host and back.
type hostFuncs struct{ kernels.Backend }

func (b hostFuncs) Compile(a kernels.Arena, ops []kernels.Op) (kernels.Program, error) {
	var all parts
	from := 0
	device := func(to int) error {
		if from == to {
			return nil
		}
		p, err := b.Backend.Compile(a, ops[from:to])
		all = append(all, p)
		return err
	}
	for i, op := range ops {
		f, ok := op.(kernels.HostFunc)
		if !ok {
			continue
		}
		if err := device(i); err != nil {
			return nil, err
		}
		all, from = append(all, onHost{a, f}), i+1
	}
	err := device(len(ops))
	return all, err
}

type parts []kernels.Program

func (p parts) Run() error {
	for _, part := range p {
		if err := part.Run(); err != nil {
			return err
		}
	}
	return nil
}

type onHost struct {
	arena kernels.Arena
	f     kernels.HostFunc
}

func (h onHost) Run() error {
	mem := make([]float32, h.arena.Words())
	if err := h.arena.Read(mem, kernels.Buf{N: len(mem)}); err != nil {
		return err
	}
	h.f.F(mem)
	for _, w := range h.f.Writes {
		if err := h.arena.Write(w, w.Of(mem)); err != nil {
			return err
		}
	}
	return nil
}
