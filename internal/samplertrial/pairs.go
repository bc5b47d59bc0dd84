// Distances between two sets of vectors by all pairs of their rows, x of the one and y of the other:
//
//	energy distance   2 E|x-y| - E|x-x'| - E|y-y'|
//	MMD^2             E k(x,x') + E k(y,y') - 2 E k(x,y),   k(a,b) = exp(-|a-b|^2/(2 h^2))
//
// (Szekely and Rizzo 2013; Gretton et al. 2012). The expectations are means over the pairs of different rows, so that both
// are 0 in the mean where the sets have one law, and may come out below it. The widths h are the median distance between
// rows of the reference, which sees where the mass is, and a fifth of it, which sees shapes.

package main

import (
	"math"
	"runtime"
	"slices"
	"sync"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"
)

// widths are those of the kernels, as parts of the median distance.
var widths = [2]float64{1, 0.2}

// sums are of |a-b| and of the kernels over some pairs.
type sums [1 + len(widths)]float64

func (s *sums) add(t *sums) {
	for i, v := range t {
		s[i] += v
	}
}

// cloud is the reference of the distances by pairs.
type cloud struct {
	x      *mat.Dense
	factor [len(widths)]float64 // -1/(2 h^2)
	mean   sums                 // over the pairs of different rows
}

func newCloud(x *mat.Dense) *cloud {
	c := &cloud{x: x}
	n, d := x.Dims()
	some := min(n, 1000)
	var all []float64
	for i := range some {
		for j := range i {
			all = append(all, math.Sqrt(square(x.RawRowView(i), x.RawRowView(j))))
		}
	}
	slices.Sort(all)
	median := stat.Quantile(0.5, stat.LinInterp, all, nil)
	for i, w := range widths {
		c.factor[i] = -1 / (2 * w * median * w * median)
	}
	rows := make([]sums, n)
	parallel(n, func(i int) { rows[i] = c.row(x.RawRowView(i), x.RawMatrix().Data[:i*d]) })
	for i := range rows {
		c.mean.add(&rows[i])
	}
	for i := range c.mean {
		c.mean[i] /= float64(n) * float64(n-1) / 2
	}
	return c
}

// square returns |a-b|^2.
func square(a, b []float64) (sum float64) {
	for k, v := range a {
		sum += (v - b[k]) * (v - b[k])
	}
	return sum
}

// parallel calls f for 0 to n-1 on all processors.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// row sums over the pairs of a with the rows of b.
func (c *cloud) row(a, b []float64) (s sums) {
	for ; len(b) > 0; b = b[len(a):] {
		d2 := square(a, b[:len(a)])
		s[0] += math.Sqrt(d2)
		for i, f := range c.factor {
			s[1+i] += math.Exp(f * d2)
		}
	}
	return s
}

// byPairs are the distances of a set from the reference.
type byPairs struct {
	energy estimate
	mmd    [len(widths)]estimate
}

// compare measures a set. Groups of its rows are left out in turn for the errors.
func (c *cloud) compare(x *mat.Dense) (r byPairs) {
	n, d := x.Dims()
	data := x.RawMatrix().Data
	group := func(i int) int { return i * groups / n }
	across, within := make([]sums, n), make([][groups]sums, n)
	parallel(n, func(i int) {
		a := x.RawRowView(i)
		across[i] = c.row(a, c.x.RawMatrix().Data)
		for j := range i { // rows before it, by their group
			s := c.row(a, data[j*d:(j+1)*d])
			within[i][group(j)].add(&s)
		}
	})
	var cross [groups]sums
	var inner [groups][groups]sums
	var count [groups]float64
	for i := range n {
		g := group(i)
		count[g]++
		cross[g].add(&across[i])
		for h := range inner[g] {
			inner[g][h].add(&within[i][h])
		}
	}
	m, _ := c.x.Dims()
	// of returns 2 E(x,y) - E(x,x') - E(y,y') of sum k without a group.
	of := func(k int) func(out int) float64 {
		return func(out int) float64 {
			rows, xy, xx := 0.0, 0.0, 0.0
			for g := range groups {
				if g == out {
					continue
				}
				rows += count[g]
				xy += cross[g][k]
				for h := range groups {
					if h != out {
						xx += inner[g][h][k]
					}
				}
			}
			return 2*xy/(rows*float64(m)) - xx/(rows*(rows-1)/2) - c.mean[k]
		}
	}
	r.energy = jackknifeGroups(of(0))
	for i := range r.mmd {
		e := jackknifeGroups(of(1 + i))
		r.mmd[i] = estimate{-e.value, e.err}
	}
	return r
}
