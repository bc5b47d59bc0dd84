package model

import (
	"math"
	"strings"
	"testing"
)

// Ladders of the published configurations, float64 rounded to float32 once.
func TestGeometric(t *testing.T) {
	l, err := Geometric(1, 0.01, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{1, 0.5994843, 0.3593814, 0.2154435, 0.1291550, 0.0774264, 0.0464159, 0.0278256,
		0.0166810, 0.01} {
		if math.Abs(float64(l[i])-want) > 5e-8 {
			t.Errorf("level %d of 1 to 0.01: %v, expected %v", i, l[i], want)
		}
	}
	if l, err = Geometric(50, 0.01, 232); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]float32{0: 50, 1: 48.190025, 2: 46.445569, 115: 0.72026354, 230: 0.010375591,
		231: 0.01} {
		if l[i] != want {
			t.Errorf("level %d of 50 to 0.01: %v, expected %v", i, l[i], want)
		}
	}
	if g := l.Ratio(); math.Abs(g-1.037559) > 1e-6 {
		t.Errorf("ratio %v, expected 1.037559", g)
	}
	if l, err = Geometric(0.3, 0, 1); err != nil || len(l) != 1 || l[0] != 0.3 || l.Ratio() != 1 {
		t.Errorf("a single level: %v, %v", l, err)
	}
}

func TestGeometricRefuses(t *testing.T) {
	for _, c := range []struct {
		begin, end float64
		levels     int
		want       string
	}{
		{1, 0.1, 0, "levels is 0"}, {1, 0.1, -3, "levels is -3"},
		{0, 0.1, 3, "sigma-begin is 0"}, {math.NaN(), 0.1, 3, "sigma-begin is NaN"},
		{math.Inf(1), 0.1, 3, "sigma-begin is +Inf"}, {1, 0, 3, "sigma-end is 0"},
		{1, 1, 3, "not larger"}, {0.1, 1, 3, "not larger"},
	} {
		if _, err := Geometric(c.begin, c.end, c.levels); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v to %v in %d: error %v, expected %q", c.begin, c.end, c.levels, err, c.want)
		}
	}
}

// The linear ladder is numpy.linspace rounded to float32; its ratio is the largest, that of the last two levels.
func TestLinear(t *testing.T) {
	l, err := NewLadder(LinearSpacing, 1, 0.01, 10)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float32{1, 0.89, 0.78, 0.67, 0.56, 0.45, 0.34, 0.23, 0.12, 0.01} {
		if l[i] != want {
			t.Errorf("level %d: %v, expected %v", i, l[i], want)
		}
	}
	if g := l.Ratio(); math.Abs(g-12) > 1e-6 {
		t.Errorf("ratio %v, expected 12", g)
	}
	if _, err := NewLadder("quadratic", 1, 0.1, 3); err == nil ||
		!strings.Contains(err.Error(), `spacing is "quadratic": expected geometric or linear`) {
		t.Errorf("an unknown spacing: error %v", err)
	}
}
