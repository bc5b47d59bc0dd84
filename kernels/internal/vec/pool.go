// Pools of one image: the maximum over 5x5 windows, the mean of 2x2 squares, and their gradients.

package vec

import (
	"fmt"
	"math"
	"unsafe"
)

func checkImage(what string, h, w, c int, n ...int) {
	for _, m := range n {
		if h < 1 || w < 1 || c < 1 || m != h*w*c {
			panic(fmt.Sprintf("vec: %s: %d values for %dx%dx%d", what, m, h, w, c))
		}
	}
}

// poolRows is the number of rows that one assembly call handles, of one vector each.
const poolRows = 256

// vectors iterates over the vectors of an image row of size values.
type vectors struct {
	size, c int
	at      int // first value of the vector
	next    int
	masks   [6][lanes]int32 // lanes whose taps -2 to 2 lie in the row; lanes that have a value
	inner   bool            // the masks are those of a vector far from the row's ends
}

// more moves on to the next vector.
func (v *vectors) more() bool {
	v.at = v.next
	if v.at >= v.size {
		return false
	}
	vector := lanes
	if isa == avx2 {
		vector = lanes / 2
	}
	v.next += vector
	inner := v.at >= 2*v.c && v.next+2*v.c <= v.size
	if inner && v.inner {
		return true
	}
	v.inner = inner
	n := min(vector, v.size-v.at)
	for kw := range 5 { // lane i is value i + shift of the row
		shift := v.at + (kw-2)*v.c
		from, to := max(0, -shift), min(n, v.size-shift)
		v.masks[kw] = [lanes]int32{}
		if from < to {
			copy(v.masks[kw][from:to], laneMasks[:lanes])
		}
	}
	v.masks[5] = [lanes]int32(laneMasks[lanes-n:])
	return true
}

// MaxPool5 computes the maximum of a 5x5 window around each value, stride 1, as if x were surrounded by -infinity:
//
//	y[h,w,c] = max over kh, kw in 0..4 of x[h+kh-2, w+kw-2, c]
//
// and in index, which may be nil, the place kh*5+kw of the maximum: of the first one if there are several. A NaN is
// the maximum, the last one if there are several. (PyTorch's max_pool2d does the same.) y must not overlap x.
func MaxPool5(y []float32, index []uint32, x []float32, h, w, c int) {
	checkImage("MaxPool5", h, w, c, len(y), len(x))
	if index != nil {
		checkImage("MaxPool5: index", h, w, c, len(index))
	}
	if isa == plainGo {
		maxPool5Go(y, index, x, h, w, c)
		return
	}
	size, odd := w*c, 0
	for v := (vectors{size: size, c: c}); v.more(); {
		for from := 0; from < h; from += poolRows {
			to := min(h, from+poolRows)
			if index != nil {
				odd |= maxPool5IndexKernel(&y[v.at], &index[v.at], &x[v.at], &v.masks[0][0], h, from, to, 4*size, 4*c)
			} else {
				odd |= maxPool5Kernel(&y[v.at], nil, &x[v.at], &v.masks[0][0], h, from, to, 4*size, 4*c)
			}
		}
	}
	if odd != 0 { // a NaN, or a window of -infinity only
		maxPool5Go(y, index, x, h, w, c)
	}
}

// MaxPool5BackwardScratch returns the number of floats of scratch that MaxPool5Backward needs.
func MaxPool5BackwardScratch(w, c int) int { return 2 * (w*c + 4*c + lanes) }

// MaxPool5Backward computes the gradient of MaxPool5: it adds each dy to the dx at which index says the maximum was.
// dx is overwritten and must not overlap dy.
func MaxPool5Backward(dx, dy []float32, index []uint32, h, w, c int, scratch []float32) {
	checkImage("MaxPool5Backward", h, w, c, len(dx), len(dy), len(index))
	if isa == plainGo {
		maxPool5BackwardGo(dx, dy, index, h, w, c)
		return
	}
	checkLen("MaxPool5Backward: scratch", len(scratch), MaxPool5BackwardScratch(w, c))
	clear(scratch)
	size, half := w*c, len(scratch)/2
	sum, tap := scratch[2*c:half], scratch[half+2*c:] // two pixels of zeros on either side
	taps := unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(tap))), len(tap))
	for r := range h {
		// Row r is row u of the windows around row r-u+2.
		from, to := max(0, r+3-h), min(4, r+2)
		first := (r - from + 2) * size
		pieces(size, func(i, n int) {
			maxPool5RowKernel(&sum[i], &taps[i], &dy[first+i], &index[first+i], 4*size, from, to, n)
		})
		pieces(size, func(i, n int) { maxPool5TapsKernel(&dx[r*size+i], &sum[i], &taps[i], 4*c, n) })
	}
}

// MeanPool2 computes the mean of each 2x2 square: y (h/2, w/2, c) from x (h, w, c). h and w are even.
func MeanPool2(y, x []float32, h, w, c int) {
	checkMeanPool("MeanPool2", h, w, c, len(x), len(y))
	for i := range h / 2 {
		top, out := x[2*i*w*c:], y[i*(w/2)*c:]
		if isa == plainGo {
			meanPool2Go(out, top, w, c)
		} else {
			meanPool2Kernel(&out[0], &top[0], w/2, c, 4*w*c)
		}
	}
}

// MeanPool2Backward computes MeanPool2's input gradient dx (h, w, c) from dy (h/2, w/2, c).
func MeanPool2Backward(dx, dy []float32, h, w, c int) {
	checkMeanPool("MeanPool2Backward", h, w, c, len(dx), len(dy))
	for i := range h / 2 {
		top, in := dx[2*i*w*c:], dy[i*(w/2)*c:]
		if isa == plainGo {
			meanPool2BackwardGo(top, in, w, c)
		} else {
			meanPool2BackwardKernel(&top[0], &in[0], w/2, c, 4*w*c)
		}
	}
}

func checkMeanPool(what string, h, w, c, big, small int) {
	checkImage(what, h, w, c, big)
	if h%2 != 0 || w%2 != 0 || small != h/2*(w/2)*c {
		panic(fmt.Sprintf("vec: %s: %dx%dx%d to %d values", what, h, w, c, small))
	}
}

// In plain Go.

func maxPool5Go(y []float32, index []uint32, x []float32, h, w, c int) {
	for i := range h {
		for j := range w {
			for k := range c {
				best, at := float32(math.Inf(-1)), -1
				for kh := max(0, 2-i); kh < min(5, h+2-i); kh++ {
					for kw := max(0, 2-j); kw < min(5, w+2-j); kw++ {
						if v := x[((i+kh-2)*w+j+kw-2)*c+k]; at < 0 || v > best || v != v {
							best, at = v, kh*5+kw
						}
					}
				}
				y[(i*w+j)*c+k] = best
				if index != nil {
					index[(i*w+j)*c+k] = uint32(at)
				}
			}
		}
	}
}

func maxPool5BackwardGo(dx, dy []float32, index []uint32, h, w, c int) {
	clear(dx)
	for i := range h {
		for j := range w {
			for k := range c {
				from := (i*w+j)*c + k
				kh, kw := int(index[from]/5), int(index[from]%5)
				dx[((i+kh-2)*w+j+kw-2)*c+k] += dy[from]
			}
		}
	}
}

// meanPool2Go computes one row of y.
func meanPool2Go(y, x []float32, w, c int) {
	for j := range w / 2 {
		for k := range c {
			at := 2*j*c + k
			y[j*c+k] = 0.25 * ((x[at] + x[at+c]) + (x[at+w*c] + x[at+w*c+c]))
		}
	}
}

func meanPool2BackwardGo(dx, dy []float32, w, c int) {
	for j := range w / 2 {
		for k := range c {
			at, d := 2*j*c+k, 0.25*dy[j*c+k]
			dx[at], dx[at+c], dx[at+w*c], dx[at+w*c+c] = d, d, d, d
		}
	}
}
