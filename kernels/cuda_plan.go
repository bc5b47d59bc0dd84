// What the CUDA backend decides without a device: how sums are split and how much working memory they take. It depends on
// the operations alone, so that a program's memory is known before any of it is reserved, and so that a sum has the same
// bits on every device.
package kernels

import "math/bits"

//go:generate go run ./internal/ptxgen
//go:generate go run ./internal/launchgen

// CUDAWorkspaceWords is the size in four-byte words of the working memory that the CUDA backend needs beside the arena for
// a program of these operations. Programs of one backend share it, so the largest counts.
func CUDAWorkspaceWords(ops []Op) int {
	words := 0
	for _, op := range ops {
		switch o := op.(type) {
		case ConvGradWeight:
			if s := o.cudaSplit(); s.parts > 1 {
				words = max(words, s.parts*s.words)
			}
		case Norm:
			words = max(words, o.cudaPartsWords())
		case NormGrad:
			words = max(words, o.cudaPartsWords()+7*o.N*o.C)
		}
	}
	return words
}

// aligned says whether the CUDA kernels may read the windows 16 bytes at a time: an arena starts on a multiple of that.
func aligned(bufs ...Buf) bool {
	for _, b := range bufs {
		if b.Off%4 != 0 {
			return false
		}
	}
	return true
}

// cudaTile is a block's share of a matrix product: rows x cols values, computed by so many threads. Wide tiles read 16
// bytes at a time.
type cudaTile struct {
	name                string
	rows, cols, threads int
}

var (
	tile128x128 = cudaTile{"128x128", 128, 128, 256}
	tile128x64  = cudaTile{"128x64", 128, 64, 128}
	tile64x64   = cudaTile{"64x64", 64, 64, 128}
	tile128x32  = cudaTile{"128x32", 128, 32, 128}
	tile32x32   = cudaTile{"32x32", 32, 32, 64}
	tile64x64n  = cudaTile{"64x64_any", 64, 64, 128}
	tile32x32n  = cudaTile{"32x32_any", 32, 32, 64}
)

func (t cudaTile) blocks(rows, cols int) int { return ceil(rows, t.rows) * ceil(cols, t.cols) }

// manyBlocks is about what it takes to occupy a large device.
const manyBlocks = 128

// cudaTileOf picks the tile of a convolution that writes so many pixels of so many channels: the largest that leaves
// every multiprocessor of a large device something to do. All tiles give the same bits.
func cudaTileOf(pixels, channels int, wide bool) cudaTile {
	var tiles []cudaTile
	switch {
	case !wide && channels > 32:
		tiles = []cudaTile{tile64x64n, tile32x32n}
	case !wide:
		tiles = []cudaTile{tile32x32n}
	case channels > 64:
		tiles = []cudaTile{tile128x128, tile128x64, tile64x64, tile32x32}
	case channels > 32:
		tiles = []cudaTile{tile128x64, tile64x64, tile32x32}
	default:
		tiles = []cudaTile{tile128x32, tile32x32}
	}
	for _, t := range tiles {
		if t.blocks(pixels, channels) >= manyBlocks {
			return t
		}
	}
	return tiles[len(tiles)-1]
}

// cudaSplit is how the sum over the pixels of a weight gradient is cut.
type cudaSplit struct {
	tile  cudaTile
	parts int
	part  int // pixels of a part, the last one excepted
	words int // of the results of a part
}

// cudaSplit cuts the sum in as many parts as it takes to occupy a large device, of 256 pixels at least.
func (o ConvGradWeight) cudaSplit() cudaSplit {
	const shortest, threads = 256, 1 << 16
	columns, pixels := o.K*o.K*o.Cin, o.N*o.H*o.W
	var t cudaTile
	switch wide := o.Cin%4 == 0 && o.Cout%4 == 0 && aligned(o.X, o.DY); {
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
	s := cudaSplit{tile: t}
	s.parts = max(1, min(ceil(threads, t.threads*t.blocks(o.Cout, columns)), pixels/shortest))
	s.part = 16 * ceil(ceil(pixels, s.parts), 16)
	s.parts = ceil(pixels, s.part)
	s.words = 4 * ceil(o.DWeight.N+o.DBias.N, 4)
	return s
}

// cudaChunk is the number of pixels that one block sums in a norm, and how many such chunks an image has.
func (s NormShape) cudaChunk() (pixels, chunks int) {
	pixels = min(s.P, 4096/min(32, powerOf2(s.C)))
	return pixels, ceil(s.P, pixels)
}

// cudaPartsWords is the room for the sums of all chunks of all images.
func (s NormShape) cudaPartsWords() int {
	_, chunks := s.cudaChunk()
	return s.N * chunks * 2 * s.C
}

func ceil(a, b int) int { return (a + b - 1) / b }

// powerOf2 is the smallest power of 2 that is not below n >= 1.
func powerOf2(n int) int { return 1 << bits.Len(uint(n-1)) }
