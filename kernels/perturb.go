// The perturbation, one launch from the data set to the network's input:
//
//	x~ = x + sigma_i z,   z ~ N(0, I),   i a random level
//
// (Song and Ermon 2019, equation 5.) Row r of step k is sample q = k*N + r of the run. Everything random about it is a
// function of (seed, q), or of (seed, k) where the rows of a step share a draw:
//
//	image      permutation of epoch q / rows at q mod rows (keyed Feistel network)
//	level      floor(L u), u uniform; K levels a step with LevelsPerStep; stratified: floor(L (j + u) / K) for draw j
//	flip       one bit
//	pixel      byte/255, or with uniform dequantisation (byte + u)/256
//	z          normals of (PurposeNoise, q)
package kernels

import "math/bits"

// Perturb draws a batch of N rows, their levels and their noise, and writes x~.
type Perturb struct {
	N      int
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
	// LevelsPerStep is the number K of levels drawn each step; row r gets draw r mod K. 0: one for each row (K = N).
	LevelsPerStep int
	// Stratified draws one level from each of K equal parts of the ladder.
	Stratified bool

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
		q := step*uint64(o.N) + uint64(r)
		var level, image int
		flip, purpose := false, PurposeNoise
		if o.Every {
			level, image = int(q%uint64(o.Ladder.N)), int(q/uint64(o.Ladder.N)%uint64(o.Data.N))
			purpose = PurposeHeldOut
		} else {
			level, image = o.level(step, r), Permutation(o.Seed, uint64(o.Data.N), q)
			flip = o.Flip && Stream{o.Seed, PurposeFlip, q}.Word(0)>>31 == 1
		}
		sigma := o.Ladder.Of(mem)[level]
		o.Sigma.Of(mem)[r] = sigma
		SetWord(mem, o.Level, r, uint32(level))
		x, z := row(mem, o.XTilde, o.N, r), row(mem, o.Z, o.N, r)
		o.pixels(x, image, flip, q)
		Stream{o.Seed, purpose, q}.Normals(z)
		for i := range x {
			x[i] += float32(sigma * z[i])
		}
	}
}

// level draws the level of a row.
func (o Perturb) level(step uint64, r int) int {
	k, levels := o.LevelsPerStep, uint64(o.Ladder.N)
	n := step*uint64(o.N) + uint64(r)
	j := r
	stream, element := Stream{o.Seed, PurposeLevel, n}, 0
	if k > 0 {
		j = r % k
		stream, element = Stream{o.Seed, PurposeLevel, step}, j
	} else {
		k = o.N
	}
	u := uint64(stream.Word(element)) // u / 2^32 is uniform in [0, 1)
	if o.Stratified {
		// floor(L (j + u/2^32) / K), in integers
		return int(levels * (uint64(j)<<32 + u) / uint64(k) >> 32)
	}
	return int(levels * u >> 32)
}

// pixels writes row image of the data to x.
func (o Perturb) pixels(x []float32, image int, flip bool, q uint64) {
	d := o.Data
	if d.F32 != nil {
		copy(x, d.Floats(image))
		return
	}
	src := d.Bytes(image)
	dequant := Stream{o.Seed, PurposeDequant, q}
	var block [4]uint32
	for i := range x {
		b := src[i]
		if flip {
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
		x[i] = (float32(b) + float32(block[i%4]>>9)*(1.0/(1<<23))) * (1.0 / 256)
	}
}

// Permutation is the row of a data set of n rows that sample q of a run sees: every epoch of n samples goes through
// all rows once, in an order given by the seed and the epoch. The order is a four-round Feistel network over the next
// even number of bits, with Philox as the round function, walked until it falls below n (Black and Rogaway 2002): a
// function of q alone, so that resuming needs no stored order.
func Permutation(seed, n, q uint64) int {
	epoch, i := q/n, q%n
	half := permutationBits(n)
	mask := uint64(1)<<half - 1
	for {
		l, r := i>>half, i&mask
		for round := range uint32(4) {
			f := Philox([2]uint32{uint32(seed), uint32(seed >> 32)},
				[4]uint32{uint32(PurposeBatch) | round<<8, uint32(epoch), uint32(epoch >> 32), uint32(r)})[0]
			l, r = r, l^uint64(f)&mask
		}
		if i = l<<half | r; i < n {
			return int(i)
		}
	}
}

// permutationBits is half the number of bits of that network.
func permutationBits(n uint64) int { return max(1, (bits.Len64(n-1)+1)/2) }
