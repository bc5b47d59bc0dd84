//go:build cgo && !nocuda

// How the CUDA kernels of a convolution share out their work: tiles of the result, parts of a long sum.

package kernels

// cudaTile is a block's share of a matrix product: rows x cols values, computed by a number of threads. The tiles
// that end in n (kernels _any) work on all windows and channels; the others read 16 bytes at a time.
type cudaTile struct {
	name                string
	rows, cols, threads int
}

var (
	tile128x128 = cudaTile{"128x128", 128, 128, 128}
	tile128x64  = cudaTile{"128x64", 128, 64, 128}
	tile64x64   = cudaTile{"64x64", 64, 64, 128}
	tile128x32  = cudaTile{"128x32", 128, 32, 128}
	tile32x32   = cudaTile{"32x32", 32, 32, 64}
	tile64x64n  = cudaTile{"64x64_any", 64, 64, 128}
	tile32x32n  = cudaTile{"32x32_any", 32, 32, 64}
)

func (t cudaTile) blocks(rows, cols int) int { return ceil(rows, t.rows) * ceil(cols, t.cols) }

// manyBlocks is about the number of blocks that occupies a large device.
const manyBlocks = 128

// cudaTileOf picks the tile of a convolution by the pixels and channels that it writes: the largest tile that leaves
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

// cudaSplit tells how the sum over the pixels of a weight gradient is cut.
type cudaSplit struct {
	tile  cudaTile
	parts int
	part  int // pixels of a part, the last one excepted
	words int // of the results of a part
}

// cudaSplit cuts the sum into as many parts as occupy a large device, each of 256 pixels at least. It does not look
// at the device at hand, so that the sum has the same bits on every one.
func (o ConvGradWeight) cudaSplit() cudaSplit {
	if o.OnTensorCores() {
		return o.tensorSplit()
	}
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
	each := t.threads
	if t == tile128x128 {
		each = 256 // what it had when the rule was made: parts decide bits
	}
	s.parts = max(1, min(ceil(threads, each*t.blocks(o.Cout, columns)), pixels/shortest))
	s.part = 16 * ceil(ceil(pixels, s.parts), 16)
	s.parts = ceil(pixels, s.part)
	s.words = 4 * ceil(o.DWeight.N+o.DBias.N, 4)
	return s
}
