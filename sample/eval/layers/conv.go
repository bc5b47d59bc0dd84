// A convolution as products of patches with the weights,
//
//	y[i, r, c, o] = f(bias[o] + sum over u, v, k of w[o, u, v, k] x[i, s r + u - top, s c + v - left, k])
//
// x is 0 outside the image, f the activation. Patches are laid out for some outputs at a time, so that they stay in the
// cache; the pixels of a 1x1 convolution with stride 1 are its patches where they lie.

package layers

import (
	"math"

	"sigmaz/kernels"
)

// Maps are n images or what layers made of them, (N, H, W, C).
type Maps struct {
	N, H, W, C int
	X          []float32
}

// NewMaps returns maps of zeros.
func NewMaps(n, h, w, c int) Maps { return Maps{n, h, w, c, make([]float32, n*h*w*c)} }

// Means returns the means of the maps over their pixels, (N, C).
func (m Maps) Means() []float32 {
	out := make([]float32, m.N*m.C)
	pixels := m.H * m.W
	for i := range m.N {
		f := out[i*m.C : (i+1)*m.C]
		for p := range pixels {
			for c, v := range m.X[(i*pixels+p)*m.C : (i*pixels+p+1)*m.C] {
				f[c] += v
			}
		}
		for c := range f {
			f[c] /= float32(pixels)
		}
	}
	return out
}

// Padding says where patches may begin.
type Padding int

const (
	// Same pads with zeros as TensorFlow does: with n pixels, kernel k and stride s there are m = ceil(n/s) outputs and
	// max(0, (m-1)s + k - n) zeros in all, the odd one of them behind the image.
	Same Padding = iota
	// Valid takes patches inside the image alone.
	Valid
)

// Out returns the outputs of a side of n pixels and the zeros before it.
func (p Padding) Out(n, kernel, stride int) (out, before int) {
	if p == Valid {
		return max(0, (n-kernel)/stride+1), 0
	}
	out = (n + stride - 1) / stride
	return out, max(0, (out-1)*stride+kernel-n) / 2
}

// Activation is what a layer's outputs go through.
type Activation int

// The activations.
const (
	Linear Activation = iota
	ReLU
	ReLU6
)

// apply adds the bias to values of some pixels, whose rows lie stride apart, and applies the activation.
func (a Activation) apply(x []float32, stride, rows int, bias []float32) {
	for r := range rows {
		row := x[r*stride:][:len(bias)]
		switch a {
		case ReLU:
			for k, b := range bias {
				bits := math.Float32bits(row[k] + b)
				row[k] = math.Float32frombits(bits &^ uint32(int32(bits)>>31)) // 0 where the sign is set, without a branch
			}
		case ReLU6:
			for k, b := range bias {
				row[k] = min(6, max(0, row[k]+b))
			}
		default:
			for k, b := range bias {
				row[k] += b
			}
		}
	}
}

// Shape is that of a convolution. A linear layer is one of 1x1 pixel.
type Shape struct {
	In, Out       int
	Height, Width int // of the kernel
	Stride        int
	Padding       Padding
	Activation    Activation
}

// OutSize returns the size of the outputs for maps of height h and width w.
func (s Shape) OutSize(h, w int) (int, int) {
	oh, _ := s.Padding.Out(h, s.Height, s.Stride)
	ow, _ := s.Padding.Out(w, s.Width, s.Stride)
	return oh, ow
}

// MACs counts the multiply-adds for an image of height h and width w.
func (s Shape) MACs(h, w int) int64 {
	h, w = s.OutSize(h, w)
	return int64(h*w) * int64(s.patch()) * int64(s.Out)
}

// patch counts the values of a patch.
func (s Shape) patch() int { return s.Height * s.Width * s.In }

// Conv is a convolution with its weights. Several goroutines may use it at the same time.
type Conv struct {
	Shape
	w    kernels.Packed
	bias []float32
}

// NewConv makes a convolution of weights (out, height, width, in) and biases.
func NewConv(s Shape, w, bias []float32) *Conv {
	c := &Conv{Shape: s, bias: bias}
	c.w.Pack(w, s.patch(), s.Out, s.patch())
	return c
}

// Apply returns the convolution of maps.
func (c *Conv) Apply(x Maps) Maps {
	h, w := c.OutSize(x.H, x.W)
	y := NewMaps(x.N, h, w, c.Out)
	c.Into(y, 0, x)
	return y
}

// tileValues is how many values of patches are laid out at a time: 256 KiB.
const tileValues = 1 << 16

// Into writes the convolution of x to the channels of y from the first on; y has the size that [Shape.OutSize] says.
func (c *Conv) Into(y Maps, first int, x Maps) {
	k := c.patch()
	stride := kernels.RowStride(k)
	rows := y.N * y.H * y.W
	tile := min(rows, max(16, tileValues/stride))
	direct := c.Height == 1 && c.Width == 1 && c.Stride == 1 && stride == x.C
	var patches []float32
	if !direct {
		patches = make([]float32, tile*stride)
	}
	for lo := 0; lo < rows; lo += tile {
		n := min(tile, rows-lo)
		a := patches
		if direct {
			a = x.X[lo*x.C:]
		} else {
			c.patches(patches, stride, x, lo, n, y.H, y.W)
		}
		to := y.X[lo*y.C+first:]
		c.w.MatMulT(to, y.C, a, stride, n)
		c.Activation.apply(to, y.C, n, c.bias)
	}
}

// patches lays out the patches of n outputs of height h and width w from the first on, stride apart.
func (c *Conv) patches(to []float32, stride int, x Maps, first, n, h, w int) {
	_, top := c.Padding.Out(x.H, c.Height, c.Stride)
	_, left := c.Padding.Out(x.W, c.Width, c.Stride)
	line := c.Width * x.C
	for t := range n {
		at := first + t
		i, r, q := at/(h*w), at/w%h*c.Stride-top, at%w*c.Stride-left
		from, until := max(0, -q), min(c.Width, x.W-q) // the part inside the image
		for u := range c.Height {
			dst := to[t*stride+u*line:][:line]
			if p := r + u; p < 0 || p >= x.H {
				clear(dst)
			} else {
				clear(dst[:from*x.C])
				copy(dst[from*x.C:until*x.C], x.X[((i*x.H+p)*x.W+q+from)*x.C:])
				clear(dst[until*x.C:])
			}
		}
	}
}
