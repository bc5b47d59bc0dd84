// The float64 twin: a plan's steps on the host, against which the device is compared, and which is compared itself with
// the traces of other programs.

package sample

import (
	"math"
	"testing"
)

// field64 is a score in float64; row is the row's index in the batch.
type field64 func(dst, x []float64, sigma float64, row int)

// knownTwin is what is known of each row.
type knownTwin struct {
	of      []*Measurement
	draws   func(k, n int) []float64                 // noise of what is known of row n in step k
	product func(dst, x, v []float64, sigma float64) // v^T ds/dx, of a guided plan
}

// fit makes the rows hold what is known at a noise level, with exact at none; a is the step's factor of the score.
func (w *knownTwin) fit(x []float64, k int, sigma, a float64, exact bool) {
	d := len(x) / len(w.of)
	for n, m := range w.of {
		row := x[n*d : (n+1)*d]
		move := make([]float64, d)
		for j, v := range m.directions {
			tau := m.noise[j]
			off := m.target[j]
			for _, e := range v {
				off -= e.Weight * row[e.At]
			}
			switch {
			case exact && tau > 0:
				continue
			case !exact && (tau == 0 || tau < sigma):
				off += math.Sqrt(sigma*sigma-tau*tau) * w.draws(k, n)[j]
			case !exact:
				off *= a / (a + tau*tau - sigma*sigma)
			}
			for _, e := range v {
				move[e.At] += off * e.Weight
			}
		}
		for i, v := range move {
			row[i] += v
		}
	}
}

// guide adds to the scores s of rows x what Pi-GDM does, for data of the deviation sd.
func (w *knownTwin) guide(s, x []float64, sigma, sd float64) {
	d := len(x) / len(w.of)
	r2 := sd * sd * sigma * sigma / (sd*sd + sigma*sigma)
	for n, m := range w.of {
		v, vj := make([]float64, d), make([]float64, d)
		for j, direction := range m.directions {
			off := m.target[j]
			for _, e := range direction {
				off -= e.Weight * (x[n*d+e.At] + sigma*sigma*s[n*d+e.At])
			}
			for _, e := range direction {
				v[e.At] += off / (m.noise[j]*m.noise[j] + r2) * e.Weight
			}
		}
		w.product(vj, x[n*d:(n+1)*d], v, sigma)
		for i := range v {
			s[n*d+i] += v[i] + sigma*sigma*vj[i]
		}
	}
}

// run takes rows x of d values through the plan, in place, and calls each after every step, which may change x.
func (p *Plan) run(score field64, x []float64, d int, draws func(k int) []float64, each func(step int, r *row)) {
	p.runKnown(score, nil, x, d, draws, each)
}

// runKnown is run for samples of which something is known.
func (p *Plan) runKnown(score field64, known *knownTwin, x []float64, d int, draws func(k int) []float64,
	each func(step int, r *row)) {
	s, y := make([]float64, len(x)), make([]float64, len(x))
	n := len(x) / d
	gain := make([]float64, n)
	step := 0
	for k := range p.steps {
		r, draw := p.at(k)
		if r.sigma > 0 {
			if known != nil && !p.guided {
				known.fit(x, k, r.sigma, r.x.s, false)
			}
			for i := range n {
				score(s[i*d:(i+1)*d], x[i*d:(i+1)*d], r.sigma, i)
			}
			if known != nil && p.guided {
				known.guide(s, x, r.sigma, p.Settings.SigmaData)
			}
		}
		var z []float64
		if r.x.z != 0 || r.y.z != 0 {
			z = draws(draw)
		} else {
			z = make([]float64, len(x))
		}
		for i := range gain {
			gain[i] = 1
		}
		if r.gain {
			p.norms.gains(gain, s, z, d)
		}
		for i := range x {
			g := gain[i/d]
			old := x[i]
			sum := func(l line) float64 { return l.x*old + l.s*(g*g*s[i]) + l.y*y[i] + l.z*(g*z[i]) }
			x[i] = sum(r.x)
			if r.y != keep {
				y[i] = sum(r.y)
			}
		}
		if known != nil && k == p.steps-1 {
			known.fit(x, k, 0, 0, true)
		}
		if !r.mid {
			if each != nil {
				each(step, r)
			}
			step++
		}
	}
}

// gains are those of a batch with scores s and noise z.
func (kind normKind) gains(gain, s, z []float64, d int) {
	length := func(v []float64) float64 {
		sum := 0.0
		for _, e := range v {
			sum += e * e
		}
		return math.Sqrt(sum)
	}
	var zs, ss float64
	for n := range gain {
		zn, sn := length(z[n*d:(n+1)*d]), length(s[n*d:(n+1)*d])
		zs, ss = zs+zn, ss+sn
		if kind == expectedNorm {
			zn = math.Sqrt(float64(d))
		}
		gain[n] = zn / sn
	}
	if kind == batchNorm {
		for n := range gain {
			gain[n] = zs / ss
		}
	}
}

// mixture is a mixture of Gaussians, whose score is known at every sigma: p_sigma = sum_k w_k N(m_k, C_k + sigma^2 I).
type mixture struct {
	weights []float64
	means   [][]float64
	cov     [][][]float64 // (K, D, D)
}

// diagonal is covariances from variances.
func diagonal(variances []float64) [][]float64 {
	c := make([][]float64, len(variances))
	for i, v := range variances {
		c[i] = make([]float64, len(variances))
		c[i][i] = v
	}
	return c
}

// logDensities writes the gradient of each component's log density to grads and returns their logarithms, weighted.
func (m *mixture) logDensities(grads [][]float64, x []float64, sigma float64) []float64 {
	d := len(x)
	logs := make([]float64, len(m.weights))
	for k := range logs {
		// Gaussian elimination of C + sigma^2 I with the right side m - x
		a := make([][]float64, d)
		for i := range a {
			a[i] = append(append([]float64(nil), m.cov[k][i]...), m.means[k][i]-x[i])
			a[i][i] += sigma * sigma
		}
		logDet := 0.0
		for i := range a {
			logDet += math.Log(a[i][i])
			for j := i + 1; j < d; j++ {
				f := a[j][i] / a[i][i]
				for c := i; f != 0 && c <= d; c++ {
					a[j][c] -= f * a[i][c]
				}
			}
		}
		g := grads[k]
		for i := d - 1; i >= 0; i-- {
			g[i] = a[i][d]
			for c := i + 1; c < d; c++ {
				g[i] -= a[i][c] * g[c]
			}
			g[i] /= a[i][i]
		}
		square := 0.0
		for i := range g {
			square += g[i] * (m.means[k][i] - x[i])
		}
		logs[k] = math.Log(m.weights[k]) - (square+logDet+float64(d)*math.Log(2*math.Pi))/2
	}
	return logs
}

func (m *mixture) grads(d int) [][]float64 {
	g := make([][]float64, len(m.weights))
	for k := range g {
		g[k] = make([]float64, d)
	}
	return g
}

// score is the score of the mixture.
func (m *mixture) score(dst, x []float64, sigma float64, _ int) {
	grads := m.grads(len(x))
	logs := m.logDensities(grads, x, sigma)
	most, sum := math.Inf(-1), 0.0
	for _, l := range logs {
		most = max(most, l)
	}
	for _, l := range logs {
		sum += math.Exp(l - most)
	}
	clear(dst)
	for k, l := range logs {
		for i, g := range grads[k] {
			dst[i] += math.Exp(l-most) / sum * g
		}
	}
}

// component is component k alone.
func (m *mixture) component(k int) *mixture {
	return &mixture{[]float64{1}, m.means[k : k+1], m.cov[k : k+1]}
}

// float32s is the score as a function of float32 rows.
func (f field64) float32s() func(dst, x []float32, sigma float32) {
	return func(dst, x []float32, sigma float32) {
		d64, x64 := make([]float64, len(x)), make([]float64, len(x))
		for i, v := range x {
			x64[i] = float64(v)
		}
		f(d64, x64, float64(sigma), 0)
		for i, v := range d64 {
			dst[i] = float32(v)
		}
	}
}

// largest is the largest absolute value.
func largest(v []float64) (most float64) {
	for _, e := range v {
		most = max(most, math.Abs(e))
	}
	return most
}

// apart is the largest difference of two slices, relative to the largest value of the second.
func apart(t *testing.T, got, want []float64) float64 {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d values, expected %d", len(got), len(want))
	}
	most := 0.0
	for i := range got {
		d := math.Abs(got[i] - want[i])
		if math.IsNaN(d) {
			return d
		}
		most = max(most, d)
	}
	return most / largest(want)
}
