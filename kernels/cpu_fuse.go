// Fusion on the CPU: operations that one stage runs together, because what one of them writes the next ones read while it
// is still in the cache.
//
//	norm, ELU in its place                       the norm's scale and shift with the ELU, on one read
//	convolution, what follows its result         in the transform that writes the result (vec.Epilogue):
//	    * ELU'(y)       activation gradient      the gradient with respect to a layer's input goes on through its ELU
//	    + a             sum                      residual sums, and sums of gradients
//	    ELU             activation               in place, or beside the result where both are read later
//
// All of these in this order, each at most once. The bits are those of the operations one after the other.
package kernels

import "sigmaz/kernels/internal/vec"

// fused lowers the first of ops together with those after it that join it, n in all, and lists what they read and write.
func fused(mem []float32, ops []Op) (s stage, reads, writes []Buf, n int) {
	reads, writes = ops[0].Operands()
	switch o := ops[0].(type) {
	case Norm:
		if len(ops) > 1 && o.fuses(ops[1]) {
			return lowerNorm(mem, o, vec.NormalizeELU), reads, writes, 2 // the windows are the norm's
		}
	case Conv:
		if o.winograd() {
			e, n := follow(ops, o.Y, present(o.X, o.Weight, o.Bias))
			o.Y = e.result
			return lowerWinoConv(mem, o, e), append(reads, e.reads()...), e.writes(), n
		}
	case ConvGradInput:
		if o.winograd() {
			e, n := follow(ops, o.DX, []Buf{o.DY, o.Weight})
			o.DX = e.result
			return lowerWinoGradInput(mem, o, e), append(reads, e.reads()...), e.writes(), n
		}
	}
	return lower(mem, ops[0]), reads, writes, 1
}

// epilogue is what follows a convolution; absent windows are no part of it.
type epilogue struct {
	result                 Buf // where the result goes
	activated, addend, elu Buf
}

func (e epilogue) reads() []Buf { return present(e.activated, e.addend) }
func (e epilogue) writes() []Buf {
	if e.elu == e.result {
		return []Buf{e.result}
	}
	return present(e.result, e.elu)
}

// of is the epilogue on memory.
func (e epilogue) of(mem []float32) vec.Epilogue {
	return vec.Epilogue{Activated: of(mem, e.activated)(), Addend: of(mem, e.addend)(), ELU: of(mem, e.elu)()}
}

// follow finds how many of ops, the first of which is a convolution that writes y and reads the given windows as a whole,
// can be done at once, and what follows the convolution then.
func follow(ops []Op, y Buf, whole []Buf) (e epilogue, n int) {
	e.result = y
	for n = 1; n < len(ops); n++ {
		next := e
		switch o := ops[n].(type) {
		case ActivateGrad:
			if o.F != ELU || o.DY != e.result || e != (epilogue{result: y}) {
				return e, n
			}
			next.result, next.activated = o.DX, o.Y
		case Add:
			if e.addend.N > 0 || e.elu.N > 0 || (o.A == e.result) == (o.B == e.result) {
				return e, n
			}
			next.result, next.addend = o.Dst, o.A
			if o.A == e.result {
				next.addend = o.B
			}
		case Activate:
			if o.F != ELU || o.X != e.result || e.elu.N > 0 || e.activated.N > 0 {
				return e, n
			}
			next.elu = o.Y
		default:
			return e, n
		}
		if !next.fits(whole) || next.result != e.result && !dead(ops[n+1:], e.result) {
			return e, n
		}
		e = next
	}
	return e, n
}

// fits says whether all windows are as large as the result, pixel on pixel or apart, and those written are apart from what
// is read as a whole: other pixels of that are still needed when the first results are written.
func (e epilogue) fits(whole []Buf) bool {
	all := append(e.reads(), e.writes()...)
	for _, b := range all {
		if b.N != e.result.N || anyOverlap(b, all, true) {
			return false
		}
	}
	for _, b := range e.writes() {
		if anyOverlap(b, whole, false) {
			return false
		}
	}
	return true
}

// dead says whether the value of window b is overwritten before anything reads it. At the end of a program it may be read
// from outside.
func dead(ops []Op, b Buf) bool {
	for _, op := range ops {
		reads, writes := op.Operands()
		if anyOverlap(b, reads, false) {
			return false
		}
		for _, w := range writes {
			if w == b {
				return true
			}
		}
	}
	return false
}
