// Embedding of the noise level, one number c for each row, by sines and cosines of phases (NCSN++ and DDPM++):
//
//	y_n = [sin ph_n | cos ph_n]        and a 0 where the rows have one value more
//	fourier      ph_n[j] = ((ln(c_n) w[j]) 2) pi        w drawn once, see NCSN++
//	positional   ph_n[j] = c_n w[j]                     w[j] = exp(-ln(10000) j/(h-1)), h of them
//
// Phases are float32, rounded after each product in this order, as in score_sde_pytorch: they reach 1000 rad, so another
// order shows in the result. Nothing upstream is trained: there is no gradient.

package kernels

import "math"

// Embedding writes Y.
type Embedding struct {
	N    int
	Y    Buf // (N, 2F) or (N, 2F+1)
	Cond Buf // (N), positive where Fourier is set
	Freq Buf // (F), w

	Fourier bool // else positional
}

func (o Embedding) Name() string                    { return "embedding" }
func (o Embedding) Operands() (reads, writes []Buf) { return []Buf{o.Cond, o.Freq}, []Buf{o.Y} }
func (o Embedding) Rows() int                       { return o.N }
func (o Embedding) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Embedding) RefRows(mem []float32, lo, hi int) {
	w := o.Freq.Of(mem)
	for n := lo; n < hi; n++ {
		c, y := o.Cond.Of(mem)[n], row(mem, o.Y, o.N, n)
		clear(y)
		if o.Fourier {
			c = float32(math.Log(float64(c)))
		}
		for j, f := range w {
			phase := c * f
			if o.Fourier {
				phase = phase * 2 * float32(math.Pi)
			}
			y[j], y[len(w)+j] = float32(math.Sin(float64(phase))), float32(math.Cos(float64(phase)))
		}
	}
}

// PositionalFrequencies returns the w of a positional embedding of so many values, at least 4, with the bits of PyTorch's on
// x86: at 1000 a last bit of a frequency is 3e-5 in the result.
func PositionalFrequencies(values int) []float32 {
	half := values / 2
	w := make([]float32, half)
	step := float32(math.Log(10000) / float64(half-1))
	for j := range w {
		w[j] = expOfVectors(float32(j) * -step)
	}
	return w
}

// expOfVectors is e^x to about the last bit of float32, as PyTorch's vectors have it (the method of SLEEF's expf with an
// error of 1.0 units): x = q ln 2 + r, a polynomial in r, each product and sum rounded once.
func expOfVectors(x float32) float32 {
	fma := func(a, b, c float32) float32 { return float32(math.FMA(float64(a), float64(b), float64(c))) }
	q := float32(math.RoundToEven(float64(x * float32(math.Log2E))))
	r := fma(q, -1.428606765330187045e-06, fma(q, -0.693145751953125, x)) // ln 2 in two parts
	p := float32(0.000198527617612853646278381)
	for _, c := range []float32{0.00139304355252534151077271, 0.00833336077630519866943359, 0.0416664853692054748535156,
		0.166666671633720397949219, 0.5} {
		p = fma(p, r, c)
	}
	return float32(math.Ldexp(float64(1+fma(r*r, p, r)), int(q)))
}
