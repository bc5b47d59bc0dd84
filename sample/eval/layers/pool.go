// Pooling: the maximum or the mean of windows of 3x3 pixels. Pixels outside the image do not count.

package layers

// window is a side of the windows.
const window = 3

// MaxPool writes the maxima of x to the channels of y from the first on, y of the size that the padding makes.
func MaxPool(y Maps, first int, x Maps, stride int, padding Padding) {
	pool(y, first, x, stride, padding, func(to, from []float32) {
		for k, v := range from {
			to[k] = max(to[k], v)
		}
	})
}

// MeanPool writes the means of the windows around the pixels of x, activated, to the channels of y from the first on.
func MeanPool(y Maps, first int, x Maps, f Activation) {
	pool(y, first, x, 1, Same, func(to, from []float32) {
		for k, v := range from {
			to[k] += v
		}
	})
	count := func(at, n int) int { return min(n, at+2) - max(0, at-1) }
	none := make([]float32, x.C)
	for i := range x.N {
		for r := range x.H {
			for c := range x.W {
				n := float32(count(r, x.H) * count(c, x.W))
				row := y.X[((i*x.H+r)*x.W+c)*y.C+first:][:x.C]
				for k := range row {
					row[k] /= n
				}
				f.apply(row, x.C, 1, none)
			}
		}
	}
}

// pool combines the pixels of each window, one after another.
func pool(y Maps, first int, x Maps, stride int, padding Padding, combine func(to, from []float32)) {
	_, top := padding.Out(x.H, window, stride)
	_, left := padding.Out(x.W, window, stride)
	for i := range y.N {
		for r := range y.H {
			for c := range y.W {
				to := y.X[((i*y.H+r)*y.W+c)*y.C+first:][:x.C]
				began := false
				for p := max(0, r*stride-top); p < min(x.H, r*stride-top+window); p++ {
					for q := max(0, c*stride-left); q < min(x.W, c*stride-left+window); q++ {
						from := x.X[((i*x.H+p)*x.W+q)*x.C:][:x.C]
						if began {
							combine(to, from)
						} else {
							copy(to, from)
							began = true
						}
					}
				}
			}
		}
	}
}
