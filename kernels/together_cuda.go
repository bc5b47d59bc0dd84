//go:build cgo && !nocuda

// Several programs as one CUDA graph, of two branches where some run beside others. The first run is that of its programs, each
// with graphs of its own: links make their connections then, which no capture may contain. The second is captured.

package kernels

import (
	"fmt"
	"runtime"

	"sigmaz/cuda"
)

// minRecorded is the oldest NCCL whose calls become part of a graph: from this one on a communicator that is aborted stays until
// the graphs that use it are gone, so that launching one is no danger. It is 2.26.0.
const minRecorded = 22600

// cudaTogether is several programs as one.
type cudaTogether struct {
	backend   *cudaBackend
	f         func() error
	runs      int
	programs  []*cudaProgram     // that f has run
	links     map[*cudaLink]bool // that f has used
	capturing bool
	graph     *cuda.Graph // nil before the second run, and where it is not to be
}

func (b *cudaBackend) together(f func() error) Program {
	return &cudaTogether{backend: b, f: f, links: map[*cudaLink]bool{}}
}

func (p *cudaTogether) Run() error {
	p.runs++
	if p.runs == 2 && p.recordable() {
		if err := p.capture(); err != nil {
			return err
		}
	}
	if p.graph == nil {
		return p.call()
	}
	for l := range p.links {
		if err := l.comm.Check(); err != nil {
			return err
		}
	}
	if err := p.graph.Launch(); err != nil {
		return err
	}
	for _, program := range p.programs {
		program.ticked()
	}
	return nil
}

// call runs f, and takes down what it does.
func (p *cudaTogether) call() error {
	p.programs = nil
	p.backend.recording = p
	defer func() { p.backend.recording = nil }()
	return p.f()
}

// recordable says whether what f has done can be part of a graph: no program is fed by the host, and links can be.
func (p *cudaTogether) recordable() bool {
	for _, program := range p.programs {
		if len(program.feeds) > 0 {
			return false
		}
	}
	version, err := LinkVersion()
	return len(p.links) == 0 || err == nil && version >= minRecorded
}

// capture makes the graph.
func (p *cudaTogether) capture() error {
	p.capturing = true
	g, err := p.backend.device.Capture(p.call)
	p.capturing = false
	if err != nil {
		return fmt.Errorf("running several programs: %w", err)
	}
	runtime.AddCleanup(p, func(g *cuda.Graph) { g.Destroy() }, g)
	p.graph = g
	return nil
}

// release takes the graph apart: what f does is done call by call from then on.
func (p *cudaTogether) release() {
	if p.graph != nil {
		p.graph.Destroy()
		p.graph = nil
	}
}

// beside runs f with its launches on a branch.
func (b *cudaBackend) beside(f func() error) error {
	if b.branch == nil {
		branch, err := b.device.NewBranch()
		if err != nil {
			return err
		}
		b.branch = branch
	}
	b.aside = true
	defer func() { b.aside = false }()
	return b.branch.Run(f)
}

func (b *cudaBackend) rejoin() error {
	if b.branch == nil {
		return nil
	}
	return b.branch.Join()
}
