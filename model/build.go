// Building a network: from its configuration to a Gorgonia graph of the score, the loss and the gradients.

package model

import (
	"errors"
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model/graph"
)

// Network is a network's graph for one batch size N, with its loss and gradients where asked for.
type Network struct {
	Graph  *gorgonia.ExprGraph
	XTilde *gorgonia.Node // (N, H, W, C), vectors (N, D)
	Z      *gorgonia.Node // like XTilde; nil without a loss
	Mask   *gorgonia.Node // like XTilde, 0 where a value does not count in the loss; nil but with a weight that is masked
	V, VJ  *gorgonia.Node // like XTilde; nil but with a Jacobian
	Sigma  *gorgonia.Node // (N)
	Level  *gorgonia.Node // (N) uint32 by bit pattern, the noise level; nil for networks that do not read it
	Class  *gorgonia.Node // (N) uint32 by bit pattern, K being no class; nil for networks that are told none
	Score  *gorgonia.Node // like XTilde
	Loss   *gorgonia.Node // scalar; nil without a loss
	Params []*Param       // in the order of PyTorch's state_dict
	Grads  gorgonia.Nodes // d loss / d parameter, in the order of Params, nil for one that is frozen; nil without gradients
	// State is the state block of the run that it is trained in, whose step decides what is dropped; nil where nothing is.
	State *gorgonia.Node
	// Constants are inputs that always have the same values.
	Constants []Constant
}

// Constant is an input of a network with its values.
type Constant struct {
	Node   *gorgonia.Node
	Values []float32
}

// Objective says what is built on top of the score.
type Objective int

const (
	ScoreOnly Objective = iota
	LossOnly            // the loss as well
	Gradients           // and its gradient for every parameter
	Jacobian            // the score and the product V^T d score / d XTilde, of networks that are told sigma
	Guided              // the score with a class and without one, mixed: of a [Score] alone
)

// Build builds the graph for batches of the given size. weight is that of the loss, see [graph.Loss].
func Build(c Config, batch int, objective Objective, weight kernels.Weight) (net *Network, err error) {
	err = graph.Build(func() (err error) {
		net, err = build(c, batch, objective, weight)
		return err
	})
	return net, err
}

// build builds while no other graph is built.
func build(c Config, batch int, objective Objective, weight kernels.Weight) (net *Network, err error) {
	params, err := c.Params()
	if err != nil {
		return nil, err
	}
	// Errors of the builder travel up to here as panics of one type, so that a network reads as a list of layers.
	defer func() {
		if r := recover(); r != nil {
			var b buildError
			if e, ok := r.(error); !ok || !errors.As(e, &b) {
				panic(r)
			}
			net, err = nil, b.err
		}
		if err != nil {
			net, err = nil, fmt.Errorf("network %s: %w", c.Net, err)
		}
	}()
	row := c.row()
	shape := tensor.Shape{batch, c.Height, c.Width, c.Channels}
	if row.vectors {
		shape = tensor.Shape{batch, c.D()}
	}
	net = &Network{Graph: gorgonia.NewGraph(), Params: params}
	net.XTilde, net.Sigma = net.input("x_tilde", shape), net.input("sigma", tensor.Shape{batch})
	b := &builder{net: net, params: map[string]*Param{}, used: map[string]bool{}, training: objective == Gradients}
	for _, p := range params {
		p.Node = net.input(p.Name, p.Shape)
		b.params[p.Name] = p
	}
	b.numbers = b.precondition(c, weight.Factors)
	net.Score = b.wrapped(row, c, net.XTilde)
	for _, p := range params {
		if !b.used[p.Name] && !p.Frozen {
			return nil, fmt.Errorf("parameter %s is not used", p.Name)
		}
	}
	switch objective {
	case ScoreOnly, Guided:
		return net, nil
	case Jacobian:
		if !c.SeesSigma() || c.TakesLevels() {
			return nil, errors.New("it is not told sigma, and its Jacobian is not that of the score of one density")
		}
		net.V = net.input("v", shape)
		net.VJ, err = graph.VectorJacobian(net.Score, net.V, net.XTilde)
		return net, err
	}
	net.Z = net.input("z", shape)
	in := []*gorgonia.Node{net.Score, net.Z, net.Sigma}
	if weight.Factors {
		if !c.SDE.Preserving() {
			return nil, errors.New("its process has no factors of the loss")
		}
		in = append(in, b.node(graph.PreconditionRow{Which: kernels.PreconditionWeight}, "weight", b.numbers))
	}
	if weight.Masked {
		net.Mask = net.input("mask", shape)
		in = append(in, net.Mask)
	}
	net.Loss = b.node(graph.Loss{Weight: weight}, "loss", in...)
	if objective == LossOnly {
		return net, nil
	}
	var nodes gorgonia.Nodes
	for _, p := range params {
		if !p.Frozen {
			nodes = append(nodes, p.Node)
		}
	}
	grads, err := graph.Gradients(net.Loss, nodes)
	if err != nil {
		return nil, err
	}
	net.Grads = make(gorgonia.Nodes, len(params))
	for i, p := range params {
		if !p.Frozen {
			net.Grads[i], grads = grads[0], grads[1:]
		}
	}
	return net, nil
}

// input adds an input to the graph.
func (net *Network) input(name string, s tensor.Shape) *gorgonia.Node {
	return gorgonia.NewTensor(net.Graph, gorgonia.Float32, len(s), gorgonia.WithShape(s...), gorgonia.WithName(name))
}

// buildError carries an error of the builder up to build.
type buildError struct{ err error }

func (e buildError) Error() string { return e.err.Error() }

// builder adds layers to a network's graph. Paths are PyTorch's module names.
type builder struct {
	net    *Network
	params map[string]*Param
	used   map[string]bool
	// training says that gradients are taken: what is there in training alone, such as dropout, is built then.
	training bool
	numbers  *gorgonia.Node // by which the network is wrapped or told its level; nil where it is not
	told     *gorgonia.Node // see cond; nil until it is asked for
}

// sigma returns the node of sigma (N).
func (b *builder) sigma() *gorgonia.Node { return b.net.Sigma }

// state returns the node of the state block.
func (b *builder) state() *gorgonia.Node {
	if b.net.State == nil {
		b.net.State = b.net.input("state", tensor.Shape{kernels.StateWords})
	}
	return b.net.State
}

// constant returns the node of an input that always has these values.
func (b *builder) constant(name string, values []float32) *gorgonia.Node {
	n := b.net.input(name, tensor.Shape{len(values)})
	b.net.Constants = append(b.net.Constants, Constant{n, values})
	return n
}

// level returns the node of the noise level (N), which a network that never asks for it does not have.
func (b *builder) level() *gorgonia.Node {
	if b.net.Level == nil {
		b.net.Level = b.net.input("level", b.net.Sigma.Shape())
	}
	return b.net.Level
}

// class returns the embedding of the classes of the batch.
func (b *builder) class() *gorgonia.Node {
	b.net.Class = b.net.input("class", b.net.Sigma.Shape())
	return b.node(graph.Lookup{}, classEmbed, b.param(classEmbed+".weight"), b.net.Class)
}

// node adds a layer and returns its output.
func (b *builder) node(l graph.Layer, path string, in ...*gorgonia.Node) *gorgonia.Node {
	n, err := graph.Apply(l, path, in...)
	if err != nil {
		panic(buildError{err})
	}
	return n
}

// param returns the node of a parameter.
func (b *builder) param(name string) *gorgonia.Node {
	p, ok := b.params[name]
	if !ok {
		panic(buildError{fmt.Errorf("parameter %s is not declared", name)})
	}
	b.used[name] = true
	return p.Node
}

// conv adds the convolution, or linear layer, whose parameters are declared under path.
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

// add adds the sum of x and y.
func (b *builder) add(path string, x, y *gorgonia.Node) *gorgonia.Node {
	return b.node(graph.Sum{}, path, x, y)
}
