// Which U-Net a state_dict is of: its modules are told by the names and shapes of their tensors, in their order.

package model

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gorgonia.org/tensor"
)

// moduleKind is what a module of a U-Net is.
type moduleKind int

const (
	noModule        moduleKind = iota // one without parameters, or none
	frequencyModule                   // W of the fourier embedding
	linearModule
	convModule      // conv3x3, or a part of a head
	normModule      // of a head
	blockModule     // residual
	resampleBlock   // residual, and it halves or doubles the image
	attentionModule // self-attention
	resampleConv    // a convolution that halves or doubles the image
	filteredConv    // the same, with the filter
	combineModule
)

// unetModules tells the modules of a state_dict apart.
type unetModules struct {
	shapes map[string]tensor.Shape
	at     int // module to be looked at
}

// of returns the shape of a tensor of the module.
func (m *unetModules) of(name string) tensor.Shape {
	return m.shapes[fmt.Sprintf("all_modules.%d.%s", m.at, name)]
}

// kind tells what the module is, and its channels: those that go in and those that come out.
func (m *unetModules) kind() (k moduleKind, in, out int) {
	w, conv, filtered := m.of("weight"), m.of("Conv_0.weight"), m.of("Conv2d_0.weight")
	switch {
	case len(m.of("W")) == 1:
		return frequencyModule, 0, 0
	case len(w) == 2:
		return linearModule, w[1], w[0]
	case len(w) == 4:
		return convModule, w[1], w[0]
	case len(w) == 1:
		return normModule, w[0], w[0]
	case len(m.of("NIN_3.W")) == 2:
		return attentionModule, 0, 0
	case len(conv) == 4 && len(m.of("GroupNorm_0.weight")) == 1:
		if conv[0] == conv[1] && len(m.of("Conv_2.weight")) == 4 {
			return resampleBlock, conv[1], conv[0]
		}
		return blockModule, conv[1], conv[0]
	case len(filtered) == 4:
		return filteredConv, filtered[1], filtered[0]
	case len(conv) == 4 && conv[2] == 1:
		return combineModule, conv[1], conv[0]
	case len(conv) == 4:
		return resampleConv, conv[1], conv[0]
	}
	return noModule, 0, 0
}

// is says whether the module is of one of these kinds, and goes to the next if so.
func (m *unetModules) is(kinds ...moduleKind) bool {
	k, _, _ := m.kind()
	if !slices.Contains(kinds, k) {
		return false
	}
	m.at++
	return true
}

// filtered says whether images are resampled with the filter: that is otherwise where no convolution tells.
func (m *unetModules) filtered(otherwise bool) bool {
	all := unetModules{shapes: m.shapes}
	for ; all.at < len(m.shapes); all.at++ {
		switch k, _, _ := all.kind(); k {
		case filteredConv:
			return true
		case resampleConv:
			return false
		}
	}
	return otherwise
}

// recognise lists the network of this class that the parameters are of. What leaves no mark on them is as published for
// networks with the same marks: so are the filter, the factor of sums and the division by sigma.
func (n uNet) recognise(shapes map[string]tensor.Shape, _ int) []Config {
	m := &unetModules{shapes: shapes}
	c := Config{Net: n.name}
	u := &c.UNet
	if u.Embedding = positional; m.is(frequencyModule) {
		u.Embedding = fourier
	}
	if u.Unconditional = !m.is(linearModule); !u.Unconditional {
		m.is(linearModule)
	}
	k, in, out := m.kind()
	if k != convModule {
		return nil
	}
	c.Channels, c.NGF = in, out
	if table := shapes[classEmbed+".weight"]; len(table) == 2 { // a row for each class and one for none
		c.Classes = table[0] - 1
	}
	m.at++
	u.SkipRescale = true
	var mult, attention []string
	width := c.NGF
	for level := 1; ; level *= 2 {
		blocks := 0
		for u.ResBlocks == 0 || blocks < u.ResBlocks {
			k, from, to := m.kind()
			if k != blockModule {
				break
			}
			if from == 2*width && blocks == 0 && level > 1 {
				u.Combine = combineCat
			}
			width = to
			blocks++
			if len(m.of("Conv_2.weight"))+len(m.of("Conv_0.weight")) > 0 && len(m.of("NIN_0.W")) > 0 {
				u.ResBlock = ddpmBlock
			}
			m.at++
			if m.is(attentionModule) && !slices.Contains(attention, "1/"+strconv.Itoa(level)) {
				attention = append(attention, "1/"+strconv.Itoa(level))
			}
		}
		if blocks == 0 || width%c.NGF != 0 {
			return nil
		}
		u.ResBlocks = blocks
		mult = append(mult, strconv.Itoa(width/c.NGF))
		switch k, _, _ := m.kind(); k {
		case resampleBlock: // BigGAN's
		case resampleConv, filteredConv:
			u.ResBlock, u.ResampWithConv = ddpmBlock, true
		case noModule:
			u.ResBlock = ddpmBlock
		default:
			u.ChMult, u.Attention = strings.Join(mult, ","), strings.Join(attention, ",")
			return n.recogniseUp(m, c)
		}
		m.at++
		switch k, _, _ := m.kind(); k {
		case combineModule:
			u.ProgressiveInput = inputSkip
			m.at++
		case resampleConv, filteredConv:
			u.ProgressiveInput = residualPyramid
			m.at++
		}
		if len(mult) == mostLevels {
			return nil
		}
	}
}

// recogniseUp looks at the way up.
func (n uNet) recogniseUp(m *unetModules, c Config) []Config {
	u := &c.UNet
	m.at += 3 + u.ResBlocks + 1 // the middle, and the blocks of the lowest level
	m.is(attentionModule)
	if m.is(normModule) && len(u.Mult()) > 1 {
		switch _, in, out := m.kind(); {
		case out == c.Channels && in != out:
			u.Progressive = outputSkip
		case out == in:
			u.Progressive = residualPyramid
		}
	}
	u.ScaleBySigma = u.Embedding == fourier
	u.FIR = m.filtered(u.ProgressiveInput != "" || u.Progressive != "" || u.Embedding == fourier)
	if n.published != nil && u.ResBlock != ddpmBlock {
		return nil
	}
	c.UNet = n.named(*u)
	return []Config{c}
}

// SameParameters says whether two networks have the same parameters, by names and shapes, at the first one's image
// size.
func SameParameters(a, b Config) bool {
	b.Height, b.Width = a.Height, a.Width
	p, err := a.Params()
	if err != nil {
		return false
	}
	q, err := b.Params()
	return err == nil && slices.EqualFunc(p, q, func(p, q *Param) bool { return p.Name == q.Name && p.Shape.Eq(q.Shape) })
}
