// The blocks and layers of the U-Nets in ncsnpp.go. Each declares its parameters under the names of the original and, where
// there is a builder, adds its layers.

package model

import (
	"math"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// size is what a block or a resampling does to height and width.
type size int

const (
	sameSize size = iota
	halved
	doubled
)

// of returns x in the new size.
func (s size) of(x value) value {
	switch s {
	case halved:
		x.h, x.w = x.h/2, x.w/2
	case doubled:
		x.h, x.w = 2*x.h, 2*x.w
	}
	return x
}

// block is a residual block to so many channels: join(x, conv1(dropout(act(norm1(conv0(act(norm0(x))) + dense(temb)))))).
// Where it changes the size, it does so before both branches' convolutions.
func (p *uNetPass) block(path string, x value, out int, to size) value {
	in := x.c
	h := p.normAct(path+".GroupNorm_0", x)
	if to != sameSize {
		h, x = p.resample(path+".h", h, to), p.resample(path+".x", x, to)
	}
	h = p.conv(path+".Conv_0", h, out, 3, 1)
	h = p.addNoise(path+".Dense_0", h)
	h = p.normAct(path+".GroupNorm_1", h)
	h = p.dropout(path+".Dropout_0", h)
	h = p.conv(path+".Conv_1", h, out, 3, p.u.InitScale)
	switch {
	case p.u.ResBlock == bigGAN && (in != out || to != sameSize):
		x = p.conv(path+".Conv_2", x, out, 1, 1)
	case p.u.ResBlock == ddpmBlock && in != out:
		x = p.nin(path+".NIN_0", x, out, ninScale)
	}
	return p.join(path, x, h)
}

// ninScale is the variance scale of the initial weights of most linear maps of pixels.
const ninScale = 0.1

// attention is self-attention between the pixels of the image, added to it.
func (p *uNetPass) attention(path string, x value) value {
	h := p.norm(path+".GroupNorm_0", x, false)
	q := p.nin(path+".NIN_0", h, x.c, ninScale)
	k := p.nin(path+".NIN_1", h, x.c, ninScale)
	v := p.nin(path+".NIN_2", h, x.c, ninScale)
	h = p.layer(graph.Attention{}, path+".attention", x, q, k, v)
	return p.join(path, x, p.nin(path+".NIN_3", h, x.c, p.u.InitScale))
}

// addNoise adds what a linear layer makes of the embedded noise to the channels. A network that is not told the noise has
// the layer's parameters all the same.
func (p *uNetPass) addNoise(path string, h value) value {
	if p.u.Unconditional {
		in, out := 4*p.c.NGF, h.c
		p.untrained(path+".weight", scaled(1, in, out), out, in)
		p.untrained(path+".bias", zero, out)
		return h
	}
	return p.layer(graph.AddRow{}, path+".add", h, h, p.linear(path, p.temb, h.c))
}

// resample halves or doubles the image without parameters: with the filter, or by means and copies.
func (p *uNetPass) resample(path string, x value, to size) value {
	switch {
	case p.u.FIR && to == halved:
		return p.layer(graph.FIR{Kind: graph.FIRDown, Kernel: p.u.kernel()}, path+".down", to.of(x), x)
	case p.u.FIR:
		return p.layer(graph.FIR{Kind: graph.FIRUp, Kernel: p.u.kernel()}, path+".up", to.of(x), x)
	case to == halved:
		return p.layer(graph.MeanPool{}, path+".down", to.of(x), x)
	}
	return p.layer(graph.Nearest{}, path+".up", to.of(x), x)
}

// convolved halves or doubles the image by a convolution to so many channels, with the filter before a smaller image or as
// one with a larger: that is a transposed convolution whose result is filtered, so the convolution sees the filtered image
// beyond its edges.
func (p *uNetPass) convolved(path string, x value, out int, to size) value {
	at := path + ".Conv_0"
	if p.u.FIR {
		at = path + ".Conv2d_0"
	}
	w, b := p.convParams(at, x.c, out, 3, 1)
	y := to.of(x)
	y.c = out
	if p.b == nil {
		return y
	}
	fir := func(kind graph.FIRKind, path string, in *gorgonia.Node) *gorgonia.Node {
		return p.b.node(graph.FIR{Kind: kind, Kernel: p.u.kernel()}, path, in)
	}
	conv := graph.Conv{K: 3, Dilation: 1, Bias: true}
	switch {
	case to == halved:
		in := x.node
		if p.u.FIR {
			in = fir(graph.FIRFilter, at+".filter", in)
		}
		var err error
		if y.node, err = graph.ApplyStrided(at, in, w.node, b.node); err != nil {
			panic(buildError{err})
		}
	case p.u.FIR:
		wide := p.b.node(conv, at, fir(graph.FIRUpWide, at+".up", x.node), w.node, b.node)
		y.node = p.b.node(graph.Crop{}, at+".crop", wide)
	default:
		y.node = p.b.node(conv, at, p.b.node(graph.Nearest{}, at+".up", x.node), w.node, b.node)
	}
	return y
}

// join is the sum of two branches, by 1/sqrt 2 with skip_rescale.
func (p *uNetPass) join(path string, x, h value) value {
	if p.u.SkipRescale {
		return p.layer(graph.Join{Scale: float32(math.Sqrt2 / 2)}, path, x, x, h)
	}
	return p.layer(graph.Sum{}, path, x, x, h)
}

// dropout is between the convolutions of a block in training.
func (p *uNetPass) dropout(path string, x value) value {
	if p.u.Dropout == 0 || p.b == nil || !p.b.training {
		return x
	}
	state := value{node: p.b.state()}
	return p.layer(graph.Dropout{P: float32(p.u.Dropout), Index: uint32(p.modules)}, path, x, x, state)
}

// normAct is a group norm and the activation of its result.
func (p *uNetPass) normAct(path string, x value) value {
	if p.c.nonlinearity() == string(kernels.Swish) {
		return p.norm(path, x, true)
	}
	return p.act(path+".act", p.norm(path, x, false))
}

// norm is a group norm, with swish the swish of it.
func (p *uNetPass) norm(path string, x value, swish bool) value {
	groups := p.groups(x.c)
	if p.undivided == 0 && (groups < 1 || x.c%groups != 0) {
		p.undivided = x.c
	}
	gamma, beta := p.param(path+".weight", one, x.c), p.param(path+".bias", zero, x.c)
	return p.layer(graph.GroupNorm{Groups: groups, Swish: swish}, path, x, x, gamma, beta)
}

// act is the activation of the network.
func (p *uNetPass) act(path string, x value) value {
	return p.layer(graph.Activation{F: kernels.Activation(p.c.nonlinearity())}, path, x, x)
}

// conv is a convolution of k x k taps that keeps the size.
func (p *uNetPass) conv(path string, x value, out, k int, scale float64) value {
	w, b := p.convParams(path, x.c, out, k, scale)
	y := x
	y.c = out
	return p.layer(graph.Conv{K: k, Dilation: 1, Bias: true}, path, y, x, w, b)
}

func (p *uNetPass) convParams(path string, in, out, k int, scale float64) (w, b value) {
	return p.param(path+".weight", scaled(scale, in*k*k, out*k*k), out, k, k, in), p.param(path+".bias", zero, out)
}

// linear is a linear layer of rows.
func (p *uNetPass) linear(path string, x value, out int) value {
	w, b := p.param(path+".weight", scaled(1, x.c, out), out, x.c), p.param(path+".bias", zero, out)
	return p.layer(graph.Conv{K: 1, Dilation: 1, Bias: true}, path, value{c: out}, x, w, b)
}

// nin is a linear map of every pixel, whose weights a state_dict has as (in, out).
func (p *uNetPass) nin(path string, x value, out int, scale float64) value {
	w, b := p.param(path+".W", scaled(scale, x.c, out), out, x.c), p.param(path+".b", zero, out)
	if p.b == nil {
		p.list[len(p.list)-2].Transposed = true
	}
	y := x
	y.c = out
	return p.layer(graph.Conv{K: 1, Dilation: 1, Bias: true}, path, y, x, w, b)
}

// layer adds a layer whose output has the shape of y.
func (p *uNetPass) layer(l graph.Layer, path string, y value, in ...value) value {
	if y.node = nil; p.b == nil {
		return y
	}
	nodes := make([]*gorgonia.Node, len(in))
	for i, x := range in {
		nodes[i] = x.node
	}
	y.node = p.b.node(l, path, nodes...)
	return y
}

// param is a parameter: it is declared, or taken from the builder.
func (p *uNetPass) param(name string, init initial, shape ...int) value {
	if p.b == nil {
		p.add(name, init, shape...)
		return value{}
	}
	return value{node: p.b.param(name)}
}

// frozen is a parameter that is not trained.
func (p *uNetPass) frozen(name string, init initial, shape ...int) value {
	v := p.param(name, init, shape...)
	if p.b == nil {
		p.list[len(p.list)-1].Frozen = true
	}
	return v
}

// untrained is a parameter without use.
func (p *uNetPass) untrained(name string, init initial, shape ...int) { p.frozen(name, init, shape...) }
