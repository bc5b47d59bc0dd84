// Noise: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) and Box-Muller normals.
//
// A random number is a function of (seed, purpose, n, element) and of nothing else, so image 17 has the same noise on
// any device, in any batch, with any number of workers, and resuming a run needs no generator state but the step:
//
//	key     = (seed low, seed high)
//	counter = (purpose, n low, n high, element/4)     four words of output for four elements
//
// with n = step*batch + row in training and (image, level*T + t) in sampling. The functions themselves are in
// internal/philox; internal/vec has them in assembly, with the same bits.

package kernels

import (
	"sigmaz/kernels/internal/philox"
	"sigmaz/kernels/internal/vec"
)

// Purpose separates the streams of random numbers that one seed gives. The values are part of what makes a run
// reproducible: never renumber them.
type Purpose uint32

const (
	PurposeBatch    Purpose = 1  // which training image a row gets (the epoch's permutation)
	PurposeLevel    Purpose = 2  // noise level of a row
	PurposeFlip     Purpose = 3  // horizontal flip of a row
	PurposeDequant  Purpose = 4  // uniform dequantisation
	PurposeNoise    Purpose = 5  // z of the perturbation x + sigma z
	PurposeHeldOut  Purpose = 6  // fixed z of the held-out loss
	PurposeStart    Purpose = 7  // x at the start of sampling
	PurposeLangevin Purpose = 8  // z of the Langevin update
	PurposeInit     Purpose = 9  // initial weights
	PurposeData     Purpose = 10 // data made from the seed: toys and glyphs
	PurposeSplit    Purpose = 11 // which images are held out
	PurposeDropout  Purpose = 12 // which values a layer drops; the layer stands above the lowest eight bits
	PurposeProbe    Purpose = 13 // probes of the likelihood, and dequantisation for it
	PurposeKnown    Purpose = 14 // z of what a sampler knows of its samples
	PurposeEval     Purpose = 15 // order of samples in measures of quality
	PurposeLabel    Purpose = 16 // which labels training leaves out
	PurposeMissing  Purpose = 17 // what stands in the place of missing values
)

// Philox returns the four random words of Philox4x32-10 for a key and a counter.
func Philox(key [2]uint32, ctr [4]uint32) [4]uint32 { return philox.Words(key, ctr) }

// Stream is the random numbers of one (seed, purpose, n): an endless list of words indexed by element.
type Stream struct {
	Seed    uint64
	Purpose Purpose
	N       uint64
}

// ImageStream returns a stream of sampling: n is made of the image and of the step k = level*T + t.
func ImageStream(seed uint64, p Purpose, image, k uint32) Stream {
	return Stream{seed, p, uint64(k)<<32 | uint64(image)}
}

// words returns the stream as packages philox and vec know it.
func (s Stream) words() philox.Stream {
	return philox.Stream{
		Key:     [2]uint32{uint32(s.Seed), uint32(s.Seed >> 32)},
		Counter: [3]uint32{uint32(s.Purpose), uint32(s.N), uint32(s.N >> 32)},
	}
}

// counter returns the counter of elements 4b to 4b+3.
func (s Stream) counter(b uint32) [4]uint32 {
	return [4]uint32{uint32(s.Purpose), uint32(s.N), uint32(s.N >> 32), b}
}

// Block returns the words of elements 4b to 4b+3.
func (s Stream) Block(b uint32) [4]uint32 { return s.words().Block(b) }

// Word returns the word of one element.
func (s Stream) Word(element int) uint32 { return s.Block(uint32(element / 4))[element%4] }

// Uniform turns a word into a float32 in (0, 1]: ((x >> 8) + 1) 2^-24.
func Uniform(x uint32) float32 { return philox.Uniform(x) }

// Uniforms fills dst with the uniforms of elements 0, 1, ...
func (s Stream) Uniforms(dst []float32) { vec.Uniforms(dst, s.words()) }

// Normals fills dst with the standard normals of elements 0, 1, ...
func (s Stream) Normals(dst []float32) { vec.Normals(dst, s.words()) }

// NormalBlock turns four words into four standard normals by Box-Muller, see [philox.Normals].
func NormalBlock(x [4]uint32) [4]float32 { return philox.Normals(x) }
