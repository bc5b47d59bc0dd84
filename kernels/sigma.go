// What depends on a row's noise level.
//
//	div_sigma  y_n = x_n / sigma_n                                    (NCSNv2, technique 3: s(x, sigma) = f(x) / sigma)
//	mlp_input  y_n = [x_n / sqrt(sigma_n^2 + sd^2), ln sigma_n]       (the input of the network for vectors)
//	mlp_input_grad  dx_n = dy_n without its last value / sqrt(sigma_n^2 + sd^2)
//	row_mix    y_n = a_n x_n + b_n f_n                                (what Precondition writes is applied with it)

package kernels

import "math"

// DivSigma divides each row by its sigma. It is its own gradient. Y may be X.
type DivSigma struct {
	N     int
	Y, X  Buf // (N, D)
	Sigma Buf // (N)
}

func (o DivSigma) Name() string                    { return "div_sigma" }
func (o DivSigma) Operands() (reads, writes []Buf) { return []Buf{o.X, o.Sigma}, []Buf{o.Y} }
func (o DivSigma) InPlace() [][2]Buf               { return [][2]Buf{{o.Y, o.X}} }
func (o DivSigma) Rows() int                       { return o.N }
func (o DivSigma) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o DivSigma) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		y, sigma := row(mem, o.Y, o.N, n), o.Sigma.Of(mem)[n]
		for i, v := range row(mem, o.X, o.N, n) {
			y[i] = v / sigma
		}
	}
}

// MLPInput scales a vector to unit size and appends the logarithm of its noise level.
type MLPInput struct {
	N     int
	Y     Buf // (N, D+1)
	X     Buf // (N, D)
	Sigma Buf // (N)
	SD    float64
}

func (o MLPInput) Name() string                    { return "mlp_input" }
func (o MLPInput) Operands() (reads, writes []Buf) { return []Buf{o.X, o.Sigma}, []Buf{o.Y} }
func (o MLPInput) Rows() int                       { return o.N }
func (o MLPInput) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o MLPInput) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		sigma := o.Sigma.Of(mem)[n]
		scale := mlpScale(sigma, o.SD)
		for i, v := range x {
			y[i] = v * scale
		}
		y[len(x)] = float32(math.Log(float64(sigma)))
	}
}

// MLPInputGrad is the gradient of MLPInput with respect to X. Training has no use for it: the likelihood has, which
// asks for the divergence of the score.
type MLPInputGrad struct {
	N     int
	DX    Buf // (N, D)
	DY    Buf // (N, D+1)
	Sigma Buf // (N)
	SD    float64
}

func (o MLPInputGrad) Name() string                    { return "mlp_input_grad" }
func (o MLPInputGrad) Operands() (reads, writes []Buf) { return []Buf{o.DY, o.Sigma}, []Buf{o.DX} }
func (o MLPInputGrad) Rows() int                       { return o.N }
func (o MLPInputGrad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o MLPInputGrad) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		dx, dy, scale := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n), mlpScale(o.Sigma.Of(mem)[n], o.SD)
		for i := range dx {
			dx[i] = dy[i] * scale
		}
	}
}

// mlpScale brings data of deviation sd with the noise sigma to unit size.
func mlpScale(sigma float32, sd float64) float32 {
	return float32(1 / math.Sqrt(float64(sigma)*float64(sigma)+sd*sd))
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
func (o RowMix) InPlace() (pairs [][2]Buf) {
	for _, b := range []Buf{o.X, o.F} {
		if b.N > 0 {
			pairs = append(pairs, [2]Buf{o.Y, b})
		}
	}
	return pairs
}
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
