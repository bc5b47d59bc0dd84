// The probability flow ODE by the adaptive Runge-Kutta method of Dormand and Prince 1980, order 5 with an error of order
// 4, in u = ln sigma:
//
//	dx/du = -sigma^2 s(x, sigma)
//	error of a step = sqrt(mean over the row of (e_i / (tol + tol max(|x_i|, |x_i new|)))^2), accepted below 1
//	next step       = h clamp(0.9 error^(-1/5), 0.2, 10), and no larger than h after a rejection
//
// Each row has its own sigma and its own steps, so that a sample does not depend on its batch; rows that are done stand
// still. This file chooses the steps. The states, in float64, and all arithmetic on them are a [solver]'s: ode.go has that
// of a device. A step writes one small block to it and reads one, the errors. The first step is by the rule of Hairer,
// Norsett and Wanner (Solving ordinary differential equations I, II.4).

package sample

import (
	"fmt"
	"math"
)

// The method: nodes, stages, the last of which are the solution's weights, and weights of the error.
var (
	rkNodes  = [7]float64{0, 1. / 5, 3. / 10, 4. / 5, 8. / 9, 1, 1}
	rkStages = [7][6]float64{
		{},
		{1. / 5},
		{3. / 40, 9. / 40},
		{44. / 45, -56. / 15, 32. / 9},
		{19372. / 6561, -25360. / 2187, 64448. / 6561, -212. / 729},
		{9017. / 3168, -355. / 33, 46732. / 5247, 49. / 176, -5103. / 18656},
		{35. / 384, 0, 500. / 1113, 125. / 192, -2187. / 6784, 11. / 84},
	}
	rkError = [7]float64{-71. / 57600, 0, 71. / 16695, -71. / 1920, 17253. / 339200, -22. / 525, 1. / 40}
)

// maxTrials ends a run that does not come to its end: the step sizes have become as small as the errors of the network.
const maxTrials = 2000

// The rows of the method's table: its stages, of which the first is the slope at x, and the point of the rule for the first
// step; then what norms are taken of.
const (
	rkLast   = 6 // the last stage: the solution, whose slope is the next step's first
	rkGuess  = 7
	rkEvals  = 8           // rows that evaluate the score
	rkErrors = rkEvals     // the error of a step
	rkSlope  = rkEvals + 1 // the first slope
	rkChange = rkEvals + 2 // how much the slope changes to the point of rkGuess
	rkRows   = rkEvals + 3
	rkState  = -1 // x itself
)

// rkRow is the coefficients of the slopes in a row of the table.
func rkRow(i int) (of [7]float64) {
	switch i {
	case rkGuess, rkSlope:
		of[0] = 1
	case rkErrors:
		of = rkError
	case rkChange:
		of[0], of[1] = -1, 1
	default:
		copy(of[:], rkStages[i][:])
	}
	return of
}

// rkSlot is where the slope of a stage is kept. It is made of the slopes before it.
func rkSlot(stage int) int {
	if stage == rkGuess {
		return 1
	}
	return stage
}

// trial is what a step of every row was: where it began, its size, its error, and whether it was taken. A row that is
// done has the size 0.
type trial struct {
	u, h, err []float64
	accepted  []bool
}

// solver has the rows' states and slopes.
type solver interface {
	// prepare says what comes next: evaluations from a stage on, with a step and the noise levels of the stages for each row.
	prepare(stage int, h []float64, sigmas *[rkEvals][]float64) error
	// evaluate keeps the slope at the point of the next stage.
	evaluate() error
	// norm writes the norms of the rows of one of the table's.
	norm(of int, dst []float64) error
	// accept takes the steps of rows whose error was below 1.
	accept() error
}

// rungeKutta integrates rows in u = ln sigma from sigma begin to sigma end, down or up. size is the first step's, 0 for the
// rule's. It returns how often each row was evaluated.
func rungeKutta(s solver, rows int, begin, end, size float64, each func(nfe int, t trial, last bool) error) (nfe int, err error) {
	var sigmas [rkEvals][]float64
	for i := range sigmas {
		sigmas[i] = make([]float64, rows)
	}
	u, h, signed, rejected := make([]float64, rows), make([]float64, rows), make([]float64, rows), make([]bool, rows)
	errs := make([]float64, rows)
	to, way := math.Log(end), 1.0 // h is a size: u changes by way h
	if end < begin {
		way = -1
	}
	for n := range u {
		u[n] = math.Log(begin)
		sigmas[0][n] = math.Exp(u[n])
	}
	evaluate := func() error {
		nfe++
		return s.evaluate()
	}
	if err := s.prepare(0, signed, &sigmas); err != nil {
		return nfe, err
	}
	if err := evaluate(); err != nil {
		return nfe, err
	}

	for n := range h {
		h[n] = size
	}
	if size == 0 {
		first, d0, d1, d2 := make([]float64, rows), make([]float64, rows), make([]float64, rows), make([]float64, rows)
		if err := s.norm(rkState, d0); err != nil {
			return nfe, err
		}
		if err := s.norm(rkSlope, d1); err != nil {
			return nfe, err
		}
		for n := range u {
			first[n] = 1e-6
			if d0[n] >= 1e-5 && d1[n] >= 1e-5 {
				first[n] = min(0.01*d0[n]/d1[n], math.Abs(to-u[n])) // where slopes are small, the rule looks beyond the end
			}
			signed[n] = way * first[n]
			sigmas[rkGuess][n] = math.Exp(u[n] + signed[n])
		}
		if err := s.prepare(rkGuess, signed, &sigmas); err != nil {
			return nfe, err
		}
		if err := evaluate(); err != nil {
			return nfe, err
		}
		if err := s.norm(rkChange, d2); err != nil {
			return nfe, err
		}
		for n := range u {
			d2 := d2[n] / first[n]
			second := max(1e-6, first[n]*1e-3)
			if d1[n] > 1e-15 || d2 > 1e-15 {
				second = math.Pow(0.01/max(d1[n], d2), 1./5)
			}
			h[n] = min(100*first[n], second)
		}
	}

	for trials := 0; ; trials++ {
		if trials == maxTrials {
			return nfe, fmt.Errorf("rk45 is at sigma %.3g after %d steps and comes no further: the score is too rough "+
				"for the tolerance; raise it", math.Exp(u[0]), trials)
		}
		t := trial{u: append([]float64(nil), u...), h: make([]float64, rows), err: make([]float64, rows),
			accepted: make([]bool, rows)}
		for n := range u {
			if way*(u[n]+way*h[n]-to) > 0 {
				h[n] = way * (to - u[n])
			}
			t.h[n] = way * h[n]
			for stage := 1; stage <= rkLast; stage++ {
				sigmas[stage][n] = math.Exp(u[n] + rkNodes[stage]*t.h[n])
			}
		}
		if err := s.prepare(1, t.h, &sigmas); err != nil {
			return nfe, err
		}
		for range rkLast {
			if err := evaluate(); err != nil {
				return nfe, err
			}
		}
		if err := s.norm(rkErrors, errs); err != nil {
			return nfe, err
		}
		done := true
		for n := range u {
			if h[n] == 0 {
				continue
			}
			e := errs[n]
			if math.IsNaN(e) || math.IsInf(e, 0) {
				return nfe, fmt.Errorf("sample %d of a batch became %g at sigma %.3g: the weights are not finite, or rk45 "+
					"ran away", n, e, math.Exp(u[n]))
			}
			t.err[n], t.accepted[n] = e, e < 1
			factor := 10.0
			if e > 0 {
				factor = min(10, max(0.2, 0.9*math.Pow(e, -1./5)))
			}
			if !t.accepted[n] {
				h[n], rejected[n], done = h[n]*factor, true, false
				continue
			}
			if rejected[n] {
				factor = min(1, factor)
			}
			rejected[n] = false
			u[n] += t.h[n]
			if way*(u[n]-to) >= -1e-14 { // what rounding leaves
				u[n] = to
			}
			h[n] *= factor
			done = done && u[n] == to
		}
		if err := s.accept(); err != nil {
			return nfe, err
		}
		if each != nil {
			if err := each(nfe, t, done); err != nil {
				return nfe, err
			}
		}
		if done {
			return nfe, nil
		}
	}
}

// adaptive runs rk45 from what is in the score's X.
func (c *Chain) adaptive(each func(Step) error) error {
	s, o := c.score, &c.plan.Settings
	words := make([]float32, s.N*s.D)
	if err := s.Arena.Read(words, s.X); err != nil {
		return err
	}
	begin, end := c.plan.Sigmas[0], c.plan.Sigmas[1]
	if err := c.ode.start(float64s(words)); err != nil {
		return err
	}
	step, nfe := Step{Sigma: begin, score: s}, 0
	cuts := c.plan.guidance.cuts(begin, end)
	for i, to := range cuts[1:] {
		inside, ends := math.Sqrt(cuts[i]*to), i+2 == len(cuts)
		c.ode.guides = c.plan.guidance.at(inside)
		before, cost := nfe, c.plan.evaluations(inside)
		steps, err := rungeKutta(c.ode, s.N, cuts[i], to, 0, func(steps int, t trial, last bool) error {
			if each == nil || last && ends {
				return nil
			}
			step.NFE, step.Left = before+cost*steps, math.Exp(t.u[0])
			if t.accepted[0] {
				step.Left = math.Exp(t.u[0] + t.h[0])
			}
			err := each(step)
			step.K, step.Sigma = step.K+1, step.Left
			return err
		})
		if err != nil {
			return err
		}
		nfe += cost * steps
	}
	if o.Denoise {
		if err := c.ode.denoise(); err != nil {
			return err
		}
	}
	if each == nil {
		return nil
	}
	step.NFE, step.Left, step.Last, step.Denoised = nfe, end, true, o.Denoise
	if o.Denoise {
		step.Left = 0
	}
	return each(step)
}

func float64s(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, e := range v {
		out[i] = float64(e)
	}
	return out
}
