//go:build cgo && !nocuda

// The grids that most kernels are launched with.

package kernels

import "math/bits"

// maxGrid is the largest second and third dimension of a grid.
const maxGrid = 65535

// flat returns the grid of a kernel whose threads take four of n elements each.
func flat(n int) (grid gridDim, block blockDim) {
	const threads = 256
	return gridDim{max(1, ceil(n, 4*threads)), 1, 1}, blockDim{threads, 1, 1}
}

// each returns the grid of a kernel whose threads take one of n elements each.
func each(n int) (grid gridDim, block blockDim) {
	const threads = 128
	return gridDim{max(1, ceil(n, threads)), 1, 1}, blockDim{threads, 1, 1}
}

// byRow returns the grid of a kernel over rows of d elements: the first dimension is quads (four elements), the second
// rows. A thread takes the given number of quads of a row.
func byRow(rows, d, quads int) (grid gridDim, block blockDim) {
	const threads = 128
	n := ceil(d, 4)
	across := min(threads, powerOf2(n))
	grid = gridDim{ceil(n, across*quads), min(maxGrid, ceil(rows, threads/across)), 1}
	return grid, blockDim{across, threads / across, 1}
}

// byPixel returns the grid of a kernel whose threads take `wide` channels of a pixel each; words is the size of an
// image, and the second dimension is images.
func byPixel(images, words, wide int) (grid gridDim, block blockDim) {
	const threads = 256
	return gridDim{ceil(words/wide, threads), min(maxGrid, images), 1}, blockDim{threads, 1, 1}
}

// wide returns the number of channels that a thread takes at once: 4 where the windows are aligned and 4 divides the
// channels, else 1.
func wide(channels int, bufs ...Buf) int {
	if channels%4 == 0 && aligned(bufs...) {
		return 4
	}
	return 1
}

// aligned says whether the CUDA kernels may read the windows 16 bytes at a time. An arena starts on a multiple of
// that.
func aligned(bufs ...Buf) bool {
	for _, b := range bufs {
		if b.Off%4 != 0 {
			return false
		}
	}
	return true
}

// ceil returns a/b rounded up.
func ceil(a, b int) int { return (a + b - 1) / b }

// powerOf2 returns the smallest power of 2 that is not below n >= 1.
func powerOf2(n int) int { return 1 << bits.Len(uint(n-1)) }
