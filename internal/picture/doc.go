// Package picture writes what people look at: grids of images, numbered PNG files, GIF films, and plots of points and
// score fields.
//
// Images are float32 in [0, 1], (N, H, W, C): row n holds H*W pixels of C values. Samples have values outside [0, 1];
// they are clamped for display and nowhere else. C = 1 is grey and C = 3 is RGB; with any other C the channels are
// shown in grey, side by side. Points are (n, 2), flat.
//
//	picture.go   images: Grid, Single, WritePNG, WriteImages; WriteFile replaces a file whole
//	gif.go       a film of an annealing
//	plot.go      points and score fields in the plane
//	matrix.go    vectors of any dimension: scatter plots of all pairs of columns
//
// Every file appears whole or not at all: it is written under a temporary name beside its place and renamed.
package picture
