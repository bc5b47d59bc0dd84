package approx

import (
	"math"
	"strings"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// Comparators fail in silence, so most of these cases are ones that must not pass.
func TestCompare(t *testing.T) {
	loose := Tol{Abs: 1e30, Rel: 1e30, Max: 1e30}
	for _, c := range []struct {
		name      string
		got, want []float32
		tol       Tol
		text      string // part of the error, "" for none
	}{
		{"equal", []float32{1, -2, 3}, []float32{1, -2, 3}, Tol{}, ""},
		{"zeros", make([]float32, 4), make([]float32, 4), Tol{}, ""},
		{"minus zero", []float32{float32(math.Copysign(0, -1))}, []float32{0}, Tol{}, ""},
		{"absolute, inside", []float32{1.25}, []float32{1}, Abs(0.25), ""},
		{"absolute, outside", []float32{1.25}, []float32{1}, Abs(0.2499), "allowed 0.25"},
		{"relative to the element, inside", []float32{110, 1.1}, []float32{100, 1}, Rel(0.11), ""},
		{"relative to the element, outside", []float32{100, 1.5}, []float32{100, 1}, Rel(0.11), "index 1"},
		{"relative to the largest, inside", []float32{100, 1.5}, []float32{100, 1}, RelMax(0.005), ""},
		{"relative to the largest, outside", []float32{100, 1.5}, []float32{100, 1}, RelMax(0.0049), "index 1"},
		{"the largest is that of want", []float32{1e9, 1}, []float32{1, 1}, RelMax(0.5), "index 0"},
		{"the parts add up", []float32{1.6}, []float32{1}, Tol{Abs: 0.25, Rel: 0.25, Max: 0.25}, ""},
		{"the worst is named", []float32{1, 2, 9, 4}, []float32{1, 2.5, 3, 4}, Abs(0.1), "2 of 4 elements differ; worst at index 2: got 9, want 3, error 6, allowed 0.1"},

		{"NaN in got", []float32{1, nan}, []float32{1, 2}, loose, "element 1 of 2 is not finite"},
		{"NaN in want", []float32{1, 2}, []float32{nan, 2}, loose, "element 0 of 2 is not finite"},
		{"NaN in both", []float32{nan}, []float32{nan}, loose, "not finite"},
		{"Inf in got", []float32{inf}, []float32{2}, loose, "not finite"},
		{"Inf in want", []float32{2}, []float32{inf}, loose, "not finite"},
		{"Inf in both", []float32{inf}, []float32{inf}, loose, "not finite"},
		{"Inf of the other sign", []float32{-inf}, []float32{inf}, loose, "not finite"},
		{"NaN as a tolerance", []float32{1}, []float32{1}, Abs(math.NaN()), "allowed NaN"},
		{"negative tolerance", []float32{1}, []float32{1}, Abs(-1), "allowed -1"},

		{"swapped elements", []float32{2, 1}, []float32{1, 2}, RelMax(1e-3), "index 0"},
		{"errors that cancel in a sum", []float32{1.5, 0.5}, []float32{1, 1}, RelMax(0.1), "2 of 2"},
		{"wrong sign", []float32{-1}, []float32{1}, Rel(1), "error 2"},
		{"too short", []float32{1}, []float32{1, 1}, loose, "got 1 elements, want 2"},
		{"too long", []float32{1, 1}, []float32{1}, loose, "got 2 elements, want 1"},
		{"empty", nil, nil, loose, "nothing to compare"},
		{"zeros instead of values", []float32{0, 0}, []float32{1, -1}, RelMax(0.99), "2 of 2"},
		{"values instead of zeros", []float32{0, 1e-30}, []float32{0, 0}, RelMax(0.5), "index 1"},
	} {
		err := Compare("x", c.got, c.want, c.tol)
		switch {
		case c.text == "" && err != nil:
			t.Errorf("%s: %v", c.name, err)
		case c.text != "" && err == nil:
			t.Errorf("%s: no error, expected one with %q", c.name, c.text)
		case c.text != "" && (!strings.Contains(err.Error(), c.text) || !strings.HasPrefix(err.Error(), "x: ")):
			t.Errorf("%s: error is %q, expected %q in it", c.name, err, c.text)
		}
	}
}

func TestCompareOneAmongAMillion(t *testing.T) {
	want := make([]float32, 1_000_000)
	for i := range want {
		want[i] = float32(i%1000) / 1000
	}
	got := append([]float32(nil), want...)
	got[765_432] += 2e-5
	err := Compare("million", got, want, RelMax(1e-5))
	if err == nil || !strings.Contains(err.Error(), "1 of 1000000 elements differ; worst at index 765432") {
		t.Errorf("error is %v", err)
	}
	if err := Compare("million", got, want, RelMax(3e-5)); err != nil {
		t.Error(err)
	}
}

func TestWorst(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want []float32
		abs, rel  float64
	}{
		{"equal", []float32{3, -4}, []float32{3, -4}, 0, 0},
		{"zeros", []float32{0}, []float32{0}, 0, 0},
		{"largest of want", []float32{2, -4}, []float32{1, -4}, 1, 0.25},
		{"zeros wanted", []float32{2}, []float32{0}, 2, math.Inf(1)},
		{"NaN", []float32{nan}, []float32{1}, math.Inf(1), math.Inf(1)},
		{"lengths", []float32{1, 2}, []float32{1}, math.Inf(1), math.Inf(1)},
		{"empty", nil, nil, math.Inf(1), math.Inf(1)},
	} {
		if a, r := WorstAbs(c.got, c.want), WorstRel(c.got, c.want); a != c.abs || r != c.rel {
			t.Errorf("%s: WorstAbs %g, WorstRel %g; expected %g and %g", c.name, a, r, c.abs, c.rel)
		}
		// WorstRel is the tolerance at which RelMax passes.
		if err := Compare(c.name, c.got, c.want, RelMax(c.rel)); (err == nil) != !math.IsInf(c.rel, 1) {
			t.Errorf("%s: Compare at WorstRel: %v", c.name, err)
		}
	}
}
