// Measurements: what is known of a sample, y = A x + n with n ~ N(0, sigma_y^2 I). With A = U S V^T all that the samplers
// need is a coordinate along each direction of V whose singular value is not 0:
//
//	t = S^-1 U^T y,   tau = sigma_y/S the noise in it      (y is of V^T x = t + tau n)
//
//	known values     a direction a value
//	colours          their mean: (1, ..., 1)/sqrt(C) at each pixel, t = sqrt(C) y
//	means of blocks  1/K at each of K x K pixels, t = K y
//	frequencies      the rows of the unitary Fourier transform, two for a complex number
//	any matrix       V of its singular value decomposition
//
// Before each evaluation at the noise level sigma the coordinates are set to what x would hold there, t and noise of the
// size sigma in all (Song et al. 2021); where tau is above sigma they are drawn to t as by the gradient of the likelihood
// (Kawar et al. 2021). Or x is left alone and the score guided to what is known (Pseudo-inverse guided diffusion, Song et
// al. 2023): with D = x + sigma^2 s, taken to be r off in each value, r^2 = sd^2 sigma^2/(sd^2 + sigma^2) for data of the
// deviation sd,
//
//	s <- s + (dD/dx)^T A^T (sigma_y^2 I + r^2 A A^T)^-1 (y - A D)
//	   = s + (dD/dx)^T sum over j of (t_j - v_j D)/(tau_j^2 + r^2) v_j
//
// At the end the coordinates without noise are put back exactly.

package sample

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"sigmaz/kernels"
)

// Term is an entry of a row of A.
type Term struct {
	At     int // index of the value of x
	Weight float64
}

// Terms is a row of A; values that it does not name do not count.
type Terms []Term

// Measurement is what is known of x: its coordinates along orthonormal directions, and the noise in each.
type Measurement struct {
	*directionSet
	target []float64
}

// directionSet is what measurements by one matrix have in common.
type directionSet struct {
	D          int
	directions []Terms
	noise      []float64
}

// Len returns the number of directions that are known.
func (m *Measurement) Len() int { return len(m.directions) }

// maxEntries bounds the entries of the directions, which are kept four times: by direction and by value.
const maxEntries = 1 << 25

// minSingular is the least singular value, as a part of the largest, whose direction counts as measured. What a float32
// matrix has below it is rounding.
const minSingular = 1e-6

// maxContradiction is how far from all A x a measurement without noise may be, as a part of its length.
const maxContradiction = 1e-3

// Orthogonal returns the measurements ys, one or more, by rows that are orthogonal to each other, none of them 0.
func Orthogonal(d int, rows []Terms, ys [][]float64, sigma float64) ([]*Measurement, error) {
	if err := checkRows(d, rows, ys); err != nil {
		return nil, err
	}
	set := &directionSet{D: d}
	var sizes []float64
	for _, row := range rows {
		sizes = append(sizes, set.add(row, sigma))
	}
	return set.measure(ys, func(y []float64) ([]float64, error) {
		target := make([]float64, len(y))
		for j := range y {
			target[j] = y[j] / sizes[j]
		}
		return target, nil
	})
}

// measure makes measurements by the set. target turns a y into coordinates.
func (s *directionSet) measure(ys [][]float64, target func(y []float64) ([]float64, error)) (all []*Measurement, err error) {
	for i, y := range ys {
		t, err := target(y)
		if err != nil && len(ys) > 1 {
			err = fmt.Errorf("%w (measurement %d)", err, i)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, &Measurement{s, t})
	}
	return all, nil
}

// add takes a row that is orthogonal to those that are there, and returns its length.
func (s *directionSet) add(row Terms, sigma float64) (length float64) {
	for _, e := range row {
		length += e.Weight * e.Weight
	}
	length = math.Sqrt(length)
	direction := make(Terms, len(row))
	for i, e := range row {
		direction[i] = Term{e.At, e.Weight / length}
	}
	s.directions, s.noise = append(s.directions, direction), append(s.noise, sigma/length)
	return length
}

// checkRows finds rows and measurements that do not fit, or are too many.
func checkRows(d int, rows []Terms, ys [][]float64) error {
	entries := 0
	for _, row := range rows {
		entries += len(row)
	}
	if entries > maxEntries {
		return fmt.Errorf("has %d entries that are not 0: expected at most %d; measure less, or smaller images", entries, maxEntries)
	}
	for _, y := range ys {
		if len(rows) != len(y) {
			return fmt.Errorf("has %d rows for %d measured values: expected as many", len(rows), len(y))
		}
		for j, v := range y {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("has the measured value %g at %d: expected numbers", v, j)
			}
		}
	}
	return nil
}

// Linear returns the measurements ys, one or more, by any rows: by a singular value decomposition where they have values
// in common. Rows that say nothing are left out; measurements without noise that contradict each other are an error.
func Linear(d int, rows []Terms, ys [][]float64, sigma float64) ([]*Measurement, error) {
	if err := checkRows(d, rows, ys); err != nil {
		return nil, err
	}
	if disjoint(rows, d) {
		return Orthogonal(d, rows, ys, sigma)
	}
	if n := min(len(rows), d); float64(len(rows))*float64(d)*float64(n) > maxSVD {
		return nil, fmt.Errorf("is a matrix of %d x %d values, too large for its singular value decomposition: expected rows of "+
			"which each value is in one alone, or fewer", len(rows), d)
	}
	a := mat.NewDense(len(rows), d, nil)
	for j, row := range rows {
		for _, e := range row {
			a.Set(j, e.At, a.At(j, e.At)+e.Weight)
		}
	}
	var svd mat.SVD
	if !svd.Factorize(a, mat.SVDThin) {
		return nil, errors.New("has no singular value decomposition that can be computed: are all its values finite?")
	}
	var u, v mat.Dense
	svd.UTo(&u)
	svd.VTo(&v)
	values := svd.Values(nil)
	set := &directionSet{D: d}
	var sizes []float64
	for k, s := range values {
		if s <= minSingular*values[0] {
			break
		}
		row := make(Terms, 0, d)
		for i := range d {
			if w := v.At(i, k); w != 0 {
				row = append(row, Term{i, s * w})
			}
		}
		sizes = append(sizes, set.add(row, sigma))
	}
	return set.measure(ys, func(y []float64) (target []float64, err error) {
		rest := append([]float64(nil), y...) // of y outside the range of A
		for k, size := range sizes {
			uy := 0.0
			for j := range y {
				uy += u.At(j, k) * y[j]
			}
			for j := range y {
				rest[j] -= u.At(j, k) * uy
			}
			target = append(target, uy/size)
		}
		if off, all := floats.Norm(rest, 2), floats.Norm(y, 2); sigma == 0 && off > maxContradiction*all {
			return nil, fmt.Errorf("cannot give what was measured: %.2g of its length lies outside the matrix's range; say how much "+
				"noise it holds, or mend one of the two", off/all)
		}
		return target, nil
	})
}

// maxSVD bounds the multiply-adds of a decomposition: some minutes.
const maxSVD = 1 << 35

// disjoint tells whether no value is in two rows, and none in one twice, and no row is empty.
func disjoint(rows []Terms, d int) bool {
	seen := make([]bool, d)
	for _, row := range rows {
		size := 0.0
		for _, e := range row {
			if seen[e.At] {
				return false
			}
			seen[e.At] = true
			size += e.Weight * e.Weight
		}
		if size == 0 {
			return false
		}
	}
	return true
}

// KnownRows returns a row for each value that is known.
func KnownRows(known []bool) (rows []Terms) {
	for i, k := range known {
		if k {
			rows = append(rows, Terms{{i, 1}})
		}
	}
	return rows
}

// GreyRows returns the mean of the c channels of each of n pixels.
func GreyRows(n, c int) (rows []Terms) {
	for p := range n {
		var row Terms
		for k := range c {
			row = append(row, Term{p*c + k, 1 / float64(c)})
		}
		rows = append(rows, row)
	}
	return rows
}

// BlockRows returns the means of the k x k blocks of an image (h, w, c), in the order of an image of h/k x w/k pixels.
func BlockRows(h, w, c, k int) (rows []Terms) {
	for y := range h / k {
		for x := range w / k {
			for ch := range c {
				var row Terms
				for i := range k * k {
					row = append(row, Term{((y*k+i/k)*w+x*k+i%k)*c + ch, 1 / float64(k*k)})
				}
				rows = append(rows, row)
			}
		}
	}
	return rows
}

// FourierRows returns the real and the imaginary part of the measured frequencies of an image (h, w, c), c = 1 of real
// and c = 2 of complex values: sum of x exp(-2 pi i (u y/h + v x/w))/sqrt(h w) over its pixels. The frequency (u, v) is
// measured[u*w+v], (0, 0) first, as fast Fourier transforms have it.
func FourierRows(h, w, c int, measured []bool) (rows []Terms) {
	scale := 1 / math.Sqrt(float64(h*w))
	for f, m := range measured {
		if !m {
			continue
		}
		re, im := make(Terms, 0, h*w*c), make(Terms, 0, h*w*c)
		for p := range h * w {
			// the turns are reduced first, in whole numbers: the rows are orthogonal to float64's digits
			turn := float64(f/w*(p/w)%h)/float64(h) + float64(f%w*(p%w)%w)/float64(w)
			sin, cos := math.Sincos(2 * math.Pi * turn)
			re, im = append(re, Term{p * c, scale * cos}), append(im, Term{p * c, -scale * sin})
			if c == 2 {
				re, im = append(re, Term{p*c + 1, scale * sin}), append(im, Term{p*c + 1, scale * cos})
			}
		}
		rows = append(rows, re, im)
	}
	return rows
}

// CheckTogether finds measurements that are too many to be kept together.
func CheckTogether(all []*Measurement) error {
	sets, _ := knowns(all).sets()
	entries := 0
	for _, s := range sets {
		for _, row := range s.directions {
			entries += len(row)
		}
	}
	if entries > maxEntries {
		return fmt.Errorf("have %d entries together that are not 0: expected at most %d; measure less, or take fewer at a time", entries,
			maxEntries)
	}
	return nil
}

// knowns are what is known of the samples: image k has measurement k mod their number.
type knowns []*Measurement

// sets lists the sets of directions, each once, and for each measurement which is its.
func (m knowns) sets() (sets []*directionSet, of []int) {
	at := map[*directionSet]int{}
	for _, k := range m {
		if _, ok := at[k.directionSet]; !ok {
			at[k.directionSet] = len(sets)
			sets = append(sets, k.directionSet)
		}
		of = append(of, at[k.directionSet])
	}
	return sets, of
}

// directionsLayout is where measurements lie in a chain's memory.
type directionsLayout struct {
	kernels.Directions
	misfit kernels.Buf
}

// layout takes memory for batches of n rows.
func (m knowns) layout(n int, take func(words int) kernels.Buf) (l directionsLayout) {
	sets, _ := m.sets()
	l.D = m[0].D
	directions, entries, targets := 0, 0, 0
	for _, s := range sets {
		directions, l.Most = directions+len(s.directions), max(l.Most, len(s.directions))
		for _, row := range s.directions {
			entries += len(row)
		}
	}
	for _, k := range m {
		targets += len(k.target)
	}
	l.Parts, l.Target, l.Noise = take(kernels.PartWords*len(m)), take(targets), take(directions)
	l.ByDirection = kernels.Sparse{Start: take(directions + 1), Index: take(entries), Weight: take(entries)}
	l.ByValue = kernels.Sparse{Start: take(len(sets)*l.D + 1), Index: take(entries), Weight: take(entries)}
	l.misfit = take(2 * n * l.Most)
	return l
}

// moved returns the layout as it lies within another window.
func (l directionsLayout) moved(within kernels.Buf) directionsLayout {
	for _, b := range []*kernels.Buf{&l.Parts, &l.Target, &l.Noise, &l.ByDirection.Start, &l.ByDirection.Index, &l.ByDirection.Weight,
		&l.ByValue.Start, &l.ByValue.Index, &l.ByValue.Weight, &l.misfit} {
		*b = within.Slice(b.Off, b.N)
	}
	return l
}

// write brings the measurements to the device.
func (m knowns) write(a kernels.Arena, l directionsLayout) error {
	sets, of := m.sets()
	var first []int
	var directions, byValue []Terms
	var noise []float64
	for _, s := range sets {
		first = append(first, len(directions))
		values := make([]Terms, l.D)
		for j, row := range s.directions {
			for _, e := range row {
				values[e.At] = append(values[e.At], Term{j, e.Weight})
			}
		}
		directions, noise, byValue = append(directions, s.directions...), append(noise, s.noise...), append(byValue, values...)
	}
	parts := make([]float32, l.Parts.N)
	var targets []float64
	for k, known := range m {
		for i, v := range [kernels.PartWords]int{kernels.PartFirst: first[of[k]], kernels.PartLen: len(known.target),
			kernels.PartValue: of[k] * l.D, kernels.PartTarget: len(targets)} {
			kernels.SetWord(parts, kernels.Buf{N: len(parts)}, k*kernels.PartWords+i, uint32(v))
		}
		targets = append(targets, known.target...)
	}
	var failed error
	put := func(b kernels.Buf, words []float32) {
		if failed == nil {
			failed = a.Write(b, words)
		}
	}
	sparse := func(s kernels.Sparse, rows []Terms) {
		start, index, weight := []float32{0}, make([]float32, 0, s.Index.N), make([]float32, 0, s.Index.N)
		for _, row := range rows {
			for _, e := range row {
				index, weight = append(index, math.Float32frombits(uint32(e.At))), append(weight, float32(e.Weight))
			}
			start = append(start, math.Float32frombits(uint32(len(index))))
		}
		put(s.Start, start)
		put(s.Index, index)
		put(s.Weight, weight)
	}
	put(l.Parts, parts)
	put(l.Target, single32(targets))
	put(l.Noise, single32(noise))
	sparse(l.ByDirection, directions)
	sparse(l.ByValue, byValue)
	return failed
}

func single32(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, e := range v {
		out[i] = float32(e)
	}
	return out
}
