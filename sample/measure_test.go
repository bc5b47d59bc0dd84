package sample

import (
	"math"
	"slices"
	"strings"
	"testing"

	"gonum.org/v1/gonum/dsp/fourier"
	"gonum.org/v1/gonum/mat"

	"sigmaz/kernels"
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

// posterior is the Gaussian given rows of A and what was measured, with noise of a deviation for each.
func (m *mixture) posterior(rows []Terms, y, noise []float64) gaussian {
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
		s.Set(j, j, s.At(j, j)+noise[j]*noise[j])
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
func (g gaussian) apartFrom(p gaussian) (off float64, ratios []float64) {
	sd := 0.0
	for i := range g.mean.Len() {
		off = max(off, math.Abs(g.mean.AtVec(i)-p.mean.AtVec(i)))
		sd += math.Sqrt(p.cov.At(i, i)) / float64(g.mean.Len())
		ratios = append(ratios, g.cov.At(i, i)/p.cov.At(i, i))
	}
	return off / sd, ratios
}

// affine follows mean and covariance through a plan on a Gaussian, from unit responses: each step is affine in x, in its
// noise and in that of what is known. The steps of x run on the device; held is how many steps the noise of what is known
// stays for. gains must not depend on x, and no step may use more than one row.
func affine(t *testing.T, p *Plan, m *mixture, held int, start gaussian, move func(t *testing.T, s *model.Score)) gaussian {
	t.Helper()
	d, r := p.known[0].D, p.known[0].Len()
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
	s := m.withProduct(t, n, d, p.WorkWords(n, d)+len(z.given)+len(z.known), move)
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
		step, noise := mat.NewDense(all, all, nil), mat.NewDense(all, d, nil)
		shift := mat.NewVecDense(all, nil)
		for i := range d {
			zero := float64(x[i])
			shift.SetVec(i, zero)
			for k := range d {
				step.Set(i, k, float64(x[(1+k)*d+i])-zero)
				noise.Set(i, k, float64(x[(1+d+k)*d+i])-zero)
			}
			for j := range r {
				step.Set(i, d+j, float64(x[(1+2*d+j)*d+i])-zero)
			}
		}
		for j := d; j < all; j++ {
			step.Set(j, j, 1)
		}
		var a, next, fresh mat.Dense
		a.Mul(step, cov)
		next.Mul(&a, step.T())
		fresh.Mul(noise, noise.T())
		cov.Add(&next, &fresh)
		var moved mat.VecDense
		moved.MulVec(step, mean)
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

// measured is a measurement alone.
func measured(t *testing.T, d int, rows []Terms, y []float64, sigma float64) *Measurement {
	t.Helper()
	all, err := Linear(d, rows, [][]float64{y}, sigma)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
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
	m := measured(t, 8, rows, y, 0)
	return m, correlated().posterior(rows, y, make([]float64, len(y))).part([]int{2, 3, 4, 6})
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
	guided := func(sd float64) *Plan {
		p := planOn(PiGDM, karrasLevels(100), func(o *Settings) { o.SigmaData = sd })
		p.guided = true
		return p
	}
	onCUDA := devices["cuda"]
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
		{"pigdm 100, the data's deviation", guided(0.3), 1, 100, 0.731, 0.334, [2]float64{0.98, 1.02}},
		{"pigdm 100, 1", guided(1), 1, 100, 0.628, 0.341, [2]float64{1.17, 1.33}},
	} {
		if c.plan.NFE() != c.nfe {
			t.Errorf("%s: %d evaluations, expected %d", c.name, c.plan.NFE(), c.nfe)
		}
		for i := range c.plan.rows {
			c.plan.rows[i].mid = false // each row is a step of its own, with noise of its own
		}
		c.plan.Given(known)
		check := func(device string, move func(t *testing.T, s *model.Score)) {
			got := affine(t, c.plan, correlated(), c.held, wide(8, 15), move).part([]int{2, 3, 4, 6})
			off, ratios := got.apartFrom(exact)
			if d := kl(got, exact); !(math.Abs(off-c.off) <= 1e-3 && math.Abs(d-c.kl) <= 1e-3 &&
				math.Abs(slices.Min(ratios)-c.variances[0]) <= 0.0051 && math.Abs(slices.Max(ratios)-c.variances[1]) <= 0.0051) {
				t.Errorf("%s, %s: mean off %.4f, variances %.4f, KL %.5f, expected %g, %g, %g", c.name, device, off, ratios, d,
					c.off, c.variances, c.kl)
			}
		}
		check("cpu", nil)
		if onCUDA != nil {
			check("cuda", onCUDA)
		}
	}
}

// ODE solvers: with known values whose noise is one and the same on the way, which is worst; with the score guided; and on the
// exact score of what is left open, which is Pi-GDM with the true covariance of the posterior. Without noise of its own the
// whole run is affine in its start and in the noise of the known values.
func TestKnownValuesByODE(t *testing.T) {
	known, exact := newKnown(t)
	const d = 8
	r := known.Len()
	all := correlated().posterior(known.directions, known.target, known.noise)
	left := &mixture{weights: []float64{1}, means: [][]float64{all.mean.RawVector().Data}, cov: [][][]float64{nil}}
	for i := range d {
		left.cov[0] = append(left.cov[0], all.cov.RawRowView(i))
	}
	onCUDA := devices["cuda"]
	for _, c := range []struct {
		name      string
		score     *mixture
		sd        float64 // of the data, for a guided score
		n, nfe    int
		off, kl   float64
		variances [2]float64
		tolerance float64 // of the divergence
	}{
		{"known values", correlated(), 0, 18, 35, 0.534, 2.00, [2]float64{2.81, 3.27}, 6e-3},
		{"known values", correlated(), 0, 400, 799, 0.541, 1.96, [2]float64{2.72, 3.19}, 6e-3},
		{"exact score", left, 0, 18, 35, 0.064, 0.0064, [2]float64{1.06, 1.06}, 1e-3},
		{"exact score", left, 0, 100, 199, 0.062, 0.0026, [2]float64{0.99, 1.00}, 1e-3},
		{"guided, the data's deviation", correlated(), 0.3, 100, 199, 1.126, 0.843, [2]float64{0.89, 1.05}, 1e-3},
		{"guided, 1", correlated(), 1, 100, 199, 0.644, 0.921, [2]float64{1.87, 2.02}, 1e-3},
	} {
		p := planOn("heun", karrasLevels(c.n), func(o *Settings) { o.SigmaData = c.sd })
		if p.guided = c.sd > 0; c.score != left {
			p.Given(known)
		}
		check := func(device string, move func(t *testing.T, s *model.Score)) {
			n := 1 + d + r
			x, units := make([]float32, n*d), make([]float32, n*r)
			for i := range d {
				x[(1+i)*d+i] = 15
			}
			for j := range r {
				units[(1+d+j)*r+j] = 1
			}
			z := noise{known: slices.Repeat(units, p.steps)}
			s := c.score.withProduct(t, n, d, p.WorkWords(n, d)+len(z.known), move)
			chain, err := newChain(s, p, model.Ladder(float32s(p.Sigmas)), z)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Arena.Write(s.X, x); err != nil {
				t.Fatal(err)
			}
			if err := chain.Run(0, nil); err != nil {
				t.Fatal(err)
			}
			x = readX(t, s)
			got := gaussian{mat.NewVecDense(d, nil), mat.NewDense(d, d, nil)}
			for i := range d {
				got.mean.SetVec(i, float64(x[i]))
				for k := range d {
					sum := 0.0
					for row := 1; row < n; row++ {
						sum += (float64(x[row*d+i]) - float64(x[i])) * (float64(x[row*d+k]) - float64(x[k]))
					}
					got.cov.Set(i, k, sum)
				}
			}
			got = got.part([]int{2, 3, 4, 6})
			off, ratios := got.apartFrom(exact)
			if k := kl(got, exact); p.NFE() != c.nfe || !(math.Abs(off-c.off) <= 1e-3 && math.Abs(k-c.kl) <= c.tolerance &&
				math.Abs(slices.Min(ratios)-c.variances[0]) <= 0.0051 && math.Abs(slices.Max(ratios)-c.variances[1]) <= 0.0051) {
				t.Errorf("heun %d, %s, %s: %d evaluations, mean off %.4f, variances %.3f, KL %.4f, expected %d, %g, %g, %g", c.n, c.name,
					device, p.NFE(), off, ratios, k, c.nfe, c.off, c.variances, c.kl)
			}
		}
		check("cpu", nil)
		if onCUDA != nil && c.nfe < 700 {
			check("cuda", onCUDA)
		}
	}
}

// seen is a Gaussian along the columns of a basis.
func (g gaussian) seen(basis mat.Matrix) gaussian {
	var mean mat.VecDense
	var half, cov mat.Dense
	mean.MulVec(basis.T(), g.mean.SliceVec(0, 8))
	half.Mul(basis.T(), g.cov.Slice(0, 8, 0, 8))
	cov.Mul(&half, basis)
	return gaussian{&mean, &cov}
}

// The posterior of a correlated Gaussian for every kind of measurement, without noise and with it.
func TestMeasurements(t *testing.T) {
	x := []float64{0.9, 0.7, 0.8, 0.5, 0.3, 0.2, 0.4, 0.1}
	mixed := make([]Terms, 3)
	w := make([]float32, 24)
	kernels.Stream{Seed: 5, Purpose: kernels.PurposeData}.Normals(w)
	for i, v := range w {
		mixed[i/8] = append(mixed[i/8], Term{i % 8, float64(v)})
	}
	onCUDA := devices["cuda"]
	for _, c := range []struct {
		name string
		rows []Terms
		r    int
		of   func(d int, rows []Terms, y [][]float64, sigma float64) ([]*Measurement, error)
	}{
		{"grey", GreyRows(4, 2), 4, Linear},
		{"blocks", BlockRows(2, 4, 1, 2), 2, Linear},
		{"matrix", mixed, 3, Linear},
		{"matrix with a row twice", append(mixed, mixed[1]), 3, Linear},
		{"frequencies of real values", FourierRows(2, 4, 1, []bool{0: true, 1: true, 3: true, 6: true, 7: false}), 4, Linear},
		{"frequencies of complex values", FourierRows(2, 2, 2, []bool{true, false, true, false}), 4, Orthogonal},
	} {
		y := make([]float64, len(c.rows))
		for j, row := range c.rows {
			for _, e := range row {
				y[j] += e.Weight * x[e.At]
			}
		}
		for _, sigma := range []float64{0, 0.2} {
			all, err := c.of(8, c.rows, [][]float64{y}, sigma)
			if err != nil {
				t.Fatal(c.name, err)
			}
			m := all[0]
			if m.Len() != c.r {
				t.Errorf("%s: %d directions, expected %d", c.name, m.Len(), c.r)
			}
			exact := correlated().posterior(m.directions, m.target, m.noise)
			directions := mat.NewDense(8, m.Len(), nil)
			for j, row := range m.directions {
				for _, e := range row {
					directions.Set(e.At, j, e.Weight)
				}
			}
			var qr mat.QR
			var basis mat.Dense
			qr.Factorize(directions)
			qr.QTo(&basis)
			free := mat.Matrix(&basis)
			if sigma == 0 { // the other directions have no variance
				free = basis.Slice(0, 8, m.Len(), 8)
			}
			check := func(device string, T int, most float64, move func(t *testing.T, s *model.Score)) {
				p := langevinOn(geometric(15, 0.01, 99), T, 0.1069, true)
				p.Given(m)
				got := affine(t, p, correlated(), 1, wide(8, 15), move)
				if d := kl(got.seen(free), exact.seen(free)); !(d <= most) {
					t.Errorf("%s, noise %g, %s: KL %.5f, expected %g at most", c.name, sigma, device, d, most)
				}
				for j, row := range c.rows {
					ax := 0.0
					for _, e := range row {
						ax += e.Weight * got.mean.AtVec(e.At)
					}
					if sigma == 0 && !(math.Abs(ax-y[j]) <= 1e-5) {
						t.Errorf("%s, %s: the samples' mean has A x = %.7f, expected %.7f", c.name, device, ax, y[j])
					}
				}
			}
			most := 0.002
			if sigma > 0 {
				most = 0.01
			}
			check("cpu", 100, most, nil)
			if onCUDA != nil {
				check("cuda", 5, 0.16, onCUDA) // 0.146 is the most on the CPU
			}
		}
	}
}

// The rows of the Fourier transform are those of another implementation.
func TestFourierRows(t *testing.T) {
	const h, w = 3, 4
	z := make([]complex128, h*w)
	x := make([]float64, 0, 2*h*w)
	for i := range z {
		z[i] = complex(math.Sin(float64(3*i)), math.Cos(float64(i*i)))
		x = append(x, real(z[i]), imag(z[i]))
	}
	for y := range h {
		fourier.NewCmplxFFT(w).Coefficients(z[y*w:(y+1)*w], z[y*w:(y+1)*w])
	}
	for c := range w {
		column := make([]complex128, h)
		for y := range h {
			column[y] = z[y*w+c]
		}
		for y, v := range fourier.NewCmplxFFT(h).Coefficients(nil, column) {
			z[y*w+c] = v / complex(math.Sqrt(h*w), 0)
		}
	}
	rows := FourierRows(h, w, 2, slices.Repeat([]bool{true}, h*w))
	for i, row := range rows {
		sum := 0.0
		for _, e := range row {
			sum += e.Weight * x[e.At]
		}
		if want := []float64{real(z[i/2]), imag(z[i/2])}[i%2]; !(math.Abs(sum-want) <= 1e-13) {
			t.Errorf("part %d of frequency %d is %g, expected %g", i%2, i/2, sum, want)
		}
	}
	for _, row := range FourierRows(h, w, 1, slices.Repeat([]bool{true}, h*w))[:2*h*w] {
		for _, e := range row {
			if e.At >= h*w {
				t.Fatalf("value %d of %d", e.At, h*w)
			}
		}
	}
}

// Sample k is the same for any batch and any number of workers; what is known comes back to the bit.
func TestKnownInAnyBatch(t *testing.T) {
	const d = 8
	rows := append(KnownRows([]bool{0: true, 5: true, 7: false}), Terms{{1, 0.5}, {2, 0.5}})
	m, err := Linear(d, rows, [][]float64{{0.123, -3.7, 0.4}, {0.25, 1.5, 0.2}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	m = append(m, measured(t, d, []Terms{{{7, 1}}}, []float64{0.9}, 0))
	l := ladder(t, 3, 0.1, 8)
	for _, method := range Methods() {
		o := Defaults(method, true)
		o.T, o.NFE = 3, 0
		draw := func(first, n, workers int) []float32 {
			p, err := NewPlan(o, l)
			if err != nil {
				t.Fatal(err)
			}
			p.Given(m...)
			if least, most := p.Known(); least != 1 || most != 3 {
				t.Fatalf("%d to %d coordinates are known", least, most)
			}
			s := correlated().withProduct(t, n, d, p.WorkWords(n, d), func(t *testing.T, s *model.Score) {
				s.Backend = kernels.NewCPU(workers)
			})
			if err := Start(s, l, 7, uint32(first), Gaussian); err != nil {
				t.Fatal(err)
			}
			c, err := NewChain(s, p, l, 7)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Run(uint32(first), nil); err != nil {
				t.Fatal(err)
			}
			return readX(t, s)
		}
		var want []float32
		for k := range 7 {
			want = append(want, draw(k, 1, 1)...)
		}
		got := draw(0, 7, 3)
		if !slices.Equal(got, want) {
			t.Errorf("%s: a batch of 7 gives other samples than batches of 1", method)
		}
		for k := range 7 {
			x := got[k*d : (k+1)*d]
			if k%3 == 2 {
				if x[7] != 0.9 || x[0] == 0.25 {
					t.Errorf("%s: sample %d has %g, %g: expected 0.9", method, k, x[7], x[0])
				}
				continue
			}
			want := [][]float32{{0.123, -3.7, 0.8}, {0.25, 1.5, 0.4}}[k%3]
			if x[0] != want[0] || x[5] != want[1] || !(math.Abs(float64(x[1]+x[2]-want[2])) <= 1e-6) {
				t.Errorf("%s: sample %d has %g, %g, %g: expected %g", method, k, x[0], x[5], x[1]+x[2], want)
			}
		}
		if slices.Equal(got[:d], got[3*d:4*d]) {
			t.Errorf("%s: two samples of one measurement are the same", method)
		}
	}
}

// A network is guided by its own Jacobian: the same sample in any batch on a device, and nearly the same on all; and it
// comes nearer to what was measured than an unguided one. Networks without one density are refused.
func TestGuidedNetwork(t *testing.T) {
	cfg := model.Config{Net: "mlp", Height: 1, Width: 1, Channels: 6, Hidden: 24, DataSD: 0.5}
	weights := initialWeights(t, cfg, 0.5)
	l := ladder(t, 3, 0.1, 8)
	m := measured(t, 6, []Terms{{{0, 1}}, {{1, 0.5}, {2, 0.5}}}, []float64{0.4, -0.3}, 0.05)
	draw := func(b kernels.Backend, sampler string, first, n int) []float32 {
		p, err := NewPlan(DefaultsFor(sampler, cfg), l)
		if err != nil {
			t.Fatal(err)
		}
		if sampler == PiGDM {
			p.Given(m)
			if err := JudgeGuided(cfg, p); err != nil || p.Settings.SigmaData != 1 {
				t.Fatalf("deviation %g, %v", p.Settings.SigmaData, err)
			}
		}
		s, err := model.NewScoreFor(b, cfg, p.Objective(), kernels.Float32, n, p.WorkWords(n, 6))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.LoadFrom(weights, ""); err != nil {
			t.Fatal(err)
		}
		if err := Start(s, l, 7, uint32(first), Gaussian); err != nil {
			t.Fatal(err)
		}
		c, err := NewChain(s, p, l, 7)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Run(uint32(first), nil); err != nil {
			t.Fatal(err)
		}
		return readX(t, s)
	}
	off := func(x []float32) (sum float64) {
		for n := 0; n < len(x); n += 6 {
			sum += math.Abs(float64(x[n])-0.4) + math.Abs(float64(x[n+1]+x[n+2])/2+0.3)
		}
		return sum
	}
	want := draw(kernels.NewCPU(2), PiGDM, 0, 5)
	if near, far := off(want), off(draw(kernels.NewCPU(2), "euler-ancestral", 0, 5)); !(near <= far/4) {
		t.Errorf("guided samples are %g off what was measured, others %g", near, far)
	}
	if got := draw(kernels.NewCPU(1), PiGDM, 3, 2); !slices.Equal(got, want[3*6:]) {
		t.Errorf("samples 3 and 4 of a batch of 2 are %v, expected %v", got, want[3*6:])
	}
	for name, open := range openDevices {
		b := open(t)
		if e := apart(t, model.Ladder(draw(b, PiGDM, 0, 5)).Float64s(), model.Ladder(want).Float64s()); !(e <= 1e-4) {
			t.Errorf("%s: off by %g", name, e)
		}
	}
	for _, c := range []struct {
		cfg  model.Config
		want string
	}{
		{model.Config{Net: "ncsnv2", Height: 8, Width: 8, Channels: 1, NGF: 8}, "method is pigdm: ncsnv2 does not see sigma"},
		{model.Config{Net: "ncsn", Height: 8, Width: 8, Channels: 1, NGF: 8, Levels: 8}, "ncsn knows noise only as one of the levels"},
	} {
		p, err := NewPlan(DefaultsFor(PiGDM, c.cfg), l)
		if err != nil {
			t.Fatal(err)
		}
		if err := JudgeGuided(c.cfg, p); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, expected %q", c.cfg.Net, err, c.want)
		}
	}
}

// Measurements that cannot be are refused.
func TestMeasurementRefuses(t *testing.T) {
	two := []Terms{{{0, 1}, {1, 1}}, {{0, 2}, {1, 2}}}
	for _, c := range []struct {
		rows []Terms
		y    []float64
		want string
	}{
		{two, []float64{1}, "has 2 rows for 1 measured values"},
		{two, []float64{1, math.NaN()}, "has the measured value NaN at 1"},
		{two, []float64{1, 3}, "cannot give what was measured: 0.14"},
	} {
		if _, err := Linear(3, c.rows, [][]float64{c.y}, 0); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, expected %q", c.y, err, c.want)
		}
	}
	m := measured(t, 3, two, []float64{1, 3}, 0.1) // with noise it is the mean of both, by their sizes
	if m.Len() != 1 || !(math.Abs(math.Abs(m.target[0])-(1+2*3)/(5*math.Sqrt2)) <= 1e-12) ||
		!(math.Abs(m.noise[0]-0.1/math.Sqrt(10)) <= 1e-12) {
		t.Errorf("%+v", m)
	}
	if m := measured(t, 3, []Terms{{}, {{0, 0}}}, []float64{0, 0}, 0); m.Len() != 0 {
		t.Errorf("rows of zeros: %+v", m)
	}
	if _, err := Linear(3, two, [][]float64{{1, 2}, {1, 3}}, 0); err == nil || !strings.Contains(err.Error(), "(measurement 1)") {
		t.Errorf("the second of two measurements: %v", err)
	}
}
