// What a network is given of a noisy row x~ = x + sigma z, and how its output F becomes the score (Karras et al. 2022, table 1;
// Song et al. 2021): numbers of each row,
//
//	F = network(c_in x~, cond)        s = a x~ + b F        weight w of the loss
//
//	edm           c_in 1/sqrt(sigma^2 + sd^2)   cond ln(sigma)/4, or sigma^(1/4) whose logarithm that is
//	              a -1/(sigma^2 + sd^2)         b sd/(sigma sqrt(sigma^2 + sd^2))
//	vp, subvp     c_in m                        cond 999 t, or k of a table, with fractions between its steps
//	              a 0                           b -1/sigma           w g^2/std^2 where the loss is to bound the likelihood
//	level         c_in 1                        cond the level       a 0, b 1
//
//	precondition  writes them from sigma
//	row_mix       y_n = a_n x_n + b_n f_n, in which both uses of them are, and their gradients
//
// The numbers are computed in float64, see betas.go, and have the same bits on every device.

package kernels

import "math"

// The rows of what Precondition writes, (PreconditionRows, N).
const (
	PreconditionIn = iota
	PreconditionCond
	PreconditionX
	PreconditionF
	PreconditionWeight
	PreconditionRows
)

// Precondition writes the numbers of each row. It is vp or subvp by Betas, edm by SD, and else of the level.
type Precondition struct {
	N     int
	Y     Buf // (PreconditionRows, N)
	Sigma Buf // (N)
	Level Buf // (N) uint32; only of the level
	Table Buf // (steps) or absent: sigma of vp's table, from the largest down
	Betas Betas
	SD    float64
	// Root makes cond of edm sigma^(1/4), for a network that takes its logarithm.
	Root bool
	// Weighted makes w of vp and subvp g^2/std^2; else it is 1.
	Weighted bool
}

func (o Precondition) Name() string { return "precondition" }
func (o Precondition) Operands() (reads, writes []Buf) {
	reads = []Buf{o.Sigma}
	for _, b := range []Buf{o.Level, o.Table} {
		if b.N > 0 {
			reads = append(reads, b)
		}
	}
	return reads, []Buf{o.Y}
}
func (o Precondition) Ref(mem []float32) {
	y := o.Y.Of(mem)
	for n := range o.N {
		for i, v := range o.row(mem, n) {
			y[i*o.N+n] = float32(v)
		}
	}
}

// row returns the numbers of row n.
func (o Precondition) row(mem []float32, n int) (v [PreconditionRows]float64) {
	v[PreconditionWeight] = 1
	sigma := float64(o.Sigma.Of(mem)[n])
	switch {
	case o.Betas != Betas{}:
		v[PreconditionIn], v[PreconditionF] = o.Betas.Mean(sigma), -1/sigma
		if o.Table.N > 0 {
			v[PreconditionCond] = stepOfTable(o.Table.Of(mem), sigma)
		} else {
			v[PreconditionCond] = 999 * o.Betas.Time(sigma)
		}
		if o.Weighted {
			v[PreconditionWeight] = o.Betas.LikelihoodWeight(sigma)
		}
	case o.SD != 0:
		variance := float64(sigma*sigma) + float64(o.SD*o.SD)
		root := math.Sqrt(variance)
		v[PreconditionIn], v[PreconditionX], v[PreconditionF] = 1/root, -1/variance, o.SD/float64(sigma*root)
		if o.Root {
			v[PreconditionCond] = math.Sqrt(math.Sqrt(sigma))
		} else {
			v[PreconditionCond] = ln(sigma) * 0.25
		}
	default:
		v[PreconditionIn], v[PreconditionCond], v[PreconditionF] = 1, float64(word(mem, o.Level, n)), 1
	}
	return v
}

// stepOfTable returns the step of a table at sigma, from its largest sigma down, counted from the smallest and between two
// linear in ln sigma.
func stepOfTable(table []float32, sigma float64) float64 {
	low, high := 0, len(table)-1 // table[low] >= sigma > table[high]
	if sigma >= float64(table[low]) {
		return float64(high)
	}
	if sigma <= float64(table[high]) {
		return 0
	}
	last := high
	for high-low > 1 {
		if middle := (low + high) / 2; float64(table[middle]) >= sigma {
			low = middle
		} else {
			high = middle
		}
	}
	top, bottom := float64(table[low]), float64(table[high])
	return float64(last-low) - ln(top/sigma)/ln(top/bottom)
}

// RowMix is a x + b f with a number of each for every row. X and F may be absent with their numbers, and Y may be either.
type RowMix struct {
	N       int
	Y, X, F Buf // (N, D)
	A, B    Buf // (N)
}

func (o RowMix) Name() string { return "row_mix" }
func (o RowMix) Operands() (reads, writes []Buf) {
	for _, b := range []Buf{o.X, o.A, o.F, o.B} {
		if b.N > 0 {
			reads = append(reads, b)
		}
	}
	return reads, []Buf{o.Y}
}
func (o RowMix) InPlace() [][2]Buf { return [][2]Buf{{o.Y, o.X}, {o.Y, o.F}} }
func (o RowMix) Rows() int         { return o.N }
func (o RowMix) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o RowMix) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		y := row(mem, o.Y, o.N, n)
		switch {
		case o.F.N == 0:
			a := o.A.Of(mem)[n]
			for i, v := range row(mem, o.X, o.N, n) {
				y[i] = a * v
			}
		case o.X.N == 0:
			b := o.B.Of(mem)[n]
			for i, v := range row(mem, o.F, o.N, n) {
				y[i] = b * v
			}
		default:
			a, b, f := o.A.Of(mem)[n], o.B.Of(mem)[n], row(mem, o.F, o.N, n)
			for i, v := range row(mem, o.X, o.N, n) {
				y[i] = float32(a*v) + float32(b*f[i])
			}
		}
	}
}
