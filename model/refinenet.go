// The blocks that the networks of ncsn.go are made of: residual blocks with norms, and the refine blocks of RefineNet
// (Lin et al. 2017, "RefineNet: Multi-path refinement networks"). Each declares its parameters and builds its graph,
// with PyTorch's names: the order of declaration is the order of the state_dict.

package model

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// refineParams collects parameters, and knows which norms a network has.
type refineParams struct {
	paramList
	norms graph.Norm
}

// refineBuilder adds layers, and knows which norms and activations a network has.
type refineBuilder struct {
	*builder
	norms      graph.Norm
	activation kernels.Activation
}

// norm declares a norm's parameters: vectors, a table, or none.
func (d *refineParams) norm(path string, c int) {
	switch n := d.norms; {
	case n.Levels > 0 && n.Plus:
		d.add(path+".embed.weight", firstOfRow(normal(1, 0.02), 2*c, 3*c), n.Levels, 3*c)
	case n.Levels > 0:
		d.add(path+".embed.weight", firstOfRow(uniform01, c, 2*c), n.Levels, 2*c)
	case n.Plus:
		d.add(path+".alpha", normal(1, 0.02), c)
		d.add(path+".gamma", normal(1, 0.02), c)
		d.add(path+".beta", zero, c)
	}
}

// norm adds a norm.
func (b *refineBuilder) norm(path string, x *gorgonia.Node) *gorgonia.Node {
	l, in := b.norms, []*gorgonia.Node{x}
	switch {
	case b.norms.Levels > 0:
		in = append(in, b.param(path+".embed.weight"), b.level())
	case b.norms.Plus:
		in = append(in, b.param(path+".alpha"), b.param(path+".gamma"), b.param(path+".beta"))
	}
	return b.node(l, path, in...)
}

// refineNorm declares a norm where only NCSN has one, in the refine blocks.
func (d *refineParams) refineNorm(path string, c int) {
	if d.norms.Levels > 0 {
		d.norm(path, c)
	}
}

// refineNorm adds a norm where only NCSN has one.
func (b *refineBuilder) refineNorm(path string, x *gorgonia.Node) *gorgonia.Node {
	if b.norms.Levels == 0 {
		return x
	}
	return b.norm(path, x)
}

// pool adds the pooling of a refine block: of NCSN the average, of NCSNv2 the maximum.
func (b *refineBuilder) pool(path string, x *gorgonia.Node) *gorgonia.Node {
	if b.norms.Levels > 0 {
		return b.node(graph.AvgPool{}, path, x)
	}
	return b.node(graph.MaxPool{}, path, x)
}

// act adds an activation.
func (b *refineBuilder) act(path string, x *gorgonia.Node) *gorgonia.Node {
	return b.node(graph.Activation{F: b.activation}, path, x)
}

// resBlock is a pre-activation residual block: shortcut(x) + conv2(act(norm2(conv1(act(norm1(x)))))).
type resBlock struct {
	path     string
	in, out  int
	down     bool
	dilation int // 1: none
}

// pooled says whether the block halves the image: "down" with dilation keeps the size.
func (r resBlock) pooled() bool { return r.down && r.dilation == 1 }

// mid returns the number of channels between the convolutions.
func (r resBlock) mid() int {
	if r.down {
		return r.in
	}
	return r.out
}

// shortcut says whether the block has a convolution beside its two, for an input of another shape.
func (r resBlock) shortcut() bool { return r.down || r.in != r.out }

func (r resBlock) declare(d *refineParams) {
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

func (r resBlock) build(b *refineBuilder, x *gorgonia.Node) *gorgonia.Node {
	p := r.path
	h := b.act(p+".act1", b.norm(p+".normalize1", x))
	h = b.conv(p+".conv1", r.dilation, h)
	h = b.act(p+".act2", b.norm(p+".normalize2", h))
	if r.pooled() {
		h = b.node(graph.MeanPool{}, p+".conv2.pool", b.conv(p+".conv2.conv", 1, h))
		x = b.node(graph.MeanPool{}, p+".shortcut.pool", b.conv(p+".shortcut.conv", 1, x))
		return b.add(p, x, h)
	}
	h = b.conv(p+".conv2", r.dilation, h)
	if r.shortcut() {
		x = b.conv(p+".shortcut", r.dilation, x)
	}
	return b.add(p, x, h)
}

// rcu is RefineNet's residual convolution unit: blocks of x + conv(act(norm(conv(act(norm(x)))))), without norms in
// NCSNv2.
type rcu struct {
	path     string
	features int
	blocks   int
}

func (r rcu) at(i, j int, what string) string { return fmt.Sprintf("%s.%d_%d_%s", r.path, i, j, what) }

func (r rcu) declare(d *refineParams) {
	for i := 1; i <= r.blocks; i++ {
		for j := 1; j <= 2; j++ {
			d.refineNorm(r.at(i, j, "norm"), r.features)
			d.conv(r.at(i, j, "conv"), r.features, r.features, 3, false)
		}
	}
}

func (r rcu) build(b *refineBuilder, x *gorgonia.Node) *gorgonia.Node {
	for i := 1; i <= r.blocks; i++ {
		h := x
		for j := 1; j <= 2; j++ {
			h = b.refineNorm(r.at(i, j, "norm"), h)
			h = b.act(r.at(i, j, "act"), h)
			h = b.conv(r.at(i, j, "conv"), 1, h)
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

// at returns the path of sub-module i of the fusion ("msf") or the pooling ("crp").
func (r refineBlock) at(part, what string, i int) string {
	return fmt.Sprintf("%s.%s.%s.%d", r.path, part, what, i)
}

func (r refineBlock) declare(d *refineParams) {
	for i := range r.in {
		r.adapt(i).declare(d)
	}
	r.output().declare(d)
	if len(r.in) > 1 {
		for i, c := range r.in {
			d.conv(r.at("msf", "convs", i), c, r.features, 3, true)
		}
		for i, c := range r.in {
			d.refineNorm(r.at("msf", "norms", i), c)
		}
	}
	for i := range 2 {
		d.conv(r.at("crp", "convs", i), r.features, r.features, 3, false)
	}
	for i := range 2 {
		d.refineNorm(r.at("crp", "norms", i), r.features)
	}
}

func (r refineBlock) build(b *refineBuilder, in ...*gorgonia.Node) *gorgonia.Node {
	var h *gorgonia.Node
	for i, x := range in {
		x = r.adapt(i).build(b, x)
		if len(in) > 1 { // multi-resolution fusion: convolve, resize to the first input's size, sum
			x = b.refineNorm(r.at("msf", "norms", i), x)
			path := r.at("msf", "convs", i)
			x = b.conv(path, 1, x)
			if to := in[0].Shape(); !x.Shape()[1:3].Eq(to[1:3]) {
				x = b.node(graph.Resize{H: to[1], W: to[2]}, path+".resize", x)
			}
		}
		if i == 0 {
			h = x
			continue
		}
		h = b.add(fmt.Sprintf("%s.msf.%d", r.path, i), h, x)
	}
	h = b.act(r.path+".crp.act", h)
	path := h
	for i := range 2 { // chained residual pooling
		path = b.refineNorm(r.at("crp", "norms", i), path)
		path = b.pool(r.at("crp", "pool", i), path)
		path = b.conv(r.at("crp", "convs", i), 1, path)
		h = b.add(fmt.Sprintf("%s.crp.%d", r.path, i), h, path)
	}
	return r.output().build(b, h)
}
