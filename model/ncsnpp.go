// NCSN++ and DDPM++ (Song et al. 2021, "Score-Based Generative Modeling through Stochastic Differential Equations",
// appendix H), and the network of DDPM (Ho et al. 2020) as they use it: U-Nets of residual blocks with group norms,
// swish and self-attention, told the noise by an embedding that every block adds to its channels.
//
//	embedding e(cond), two linear layers, conv3x3  C -> n
//	for each level l of L, n mult[l] channels:    n blocks (with attention by the image's width), each kept;
//	                                              then a block that halves the image, and the input pyramid
//	middle:                                       block, attention, block
//	for each level up:                            n+1 blocks, each on the channels before and those kept last;
//	                                              attention; the output pyramid; a block that doubles the image
//	norm, swish, conv3x3  n -> C, and the division by sigma
//
// Modules have the numbers of the original class: all_modules.K, in the order in which they are used. The walk of this
// file, [uNetPass.run], goes through them once to declare the parameters and once more to build the graph.

package model

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// uNet is one of the networks in this file.
type uNet struct {
	name string
	// fixedGroups is the number of groups of all norms; 0: by the channels, see [graph.Groups].
	fixedGroups int
	// published sets what the network has no choice in; nil: it has all of them.
	published func(u UNet) UNet
}

var (
	ncsnpp = uNet{name: NCSNPP}
	ddpm   = uNet{name: "ddpm", fixedGroups: 32, published: UNet.ddpm}
)

// settings returns the network's settings, all choices by name.
func (n uNet) settings(c Config) UNet { return n.named(c.UNet) }

func (n uNet) named(u UNet) UNet {
	if n.published != nil {
		u = n.published(u)
	}
	return u.named()
}

// row completes a network's row of the table.
func (n uNet) row(r network) network {
	r.name, r.validate, r.params, r.score = n.name, n.validate, n.params, n.score
	r.settings, r.steps, r.denoise = []string{"ngf", "nonlinearity", "rescaled", "unet", "classes"}, 5, true
	// The published rate at the published width, in proportion to 1/width as rateByWidth says, as far as norms let it grow.
	r.learningRate = func(c Config) float64 { return min(2e-4*128/float64(c.NGF), 1e-3) }
	r.noise, r.sigmas = bySigma, true
	r.named, r.recognise, r.mark = n.named, n.recognise, "all_modules.0 with weight or W"
	return r
}

// params lists the parameters in the order of the modules.
func (n uNet) params(c Config) []*Param {
	p := &uNetPass{uNet: n, c: c, u: n.settings(c)}
	p.run(value{h: c.Height, w: c.Width, c: c.Channels})
	p.classes(c, 4*c.NGF) // no module of the originals
	return p.list
}

// score builds the network's output.
func (n uNet) score(b *builder, c Config, x *gorgonia.Node) *gorgonia.Node {
	p := &uNetPass{uNet: n, c: c, u: n.settings(c), b: b}
	h := p.run(value{c.Height, c.Width, c.Channels, x})
	if p.u.ScaleBySigma {
		return b.divSigma(c, h.node)
	}
	return h.node
}

// uNetPass is one walk through a network: without a builder it declares parameters and knows shapes alone.
type uNetPass struct {
	uNet
	paramList
	c Config
	u UNet
	b *builder

	modules   int   // so far
	temb      value // act of the embedded noise; absent where the network is not told it
	undivided int   // channels of the first norm whose groups do not divide them
}

// value is an image of c channels, or a row of c values, on its way through the network.
type value struct {
	h, w, c int
	node    *gorgonia.Node
}

// module returns the name of the next module.
func (p *uNetPass) module() string {
	p.modules++
	return fmt.Sprintf("all_modules.%d", p.modules-1)
}

// run walks through the network on the input x and returns its output.
func (p *uNetPass) run(x value) value {
	u := p.u
	p.embed()
	if p.c.centres() {
		x = p.layer(graph.Affine{Scale: 2, Shift: -1}, "rescale", x, x)
	}
	mult := u.Mult()
	pyramid := x
	h := p.conv(p.module(), x, p.c.NGF, 3, 1)
	kept := []value{h}
	for l, m := range mult {
		for range u.ResBlocks {
			h = p.block(p.module(), h, m*p.c.NGF, sameSize)
			if u.Attends(h.w, p.c.Width) {
				h = p.attention(p.module(), h)
			}
			kept = append(kept, h)
		}
		if l == len(mult)-1 {
			break
		}
		h = p.resampled(h, halved)
		h, pyramid = p.inputPyramid(h, pyramid)
		kept = append(kept, h)
	}
	h = p.block(p.module(), h, h.c, sameSize)
	h = p.attention(p.module(), h)
	h = p.block(p.module(), h, h.c, sameSize)
	var images value // of the output pyramid
	for l := len(mult) - 1; l >= 0; l-- {
		for range u.ResBlocks + 1 {
			path, last := p.module(), kept[len(kept)-1]
			kept = kept[:len(kept)-1]
			joined := h
			joined.c += last.c
			h = p.block(path, p.layer(graph.Concat{}, path+".concat", joined, h, last), mult[l]*p.c.NGF, sameSize)
		}
		if u.Attends(h.w, p.c.Width) {
			h = p.attention(p.module(), h)
		}
		h, images = p.outputPyramid(h, images, l == len(mult)-1)
		if l > 0 {
			h = p.resampled(h, doubled)
		}
	}
	if u.Progressive == outputSkip {
		return images
	}
	return p.head(h, x.c, u.InitScale)
}

// embed embeds the noise: all that blocks add of it comes from here.
func (p *uNetPass) embed() {
	if p.u.Unconditional {
		return
	}
	n := p.c.NGF
	e := value{c: n}
	switch p.u.Embedding {
	case fourier:
		e.c = 2 * n
		w := p.frozen(p.module()+".W", normal(0, float32(p.u.FourierScale)), n)
		e = p.layer(graph.Embedding{Fourier: true, Values: e.c}, "embedding", e, p.cond(), w)
	default:
		e = p.layer(graph.Embedding{Values: e.c}, "embedding", e, p.cond(), p.frequencies(e.c))
	}
	e = p.linear(p.module(), e, 4*n)
	e = p.act("temb.act0", e)
	e = p.linear(p.module(), e, 4*n)
	if p.c.Classes > 0 && p.b != nil { // added as Dhariwal and Nichol 2021 do
		e.node = p.b.add("class", e.node, p.b.class())
	}
	p.temb = p.act("temb.act1", e)
}

// cond is what the network is told of the noise.
func (p *uNetPass) cond() value {
	if p.b == nil {
		return value{c: 1}
	}
	return value{c: 1, node: p.b.cond()}
}

// frequencies are those of a positional embedding of so many values.
func (p *uNetPass) frequencies(values int) value {
	f := value{c: values / 2}
	if p.b != nil {
		f.node = p.b.constant("frequencies", kernels.PositionalFrequencies(values))
	}
	return f
}

// resampled halves or doubles the image: a block of its own, or a resampling without one.
func (p *uNetPass) resampled(h value, to size) value {
	path := p.module()
	if p.u.ResBlock == bigGAN {
		return p.block(path, h, h.c, to)
	}
	if p.u.ResampWithConv {
		return p.convolved(path, h, h.c, to)
	}
	return p.resample(path, h, to)
}

// inputPyramid brings the input in the size of h to h, and returns both.
func (p *uNetPass) inputPyramid(h, pyramid value) (_, _ value) {
	switch p.u.ProgressiveInput {
	case inputSkip:
		path := p.module()
		pyramid = p.resample(path+".pyramid", pyramid, halved)
		q := p.conv(path+".Conv_0", pyramid, h.c, 1, 1)
		if p.u.Combine == combineCat {
			joined := q
			joined.c += h.c
			return p.layer(graph.Concat{}, path+".concat", joined, q, h), pyramid
		}
		return p.layer(graph.Sum{}, path+".sum", h, q, h), pyramid
	case residualPyramid:
		path := p.module()
		h = p.join(path+".join", p.convolved(path, pyramid, h.c, halved), h)
		return h, h
	}
	return h, pyramid
}

// outputPyramid adds to the images of the levels below what this level has to say, and returns h and the images.
func (p *uNetPass) outputPyramid(h, images value, lowest bool) (_, _ value) {
	switch p.u.Progressive {
	case outputSkip:
		at := p.head(h, max(1, p.c.Channels), p.u.InitScale)
		if !lowest {
			path := fmt.Sprintf("pyramid.%d", p.modules)
			at = p.layer(graph.Sum{}, path+".sum", at, p.resample(path, images, doubled), at)
		}
		return h, at
	case residualPyramid:
		if lowest {
			return h, p.head(h, h.c, 1)
		}
		path := p.module()
		h = p.join(path+".join", p.convolved(path, images, h.c, doubled), h)
		return h, h
	}
	return h, images
}

// head is the norm, the activation and the convolution by which a level ends.
func (p *uNetPass) head(h value, out int, scale float64) value {
	h = p.normAct(p.module(), h)
	return p.conv(p.module(), h, out, 3, scale)
}
