// The plan: a graph as a list of kernel operations on one arena.
//
// A plan is made in six stages, each a function below or, the second, in once.go:
//
//	1  values       what the outputs need: a buffer for every value, a step for every layer call
//	2  computeOnce  a first lowering, in an imaginary arena where every buffer has memory of its own: what is there twice
//	3  uses         a second one without that: who uses what when
//	4  give         memory, in the order of the operations: in place, handed on from buffers that are done with, or new
//	5  giveUnused   memory for values that no operation uses
//	6  lower        the final lowering, to the memory given
//
// What shares memory is discarded at the end, so that a backend need not store what nobody reads.
//
// Memory is handed on only between buffers of exactly the same size and kind. Row n of the new value then lies on row n
// of the old one, and a backend may run one row of the batch through many operations before it turns to the next.

package graph

import (
	"fmt"
	"slices"
	"sort"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
)

// Plan is a lowered graph.
type Plan struct {
	Ops []kernels.Op
	// End is the first word of the arena behind the plan's memory.
	End int

	values  map[*gorgonia.Node]*buffer
	hiddens map[*layerCall][]*buffer // of a forward's call
}

// Buf returns the memory of a node that was asked for, or of a leaf; absent where nothing needs the node.
func (p *Plan) Buf(n *gorgonia.Node) kernels.Buf {
	if b := p.values[n]; b != nil {
		return b.buf
	}
	return kernels.Buf{}
}

// Hidden returns the memory of hidden buffer i of the layer whose output is n. The layer must keep it, as [Loss] does.
func (p *Plan) Hidden(n *gorgonia.Node, i int) kernels.Buf {
	return p.hiddens[n.Op().(outputOp).layerCall][i].buf
}

// NewPlan lowers what the outputs need. Nodes in placed have their memory already; all other memory lies behind word
// base.
//
// Outputs, leaves and hidden buffers that their layer keeps have memory of their own; all other values share it.
//
// Precision is what convolutions compute in and what activations are kept in; see [kernels.Precision.Stored]. Linear
// layers, what they are between, and the ends of the network are float32 in any, and so is all that is not an image of
// the batch: parameters, their gradients, statistics, the loss.
func NewPlan(outputs gorgonia.Nodes, placed map[*gorgonia.Node]kernels.Buf, base int,
	precision kernels.Precision) (*Plan, error) {
	p, err := values(outputs, placed, precision)
	if err != nil {
		return nil, err
	}
	p.end = base
	p.computeOnce()
	uses := p.uses()
	shared := p.shared()
	p.give(uses)
	p.giveUnused()
	ops := append(p.lower(), discard(shared))
	return &Plan{Ops: ops, End: p.end, values: p.values, hiddens: p.hiddens}, nil
}

// planner is a plan that is being made.
type planner struct {
	steps   gorgonia.Nodes // what is lowered, in order: one node of each layer call, constants and sums
	values  map[*gorgonia.Node]*buffer
	hiddens map[*layerCall][]*buffer // of a forward's call
	buffers []*buffer                // all of both, in the order of the nodes

	precision kernels.Precision
	weights   weights // in bf16
	leftOut   []bool  // operations of the steps, in their order; see once.go

	end      int                    // first word behind the memory given out
	released map[kind][]kernels.Buf // memory of buffers that are done with, the latest last
}

// buffer is the memory of one value or of one hidden buffer.
type buffer struct {
	kind
	own    bool        // it hands its memory on to no other buffer, and takes none
	buf    kernels.Buf // where it is; in stages 2 and 3 memory of its own in an imaginary arena
	placed bool        // buf is final
	last   int         // index of the last operation that uses it
}

// kind is what two buffers must have in common for one to take the other's memory.
type kind struct {
	n       int  // values
	rows    bool // one part for each row of the batch
	element kernels.Element
}

// at returns a window for the buffer from a word on.
func (k kind) at(word int) kernels.Buf { return kernels.Buf{Off: word, N: k.n, Element: k.element} }

// Stage 1.

// values makes a buffer for every value that the outputs need, and lists what is lowered to compute them.
func values(outputs gorgonia.Nodes, placed map[*gorgonia.Node]kernels.Buf,
	precision kernels.Precision) (*planner, error) {
	nodes, err := needed(outputs)
	if err != nil {
		return nil, err
	}
	p := &planner{values: map[*gorgonia.Node]*buffer{}, hiddens: map[*layerCall][]*buffer{},
		released: map[kind][]kernels.Buf{}, precision: precision}
	if p.steps, err = steps(nodes); err != nil {
		return nil, err
	}
	asked := map[*gorgonia.Node]bool{}
	for _, n := range outputs {
		asked[n] = true
	}
	trained := map[*layerCall]bool{} // forwards with a backward
	for _, n := range p.steps {
		if op, ok := n.Op().(outputOp); ok && op.backwardOf != nil {
			trained[op.backwardOf] = true
		}
	}
	atEnds := atEnds(nodes)
	inWords := inWords(nodes, atEnds, precision)
	for _, n := range nodes {
		leaf := len(childrenOf(n)) == 0
		b := p.add(max(1, n.Shape().TotalSize()), !leaf && len(n.Shape()) > 0, leaf || asked[n])
		if !leaf && !asked[n] && !atEnds[n] && !inWords[n] {
			b.element = p.element(n)
		}
		if at, ok := placed[n]; ok {
			if at.N != b.n {
				return nil, fmt.Errorf("plan: %v needs %d words, its window has %d", n, b.n, at.N)
			}
			b.buf, b.placed, b.own = at, true, true
		}
		p.values[n] = b
		if op, ok := n.Op().(outputOp); ok && op.backwardOf == nil {
			for _, h := range op.layer.hidden(op.in) {
				if h.forBackward && !trained[op.layerCall] {
					h.words = 0
				}
				p.hiddens[op.layerCall] = append(p.hiddens[op.layerCall], p.add(h.words, true, h.kept))
			}
		}
	}
	p.addWeights()
	return p, nil
}

// element says what the values of a node hold that is computed and is no end of the network: an image what the
// precision keeps it in, a gradient what the value has whose gradient it is.
func (p *planner) element(n *gorgonia.Node) kernels.Element {
	children, shape := childrenOf(n), n.Shape()
	switch op := n.Op().(type) {
	case outputOp:
		if op.backwardOf != nil {
			return p.values[children[op.i]].element
		}
		if len(shape) == 4 {
			return p.precision.Stored(shape[3])
		}
		return kernels.Words
	}
	return p.values[children[0]].element // a sum of gradients
}

// atEnds lists what layers at the ends of a network read and write: where images come in, and where a score goes out.
func atEnds(nodes gorgonia.Nodes) map[*gorgonia.Node]bool {
	at := map[*gorgonia.Node]bool{}
	for _, n := range nodes {
		op, ok := n.Op().(outputOp)
		if !ok || op.backwardOf != nil {
			continue
		}
		switch op.layer.(type) {
		case Affine, DivSigma, Loss:
			for _, end := range append(childrenOf(n), n) {
				at[end] = true
			}
		}
	}
	return at
}

// inWords lists the images of a network that are of words: inputs, those whose channels the precision keeps so, those at the
// ends, and all that a layer brings together with them. The kernels of a layer read and write images of one kind, but for
// convolutions, which go between two. Other layers keep the channels, so that this matters where [Concat] joins some that
// tensor cores take to some that they do not.
func inWords(nodes gorgonia.Nodes, atEnds map[*gorgonia.Node]bool, precision kernels.Precision) map[*gorgonia.Node]bool {
	words, beside := map[*gorgonia.Node]bool{}, map[*gorgonia.Node]gorgonia.Nodes{}
	var found gorgonia.Nodes
	add := func(n *gorgonia.Node) {
		if !words[n] {
			words[n] = true
			found = append(found, n)
		}
	}
	for _, n := range nodes {
		if len(n.Shape()) != 4 {
			continue
		}
		if len(childrenOf(n)) == 0 {
			add(n) // an input
		}
		op, ok := n.Op().(outputOp)
		if !ok || op.backwardOf != nil {
			continue
		}
		if atEnds[n] || precision.Stored(n.Shape()[3]) == kernels.Words {
			add(n)
		}
		if _, ok := op.layer.(Conv); ok {
			continue
		}
		for _, c := range childrenOf(n) {
			beside[n], beside[c] = append(beside[n], c), append(beside[c], n)
		}
	}
	for len(found) > 0 {
		n := found[0]
		found = found[1:]
		for _, other := range beside[n] {
			if len(other.Shape()) == 4 {
				add(other)
			}
		}
	}
	return words
}

func (p *planner) add(n int, rows, own bool) *buffer {
	b := &buffer{kind: kind{n: n, rows: rows}, own: own}
	p.buffers = append(p.buffers, b)
	return b
}

// needed lists what the outputs are computed from, inputs first: the order in which nodes were made is such an order.
func needed(outputs gorgonia.Nodes) (gorgonia.Nodes, error) {
	seen := map[*gorgonia.Node]bool{}
	var nodes gorgonia.Nodes
	stack := append(gorgonia.Nodes(nil), outputs...)
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if seen[n] {
			continue
		}
		seen[n] = true
		nodes = append(nodes, n)
		for _, c := range childrenOf(n) {
			if c.ID() >= n.ID() {
				return nil, fmt.Errorf("plan: %v was made before its input %v", n, c)
			}
			stack = append(stack, c)
		}
	}
	sort.Slice(nodes, func(i, j int) bool { return nodes[i].ID() < nodes[j].ID() })
	return nodes, nil
}

// constant is a constant of Gorgonia, such as the 1 from which Grad starts.
type constant interface{ Value() gorgonia.Value }

// steps picks the nodes that are lowered: constants first, then one node of each layer call, and the sums that Grad
// inserts. Any other operation is refused.
func steps(nodes gorgonia.Nodes) (gorgonia.Nodes, error) {
	var constants, rest gorgonia.Nodes
	calls := map[*layerCall]bool{}
	for _, n := range nodes {
		switch op := n.Op().(type) {
		case nil: // input
		case outputOp:
			if !calls[op.layerCall] {
				calls[op.layerCall] = true
				rest = append(rest, n)
			}
		case constant:
			if _, ok := op.Value().Data().(float32); !ok {
				return nil, fmt.Errorf("plan: constant %v is no float32 scalar", n)
			}
			constants = append(constants, n)
		default:
			if !isSum(n) {
				return nil, fmt.Errorf("plan: operation %v of node %v has no kernel", n.Op(), n)
			}
			rest = append(rest, n)
		}
	}
	return append(constants, rest...), nil
}

// Stage 3.

// use is what one operation does with buffers.
type use struct {
	buffers []*buffer    // that it reads or writes
	inPlace [][2]*buffer // of each pair the first may lie where the second does
}

// uses lowers the steps in an imaginary arena, and finds for every operation its buffers and for every buffer its last
// operation.
func (p *planner) uses() []use {
	owner := p.imagine()
	ops := p.lower()
	uses := make([]use, len(ops))
	for i, op := range ops {
		reads, writes := op.Operands()
		for _, w := range append(reads, writes...) {
			b := owner(w)
			b.last = i
			uses[i].buffers = append(uses[i].buffers, b)
		}
		if a, ok := op.(kernels.InPlacer); ok {
			for _, pair := range a.InPlace() {
				uses[i].inPlace = append(uses[i].inPlace, [2]*buffer{owner(pair[0]), owner(pair[1])})
			}
		}
	}
	return uses
}

// imagine gives every buffer that has no memory yet a range of its own behind all others, and returns the function that
// finds the buffer which a window lies in.
func (p *planner) imagine() (owner func(kernels.Buf) *buffer) {
	end := p.end
	for _, b := range p.buffers {
		if b.placed {
			end = max(end, b.buf.Off+b.buf.Words())
		}
	}
	var byPlace []*buffer
	for _, b := range p.buffers {
		if !b.placed {
			b.buf = b.at(end)
			end += b.buf.Words()
		}
		if b.n > 0 {
			byPlace = append(byPlace, b)
		}
	}
	sort.Slice(byPlace, func(i, j int) bool { return byPlace[i].buf.Off < byPlace[j].buf.Off })
	return func(w kernels.Buf) *buffer {
		return byPlace[sort.Search(len(byPlace), func(i int) bool { return byPlace[i].buf.Off > w.Off })-1]
	}
}

// shared lists the buffers whose memory may be handed on, to them or from them.
func (p *planner) shared() (list []*buffer) {
	for _, b := range p.buffers {
		if !b.own && b.n > 0 {
			list = append(list, b)
		}
	}
	return list
}

// Stage 4.

// give gives memory to the buffers that the operations use, in their order.
func (p *planner) give(uses []use) {
	for i, u := range uses {
		for _, pair := range u.inPlace {
			takeOver(pair[0], pair[1], i)
		}
		for _, b := range u.buffers {
			p.place(b)
		}
		for j, b := range u.buffers {
			if b.last == i && !b.own && !slices.Contains(u.buffers[:j], b) {
				p.released[b.kind] = append(p.released[b.kind], b.buf)
			}
		}
	}
}

// takeOver lets dst lie where src does, if operation i is the last that uses src.
func takeOver(dst, src *buffer, i int) {
	if dst.placed || dst.own || !src.placed || src.own || src.last != i || dst.kind != src.kind {
		return
	}
	dst.buf, dst.placed = src.buf, true
	src.own = true // it has nothing left to hand on
}

// place gives a buffer memory unless it has some: what was released last by a buffer of its kind, or new memory.
func (p *planner) place(b *buffer) {
	if b.placed {
		return
	}
	if free := p.released[b.kind]; len(free) > 0 && !b.own {
		b.buf, p.released[b.kind] = free[len(free)-1], free[:len(free)-1]
	} else {
		b.buf = b.at(p.end)
		p.end += (b.buf.Words() + 15) / 16 * 16 // whole cache lines
	}
	b.placed = true
}

// Stage 5.

// giveUnused gives memory of their own to values that no operation uses, such as the noise of a graph without a loss.
func (p *planner) giveUnused() {
	for _, b := range p.buffers {
		if !b.placed {
			b.own = true
			p.place(b)
		}
	}
}

// Stages 2, 3 and 6.

// lower makes the operations that are not left out, on the memory as it is now.
func (p *planner) lower() []kernels.Op {
	ops := p.weights.lower()
	for _, n := range p.steps {
		var in []kernels.Buf
		for _, c := range childrenOf(n) {
			in = append(in, p.values[c].buf)
		}
		switch op := n.Op().(type) {
		case outputOp:
			if w, ok := p.weights.of(op.layerCall.forward()); ok {
				in[1] = w
			}
			out, hidden := p.outputs(op.layerCall), p.hidden(op.layerCall.forward())
			ops = append(ops, op.layerCall.lower(in, out, hidden, p.precision)...)
		case constant:
			ops = append(ops, kernels.Fill{Dst: p.values[n].buf, Value: op.Value().Data().(float32)})
		default: // a sum
			ops = append(ops, kernels.Add{N: n.Shape()[0], Dst: p.values[n].buf, A: in[0], B: in[1]})
		}
	}
	if p.leftOut == nil {
		return ops
	}
	var kept []kernels.Op
	for i, op := range ops {
		if !p.leftOut[i] {
			kept = append(kept, op)
		}
	}
	return kept
}

// discard discards the memory of buffers.
func discard(buffers []*buffer) kernels.Discard {
	var d kernels.Discard
	for _, b := range buffers {
		if !slices.Contains(d.Windows, b.buf) {
			d.Windows = append(d.Windows, b.buf)
		}
	}
	return d
}

// outputs lists the memory of a call's outputs, absent where nobody asked for one.
func (p *planner) outputs(c *layerCall) []kernels.Buf {
	list := make([]kernels.Buf, len(c.nodes))
	for i, n := range c.nodes {
		if b := p.values[n]; n != nil && b != nil {
			list[i] = b.buf
		}
	}
	return list
}

// hidden lists the memory of a forward's hidden buffers.
func (p *planner) hidden(c *layerCall) []kernels.Buf {
	var list []kernels.Buf
	for _, b := range p.hiddens[c] {
		list = append(list, b.buf)
	}
	return list
}
