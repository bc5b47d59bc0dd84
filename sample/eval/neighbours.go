// Nearest neighbours, and whether samples are copies of what was learned.
//
//	nearness   mean over samples of d(sample, learned) / mean over held-out data of d(held-out, learned)
//
// with d the distance to the nearest. Where a network has learned the distribution, its samples are as far from the data
// that it was trained on as new data is, and the ratio is about 1. Copies are nearer; samples that look like nothing are
// farther. What is nearest in pixels is not always what looks alike: a shift by one pixel is far.

package eval

import (
	"fmt"
	"math"
	"slices"
)

// Neighbour is a point and how far it is.
type Neighbour struct {
	Index    int
	Distance float64
}

// Nearest returns for each point of a the k nearest points of b, nearest first; of equally near ones the lower index is
// first.
func Nearest(w Workers, a, b Rows, k int) ([][]Neighbour, error) {
	if err := check(1, a, b); err != nil {
		return nil, err
	}
	if k < 1 || k > b.N {
		return nil, fmt.Errorf("eval: expected 1 to %d neighbours, found %d", b.N, k)
	}
	d, err := newDistances(w, a, b)
	if err != nil {
		return nil, err
	}
	return nearest(w, d, k, false)
}

// nearest is Nearest of laid out sets. others leaves out the pairs of a point with itself, where both sets are one.
func nearest(w Workers, d *distances, k int, others bool) ([][]Neighbour, error) {
	found := make([][]Neighbour, d.a.N) // with squared distances on the way
	err := products(w, d.a, d.b, func(i, j0 int, dots []float32) {
		list := found[i]
		for t, dot := range dots {
			j := j0 + t
			if others && j == i || len(list) == k && d.about(i, j, dot)-d.off >= list[k-1].Distance {
				continue
			}
			n := Neighbour{j, d.exact(i, j)}
			at, _ := slices.BinarySearchFunc(list, n, func(e, n Neighbour) int {
				if e.Distance <= n.Distance { // of equal ones the first stays first
					return -1
				}
				return 1
			})
			if list = slices.Insert(list, at, n); len(list) > k {
				list = list[:k]
			}
		}
		found[i] = list
	})
	if err != nil {
		return nil, err
	}
	for _, list := range found {
		for i := range list {
			list[i].Distance = math.Sqrt(list[i].Distance)
		}
	}
	return found, nil
}

// radii returns for each point of d, whose two sets are one, the squared distance to the k-th nearest other point.
func radii(w Workers, d *distances, k int) ([]float64, error) {
	found, err := nearest(w, d, k, true)
	if err != nil {
		return nil, err
	}
	r := make([]float64, len(found))
	for i, list := range found {
		r[i] = d.exact(i, list[k-1].Index)
	}
	return r, nil
}

// Nearness is how near samples and held-out data are to what was learned.
type Nearness struct {
	Sample, HeldOut Estimate // mean distance to the nearest point
	Ratio           Estimate // Sample / HeldOut
}

// NearnessOf computes the nearness from what [Nearest] gives for samples and for held-out data.
func NearnessOf(samples, heldOut [][]Neighbour) Nearness {
	nearest := func(all [][]Neighbour) Estimate {
		x := make([]float64, len(all))
		for i, list := range all {
			x[i] = list[0].Distance
		}
		return mean(x)
	}
	n := Nearness{Sample: nearest(samples), HeldOut: nearest(heldOut)}
	a, b := n.Sample, n.HeldOut
	ratio := a.Value / b.Value
	n.Ratio = Estimate{ratio, ratio * math.Hypot(a.SE/a.Value, b.SE/b.Value)}
	return n
}
