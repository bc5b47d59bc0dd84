// The choice of a generated convolution kernel, by instruction set and size.

package vec

func convTile(rows, panels int, args *tileArgs) {
	switch {
	case isa == avx2:
		convTileAVX2x1(rows, args)
	case panels == 2:
		convTileAVX512x2(rows, args)
	default:
		convTileAVX512x1(rows, args)
	}
}

func convGrad(rows, panels int, args *gradArgs) {
	switch {
	case isa == avx2:
		convGradAVX2x1(rows, args)
	case panels == 2:
		convGradAVX512x2(rows, args)
	default:
		convGradAVX512x1(rows, args)
	}
}
