// The plan: a graph as a list of kernel calls on one arena.
//
// It is made by walking back from the outputs asked for, never over all nodes of the graph: Grad leaves dead nodes, the
// gradient of the network's input among them. Nodes are taken in the order of their making, which is a topological one.
// Each site is lowered once. Every value has its window in the arena for as long as somebody will read it; windows are
// handed on to later values of exactly the same size and kind, and in place where a kernel allows it. Exactly the same:
// then row n of the new value lies on row n of the old one, and a backend may run one row of the batch through many
// operations before it turns to the next.
package graph

import (
	"fmt"
	"sort"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
)

// Plan is a lowered graph.
type Plan struct {
	Ops []kernels.Op
	// End is the first word of the arena behind the plan's memory.
	End int

	buffers map[*gorgonia.Node]*buffer
	hiddens map[*site][]*buffer
}

// buffer is the memory of one value while the plan is made.
type buffer struct {
	words  int
	rows   bool        // one part for each row of the batch
	pinned bool        // keeps its memory for good
	buf    kernels.Buf // where it is; before memory is given out, a range of its own in an imaginary arena
	placed bool        // buf is final
	last   int         // index of the last operation that uses it
}

// NewPlan lowers what the outputs need. Nodes in placed have their windows already; every other window lies behind word
// base. The values of outputs and of leaves are kept, and so are the hidden buffers of the losses; all others share
// memory.
func NewPlan(outputs gorgonia.Nodes, placed map[*gorgonia.Node]kernels.Buf, base int) (*Plan, error) {
	p := &Plan{End: base, buffers: map[*gorgonia.Node]*buffer{}, hiddens: map[*site][]*buffer{}}
	nodes, err := needed(outputs)
	if err != nil {
		return nil, err
	}
	var all []*buffer
	add := func(words int, rows, pinned bool) *buffer {
		b := &buffer{words: words, rows: rows, pinned: pinned}
		all = append(all, b)
		return b
	}
	wanted := map[*gorgonia.Node]bool{}
	for _, n := range outputs {
		wanted[n] = true
	}
	steps, err := steps(nodes)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		leaf := len(childrenOf(n)) == 0
		op, isSite := n.Op().(siteOp)
		b := add(max(1, n.Shape().TotalSize()), !leaf && len(n.Shape()) > 0, leaf || wanted[n])
		if at, ok := placed[n]; ok {
			if at.N != b.words {
				return nil, fmt.Errorf("plan: %v needs %d words, its window has %d", n, b.words, at.N)
			}
			b.buf, b.placed, b.pinned = at, true, true
		}
		p.buffers[n] = b
		if isSite && op.of == nil {
			_, loss := op.Layer.(Loss)
			for _, words := range op.hidden(op.in) {
				p.hiddens[op.site] = append(p.hiddens[op.site], add(words, true, loss))
			}
		}
	}
	// A hidden buffer exists for the backward site; without one only a norm writes it (to read it again itself).
	backward := map[*site]bool{}
	for _, s := range steps {
		if op, ok := s.Op().(siteOp); ok && op.of != nil {
			backward[op.of] = true
		}
	}
	for s, h := range p.hiddens {
		if _, pool := s.Layer.(MaxPool); pool && !backward[s] {
			for _, b := range h {
				b.words = 0
			}
		}
	}

	// First lowering, in an imaginary arena where every value has a range of its own, to see who uses what when.
	end := base
	for _, b := range all {
		if b.placed {
			end = max(end, b.buf.Off+b.buf.N)
		}
	}
	for _, b := range all {
		if !b.placed {
			b.buf = kernels.Buf{Off: end, N: b.words}
			end += b.words
		}
	}
	starts := make([]*buffer, 0, len(all))
	for _, b := range all {
		if b.words > 0 {
			starts = append(starts, b)
		}
	}
	sort.Slice(starts, func(i, j int) bool { return starts[i].buf.Off < starts[j].buf.Off })
	holder := func(w kernels.Buf) *buffer {
		i := sort.Search(len(starts), func(i int) bool { return starts[i].buf.Off > w.Off }) - 1
		return starts[i]
	}
	imaginary := p.lower(steps)
	uses := make([][]*buffer, len(imaginary))
	inPlace := make([][][2]*buffer, len(imaginary))
	for i, op := range imaginary {
		reads, writes := op.Operands()
		for _, w := range append(reads, writes...) {
			b := holder(w)
			b.last = i
			uses[i] = append(uses[i], b)
		}
		if a, ok := op.(kernels.InPlacer); ok {
			for _, pair := range a.InPlace() {
				inPlace[i] = append(inPlace[i], [2]*buffer{holder(pair[0]), holder(pair[1])})
			}
		}
	}

	// Give out memory in the order of the operations.
	type kind struct {
		words int
		rows  bool
	}
	free := map[kind][]kernels.Buf{}
	for i := range imaginary {
		for _, pair := range inPlace[i] {
			dst, src := pair[0], pair[1]
			if !dst.placed && !dst.pinned && src.placed && !src.pinned && src.last == i && dst.words == src.words && dst.rows == src.rows {
				dst.buf, dst.placed = src.buf, true
				src.pinned = true // its memory is the other's now
			}
		}
		for _, b := range uses[i] {
			if b.placed {
				continue
			}
			k := kind{b.words, b.rows}
			if l := free[k]; len(l) > 0 && !b.pinned {
				b.buf, free[k] = l[len(l)-1], l[:len(l)-1]
			} else {
				b.buf = kernels.Buf{Off: p.End, N: b.words}
				p.End += (b.words + 15) / 16 * 16 // whole cache lines
			}
			b.placed = true
		}
		seen := map[*buffer]bool{}
		for _, b := range uses[i] {
			if b.last == i && !b.pinned && !seen[b] {
				seen[b] = true
				free[kind{b.words, b.rows}] = append(free[kind{b.words, b.rows}], b.buf)
			}
		}
	}
	for _, b := range all { // leaves that no operation reads (the noise of a graph without a loss)
		if !b.placed {
			b.buf = kernels.Buf{Off: p.End, N: b.words}
			p.End += (b.words + 15) / 16 * 16
			b.placed = true
		}
	}
	p.Ops = p.lower(steps)
	return p, nil
}

// Buf is the window of a node that was asked for, or of a leaf; absent where nothing needs the node.
func (p *Plan) Buf(n *gorgonia.Node) kernels.Buf {
	b := p.buffers[n]
	if b == nil {
		return kernels.Buf{}
	}
	return b.buf
}

// Hidden is hidden buffer i of the forward site that n is the output of.
func (p *Plan) Hidden(n *gorgonia.Node, i int) kernels.Buf {
	return p.hiddens[n.Op().(siteOp).site][i].buf
}

// needed lists what the outputs are computed from, inputs first.
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

// steps picks the nodes that are lowered: constants first, then one node of each site. Anything else that is not an
// input or Gorgonia's sum of two gradients is refused.
func steps(nodes gorgonia.Nodes) (gorgonia.Nodes, error) {
	var constants, rest gorgonia.Nodes
	sites := map[*site]bool{}
	for _, n := range nodes {
		switch op := n.Op().(type) {
		case nil: // input
		case siteOp:
			if !sites[op.site] {
				sites[op.site] = true
				rest = append(rest, n)
			}
		case interface{ Value() gorgonia.Value }:
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

// isSum tells the element-wise + that gorgonia.Grad inserts where a value has several gradients.
func isSum(n *gorgonia.Node) bool {
	op := n.Op()
	return op != nil && op.Arity() == 2 && fmt.Sprint(op) == "+ false"
}

// lower makes the kernel calls for the windows as they are now.
func (p *Plan) lower(steps gorgonia.Nodes) []kernels.Op {
	var ops []kernels.Op
	for _, n := range steps {
		var in []kernels.Buf
		for _, c := range childrenOf(n) {
			in = append(in, p.buffers[c].buf)
		}
		out := p.buffers[n].buf
		switch op := n.Op().(type) {
		case siteOp:
			forward := op.site
			outs := []kernels.Buf{out}
			if op.of != nil {
				forward = op.of
				outs = make([]kernels.Buf, len(op.nodes))
				for i, sibling := range op.nodes {
					if b := p.buffers[sibling]; sibling != nil && b != nil {
						outs[i] = b.buf
					}
				}
			}
			var hidden []kernels.Buf
			for _, b := range p.hiddens[forward] {
				hidden = append(hidden, b.buf)
			}
			ops = append(ops, op.lower(in, outs, hidden)...)
		case interface{ Value() gorgonia.Value }:
			ops = append(ops, kernels.Fill{Dst: out, Value: op.Value().Data().(float32)})
		default: // isSum
			ops = append(ops, kernels.Add{N: n.Shape()[0], Dst: out, A: in[0], B: in[1]})
		}
	}
	return ops
}
