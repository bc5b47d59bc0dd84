// Guidance on a mixture of Gaussians whose components are classes: the scores of all of them and of each are known.

package sample

import (
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
		if sampler.Name == "rk45" { // each of its rows is at a sigma of its own
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
