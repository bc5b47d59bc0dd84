//go:build cgo && !nocuda

package sample

import (
	"errors"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
	"sigmaz/model"
)

// devices move a score function to other devices than the CPU: it is computed on the host still, and all else there.
var devices = map[string]func(t *testing.T, s *model.Score){"cuda": func(t *testing.T, s *model.Score) {
	b := openDevices["cuda"](t)
	split := hostFuncs{b}
	a, err := split.Alloc(s.Arena.Words())
	if err != nil {
		t.Fatal(err)
	}
	words := make([]float32, a.Words())
	if err := errors.Join(s.Arena.Read(words, kernels.Buf{N: len(words)}), a.Write(kernels.Buf{N: len(words)}, words)); err != nil {
		t.Fatal(err)
	}
	s.Backend, s.Arena = split, a
}}

// openDevices open devices for networks, but for the CPU.
var openDevices = map[string]func(t *testing.T) kernels.Backend{"cuda": kerneltest.OpenCUDA}

// hostFuncs is a backend whose programs may have functions in Go: what they read and write goes to the host and back.
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
		all, from = append(all, onHost{a, f, make([]float32, a.Words())}), i+1
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
	mem   []float32 // of which what f reads is brought here
}

func (h onHost) Run() error {
	for _, r := range h.f.Reads {
		if err := h.arena.Read(r.Of(h.mem), r); err != nil {
			return err
		}
	}
	h.f.F(h.mem)
	for _, w := range h.f.Writes {
		if err := h.arena.Write(w, w.Of(h.mem)); err != nil {
			return err
		}
	}
	return nil
}
