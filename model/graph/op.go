// The network as a Gorgonia graph: every node is an output of a site.
//
// A [gorgonia.Op] has one output, but a kernel often has several: the backward of a convolution gives dx, dw and db, and
// a norm leaves its statistics for its backward. A site is one such computation: a layer, its place in the network (the
// path) and its inputs. Its outputs are sibling nodes, whose ops name the site and the output's index; its hidden
// buffers are no nodes at all. The plan lowers a site once, to calls of package kernels.
//
// The backward site of a layer takes, in this order, the forward's inputs, the forward's output and the gradient of that
// output, and gives one output for each input that has a gradient. All layers follow this rule, so differentiation is
// written once, and Op.Do can recompute the forward's hidden buffers from the backward's inputs.
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

// Layer is what a site computes: a thin face over kernels. Its String gives its kind and all its attributes.
type Layer interface {
	fmt.Stringer
	// output is the shape of the forward's output.
	output(in []tensor.Shape) (tensor.Shape, error)
	// hidden lists the sizes in words of what the forward leaves for the backward.
	hidden(in []tensor.Shape) []int
	// grads says which inputs have a gradient.
	grads() []bool
	// forward is the forward in kernels: in and out are one window for each node, hidden may hold absent windows when
	// nobody reads them.
	forward(s *site, in []kernels.Buf, out kernels.Buf, hidden []kernels.Buf) []kernels.Op
	// backward is the gradient in kernels: din has a window for each input, absent where nobody asked for it.
	backward(s *site, in []kernels.Buf, out, dout kernels.Buf, din, hidden []kernels.Buf) []kernels.Op
}

// site is one computation of the graph, forward or backward.
type site struct {
	Layer
	path string
	in   []tensor.Shape // of the forward's inputs
	out  tensor.Shape   // of the forward's output
	// of is the forward site of a backward one, nil for a forward one.
	of *site
	// nodes are the outputs: one forward, one for each input backward (nil where there is no gradient).
	nodes gorgonia.Nodes
}

// rows is the number of rows (images) of the site's batch.
func (s *site) rows() int { return s.in[0][0] }

// siteOp is output i of a site as a Gorgonia operation.
type siteOp struct {
	*site
	i int
}

var _ gorgonia.SDOp = siteOp{}

// addOutput adds output i of site s with these children to their graph. It fails if Gorgonia answers with another node: a
// new node whose hash, type and number of children equal those of an old one is silently merged with it, whatever its
// children are.
func addOutput(s *site, i int, children gorgonia.Nodes) (*gorgonia.Node, error) {
	n, err := gorgonia.ApplyOp(siteOp{s, i}, children...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	if got, ok := n.Op().(siteOp); !ok || got.site != s || got.i != i {
		return nil, fmt.Errorf("%s: Gorgonia merged the node with %v", s.path, n)
	}
	for j, c := range childrenOf(n) {
		if c != children[j] {
			return nil, fmt.Errorf("%s: child %d is %v instead of %v", s.path, j, c, children[j])
		}
	}
	return n, nil
}

// Apply adds a layer to the graph of its inputs, under a path that is its own, and returns its output.
func Apply(l Layer, path string, in ...*gorgonia.Node) (*gorgonia.Node, error) {
	s := &site{Layer: l, path: path, in: shapesOf(in)}
	var err error
	if s.out, err = l.output(s.in); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n, err := addOutput(s, 0, in)
	s.nodes = gorgonia.Nodes{n}
	return n, err
}

// shapes of the op's children and of its output.
func (o siteOp) shapes() (in []tensor.Shape, out tensor.Shape) {
	in, out = o.in, o.out
	if o.of != nil {
		in, out = append(append([]tensor.Shape(nil), o.in...), o.out, o.out), o.in[o.i]
	}
	return in, out
}

func (o siteOp) Arity() int { in, _ := o.shapes(); return len(in) }

// Type is concrete: the shapes are known when a site is made.
func (o siteOp) Type() hm.Type {
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

func (o siteOp) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	want, out := o.shapes()
	for i, d := range in {
		if s, ok := d.(tensor.Shape); ok && !s.Eq(want[i]) {
			return nil, fmt.Errorf("%s: input %d has shape %v, expected %v", o.path, i, s, want[i])
		}
	}
	return out.Clone(), nil
}

func (o siteOp) ReturnsPtr() bool     { return false }
func (o siteOp) CallsExtern() bool    { return false }
func (o siteOp) OverwritesInput() int { return -1 }

// WriteHash writes all that tells sites apart; see addOutput.
func (o siteOp) WriteHash(h hash.Hash) {
	fmt.Fprintf(h, "sigmaz %s %v backward=%t output=%d in=%v", o.path, o.Layer, o.of != nil, o.i, o.in)
}

func (o siteOp) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o siteOp) String() string {
	if o.of != nil {
		return fmt.Sprintf("%s: d%d %v", o.path, o.i, o.Layer)
	}
	return fmt.Sprintf("%s: %v", o.path, o.Layer)
}

// DiffWRT is all false for a backward site: second derivatives are not supported.
func (o siteOp) DiffWRT(inputs int) []bool {
	if o.of != nil {
		return make([]bool, inputs)
	}
	return o.grads()
}

// SymDiff adds the backward site: one sibling node for each input that has a gradient.
func (o siteOp) SymDiff(inputs gorgonia.Nodes, output, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.of != nil {
		return nil, fmt.Errorf("%s: no second derivative", o.path)
	}
	if _, sum := o.Layer.(Sum); sum {
		return gorgonia.Nodes{grad, grad}, nil // d(a+b) is the gradient itself for both: no node, no copy
	}
	b := &site{Layer: o.Layer, path: o.path, in: o.in, out: o.out, of: o.site, nodes: make(gorgonia.Nodes, len(inputs))}
	children := append(append(gorgonia.Nodes(nil), inputs...), output, grad)
	for i, ok := range o.grads() {
		if !ok {
			continue
		}
		var err error
		if b.nodes[i], err = addOutput(b, i, children); err != nil {
			return nil, err
		}
	}
	return b.nodes, nil
}

// lower turns the site into kernel calls. in are the windows of the children; out of the outputs, absent where nobody
// reads them; hidden of the forward's hidden buffers.
func (s *site) lower(in, out, hidden []kernels.Buf) []kernels.Op {
	if s.of == nil {
		return s.forward(s, in, out[0], hidden)
	}
	n := len(s.in)
	return s.backward(s, in[:n], in[n], in[n+1], out, hidden)
}

// Do runs the site through the plain Go references, so that Gorgonia's own machines can run the graph: the oracle of
// plan and machine in the tests. A backward site computes its forward again for the hidden buffers.
func (o siteOp) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
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
	for _, n := range o.hidden(o.in) {
		hidden = append(hidden, window(n))
	}
	var ops []kernels.Op
	result := window(shape.TotalSize())
	if o.of == nil {
		ops = o.lower(in, []kernels.Buf{result}, hidden)
	} else {
		again := window(o.out.TotalSize())
		ops = o.of.lower(in[:len(o.in)], []kernels.Buf{again}, hidden)
		out := make([]kernels.Buf, len(o.in))
		for i, ok := range o.grads() { // a kernel may want all of its gradients
			if ok && i != o.i {
				out[i] = window(o.in[i].TotalSize())
			}
		}
		out[o.i] = result
		ops = append(ops, o.lower(in, out, hidden)...)
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

func shapesOf(nodes gorgonia.Nodes) []tensor.Shape {
	shapes := make([]tensor.Shape, len(nodes))
	for i, n := range nodes {
		shapes[i] = n.Shape()
	}
	return shapes
}
