// The perturbation, one launch from the data set to the network's input:
//
//	x~ = x + sigma z,   z ~ N(0, I),   sigma that of a random level i, or drawn by a density
//
// (Song and Ermon 2019, equation 5.) Row r of step k is sample q = k*N + r of the run. Everything random about it is a
// function of (seed, q), or of (seed, k) where the rows of a step share a draw. Where a step draws its batch in parts, k counts
// parts: q is then what it is for the whole batch, and step and place of the row in it are q / Batch and q mod Batch.
//
//	image      permutation of epoch q / rows at q mod rows (keyed Feistel network)
//	level      floor(L u), u uniform; K levels a step with LevelsPerStep; stratified: floor(L (j + u) / K) for draw j
//	sigma      that of the level; with a density its quantile at u, stratified: at (j + u)/K for draw j (density.go)
//	flip       one bit
//	pixel      byte/255, or with uniform dequantisation (byte + u)/256; rescaled to [-1, 1], twice that less 1
//	z          normals of (PurposeNoise, q)
//
// Where the network is told classes, draw_classes gives row r the label of its image. Each is left out with a probability,
// so that one network learns both scores that guidance mixes (Ho and Salimans 2022):
//
//	class      none where word 0 of the stream (PurposeLabel, q) < 2^32 drop, else the label
//
// And what a network is given of such a row, and how its output F becomes the score (Karras et al. 2022, table 1; Song et al.
// 2021), in numbers of each row:
//
//	F = network(c_in x~, cond)        s = a x~ + b F        weight w of the loss
//
//	edm           c_in 1/sqrt(sigma^2 + sd^2)   cond ln(sigma)/4, or sigma^(1/4) whose logarithm that is
//	              a -1/(sigma^2 + sd^2)         b sd/(sigma sqrt(sigma^2 + sd^2))
//	vp, subvp     c_in m                        cond 999 t, or k of a table, with fractions between its steps
//	              a 0                           b -1/sigma           w g^2/std^2 where the loss is to bound the likelihood
//	level         c_in 1                        cond the level       a 0, b 1
//
// They are computed in float64, see betas.go, and have the same bits on every device.

package kernels

import (
	"math"
	"math/bits"

	"sigmaz/kernels/internal/philox"
)

// Perturb draws a batch of N rows, their levels and their noise, and writes x~.
type Perturb struct {
	N      int
	Batch  int // rows of a step, which is done in Batch/N parts; 0: N, the step is one part
	XTilde Buf // (N, D)
	Z      Buf // (N, D)
	Sigma  Buf // (N)
	Level  Buf // (N) uint32
	Ladder Buf // (L)
	State  Buf
	Data   *Data
	Seed   uint64

	Flip       bool // mirror half of the images left to right
	Dequantize bool // (byte + u)/256 in place of byte/255
	Rescale    bool // images in [-1, 1]: 2x - 1
	// LevelsPerStep is the number K of levels drawn each step; row r gets draw r mod K. 0: one for each row (K = N).
	LevelsPerStep int
	// Stratified draws one level from each of K equal parts of the ladder, or of the density.
	Stratified bool
	// Density draws sigma instead of a level, where there is one. Level is then sigma by its bits, for [Record].
	Density Density

	// Streamed leaves the data set with the host: a device with memory of its own gets the rows of each step as they are
	// needed, instead of all rows once. The bits are the same.
	Streamed bool

	// Every enumerates instead of drawing, for the loss over all levels: sample q is row q/L mod rows of the data at
	// level q mod L, not flipped nor dequantised, with noise that depends on q alone.
	Every bool
}

func (o Perturb) Name() string { return "perturb" }
func (o Perturb) Operands() (reads, writes []Buf) {
	return []Buf{o.Ladder, o.State}, []Buf{o.XTilde, o.Z, o.Sigma, o.Level}
}
func (o Perturb) Rows() int         { return o.N }
func (o Perturb) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o Perturb) RefRows(mem []float32, lo, hi int) {
	step := stepOf(mem, o.State)
	for r := lo; r < hi; r++ {
		d := o.draw(step, r)
		sigma := o.sigma(mem, d)
		o.Sigma.Of(mem)[r] = sigma
		SetWord(mem, o.Level, r, o.levelWord(d))
		x, z := row(mem, o.XTilde, o.N, r), row(mem, o.Z, o.N, r)
		o.pixels(x, d)
		o.rescale(x)
		for i := 0; i < len(z); i += 4 {
			block := NormalBlock(d.noise.Block(uint32(i / 4)))
			copy(z[i:], block[:])
		}
		for i := range x {
			x[i] += float32(sigma * z[i])
		}
	}
}

// rescale maps the pixels of an image from [0, 1] on to [-1, 1] where Rescale is set.
func (o Perturb) rescale(x []float32) {
	if !o.Rescale || o.Data.F32 != nil {
		return
	}
	for i, v := range x {
		x[i] = 2*v - 1 // the product is exact
	}
}

// draw is what is drawn for a row.
type draw struct {
	q            uint64  // sample
	sigma        float32 // with a density
	level, image int
	flip         bool
	noise        Stream
}

// draw draws row r of a step.
func (o Perturb) draw(step uint64, r int) draw {
	q := step*uint64(o.N) + uint64(r)
	if o.Every {
		levels, rows := uint64(o.Ladder.N), uint64(o.Data.N)
		noise := Stream{o.Seed, PurposeHeldOut, q}
		return draw{q: q, level: int(q % levels), image: int(q / levels % rows), noise: noise}
	}
	s, element := o.levelStream(q)
	d := draw{q: q, image: Permutation(o.Seed, uint64(o.Data.N), q),
		flip: o.Flip && o.flipStream(q).Word(0)>>31 == 1, noise: Stream{o.Seed, PurposeNoise, q}}
	o.drawNoise(&d, s.Word(element))
	return d
}

// drawNoise turns a random word into the level of a draw, or into its sigma.
func (o Perturb) drawNoise(d *draw, word uint32) {
	if o.byDensity() {
		d.sigma = o.Density.Sigma(o.stratum(d.q, word))
	} else {
		d.level = o.level(d.q, word)
	}
}

// sigma returns the noise of what was drawn.
func (o Perturb) sigma(mem []float32, d draw) float32 {
	if o.byDensity() {
		return d.sigma
	}
	return o.Ladder.Of(mem)[d.level]
}

// levelWord returns what stands for the level of what was drawn.
func (o Perturb) levelWord(d draw) uint32 {
	if o.byDensity() {
		return math.Float32bits(d.sigma)
	}
	return uint32(d.level)
}

// byDensity says whether sigma is drawn by the density, not from the ladder.
func (o Perturb) byDensity() bool { return o.Density != Density{} && !o.Every }

func (o Perturb) flipStream(q uint64) Stream { return Stream{o.Seed, PurposeFlip, q} }

// batch returns the rows of a step.
func (o Perturb) batch() uint64 {
	if o.Batch > 0 {
		return uint64(o.Batch)
	}
	return uint64(o.N)
}

// levelStream returns where the random word for the level of sample q lies.
func (o Perturb) levelStream(q uint64) (s Stream, element int) {
	if k := o.LevelsPerStep; k > 0 {
		return Stream{o.Seed, PurposeLevel, q / o.batch()}, int(q % o.batch() % uint64(k))
	}
	return Stream{o.Seed, PurposeLevel, q}, 0
}

// level turns a random word into the level of sample q: u = word/2^32 is uniform in [0, 1).
func (o Perturb) level(q uint64, word uint32) int {
	u, levels := uint64(word), uint64(o.Ladder.N)
	if !o.Stratified {
		return int(levels * u >> 32)
	}
	j, k := o.strata(q)
	// floor(L (j + u) / K), in integers
	return int(levels * (j<<32 + u) / k >> 32)
}

// stratum turns a random word into one of the sample's own part of all words where draws are stratified:
// floor((j 2^32 + word) / K).
func (o Perturb) stratum(q uint64, word uint32) uint32 {
	if !o.Stratified {
		return word
	}
	j, k := o.strata(q)
	return uint32((j<<32 + uint64(word)) / k)
}

// strata returns which draw of its step sample q gets, and how many there are.
func (o Perturb) strata(q uint64) (j, k uint64) {
	place := q % o.batch()
	if k = uint64(o.LevelsPerStep); k > 0 {
		return place % k, k
	}
	return place, o.batch()
}

// pixels writes a row of the data to x.
func (o Perturb) pixels(x []float32, r draw) {
	d := o.Data
	if d.F32 != nil {
		copy(x, d.Floats(r.image))
		return
	}
	src := d.Bytes(r.image)
	dequant := Stream{o.Seed, PurposeDequant, r.q}
	var block [4]uint32
	for i := range x {
		b := src[i]
		if r.flip {
			c, p := i%d.C, i/d.C
			b = src[((p/d.W)*d.W+d.W-1-p%d.W)*d.C+c]
		}
		if !o.Dequantize || o.Every {
			x[i] = float32(b) / 255
			continue
		}
		if i%4 == 0 {
			block = dequant.Block(uint32(i / 4))
		}
		// (byte + u)/256 with u in [0, 1), rounded once
		x[i] = (float32(b) + philox.Fraction(block[i%4])) * (1.0 / 256)
	}
}

// DrawClasses writes Class.
type DrawClasses struct {
	N      int
	Class  Buf // (N) uint32
	Labels Buf // (rows) uint32: the label of each row of the data set
	State  Buf
	Seed   uint64

	None uint32  // the class of rows whose label is left out
	Drop float64 // probability of that, in [0, 1]

	// Levels is how many rows of the batch each image has in turn where the batch is that of [Perturb.Every], whose labels
	// all stay; 0: images are drawn.
	Levels int
}

func (o DrawClasses) Name() string { return "draw_classes" }
func (o DrawClasses) Operands() (reads, writes []Buf) {
	return []Buf{o.Labels, o.State}, []Buf{o.Class}
}
func (o DrawClasses) Rows() int         { return o.N }
func (o DrawClasses) Ref(mem []float32) { o.RefRows(mem, 0, o.N) }
func (o DrawClasses) RefRows(mem []float32, lo, hi int) {
	step, rows := stepOf(mem, o.State), uint64(o.Labels.N)
	for r := lo; r < hi; r++ {
		q := step*uint64(o.N) + uint64(r)
		class := o.None
		switch {
		case o.Levels > 0:
			class = word(mem, o.Labels, int(q/uint64(o.Levels)%rows))
		case uint64(Stream{o.Seed, PurposeLabel, q}.Word(0)) >= o.threshold():
			class = word(mem, o.Labels, Permutation(o.Seed, rows, q))
		}
		SetWord(mem, o.Class, r, class)
	}
}

// threshold is the number of words of 2^32 for which the label is left out.
func (o DrawClasses) threshold() uint64 { return uint64(math.Round(o.Drop * (1 << 32))) }

// Permutation returns the row of a data set of n rows that sample q of a run sees. Every epoch of n samples goes
// through all rows once, in an order given by the seed and the epoch: a four-round Feistel network over the next even
// number of bits, with Philox as the round function, walked until it falls below n (Black and Rogaway 2002). It is a
// function of q alone, so that resuming needs no stored order.
func Permutation(seed, n, q uint64) int {
	f := newFeistel(int(n))
	for i := q % n; ; {
		for round := range uint32(feistelRounds) {
			i = f.round(i, Philox(Stream{Seed: seed}.words().Key, f.counter(q/n, round, i))[0])
		}
		if i < n {
			return int(i)
		}
	}
}

const feistelRounds = 4

// feistel is that network for n rows: two halves of a number.
type feistel struct {
	n    uint64
	half int // bits
	mask uint64
}

func newFeistel(n int) feistel {
	half := max(1, (bits.Len64(uint64(n)-1)+1)/2)
	return feistel{uint64(n), half, uint64(1)<<half - 1}
}

// counter returns where the random word of a round for i lies.
func (f feistel) counter(epoch uint64, round uint32, i uint64) [4]uint32 {
	return [4]uint32{uint32(PurposeBatch) | round<<8, uint32(epoch), uint32(epoch >> 32), uint32(i & f.mask)}
}

// round returns the number that a round turns i into, given its random word.
func (f feistel) round(i uint64, word uint32) uint64 {
	return i&f.mask<<f.half | (i>>f.half ^ uint64(word)&f.mask)
}

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
