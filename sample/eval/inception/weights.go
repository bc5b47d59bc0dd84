// The weights: the architecture, by the names that the file gives its tensors.

package inception

import (
	"sigmaz/sample/eval/layers"
)

// File names the file of the weights, and Source says who publishes it.
const (
	File   = "pt_inception-2015-12-05-6726825d.pth"
	Source = "the releases of pytorch-fid (github.com/mseitzer/pytorch-fid)"
)

// Open reads the weights.
func Open(path string) (n *Network, err error) {
	err = layers.Open(path, "FID's Inception network, "+File, func(get layers.Tensors) error {
		n, err = newNetwork(get)
		return err
	})
	return n, err
}

// builder reads the convolutions of a block.
type builder struct {
	*layers.Reader
	at string // the block's name, with a dot
}

// conv reads a convolution with a kernel of h x w.
func (b builder) conv(name string, in, out, h, w, stride int, padding layers.Padding) *layers.Conv {
	return b.with(name, layers.Shape{In: in, Out: out, Height: h, Width: w, Stride: stride, Padding: padding, Activation: layers.ReLU})
}

func (b builder) with(name string, s layers.Shape) *layers.Conv {
	return b.Conv(b.at+name+".conv", b.at+name+".bn", s)
}

// same reads a convolution that leaves the size as it is.
func (b builder) same(name string, in, out, h, w int) *layers.Conv {
	return b.conv(name, in, out, h, w, 1, layers.Same)
}

// one reads a 1x1 convolution.
func (b builder) one(name string, in, out int) *layers.Conv { return b.same(name, in, out, 1, 1) }

// half reads a 3x3 convolution with stride 2.
func (b builder) half(name string, in, out int) *layers.Conv {
	return b.conv(name, in, out, 3, 3, 2, layers.Valid)
}

// path is a branch of convolutions one behind the other.
func path(convs ...*layers.Conv) branch {
	return branch{chain: convs[:len(convs)-1], ends: convs[len(convs)-1:]}
}

// averaged is the branch that begins with the mean of windows; its convolution is activated behind it.
func (b builder) averaged(in, out int) branch {
	s := layers.Shape{In: in, Out: out, Height: 1, Width: 1, Stride: 1}
	return branch{pool: average, ends: []*layers.Conv{b.with("branch_pool", s)}}
}

// a is a block of pytorch-fid's FIDInceptionA.
func (b builder) a(in, pooled int) []branch {
	return []branch{
		path(b.one("branch1x1", in, 64)),
		path(b.one("branch5x5_1", in, 48), b.same("branch5x5_2", 48, 64, 5, 5)),
		path(b.one("branch3x3dbl_1", in, 64), b.same("branch3x3dbl_2", 64, 96, 3, 3), b.same("branch3x3dbl_3", 96, 96, 3, 3)),
		b.averaged(in, pooled),
	}
}

// b is one of InceptionB.
func (b builder) b(in int) []branch {
	return []branch{
		path(b.half("branch3x3", in, 384)),
		path(b.one("branch3x3dbl_1", in, 64), b.same("branch3x3dbl_2", 64, 96, 3, 3), b.half("branch3x3dbl_3", 96, 96)),
		{pool: halve},
	}
}

// c is one of FIDInceptionC.
func (b builder) c(in, mid int) []branch {
	return []branch{
		path(b.one("branch1x1", in, 192)),
		path(b.one("branch7x7_1", in, mid), b.same("branch7x7_2", mid, mid, 1, 7), b.same("branch7x7_3", mid, 192, 7, 1)),
		path(b.one("branch7x7dbl_1", in, mid), b.same("branch7x7dbl_2", mid, mid, 7, 1), b.same("branch7x7dbl_3", mid, mid, 1, 7),
			b.same("branch7x7dbl_4", mid, mid, 7, 1), b.same("branch7x7dbl_5", mid, 192, 1, 7)),
		b.averaged(in, 192),
	}
}

// d is one of InceptionD.
func (b builder) d(in int) []branch {
	return []branch{
		path(b.one("branch3x3_1", in, 192), b.half("branch3x3_2", 192, 320)),
		path(b.one("branch7x7x3_1", in, 192), b.same("branch7x7x3_2", 192, 192, 1, 7), b.same("branch7x7x3_3", 192, 192, 7, 1),
			b.half("branch7x7x3_4", 192, 192)),
		{pool: halve},
	}
}

// e is one of FIDInceptionE_1 and FIDInceptionE_2, which differ in the last branch.
func (b builder) e(in int, last branch) []branch {
	return []branch{
		path(b.one("branch1x1", in, 320)),
		{chain: []*layers.Conv{b.one("branch3x3_1", in, 384)},
			ends: []*layers.Conv{b.same("branch3x3_2a", 384, 384, 1, 3), b.same("branch3x3_2b", 384, 384, 3, 1)}},
		{chain: []*layers.Conv{b.one("branch3x3dbl_1", in, 448), b.same("branch3x3dbl_2", 448, 384, 3, 3)},
			ends: []*layers.Conv{b.same("branch3x3dbl_3a", 384, 384, 1, 3), b.same("branch3x3dbl_3b", 384, 384, 3, 1)}},
		last,
	}
}

// newNetwork builds the network.
func newNetwork(get layers.Tensors) (*Network, error) {
	r := &layers.Reader{Get: get}
	b := builder{Reader: r}
	n := &Network{stem: []*layers.Conv{
		b.half("Conv2d_1a_3x3", 3, 32),
		b.conv("Conv2d_2a_3x3", 32, 32, 3, 3, 1, layers.Valid),
		b.same("Conv2d_2b_3x3", 32, 64, 3, 3),
		b.one("Conv2d_3b_1x1", 64, 80),
		b.conv("Conv2d_4a_3x3", 80, 192, 3, 3, 1, layers.Valid),
	}}
	add := func(name string, branches func(b builder) []branch) {
		n.blocks = append(n.blocks, block{name, branches(builder{r, name + "."})})
	}
	add("Mixed_5b", func(b builder) []branch { return b.a(192, 32) })
	add("Mixed_5c", func(b builder) []branch { return b.a(256, 64) })
	add("Mixed_5d", func(b builder) []branch { return b.a(288, 64) })
	add("Mixed_6a", func(b builder) []branch { return b.b(288) })
	add("Mixed_6b", func(b builder) []branch { return b.c(768, 128) })
	add("Mixed_6c", func(b builder) []branch { return b.c(768, 160) })
	add("Mixed_6d", func(b builder) []branch { return b.c(768, 160) })
	add("Mixed_6e", func(b builder) []branch { return b.c(768, 192) })
	add("Mixed_7a", func(b builder) []branch { return b.d(768) })
	add("Mixed_7b", func(b builder) []branch { return b.e(1280, b.averaged(1280, 192)) })
	add("Mixed_7c", func(b builder) []branch {
		return b.e(2048, branch{pool: maximum, ends: []*layers.Conv{b.one("branch_pool", 2048, 192)}})
	})
	w := r.Values("fc.weight", Classes, Features)
	r.Values("fc.bias", Classes)
	if r.Err == nil {
		n.last.Pack(w, Features, Classes, Features)
	}
	return n, r.Err
}
