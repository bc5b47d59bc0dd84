// Standardising: the units of columns are taken off before training and put back on samples,
//
//	columns    y = (x - mean) / sd               x = mean + sd y
//	whiten     y = L^-1 ((x - mean) / sd)        x = mean + sd (L y)
//
// mean and sd are those of each column over all N rows, sd^2 = 1/N sum (x - mean)^2. L is the symmetric square root
// of the correlation matrix of the columns, L = V sqrt(lambda) V^T, so the columns of y have deviation 1 and no
// correlation. A lambda below 1e-6 of the largest, that of a direction in which the data hardly varies, is replaced
// by that bound.

package dataset

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/gonum/mat"
)

// Scaler is how vectors were standardised. It is part of a run's configuration, so that samples can be given in the
// data's own units.
type Scaler struct {
	Columns []string  `yaml:"columns,omitempty"` // names of the columns, where the file has them
	Mean    []float64 `yaml:"mean,flow"`         // (D)
	SD      []float64 `yaml:"sd,flow"`           // (D)
	// Encodings are those of the columns that are no plain numbers. D counts the coordinates then, not the columns.
	Encodings []Encoding `yaml:"encodings,omitempty"`
	// Root is L, (D, D) row by row, for whitened data; nil otherwise.
	Root []float64 `yaml:"root,flow,omitempty"`
}

// NoScaler returns the scaler that leaves vectors of d values as they are.
func NoScaler(d int) *Scaler {
	return &Scaler{Mean: make([]float64, d), SD: slices.Repeat([]float64{1}, d)}
}

// Check fails if s cannot be a scaler for vectors of d values. A stored one may have been edited.
func (s *Scaler) Check(d int) error {
	if err := s.checkEncodings(); err != nil {
		return err
	}
	if len(s.Mean) != d || len(s.SD) != d || len(s.Root) != 0 && len(s.Root) != d*d ||
		len(s.Columns) != 0 && len(s.Columns) != s.Fields() {
		return fmt.Errorf("scaler: expected %d means and deviations, and as many names or none, found %d, %d and %d", d,
			len(s.Mean), len(s.SD), len(s.Columns))
	}
	for i := range d {
		if m, sd := s.Mean[i], s.SD[i]; m-m != 0 || !(sd > 0) || sd-sd != 0 {
			return fmt.Errorf("scaler: expected finite means and positive deviations, found %g and %g for column %d", m, sd, i+1)
		}
	}
	for _, v := range s.Root {
		if v-v != 0 {
			return fmt.Errorf("scaler: expected a finite matrix, found %g in it", v)
		}
	}
	return nil
}

// checkEncodings fails for encodings that cannot be.
func (s *Scaler) checkEncodings() error {
	fields := s.Fields()
	for i := range s.Encodings {
		e := &s.Encodings[i]
		switch {
		case e.Column < 1 || e.Column > fields || i > 0 && e.Column <= s.Encodings[i-1].Column:
			return fmt.Errorf("scaler: expected encodings of rising columns from 1 to %d, found column %d", fields, e.Column)
		case e.Bounds == nil && len(e.Categories) < 2, e.Bounds != nil && len(e.Categories) > 0:
			return fmt.Errorf("scaler: expected categories or bounds for column %d, found %d and %v", e.Column, len(e.Categories),
				e.Bounds)
		case e.Bounds != nil:
			if err := e.Bounds.check(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Undo returns vectors (n, D) in their own units. Of a category these are 1 for the largest coordinate and 0 for the others.
func (s *Scaler) Undo(x []float32) []float64 {
	d := len(s.Mean)
	out := make([]float64, len(x))
	for i := 0; i+d <= len(x); i += d {
		for k := range d {
			v := float64(x[i+k])
			if s.Root != nil {
				v = 0
				for j, l := range s.Root[k*d : (k+1)*d] {
					v += float64(l * float64(x[i+j]))
				}
			}
			out[i+k] = s.Mean[k] + float64(s.SD[k]*v)
		}
	}
	s.undoEncodings(out)
	return out
}

// standardize finds mean and deviation of vectors x (n, d), the coordinates of the scaler's columns, and applies them. It
// fails for a constant column, which has no deviation to divide by; what(k) is what the error calls the column of
// coordinate k. What is NaN is missing.
func (s *Scaler) standardize(x []float64, d int, whiten bool, what func(k int) string) error {
	s.Mean, s.SD = make([]float64, d), make([]float64, d)
	for k := range d {
		// Sums are taken about the first value, then about the mean found so, so that a large offset costs no digits.
		n, first, sum := 0, 0.0, 0.0
		for i := k; i < len(x); i += d {
			if x[i] != x[i] {
				continue
			}
			if n++; n == 1 {
				first = x[i]
			}
			sum += x[i] - first
		}
		mean := first + sum/float64(n)
		rest, square := 0.0, 0.0
		for i := k; i < len(x); i += d {
			v := x[i] - mean
			if v != v {
				continue
			}
			rest += v
			square += float64(v * v)
		}
		mean += rest / float64(n)
		sd := math.Sqrt(max(0, square/float64(n)-float64(rest/float64(n)*(rest/float64(n)))))
		switch {
		case n == 0:
			return fmt.Errorf("%s: expected a value in one row or more, found none: there is nothing to learn; leave the column out",
				what(k))
		case math.IsInf(mean, 0) || math.IsNaN(mean) || math.IsInf(sd, 0) || math.IsNaN(sd):
			return fmt.Errorf("%s: expected values whose squares can be summed, found larger ones; "+
				"divide the column by a constant", what(k))
		case !(sd > 1e-14*math.Abs(mean)):
			return fmt.Errorf("%s: expected values that differ, found %g in every row: there is nothing to learn; "+
				"leave the column out", what(k), s.value(k, first))
		}
		s.Mean[k], s.SD[k] = mean, sd
	}
	for _, f := range s.Table() {
		if !f.Category() {
			continue
		}
		variance := 0.0
		for _, sd := range s.SD[f.At : f.At+f.N] {
			variance += float64(sd * sd)
		}
		for k := range f.N {
			s.SD[f.At+k] = math.Sqrt(variance)
		}
	}
	for i, v := range x {
		x[i] = (v - s.Mean[i%d]) / s.SD[i%d]
	}
	if whiten {
		return s.whiten(x, d)
	}
	return nil
}

// value returns what a coordinate that is not standardised stands for in its column.
func (s *Scaler) value(coordinate int, y float64) float64 {
	if e := s.encoding(s.columnOf(coordinate)); e != nil && e.Bounds != nil {
		return e.Bounds.decode(y)
	}
	return y
}

// whiten takes the correlations out of standardised vectors.
func (s *Scaler) whiten(x []float64, d int) error {
	n := len(x) / d
	r := mat.NewSymDense(d, nil)
	r.SymOuterK(1/float64(n), mat.NewDense(n, d, x).T())
	var e mat.EigenSym
	if !e.Factorize(r, true) {
		return fmt.Errorf("standardize is whiten, but the correlations of the %d columns have no decomposition; "+
			"use `standardize` columns", d)
	}
	values := e.Values(nil) // rising
	var v, root, inverse mat.Dense
	e.VectorsTo(&v)
	of := func(dst *mat.Dense, power float64) {
		scale := mat.NewDiagDense(d, nil)
		for k, l := range values {
			scale.SetDiag(k, math.Pow(max(l, 1e-6*values[d-1]), power))
		}
		dst.Product(&v, scale, v.T())
	}
	of(&root, 0.5)
	of(&inverse, -0.5)
	s.Root = root.RawMatrix().Data
	row, y := make([]float64, d), mat.NewVecDense(d, nil)
	for i := 0; i < len(x); i += d {
		copy(row, x[i:i+d])
		y.MulVec(&inverse, mat.NewVecDense(d, row))
		copy(x[i:i+d], y.RawVector().Data)
	}
	return nil
}

// suits fails where rows of d columns, with these names or nil, are others than the scaler was made of.
func (s *Scaler) suits(names []string, d int) error {
	switch {
	case d != s.Fields():
		return fmt.Errorf("expected rows of %d values, as the run or table that they go with has, found %d", s.Fields(), d)
	case names != nil && s.Columns != nil && !slices.Equal(names, s.Columns):
		return fmt.Errorf("expected the columns %s, as the run or table that they go with has, found %s", oneLine(strings.Join(s.Columns, ", ")),
			oneLine(strings.Join(names, ", ")))
	}
	return nil
}

// apply standardises vectors (n, D) in place.
func (s *Scaler) apply(x []float64) {
	d := len(s.Mean)
	for i, v := range x {
		x[i] = (v - s.Mean[i%d]) / s.SD[i%d]
	}
	if s.Root == nil {
		return
	}
	var lu mat.LU
	lu.Factorize(mat.NewDense(d, d, s.Root))
	y := mat.NewVecDense(d, nil)
	for i := 0; i < len(x); i += d {
		if lu.SolveVecTo(y, false, mat.NewVecDense(d, x[i:i+d])) == nil { // its condition is 1e3 at most, see standardize
			copy(x[i:i+d], y.RawVector().Data)
		}
	}
}

// LogVolume returns the logarithm of the volume in the data's own units of a unit of volume in standardised ones: what a log
// density in these exceeds that in the data's own by, but for [Scaler.LogSlope].
func (s *Scaler) LogVolume() float64 {
	sum := 0.0
	for _, sd := range s.SD {
		sum += math.Log(sd)
	}
	if s.Root != nil {
		log, _ := mat.LogDet(mat.NewDense(len(s.SD), len(s.SD), s.Root))
		sum += log
	}
	return sum
}

// LogSlope returns what bounded columns add to LogVolume at the vector x (D). Categories have no density.
func (s *Scaler) LogSlope(x []float32) (sum float64) {
	if s.Plain() {
		return 0
	}
	linear := *s
	linear.Encodings = nil
	y := linear.Undo(x)
	for _, f := range s.Table() {
		if f.Encoding != nil {
			sum += f.Encoding.Bounds.slope(y[f.At])
		}
	}
	return sum
}

// HasCategories tells whether a column is a category.
func (s *Scaler) HasCategories() bool {
	return slices.ContainsFunc(s.Encodings, func(e Encoding) bool { return e.Bounds == nil })
}
