// What is computed once: an operation that would do what an earlier one has done is left out.
//
// A network's gradient has such operations where branches meet. The gradient of a sum is that of both its terms: two
// poolings that are summed have the same gradient, and so have the sides of a join, which scales it for each.
//
// Operations are compared in the imaginary arena, where every buffer has memory of its own: two are the same if
// nothing but the memory that they write tells them apart. Each buffer of theirs must be written by one operation or
// by none, so that it holds the same values whenever it is read.

package graph

import (
	"reflect"

	"sigmaz/kernels"
)

// testApart, where it is set, leaves no operation out.
var testApart bool

// computeOnce finds the operations that are left out, and lets the buffers that they would write be the earlier ones'.
func (p *planner) computeOnce() {
	if testApart {
		return
	}
	owner := p.imagine()
	ops := p.lower()
	writers := map[*buffer]int{}
	for _, op := range ops {
		_, writes := op.Operands()
		for _, w := range writes {
			writers[owner(w)]++
		}
	}
	first := map[kernels.Op][]*buffer{} // what the first of equal operations writes
	same := map[*buffer]*buffer{}       // the buffer that holds the values of one that is not written any more
	left := make([]bool, len(ops))
	for i, op := range ops {
		key, written, ok := p.work(op, owner, writers, same)
		if !ok {
			continue
		}
		earlier, found := first[key]
		switch {
		case !found:
			first[key] = written
		case replaceable(written, earlier):
			left[i] = true
			for j, b := range written {
				same[b] = earlier[j]
			}
		}
	}
	p.leftOut = left
	p.replace(same)
}

// work returns an operation with what it reads where the values are, and what it writes as if it lay nowhere: equal
// ones do the same work. It is not ok for an operation that cannot be compared.
func (p *planner) work(op kernels.Op, owner func(kernels.Buf) *buffer, writers map[*buffer]int,
	same map[*buffer]*buffer) (key kernels.Op, written []*buffer, ok bool) {
	reads, writes := op.Operands()
	for _, r := range reads {
		if writers[owner(r)] > 1 {
			return nil, nil, false
		}
	}
	place := map[*buffer]int{}
	for _, w := range writes {
		b := owner(w)
		if writers[b] > 1 || w != b.buf {
			return nil, nil, false
		}
		written = append(written, b)
		place[b] = -len(written)
	}
	key = kernels.Moved(op, func(w kernels.Buf) kernels.Buf {
		b := owner(w)
		if at, ok := place[b]; ok {
			w.Off = at
		} else if now := same[b]; now != nil {
			w.Off += now.buf.Off - b.buf.Off
		}
		return w
	})
	return key, written, len(written) > 0 && reflect.ValueOf(key).Comparable()
}

// replaceable says whether the buffers of earlier can be those of written: of the same kind, and not asked for.
func replaceable(written, earlier []*buffer) bool {
	for i, b := range written {
		if b.own || b.kind != earlier[i].kind {
			return false
		}
	}
	return true
}

// replace takes other buffers in the place of some.
func (p *planner) replace(same map[*buffer]*buffer) {
	for n, b := range p.values {
		if s := same[b]; s != nil {
			p.values[n] = s
		}
	}
	for _, list := range p.hiddens {
		for i, b := range list {
			if s := same[b]; s != nil {
				list[i] = s
			}
		}
	}
	var kept []*buffer
	for _, b := range p.buffers {
		if same[b] == nil {
			kept = append(kept, b)
		}
	}
	p.buffers = kept
}
