// Guidance by a class (Ho and Salimans 2022): in an interval of sigma the score is
//
//	s_u + w (s_c - s_u)
//
// of the score with the class, s_c, and the one without, s_u: two evaluations, in one batch of twice the rows. w = 1 is the
// score with the class, w = 0 the one without. For any other w it is the score of no density with noise, so that samples
// of an ODE and of an SDE have different distributions. Outside the interval the score is s_c, in one evaluation.
// (Kynkaanniemi et al. 2024: guidance helps at moderate sigma alone.) The adaptive solver stops at both ends of the interval,
// so that all rows of a batch are guided at once, or none.

package sample

import (
	"fmt"
	"math"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
)

// Guidance is w and the interval of sigma in which it counts.
type Guidance struct{ Weight, Low, High float64 }

// Check returns what is wrong with the guidance, as a [*setting.Error], or nil.
func (g Guidance) Check() error {
	switch {
	case !(g.Weight >= 0) || math.IsInf(g.Weight, 0):
		return setting.Errorf("guidance", "is %g: expected a weight from 0, no class, by 1, the class alone, up, such as 2", g.Weight)
	case !(g.Low >= 0) || !(g.Low < g.High):
		return setting.Errorf("guidance-interval", "is %g:%g: expected LO:HI in sigma, 0 <= LO < HI, such as 0.3:5", g.Low, g.High)
	}
	return nil
}

func (g Guidance) String() string {
	switch {
	case math.IsInf(g.High, 1) && g.Low == 0:
		return fmt.Sprintf("guidance %g", g.Weight)
	case math.IsInf(g.High, 1):
		return fmt.Sprintf("guidance %g at sigma from %g up", g.Weight, g.Low)
	}
	return fmt.Sprintf("guidance %g at sigma %g to %g", g.Weight, g.Low, g.High)
}

// at tells whether the score of a step at sigma is guided.
func (g *Guidance) at(sigma float64) bool { return g != nil && sigma >= g.Low && sigma <= g.High }

// cuts lists the sigmas of a way from begin down to end between which the score is smooth: the ends of the interval, where
// it jumps, are among them.
func (g *Guidance) cuts(begin, end float64) []float64 {
	all := []float64{begin}
	if g != nil {
		for _, sigma := range []float64{g.High, g.Low} {
			if sigma < begin && sigma > end {
				all = append(all, sigma)
			}
		}
	}
	return append(all, end)
}

// Guide makes the plan guide the scores of networks that are told classes: those of a Score made for [model.Guided].
func (p *Plan) Guide(g Guidance) { p.guidance = &g }

// evaluations returns how often a step at sigma evaluates the network.
func (p *Plan) evaluations(sigma float64) int {
	if p.guidance.at(sigma) {
		return 2
	}
	return 1
}

// score gives the weight to a score and returns the operations of the guided one.
func (g *Guidance) score(s *model.Score) ([]kernels.Op, error) {
	if s.GuidedOps == nil {
		panic("sample: the plan guides, and the score was not made for that")
	}
	weights := make([]float32, s.N)
	for n := range weights {
		weights[n] = float32(g.Weight)
	}
	return s.GuidedOps, s.Arena.Write(s.Weight, weights)
}

// compileGuided compiles what a chain runs where the score is guided. It is the program of a step with plain in it, but
// for that.
func (c *Chain) compileGuided(before, after []kernels.Op) error {
	if c.plan.guidance == nil {
		return nil
	}
	score, err := c.plan.guidance.score(c.score)
	if err != nil {
		return err
	}
	ops := append(append(append([]kernels.Op(nil), before...), score...), after...)
	c.guided, err = c.score.Backend.Compile(c.score.Arena, ops)
	return err
}
