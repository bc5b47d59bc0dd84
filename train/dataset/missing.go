// Missing cells of a table. The loss does not count them: a mask is kept with each row. What the network sees in their
// place, with noise as everywhere, is one draw from
//
//	x_m ~ N(mu_m - C L_mo (x_o - mu_o), C),   C = L_mm^-1,   L = Sigma^-1
//
// what a Gaussian with the moments mu, Sigma of the table leaves open of them, given those that are there; of a category
// the largest of it. The moments are of all cells that are there, by expectation and maximisation (Dempster et al. 1977;
// Little and Rubin 2019, 11.2), which is right where cells are missing at random given those that are there.
//
// The mean in their place (Ouyang et al. 2023) would teach that a value says nothing about the others where it is the mean.

package dataset

import (
	"fmt"
	"math"
	"slices"

	"sigmaz/kernels"
)

const (
	maxFilled  = 256  // coordinates of a row of a table with missing cells
	momentRows = 5000 // rows, evenly taken, of which the moments are
	maxRounds  = 50
)

// mask notes which coordinates of rows x (n, d) are missing, which are NaN.
func (s *Set) mask(x []float64, d int) {
	if !slices.ContainsFunc(x, math.IsNaN) {
		return
	}
	number := map[string]uint32{}
	for ; len(x) >= d; x = x[d:] {
		key, mask := make([]byte, d), make([]float32, d)
		for k, v := range x[:d] {
			if v == v {
				key[k], mask[k] = 1, 1
			}
		}
		n, ok := number[string(key)]
		if !ok {
			n = uint32(len(number))
			number[string(key)] = n
			s.Masks = append(s.Masks, mask...)
		}
		s.Mask = append(s.Mask, n)
	}
}

// fill puts draws in the place of what is missing in rows x (n, d). Values are near mean 0 and deviation 1, but for those of
// a table that is not standardised.
func fill(x []float64, d int, seed uint64) error {
	if d > maxFilled {
		return fmt.Errorf("expected at most %d values a row where cells are missing, found %d; choose fewer columns with `columns`, "+
			"or fill the cells in", maxFilled, d)
	}
	g := newGaussian(x, d)
	g.fit(x)
	z := make([]float32, d)
	c := g.conditional()
	for i := 0; i+d <= len(x); i += d {
		row := x[i : i+d]
		if c.of(row) == 0 {
			continue
		}
		kernels.Stream{Seed: seed, Purpose: kernels.PurposeMissing, N: uint64(i / d)}.Normals(z)
		c.draw(row, z)
	}
	return nil
}

// gaussian is the moments of rows, in units of the deviations of what is there.
type gaussian struct {
	d         int
	centre    []float64 // where and in what mean and sigma are measured, of each column
	unit      []float64
	mean      []float64
	sigma     []float64 // (d, d)
	precision []float64 // its inverse
}

// newGaussian begins with the means and deviations of what is there, without correlations.
func newGaussian(x []float64, d int) *gaussian {
	g := &gaussian{d: d, centre: make([]float64, d), unit: make([]float64, d), mean: make([]float64, d),
		sigma: make([]float64, d*d), precision: make([]float64, d*d)}
	for k := range d {
		n, sum, square := 0.0, 0.0, 0.0
		for i := k; i < len(x); i += d {
			if v := x[i]; v == v {
				n, sum = n+1, sum+v
			}
		}
		g.centre[k] = sum / max(n, 1)
		for i := k; i < len(x); i += d {
			if v := x[i] - g.centre[k]; v == v {
				square += float64(v * v)
			}
		}
		if g.unit[k] = math.Sqrt(square / max(n, 1)); g.unit[k] == 0 {
			g.unit[k] = 1
		}
		g.sigma[k*d+k] = 1
	}
	g.invert()
	return g
}

func (g *gaussian) invert() { copy(g.precision, invert(slices.Clone(g.sigma), g.d)) }

// fit finds the moments. A row of unit variance is counted with the others, so that the matrix has an inverse.
func (g *gaussian) fit(x []float64) {
	d, n := g.d, len(x)/g.d
	used := min(n, momentRows)
	sum, products := make([]float64, d), make([]float64, d*d)
	row := make([]float64, d)
	for range maxRounds {
		clear(sum)
		clear(products)
		c := g.conditional()
		for r := range used {
			copy(row, x[r*n/used*d:])
			c.of(row)
			c.fillMean(row)
			for i, m := range c.missing {
				for j, o := range c.missing {
					products[m*d+o] += c.covariance[i*len(c.missing)+j]
				}
			}
			for i := range d {
				row[i] = (row[i]-g.centre[i])/g.unit[i] - g.mean[i]
				sum[i] += row[i]
			}
			for i, v := range row {
				for j, w := range row {
					products[i*d+j] += float64(v * w)
				}
			}
		}
		moved := 0.0
		for i := range d {
			for j := range d {
				v := products[i*d+j] - float64(sum[i]*sum[j])/float64(used)
				if i == j {
					v++
				}
				v /= float64(used + 1)
				moved = max(moved, math.Abs(v-g.sigma[i*d+j]))
				g.sigma[i*d+j] = v
			}
		}
		for i, v := range sum {
			g.mean[i] += v / float64(used)
		}
		if g.invert(); moved < 1e-4 {
			return
		}
	}
}

// conditional is what the Gaussian leaves open of a row.
type conditional struct {
	*gaussian
	missing    []int
	covariance []float64 // of the missing coordinates
	last       []int     // the missing coordinates that covariance is of
}

func (g *gaussian) conditional() *conditional { return &conditional{gaussian: g} }

// of looks at which coordinates of a row are missing, and returns how many.
func (c *conditional) of(row []float64) int {
	c.missing = c.missing[:0]
	for k, v := range row {
		if v != v {
			c.missing = append(c.missing, k)
		}
	}
	if n := len(c.missing); c.last == nil || !slices.Equal(c.last, c.missing) {
		c.last = append(c.last[:0], c.missing...)
		a := make([]float64, 0, n*n)
		for _, i := range c.missing {
			for _, j := range c.missing {
				a = append(a, c.precision[i*c.d+j])
			}
		}
		c.covariance = invert(a, n)
	}
	return len(c.missing)
}

// fillMean puts the means in the place of the missing coordinates.
func (c *conditional) fillMean(row []float64) {
	n := len(c.missing)
	pull := make([]float64, n)
	for i, m := range c.missing {
		for k, v := range row {
			if v == v {
				pull[i] += float64(c.precision[m*c.d+k] * ((v-c.centre[k])/c.unit[k] - c.mean[k]))
			}
		}
	}
	for i, m := range c.missing {
		v := c.mean[m]
		for j, p := range pull {
			v -= float64(c.covariance[i*n+j] * p)
		}
		row[m] = c.centre[m] + float64(c.unit[m]*v)
	}
}

// draw puts draws in the place of the missing coordinates, made of normals z (d).
func (c *conditional) draw(row []float64, z []float32) {
	n := len(c.missing)
	root := cholesky(slices.Clone(c.covariance), n)
	c.fillMean(row)
	for i, m := range c.missing {
		v := 0.0
		for j := range i + 1 {
			v += float64(root[i*n+j] * float64(z[c.missing[j]]))
		}
		row[m] += float64(c.unit[m] * v)
	}
}

// cholesky makes of a positive definite matrix (n, n) its lower root, in place. The upper part is left as it was.
func cholesky(a []float64, n int) []float64 {
	for j := range n {
		for i := j; i < n; i++ {
			v := a[i*n+j]
			for k := range j {
				v -= float64(a[i*n+k] * a[j*n+k])
			}
			if i == j {
				a[j*n+j] = math.Sqrt(max(v, 1e-12)) // what rounding takes below 0 hardly varies
			} else {
				a[i*n+j] = v / a[j*n+j]
			}
		}
	}
	return a
}

// invert returns the inverse of a positive definite matrix (n, n), which it overwrites.
func invert(a []float64, n int) []float64 {
	l := cholesky(a, n)
	out := make([]float64, n*n)
	column := make([]float64, n)
	for c := range n { // L L^T x = e_c
		for i := range n {
			v := 0.0
			if i == c {
				v = 1
			}
			for k := range i {
				v -= float64(l[i*n+k] * column[k])
			}
			column[i] = v / l[i*n+i]
		}
		for i := n - 1; i >= 0; i-- {
			v := column[i]
			for k := i + 1; k < n; k++ {
				v -= float64(l[k*n+i] * column[k])
			}
			column[i] = v / l[i*n+i]
			out[i*n+c] = column[i]
		}
	}
	return out
}
