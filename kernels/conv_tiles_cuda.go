//go:build cgo && !nocuda

// How the CUDA kernels of a convolution share out their work: tiles of the result, parts of a long sum.
//
// Both are chosen by an estimate of the busiest multiprocessor's time. Of B blocks on M multiprocessors it has
// ceil(B/M), so a few blocks too many can cost as much as M more: with M = 132 and two blocks at a time, 288 blocks
// take twice the time of 264.
//
// The tiles do not show in the bits of a result, so they are chosen for the device at hand. The parts of a sum do, so
// they are chosen for the multiprocessors that the operation names.

package kernels

import "math"

// cudaTile is a block's share of a matrix product: rows x cols values, computed by a number of threads. The tiles
// that end in n (kernels _any) work on all windows and channels; the others read 16 bytes at a time.
type cudaTile struct {
	name                string
	rows, cols, threads int

	// Counted in what the assembler makes of the forward kernel for sm_90.
	together int // blocks that a multiprocessor has the registers for
	// cost is the cycles that 100 multiply-adds take a scheduler: the instructions issued, or what the reads of shared
	// memory take at 4 cycles for 16 bytes a lane [estimated] where that is more, as it is for 8 x 4 and 4 x 4 values a
	// thread.
	cost int
}

var (
	tile128x128 = cudaTile{"128x128", 128, 128, 128, 2, 118}
	tile128x64  = cudaTile{"128x64", 128, 64, 128, 3, 128}
	tile64x64   = cudaTile{"64x64", 64, 64, 128, 4, 150}
	tile128x32  = cudaTile{"128x32", 128, 32, 128, 4, 150}
	tile32x32   = cudaTile{"32x32", 32, 32, 64, 9, 200}
	tile64x64n  = cudaTile{"64x64_any", 64, 64, 128, 4, 191}
	tile32x32n  = cudaTile{"32x32_any", 32, 32, 64, 9, 276}
)

// The tiles to choose from, the largest first.
var (
	wideTiles       = []cudaTile{tile128x128, tile128x64, tile64x64, tile128x32, tile32x32}
	wideWeightTiles = []cudaTile{tile128x128, tile128x64, tile64x64, tile32x32}
	anyTiles        = []cudaTile{tile64x64n, tile32x32n}
)

// The tiles of convolutions at the ends of a network in bf16, by what their input and output hold. There the images have
// a few channels on one side, so that 16 bytes at a time can be read of the other side alone.
var (
	tile128x32in  = cudaTile{"bf16in_128x32", 128, 32, 128, 4, 150} // of the forward convolution alone
	tile32x32in   = cudaTile{"bf16in_32x32", 32, 32, 64, 9, 200}    // of it alone
	tile64x64inN  = cudaTile{"bf16in_64x64_any", 64, 64, 128, 4, 191}
	tile32x32inN  = cudaTile{"bf16in_32x32_any", 32, 32, 64, 9, 276}
	tile64x64outN = cudaTile{"bf16out_64x64_any", 64, 64, 128, 4, 191}
	tile32x32outN = cudaTile{"bf16out_32x32_any", 32, 32, 64, 9, 276}

	wideEndTiles = map[convEnds][]cudaTile{{BFloat16, Words}: {tile128x32in, tile32x32in}}
	anyEndTiles  = map[convEnds][]cudaTile{
		{BFloat16, Words}: {tile64x64inN, tile32x32inN},
		{Words, BFloat16}: {tile64x64outN, tile32x32outN},
	}
)

func (t cudaTile) blocks(rows, cols int) int { return ceil(rows, t.rows) * ceil(cols, t.cols) }

// time estimates the time of the busiest multiprocessor for each term of the tile's sums, in hundredths of a
// multiply-add of one lane.
func (t cudaTile) time(blocks, multiprocessors int) int {
	const hiding = 8 * 32 // threads that hide each other's latencies: two warps for each of four schedulers [estimated]
	n := ceil(blocks, multiprocessors)
	if last := n % t.together; last > 0 { // the blocks that run when the others have ended
		n += max(0, hiding/t.threads-last)
	}
	return n * t.rows * t.cols * t.cost
}

// tileOf picks the tile of a convolution by the pixels and channels that it writes.
func tileOf(tiles []cudaTile, multiprocessors, pixels, channels int) cudaTile {
	var best cudaTile
	least := math.MaxInt
	for _, t := range tiles {
		if time := t.time(t.blocks(pixels, channels), multiprocessors); time < least {
			best, least = t, time
		}
	}
	return best
}

// cudaSplit tells how the sum over the pixels of a weight gradient is cut.
type cudaSplit struct {
	tile  cudaTile
	parts int
	part  int // pixels of a part, the last one excepted
	words int // of the results of a part
}

// shortestPart is the fewest pixels that are worth a part of their own.
const shortestPart = 256

// cudaSplit chooses the tile and the parts that take the least time on the multiprocessors that the operation names. A
// run's bits hang on it: with another rule, runs that recorded their number must keep this one.
func (o ConvGradWeight) cudaSplit() cudaSplit {
	if o.Parts > 0 {
		return o.cut(tile32x32, o.Parts) // the tile is chosen too
	}
	tiles, multiprocessors := wideWeightTiles, o.Multiprocessors
	switch {
	case o.OnTensorCores():
		tiles = tensorWeightTiles[o.X.Element]
		if multiprocessors == 0 { // of a run that was begun in float32 on a CPU, or in an older version
			multiprocessors = 132
		}
	case multiprocessors == 0:
		return o.unrecordedSplit()
	case !o.wideGradWeight():
		tiles = anyTiles
	}
	// Each word of a part is written once and read once. That takes the time of 64 multiply-adds: 8 bytes at 16 bytes a
	// cycle for each multiprocessor of 128 lanes (4.3 TB/s on a card with 132 of them at 1.8 GHz are 18).
	const wordCost = 100 * 64
	const mostTurns = 16 // no more than a sixteenth of the time is lost in the last turn, whatever its blocks
	var best cudaSplit
	least := math.MaxInt
	for _, t := range tiles {
		blocks := t.blocks(o.Cout, o.K*o.K*o.Cin)
		most := min(o.N*o.H*o.W/shortestPart, mostTurns*t.together*multiprocessors/blocks, maxGrid)
		for parts := range max(1, most) {
			s := o.cut(t, parts+1)
			time := t.time(blocks*s.parts, multiprocessors) * s.part
			if s.parts > 1 {
				time += wordCost * s.parts * s.words / multiprocessors
			}
			if time < least {
				best, least = s, time
			}
		}
	}
	return best
}

// unrecordedSplit is the rule of runs that recorded no number of multiprocessors: the parts make 65,536 threads.
func (o ConvGradWeight) unrecordedSplit() cudaSplit {
	const threads = 1 << 16
	columns, pixels := o.K*o.K*o.Cin, o.N*o.H*o.W
	var t cudaTile
	switch wide := o.wideGradWeight(); {
	case !wide && o.Cout > 32 && columns > 32:
		t = tile64x64n
	case !wide:
		t = tile32x32n
	case o.Cout > 64 && columns > 64:
		t = tile128x128
	case o.Cout > 64:
		t = tile128x64
	case o.Cout > 32:
		t = tile64x64
	default:
		t = tile32x32
	}
	each := t.threads
	if t == tile128x128 {
		each = 256 // what it had when the rule was made
	}
	return o.cut(t, max(1, min(ceil(threads, each*t.blocks(o.Cout, columns)), pixels/shortestPart)))
}

// wideGradWeight says whether the gradient of the weights reads 16 bytes at a time.
func (o ConvGradWeight) wideGradWeight() bool {
	return o.Cin%4 == 0 && o.Cout%4 == 0 && aligned(o.X, o.DY)
}

// cut cuts the sum into parts of equal length, a multiple of the 16 terms of a step: no more than asked for.
func (o ConvGradWeight) cut(t cudaTile, parts int) cudaSplit {
	pixels := o.N * o.H * o.W
	s := cudaSplit{tile: t, part: 16 * ceil(ceil(pixels, parts), 16), words: 4 * ceil(o.DWeight.N+o.DBias.N, 4)}
	s.parts = ceil(pixels, s.part)
	return s
}
