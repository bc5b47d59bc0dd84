package kernels_test

import (
	"math"
	"slices"
	"testing"

	"sigmaz/kernels"
)

// The two densities as tests draw from them: uniform from 15 down to 0.01, and normal in ln sigma.
var (
	logUniform = kernels.Density{Shift: 2.70805020110221, Scale: -7.313220387090301}
	logNormal  = kernels.Density{Normal: true, Shift: -1.893, Scale: -1.2}
)

// normalCDF returns the distribution function of the standard normal distribution.
func normalCDF(x float64) float64 { return 0.5 * math.Erfc(-x/math.Sqrt2) }

// cdf returns the share of the draws that comes before sigma.
func cdf(d kernels.Density, sigma float64) float64 {
	q := (math.Log(sigma) - d.Shift) / d.Scale
	if d.Normal {
		return normalCDF(q)
	}
	return q
}

// The quantile is the inverse of the distribution function, to the precision of float32, into both tails.
func TestDensityQuantile(t *testing.T) {
	words := []uint32{0, 1, 2, 1000, 1 << 20, 0x13333332, 0x13333334, 1<<31 - 1, 1 << 31, 0xecccccca, 0xecccccce, math.MaxUint32 - 1, math.MaxUint32}
	for i := range uint32(4096) {
		words = append(words, i<<20|i*977)
	}
	for _, d := range []kernels.Density{logUniform, logNormal} {
		for _, w := range words {
			u := (float64(w) + 0.5) / (1 << 32)
			sigma := float64(d.Sigma(w))
			// du = p(q) dq with dq = d ln sigma / Scale: an error of 2e-7 of sigma, and 1e-7 of a normal q
			q, slope := (math.Log(sigma)-d.Shift)/d.Scale, 1.0
			if d.Normal {
				slope = math.Exp(-q*q/2) / math.Sqrt(2*math.Pi)
			}
			bound := slope*(2e-7/math.Abs(d.Scale)+2e-7*math.Abs(q)) + 1e-15
			got := cdf(d, sigma)
			if u > 0.5 && d.Normal { // where the distribution function itself has digits
				got, u = normalCDF(-q), 1-u
			}
			if math.Abs(got-u) > bound {
				t.Errorf("%+v: the quantile at %.12g is %.9g, whose distribution function is off by %.3g: expected at most %.3g",
					d, u, sigma, got-u, bound)
			}
		}
	}
}

// Golden bits: what any machine and device draws.
func TestDensityBits(t *testing.T) {
	for _, c := range []struct {
		d    kernels.Density
		want []uint32
	}{
		{logUniform, goldenUniform}, {logNormal, goldenNormal},
	} {
		for i, w := range []uint32{0, 1, 0x12345678, 0x13333333, 0x7fffffff, 0x80000000, 0xdeadbeef, 0xffffffff} {
			if got := math.Float32bits(c.d.Sigma(w)); got != c.want[i] {
				t.Errorf("%+v: word %#x gives the bits %#x: expected %#x", c.d, w, got, c.want[i])
			}
		}
	}
}

var (
	goldenUniform = []uint32{0x41700000, 0x41700000, 0x410ead79, 0x410aad4f, 0x3ec64bf8, 0x3ec64bf8, 0x3cd43951, 0x3c23d70a}
	goldenNormal  = []uint32{0x4397521c, 0x4376572b, 0x3f605c6a, 0x3f58f053, 0x3e1a3bf0, 0x3e1a3bf0, 0x3d1fd06d, 0x389d3420}
)

// drawn runs the perturbation of a small data set for some steps and returns the sigmas of each step.
func drawn(d kernels.Density, rows, steps int, stratified bool) [][]float32 {
	data := &kernels.Data{N: 4, H: 1, W: 1, C: 1, F32: make([]float32, 4)}
	mem := make([]float32, 4*rows+kernels.StateWords+16)
	at := 0
	take := func(k int) kernels.Buf { b := kernels.Buf{Off: at, N: k}; at += k; return b }
	op := kernels.Perturb{N: rows, XTilde: take(rows), Z: take(rows), Sigma: take(rows), Level: take(rows),
		Ladder: take(2), State: take(kernels.StateWords), Data: data, Seed: 11, Density: d, Stratified: stratified}
	list := make([][]float32, steps)
	for step := range list {
		kernels.SetStep(op.State.Of(mem), uint64(step))
		op.Ref(mem)
		list[step] = slices.Clone(op.Sigma.Of(mem))
	}
	return list
}

// Stratified: each of the B parts of equal probability has exactly one draw of each step, in the order of the rows.
func TestDensityStrata(t *testing.T) {
	for _, d := range []kernels.Density{logUniform, logNormal} {
		const rows = 48
		for step, sigmas := range drawn(d, rows, 200, true) {
			for r, sigma := range sigmas {
				if u := rows * cdf(d, float64(sigma)); u < float64(r)-1e-5 || u > float64(r+1)+1e-5 {
					t.Fatalf("%+v, step %d: row %d has sigma %g, which lies in part %.4f of %d", d, step, r, sigma, u, rows)
				}
			}
		}
	}
}

// The draws have the density's distribution (Kolmogorov and Smirnov), mean and deviation, stratified or not, and are
// independent from one step to the next within a stratum.
func TestDensityDistribution(t *testing.T) {
	const rows, steps = 32, 2000
	for _, d := range []kernels.Density{logUniform, logNormal} {
		for _, stratified := range []bool{false, true} {
			var u []float64
			mean, square, product := 0.0, 0.0, 0.0
			last := 0.0
			for step, sigmas := range drawn(d, rows, steps, stratified) {
				for _, sigma := range sigmas {
					u = append(u, cdf(d, float64(sigma)))
					l := (math.Log(float64(sigma)) - d.Shift) / d.Scale
					mean += l / (rows * steps)
					square += l * l / (rows * steps)
				}
				within := rows*cdf(d, float64(sigmas[5])) - 5 - 0.5 // of the stratum of row 5
				if stratified && step > 0 {
					product += 12 * within * last / steps
				}
				last = within
			}
			slices.Sort(u)
			ks := 0.0
			for i, v := range u {
				ks = max(ks, v-float64(i)/float64(len(u)), float64(i+1)/float64(len(u))-v)
			}
			wantMean, wantVariance := 0.5, 1.0/12
			if d.Normal {
				wantMean, wantVariance = 0, 1
			}
			n := float64(rows * steps)
			bound := 4 / math.Sqrt(n)
			if ks*math.Sqrt(n) > 1.95 { // one in a thousand
				t.Errorf("%+v, stratified %v: the Kolmogorov distance is %.4g", d, stratified, ks)
			}
			if off := mean - wantMean; math.Abs(off) > bound*math.Sqrt(wantVariance) {
				t.Errorf("%+v, stratified %v: the mean is off by %.3g", d, stratified, off)
			}
			if v := square - mean*mean; math.Abs(v/wantVariance-1) > bound*math.Sqrt2 {
				t.Errorf("%+v, stratified %v: the variance is %.4g: expected %.4g", d, stratified, v, wantVariance)
			}
			if math.Abs(product) > 4/math.Sqrt(steps) {
				t.Errorf("%+v: draws of the same stratum are correlated from step to step: %.3g", d, product)
			}
		}
	}
}
