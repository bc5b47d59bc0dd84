//go:build cgo && !nocuda

// How the kernels of conv_tensor.cu share out their work.

package kernels

// The tiles of tensor cores: a block of four warps computes rows x cols values.
var (
	tile128x128tf32 = cudaTile{"128x128_tf32", 128, 128, 128}
	tile128x64tf32  = cudaTile{"128x64_tf32", 128, 64, 128}
	tile64x64tf32   = cudaTile{"64x64_tf32", 64, 64, 128}
	tile128x32tf32  = cudaTile{"128x32_tf32", 128, 32, 128} // not for gradients of weights
	tile32x128tf32  = cudaTile{"32x128_tf32", 32, 128, 128} // for these alone
)

// tensorTileOf picks the tile of a convolution by the pixels and channels that it writes, as cudaTileOf does.
func tensorTileOf(pixels, channels int) cudaTile {
	switch {
	case channels > 64 && tile128x128tf32.blocks(pixels, channels) >= manyBlocks:
		return tile128x128tf32
	case channels > 32 && tile128x64tf32.blocks(pixels, channels) >= manyBlocks:
		return tile128x64tf32
	case channels > 32:
		return tile64x64tf32
	}
	return tile128x32tf32
}

// tensorSplit cuts the sum of a weight gradient on tensor cores into as many parts as fill a large device once, each of
// 256 pixels at least. As everywhere, the device at hand is not looked at.
func (o ConvGradWeight) tensorSplit() cudaSplit {
	const shortest, blocks = 256, 2 * 132 // two a multiprocessor
	t := tile32x128tf32
	switch {
	case o.Cout > 64:
		t = tile128x128tf32
	case o.Cout > 32:
		t = tile64x64tf32
	}
	pixels := o.N * o.H * o.W
	s := cudaSplit{tile: t}
	s.parts = max(1, min(blocks/t.blocks(o.Cout, o.K*o.K*o.Cin), pixels/shortest))
	s.part = 16 * ceil(ceil(pixels, s.parts), 16)
	s.parts = ceil(pixels, s.part)
	s.words = 4 * ceil(o.DWeight.N+o.DBias.N, 4)
	return s
}
