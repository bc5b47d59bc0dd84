package sample

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
	"sigmaz/model"
)

func scoreFunc(t testing.TB, n, d, levels int, f func(dst, x []float32, sigma float32)) *model.Score {
	t.Helper()
	s, err := model.ScoreFunc(n, d, WorkWords(levels), f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// gaussianScore is the exact score of N(m, sd^2 I) data perturbed at sigma: (m - x) / (sd^2 + sigma^2). With sd = 0
// it is the score of a point mass.
func gaussianScore(m, sd float64) func(dst, x []float32, sigma float32) {
	return func(dst, x []float32, sigma float32) {
		v := 1 / (float32(sd*sd) + float32(sigma*sigma))
		for i := range x {
			dst[i] = (float32(m) - x[i]) * v
		}
	}
}

func readX(t testing.TB, s *model.Score) []float32 {
	t.Helper()
	x := make([]float32, s.N*s.D)
	if err := s.Arena.Read(x, s.X); err != nil {
		t.Fatal(err)
	}
	return x
}

// moments is the mean of x - m and of (x - m)^2, m given.
func moments(x []float32, m float64) (mean, second float64) {
	for _, v := range x {
		mean += float64(v) - m
		second += (float64(v) - m) * (float64(v) - m)
	}
	return mean / float64(len(x)), second / float64(len(x))
}

// checkMoments compares x with N(m, v): both moments within three standard errors.
func checkMoments(t *testing.T, x []float32, m, v float64) {
	t.Helper()
	mean, second := moments(x, m)
	n := float64(len(x))
	if !(math.Abs(mean) <= 3*math.Sqrt(v/n)) {
		t.Errorf("mean is off by %g, standard error %g", mean, math.Sqrt(v/n))
	}
	if se := v * math.Sqrt(2/n); !(math.Abs(second-v) <= 3*se) {
		t.Errorf("variance is %g, want %g, standard error %g", second, v, se)
	}
}

// The exact score of a point mass: the chain settles at r* sigma_L^2, r* = b(1-A)/(1-A g^2), A = (1-q)^(2T).
func TestPointMass(t *testing.T) {
	const point = 0.3
	for _, c := range []struct {
		name       string
		begin, end float64
		levels, T  int
		eps        float64
		rows, d    int
		want       float64
	}{
		{"NCSNv2 CIFAR-10", 50, 0.01, 232, 5, 6.2e-6, 16, 2048, 1.128299},
		{"NCSN", 1, 0.01, 10, 100, 2e-5, 16, 2048, 1.111111},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := ladder(t, c.begin, c.end, c.levels)
			s := scoreFunc(t, c.rows, c.d, c.levels, gaussianScore(point, 0))
			opt := Options{T: c.T, Epsilon: c.eps, Denoise: true, Seed: 1}
			if err := Start(s, l, opt.Seed, 0, Uniform); err != nil {
				t.Fatal(err)
			}
			x := make([]float32, c.rows*c.d)
			nfe := 0
			err := Anneal(s, l, opt, func(st Step) error {
				nfe++
				last := nfe == opt.NFE(c.levels)
				if st.NFE != nfe || st.K != nfe-1 || st.Last != last || st.Denoised != last || !last && st.K != st.Level*c.T+st.T {
					return fmt.Errorf("call %d of the callback got %+v", nfe, st)
				}
				if st.K == c.levels*c.T-1 { // the last Langevin step, before denoising
					return st.Read(x)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if nfe != opt.NFE(c.levels) {
				t.Errorf("%d calls of the callback, want %d", nfe, opt.NFE(c.levels))
			}
			checkMoments(t, x, point, c.want*l.End()*l.End())
			for i, v := range readX(t, s) {
				if !(math.Abs(float64(v)-point) <= 1e-6) {
					t.Fatalf("value %d is %g after denoising, want the point %g within 1e-6", i, v, point)
				}
			}
		})
	}
}

// Gaussian data N(m, sd^2): mean and variance of the chain by recursion in float64, with and without denoising.
func TestGaussianData(t *testing.T) {
	const m, sd = 0.4, 0.2
	l := ladder(t, 8, 0.05, 24)
	opt := Options{T: 6, Epsilon: Epsilon(l, 6), Seed: 7}
	for _, denoise := range []bool{false, true} {
		opt.Denoise = denoise
		s := scoreFunc(t, 32, 1024, len(l), gaussianScore(m, sd))
		if err := Start(s, l, opt.Seed, 0, Gaussian); err != nil {
			t.Fatal(err)
		}
		if err := Anneal(s, l, opt, nil); err != nil {
			t.Fatal(err)
		}
		mean, v := -m, l.Begin()*l.Begin() // of x - m
		for i, a := range Alphas(l, opt.Epsilon) {
			keep := 1 - float64(a)/(sd*sd+float64(l[i])*float64(l[i]))
			for range opt.T {
				mean *= keep
				v = v*keep*keep + 2*float64(a)
			}
		}
		if denoise {
			keep := sd * sd / (sd*sd + l.End()*l.End())
			mean *= keep
			v *= keep * keep
		}
		checkMoments(t, readX(t, s), m+mean, v)
	}
}

// Langevin dynamics at one level with step a settles at sigma^2 / (1 - a/(2 sigma^2)): 0.3125 for sigma^2 = 0.25, a =
// 0.1.
func TestSingleLevelSettles(t *testing.T) {
	for _, c := range []struct{ sigma, a float64 }{{0.5, 0.1}, {1, 0.05}, {2, 4}} {
		s := scoreFunc(t, 16, 2048, 1, gaussianScore(0, 0))
		l := model.Ladder{float32(c.sigma)}
		if err := Start(s, l, 3, 0, Gaussian); err != nil {
			t.Fatal(err)
		}
		if err := Anneal(s, l, Options{T: 150, Epsilon: c.a, Seed: 3}, nil); err != nil {
			t.Fatal(err)
		}
		checkMoments(t, readX(t, s), 0, c.sigma*c.sigma/(1-c.a/(2*c.sigma*c.sigma)))
	}
}

// mixtureScore is the exact score of 0.8 N((5,5), sigma^2 I) + 0.2 N((-5,-5), sigma^2 I).
func mixtureScore(dst, x []float32, sigma float32) {
	v := float64(sigma) * float64(sigma)
	// ln of the ratio of the components' densities: ((x+5)^2 - (x-5)^2) / 2v = 10 (x_0 + x_1) / v
	p := 1 / (1 + math.Exp(-math.Log(4)-10*(float64(x[0])+float64(x[1]))/v)) // posterior of the first
	for i := range 2 {
		dst[i] = float32((5*(2*p-1) - float64(x[i])) / v)
	}
}

// The founding argument for annealing (Song and Ermon 2019, section 3.2.2 and figure 3): Langevin dynamics at one
// level does not find the weights of two far modes, annealed Langevin dynamics does. The repository of the paper
// writes the drift lr/2 with lr 0.1, which is eps = 0.05 here.
func TestMixture(t *testing.T) {
	const rows, eps = 4096, 0.05
	start := make([]float32, 2*rows)
	kernels.ImageStream(5, kernels.PurposeStart, 0, 0).Uniforms(start)
	for i := range start {
		start[i] = 16*start[i] - 8 // U[-8,8]^2
	}
	for _, c := range []struct {
		name      string
		l         model.Ladder
		T         int
		want, tol float64
	}{
		{"annealed", ladder(t, 20, 1, 10), 100, 0.78, 0.02},
		{"plain", model.Ladder{1}, 1000, 0.51, 0.03},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := scoreFunc(t, rows, 2, len(c.l), mixtureScore)
			if err := s.Arena.Write(s.X, start); err != nil {
				t.Fatal(err)
			}
			if err := Anneal(s, c.l, Options{T: c.T, Epsilon: eps, Seed: 6}, nil); err != nil {
				t.Fatal(err)
			}
			first := 0
			x := readX(t, s)
			for i := 0; i < len(x); i += 2 {
				if x[i]+x[i+1] > 0 {
					first++
				}
			}
			if w := float64(first) / rows; !(math.Abs(w-c.want) <= c.tol) {
				t.Errorf("weight of the first component is %.3f, want %.2f +- %.2f", w, c.want, c.tol)
			}
		})
	}
}

// Image k has the same bits in batches of 1, 3 and 7.
func TestBatchSizeDoesNotMatter(t *testing.T) {
	const images, d = 21, 5 // d is no multiple of 4: the tail of a Philox block is met
	l := ladder(t, 3, 0.1, 4)
	for _, kind := range []StartKind{Uniform, Gaussian} {
		var want []float32
		for _, batch := range []int{1, 3, 7} {
			s := scoreFunc(t, batch, d, len(l), gaussianScore(0.5, 0.3))
			o := Defaults(Langevin, false)
			o.T = 3
			p, err := NewPlan(o, l)
			if err != nil {
				t.Fatal(err)
			}
			c, err := NewChain(s, p, l, 1<<40)
			if err != nil {
				t.Fatal(err)
			}
			var got []float32
			for first := 0; first < images; first += batch {
				if err := Start(s, l, 1<<40, uint32(first), kind); err != nil {
					t.Fatal(err)
				}
				if err := c.Run(uint32(first), nil); err != nil {
					t.Fatal(err)
				}
				got = append(got, readX(t, s)...)
			}
			if want == nil {
				want = got
				if slices.Equal(got[:d], got[d:2*d]) {
					t.Error("two images are the same")
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("start %d: batches of %d give other images than batches of 1", kind, batch)
			}
		}
	}
}

func TestCallbackStops(t *testing.T) {
	l := ladder(t, 3, 0.1, 4)
	s := scoreFunc(t, 2, 3, len(l), gaussianScore(0, 0))
	stop := errors.New("stop")
	calls := 0
	err := Anneal(s, l, Options{T: 3, Epsilon: 1e-3}, func(st Step) error {
		if calls++; st.K == 4 {
			return stop
		}
		return nil
	})
	if err != stop || calls != 5 {
		t.Errorf("error %v after %d calls, want the callback's own after 5", err, calls)
	}
}

func TestAnnealRefusesBadOptions(t *testing.T) {
	s := scoreFunc(t, 1, 1, 1, gaussianScore(0, 0))
	if err := Anneal(s, model.Ladder{1}, Options{T: 0, Epsilon: 0.1}, nil); err == nil {
		t.Error("T = 0 was taken")
	}
}

func TestEvaluateField(t *testing.T) {
	s := scoreFunc(t, 3, 2, 1, gaussianScore(1, 0.5))
	points := []float32{0, 1, 2, 3, 4, 5, 6, 7} // four points in batches of three
	got, err := EvaluateField(s, points, 0.25, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range points {
		want := (1 - float64(x)) / (0.25 + 0.0625)
		if !(math.Abs(float64(got[i])-want) <= 1e-5) {
			t.Errorf("score %d at %g is %g, want %g", i, x, got[i], want)
		}
	}
}
