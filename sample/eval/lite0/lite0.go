// The forward pass, in NHWC. Convolutions pad with zeros as TensorFlow's "same" does: with n pixels, kernel k and stride s
// there are m = ceil(n/s) outputs, max(0, (m-1)s + k - n) zeros in all, and the odd one of them is behind the image.
//
// 1x1 convolutions are matrix products; the first convolution is one of its patches. Depthwise ones are plain loops.

package lite0

import (
	"fmt"

	"sigmaz/sample/eval"
)

// Sides between which images are scaled, the longer side: smaller ones would have next to no pixels at the end of the
// network, larger ones are larger than what it was trained on.
const (
	leastSide = 64
	mostSide  = 224
)

// InputSize returns the height and width that images are scaled to.
func InputSize(h, w int) (int, int) {
	longer := max(h, w)
	to := min(mostSide, max(leastSide, longer))
	side := func(n int) int { return max(1, (2*n*to+longer)/(2*longer)) }
	return side(h), side(w)
}

// MACs counts the multiply-adds for an image of height h and width w, before scaling.
func MACs(h, w int) int64 {
	h, w = InputSize(h, w)
	h, w = (h+1)/2, (w+1)/2
	total := int64(h*w) * 27 * stem
	for _, s := range stages {
		in, stride := s.in, s.stride
		for range s.repeats {
			wide := in * s.expand
			if s.expand > 1 {
				total += int64(h*w) * int64(in*wide)
			}
			h, w = (h+stride-1)/stride, (w+stride-1)/stride
			total += int64(h*w) * int64(wide*s.kernel*s.kernel+wide*s.out)
			in, stride = s.out, 1
		}
	}
	return total + int64(h*w)*int64(stages[len(stages)-1].out)*Features
}

// Run computes the features of images (n, h, w, c), values from 0 to 255, of 1 or 3 channels; grey is taken for all three.
func (n *Network) Run(w eval.Workers, images []byte, h, width, c int) (eval.Rows, error) {
	size := h * width * c
	if c != 1 && c != 3 || size == 0 || len(images)%size != 0 {
		return eval.Rows{}, fmt.Errorf("lite0: expected images of 1 or 3 channels, found %d values of %dx%dx%d", len(images), h, width, c)
	}
	count := len(images) / size
	toH, toW := InputSize(h, width)
	// Several images make matrices of a size at which products are fast.
	batch := max(1, 16*leastSide*leastSide/(toH*toW))
	out := eval.Rows{N: count, D: Features, X: make([]float32, count*Features)}
	rows, columns := newResampler(h, toH), newResampler(width, toW)
	err := w.Run((count+batch-1)/batch, func(task int) {
		lo, hi := task*batch, min(count, (task+1)*batch)
		x := make([]float32, 0, (hi-lo)*toH*toW*3)
		for i := lo; i < hi; i++ {
			x = append(x, prepare(images[i*size:(i+1)*size], c, rows, columns)...)
		}
		n.forward(out.X[lo*Features:hi*Features], x, hi-lo, toH, toW)
	})
	return out, err
}

// prepare scales an image and brings its values to (v - 127)/128.
func prepare(image []byte, c int, rows, columns *resampler) []float32 {
	across := make([]float32, rows.from*columns.to*c)
	line := make([]float32, columns.from*c)
	for i := range rows.from {
		for k, b := range image[i*columns.from*c : (i+1)*columns.from*c] {
			line[k] = float32(b)
		}
		columns.apply(across[i*columns.to*c:(i+1)*columns.to*c], line, c)
	}
	x := make([]float32, rows.to*columns.to*c)
	rows.apply(x, across, columns.to*c)
	out := make([]float32, 0, rows.to*columns.to*3)
	for p := range rows.to * columns.to {
		for k := range 3 {
			v := x[p*c+k%c]
			out = append(out, (v-127)/128)
		}
	}
	return out
}

// resampler scales a line of pixels with a triangle filter, whose width is a pixel of the smaller of both sizes: bilinear
// where it enlarges, the mean of neighbours where it makes smaller. (Pillow's BILINEAR; pixels are at half numbers.)
type resampler struct {
	from, to int
	first    []int
	weights  [][]float32
}

func newResampler(from, to int) *resampler {
	r := &resampler{from: from, to: to}
	scale := float64(from) / float64(to)
	support := max(1, scale)
	for i := range to {
		centre := (float64(i) + 0.5) * scale
		first, last := max(0, int(centre-support+0.5)), min(from, int(centre+support+0.5))
		weights, sum := make([]float64, last-first), 0.0
		for k := range weights {
			d := (float64(first+k) + 0.5 - centre) / support
			weights[k] = max(0, 1-max(d, -d))
			sum += weights[k]
		}
		w := make([]float32, len(weights))
		for k, v := range weights {
			w[k] = float32(v / sum)
		}
		r.first, r.weights = append(r.first, first), append(r.weights, w)
	}
	return r
}

// apply scales a line of pixels of size values each.
func (r *resampler) apply(dst, src []float32, size int) {
	for i, weights := range r.weights {
		to := dst[i*size : (i+1)*size]
		clear(to)
		for k, w := range weights {
			for c, v := range src[(r.first[i]+k)*size : (r.first[i]+k+1)*size] {
				to[c] += w * v
			}
		}
	}
}

// forward writes the features of n images x (n, h, w, 3).
func (n *Network) forward(dst, x []float32, count, h, w int) {
	patches, h, w := patchesOf(x, count, h, w)
	x = n.stem.apply(patches, count*h*w)
	relu6(x)
	for i := range n.blocks {
		b := &n.blocks[i]
		y := x
		if b.expand != nil {
			y = b.expand.apply(x, count*h*w)
			relu6(y)
		}
		y, oh, ow := b.deep.apply(y, count, h, w)
		relu6(y)
		y = b.project.apply(y, count*oh*ow)
		if b.skip {
			for k, v := range x {
				y[k] += v
			}
		}
		x, h, w = y, oh, ow
	}
	x = n.head.apply(x, count*h*w)
	relu6(x)
	clear(dst)
	for i := range count {
		f := dst[i*Features : (i+1)*Features]
		for p := range h * w {
			for c, v := range x[(i*h*w+p)*Features : (i*h*w+p+1)*Features] {
				f[c] += v
			}
		}
		for c := range f {
			f[c] /= float32(h * w)
		}
	}
}

func relu6(x []float32) {
	for i, v := range x {
		x[i] = min(6, max(0, v))
	}
}

// apply returns x w^T + bias of some rows.
func (d *dense) apply(x []float32, rows int) []float32 {
	y := make([]float32, rows*d.out)
	d.w.MatMulT(y, d.out, x, d.in, rows)
	for i := range rows {
		for c, b := range d.bias {
			y[i*d.out+c] += b
		}
	}
	return y
}

// same returns the outputs of a side of n pixels and the zeros before it.
func same(n, kernel, stride int) (out, before int) {
	out = (n + stride - 1) / stride
	return out, max(0, (out-1)*stride+kernel-n) / 2
}

// patchesOf returns the patches (3, 3, 3) of the first convolution, stride 2.
func patchesOf(x []float32, count, h, w int) (patches []float32, oh, ow int) {
	oh, top := same(h, 3, 2)
	ow, left := same(w, 3, 2)
	patches = make([]float32, count*oh*ow*27)
	for i := range count {
		for r := range oh {
			for c := range ow {
				to := patches[((i*oh+r)*ow+c)*27:][:27]
				for u := range 3 {
					for v := range 3 {
						if p, q := 2*r+u-top, 2*c+v-left; p >= 0 && p < h && q >= 0 && q < w {
							copy(to[(u*3+v)*3:][:3], x[((i*h+p)*w+q)*3:])
						}
					}
				}
			}
		}
	}
	return patches, oh, ow
}

// apply returns the convolution of images (count, h, w, channels).
func (d *depthwise) apply(x []float32, count, h, w int) (y []float32, oh, ow int) {
	oh, top := same(h, d.kernel, d.stride)
	ow, left := same(w, d.kernel, d.stride)
	n := d.channels
	y = make([]float32, count*oh*ow*n)
	for i := range count {
		for r := range oh {
			for c := range ow {
				to := y[((i*oh+r)*ow+c)*n:][:n]
				copy(to, d.bias)
				for u := range d.kernel {
					p := d.stride*r + u - top
					if p < 0 || p >= h {
						continue
					}
					for v := range d.kernel {
						q := d.stride*c + v - left
						if q < 0 || q >= w {
							continue
						}
						from := x[((i*h+p)*w+q)*n:][:n]
						filter := d.w[(u*d.kernel+v)*n:][:n]
						for k := range to {
							to[k] += from[k] * filter[k]
						}
					}
				}
			}
		}
	}
	return y, oh, ow
}
