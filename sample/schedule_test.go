package sample

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"sigmaz/model"
)

func ladder(t testing.TB, begin, end float64, levels int) model.Ladder {
	t.Helper()
	l, err := model.Geometric(begin, end, levels)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// The published settings: ladder, T, step_lr of the config files, what Technique 4 gives and the margin. (For church
// the published step is about twice the minimum; for FFHQ a coarse grid gives 8.90e-7, where r is larger in the ninth
// digit.)
var published = []struct {
	name          string
	begin, end    float64
	levels, T     int
	eps           float64
	technique4    float64 // to three digits
	margin        float64 // 0: not listed
	marginHundred float64 // precision the margin is quoted to
}{
	{"NCSNv2 CIFAR-10", 50, 0.01, 232, 5, 6.2e-6, 6.18e-6, 2.06, 0.01},
	{"NCSNv2 CelebA", 90, 0.01, 500, 5, 3.3e-6, 3.34e-6, 2.24, 0.01},
	{"NCSNv2 church", 140, 0.01, 788, 4, 4.9e-6, 2.31e-6, 0, 0},
	{"NCSNv2 bedroom", 190, 0.01, 1086, 3, 1.8e-6, 1.77e-6, 1.48, 0.01},
	{"NCSNv2 FFHQ", 348, 0.01, 2311, 3, 9e-7, 8.93e-7, 1.49, 0.01},
	{"NCSN", 1, 0.01, 10, 100, 2e-5, 3.23e-6, 7.5, 0.1},
}

func TestPublishedSchedules(t *testing.T) {
	for _, p := range published {
		l := ladder(t, p.begin, p.end, p.levels)
		if got := fmt.Sprintf("%.2e", Epsilon(l, p.T)); got != fmt.Sprintf("%.2e", p.technique4) {
			t.Errorf("%s: Epsilon = %s, want %.2e", p.name, got, p.technique4)
		}
		if got := StabilityMargin(l, p.T, p.eps); p.margin != 0 && math.Abs(got-p.margin) > 0.51*p.marginHundred {
			t.Errorf("%s: StabilityMargin = %.4f, want %g", p.name, got, p.margin)
		}
	}
	alphas := Alphas(ladder(t, 50, 0.01, 232), 6.2e-6)
	if math.Abs(float64(alphas[0])-155) > 1e-3 {
		t.Errorf("first step of CIFAR-10 is %g, want 155", alphas[0])
	}
	if got := Alphas(ladder(t, 1, 0.01, 10), 2e-5)[0]; math.Abs(float64(got)-0.2) > 1e-6 {
		t.Errorf("first step of NCSN is %g, want 0.2", got)
	}
}

// The margin of Technique 4's step size by T, on the ladders of 784 and 3,072 values that Technique 2 gives, and the T
// from which on a chain is stable.
func TestMarginsByT(t *testing.T) {
	for _, test := range []struct {
		begin   float64
		levels  int
		margins map[int]float64
		least   int
	}{
		{16.8758, 101, map[int]float64{1: 0.45, 2: 0.83, 3: 1.17, 4: 1.47, 5: 1.73, 6: 1.96, 8: 2.36, 10: 2.70}, 5},
		{53.4150, 234, map[int]float64{1: 0.47, 2: 0.91, 3: 1.32, 4: 1.70, 5: 2.06, 6: 2.39, 8: 3.00, 10: 3.53}, 4},
	} {
		l := ladder(t, test.begin, 0.01, test.levels)
		for steps, want := range test.margins {
			if got := StabilityMargin(l, steps, Epsilon(l, steps)); math.Abs(got-want) > 0.0101 {
				t.Errorf("%d levels, T = %d: margin %.4f, want %.2f", test.levels, steps, got, want)
			}
		}
		if got := LeastSteps(l); got != test.least {
			t.Errorf("%d levels: T = %d is the least stable one, want %d", test.levels, got, test.least)
		}
	}
	if got := LeastSteps(ladder(t, 50, 0.01, 2)); got != 0 {
		t.Errorf("two levels: T = %d is said to be stable", got)
	}
}

// What budgets of evaluations are enough for: T, q and r by Technique 4, margin and verdict.
func TestBudgets(t *testing.T) {
	mnist, cifar := ladder(t, 16.8758, 0.01, 101), ladder(t, 53.4150, 0.01, 234)
	for _, test := range []struct {
		ladder    model.Ladder
		nfe, T    int
		q, r      float64 // 0: not listed
		margin    float64
		stability Stability
	}{
		{mnist, 100, 0, 0, 0, 0, 0},
		{mnist, 102, 1, 0, 0, 0.45, Unstable},
		{mnist, 250, 2, 0.129, 0, 0.83, Unstable},
		{mnist, 500, 4, 0.113, 1.098, 1.47, Marginal},
		{mnist, 506, 5, 0.1066, 0, 1.73, Stable},
		{mnist, 1000, 9, 0.0869, 1.068, 2.54, Stable},
		{mnist, 2500, 24, 0.0532, 1.037, 4.14, Stable},
		{cifar, 100, 0, 0, 0, 0, 0},
		{cifar, 250, 1, 0.071, 0, 0.47, Unstable},
		{cifar, 500, 2, 0.069, 0, 0.91, Unstable},
		{cifar, 1000, 4, 0.0639, 1.059, 1.70, Stable},
		{cifar, 2500, 10, 0.0530, 1.044, 3.53, Stable},
	} {
		got := StepsFor(len(test.ladder), test.nfe)
		if got != test.T {
			t.Errorf("%d levels, %d evaluations: T = %d, want %d", len(test.ladder), test.nfe, got, test.T)
		}
		if test.T == 0 {
			continue
		}
		eps := Epsilon(test.ladder, got)
		end := test.ladder.End()
		verdict, margin := JudgeStability(false, test.ladder, got, eps)
		if math.Abs(margin-test.margin) > 0.0051 || verdict != test.stability {
			t.Errorf("%d levels, T = %d: margin %.4f (%v), want %.2f (%v)", len(test.ladder), got, margin, verdict, test.margin,
				test.stability)
		}
		if q := eps / (end * end); test.q > 0 && math.Abs(q-test.q) > 5.1e-4 {
			t.Errorf("%d levels, T = %d: q = %.5f, want %g", len(test.ladder), got, q, test.q)
		}
		if r := EndVariance(test.ladder, got, eps); test.r > 0 && math.Abs(r-test.r) > 5.1e-4 {
			t.Errorf("%d levels, T = %d: r = %.5f, want %g", len(test.ladder), got, r, test.r)
		}
	}
}

// For T = 1, r = (1-q)^2 g^2 + 2q exactly and its minimum is q = 1 - 1/g^2.
func TestEpsilonClosedForm(t *testing.T) {
	for _, g := range []float64{1.0001, 1.03, 1.5, 4, 100} {
		l := model.Ladder{float32(0.1 * g), 0.1}
		g := l.Ratio()
		want := (1 - 1/(g*g)) * l.End() * l.End()
		if got := Epsilon(l, 1); math.Abs(got/want-1) > 1e-4 {
			t.Errorf("g = %g: Epsilon = %g, want %g", g, got, want)
		}
	}
}

// Nothing near the answer is better, and no eps of the whole range is.
func TestEpsilonIsTheMinimum(t *testing.T) {
	for _, T := range []int{1, 2, 5, 20, 100, 10000} {
		for _, levels := range []int{2, 3, 10, 100, 2000} {
			l := ladder(t, 30, 0.02, levels)
			end2 := l.End() * l.End()
			q := Epsilon(l, T) / end2
			r := func(q float64) float64 {
				b := 2 * q / (1 - (1-q)*(1-q))
				return math.Pow(math.Abs(1-q), 2*float64(T))*(l.Ratio()*l.Ratio()-b) + b
			}
			for i := range 2000 {
				other := math.Exp(-30 * float64(i) / 2000)
				if math.Abs(r(other)-1) < math.Abs(r(q)-1)*(1-1e-9)-1e-12 {
					t.Fatalf("T %d, L %d: |r-1| = %g at q = %g but %g at %g",
						T, levels, math.Abs(r(q)-1), q, math.Abs(r(other)-1), other)
				}
			}
		}
	}
}

func TestSingleLevel(t *testing.T) {
	l := model.Ladder{0.5}
	if got := Epsilon(l, 100); math.Abs(got-0.025) > 1e-12 {
		t.Errorf("Epsilon of one level at sigma 0.5 is %g, want 0.1 sigma^2 = 0.025", got)
	}
	if got := StabilityMargin(l, 1, 1e-9); !math.IsInf(got, 1) {
		t.Errorf("StabilityMargin of one level is %g, want +Inf", got)
	}
}

// Every published schedule is stable; fewer or smaller steps come to the limit and go beyond it.
func TestJudgeStability(t *testing.T) {
	for _, p := range published {
		l := ladder(t, p.begin, p.end, p.levels)
		if got, margin := JudgeStability(false, l, p.T, p.eps); got != Stable {
			t.Errorf("%s: verdict %d at margin %g, want stable", p.name, got, margin)
		}
	}
	l := ladder(t, 50, 0.01, 232) // margin 2.06 at T = 5 and eps = 6.2e-6, in proportion to both
	for _, c := range []struct {
		T    int
		eps  float64
		want Stability
	}{
		{4, 6.2e-6, Stable}, {3, 6.2e-6, Marginal}, {2, 6.2e-6, Unstable},
		{5, 4.46e-6, Stable}, {5, 4.41e-6, Marginal}, {5, 3.03e-6, Marginal}, {5, 2.99e-6, Unstable},
	} {
		got, margin := JudgeStability(false, l, c.T, c.eps)
		if got != c.want || margin != StabilityMargin(l, c.T, c.eps) {
			t.Errorf("T %d, eps %g: verdict %d at margin %g, want %d", c.T, c.eps, got, margin, c.want)
		}
		if got, margin := JudgeStability(true, l, c.T, c.eps); got != Stable || !math.IsInf(margin, 1) {
			t.Errorf("T %d, eps %g: verdict %d at margin %g for a network that sees sigma", c.T, c.eps, got, margin)
		}
	}
}

func TestSafeSteps(t *testing.T) {
	l := ladder(t, 50, 0.01, 232)
	moreT, eps := SafeSteps(l, 2, 3e-6)
	if moreT != 8 || math.Abs(StabilityMargin(l, 2, eps)-SafeMargin) > 1e-9 {
		t.Errorf("T %d, eps %g, want T 8 and the eps with margin %g", moreT, eps, SafeMargin)
	}
	for _, T := range []int{moreT, moreT - 1} {
		if margin := StabilityMargin(l, T, 3e-6); (margin >= SafeMargin) != (T == moreT) {
			t.Errorf("margin %g with T = %d", margin, T)
		}
	}
	// A coarse ladder would need q = 1.3: no step size is safe.
	coarse := ladder(t, 1, 0.01, 10)
	if moreT, eps := SafeSteps(coarse, 3, 1e-6); eps != 0 || StabilityMargin(coarse, moreT, 1e-6) < SafeMargin {
		t.Errorf("T %d, eps %g, want eps 0", moreT, eps)
	}
}

func TestOptionsCheck(t *testing.T) {
	l := ladder(t, 1, 0.01, 10)
	good := Options{T: 100, Epsilon: 2e-5}
	if err := good.Check(l); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		name string
		l    model.Ladder
		o    Options
		want string
	}{
		{"no ladder", nil, good, "ladder is empty"},
		{"T 0", l, Options{T: 0, Epsilon: 2e-5}, "T is 0"},
		{"T huge", l, Options{T: 1 << 31, Epsilon: 2e-5}, "lower T"},
		{"epsilon 0", l, Options{T: 1}, "epsilon is 0"},
		{"epsilon negative", l, Options{T: 1, Epsilon: -1}, "epsilon is -1"},
		{"epsilon NaN", l, Options{T: 1, Epsilon: math.NaN()}, "epsilon is NaN"},
		{"epsilon too large", l, Options{T: 100, Epsilon: 2.1e-4}, "try 3.23e-06"},
	} {
		if err := c.o.Check(c.l); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.name, err, c.want)
		}
	}
	if got := (Options{T: 5, Denoise: true}).NFE(232); got != 1161 {
		t.Errorf("NFE of CIFAR-10 is %d, want 1161", got)
	}
}
