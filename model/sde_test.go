package model

import (
	"errors"
	"math"
	"strings"
	"testing"

	"sigmaz/internal/setting"
)

// Identities of the processes: sigma = std/m and back, m of sigma, and g^2 = d(std^2)/dt - 2 f std^2 by differences. The
// kernels' functions, without expm1, agree.
func TestProcess(t *testing.T) {
	near := func(what string, at, got, want, tol float64) {
		t.Helper()
		if !(math.Abs(got-want) <= tol*math.Abs(want)) {
			t.Errorf("%s at t = %g is %.15g, expected %.15g", what, at, got, want)
		}
	}
	for _, s := range []SDE{{}, {Kind: VP}, {Kind: SubVP}, {Kind: VP, BetaMin: 4, BetaMax: 4}} {
		p := s.Completed().On(Ladder{50, 0.01})
		for _, at := range []float64{1e-5, 1e-3, 0.02, 0.3, 0.77, 1} {
			sigma, m, std := p.Sigma(at), p.Mean(at), p.Std(at)
			near("sigma", at, sigma, std/m, 1e-13)
			near("t of sigma", at, p.Time(sigma), at, 1e-12)
			near("m of sigma", at, p.MeanAt(sigma), m, 1e-13)
			h := 1e-4 * at
			slope := (math.Pow(p.Std(at+h), 2) - math.Pow(p.Std(at-h), 2)) / (2 * h)
			near("g^2", at, p.Diffusion(at), slope-2*p.Drift(at)*std*std, 1e-6)
			if b := p.betas(); p.Preserving() {
				near("sigma of the kernels", at, b.Sigma(at), sigma, 1e-12)
				near("t of the kernels", at, b.Time(sigma), at, 1e-9)
				near("m of the kernels", at, b.Mean(sigma), m, 1e-13)
				near("weight of the kernels", at, b.LikelihoodWeight(sigma), p.Diffusion(at)/(std*std), 1e-9)
			}
		}
	}
	// The numbers of DDPM.
	p := SDE{Kind: VP}.Completed()
	table := p.Table(DefaultSteps)
	near("m^2 of the last step", 1, 1/(1+table[999]*table[999]), 4.03583e-5, 1e-5)
	near("std of the first step", 0, table[0]*p.MeanAt(table[0]), 0.01, 1e-12)
	near("m", 1, p.Mean(1), math.Exp(-5.025), 1e-12)
	if l := p.Ladder(DefaultSteps); len(l) != DefaultSteps || float64(l[0]) != float64(float32(table[999])) || !(l[998] > l[999]) {
		t.Errorf("the ladder runs from %g to %g", l[0], l[999])
	}
}

func TestSDECheck(t *testing.T) {
	for _, c := range []struct {
		of   SDE
		want string
	}{
		{SDE{}, ""}, {SDE{Kind: VE, Discrete: true}, ""}, {SDE{Kind: VP}, ""}, {SDE{Kind: SubVP, BetaMin: 1, BetaMax: 10}, ""},
		{SDE{Kind: "vq"}, "sde is"}, {SDE{BetaMin: 1}, "beta-min is for"}, {SDE{Kind: VE, BetaMax: 1}, "beta-max is for"},
		{SDE{Kind: SubVP, Discrete: true}, "sde is subvp, which is not defined on a table"},
		{SDE{Kind: VP, BetaMin: 21}, "beta-min is 21"}, {SDE{Kind: VP, BetaMin: -1}, "beta-min is -1"},
		{SDE{Kind: VP, BetaMax: 1000}, "beta-max is 1000"}, {SDE{Kind: VP, BetaMax: 1}, "beta-max is 1: with"},
		{SDE{Kind: VP, BetaMin: math.NaN()}, "beta-min is NaN"},
	} {
		err := c.of.Check()
		var bad *setting.Error
		if (err == nil) != (c.want == "") || err != nil && (!errors.As(err, &bad) || !strings.Contains(bad.Error(), c.want)) {
			t.Errorf("%+v: error %v, expected %q", c.of, err, c.want)
		}
	}
}
