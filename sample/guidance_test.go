// Guidance on a mixture of Gaussians whose components are classes: the scores of all of them and of each are known.

package sample

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

// labelled is two classes in the plane.
var labelled = &mixture{[]float64{0.7, 0.3}, [][]float64{{1, -0.5}, {-0.8, 0.4}},
	[][][]float64{diagonal([]float64{0.09, 0.25}), diagonal([]float64{0.16, 0.04})}}

// classScore is the score of a class, or of the mixture for none.
func classScore(dst, x []float64, sigma float64, class int) {
	m := labelled
	if class < len(labelled.weights) {
		m = labelled.component(class)
	}
	m.score(dst, x, sigma, 0)
}

// guidedScore is the formula.
func guidedScore(g *Guidance, dst, x []float64, sigma float64, class int) {
	classScore(dst, x, sigma, class)
	if g == nil || sigma < g.Low || sigma > g.High {
		return
	}
	u := make([]float64, len(x))
	classScore(u, x, sigma, len(labelled.weights))
	for i := range dst {
		dst[i] = u[i] + g.Weight*(dst[i]-u[i])
	}
}

// guidedChain makes a chain on a batch of n rows, each of the given classes in turn.
func guidedChain(t *testing.T, p *Plan, l model.Ladder, n int, classes []uint32, z noise, on device) *Chain {
	t.Helper()
	s, err := model.ClassScoreFunc(n, 2, p.WorkWords(n, 2)+len(z.given), len(labelled.weights),
		func(dst, x []float32, sigma float32, class int) {
			field64(func(dst, x []float64, sigma float64, _ int) { classScore(dst, x, sigma, class) }).float32s()(dst, x, sigma)
		})
	if err != nil {
		t.Fatal(err)
	}
	on.move(t, s)
	if err := s.SetClasses(classes); err != nil {
		t.Fatal(err)
	}
	c, err := newChain(s, p, l, z)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every sampler on the device, guided in an interval, against the same steps with the formula in float64.
func TestGuidance(t *testing.T) {
	const n = 5
	l := ladder(t, 3, 0.1, 8)
	classes := []uint32{0, 1, 1, 2, 0}
	x0 := make([]float32, 2*n)
	kernels.Stream{Seed: 4, Purpose: kernels.PurposeData}.Normals(x0)
	for i := range x0 {
		x0[i] *= 3
	}
	for _, sampler := range Samplers {
		if sampler.Name == "rk45" { // has no steps known beforehand: TestGuidedODE
			continue
		}
		for _, g := range []*Guidance{nil, {2.5, 0, math.Inf(1)}, {2.5, 0.3, 1.5}, {0, 0.3, 1.5}, {1, 0, math.Inf(1)}, {3, 5, 9}} {
			t.Run(fmt.Sprint(sampler.Name, " ", g), func(t *testing.T) {
				o := Defaults(sampler.Name, true)
				o.T, o.NFE = 2, 0
				p, err := NewPlan(o, l)
				if err != nil {
					t.Fatal(err)
				}
				if g != nil {
					p.Guide(*g)
				}
				score := field64(func(dst, x []float64, sigma float64, row int) {
					guidedScore(g, dst, x, sigma, int(classes[row]))
				})
				want := model.Ladder(x0).Float64s()
				var draws [][]float64
				nfe := 0
				for k := range p.steps {
					z := make([]float32, 2*n)
					kernels.Stream{Seed: 9, Purpose: kernels.PurposeData, N: uint64(k)}.Normals(z)
					draws = append(draws, model.Ladder(z).Float64s())
					if r, _ := p.at(k); r.sigma > 0 {
						nfe++
						if g != nil && r.sigma >= g.Low && r.sigma <= g.High {
							nfe++
						}
					}
				}
				if p.NFE() != nfe {
					t.Errorf("%d evaluations, expected %d", p.NFE(), nfe)
				}
				p.run(score, want, 2, func(k int) []float64 { return draws[k] }, nil)
				var given []float32
				for _, z := range draws {
					given = append(given, float32s(z)...)
				}
				onDevices(t, func(t *testing.T, on device) {
					c := guidedChain(t, p, l, n, classes, noise{given: given}, on)
					if err := c.score.Arena.Write(c.score.X, x0); err != nil {
						t.Fatal(err)
					}
					evaluations := 0
					if err := c.Run(0, func(s Step) error { evaluations = s.NFE; return nil }); err != nil {
						t.Fatal(err)
					}
					if evaluations != nfe {
						t.Errorf("%s: %d evaluations, expected %d", on.name, evaluations, nfe)
					}
					tol := 2e-5
					for i, v := range readX(t, c.score) {
						if math.Abs(float64(v)-want[i]) > tol*(1+math.Abs(want[i])) {
							t.Errorf("%s: value %d is %g, expected %g", on.name, i, v, want[i])
						}
					}
				})
			})
		}
	}
}

// flowing is a score for which the guided probability flow ODE has a closed form: Gaussians in two coordinates. In the first
// they have one variance, so that the guided score is that of a Gaussian about (1-w) m_u + w m_c; in the second one mean, from
// which x keeps the share ((v_u+sigma^2)/(v_u+sigma_1^2))^((1-w)/2) ((v_c+sigma^2)/(v_c+sigma_1^2))^(w/2).
var flowing = struct {
	mean0, var1 [3]float64 // of two classes, and of none
	var0, mean1 float64
}{[3]float64{0.7, -1.1, 0.2}, [3]float64{0.04, 0.3, 0.9}, 0.25, 0.4}

// flowOf takes (x, y) of a class from sigma s to sigma t with the weight w.
func flowOf(x, y float64, class int, w, s, t float64) (float64, float64) {
	f := &flowing
	m := (1-w)*f.mean0[2] + w*f.mean0[class]
	share := func(v float64) float64 { return math.Sqrt((v + t*t) / (v + s*s)) }
	return m + (x-m)*share(f.var0), f.mean1 + (y-f.mean1)*math.Pow(share(f.var1[2]), 1-w)*math.Pow(share(f.var1[class]), w)
}

// The adaptive solver, guided everywhere, in an interval and nowhere, comes to the closed form, counts its evaluations as the
// score is asked, and a row has the bits that it has alone.
func TestGuidedODE(t *testing.T) {
	const begin, end = 8, 0.05
	l := ladder(t, begin, end, 8)
	classes := []uint32{0, 1, 1, 2, 0}
	n := len(classes)
	x0 := make([]float32, 2*n)
	kernels.Stream{Seed: 4, Purpose: kernels.PurposeData}.Normals(x0)
	for i := range x0 {
		x0[i] *= begin
	}
	for _, g := range []*Guidance{nil, {2.5, 0, math.Inf(1)}, {2.5, 0.3, 1.5}, {3, 0, 1}, {3, 1, 9}, {0, 0.3, 1.5}, {2, 9, 20}, {2, 0, 0.01}} {
		for _, denoise := range []bool{false, true} {
			t.Run(fmt.Sprint(g, denoise), func(t *testing.T) {
				o := Defaults("rk45", true)
				o.Tolerance, o.Denoise = 1e-6, denoise
				p, err := NewPlan(o, l)
				if err != nil {
					t.Fatal(err)
				}
				if g != nil {
					p.Guide(*g)
				}
				weight := func(sigma float64) float64 {
					if g != nil && sigma >= g.Low && sigma <= g.High {
						return g.Weight
					}
					return 1
				}
				var want []float64
				for i, class := range classes {
					x, y := float64(x0[2*i]), float64(x0[2*i+1])
					at := float64(begin)
					for _, to := range []float64{9, 1.5, 1, 0.3, end} { // every end of an interval
						if to < at {
							x, y = flowOf(x, y, int(class), weight((to+at)/2), at, to)
							at = to
						}
					}
					if denoise {
						f, w := &flowing, weight(end)
						m := (1-w)*f.mean0[2] + w*f.mean0[class]
						x += end * end * (m - x) / (f.var0 + end*end)
						y += end * end * (f.mean1 - y) * ((1-w)/(f.var1[2]+end*end) + w/(f.var1[class]+end*end))
					}
					want = append(want, x, y)
				}
				run := func(t *testing.T, classes []uint32, x0 []float32, on device) (x []float32, nfe int) {
					n, asked := len(classes), 0
					s, err := model.ClassScoreFunc(n, 2, p.WorkWords(n, 2), 2, func(dst, x []float32, sigma float32, class int) {
						f, v := &flowing, float64(sigma)*float64(sigma)
						asked++
						dst[0] = float32((f.mean0[class] - float64(x[0])) / (f.var0 + v))
						dst[1] = float32((f.mean1 - float64(x[1])) / (f.var1[class] + v))
					})
					if err != nil {
						t.Fatal(err)
					}
					on.move(t, s)
					c, err := NewChain(s, p, l, 1)
					if err := errors.Join(err, s.SetClasses(classes), s.Arena.Write(s.X, x0)); err != nil {
						t.Fatal(err)
					}
					left := math.Inf(1)
					if err := c.Run(0, func(s Step) error {
						if s.NFE < nfe || s.Left > left*(1+1e-12) {
							t.Errorf("%s: step %d ends at sigma %g after %d evaluations, the one before at %g after %d", on.name, s.K, s.Left,
								s.NFE, left, nfe)
						}
						nfe, left = s.NFE, s.Left
						return nil
					}); err != nil {
						t.Fatal(err)
					}
					if asked != n*nfe {
						t.Errorf("%s: %d evaluations for each of %d rows, and the score was asked %d times", on.name, nfe, n, asked)
					}
					return readX(t, s), nfe
				}
				onDevices(t, func(t *testing.T, on device) {
					x, _ := run(t, classes, x0, on)
					for i, v := range x {
						if math.Abs(float64(v)-want[i]) > 1e-5*(1+math.Abs(want[i])) {
							t.Errorf("%s: value %d is %g, expected %g", on.name, i, v, want[i])
						}
					}
					for i := range classes {
						if alone, _ := run(t, classes[i:i+1], x0[2*i:2*i+2], on); !slices.Equal(alone, x[2*i:2*i+2]) {
							t.Errorf("%s: row %d is %v, alone %v", on.name, i, x[2*i:2*i+2], alone)
						}
					}
				})
			})
		}
	}
}

// Samples of a class have its moments, whatever is in the batch beside them, and sample k is the same at any batch and
// with any number of workers, guided or not.
func TestClassSamples(t *testing.T) {
	l := ladder(t, 8, 0.01, 40)
	draw := func(n, batch int, g *Guidance, class func(k int) uint32) (all []float32) {
		p, err := NewPlan(Defaults("dpm++-2m-sde", true), l)
		if err != nil {
			t.Fatal(err)
		}
		if g != nil {
			p.Guide(*g)
		}
		c := guidedChain(t, p, l, batch, make([]uint32, batch), noise{seed: 3}, cpu)
		for first := 0; first < n; first += batch {
			classes := make([]uint32, batch)
			for i := range classes {
				classes[i] = class(first + i)
			}
			if err := c.score.SetClasses(classes); err != nil {
				t.Fatal(err)
			}
			if err := Start(c.score, l, 3, uint32(first), Gaussian); err != nil {
				t.Fatal(err)
			}
			if err := c.Run(uint32(first), nil); err != nil {
				t.Fatal(err)
			}
			all = append(all, readX(t, c.score)...)
		}
		return all[:2*n]
	}
	inTurn := func(k int) uint32 { return uint32(k % 2) }
	const n = 4000
	x := draw(n, 500, nil, inTurn)
	for class := range 2 {
		for i := range 2 {
			mean, second := 0.0, 0.0
			for k := class; k < n; k += 2 {
				mean += float64(x[2*k+i]) / (n / 2)
			}
			for k := class; k < n; k += 2 {
				second += (float64(x[2*k+i]) - mean) * (float64(x[2*k+i]) - mean) / (n / 2)
			}
			m, v := labelled.means[class][i], labelled.cov[class][i][i]
			if sd := math.Sqrt(v / (n / 2)); math.Abs(mean-m) > 4*sd || math.Abs(second/v-1) > 0.15 {
				t.Errorf("class %d: mean %.3f and variance %.4f of value %d, expected %.3f and %.4f", class, mean, second, i, m, v)
			}
		}
	}
	for _, g := range []*Guidance{nil, {2, 0.3, 5}} {
		want := draw(14, 14, g, inTurn)
		for _, batch := range []int{1, 4} {
			if got := draw(14, batch, g, inTurn); !slices.Equal(got, want) {
				t.Errorf("guidance %v: samples of batches of %d differ", g, batch)
			}
		}
		if g != nil && slices.Equal(want, draw(14, 14, nil, inTurn)) {
			t.Error("guidance changes nothing")
		}
	}
	// An interval that no step is in leaves every bit, and so does the weight 1.
	plain := draw(14, 14, nil, inTurn)
	for _, g := range []*Guidance{{2, 10, 20}, {1, 0, math.Inf(1)}} {
		if !slices.Equal(draw(14, 14, g, inTurn), plain) {
			t.Errorf("guidance %v changes bits", g)
		}
	}
}

func TestGuidanceCheck(t *testing.T) {
	for want, g := range map[string]Guidance{
		"":                             {2, 0, math.Inf(1)},
		"guidance is -1":               {-1, 0, 1},
		"guidance is NaN":              {math.NaN(), 0, 1},
		"guidance is +Inf":             {math.Inf(1), 0, 1},
		"guidance-interval is 5:0.3":   {2, 5, 0.3},
		"guidance-interval is -1:1":    {2, -1, 1},
		"guidance-interval is NaN:NaN": {2, math.NaN(), math.NaN()},
	} {
		if err := g.Check(); (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v: %v, expected %s", g, err, want)
		}
	}
}
