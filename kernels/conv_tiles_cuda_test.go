//go:build cgo && !nocuda

package kernels

import (
	"fmt"
	"hash/fnv"
	"testing"
)

// step128 is the convolutions of a training step that sets the pace: NCSNv2 with ngf 128 on 32x32 pixels, batch 128.
var step128 = []ConvShape{
	{N: 128, H: 16, W: 16, Cin: 256, Cout: 256, K: 3, Dilation: 1}, // 42 of them
	{N: 128, H: 32, W: 32, Cin: 128, Cout: 128, K: 3, Dilation: 1}, // 18
	{N: 128, H: 16, W: 16, Cin: 128, Cout: 128, K: 3, Dilation: 1}, // 9
	{N: 128, H: 32, W: 32, Cin: 128, Cout: 256, K: 3, Dilation: 1},
	{N: 128, H: 16, W: 16, Cin: 256, Cout: 128, K: 3, Dilation: 1}, // 2
	{N: 128, H: 32, W: 32, Cin: 128, Cout: 256, K: 1, Dilation: 1},
	{N: 128, H: 32, W: 32, Cin: 3, Cout: 128, K: 3, Dilation: 1},
	{N: 128, H: 32, W: 32, Cin: 128, Cout: 3, K: 3, Dilation: 1},
}

// gradWeightOf is the gradient of the weights and biases of a convolution, cut for a number of multiprocessors.
func gradWeightOf(s ConvShape, multiprocessors int) ConvGradWeight {
	return ConvGradWeight{ConvShape: s, DWeight: Buf{N: s.Cout * s.K * s.K * s.Cin}, DBias: Buf{N: s.Cout},
		Multiprocessors: multiprocessors}
}

// How a sum is cut decides its bits: a run that recorded its multiprocessors, and one that recorded none, must find the
// same cut in every version.
func TestCutsStay(t *testing.T) {
	small := ConvShape{N: 128, H: 4, W: 4, Cin: 512, Cout: 512, K: 3, Dilation: 2}
	large := ConvShape{N: 16, H: 256, W: 256, Cin: 128, Cout: 128, K: 3, Dilation: 1}
	wants := map[int][]string{
		0: {"8x4096", "29x4528", "29x1136", "15x8752", "15x2192",
			"128x1024", "256x512", "29x4528", "2x1024", "29x36160"},
		4: {"2x16384", "8x16384", "8x4096", "4x32768", "4x8192",
			"4x32768", "4x32768", "1x131072", "1x2048", "8x131072"},
		108: {"6x5472", "24x5472", "24x1376", "12x10928", "12x2736",
			"108x1216", "108x1216", "12x10928", "3x688", "24x43696"},
		132: {"22x1504", "29x4528", "29x1136", "44x2992", "29x1136",
			"131x1008", "164x800", "55x2384", "4x512", "88x11920"},
	}
	for multiprocessors, want := range wants {
		for i, s := range append(step128[:len(step128):len(step128)], small, large) {
			cut := gradWeightOf(s, multiprocessors).cudaSplit()
			if got := fmt.Sprintf("%dx%d", cut.parts, cut.part); got != want[i] {
				t.Errorf("%+v for %d multiprocessors: parts and pixels of a part are %s, expected %s",
					s, multiprocessors, got, want[i])
			}
		}
	}
}

// The same for thousands of shapes, as a sum over what their cuts are.
func TestAllCutsStay(t *testing.T) {
	for multiprocessors, want := range map[int]uint64{0: 0xf2fc2e5e2abce1e3, 4: 0xf0a3187b48a7efdf,
		108: 0x74541abc002bffc1, 132: 0xf5206e3c677fc892} {
		h := fnv.New64a()
		for n := 1; n < 200; n += 33 {
			for _, side := range []int{1, 4, 7, 16, 32} {
				for _, cin := range []int{1, 3, 4, 32, 36, 64, 68, 128, 256} {
					for _, cout := range []int{1, 3, 4, 32, 36, 64, 68, 128, 256} {
						for _, k := range []int{1, 3} {
							s := ConvShape{N: n, H: side, W: side, Cin: cin, Cout: cout, K: k, Dilation: 1}
							for off := range 2 { // aligned or not
								for _, precision := range []Precision{Float32, TF32} {
									o := gradWeightOf(s, multiprocessors)
									o.X.Off, o.Precision = off, precision
									cut := o.cudaSplit()
									fmt.Fprintln(h, cut.parts, cut.part)
								}
							}
						}
					}
				}
			}
		}
		if got := h.Sum64(); got != want {
			t.Errorf("the cuts for %d multiprocessors have hash %#x, expected %#x", multiprocessors, got, want)
		}
	}
}

// A weight gradient takes the busiest multiprocessor at most a fifteenth longer than work that is shared out evenly
// would. By the rule of runs that recorded no number it took twice as long.
func TestWorkIsSharedOut(t *testing.T) {
	took := func(s ConvShape, named, multiprocessors int) float64 {
		cut, columns := gradWeightOf(s, named).cudaSplit(), s.K*s.K*s.Cin
		busiest := cut.tile.time(cut.tile.blocks(s.Cout, columns)*cut.parts, multiprocessors) * cut.part
		even := float64(s.N*s.H*s.W*s.Cout*columns*cut.tile.cost) / float64(multiprocessors)
		return float64(busiest) / even
	}
	for _, multiprocessors := range []int{108, 132} {
		for _, s := range step128[:6] { // the others are narrower than any tile
			if r := took(s, multiprocessors, multiprocessors); r > 16./15 {
				t.Errorf("%+v on %d multiprocessors takes %.3f times as long as work shared out evenly", s, multiprocessors, r)
			}
		}
	}
	if r := took(step128[0], 0, 132); r < 1.8 {
		t.Errorf("by the rule of runs that recorded no number it takes %.3f times as long, expected about 2", r)
	}
}

// Small convolutions get small tiles, so that every multiprocessor has one, and no tile is much wider than the
// channels.
func TestTileOf(t *testing.T) {
	for _, c := range []struct {
		multiprocessors, pixels, channels int
		tiles                             []cudaTile
		want                              cudaTile
	}{
		{132, 1, 128, wideTiles, tile32x32},
		{132, 1024, 128, wideTiles, tile32x32},
		{132, 128 * 1024, 128, wideTiles, tile128x128},
		{132, 128 * 1024, 64, wideTiles, tile128x64},
		{132, 128 * 1024, 32, wideTiles, tile128x32},
		{132, 128 * 1024, 3, wideTiles, tile128x32},
		{4, 8 * 256, 128, wideTiles, tile128x128},
		{132, 8 * 256, 128, wideTiles, tile32x32},
		{132, 128 * 1024, 128, anyTiles, tile64x64n},
		{132, 128 * 1024, 32, anyTiles, tile32x32n},
		{132, 128 * 256, 256, tensorTiles[Words], tile128x128tf32},
		{132, 128 * 256, 128, tensorTiles[Words], tile128x128tf32},
		{132, 128 * 256, 64, tensorTiles[Words], tile128x64tf32},
		{132, 128 * 256, 32, tensorTiles[Words], tile128x32tf32},
		{132, 1024, 128, tensorTiles[Words], tile64x64tf32},
		{4, 1024, 128, tensorTiles[Words], tile128x128tf32},
	} {
		if got := tileOf(c.tiles, c.multiprocessors, c.pixels, c.channels); got != c.want {
			t.Errorf("%d pixels, %d channels on %d multiprocessors: tile %s, expected %s",
				c.pixels, c.channels, c.multiprocessors, got.name, c.want.name)
		}
	}
}
