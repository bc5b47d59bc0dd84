//go:build cgo && !nocuda

// The grids that most kernels are launched with.

package kernels

import "math/bits"

// maxGrid is the largest second and third dimension of a grid.
const maxGrid = 65535

// flat is the launch of a kernel that gives four of n elements to each thread.
func flat(n int) (grid gridDim, block blockDim) {
	const threads = 256
	return gridDim{max(1, ceil(n, 4*threads)), 1, 1}, blockDim{threads, 1, 1}
}

// each is the launch of a kernel that gives one of n elements to each thread.
func each(n int) (grid gridDim, block blockDim) {
	const threads = 128
	return gridDim{max(1, ceil(n, threads)), 1, 1}, blockDim{threads, 1, 1}
}

// byRow is the launch of a kernel over rows of d elements: the first dimension is quads of elements, the second rows. A
// thread takes so many quads of a row.
func byRow(rows, d, quads int) (grid gridDim, block blockDim) {
	const threads = 128
	n := ceil(d, 4)
	across := min(threads, powerOf2(n))
	grid = gridDim{ceil(n, across*quads), min(maxGrid, ceil(rows, threads/across)), 1}
	return grid, blockDim{across, threads / across, 1}
}

// byPixel is the launch of a kernel that gives `wide` channels of a pixel to each thread; the second dimension is images.
func byPixel(images, words, wide int) (grid gridDim, block blockDim) {
	const threads = 256
	return gridDim{ceil(words/wide, threads), min(maxGrid, images), 1}, blockDim{threads, 1, 1}
}

// wide is the number of channels that a thread takes at once: 4 where the windows are aligned and the channels divide.
func wide(channels int, bufs ...Buf) int {
	if channels%4 == 0 && aligned(bufs...) {
		return 4
	}
	return 1
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

func ceil(a, b int) int { return (a + b - 1) / b }

// powerOf2 is the smallest power of 2 that is not below n >= 1.
func powerOf2(n int) int { return 1 << bits.Len(uint(n-1)) }
