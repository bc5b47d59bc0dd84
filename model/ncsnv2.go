// NCSNv2 (Song and Ermon 2020): a RefineNet on a dilated ResNet that maps x~ to the score divided out by sigma,
//
//	s(x~, sigma) = f(2 x~ - 1) / sigma
//
// so f predicts minus the noise z and never sees sigma. n = ngf channels at full size, 2n at half; names are PyTorch's:
//
//	begin_conv            C -> n                      full size
//	res1.0, res1.1        n -> n                      full
//	res2.0, res2.1        n -> 2n, mean pooled        half
//	res3.0, res3.1        2n, dilation 2              half
//	res4.0, res4.1        2n, dilation 4              half
//	refine1               res4                -> 2n   half
//	refine2               res3, refine1       -> 2n   half
//	refine3               res2, refine2       -> n    half
//	refine4               res1, refine3       -> n    full
//	normalizer, ELU, end_conv  n -> C                 full
package model

import (
	"fmt"

	"gorgonia.org/gorgonia"
)

func validateNCSNv2(c Config) error {
	switch {
	case c.NGF < 2:
		return fmt.Errorf("ngf is %d: network ncsnv2 needs at least 2 channels for its norms", c.NGF)
	case c.Height%2 != 0 || c.Width%2 != 0:
		return fmt.Errorf("the images are %d x %d (height x width): network ncsnv2 halves both, so both must be even", c.Height, c.Width)
	}
	return nil
}

// resBlock is a pre-activation residual block: shortcut(x) + conv2(elu(norm2(conv1(elu(norm1(x)))))).
type resBlock struct {
	path     string
	in, out  int
	down     bool
	dilation int // 1: none
}

// pooled says whether the block halves the image: "down" with dilation keeps the size.
func (r resBlock) pooled() bool { return r.down && r.dilation == 1 }

// mid is the number of channels between the convolutions.
func (r resBlock) mid() int {
	if r.down {
		return r.in
	}
	return r.out
}

func (r resBlock) shortcut() bool { return r.down || r.in != r.out }

func (r resBlock) declare(d *declare) {
	d.conv(r.path+".conv1", r.in, r.mid(), 3, true)
	d.norm(r.path+".normalize2", r.mid())
	switch {
	case r.pooled():
		d.conv(r.path+".conv2.conv", r.mid(), r.out, 3, true)
		d.conv(r.path+".shortcut.conv", r.in, r.out, 1, true)
	default:
		d.conv(r.path+".conv2", r.mid(), r.out, 3, true)
		if r.shortcut() {
			k := 3
			if r.dilation == 1 {
				k = 1
			}
			d.conv(r.path+".shortcut", r.in, r.out, k, true)
		}
	}
	d.norm(r.path+".normalize1", r.in)
}

func (r resBlock) build(b *builder, x *gorgonia.Node) *gorgonia.Node {
	p := r.path
	h := b.elu(p+".act1", b.norm(p+".normalize1", x))
	h = b.conv(p+".conv1", r.dilation, h)
	h = b.elu(p+".act2", b.norm(p+".normalize2", h))
	if r.pooled() {
		h = b.node(meanPoolLayer{}, p+".conv2.pool", b.conv(p+".conv2.conv", 1, h))
		x = b.node(meanPoolLayer{}, p+".shortcut.pool", b.conv(p+".shortcut.conv", 1, x))
		return b.add(p, x, h)
	}
	h = b.conv(p+".conv2", r.dilation, h)
	if r.shortcut() {
		x = b.conv(p+".shortcut", r.dilation, x)
	}
	return b.add(p, x, h)
}

// rcu is RefineNet's residual convolution unit: blocks of x + conv(elu(conv(elu(x)))), without norms in NCSNv2.
type rcu struct {
	path     string
	features int
	blocks   int
}

func (r rcu) declare(d *declare) {
	for i := 1; i <= r.blocks; i++ {
		for j := 1; j <= 2; j++ {
			d.conv(fmt.Sprintf("%s.%d_%d_conv", r.path, i, j), r.features, r.features, 3, false)
		}
	}
}

func (r rcu) build(b *builder, x *gorgonia.Node) *gorgonia.Node {
	for i := 1; i <= r.blocks; i++ {
		h := x
		for j := 1; j <= 2; j++ {
			h = b.elu(fmt.Sprintf("%s.%d_%d_act", r.path, i, j), h)
			h = b.conv(fmt.Sprintf("%s.%d_%d_conv", r.path, i, j), 1, h)
		}
		x = b.add(fmt.Sprintf("%s.%d", r.path, i), x, h)
	}
	return x
}

// refineBlock is RefineNet's block: a residual convolution unit on each input, their fusion at the first input's size,
// chained residual pooling, and an output unit.
type refineBlock struct {
	path     string
	in       []int // channels of the inputs
	features int
	end      bool
}

func (r refineBlock) adapt(i int) rcu {
	return rcu{fmt.Sprintf("%s.adapt_convs.%d", r.path, i), r.in[i], 2}
}

func (r refineBlock) output() rcu {
	blocks := 1
	if r.end {
		blocks = 3
	}
	return rcu{r.path + ".output_convs", r.features, blocks}
}

func (r refineBlock) declare(d *declare) {
	for i := range r.in {
		r.adapt(i).declare(d)
	}
	r.output().declare(d)
	if len(r.in) > 1 {
		for i, c := range r.in {
			d.conv(fmt.Sprintf("%s.msf.convs.%d", r.path, i), c, r.features, 3, true)
		}
	}
	for i := range 2 {
		d.conv(fmt.Sprintf("%s.crp.convs.%d", r.path, i), r.features, r.features, 3, false)
	}
}

func (r refineBlock) build(b *builder, in ...*gorgonia.Node) *gorgonia.Node {
	var h *gorgonia.Node
	for i, x := range in {
		x = r.adapt(i).build(b, x)
		if len(in) > 1 { // multi-resolution fusion: convolve, resize to the first input's size, sum
			path := fmt.Sprintf("%s.msf.convs.%d", r.path, i)
			x = b.conv(path, 1, x)
			if to := in[0].Shape(); !x.Shape()[1:3].Eq(to[1:3]) {
				x = b.node(resizeLayer{to[1], to[2]}, path+".resize", x)
			}
		}
		if i == 0 {
			h = x
			continue
		}
		h = b.add(fmt.Sprintf("%s.msf.%d", r.path, i), h, x)
	}
	h = b.elu(r.path+".crp.act", h)
	path := h
	for i := range 2 { // chained residual pooling
		path = b.node(maxPoolLayer{}, fmt.Sprintf("%s.crp.pool.%d", r.path, i), path)
		path = b.conv(fmt.Sprintf("%s.crp.convs.%d", r.path, i), 1, path)
		h = b.add(fmt.Sprintf("%s.crp.%d", r.path, i), h, path)
	}
	return r.output().build(b, h)
}

// blocksNCSNv2 are the residual and the refine blocks of the table above.
func blocksNCSNv2(n int) (res [4][2]resBlock, refine [4]refineBlock) {
	res = [4][2]resBlock{
		{{"res1.0", n, n, false, 1}, {"res1.1", n, n, false, 1}},
		{{"res2.0", n, 2 * n, true, 1}, {"res2.1", 2 * n, 2 * n, false, 1}},
		{{"res3.0", 2 * n, 2 * n, true, 2}, {"res3.1", 2 * n, 2 * n, false, 2}},
		{{"res4.0", 2 * n, 2 * n, true, 4}, {"res4.1", 2 * n, 2 * n, false, 4}},
	}
	refine = [4]refineBlock{
		{"refine1", []int{2 * n}, 2 * n, false},
		{"refine2", []int{2 * n, 2 * n}, 2 * n, false},
		{"refine3", []int{2 * n, 2 * n}, n, false},
		{"refine4", []int{n, n}, n, true},
	}
	return res, refine
}

func paramsNCSNv2(c Config) []*Param {
	var d declare
	n := c.NGF
	d.conv("begin_conv", c.Channels, n, 3, true)
	d.norm("normalizer", n)
	d.conv("end_conv", n, c.Channels, 3, true)
	res, refine := blocksNCSNv2(n)
	for _, stage := range res {
		for _, block := range stage {
			block.declare(&d)
		}
	}
	for _, block := range refine {
		block.declare(&d)
	}
	return d.list
}

func scoreNCSNv2(b *builder, c Config, x, sigma *gorgonia.Node) *gorgonia.Node {
	res, refine := blocksNCSNv2(c.NGF)
	h := b.conv("begin_conv", 1, b.node(affineLayer{2, -1}, "rescale", x))
	var stages [4]*gorgonia.Node
	for i, stage := range res {
		for _, block := range stage {
			h = block.build(b, h)
		}
		stages[i] = h
	}
	h = refine[0].build(b, stages[3])
	for i, block := range refine[1:] {
		h = block.build(b, stages[2-i], h)
	}
	h = b.elu("act", b.norm("normalizer", h))
	h = b.conv("end_conv", 1, h)
	return b.node(divSigmaLayer{}, "score", h, sigma)
}
