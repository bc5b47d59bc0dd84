// The adaptive solver on a device: states and slopes stay there. One program goes to the point of a stage, evaluates the
// score there and keeps the slope; which stage it is and where its rows stand lies in a block that the host writes once a
// step. Where the trace of ds/dx is integrated along with x, the state has one more value, and a stage with the exact trace
// runs the program once for each of D unit vectors.

package sample

import (
	"fmt"

	"sigmaz/kernels"
	"sigmaz/model"
)

// traceKind is what is integrated along with x.
type traceKind int

const (
	noTrace    traceKind = iota
	probeTrace           // v^T (ds/dx) v for the v in the score's V
	exactTrace           // the trace of ds/dx
)

// deviceSolver is a [solver] on a score's device.
type deviceSolver struct {
	score  *model.Score
	ladder model.Ladder
	kernels.ODE
	layout odeLayout
	block  []float32 // what the host writes: state, h and noise levels

	step, guided, take, last kernels.Program // guided: step with the guided score; nil where nothing guides
	norms                    map[int]kernels.Program
	errs                     []float32

	guides bool // evaluations are by guided
}

// odeLayout is where the solver's memory lies within a score's Work.
type odeLayout struct {
	state, h, sigmas, scale, levels, table, tol kernels.Buf
	x, at, k, trace, err                        kernels.Buf
	block, words                                int
}

// values is how many values the state of a row of d values has.
func (t traceKind) values(d int) int {
	if t == noTrace {
		return d
	}
	return d + 1
}

func newODELayout(n, d int, trace traceKind) (l odeLayout) {
	take := func(words int) kernels.Buf {
		b := kernels.Buf{Off: l.words, N: words}
		l.words += (words + 3) / 4 * 4
		return b
	}
	const double = kernels.Float64Words
	e := trace.values(d)
	l.state, l.h, l.sigmas = take(kernels.StateWords), take(double*n), take(double*rkEvals*n)
	l.scale, l.levels = take(double*rkEvals*n), take(rkEvals*n)
	l.block = l.words
	l.table, l.tol = take(double*rkRows*kernels.ODEWidth), take(double)
	l.x, l.at, l.k, l.err = take(double*n*e), take(double*n*e), take(double*n*kernels.ODESlots*e), take(double*n)
	if trace != noTrace {
		l.trace = take(double * n)
	}
	return l
}

// newDeviceSolver compiles the solver, whose score is guided where g is not nil and guides is set. The score's Work must have
// the layout's words or more.
func newDeviceSolver(s *model.Score, ladder model.Ladder, tol float64, trace traceKind, g *Guidance) (*deviceSolver, error) {
	l := newODELayout(s.N, s.D, trace)
	if s.Work.N < l.words {
		panic(fmt.Sprintf("sample: the score has %d words of work memory, the solver needs %d", s.Work.N, l.words))
	}
	// the solver's constants, while the layout counts from 0
	constants := make([]float32, l.x.Off-l.block)
	table, tolerance := l.table, l.tol
	table.Off, tolerance.Off = table.Off-l.block, tolerance.Off-l.block
	for row := range rkRows {
		of := rkRow(row)
		for j, v := range of {
			kernels.SetFloat64(constants, table, row*kernels.ODEWidth+j, v)
		}
		other := 0.0
		switch {
		case row < rkEvals:
			other = float64(rkSlot(row))
		case row == rkErrors:
			other = 1
		}
		kernels.SetFloat64(constants, table, row*kernels.ODEWidth+kernels.ODEOther, other)
	}
	kernels.SetFloat64(constants, tolerance, 0, tol)
	p := &deviceSolver{score: s, ladder: ladder, layout: l, block: make([]float32, l.block), norms: map[int]kernels.Program{},
		errs: make([]float32, l.err.N)}
	if err := s.Arena.Write(s.Work.Slice(l.block, len(constants)), constants); err != nil {
		return nil, err
	}
	for _, b := range []*kernels.Buf{&l.state, &l.h, &l.sigmas, &l.scale, &l.levels, &l.table, &l.tol, &l.x, &l.at, &l.k,
		&l.trace, &l.err} {
		if b.N > 0 {
			*b = s.Work.Slice(b.Off, b.N)
		}
	}
	p.ODE = kernels.ODE{Table: l.table, State: l.state, Repeat: 1, X: l.x, At: l.at, K: l.k, H: l.h, D: s.D, E: trace.values(s.D)}
	if trace == exactTrace {
		p.Repeat = s.D
	}
	point := kernels.ODEPoint{ODE: p.ODE, Point: s.X, Sigma: s.Sigma, Level: s.Level, Sigmas: l.sigmas, Levels: l.levels}
	slope := kernels.ODESlope{ODE: p.ODE, S: s.S, Sigmas: l.sigmas, Scale: l.scale}
	if trace != noTrace {
		slope.V, slope.VJ, slope.Trace, slope.Units = s.V, s.VJ, l.trace, trace == exactTrace
	}
	if trace == exactTrace {
		point.V = s.V
	}
	accept := kernels.ODEAccept{ODE: p.ODE, Err: l.err, Point: s.X}
	last := accept
	last.Denoise = true
	compile := func(to *kernels.Program, ops ...kernels.Op) (err error) {
		*to, err = s.Backend.Compile(s.Arena, ops)
		return err
	}
	compileStep := func(to *kernels.Program, score []kernels.Op) error {
		return compile(to, append(append([]kernels.Op{point}, score...), slope, kernels.Tick{State: l.state})...)
	}
	if err := compileStep(&p.step, s.Ops); err != nil {
		return nil, err
	}
	if g != nil {
		score, err := g.score(s)
		if err != nil {
			return nil, err
		}
		if err := compileStep(&p.guided, score); err != nil {
			return nil, err
		}
	}
	if err := compile(&p.take, accept); err != nil {
		return nil, err
	}
	if err := compile(&p.last, last); err != nil {
		return nil, err
	}
	for _, of := range []int{rkState, rkSlope, rkChange, rkErrors} {
		var program kernels.Program
		if err := compile(&program, kernels.ODENorm{ODE: p.ODE, Of: of, Tol: l.tol, Err: l.err}); err != nil {
			return nil, err
		}
		p.norms[of] = program
	}
	return p, nil
}

// start sets the state to rows x (N, D), and the integral to 0.
func (p *deviceSolver) start(x []float64) error {
	words := make([]float32, p.X.N)
	whole := kernels.Buf{N: len(words)}
	for i, v := range x {
		kernels.SetFloat64(words, whole, i/p.D*p.E+i%p.D, v)
	}
	return p.score.Arena.Write(p.X, words)
}

// state returns the state (N, E).
func (p *deviceSolver) state() ([]float64, error) {
	words := make([]float32, p.X.N)
	if err := p.score.Arena.Read(words, p.X); err != nil {
		return nil, err
	}
	x := make([]float64, len(words)/kernels.Float64Words)
	for i := range x {
		x[i] = kernels.Float64At(words, kernels.Buf{N: len(words)}, i)
	}
	return x, nil
}

func (p *deviceSolver) prepare(stage int, h []float64, sigmas *[rkEvals][]float64) error {
	l, n := &p.layout, len(h)
	kernels.SetStep(l.state.Of(p.block), uint64(stage*p.Repeat))
	for i, v := range h {
		kernels.SetFloat64(p.block, l.h, i, v)
	}
	for stage, of := range sigmas {
		for i, v := range of {
			level, scale := 0, 1.0
			if v > 0 {
				level = p.ladder.Nearest(v)
				if p.score.ByLevel { // see Plan.table
					scale = float64(p.ladder[level]) / v
				}
			}
			kernels.SetFloat64(p.block, l.sigmas, stage*n+i, v)
			kernels.SetFloat64(p.block, l.scale, stage*n+i, scale)
			kernels.SetWord(p.block, l.levels, stage*n+i, uint32(level))
		}
	}
	return p.score.Arena.Write(p.score.Work.Slice(0, len(p.block)), p.block)
}

func (p *deviceSolver) evaluate() error {
	step := p.step
	if p.guides {
		step = p.guided
	}
	for range p.Repeat {
		if err := step.Run(); err != nil {
			return err
		}
	}
	return nil
}

func (p *deviceSolver) norm(of int, dst []float64) error {
	if err := p.norms[of].Run(); err != nil {
		return err
	}
	if err := p.score.Arena.Read(p.errs, p.score.Work.Slice(p.layout.err.Off, p.layout.err.N)); err != nil {
		return err
	}
	for n := range dst {
		dst[n] = kernels.Float64At(p.errs, kernels.Buf{N: len(p.errs)}, n)
	}
	return nil
}

func (p *deviceSolver) accept() error { return p.take.Run() }

// denoise gives the network's X the state without its noise, by the slope there.
func (p *deviceSolver) denoise() error { return p.last.Run() }
