package main

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"

	"sigmaz/internal/picture"
	"sigmaz/sample/eval"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %g, expected %g within %g", what, got, want, tolerance)
	}
}

func all(int) bool { return true }

// A set that is moved by m is |m v| away on each line v, and |m|^2 by Frechet's distance. 0.3 times the set about its mean
// leaves the means and 0.49 of the variance.
func TestGaussians(t *testing.T) {
	const n, d = 400, 12
	random := rand.New(rand.NewPCG(3, 4))
	x := normals(random, n, d)
	r := newReference(x)
	if _, k := r.axes.Dims(); k != d {
		t.Fatalf("%d components of %d values", k, d)
	}
	move := normals(random, d, 1)
	moved := mat.DenseCopyOf(x)
	moved.Apply(func(_, j int, v float64) float64 { return v + move.At(j, 0) }, moved)
	along := product(move.T(), r.lines)
	want := 0.0
	for p := range directions {
		want += math.Abs(along.At(0, p)) / directions
	}
	distances := func(x *mat.Dense) (sliced, f float64) {
		c := r.centred(x)
		for p, column := range sortedColumns(product(c, r.lines), all) {
			sliced += eval.Wasserstein1(column, r.projected[p]) / directions
		}
		return sliced, frechet(momentsOf(product(c, r.axes), all), r.moments)
	}
	sliced, f := distances(moved)
	near(t, "sliced Wasserstein of what is moved", sliced, want, 1e-9)
	near(t, "Frechet of what is moved", f, math.Pow(mat.Norm(move, 2), 2), 1e-9)

	smaller := r.centred(x)
	smaller.Apply(func(_, j int, v float64) float64 { return 0.3*v + r.mean[j] }, smaller)
	_, f = distances(smaller)
	near(t, "Frechet of what is smaller", f, 0.49*mat.Trace(r.moments.Cov), 1e-9)
	if sliced, f = distances(x); sliced > 1e-12 || f > 1e-9 {
		t.Errorf("a set is %g and %g away from itself", sliced, f)
	}
}

// Data that varies along known axes has those as principal components, the largest last.
func TestPrincipal(t *testing.T) {
	const n, d, k = 3000, 130, 3
	random := rand.New(rand.NewPCG(5, 6))
	x := normals(random, n, d)
	x.Apply(func(_, j int, v float64) float64 {
		switch j {
		case 7:
			return 9 * v
		case 100:
			return 6 * v
		case 30:
			return 4 * v
		}
		return 0.1 * v
	}, x)
	axes := principal(random, x, k)
	for i, j := range []int{30, 100, 7} {
		near(t, "a component's own value", math.Abs(axes.At(j, i)), 1, 2e-3)
	}
	square := product(axes.T(), axes)
	for i := range k {
		for j := range k {
			want := 0.0
			if i == j {
				want = 1
			}
			near(t, "a product of components", square.At(i, j), want, 1e-12)
		}
	}
}

// noisyImages are a bright square on black, with white noise.
func noisyImages(n int, sigma float64) picture.Images {
	random := rand.New(rand.NewPCG(7, 8))
	m := picture.Images{N: n, H: 28, W: 28, C: 1}
	for range n {
		for i := range m.H {
			for j := range m.W {
				v := sigma * random.NormFloat64()
				if i > 8 && i < 20 && j > 5 && j < 17 {
					v++
				}
				m.Pix = append(m.Pix, float32(v))
			}
		}
	}
	return m
}

// Both estimators find noise that is known, the one by pixels that should be black, the other between the edges.
func TestNoise(t *testing.T) {
	square := noisyImages(3, 0)
	blocks := &reference{}
	near(t, "the noise of a clean image", blocks.noise(square, 0), 0, 0)
	still := newReference(matrix(picture.Images{N: 2, H: 28, W: 28, C: 1, Pix: append(square.Pix[:784:784], make([]float32, 784)...)}))
	if want := 784 - 11*11; len(still.still) != want {
		t.Fatalf("%d values are the same in all images, expected %d", len(still.still), want)
	}
	for _, sigma := range []float64{0.01, 0.05, 0.3} {
		m := noisyImages(60, sigma)
		for name, r := range map[string]*reference{"between edges": blocks, "where it should be black": still} {
			mean := 0.0
			for n := range m.N {
				mean += r.noise(m, n) / float64(m.N)
			}
			near(t, "the noise "+name, mean, sigma, 0.04*sigma)
		}
	}
}

// The jackknife's error of a mean is that of the means of the groups.
func TestJackknife(t *testing.T) {
	const n = 200
	random := rand.New(rand.NewPCG(9, 10))
	x := make([]float64, n)
	var group [groups]float64
	for i := range x {
		x[i] = random.NormFloat64()
		group[i*groups/n] += x[i] / (n / groups)
	}
	mean := func(use func(int) bool) float64 {
		sum, count := 0.0, 0.0
		for i, v := range x {
			if use(i) {
				sum, count = sum+v, count+1
			}
		}
		return sum / count
	}
	e := jackknife(n, mean)
	near(t, "the mean", e.value, mean(all), 0)
	spread := 0.0
	for _, m := range group {
		spread += (m - e.value) * (m - e.value)
	}
	near(t, "its error", e.err, math.Sqrt(spread/(groups-1)/groups), 1e-12)
}

// Noise makes every number of the table larger, and is told apart by its share.
func TestCompare(t *testing.T) {
	r := newReference(matrix(noisyImages(300, 0.02)))
	quiet, loud := r.compare(noisyImages(120, 0.02)), r.compare(noisyImages(120, 0.2))
	if !(quiet.sliced.value < loud.sliced.value && quiet.frechet.value < loud.frechet.value) {
		t.Errorf("%+v is not nearer than %+v", quiet, loud)
	}
	if quiet.noisy != 0 || loud.noisy != 1 || !(quiet.noise.err > 0 && quiet.most.value > quiet.noise.value) {
		t.Errorf("noise %+v and %+v", quiet, loud)
	}
	const want = "| x | 35 | 1500.0 ± 20.0 | 2.00 ± 0.30 | 0.0100 ± 0.0010 | 0.020 ± 0.003 | 40.0 % |"
	c := comparison{estimate{1.5, 0.02}, estimate{2, 0.3}, estimate{0.01, 0.001}, estimate{0.02, 0.003}, 0.4}
	if got := c.row("x", 35); got != want {
		t.Errorf("the row is\n%s, expected\n%s", got, want)
	}
}
