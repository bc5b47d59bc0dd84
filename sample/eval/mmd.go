// Maximum mean discrepancy: how far apart two distributions are in the space of a kernel k,
//
//	MMD^2 = E k(x,x') + E k(y,y') - 2 E k(x,y)
//
// estimated without bias by means over pairs of different points (Gretton et al., "A kernel two-sample test", 2012, eq.
// 3); below zero where the sets happen to be nearer than two sets of one distribution are. With
//
//	k(x,y) = (x.y/D + 1)^3        it is KID (Binkowski et al., "Demystifying MMD GANs", 2018)
//	k(x,y) = exp(-|x-y|^2/2w^2)   it notices differences of the size w
//	k(x,y) = -|x-y|               it is the energy distance (Szekely and Rizzo, "Energy statistics", 2013)
//
// The standard error is the jackknife's: from what the estimate becomes without one point, for each point of either set.
// Where both sets have one distribution it is too large rather than too small, by up to the factor sqrt(2).

package eval

import (
	"math"
	"slices"
)

// kernel is a function of a product or of a squared distance.
type kernel func(v float64) float64

// KID returns the kernel distance with the cubic kernel. It takes all points at once; published numbers are means over
// blocks of them, which have the same expectation.
func KID(w Workers, x, y Rows) (Estimate, error) {
	if err := check(3, x, y); err != nil {
		return Estimate{}, err
	}
	d := float64(x.D)
	all, err := discrepancies(w, x, y, false, []kernel{func(v float64) float64 {
		v = v/d + 1
		return v * v * v
	}})
	if err != nil {
		return Estimate{}, err
	}
	return all[0], nil
}

// MMD returns MMD^2 with the Gaussian kernel of each of the widths.
func MMD(w Workers, x, y Rows, widths []float64) ([]Estimate, error) {
	if err := check(3, x, y); err != nil {
		return nil, err
	}
	var kernels []kernel
	for _, width := range widths {
		scale := -1 / (2 * width * width)
		kernels = append(kernels, func(v float64) float64 { return math.Exp(scale * v) })
	}
	return discrepancies(w, x, y, true, kernels)
}

// EnergyDistance returns 2 E|x-y| - E|x-x'| - E|y-y'|.
func EnergyDistance(w Workers, x, y Rows) (Estimate, error) {
	if err := check(3, x, y); err != nil {
		return Estimate{}, err
	}
	all, err := discrepancies(w, x, y, true, []kernel{func(v float64) float64 { return -math.Sqrt(v) }})
	if err != nil {
		return Estimate{}, err
	}
	return all[0], nil
}

// MedianDistance returns the median distance between up to 1,000 points of a set: the usual middle of the widths.
func MedianDistance(r Rows) float64 {
	r = shuffled(r, 0).First(1000)
	var all []float64
	for i := range r.N {
		for j := range i {
			all = append(all, squared(r.Row(i), r.Row(j)))
		}
	}
	if len(all) == 0 {
		return math.NaN()
	}
	slices.Sort(all)
	return math.Sqrt(all[len(all)/2])
}

// directValues is up to how many values squared distances are computed from the differences, which is exact and as fast.
const directValues = 32

// discrepancies returns MMD^2 for each of some kernels, of products or of squared distances.
func discrepancies(w Workers, x, y Rows, ofDistances bool, kernels []kernel) ([]Estimate, error) {
	var centre []float32
	if ofDistances {
		centre = centreOf(y)
	}
	a, err := newSide(w, x, centre)
	if err != nil {
		return nil, err
	}
	b, err := newSide(w, y, centre)
	if err != nil {
		return nil, err
	}
	// sums returns for each kernel and each row of a set its sum over the rows of another, or over the others of its own.
	sums := func(a, b *side) ([][]float64, error) {
		all := make([][]float64, len(kernels))
		for k := range all {
			all[k] = make([]float64, a.N)
		}
		d := &distances{a: a, b: b}
		err := products(w, a, b, func(i, j0 int, dots []float32) {
			for t, dot := range dots {
				j := j0 + t
				if a == b && j == i {
					continue
				}
				v := float64(dot)
				if ofDistances && a.D <= directValues {
					v = d.exact(i, j)
				} else if ofDistances {
					v = max(0, d.about(i, j, dot))
				}
				for k, f := range kernels {
					all[k][i] += f(v)
				}
			}
		})
		return all, err
	}
	xx, err := sums(a, a)
	if err != nil {
		return nil, err
	}
	yy, err := sums(b, b)
	if err != nil {
		return nil, err
	}
	xy, err := sums(a, b)
	if err != nil {
		return nil, err
	}
	yx, err := sums(b, a)
	if err != nil {
		return nil, err
	}
	out := make([]Estimate, len(kernels))
	for k := range out {
		out[k] = unbiased(xx[k], yy[k], xy[k], yx[k])
	}
	return out, nil
}

// unbiased computes MMD^2 from sums of rows, and its jackknife.
func unbiased(xx, yy, xy, yx []float64) Estimate {
	total := func(x []float64) (sum float64) {
		for _, v := range x {
			sum += v
		}
		return sum
	}
	m, n := float64(len(xx)), float64(len(yy))
	txx, tyy, txy := total(xx), total(yy), total(xy)
	value := txx/(m*(m-1)) + tyy/(n*(n-1)) - 2*txy/(m*n)
	// without returns the variance that leaving out the points of one set shows: own and cross are the sums of its rows, t
	// their total, rest the other set's part.
	without := func(own, cross []float64, t, m, n, rest float64) float64 {
		part := make([]float64, len(own))
		for i, v := range own {
			part[i] = (t-2*v)/((m-1)*(m-2)) + rest - 2*(txy-cross[i])/((m-1)*n)
		}
		middle, squares := total(part)/m, 0.0
		for _, v := range part {
			squares += float64((v - middle) * (v - middle))
		}
		return (m - 1) / m * squares
	}
	variance := without(xx, xy, txx, m, n, tyy/(n*(n-1))) + without(yy, yx, tyy, n, m, txx/(m*(m-1)))
	return Estimate{value, math.Sqrt(variance)}
}
