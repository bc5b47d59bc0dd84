// The parameters of a network: names and shapes, in memory order and in PyTorch's.

package model

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Param is a parameter of a network. Name is PyTorch's; Shape is in memory order: (Cout, kH, kW, Cin) for convolutions,
// (out, in) for linear maps.
type Param struct {
	Name  string
	Shape tensor.Shape
	Node  *gorgonia.Node

	// Frozen says that it is not trained: it has no gradient, no moments and no average.
	Frozen bool
	// Transposed says that PyTorch has the two dimensions the other way around.
	Transposed bool

	// Init fills dst with the initial values, in memory order, drawn from a stream of the parameter's own.
	Init func(dst []float32, s kernels.Stream)
}

// TorchShape returns the parameter's shape in PyTorch: (Cout, Cin, kH, kW) for convolutions.
func (p *Param) TorchShape() tensor.Shape {
	switch {
	case len(p.Shape) == 4:
		return tensor.Shape{p.Shape[0], p.Shape[3], p.Shape[1], p.Shape[2]}
	case p.Transposed:
		return tensor.Shape{p.Shape[1], p.Shape[0]}
	}
	return p.Shape
}

// ToTorch copies a parameter from memory order to PyTorch's.
func (p *Param) ToTorch(dst, src []float32) {
	p.permute(func(mem, torch int) { dst[torch] = src[mem] })
}

// fromTorch copies a parameter from PyTorch's order to memory order.
func (p *Param) fromTorch(dst, src []float32) {
	p.permute(func(mem, torch int) { dst[mem] = src[torch] })
}

// permute calls f for every value with its index in memory order and in PyTorch's.
func (p *Param) permute(f func(mem, torch int)) {
	if len(p.Shape) != 4 && !p.Transposed {
		for i := range p.Shape.TotalSize() {
			f(i, i)
		}
		return
	}
	if p.Transposed { // (out, in), in PyTorch (in, out)
		out, in := p.Shape[0], p.Shape[1]
		for a := range out {
			for b := range in {
				f(a*in+b, b*out+a)
			}
		}
		return
	}
	o, h, w, c := p.Shape[0], p.Shape[1], p.Shape[2], p.Shape[3]
	i := 0
	for a := range o {
		for t := range h * w {
			for b := range c {
				f(i, (a*c+b)*h*w+t)
				i++
			}
		}
	}
}

// Params lists the parameters in the order of PyTorch's state_dict.
func (c Config) Params() ([]*Param, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c.row().params(c), nil
}

// paramList collects parameters in registration order.
type paramList struct{ list []*Param }

// add declares a parameter of that shape, in memory order.
func (l *paramList) add(name string, init initial, shape ...int) {
	l.list = append(l.list, &Param{Name: name, Shape: shape, Init: init})
}

// conv declares a k x k convolution.
func (l *paramList) conv(path string, in, out, k int, bias bool) {
	l.add(path+".weight", uniform(in*k*k), out, k, k, in)
	if bias {
		l.add(path+".bias", uniform(in*k*k), out)
	}
}

// linear declares a linear layer.
func (l *paramList) linear(path string, in, out int) {
	l.add(path+".weight", uniform(in), out, in)
	l.add(path+".bias", uniform(in), out)
}

// classEmbed is the embedding of classes, whose row K is that of no class. No network of the originals has the name.
const classEmbed = "class_embed"

// classes declares the embedding of classes in so many values, where the network is told classes.
func (l *paramList) classes(c Config, values int) {
	if c.Classes > 0 {
		l.add(classEmbed+".weight", normal(0, 1), c.Classes+1, values)
	}
}

// Entry is a tensor of a state_dict.
type Entry struct {
	Name  string
	Shape tensor.Shape // PyTorch's
}

// StateDict lists the tensors of the original class' state_dict in their order, for a ladder of that many levels.
func (c Config) StateDict(levels int) ([]Entry, error) {
	params, err := c.Params()
	if err != nil {
		return nil, err
	}
	var list []Entry
	if c.HasSigmas() {
		list = append(list, Entry{"sigmas", tensor.Shape{levels}})
	}
	for _, p := range params {
		list = append(list, Entry{p.Name, p.TorchShape()})
	}
	return list, nil
}
