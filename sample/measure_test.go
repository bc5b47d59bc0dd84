package sample

import (
	"math"
	"slices"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sigmaz/model"
)

// correlated is the Gaussian of the in-painting table: 8 values of mean 0.5, variance 0.09, correlation 0.9^|i-j|.
func correlated() *mixture {
	const d = 8
	m := &mixture{weights: []float64{1}, means: [][]float64{make([]float64, d)}, cov: [][][]float64{diagonal(make([]float64, d))}}
	for i := range d {
		m.means[0][i] = 0.5
		for j := range d {
			m.cov[0][i][j] = 0.09 * math.Pow(0.9, math.Abs(float64(i-j)))
		}
	}
	return m
}

// gaussian is a mean and a covariance.
type gaussian struct {
	mean *mat.VecDense
	cov  *mat.Dense
}

// posterior is the Gaussian given rows of A and what was measured, with noise of variance noise.
func (m *mixture) posterior(rows []Terms, y []float64, noise float64) gaussian {
	d := len(m.means[0])
	c := mat.NewDense(d, d, nil)
	for i := range d {
		c.SetRow(i, m.cov[0][i])
	}
	mean := mat.NewVecDense(d, append([]float64(nil), m.means[0]...))
	a := mat.NewDense(len(rows), d, nil)
	for j, row := range rows {
		for _, e := range row {
			a.Set(j, e.At, a.At(j, e.At)+e.Weight)
		}
	}
	var ca, s, gain, off, step mat.Dense
	ca.Mul(c, a.T())
	s.Mul(a, &ca)
	for j := range rows {
		s.Set(j, j, s.At(j, j)+noise)
	}
	var inverse mat.Dense
	if err := inverse.Inverse(&s); err != nil {
		panic(err)
	}
	gain.Mul(&ca, &inverse)
	off.Mul(a, mean)
	for j := range y {
		off.Set(j, 0, y[j]-off.At(j, 0))
	}
	step.Mul(&gain, &off)
	for i := range d {
		mean.SetVec(i, mean.AtVec(i)+step.At(i, 0))
	}
	var less mat.Dense
	less.Mul(&gain, ca.T())
	c.Sub(c, &less)
	return gaussian{mean, c}
}

// part is some of the values.
func (g gaussian) part(at []int) gaussian {
	p := gaussian{mat.NewVecDense(len(at), nil), mat.NewDense(len(at), len(at), nil)}
	for i, a := range at {
		p.mean.SetVec(i, g.mean.AtVec(a))
		for j, b := range at {
			p.cov.Set(i, j, g.cov.At(a, b))
		}
	}
	return p
}

// kl is the divergence of q from p, KL(q||p).
func kl(q, p gaussian) float64 {
	n := q.mean.Len()
	var inverse, m mat.Dense
	if err := inverse.Inverse(p.cov); err != nil {
		return math.Inf(1)
	}
	m.Mul(&inverse, q.cov)
	sum := mat.Trace(&m) - float64(n) + math.Log(mat.Det(p.cov)/mat.Det(q.cov))
	off := mat.NewVecDense(n, nil)
	off.SubVec(q.mean, p.mean)
	return (sum + mat.Inner(off, &inverse, off)) / 2
}

// apartFrom is how far the mean is off, the most over the mean deviation of p, and the ratios of the variances.
func (q gaussian) apartFrom(p gaussian) (off float64, ratios []float64) {
	sd := 0.0
	for i := range q.mean.Len() {
		off = max(off, math.Abs(q.mean.AtVec(i)-p.mean.AtVec(i)))
		sd += math.Sqrt(p.cov.At(i, i)) / float64(q.mean.Len())
		ratios = append(ratios, q.cov.At(i, i)/p.cov.At(i, i))
	}
	return off / sd, ratios
}

// affine follows mean and covariance through a plan on a Gaussian, from unit responses: each step is affine in x, in its
// noise and in that of what is known. The steps of x run on the device; held is how many steps the noise of what is known
// stays for. gains must not depend on x, and no step may use more than one row.
func affine(t *testing.T, p *Plan, score field64, held int, start gaussian, move func(t *testing.T, s *model.Score)) gaussian {
	t.Helper()
	d, r := p.known.D, p.known.Len()
	n := 1 + 2*d + r
	units := make([]float32, n*d)
	draw, known := make([]float32, n*d), make([]float32, n*r)
	for i := range d {
		units[(1+i)*d+i], draw[(1+d+i)*d+i] = 1, 1
	}
	for j := range r {
		known[(1+2*d+j)*r+j] = 1
	}
	var z noise
	last := 0
	for k := range p.steps {
		_, draw := p.at(k)
		last = max(last, draw)
	}
	for range last + 1 {
		z.given = append(z.given, draw...)
	}
	for range p.steps {
		z.known = append(z.known, known...)
	}
	s, err := model.ScoreFunc(n, d, p.WorkWords(n, d)+len(z.given)+len(z.known), score.float32s())
	if err != nil {
		t.Fatal(err)
	}
	if move != nil {
		move(t, s)
	}
	chain, err := newChain(s, p, model.Ladder(float32s(p.Sigmas)), z)
	if err != nil {
		t.Fatal(err)
	}
	put := func(x []float32) {
		if err := s.Arena.Write(s.X, x); err != nil {
			t.Fatal(err)
		}
	}
	// the state is x and the noise of what is known, which may stay for some steps
	all := d + r
	mean, cov := mat.NewVecDense(all, nil), mat.NewDense(all, all, nil)
	for i := range d {
		mean.SetVec(i, start.mean.AtVec(i))
		for j := range d {
			cov.Set(i, j, start.cov.At(i, j))
		}
	}
	x := make([]float32, n*d)
	put(units)
	if err := chain.Run(0, func(st Step) error {
		if err := st.Read(x); err != nil {
			return err
		}
		if st.K%held == 0 {
			for i := range all {
				for j := d; j < all; j++ {
					cov.Set(i, j, 0)
					cov.Set(j, i, 0)
				}
			}
			for j := d; j < all; j++ {
				cov.Set(j, j, 1)
			}
		}
		m, noise := mat.NewDense(all, all, nil), mat.NewDense(all, d, nil)
		shift := mat.NewVecDense(all, nil)
		for i := range d {
			zero := float64(x[i])
			shift.SetVec(i, zero)
			for k := range d {
				m.Set(i, k, float64(x[(1+k)*d+i])-zero)
				noise.Set(i, k, float64(x[(1+d+k)*d+i])-zero)
			}
			for j := range r {
				m.Set(i, d+j, float64(x[(1+2*d+j)*d+i])-zero)
			}
		}
		for j := d; j < all; j++ {
			m.Set(j, j, 1)
		}
		var a, next, fresh mat.Dense
		a.Mul(m, cov)
		next.Mul(&a, m.T())
		fresh.Mul(noise, noise.T())
		cov.Add(&next, &fresh)
		var moved mat.VecDense
		moved.MulVec(m, mean)
		mean.AddVec(&moved, shift)
		put(units)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return gaussian{mean, cov}
}

// wide is N(0, sigma^2).
func wide(d int, sigma float64) gaussian {
	g := gaussian{mat.NewVecDense(d, nil), mat.NewDense(d, d, nil)}
	for i := range d {
		g.cov.Set(i, i, sigma*sigma)
	}
	return g
}

func newKnown(t *testing.T) (*Measurement, gaussian) {
	t.Helper()
	known := make([]bool, 8)
	var y []float64
	for _, e := range []struct {
		at int
		y  float64
	}{{0, 0.9}, {1, 0.8}, {5, 0.3}, {7, 0.6}} {
		known[e.at], y = true, append(y, e.y)
	}
	rows := KnownRows(known)
	m, err := Orthogonal(8, rows, y, 0)
	if err != nil {
		t.Fatal(err)
	}
	return m, correlated().posterior(rows, y, 0).part([]int{2, 3, 4, 6})
}

func langevinOn(ladder []float64, T int, q float64, denoise bool) *Plan {
	var alphas []float64
	for _, s := range ladder {
		alphas = append(alphas, q*s*s)
	}
	p := &Plan{Settings: Settings{Sampler: Langevin}, Sigmas: ladder, rows: langevinSteps(ladder, alphas, T, denoise), repeat: T,
		steps: len(ladder) * T}
	if denoise {
		p.steps++
	}
	return p
}

// pcKnown is pc with the step sizes of a network that does not see sigma, |s|^2 = D/sigma^2: with its gain, a corrector is not
// affine.
func pcKnown(n int) *Plan {
	p := planOn("pc", geometric(15, 0.01, n), nil)
	for i := range p.rows {
		if r := &p.rows[i]; r.gain {
			r.gain, r.x.s, r.x.z = false, r.x.s*r.sigma*r.sigma, r.x.z*r.sigma
		}
	}
	return p
}

// The table of in-painting: how far from the exact posterior each method ends, from unit responses.
func TestKnownValues(t *testing.T) {
	known, exact := newKnown(t)
	for i, want := range []float64{0.673491, 0.548910, 0.424872, 0.450276} {
		if v := []float64{0.014068, 0.018689, 0.014068, 0.009448}[i]; !(math.Abs(exact.mean.AtVec(i)-want) <= 1e-6 &&
			math.Abs(exact.cov.At(i, i)-v) <= 1e-6) {
			t.Fatalf("exact posterior %v", exact)
		}
	}
	ladder := geometric(15, 0.01, 99)
	repaint := func(n, resample int) *Plan {
		return planOn(Repaint, karrasLevels(n), func(o *Settings) { o.Resample = resample })
	}
	ancestral := func(n int) *Plan { return planOn("euler-ancestral", geometric(15, 0.01, n), nil) }
	onCUDA := toCUDA(t)
	for _, c := range []struct {
		name      string
		plan      *Plan
		held, nfe int
		off, kl   float64
		variances [2]float64 // the least and the largest, over the exact ones, to two digits
	}{
		{"langevin T 5", langevinOn(ladder, 5, 0.1069, true), 1, 496, 0.344, 0.136, [2]float64{1.265, 1.35}},
		{"langevin T 5, one copy a level", langevinOn(ladder, 5, 0.1069, true), 5, 496, 0.344, 0.138, [2]float64{1.27, 1.36}},
		{"langevin T 20", langevinOn(ladder, 20, 0.1069, true), 1, 1981, 0.124, 0.0120, [2]float64{1.05, 1.07}},
		{"langevin T 20, q 0.03", langevinOn(ladder, 20, 0.03, true), 1, 1981, 0.321, 0.109, [2]float64{1.22, 1.30}},
		{"langevin T 100", langevinOn(ladder, 100, 0.1069, true), 1, 9901, 0.033, 0.0008, [2]float64{1.01, 1.01}},
		{"pc 99", pcKnown(99), 1, 198, 0.548, 0.386, [2]float64{1.42, 1.59}},
		{"pc 500", pcKnown(500), 1, 1000, 0.403, 0.124, [2]float64{1.12, 1.22}},
		{"ancestral 35", ancestral(35), 1, 35, 0.599, 0.541, [2]float64{1.41, 1.55}},
		{"ancestral 99", ancestral(99), 1, 99, 0.587, 0.524, [2]float64{1.49, 1.65}},
		{"ancestral 500", ancestral(500), 1, 500, 0.581, 0.526, [2]float64{1.54, 1.70}},
		{"repaint 35 x 2", repaint(35, 2), 1, 69, 0.518, 0.233, [2]float64{0.98, 1.10}},
		{"repaint 35 x 5", repaint(35, 5), 1, 171, 0.332, 0.113, [2]float64{0.82, 0.88}},
		{"repaint 35 x 10", repaint(35, 10), 1, 341, 0.208, 0.086, [2]float64{0.78, 0.82}},
		{"repaint 35 x 20", repaint(35, 20), 1, 681, 0.123, 0.079, [2]float64{0.76, 0.78}},
		{"repaint 99 x 5", repaint(99, 5), 1, 491, 0.297, 0.060, [2]float64{0.95, 1.01}},
	} {
		if c.plan.NFE() != c.nfe {
			t.Errorf("%s: %d evaluations, expected %d", c.name, c.plan.NFE(), c.nfe)
		}
		for i := range c.plan.rows {
			c.plan.rows[i].mid = false // each row is a step of its own, with noise of its own
		}
		c.plan.Given(known)
		check := func(device string, move func(t *testing.T, s *model.Score)) {
			got := affine(t, c.plan, correlated().score, c.held, wide(8, 15), move).part([]int{2, 3, 4, 6})
			off, ratios := got.apartFrom(exact)
			if d := kl(got, exact); !(math.Abs(off-c.off) <= 1e-3 && math.Abs(d-c.kl) <= 1e-3 &&
				math.Abs(slices.Min(ratios)-c.variances[0]) <= 0.0051 && math.Abs(slices.Max(ratios)-c.variances[1]) <= 0.0051) {
				t.Errorf("%s, %s: mean off %.4f, variances %.4f, KL %.5f, expected %g, %g, %g", c.name, device, off, ratios, d,
					c.off, c.variances, c.kl)
			}
		}
		check("cpu", nil)
		if onCUDA != nil && c.nfe < 2000 {
			check("cuda", onCUDA)
		}
	}
}
