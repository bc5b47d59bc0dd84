package sample

import (
	"errors"
	"math"
	"slices"
	"testing"

	"sigmaz/model"
)

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

// twinSolver is a [solver] in float64 on the host, of any field, for rows of d values.
type twinSolver struct {
	slope field
	x, at []float64
	k     [7][]float64
	d     int
	tol   float64

	stage  int
	h      []float64
	sigmas *[rkEvals][]float64
	errs   []float64
}

func newTwinSolver(slope field, x []float64, d int, tol float64) *twinSolver {
	w := &twinSolver{slope: slope, x: x, at: make([]float64, len(x)), d: d, tol: tol}
	for i := range w.k {
		w.k[i] = make([]float64, len(x))
	}
	return w
}

func (w *twinSolver) prepare(stage int, h []float64, sigmas *[rkEvals][]float64) error {
	w.stage, w.h, w.sigmas = stage, h, sigmas
	return nil
}

// sum is what slopes give at value i by the coefficients of a row of the table.
func (w *twinSolver) sum(row, i int) (sum float64) {
	for j, a := range rkRow(row) {
		sum += a * w.k[j][i]
	}
	return sum
}

func (w *twinSolver) evaluate() error {
	for i, v := range w.x {
		sum := 0.0
		for j, a := range rkRow(w.stage) {
			if j < rkSlot(w.stage) {
				sum += a * w.k[j][i]
			}
		}
		w.at[i] = v + w.h[i/w.d]*sum
	}
	stage := w.stage
	w.stage++
	return w.slope(w.k[rkSlot(stage)], w.at, w.sigmas[stage])
}

func (w *twinSolver) norm(of int, dst []float64) error {
	for n := range dst {
		sum := 0.0
		for i := n * w.d; i < (n+1)*w.d; i++ {
			e, most := w.x[i], math.Abs(w.x[i])
			if of != rkState {
				e = w.sum(of, i)
			}
			if of == rkErrors {
				e *= math.Abs(w.h[n])
				most = max(most, math.Abs(w.at[i]))
			}
			e /= w.tol + w.tol*most
			sum += e * e
		}
		dst[n] = math.Sqrt(sum / float64(w.d))
	}
	w.errs = dst
	return nil
}

func (w *twinSolver) accept() error {
	for i := range w.x {
		if n := i / w.d; w.h[n] != 0 && w.errs[n] < 1 {
			w.x[i], w.k[0][i] = w.at[i], w.k[6][i]
		}
	}
	return nil
}

// tracedScore writes s of every row and the trace of ds/dx, or an estimate, each at its own sigma.
type tracedScore func(s, trace, x, sigma []float64) error

// twinLikelihood takes rows x of d values, in place, from sigma low to sigma high, where they are taken to be from
// N(0, prior^2), and returns their log densities.
func twinLikelihood(score tracedScore, x []float64, d int, low, high, prior, tol float64) (logp []float64, nfe int, err error) {
	rows := len(x) / d
	pairs := make([]float64, rows*(d+1))
	for n := range rows {
		copy(pairs[n*(d+1):], x[n*d:(n+1)*d])
	}
	at, s, trace := make([]float64, len(x)), make([]float64, len(x)), make([]float64, rows)
	slope := func(dst, pairs, sigma []float64) error {
		for n := range rows {
			copy(at[n*d:(n+1)*d], pairs[n*(d+1):])
		}
		if err := score(s, trace, at, sigma); err != nil {
			return err
		}
		for n, sigma := range sigma {
			to := dst[n*(d+1) : (n+1)*(d+1)]
			for i, v := range s[n*d : (n+1)*d] {
				to[i] = -sigma * sigma * v
			}
			to[d] = -sigma * sigma * trace[n]
		}
		return nil
	}
	if nfe, err = rungeKutta(newTwinSolver(slope, pairs, d+1, tol), rows, low, high, 0, nil); err != nil {
		return nil, nfe, err
	}
	logp, latent := logDensities(pairs, d, prior)
	copy(x, latent)
	return logp, nfe, nil
}

// A device has the bits of the twin whose score is rounded to float32 as the device's is: states, noise of the steps and
// number of evaluations, without the trace, with a probe and with the exact trace.
func TestSolverBits(t *testing.T) {
	f := readOracles(t, "testdata/sampler-oracles.json")
	x, d := f.Tensors["likelihood.x"].Data, f.Tensors["likelihood.x"].Shape[1]
	rows := len(x) / d
	probe := make([]float32, len(x))
	for i := range probe {
		probe[i] = float32(1 - 2*(i*i%3%2))
	}
	rounded := func(v []float64) []float64 { return float64s(float32s(v)) }
	for kind, name := range map[traceKind]string{noTrace: "no trace", probeTrace: "a probe", exactTrace: "the exact trace"} {
		for _, way := range [][2]float64{{0.02, 10}, {10, 0.02}} {
			e := kind.values(d)
			states := make([]float64, rows*e)
			for n := range rows {
				copy(states[n*e:], rounded(x[n*d:(n+1)*d]))
			}
			twin := newTwinSolver(func(dst, states, sigma []float64) error {
				s, product, unit := make([]float64, d), make([]float64, d), make([]float64, d)
				for n, sigma := range sigma {
					at, told := rounded(states[n*e:n*e+d]), float64(float32(sigma))
					f.mix.score(s, at, told, n)
					trace := 0.0
					for i := range d {
						dst[n*e+i] = float64(float32(s[i])) * -(sigma * sigma)
						if kind != exactTrace {
							continue
						}
						clear(unit)
						unit[i] = 1
						f.mix.product(product, at, unit, told)
						trace += float64(float32(product[i]))
					}
					if kind == probeTrace {
						v := float64s(probe[n*d : (n+1)*d])
						f.mix.product(product, at, v, told)
						for i := range v {
							trace += float64(float32(product[i])) * v[i]
						}
					}
					if kind != noTrace {
						dst[n*e+d] = trace * -(sigma * sigma)
					}
				}
				return nil
			}, states, e, 1e-4)
			nfe, err := rungeKutta(twin, rows, way[0], way[1], 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			onDevices(t, func(t *testing.T, on device) {
				s := f.mix.withProduct(t, rows, d, likelihoodWords(rows, d), on.move)
				p, err := newDeviceSolver(s, model.Ladder{10, 0.02}, 1e-4, kind, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(s.Arena.Write(s.V, probe), p.start(rounded(x))); err != nil {
					t.Fatal(err)
				}
				evaluations, err := rungeKutta(p, rows, way[0], way[1], 0, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := p.state()
				if err != nil {
					t.Fatal(err)
				}
				if evaluations != nfe || !slices.Equal(got, twin.x) {
					t.Errorf("%s, %s, sigma %g to %g: %d evaluations to %v, the twin has %d to %v", on.name, name, way[0], way[1], evaluations,
						got[:e], nfe, twin.x[:e])
				}
			})
		}
	}
}
