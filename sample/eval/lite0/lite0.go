// The forward pass, in NHWC. Convolutions pad with zeros as TensorFlow's "same" does. Depthwise ones are plain loops.

package lite0

import (
	"fmt"

	"sigmaz/sample/eval"
	"sigmaz/sample/eval/layers"
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
	rows, columns := layers.Triangle(h, toH), layers.Triangle(width, toW)
	err := w.Run((count+batch-1)/batch, func(task int) {
		lo, hi := task*batch, min(count, (task+1)*batch)
		x := layers.NewMaps(hi-lo, toH, toW, 3)
		for i := lo; i < hi; i++ {
			layers.Resize(x.X[(i-lo)*toH*toW*3:], images[i*size:(i+1)*size], c, rows, columns, &values, scaled)
		}
		copy(out.X[lo*Features:hi*Features], n.forward(x))
	})
	return out, err
}

// values are what bytes stand for; scaled brings them to where the network expects them.
var values = func() (v [256]float32) {
	for i := range v {
		v[i] = float32(i)
	}
	return v
}()

func scaled(v float32) float32 { return (v - 127) / 128 }

// forward returns the features of images.
func (n *Network) forward(x layers.Maps) []float32 {
	x = n.stem.Apply(x)
	for i := range n.blocks {
		b := &n.blocks[i]
		y := x
		if b.expand != nil {
			y = b.expand.Apply(x)
		}
		y = b.project.Apply(b.deep.apply(y))
		if b.skip {
			for k, v := range x.X {
				y.X[k] += v
			}
		}
		x = y
	}
	return n.head.Apply(x).Means()
}

// depthwise is a convolution of each channel with its own filter, and ReLU6.
type depthwise struct {
	channels, kernel, stride int
	w                        []float32 // (kernel, kernel, channels)
	bias                     []float32
}

func (d *depthwise) apply(x layers.Maps) layers.Maps {
	oh, top := layers.Same.Out(x.H, d.kernel, d.stride)
	ow, left := layers.Same.Out(x.W, d.kernel, d.stride)
	n := d.channels
	y := layers.NewMaps(x.N, oh, ow, n)
	for i := range x.N {
		for r := range oh {
			for c := range ow {
				to := y.X[((i*oh+r)*ow+c)*n:][:n]
				copy(to, d.bias)
				for u := range d.kernel {
					p := d.stride*r + u - top
					if p < 0 || p >= x.H {
						continue
					}
					for v := range d.kernel {
						q := d.stride*c + v - left
						if q < 0 || q >= x.W {
							continue
						}
						from := x.X[((i*x.H+p)*x.W+q)*n:][:n]
						filter := d.w[(u*d.kernel+v)*n:][:n]
						for k := range to {
							to[k] += from[k] * filter[k]
						}
					}
				}
				for k, v := range to {
					to[k] = min(6, max(0, v))
				}
			}
		}
	}
	return y
}
