// Measures of vectors: sliced Wasserstein distance, and what the columns are like.
//
//	SW = 1/P sum_p W1(x v_p, y v_p)
//
// over P random directions v_p, |v_p| = 1 (Rabin et al., "Wasserstein barycenter and its application to texture mixing",
// 2011). W1 is the area between two distribution functions. The error is that of the jackknife over groups of points of
// either set; the directions are taken as given.

package eval

import (
	"fmt"
	"math"
	"slices"

	"sigmaz/kernels"
)

const (
	directions = 256 // P
	groups     = 10  // of the jackknife
)

// SlicedWasserstein returns the sliced Wasserstein-1 distance, with directions drawn from seed.
func SlicedWasserstein(w Workers, x, y Rows, seed uint64) (Estimate, error) {
	if err := check(2*groups, x, y); err != nil {
		return Estimate{}, err
	}
	// w1[p][0] is the distance on direction p, [1+g] that without group g of x, [1+groups+g] that without group g of y.
	w1 := make([][1 + 2*groups]float64, directions)
	err := w.Run(directions, func(p int) {
		v := direction(x.D, seed, p)
		a, b := sorted(x, v), sorted(y, v)
		ax, bx := values(a, -1), values(b, -1)
		w1[p][0] = Wasserstein1(ax, bx)
		for g := range groups {
			w1[p][1+g] = Wasserstein1(values(a, g), bx)
			w1[p][1+groups+g] = Wasserstein1(ax, values(b, g))
		}
	})
	if err != nil {
		return Estimate{}, err
	}
	var mean [1 + 2*groups]float64
	for _, d := range w1 {
		for i, v := range d {
			mean[i] += v / directions
		}
	}
	variance := 0.0
	for _, part := range [][]float64{mean[1 : 1+groups], mean[1+groups:]} {
		sum, squares := 0.0, 0.0
		for _, v := range part {
			sum += v
		}
		for _, v := range part {
			squares += float64((v - sum/groups) * (v - sum/groups))
		}
		variance += squares * (groups - 1) / groups
	}
	return Estimate{mean[0], math.Sqrt(variance)}, nil
}

// direction draws direction p of d values. The high bit of N keeps its numbers apart from those of points that are made.
func direction(d int, seed uint64, p int) []float64 {
	v := make([]float32, d)
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeData, N: 1<<63 | uint64(p)}.Normals(v)
	out, norm := make([]float64, d), 0.0
	for k, x := range v {
		out[k] = float64(x)
		norm += float64(out[k] * out[k])
	}
	if norm == 0 { // for d = 1, one chance in 2^24
		out[0], norm = 1, 1
	}
	for k := range out {
		out[k] /= math.Sqrt(norm)
	}
	return out
}

// projected is a point on a direction, and the group that it is in.
type projected struct {
	at    float64
	group int
}

func sorted(r Rows, v []float64) []projected {
	out := make([]projected, r.N)
	for i := range out {
		for k, x := range r.Row(i) {
			out[i].at += float64(float64(x) * v[k])
		}
		out[i].group = i * groups / r.N
	}
	slices.SortFunc(out, func(a, b projected) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return a.group - b.group
	})
	return out
}

// values returns where the points are, without those of one group; -1: all.
func values(all []projected, without int) []float64 {
	out := make([]float64, 0, len(all))
	for _, p := range all {
		if p.group != without {
			out = append(out, p.at)
		}
	}
	return out
}

// Wasserstein1 returns the distance W1 of two sorted sets of numbers.
func Wasserstein1(a, b []float64) (area float64) {
	i, j := 0, 0
	at := min(a[0], b[0])
	for i < len(a) || j < len(b) {
		apart := math.Abs(float64(i)/float64(len(a)) - float64(j)/float64(len(b)))
		from := at
		if j == len(b) || i < len(a) && a[i] <= b[j] {
			at, i = a[i], i+1
		} else {
			at, j = b[j], j+1
		}
		area += apart * (at - from)
	}
	return area
}

// Column is a column of both sets, in the units that they are given in.
type Column struct {
	Mean, OfMean float64 // of the samples, of the reference
	SD, OfSD     float64
	Difference   Estimate // of the means, in standard deviations of the reference
}

// Columns compares the columns of samples x and of a reference y, (n, d) and (m, d), and their correlations: the root mean
// square of the differences over all pairs of columns, and the largest difference. These are 0 for one column. A value that
// is NaN is missing: moments are of what is there, and the correlation of two columns of rows in which both are. of says
// which columns are of one thing, such as the values of a category, whose correlations do not count; nil: none.
func Columns(x, y []float64, d int, of []int) (columns []Column, rms, largest float64, err error) {
	if d < 1 || len(x)%d != 0 || len(y)%d != 0 || len(x) < 2*d || len(y) < 2*d {
		return nil, 0, 0, fmt.Errorf("eval: expected two rows of %d values or more in both sets", d)
	}
	ma, sa, ca := correlations(x, d)
	mb, sb, cb := correlations(y, d)
	na, nb := counts(x, d), counts(y, d)
	for k := range d {
		se := math.Sqrt(sa[k]*sa[k]/na[k]+sb[k]*sb[k]/nb[k]) / sb[k]
		columns = append(columns, Column{ma[k], mb[k], sa[k], sb[k], Estimate{(ma[k] - mb[k]) / sb[k], se}})
	}
	if d == 1 {
		return columns, 0, 0, nil
	}
	pairs := 0
	for i := range d {
		for j := range i {
			if of != nil && of[i] == of[j] {
				continue
			}
			t := ca[i*d+j] - cb[i*d+j]
			rms += float64(t * t)
			largest = max(largest, math.Abs(t))
			pairs++
		}
	}
	return columns, math.Sqrt(rms / float64(max(pairs, 1))), largest, nil
}

// correlations returns the means, the deviations and the correlations (d, d) of rows (n, d). A constant column has
// correlation 0 with others.
func correlations(x []float64, d int) (mean, sd, c []float64) {
	if slices.ContainsFunc(x, math.IsNaN) {
		return pairwise(x, d)
	}
	n := float64(len(x) / d)
	mean, sd, c = make([]float64, d), make([]float64, d), make([]float64, d*d)
	for i, v := range x {
		mean[i%d] += v / n
	}
	for ; len(x) >= d; x = x[d:] {
		for i := range d {
			for j := range i + 1 {
				c[i*d+j] += float64((x[i]-mean[i])*(x[j]-mean[j])) / (n - 1)
			}
		}
	}
	for i := range d {
		sd[i] = math.Sqrt(c[i*d+i])
	}
	for i := range d {
		for j := range i {
			if s := sd[i] * sd[j]; s > 0 {
				c[i*d+j] /= s
			} else {
				c[i*d+j] = 0
			}
		}
	}
	return mean, sd, c
}

// counts returns how many values of each column are there.
func counts(x []float64, d int) []float64 {
	n := make([]float64, d)
	for i, v := range x {
		if v == v {
			n[i%d]++
		}
	}
	return n
}

// pairwise is correlations where values are missing, which are NaN: of each two columns, those of the rows that have both.
func pairwise(x []float64, d int) (mean, sd, c []float64) {
	mean, sd, c = make([]float64, d), make([]float64, d), make([]float64, d*d)
	for i := range d {
		for j := range i + 1 {
			var n, a, b, aa, ab, bb float64
			for r := 0; r < len(x); r += d {
				if v, w := x[r+i], x[r+j]; v == v && w == w {
					n, a, b = n+1, a+v, b+w
				}
			}
			a, b = a/n, b/n
			for r := 0; r < len(x); r += d {
				if v, w := x[r+i]-a, x[r+j]-b; v == v && w == w {
					aa, ab, bb = aa+float64(v*v), ab+float64(v*w), bb+float64(w*w)
				}
			}
			if i == j {
				mean[i], sd[i] = a, math.Sqrt(aa/(n-1))
			}
			if aa > 0 && bb > 0 {
				c[i*d+j] = ab / math.Sqrt(aa*bb)
			}
		}
	}
	return mean, sd, c
}
