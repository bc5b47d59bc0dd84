// Weights in bf16: the copies that convolutions on tensor cores read.
//
// Parameters are float32, and the optimiser changes them. A plan rounds them where it begins: so its weights are those
// of the moment, whoever wrote them (Adam, a checkpoint, an average), and nothing else has to know of the copies.
// Parameters lie side by side, so this is one launch for all, which reads four bytes of a weight and writes two: less
// than a hundredth of what a step moves.

package graph

import (
	"cmp"
	"slices"

	"sigmaz/kernels"
)

// weights is all copies of a plan.
type weights struct {
	runs []*run
	at   map[*layerCall]place // by the forward's call
}

// run is the copy of weights that lie side by side, and of what lies between them.
type run struct {
	first, copy *buffer // of the first weights, of the copy
	words       int     // of the weights
}

// place is where in a run a convolution has its weights.
type place struct {
	run    *run
	off, n int
}

// longestGap is the most words between the weights of a run: they are copied in the time of a launch or less.
const longestGap = 1 << 18

// addWeights makes a buffer for the weights of the convolutions between activations in bf16.
func (p *planner) addWeights() {
	calls := map[*buffer][]*layerCall{} // by their weights
	var order []*buffer
	for _, n := range p.steps {
		op, ok := n.Op().(outputOp)
		if !ok || op.backwardOf != nil {
			continue
		}
		if _, ok := op.layer.(Conv); !ok {
			continue
		}
		children := childrenOf(n)
		if p.values[children[0]].element == kernels.BFloat16 && p.values[n].element == kernels.BFloat16 {
			w := p.values[children[1]]
			if calls[w] == nil {
				order = append(order, w)
			}
			calls[w] = append(calls[w], op.layerCall)
		}
	}
	slices.SortStableFunc(order, func(a, b *buffer) int { return cmp.Compare(a.buf.Off, b.buf.Off) })
	p.weights.at = map[*layerCall]place{}
	var r *run
	for _, w := range order {
		off := 0
		if r != nil {
			off = w.buf.Off - r.first.buf.Off
		}
		// A convolution reads 16 bytes at a time, which eight values of the copy have.
		if r == nil || !w.placed || !r.first.placed || off-r.words > longestGap || off%8 != 0 {
			r, off = &run{first: w}, 0
			p.weights.runs = append(p.weights.runs, r)
		}
		r.words = off + w.n
		for _, c := range calls[w] {
			p.weights.at[c] = place{r, off, w.n}
		}
	}
	for _, r := range p.weights.runs {
		r.copy = p.add(r.words, false, true)
		r.copy.element = kernels.BFloat16
	}
}

// of returns the weights of a forward's call, if it has such.
func (w *weights) of(call *layerCall) (kernels.Buf, bool) {
	at, ok := w.at[call]
	if !ok {
		return kernels.Buf{}, false
	}
	return at.run.copy.buf.Slice(at.off, at.n), true
}

// lower makes the operations that write the copies.
func (w *weights) lower() (ops []kernels.Op) {
	for _, r := range w.runs {
		src := kernels.Buf{Off: r.first.buf.Off, N: r.words}
		ops = append(ops, kernels.Narrow{Dst: r.copy.buf, Src: src})
	}
	return ops
}
