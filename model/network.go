// Networks: a list of parameters and a function that builds the graph from them.
package model

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// Network is a network's graph for one batch size, with its loss and gradients where asked for.
type Network struct {
	Graph  *gorgonia.ExprGraph
	XTilde *gorgonia.Node // (N, H, W, C), vectors (N, D)
	Z      *gorgonia.Node // like XTilde; nil without a loss
	Sigma  *gorgonia.Node // (N)
	Level  *gorgonia.Node // (N) uint32 by bit pattern: the noise level; nil for networks that are not told
	Score  *gorgonia.Node // like XTilde
	Loss   *gorgonia.Node // scalar, nil without a loss
	Params []*Param       // in the order of PyTorch's state_dict
	Grads  gorgonia.Nodes // d loss / d parameter, in the order of Params; nil without gradients
}

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

// network is what each kind of network defines.
type network struct {
	validate func(c Config) error
	// params lists the parameters in registration order.
	params func(c Config) []*Param
	// score builds s(x~, sigma); the builder has the nodes of sigma and of the level.
	score func(b *builder, c Config, x *gorgonia.Node) *gorgonia.Node
	// image says whether a row is an image (N, H, W, C) or a vector (N, D).
	image bool
	// blind says that the network does not see sigma, which bounds the step sizes that sampling survives.
	blind bool
}

var networks = func() map[string]network {
	all := map[string]network{"mlp": {validateMLP, paramsMLP, scoreMLP, false, false}}
	for _, r := range refineNets {
		all[r.name] = r.network()
	}
	return all
}()

// Networks lists the networks by name.
func Networks() []string {
	var names []string
	for _, r := range refineNets {
		names = append(names, r.name)
	}
	return append(names, "mlp")
}

// SeesSigma says whether the network is told the noise level; NCSNv2 is not, and its samplers need T q >= 4(g-1).
func (c Config) SeesSigma() bool { return !networks[c.Net].blind }

// TakesImages says whether the network is one for images, not for vectors.
func (c Config) TakesImages() bool { return networks[c.Net].image }

// Validate says in one sentence what is wrong with the configuration, if anything.
func (c Config) Validate() error {
	n, ok := networks[c.Net]
	if !ok {
		return fmt.Errorf("network %q is not known: expected one of %s", c.Net, strings.Join(Networks(), ", "))
	}
	if c.Height < 1 || c.Width < 1 || c.Channels < 1 {
		return fmt.Errorf("network input is %d x %d x %d (height, width, channels): expected all to be at least 1", c.Height, c.Width, c.Channels)
	}
	return n.validate(c)
}

// Params lists the parameters in the order of PyTorch's state_dict.
func (c Config) Params() ([]*Param, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return networks[c.Net].params(c), nil
}

// Objective says what is built on top of the score.
type Objective int

const (
	ScoreOnly Objective = iota
	LossOnly            // the loss as well
	Gradients           // and its gradient for every parameter
)

// Build builds the graph for batches of the given size. power is the exponent p of the loss weight sigma^p.
func Build(c Config, batch int, objective Objective, power float64) (net *Network, err error) {
	err = graph.Build(func() (err error) {
		net, err = build(c, batch, objective, power)
		return err
	})
	return net, err
}

// build is Build while no other graph is built.
func build(c Config, batch int, objective Objective, power float64) (net *Network, err error) {
	params, err := c.Params()
	if err != nil {
		return nil, err
	}
	// Building errors travel as panics of this one type up to here, so that a network reads as a list of layers.
	defer func() {
		if r := recover(); r != nil {
			var b buildError
			if e, ok := r.(error); !ok || !errors.As(e, &b) {
				panic(r)
			}
			net, err = nil, fmt.Errorf("network %s: %w", c.Net, b.err)
		}
	}()
	def := networks[c.Net]
	shape := tensor.Shape{batch, c.D()}
	if def.image {
		shape = tensor.Shape{batch, c.Height, c.Width, c.Channels}
	}
	net = &Network{Graph: gorgonia.NewGraph(), Params: params}
	b := &builder{params: map[string]*Param{}, used: map[string]bool{}}
	input := func(name string, s tensor.Shape) *gorgonia.Node {
		return gorgonia.NewTensor(net.Graph, gorgonia.Float32, len(s), gorgonia.WithShape(s...), gorgonia.WithName(name))
	}
	net.XTilde, net.Sigma = input("x_tilde", shape), input("sigma", tensor.Shape{batch})
	for _, p := range params {
		p.Node = input(p.Name, p.Shape)
		b.params[p.Name] = p
	}
	b.sigma = net.Sigma
	b.level = func() *gorgonia.Node {
		if net.Level == nil {
			net.Level = input("level", tensor.Shape{batch})
		}
		return net.Level
	}
	net.Score = def.score(b, c, net.XTilde)
	for _, p := range params {
		if !b.used[p.Name] {
			return nil, fmt.Errorf("network %s: parameter %s is not used", c.Net, p.Name)
		}
	}
	if objective == ScoreOnly {
		return net, nil
	}
	net.Z = input("z", shape)
	net.Loss = b.node(graph.Loss{Power: power}, "loss", net.Score, net.Z, net.Sigma)
	if objective == LossOnly {
		return net, nil
	}
	var wrt gorgonia.Nodes
	for _, p := range params {
		wrt = append(wrt, p.Node)
	}
	if net.Grads, err = graph.Gradients(net.Loss, wrt); err != nil {
		return nil, fmt.Errorf("network %s: %w", c.Net, err)
	}
	return net, nil
}

// buildError carries an error of building a graph up to Build.
type buildError struct{ err error }

func (e buildError) Error() string { return e.err.Error() }

// builder adds layers to a graph. Paths are PyTorch's module names.
type builder struct {
	params map[string]*Param
	used   map[string]bool
	sigma  *gorgonia.Node
	level  func() *gorgonia.Node // made when it is first asked for

	norms      graph.Norm // of the networks for images
	activation kernels.Activation
}

// node adds a layer.
func (b *builder) node(l graph.Layer, path string, in ...*gorgonia.Node) *gorgonia.Node {
	n, err := graph.Apply(l, path, in...)
	if err != nil {
		panic(buildError{err})
	}
	return n
}

// param is the node of a parameter.
func (b *builder) param(name string) *gorgonia.Node {
	p, ok := b.params[name]
	if !ok {
		panic(buildError{fmt.Errorf("parameter %s is not declared", name)})
	}
	b.used[name] = true
	return p.Node
}

// conv is the convolution, or linear layer, whose parameters are declared under path.
func (b *builder) conv(path string, dilation int, x *gorgonia.Node) *gorgonia.Node {
	w := b.param(path + ".weight")
	l := graph.Conv{K: 1, Dilation: dilation}
	if s := w.Shape(); len(s) == 4 {
		l.K = s[1]
	}
	in := []*gorgonia.Node{x, w}
	if _, ok := b.params[path+".bias"]; ok {
		l.Bias = true
		in = append(in, b.param(path+".bias"))
	}
	return b.node(l, path, in...)
}

func (b *builder) add(path string, x, y *gorgonia.Node) *gorgonia.Node {
	return b.node(graph.Sum{}, path, x, y)
}

// uniformInit is PyTorch's default for weights and biases of convolutions and linear layers: U(-k, k), k = 1/sqrt(fan in).
func uniformInit(fanIn int) func([]float32, kernels.Stream) {
	k := float32(1 / math.Sqrt(float64(fanIn)))
	return func(dst []float32, s kernels.Stream) {
		s.Uniforms(dst)
		for i, u := range dst {
			dst[i] = k * (2*u - 1)
		}
	}
}

// normalInit is N(mean, sd).
func normalInit(mean, sd float32) func([]float32, kernels.Stream) {
	return func(dst []float32, s kernels.Stream) {
		s.Normals(dst)
		for i, z := range dst {
			dst[i] = mean + float32(sd*z)
		}
	}
}

func zeroInit(dst []float32, _ kernels.Stream) { clear(dst) }

// uniform01 is U(0, 1).
func uniform01(dst []float32, s kernels.Stream) { s.Uniforms(dst) }

// tableInit is init for the first n of the values of each row, and 0 for the others.
func tableInit(init func([]float32, kernels.Stream), n, row int) func([]float32, kernels.Stream) {
	return func(dst []float32, s kernels.Stream) {
		init(dst, s)
		for i := range dst {
			if i%row >= n {
				dst[i] = 0
			}
		}
	}
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

// HasSigmas says whether the original class keeps the ladder as the buffer "sigmas" (L), the first entry of its state_dict.
func (c Config) HasSigmas() bool { return c.TakesImages() && !c.SeesSigma() }

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

// ImageNetworks lists the networks for images by name.
func ImageNetworks() []string {
	var names []string
	for _, r := range refineNets {
		names = append(names, r.name)
	}
	return names
}

// TakesLevels says whether the network is told the noise as a level of the ladder, and so has no score between them.
func (c Config) TakesLevels() bool { return c.TakesImages() && c.SeesSigma() }
