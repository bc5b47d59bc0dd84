// The parameters of a network: names and shapes, in memory order and in PyTorch's.

package model

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// Param is a parameter of a network. Name is PyTorch's; Shape is in memory order: (Cout, kH, kW, Cin) for convolutions.
type Param struct {
	Name  string
	Shape tensor.Shape
	Node  *gorgonia.Node

	// Init draws the initial values, in memory order, from a stream of its own.
	Init func(dst []float32, s kernels.Stream)
}

// TorchShape is the parameter's shape in PyTorch: (Cout, Cin, kH, kW) for convolutions.
func (p *Param) TorchShape() tensor.Shape {
	if len(p.Shape) == 4 {
		return tensor.Shape{p.Shape[0], p.Shape[3], p.Shape[1], p.Shape[2]}
	}
	return p.Shape
}

// ToTorch copies a parameter from memory order to PyTorch's, fromTorch back.
func (p *Param) ToTorch(dst, src []float32) {
	p.permute(func(mem, torch int) { dst[torch] = src[mem] })
}
func (p *Param) fromTorch(dst, src []float32) {
	p.permute(func(mem, torch int) { dst[mem] = src[torch] })
}

func (p *Param) permute(f func(mem, torch int)) {
	if len(p.Shape) != 4 {
		for i := range p.Shape.TotalSize() {
			f(i, i)
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

// declare collects parameters in registration order.
type declare struct {
	list  []*Param
	norms graph.Norm
}

func (d *declare) add(name string, init func([]float32, kernels.Stream), shape ...int) {
	d.list = append(d.list, &Param{Name: name, Shape: shape, Init: init})
}

// conv declares a k x k convolution.
func (d *declare) conv(path string, in, out, k int, bias bool) {
	d.add(path+".weight", uniformInit(in*k*k), out, k, k, in)
	if bias {
		d.add(path+".bias", uniformInit(in*k*k), out)
	}
}

// linear declares a linear layer.
func (d *declare) linear(path string, in, out int) {
	d.add(path+".weight", uniformInit(in), out, in)
	d.add(path+".bias", uniformInit(in), out)
}

// Entry is a tensor of a state_dict.
type Entry struct {
	Name  string
	Shape tensor.Shape // PyTorch's
}

// StateDict lists the tensors of the original class' state_dict in their order, for a ladder of so many levels.
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
