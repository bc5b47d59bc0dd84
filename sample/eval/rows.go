// Sets of points, and work on them by several goroutines.

package eval

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"sigmaz/kernels"
)

// Rows is a set of N points of D values each.
type Rows struct {
	N, D int
	X    []float32 // (N, D)
}

// Row returns point i.
func (r Rows) Row(i int) []float32 { return r.X[i*r.D : (i+1)*r.D] }

// First returns the first n points, or all where there are not as many.
func (r Rows) First(n int) Rows {
	n = min(n, r.N)
	return Rows{n, r.D, r.X[:n*r.D]}
}

// Some returns n of the points, drawn by [Choose].
func (r Rows) Some(n int) Rows {
	if n >= r.N {
		return r
	}
	out := Rows{N: n, D: r.D}
	for _, i := range Choose(n, r.N, 0) {
		out.X = append(out.X, r.Row(i)...)
	}
	return out
}

// Choose draws n of the numbers 0 to of-1 from seed and returns them in rising order. Rows of data often come in an order
// that repeats, so every k-th of them would be another distribution.
func Choose(n, of int, seed uint64) []int {
	chosen := order(of, seed)[:min(n, of)]
	slices.Sort(chosen)
	return chosen
}

// order draws an order of 0 to n-1 from seed.
func order(n int, seed uint64) []int {
	words := kernels.Stream{Seed: seed, Purpose: kernels.PurposeEval}
	key, all := make([]uint32, n), make([]int, n)
	for i := range all {
		if i%4 == 0 {
			block := words.Block(uint32(i / 4))
			copy(key[i:], block[:])
		}
		all[i] = i
	}
	slices.SortStableFunc(all, func(a, b int) int { return cmp.Compare(key[a], key[b]) })
	return all
}

// Estimate is a number with its standard error, which is NaN where it is not known.
type Estimate struct{ Value, SE float64 }

// check refuses sets that cannot be compared. least is how many points each must have.
func check(least int, sets ...Rows) error {
	for _, r := range sets {
		switch {
		case r.D < 1 || len(r.X) != r.N*r.D:
			return fmt.Errorf("eval: expected %d points of at least 1 value, found %d values", r.N, len(r.X))
		case r.D != sets[0].D:
			return fmt.Errorf("eval: expected points of as many values in both sets, found %d and %d", sets[0].D, r.D)
		case r.N < least:
			return fmt.Errorf("eval: expected at least %d points, found %d", least, r.N)
		}
		for i, v := range r.X {
			if v-v != 0 {
				return fmt.Errorf("eval: expected finite values, found %g in point %d", v, i/r.D)
			}
		}
	}
	return nil
}

// Workers says who computes: at most N goroutines, 0: one a core. When Ctx ends, a measure returns its error.
type Workers struct {
	Ctx context.Context
	N   int
}

// Run calls f for tasks 0 to n-1, each once.
func (w Workers) Run(n int, f func(task int)) error {
	workers := w.N
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for w.Ctx.Err() == nil {
				task := int(next.Add(1)) - 1
				if task >= n {
					return
				}
				f(task)
			}
		})
	}
	wg.Wait()
	return w.Ctx.Err()
}

// mean returns the mean of x and its standard error.
func mean(x []float64) Estimate {
	n := float64(len(x))
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	m, squares := sum/n, 0.0
	for _, v := range x {
		squares += float64((v - m) * (v - m))
	}
	return Estimate{m, math.Sqrt(squares / (n - 1) / n)}
}
