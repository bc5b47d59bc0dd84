// What samplers run beside the network, from a table of steps that lies on the device:
//
//	sampler_sigma   sigma_n = sigma of the step, level_n = its level
//	sampler_gain    g_n = sqrt(D) / |s_n|                              in steps that ask for it, see Gain
//	sampler_update  x <- a x + b s + c y + d z
//	                y <- e x + f s + g y + h z                         all from the old x and y, z ~ N(0, I)
//	sampler_misfit  m_nj = w_j (t_j + b_j z_nj - v_j x_n)              what is missing of what is known, z ~ N(0, 1)
//	sampler_fit     x_n <- x_n + sum over j of m_nj v_j
//	sampler_guide   s <- s + v + sigma^2 (v^T ds/dx)                   v is what sampler_fit makes of another m, see below
//
// y is the memory that two-stage and multistep samplers need: an x, half a sum, or a denoised image of the step before.
// With Langevin's numbers (1, alpha, 0, sqrt(2 alpha)) this is annealed Langevin dynamics, with others it is any solver
// whose steps are known beforehand; package sample has the numbers. The step k is read from the state block, so one
// compiled program serves every step and nothing goes to the device between steps.
//
// The last three are for samples of which a measurement y = A x + n is known. The v_j are orthonormal, each of a few or many
// entries: one pixel of a mask, the three colours of a pixel, a block of pixels, a row of V of a singular value
// decomposition. t_j is the measured coordinate and tau_j the noise in it. At the noise level sigma, in a step that takes
// a s(x, sigma),
//
//	sigma > tau_j   w_j = 1 and b_j^2 = sigma^2 - tau_j^2: the coordinate is made to hold noise of sigma in all
//	sigma < tau_j   b_j = 0 and w_j = a/(a + tau_j^2 - sigma^2): it is drawn to t_j as by the gradient of the likelihood,
//	                (t_j - v_j x)/(tau_j^2 - sigma^2), without stepping over
//
// or, where the score is guided instead (Pseudo-inverse guided diffusion, Song et al. 2023), by the denoised image
// D = x + sigma^2 s, from whose truth it takes each value to be r off, r^2 = p^2 sigma^2/(p^2 + sigma^2) for data of the
// deviation p,
//
//	m_nj = (t_j - v_j D_n)/(tau_j^2 + r^2),   v_n = sum over j of m_nj v_j,   s <- s + (dD/dx)^T v
//
// All sums are in float64, one term after the other with every product rounded, and m is kept to twice float32's digits,
// so that a value that is put back at sigma 0 is t to the bit.

package kernels

import "math"

// The words of a step in the table of a sampler.
const (
	StepSigma = 0 // noise level that the network is told
	StepLevel = 1 // uint32, index of that level in the ladder
	StepDraw  = 2 // uint32, which draw of noise z is
	StepGain  = 3 // uint32, 1 where b and f are multiplied by g_n^2, d and h by g_n
	StepX     = 4 // a, b, c, d
	StepY     = 8 // e, f, g, h; y stays as it is where e, f and h are 0
	StepWords = 12
)

// levelOf returns the row of step k where each serves t steps, and the last one all that follow too.
func levelOf(k uint32, t, rows int) int { return min(int(k)/t, rows-1) }

// SamplerStep says which row of a table of steps is at hand. Each row serves Repeat steps, the last one all that
// follow too: step k is in row k/Repeat, and its noise is draw StepDraw + k mod Repeat.
type SamplerStep struct {
	Table  Buf // (steps, StepWords)
	State  Buf
	Repeat int
}

// at returns the row of the step and its draw.
func (o SamplerStep) at(mem []float32) (row []float32, draw uint32) {
	k, rows := word(mem, o.State, StateStep), o.Table.N/StepWords
	i := levelOf(k, o.Repeat, rows)
	row = o.Table.Of(mem)[i*StepWords : (i+1)*StepWords]
	return row, math.Float32bits(row[StepDraw]) + k - uint32(i*o.Repeat)
}

// SamplerSigma writes the noise level of the step to every row.
type SamplerSigma struct {
	SamplerStep
	Sigma Buf // (N)
	Level Buf // (N) uint32
}

func (o SamplerSigma) Name() string { return "sampler_sigma" }
func (o SamplerSigma) Operands() (reads, writes []Buf) {
	return []Buf{o.Table, o.State}, []Buf{o.Sigma, o.Level}
}
func (o SamplerSigma) Rows() int         { return o.Sigma.N }
func (o SamplerSigma) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerSigma) RefRows(mem []float32, lo, hi int) {
	step, _ := o.at(mem)
	for n := lo; n < hi; n++ {
		o.Sigma.Of(mem)[n], o.Level.Of(mem)[n] = step[StepSigma], step[StepLevel]
	}
}

// gainLanes is how many partial sums |s|^2 has: lane t takes elements t, t+gainLanes, and so on, then they are added
// by halves. The squares are exact in float64, so every device has the same bits.
const gainLanes = 128

// SamplerGain computes how much shorter than noise of unit size the score of a row is, for correctors whose step size
// follows each row's own score: g_n = sqrt(D)/|s_n|, 0 where s_n is 0. In steps without StepGain it does nothing.
type SamplerGain struct {
	SamplerStep
	S    Buf // (N, D)
	Gain Buf // (N)
	D    int
}

func (o SamplerGain) Name() string { return "sampler_gain" }
func (o SamplerGain) Operands() (reads, writes []Buf) {
	return []Buf{o.S, o.Table, o.State, o.Gain}, []Buf{o.Gain}
}
func (o SamplerGain) Rows() int         { return o.S.N / o.D }
func (o SamplerGain) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerGain) RefRows(mem []float32, lo, hi int) {
	if step, _ := o.at(mem); math.Float32bits(step[StepGain]) == 0 {
		return
	}
	for n := lo; n < hi; n++ {
		var sums [gainLanes]float64
		for i, v := range row(mem, o.S, o.Rows(), n) {
			sums[i%gainLanes] += float64(v) * float64(v)
		}
		for half := gainLanes / 2; half > 0; half /= 2 {
			for t := range half {
				sums[t] += sums[t+half]
			}
		}
		gain := float32(0)
		if sums[0] > 0 {
			gain = float32(math.Sqrt(float64(o.D) / sums[0]))
		}
		o.Gain.Of(mem)[n] = gain
	}
}

// SamplerUpdate updates X and Y in place. Terms are added from left to right and those with the factor 0 are left out,
// so Y may be absent where no step has use for it. The noise z of row n is the stream (Seed, PurposeLangevin, image
// StateImage+n, the step's draw), or, where Draws is there, what it holds, or, where Blend is there, a sum of two streams.
type SamplerUpdate struct {
	SamplerStep
	X, S  Buf // (N, D)
	Y     Buf // (N, D) or absent
	Gain  Buf // (N) or absent, see SamplerGain
	Draws Buf // (draws, N, D) or absent: noise that is given
	Blend Buf // (images, BlendWords) or absent: noise that is made of two images', see BlendA
	D     int
	Seed  uint64
}

// The words of an image whose noise is that of two others, z = a z_A + b z_B. Images beyond the last have the last one's.
const (
	BlendA     = 0 // uint32, image A
	BlendB     = 1 // uint32, image B
	BlendFA    = 2 // a
	BlendFB    = 3 // b
	BlendWords = 4
)

func (o SamplerUpdate) Name() string { return "sampler_update" }
func (o SamplerUpdate) Operands() (reads, writes []Buf) {
	reads, writes = []Buf{o.X, o.S, o.Table, o.State}, []Buf{o.X}
	if o.Y.N > 0 {
		reads, writes = append(reads, o.Y), append(writes, o.Y)
	}
	if o.Gain.N > 0 {
		reads = append(reads, o.Gain)
	}
	if o.Draws.N > 0 {
		reads = append(reads, o.Draws)
	}
	if o.Blend.N > 0 {
		reads = append(reads, o.Blend)
	}
	return reads, writes
}
func (o SamplerUpdate) Rows() int         { return o.X.N / o.D }
func (o SamplerUpdate) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerUpdate) RefRows(mem []float32, lo, hi int) {
	step, draw := o.at(mem)
	z := make([]float32, o.D)
	for n := lo; n < hi; n++ {
		u := o.factors(mem, step, n)
		if u.noise() {
			o.noise(mem, z, n, draw)
		}
		u.apply(o.values(mem, n, z))
	}
}

// samplerFactors are the factors of a row's update: of x, s, y and z.
type samplerFactors struct{ x, y [4]float32 }

// factors returns those of row n in a step.
func (o SamplerUpdate) factors(mem, step []float32, n int) (u samplerFactors) {
	copy(u.x[:], step[StepX:StepX+4])
	copy(u.y[:], step[StepY:StepY+4])
	if math.Float32bits(step[StepGain]) == 0 {
		return u
	}
	g := o.Gain.Of(mem)[n]
	g2 := float32(g * g)
	u.x[1], u.x[3] = u.x[1]*g2, u.x[3]*g
	u.y[1], u.y[3] = u.y[1]*g2, u.y[3]*g
	return u
}

// noise tells whether the update has use for z.
func (u *samplerFactors) noise() bool { return u.x[3] != 0 || u.y[3] != 0 }

// keepsY tells whether y stays as it is.
func (u *samplerFactors) keepsY() bool { return u.y[0] == 0 && u.y[1] == 0 && u.y[3] == 0 }

// stream returns the noise of row n.
func (o SamplerUpdate) stream(mem []float32, n int, draw uint32) Stream {
	return ImageStream(o.Seed, PurposeLangevin, word(mem, o.State, StateImage)+uint32(n), draw)
}

// noise sets z to the noise of row n.
func (o SamplerUpdate) noise(mem, z []float32, n int, draw uint32) {
	if o.Draws.N > 0 {
		copy(z, row(mem, o.Draws, o.Draws.N/o.D, int(draw)*o.Rows()+n))
		return
	}
	if o.Blend.N == 0 {
		o.stream(mem, n, draw).Normals(z)
		return
	}
	i := min(int(word(mem, o.State, StateImage))+n, o.Blend.N/BlendWords-1)
	blend := row(mem, o.Blend, o.Blend.N/BlendWords, i)
	BlendNormals(z, o.Seed, PurposeLangevin, blend, draw)
}

// BlendNormals fills z with the noise that a row of a Blend buffer asks for, every product rounded. a is not 0 with b 0.
func BlendNormals(z []float32, seed uint64, p Purpose, blend []float32, k uint32) {
	ImageStream(seed, p, math.Float32bits(blend[BlendA]), k).Normals(z)
	a, b := blend[BlendFA], blend[BlendFB]
	if b == 0 {
		for i := range z {
			z[i] *= a
		}
		return
	}
	other := make([]float32, len(z))
	ImageStream(seed, p, math.Float32bits(blend[BlendB]), k).Normals(other)
	for i, v := range other {
		z[i] = float32(a*z[i]) + float32(b*v)
	}
}

// samplerValues are the values of a row; y is nil where there is none.
type samplerValues struct{ x, s, y, z []float32 }

func (o SamplerUpdate) values(mem []float32, n int, z []float32) samplerValues {
	v := samplerValues{x: row(mem, o.X, o.Rows(), n), s: row(mem, o.S, o.Rows(), n), z: z}
	if o.Y.N > 0 {
		v.y = row(mem, o.Y, o.Rows(), n)
	}
	return v
}

// apply updates a row.
func (u *samplerFactors) apply(v samplerValues) {
	keepsY := u.keepsY()
	for i, x := range v.x {
		var y, z float32
		if v.y != nil {
			y = v.y[i]
		}
		if v.z != nil {
			z = v.z[i]
		}
		v.x[i] = sum4(&u.x, x, v.s[i], y, z)
		if !keepsY {
			v.y[i] = sum4(&u.y, x, v.s[i], y, z)
		}
	}
}

// sum4 adds four products, each rounded first: the same bits with and without fused multiply-add.
func sum4(f *[4]float32, x, s, y, z float32) (sum float32) {
	if f[0] != 0 {
		sum = float32(f[0] * x)
	}
	if f[1] != 0 {
		sum += float32(f[1] * s)
	}
	if f[2] != 0 {
		sum += float32(f[2] * y)
	}
	if f[3] != 0 {
		sum += float32(f[3] * z)
	}
	return sum
}

// Sparse is a sparse matrix by rows: the entries Start[i] to Start[i+1] are those of row i.
type Sparse struct{ Start, Index, Weight Buf } // (rows+1) uint32, (entries) uint32, (entries)

// Directions are sets of orthonormal directions of rows of D values, with what is measured along them. Row n of a batch,
// which is image StateImage+n, has measurement (StateImage+n) mod M.
type Directions struct {
	Parts       Buf    // (M, PartWords) uint32, see PartFirst
	Target      Buf    // (targets): t, along all directions of a measurement
	Noise       Buf    // (directions): tau
	ByDirection Sparse // (directions, D)
	ByValue     Sparse // (sets * D, directions of the set): the transpose of each set
	D, Most     int    // Most is how many directions the largest set has
}

// The words of a measurement.
const (
	PartFirst  = 0 // its set's first direction
	PartLen    = 1 // r, how many directions the set has
	PartValue  = 2 // the set's first row of ByValue
	PartTarget = 3 // its first target
	PartWords  = 4
)

// measured is what is known of one row.
type measured struct {
	target, noise []float32
	start, index  []uint32 // of its directions
	weight        []float32
	byValue       []uint32 // Start of its values in ByValue
}

// of returns what is known of row n, with everything of the set counted from its first direction.
func (v Directions) of(mem []float32, state Buf, n int) measured {
	k := int((word(mem, state, StateImage) + uint32(n)) % uint32(v.Parts.N/PartWords))
	p := words(v.Parts.Of(mem))[k*PartWords:]
	first, r, value, target := p[PartFirst], p[PartLen], p[PartValue], p[PartTarget]
	return measured{
		target: v.Target.Of(mem)[target : target+r], noise: v.Noise.Of(mem)[first : first+r],
		start: words(v.ByDirection.Start.Of(mem))[first : first+r+1], index: words(v.ByDirection.Index.Of(mem)),
		weight: v.ByDirection.Weight.Of(mem), byValue: words(v.ByValue.Start.Of(mem))[value : value+uint32(v.D)+1],
	}
}

func (v Directions) bufs() []Buf {
	return []Buf{v.Parts, v.Target, v.Noise, v.ByDirection.Start, v.ByDirection.Index, v.ByDirection.Weight, v.ByValue.Start,
		v.ByValue.Index, v.ByValue.Weight}
}

// SamplerMisfit computes m. With Exact sigma is 0, and what is measured with noise is left as it is. The noise z of row n
// is the stream (Seed, PurposeKnown, image StateImage+n, step), or, where Draws is there, what it holds for each step.
type SamplerMisfit struct {
	SamplerStep
	Directions
	X      Buf // (N, D)
	Misfit Buf // (N, Most, 2): float32 and what that leaves
	Draws  Buf // (draws, N, Most) or absent: noise that is given
	Seed   uint64
	Exact  bool
	// S (N, D), where it is there, makes it the m of a guided score, for data of the deviation Prior.
	S     Buf
	Prior float32
}

func (o SamplerMisfit) Name() string { return "sampler_misfit" }
func (o SamplerMisfit) Operands() (reads, writes []Buf) {
	reads = append([]Buf{o.X, o.Table, o.State}, o.bufs()...)
	if o.Draws.N > 0 {
		reads = append(reads, o.Draws)
	}
	if o.S.N > 0 {
		reads = append(reads, o.S)
	}
	return reads, []Buf{o.Misfit}
}
func (o SamplerMisfit) Rows() int         { return o.X.N / o.D }
func (o SamplerMisfit) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerMisfit) RefRows(mem []float32, lo, hi int) {
	if o.S.N > 0 {
		o.guided(mem, lo, hi)
		return
	}
	k, image := word(mem, o.State, StateStep), word(mem, o.State, StateImage)
	step, _ := o.at(mem)
	sigma, a := float64(step[StepSigma]), float64(step[StepX+1])
	if o.Exact {
		sigma, a = 0, 0
	}
	all := make([]float32, o.Most)
	for n := lo; n < hi; n++ {
		v := o.of(mem, o.State, n)
		z := all[:len(v.target)]
		x, out := row(mem, o.X, o.Rows(), n), row(mem, o.Misfit, o.Rows(), n)
		switch {
		case sigma == 0:
		case o.Draws.N > 0:
			copy(z, row(mem, o.Draws, o.Draws.N/o.Most, int(k)*o.Rows()+n))
		default:
			ImageStream(o.Seed, PurposeKnown, image+uint32(n), k).Normals(z)
		}
		for j, t := range v.target {
			tau := float64(v.noise[j])
			b, w := float32(0), 1.0
			if tau == 0 || tau < sigma {
				b = float32(math.Sqrt(sigma*sigma - tau*tau)) // the products are exact
			} else {
				w = a / (a + (tau*tau - sigma*sigma))
			}
			m := 0.0
			if w != 0 {
				m = float64(t)
				if b != 0 {
					m += float64(float64(b) * float64(z[j]))
				}
				for e := v.start[j]; e < v.start[j+1]; e++ {
					m -= float64(float64(v.weight[e]) * float64(x[v.index[e]]))
				}
				m *= w
			}
			out[2*j] = float32(m)
			out[2*j+1] = float32(m - float64(out[2*j]))
		}
	}
}

// guided is RefRows for a guided score.
func (o SamplerMisfit) guided(mem []float32, lo, hi int) {
	step, _ := o.at(mem)
	sigma, prior := float64(step[StepSigma]), float64(o.Prior)
	sigma2, prior2 := sigma*sigma, prior*prior // exact, as every square here
	r2 := float64(prior2*sigma2) / (prior2 + sigma2)
	for n := lo; n < hi; n++ {
		v := o.of(mem, o.State, n)
		x, s, out := row(mem, o.X, o.Rows(), n), row(mem, o.S, o.Rows(), n), row(mem, o.Misfit, o.Rows(), n)
		for j, t := range v.target {
			tau, m := float64(v.noise[j]), float64(t)
			for e := v.start[j]; e < v.start[j+1]; e++ {
				i := v.index[e]
				denoised := float64(x[i]) + float64(sigma2*float64(s[i]))
				m -= float64(float64(v.weight[e]) * denoised)
			}
			m /= tau*tau + r2
			out[2*j] = float32(m)
			out[2*j+1] = float32(m - float64(out[2*j]))
		}
	}
}

// SamplerFit adds to X what SamplerMisfit has found, or with Alone sets X to it.
type SamplerFit struct {
	Directions
	State  Buf
	X      Buf // (N, D)
	Misfit Buf // (N, Most, 2)
	Alone  bool
}

func (o SamplerFit) Name() string { return "sampler_fit" }
func (o SamplerFit) Operands() (reads, writes []Buf) {
	reads = append([]Buf{o.Misfit, o.State}, o.bufs()...)
	if !o.Alone {
		reads = append(reads, o.X)
	}
	return reads, []Buf{o.X}
}
func (o SamplerFit) Rows() int         { return o.X.N / o.D }
func (o SamplerFit) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerFit) RefRows(mem []float32, lo, hi int) {
	index, weight := words(o.ByValue.Index.Of(mem)), o.ByValue.Weight.Of(mem)
	for n := lo; n < hi; n++ {
		start := o.of(mem, o.State, n).byValue
		x, misfit := row(mem, o.X, o.Rows(), n), row(mem, o.Misfit, o.Rows(), n)
		for i := range x {
			if o.Alone {
				x[i] = 0
			}
			if start[i] == start[i+1] {
				continue
			}
			sum := float64(x[i])
			for e := start[i]; e < start[i+1]; e++ {
				m := misfit[2*index[e]:]
				sum += float64(float64(weight[e]) * (float64(m[0]) + float64(m[1])))
			}
			x[i] = float32(sum)
		}
	}
}

// SamplerGuide adds to a score S what pulls the denoised image towards what is known: V and sigma^2 VJ, with VJ the
// product V^T ds/dx.
type SamplerGuide struct {
	SamplerStep
	S, V, VJ Buf // (N, D)
	D        int
}

func (o SamplerGuide) Name() string { return "sampler_guide" }
func (o SamplerGuide) Operands() (reads, writes []Buf) {
	return []Buf{o.S, o.V, o.VJ, o.Table, o.State}, []Buf{o.S}
}
func (o SamplerGuide) Rows() int         { return o.S.N / o.D }
func (o SamplerGuide) Ref(mem []float32) { o.RefRows(mem, 0, o.Rows()) }
func (o SamplerGuide) RefRows(mem []float32, lo, hi int) {
	step, _ := o.at(mem)
	sigma2 := float64(step[StepSigma]) * float64(step[StepSigma])
	for n := lo; n < hi; n++ {
		s, v, vj := row(mem, o.S, o.Rows(), n), row(mem, o.V, o.Rows(), n), row(mem, o.VJ, o.Rows(), n)
		for i := range s {
			s[i] = float32(float64(s[i]) + (float64(v[i]) + float64(sigma2*float64(vj[i]))))
		}
	}
}
