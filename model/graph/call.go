// Layer calls and their nodes: how a layer becomes Gorgonia operations. doc.go says what a layer call is.

package graph

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// layerCall is one computation of a graph: the forward of a layer on its inputs, or the backward of such a forward.
type layerCall struct {
	layer Layer
	path  string       // the layer's place in the network
	in    shapes       // of the forward's inputs
	out   tensor.Shape // of the forward's output
	// backwardOf is the forward's call, of a backward; nil for a forward.
	backwardOf *layerCall
	// nodes are the outputs: one of a forward; of a backward one for each input, nil where none is computed.
	nodes gorgonia.Nodes
}

// forward returns the forward's call, of a backward and of a forward alike.
func (c *layerCall) forward() *layerCall {
	if c.backwardOf != nil {
		return c.backwardOf
	}
	return c
}

// outputOp is output i of a layer call as a Gorgonia operation.
type outputOp struct {
	*layerCall
	i int
}

var _ gorgonia.SDOp = outputOp{}

// Apply adds a layer to the graph of its inputs, under a path that is its own, and returns its output.
func Apply(l Layer, path string, in ...*gorgonia.Node) (*gorgonia.Node, error) {
	c := &layerCall{layer: l, path: path, in: shapesOf(in)}
	var err error
	if c.out, err = l.output(c.in); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n, err := addOutput(c, 0, in)
	c.nodes = gorgonia.Nodes{n}
	return n, err
}

// Source returns the layer whose output a node is, the layer's path and its inputs in order; ok is false of an input of the
// graph and of a gradient.
func Source(n *gorgonia.Node) (l Layer, path string, in gorgonia.Nodes, ok bool) {
	op, ok := n.Op().(outputOp)
	if !ok || op.backwardOf != nil {
		return nil, "", nil, false
	}
	return op.layer, op.path, childrenOf(n), true
}

// addOutput adds output i of call c with these children to their graph. It fails if Gorgonia answers with another node;
// see the traps in doc.go.
func addOutput(c *layerCall, i int, children gorgonia.Nodes) (*gorgonia.Node, error) {
	n, err := gorgonia.ApplyOp(outputOp{c, i}, children...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.path, err)
	}
	if got, ok := n.Op().(outputOp); !ok || got.layerCall != c || got.i != i {
		return nil, fmt.Errorf("%s: Gorgonia merged the node with %v", c.path, n)
	}
	for j, child := range childrenOf(n) {
		if child != children[j] {
			return nil, fmt.Errorf("%s: child %d is %v instead of %v", c.path, j, child, children[j])
		}
	}
	return n, nil
}

// shapes returns those of the operation's inputs and of its output.
func (o outputOp) shapes() (in []tensor.Shape, out tensor.Shape) {
	if o.backwardOf == nil {
		return o.in, o.out
	}
	return append(append([]tensor.Shape(nil), o.in...), o.out, o.out), o.in[o.i]
}

func (o outputOp) Arity() int { in, _ := o.shapes(); return len(in) }

// Type is concrete: the shapes are known when a call is made.
func (o outputOp) Type() hm.Type {
	in, out := o.shapes()
	var types []hm.Type
	for _, s := range append(append([]tensor.Shape(nil), in...), out) {
		if len(s) == 0 {
			types = append(types, gorgonia.Float32)
			continue
		}
		types = append(types, gorgonia.TensorType{Dims: len(s), Of: gorgonia.Float32})
	}
	return hm.NewFnType(types...)
}

func (o outputOp) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	want, out := o.shapes()
	for i, d := range in {
		if s, ok := d.(tensor.Shape); ok && !s.Eq(want[i]) {
			return nil, fmt.Errorf("%s: input %d has shape %v, expected %v", o.path, i, s, want[i])
		}
	}
	return out.Clone(), nil
}

func (o outputOp) ReturnsPtr() bool     { return false }
func (o outputOp) CallsExtern() bool    { return false }
func (o outputOp) OverwritesInput() int { return -1 }

// WriteHash writes all that tells the outputs of a graph apart: Gorgonia merges nodes of one hash.
func (o outputOp) WriteHash(h hash.Hash) {
	fmt.Fprintf(h, "sigmaz %s %v backward=%t output=%d in=%v", o.path, o.layer, o.backwardOf != nil, o.i, o.in)
}

func (o outputOp) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o outputOp) String() string {
	if o.backwardOf != nil {
		return fmt.Sprintf("%s: d%d %v", o.path, o.i, o.layer)
	}
	return fmt.Sprintf("%s: %v", o.path, o.layer)
}

// DiffWRT is all false for a backward: second derivatives are not supported.
func (o outputOp) DiffWRT(inputs int) []bool {
	has := make([]bool, inputs)
	if o.backwardOf == nil {
		for i, g := range o.layer.gradients() {
			has[i] = g != none
		}
	}
	return has
}

// SymDiff adds the call of the backward: one sibling node for each input whose gradient it computes.
func (o outputOp) SymDiff(inputs gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.backwardOf != nil {
		return nil, fmt.Errorf("%s: no second derivative", o.path)
	}
	back := &layerCall{layer: o.layer, path: o.path, in: o.in, out: o.out, backwardOf: o.layerCall,
		nodes: make(gorgonia.Nodes, len(inputs))}
	grads := make(gorgonia.Nodes, len(inputs))
	children := append(append(gorgonia.Nodes(nil), inputs...), output, grad)
	for i, g := range o.layer.gradients() {
		switch g {
		case passed:
			grads[i] = grad
		case computed:
			var err error
			if back.nodes[i], err = addOutput(back, i, children); err != nil {
				return nil, err
			}
			grads[i] = back.nodes[i]
		}
	}
	return grads, nil
}

// lower turns the call into kernel operations. in is the memory of its children, out that of its outputs, absent where
// nobody reads them, hidden that of the forward's hidden buffers.
func (c *layerCall) lower(in, out, hidden []kernels.Buf, precision kernels.Precision) []kernels.Op {
	w := windows{in: in, hidden: hidden, precision: precision}
	if c.backwardOf == nil {
		w.out = out[0]
		return c.layer.forward(c.in, w)
	}
	n := len(c.in)
	w.in, w.out, w.dout, w.din = in[:n], in[n], in[n+1], out
	return c.layer.backward(c.in, w)
}

// Do runs the call through the plain Go references, so that Gorgonia's own machines can run the graph: in tests they
// are the oracle of plan and machine. A backward computes its forward again for the hidden buffers.
func (o outputOp) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	var words int
	window := func(n int) kernels.Buf {
		b := kernels.Buf{Off: words, N: n}
		words += n
		return b
	}
	in := make([]kernels.Buf, len(values))
	for i, v := range values {
		in[i] = window(v.Shape().TotalSize())
	}
	_, shape := o.shapes()
	hidden := make([]kernels.Buf, 0, 4)
	for _, h := range o.layer.hidden(o.in) {
		hidden = append(hidden, window(h.words))
	}
	var ops []kernels.Op
	result := window(shape.TotalSize())
	if o.backwardOf == nil {
		ops = o.lower(in, []kernels.Buf{result}, hidden, kernels.Float32)
	} else {
		again := window(o.out.TotalSize())
		ops = o.backwardOf.lower(in[:len(o.in)], []kernels.Buf{again}, hidden, kernels.Float32)
		out := make([]kernels.Buf, len(o.in))
		for i, g := range o.layer.gradients() { // a kernel may want all of its gradients
			if g == computed && i != o.i {
				out[i] = window(o.in[i].TotalSize())
			}
		}
		out[o.i] = result
		ops = append(ops, o.lower(in, out, hidden, kernels.Float32)...)
	}
	mem := make([]float32, words)
	for i, v := range values {
		switch data := v.Data().(type) {
		case []float32:
			copy(in[i].Of(mem), data)
		case float32:
			in[i].Of(mem)[0] = data
		default:
			return nil, fmt.Errorf("%s: input %d is a %T, expected float32", o.path, i, data)
		}
	}
	for _, op := range ops {
		op.Ref(mem)
	}
	if len(shape) == 0 {
		v := gorgonia.F32(result.Of(mem)[0])
		return &v, nil
	}
	return tensor.New(tensor.WithShape(shape...), tensor.WithBacking(append([]float32(nil), result.Of(mem)...))), nil
}

// childrenOf lists the inputs of a node in order.
func childrenOf(n *gorgonia.Node) gorgonia.Nodes {
	var children gorgonia.Nodes
	for it := n.Graph().From(n.ID()); it != nil && it.Next(); {
		children = append(children, it.Node().(*gorgonia.Node))
	}
	return children
}

func shapesOf(nodes gorgonia.Nodes) shapes {
	list := make(shapes, len(nodes))
	for i, n := range nodes {
		list[i] = n.Shape()
	}
	return list
}
