// Annealed Langevin dynamics, one launch a step:
//
//	x <- x + a s + sqrt(2 a) z,   a = eps sigma_i^2 / sigma_L^2,   z ~ N(0, I)
//
// (Song and Ermon 2019, algorithm 1, in the convention of NCSNv2.) The step k = level*T + t is read from the state
// block, so one compiled program serves every level and every step. z is drawn where it is used.

package kernels

import "math"

// levelOf returns the level of step k: k/T, or the last level once the annealing is over (the denoising step).
func levelOf(k uint32, t, levels int) int { return min(int(k)/t, levels-1) }

// SetSigma writes the noise level of the sampling step to every row: level_n = k/T, sigma_n = ladder[k/T].
type SetSigma struct {
	Sigma  Buf // (N)
	Level  Buf // (N) uint32
	Ladder Buf // (L)
	State  Buf
	T      int // steps at each level
}

func (o SetSigma) Name() string { return "set_sigma" }
func (o SetSigma) Operands() (reads, writes []Buf) {
	return []Buf{o.Ladder, o.State}, []Buf{o.Sigma, o.Level}
}
func (o SetSigma) Ref(mem []float32) { o.RefRows(mem, 0, o.Sigma.N) }
func (o SetSigma) RefRows(mem []float32, lo, hi int) {
	level := levelOf(word(mem, o.State, StateStep), o.T, o.Ladder.N)
	sigma := o.Ladder.Of(mem)[level]
	for n := lo; n < hi; n++ {
		o.Sigma.Of(mem)[n] = sigma
		SetWord(mem, o.Level, n, uint32(level))
	}
}

// Langevin updates X in place: x <- x + a s + sqrt(2a) z with a = Alpha[k/T]. The noise z of row n is the stream
// (Seed, PurposeLangevin, image StateImage+n, step k).
type Langevin struct {
	X, S  Buf // (N, D)
	Alpha Buf // (L) step sizes a_i
	State Buf
	T     int
	D     int
	Seed  uint64
}

func (o Langevin) Name() string { return "langevin" }
func (o Langevin) Operands() (reads, writes []Buf) {
	return []Buf{o.X, o.S, o.Alpha, o.State}, []Buf{o.X}
}
func (o Langevin) Rows() int         { return o.X.N / o.D }
func (o Langevin) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o Langevin) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		o.row(mem, n)
	}
}

// row updates one image.
func (o Langevin) row(mem []float32, n int) {
	a, b := o.factors(mem)
	x, s := row(mem, o.X, o.Rows(), n), row(mem, o.S, o.Rows(), n)
	stream := o.stream(mem, n)
	for i := 0; i < len(x); i += 4 {
		z := NormalBlock(stream.Block(uint32(i / 4)))
		for j := 0; j < 4 && i+j < len(x); j++ {
			// each product rounded before the sum: the same bits with and without fused multiply-add
			x[i+j] = float32(x[i+j]+float32(a*s[i+j])) + float32(b*z[j])
		}
	}
}

// factors returns a and sqrt(2a) of the step.
func (o Langevin) factors(mem []float32) (a, b float32) {
	a = o.Alpha.Of(mem)[levelOf(word(mem, o.State, StateStep), o.T, o.Alpha.N)]
	return a, float32(math.Sqrt(float64(2 * a)))
}

// stream returns the noise of row n.
func (o Langevin) stream(mem []float32, n int) Stream {
	image, step := word(mem, o.State, StateImage)+uint32(n), word(mem, o.State, StateStep)
	return ImageStream(o.Seed, PurposeLangevin, image, step)
}

// Denoise updates X in place by Tweedie's formula at the last level, the final step of NCSNv2: x <- x + sigma_n^2 s.
type Denoise struct {
	X, S  Buf // (N, D)
	Sigma Buf // (N)
}

func (o Denoise) Name() string                    { return "denoise" }
func (o Denoise) Operands() (reads, writes []Buf) { return []Buf{o.X, o.S, o.Sigma}, []Buf{o.X} }
func (o Denoise) Rows() int                       { return o.Sigma.N }
func (o Denoise) Ref(mem []float32)               { o.RefRows(mem, 0, o.Rows()) }
func (o Denoise) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, s, sigma := row(mem, o.X, o.Rows(), n), row(mem, o.S, o.Rows(), n), o.Sigma.Of(mem)[n]
		v := float32(sigma * sigma)
		for i := range x {
			x[i] += float32(v * s[i])
		}
	}
}

// Tick adds one to the step of the state block.
type Tick struct{ State Buf }

func (o Tick) Name() string                    { return "tick" }
func (o Tick) Operands() (reads, writes []Buf) { return []Buf{o.State}, []Buf{o.State} }
func (o Tick) Ref(mem []float32) {
	SetStep(o.State.Of(mem), stepOf(mem, o.State)+1)
}
