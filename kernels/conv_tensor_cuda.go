//go:build cgo && !nocuda

// The tiles of the kernels of conv_tensor.cu, which conv_tiles_cuda.go chooses from.

package kernels

// The tiles of tensor cores: a block of four warps computes rows x cols values.
//
// A multiprocessor's tensor cores do 512 multiply-adds a cycle, and its shared memory gives or takes 32 words
// [estimated]. A term of a tile is written to shared memory once, and read by the warps: of 64 x 64 values each in
// tile 128x128, 64 x 32 in 128x64, 32 x 32 in the others. What takes longer is the cost.
var (
	tile128x128tf32 = cudaTile{"128x128_tf32", 128, 128, 128, 2, 25}
	tile128x64tf32  = cudaTile{"128x64_tf32", 128, 64, 128, 3, 28}
	tile64x64tf32   = cudaTile{"64x64_tf32", 64, 64, 128, 4, 38}
	tile128x32tf32  = cudaTile{"128x32_tf32", 128, 32, 128, 4, 41} // not for gradients of weights
	tile32x128tf32  = cudaTile{"32x128_tf32", 32, 128, 128, 4, 41} // for these alone
)

// Of bf16 they do twice the multiply-adds a cycle, and read half the words.
var (
	tile128x128bf16 = cudaTile{"bf16_128x128", 128, 128, 128, 2, 13}
	tile128x64bf16  = cudaTile{"bf16_128x64", 128, 64, 128, 3, 14}
	tile64x64bf16   = cudaTile{"bf16_64x64", 64, 64, 128, 4, 19}
	tile128x32bf16  = cudaTile{"bf16_128x32", 128, 32, 128, 4, 21} // not for gradients of weights
	tile32x128bf16  = cudaTile{"bf16_32x128", 32, 128, 128, 4, 21} // for these alone
)

// The tiles to choose from, the largest first, by what the operands hold.
var (
	tensorTiles = map[Element][]cudaTile{
		Words:    {tile128x128tf32, tile128x64tf32, tile64x64tf32, tile128x32tf32},
		BFloat16: {tile128x128bf16, tile128x64bf16, tile64x64bf16, tile128x32bf16},
	}
	tensorWeightTiles = map[Element][]cudaTile{
		Words:    {tile128x128tf32, tile64x64tf32, tile32x128tf32},
		BFloat16: {tile128x128bf16, tile64x64bf16, tile32x128bf16},
	}
)
