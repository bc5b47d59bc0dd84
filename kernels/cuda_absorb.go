//go:build cgo && !nocuda

// Absorption: an operation that the kernels of another one do on the way, so that it is no launch and no pass over memory
// of its own.
//
//	conv, add_row to its result               the row is a second bias
//	group_norm, dropout of its result         the norm drops what it stores
//	dropout of a gradient, group_norm_grad    both passes over the gradient drop what they read
//
// What is between the two must be needed by nobody else, since it is not stored. The bits are those of the operations one
// after the other: the kernels round between them as memory would. Steps (cuda_fuse.go) are fused with what comes of it.

package kernels

import "slices"

// cudaAbsorber is an operation that can do one after it too.
type cudaAbsorber interface {
	cudaFinisher
	// absorb returns the operation that does both, if next works on this one's result. The step is what is new of it: its
	// operand and its place.
	absorb(next operation) (both operation, s step, ok bool)
}

// cudaFollower is an operation that can do one before it too.
type cudaFollower interface {
	cudaFinisher
	// follow returns the operation that does both, if this one reads the result of before.
	follow(before operation) (both operation, ok bool)
}

// absorb returns operations with those absorbed that can be. The list is used up.
func absorb(list []operation) []operation {
	for i := 0; i < len(list); i++ {
		both, at, early, ok := absorbNext(list[i], list[i+1:])
		if !ok {
			both, at, ok = absorbed(list[i], list[i+1:])
		}
		switch {
		case ok && early:
			list[i] = both
			list = slices.Delete(list, i+1+at, i+2+at)
		case ok:
			list[i+1+at] = both
			list = slices.Delete(list, i, i+1)
			i--
		}
	}
	return list
}

// absorbNext returns op with the operation of next that it absorbs, that one's place, and whether both are done early, in
// op's place, or in that one's: a row may be computed between the two.
func absorbNext(op operation, next []operation) (both operation, at int, early, ok bool) {
	a, is := op.(cudaAbsorber)
	if !is || a.result().N == 0 {
		return nil, 0, false, false
	}
	for i, o := range next {
		if both, s, ok := a.absorb(o); ok {
			gone := s.to == a.result() || overwritten(a.result(), slices.Concat(next[:i], next[i+1:]))
			f := fused{a, cudaEpilogue{y: a.result()}}
			early := movable(o, next[:i])
			return both, i, early, gone && (early || movable(op, next[:i])) && f.allows(s)
		}
		if touches(o, a.result()) {
			break
		}
	}
	return nil, 0, false, false
}

// absorbed returns the operation of next that absorbs op, with it, and that one's place.
func absorbed(op operation, next []operation) (both operation, at int, ok bool) {
	d, is := op.(Dropout)
	if !is {
		return nil, 0, false
	}
	for i, o := range next {
		if f, is := o.(cudaFollower); is {
			if both, ok := f.follow(d); ok {
				gone := f.result() == d.Y || overwritten(d.Y, next[i+1:])
				return both, i, gone && movable(d, next[:i])
			}
		}
		if touches(o, d.Y) {
			break
		}
	}
	return nil, 0, false
}

// touches says whether an operation reads or writes a part of b.
func touches(op operation, b Buf) bool {
	reads, writes := op.Operands()
	return anyOverlap(b, reads, false) || anyOverlap(b, writes, false)
}
