// The probability flow ODE by the adaptive Runge-Kutta method of Dormand and Prince 1980, order 5 with an error of order
// 4, in u = ln sigma:
//
//	dx/du = -sigma^2 s(x, sigma)
//	error of a step = sqrt(mean over the row of (e_i / (tol + tol max(|x_i|, |x_i new|)))^2), accepted below 1
//	next step       = h clamp(0.9 error^(-1/5), 0.2, 10), and no larger than h after a rejection
//
// Each row has its own sigma and its own steps, so that a sample does not depend on its batch; rows that are done stand
// still. State and sums are float64 on the host, the network runs on the device. The first step is by the rule of
// Hairer, Norsett and Wanner (Solving ordinary differential equations I, II.4).

package sample

import (
	"fmt"
	"math"
	"slices"

	"sigmaz/kernels"
	"sigmaz/model"
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

// trial is what a step of every row was: where it began, its size, its error, and whether it was taken. A row that is
// done has the size 0.
type trial struct {
	u, h, err []float64
	accepted  []bool
	x         []float64 // at the steps' ends
}

// field writes the slopes dx/du of rows x to dst, each at its own sigma.
type field func(dst, x, sigma []float64) error

// flow is the field of the probability flow ODE. score writes s of every row, each at its own sigma.
func flow(score field) field {
	return func(dst, x, sigma []float64) error {
		if err := score(dst, x, sigma); err != nil {
			return err
		}
		d := len(x) / len(sigma)
		for i := range dst {
			s := sigma[i/d]
			dst[i] *= -s * s
		}
		return nil
	}
}

// rungeKutta integrates rows of d values in u = ln sigma from sigma begin to sigma end, down or up. x holds the rows and
// then the result. size is the first step's, 0 for the rule's. It returns the slope at the end, and how often slope was
// called.
func rungeKutta(slope field, x []float64, d int, begin, end, tol, size float64,
	each func(nfe int, t trial, last bool) error) (last []float64, nfe int, err error) {
	rows := len(x) / d
	row := func(v []float64, n int) []float64 { return v[n*d : (n+1)*d] }
	sigma := make([]float64, rows)
	evaluate := func(dst, x, u []float64) error {
		for n := range sigma {
			sigma[n] = math.Exp(u[n])
		}
		nfe++
		return slope(dst, x, sigma)
	}
	var k [7][]float64
	for i := range k {
		k[i] = make([]float64, len(x))
	}
	at, u, h := make([]float64, len(x)), make([]float64, rows), make([]float64, rows)
	uAt, rejected := make([]float64, rows), make([]bool, rows)
	to, way := math.Log(end), 1.0 // h is a size: u changes by way h
	if end < begin {
		way = -1
	}
	for n := range u {
		u[n] = math.Log(begin)
	}
	if err := evaluate(k[0], x, u); err != nil {
		return nil, nfe, err
	}

	for n := range h {
		h[n] = size
	}
	if size == 0 {
		first, d1 := make([]float64, rows), make([]float64, rows)
		for n := range u {
			d0 := norm(row(x, n), row(x, n), row(x, n), tol)
			d1[n] = norm(row(k[0], n), row(x, n), row(x, n), tol)
			first[n] = 1e-6
			if d0 >= 1e-5 && d1[n] >= 1e-5 {
				first[n] = 0.01 * d0 / d1[n]
			}
			uAt[n] = u[n] + way*first[n]
			for i, v := range row(x, n) {
				row(at, n)[i] = v + way*first[n]*row(k[0], n)[i]
			}
		}
		if err := evaluate(k[1], at, uAt); err != nil {
			return nil, nfe, err
		}
		for n := range u {
			change := make([]float64, d)
			for i := range change {
				change[i] = row(k[1], n)[i] - row(k[0], n)[i]
			}
			d2 := norm(change, row(x, n), row(x, n), tol) / first[n]
			second := max(1e-6, first[n]*1e-3)
			if d1[n] > 1e-15 || d2 > 1e-15 {
				second = math.Pow(0.01/max(d1[n], d2), 1./5)
			}
			h[n] = min(100*first[n], second)
		}
	}

	for trials := 0; ; trials++ {
		if trials == maxTrials {
			return nil, nfe, fmt.Errorf("rk45 is at sigma %.3g after %d steps and comes no further: the score is too rough "+
				"for the tolerance; raise it", math.Exp(u[0]), trials)
		}
		t := trial{u: append([]float64(nil), u...), h: make([]float64, rows), err: make([]float64, rows),
			accepted: make([]bool, rows), x: make([]float64, len(x))}
		for n := range u {
			if way*(u[n]+way*h[n]-to) > 0 {
				h[n] = way * (to - u[n])
			}
			t.h[n] = way * h[n]
		}
		for stage := 1; stage < 7; stage++ {
			for n := range u {
				uAt[n] = u[n] + rkNodes[stage]*t.h[n]
				for i, v := range row(x, n) {
					sum := 0.0
					for j, a := range rkStages[stage][:stage] {
						sum += a * row(k[j], n)[i]
					}
					row(at, n)[i] = v + t.h[n]*sum
				}
			}
			if err := evaluate(k[stage], at, uAt); err != nil {
				return nil, nfe, err
			}
		}
		copy(t.x, at)
		done := true
		for n := range u {
			if h[n] == 0 {
				continue
			}
			wrong := make([]float64, d)
			for i := range wrong {
				for j, e := range rkError {
					wrong[i] += e * row(k[j], n)[i]
				}
				wrong[i] *= h[n]
			}
			e := norm(wrong, row(x, n), row(at, n), tol)
			if math.IsNaN(e) || math.IsInf(e, 0) {
				return nil, nfe, fmt.Errorf("sample %d of a batch became %g at sigma %.3g: the weights are not finite, or rk45 "+
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
			copy(row(x, n), row(at, n))
			copy(row(k[0], n), row(k[6], n))
			done = done && u[n] == to
		}
		if each != nil {
			if err := each(nfe, t, done); err != nil {
				return nil, nfe, err
			}
		}
		if done {
			return k[0], nfe, nil
		}
	}
}

// norm returns the root mean square of v over tol + tol max(|a|, |b|).
func norm(v, a, b []float64, tol float64) float64 {
	sum := 0.0
	for i, e := range v {
		e /= tol + tol*max(math.Abs(a[i]), math.Abs(b[i]))
		sum += e * e
	}
	return math.Sqrt(sum / float64(len(v)))
}

// evaluate writes s of every row at its own sigma to dst.
func (c *Chain) evaluate(dst, x, sigma []float64) error {
	s := c.score
	scale := make([]float64, s.N)
	words, sigmas, levels := make([]float32, len(x)), make([]float32, s.N), make([]float32, s.N)
	for i, v := range x {
		words[i] = float32(v)
	}
	for n, v := range sigma {
		level := c.ladder.Nearest(v)
		sigmas[n], scale[n] = float32(v), 1
		kernels.SetWord(levels, kernels.Buf{N: s.N}, n, uint32(level))
		if s.ByLevel { // see Plan.table
			scale[n] = float64(c.ladder[level]) / v
		}
	}
	for _, w := range []struct {
		to   kernels.Buf
		from []float32
	}{{s.X, words}, {s.Sigma, sigmas}, {s.Level, levels}} {
		if err := s.Arena.Write(w.to, w.from); err != nil {
			return err
		}
	}
	program := c.step
	if g := c.plan.guidance; slices.ContainsFunc(sigma, g.at) { // rows outside the interval have the weight 1
		program = c.guided
		if err := g.writeWeights(s, func(row int) float64 { return sigma[row] }); err != nil {
			return err
		}
		c.nfe++
	}
	c.nfe++
	if err := program.Run(); err != nil {
		return err
	}
	if err := s.Arena.Read(words, s.S); err != nil {
		return err
	}
	for i, v := range words {
		dst[i] = scale[i/s.D] * float64(v)
	}
	return nil
}

// adaptive runs rk45 from what is in the score's X.
func (c *Chain) adaptive(each func(Step) error) error {
	s := c.score
	words := make([]float32, s.N*s.D)
	if err := s.Arena.Read(words, s.X); err != nil {
		return err
	}
	x := model.Ladder(words).Float64s()
	write := func(x []float64) error {
		for i, v := range x {
			words[i] = float32(v)
		}
		return s.Arena.Write(s.X, words)
	}
	o := &c.plan.Settings
	begin, end := c.plan.Sigmas[0], c.plan.Sigmas[1]
	step := Step{Sigma: begin, score: s}
	c.nfe = 0
	slope, _, err := rungeKutta(flow(c.evaluate), x, s.D, begin, end, o.Tolerance, 0, func(_ int, t trial, last bool) error {
		if each == nil || last {
			return nil
		}
		step.NFE, step.Left = c.nfe, math.Exp(t.u[0]+t.h[0])
		if err := write(x); err != nil {
			return err
		}
		err := each(step)
		step.K, step.Sigma = step.K+1, step.Left
		return err
	})
	if err != nil {
		return err
	}
	if o.Denoise { // the slope at the end is -sigma^2 s
		for i := range x {
			x[i] -= slope[i]
		}
	}
	if err := write(x); err != nil || each == nil {
		return err
	}
	step.NFE, step.Left, step.Last, step.Denoised = c.nfe, end, true, o.Denoise
	if o.Denoise {
		step.Left = 0
	}
	return each(step)
}
