//go:build cgo && !nocuda

// Fusion: element-wise operations that the kernel before them does while it has its results in registers.
//
//	convolution, gradient of its input, norm, its gradient, pools, resize   then up to two of   add, elu, elu_grad
//
// An operation is taken along if it works on the kernel's result alone, but for one more operand, and can be moved up to
// it past what is between. A result in between is stored only if an operation after it reads it, or if the program ends
// with it in memory that is not discarded. So every word that can be seen afterwards has the bits of the operations one after the other; a
// test compares the whole arena. The kernels' part is epilogue.cuh.

package kernels

import (
	"fmt"
	"slices"
)

// stepKind has the values of StepKind in epilogue.cuh.
type stepKind int

const (
	stepAdd     stepKind = 1
	stepELU     stepKind = 2
	stepELUGrad stepKind = 3
)

// step is an operation that a kernel does on its results.
type step struct {
	kind stepKind
	with Buf // the other operand
	to   Buf // absent where nobody needs the result
	op   Op
}

// cudaEpilogue is what a kernel does with its results.
type cudaEpilogue struct {
	y     Buf     // where they are stored; absent where nobody needs them
	steps [2]step // those with a kind
}

// kinds returns the kinds of both steps as the kernels take them.
func (e cudaEpilogue) kinds() int { return int(e.steps[0].kind) | int(e.steps[1].kind)<<4 }

// cudaFinisher is an operation whose kernels take steps.
type cudaFinisher interface {
	cudaOp
	// result returns the window that the steps work on.
	result() Buf
	// launchWith is launch with an epilogue.
	launchWith(l *launcher, e cudaEpilogue)
}

// fused is an operation with its steps.
type fused struct {
	cudaFinisher
	cudaEpilogue
}

func (f fused) Name() string {
	name := f.cudaFinisher.Name()
	for _, s := range f.steps {
		if s.op != nil {
			name += ", " + s.op.Name()
		}
	}
	return name
}

func (f fused) Operands() (reads, writes []Buf) {
	reads, writes = f.cudaFinisher.Operands()
	writes = append(without(writes, []Buf{f.result()}), present(f.y)...)
	for _, s := range f.steps {
		reads, writes = append(reads, present(s.with)...), append(writes, present(s.to)...)
	}
	return reads, writes
}

func (f fused) launch(l *launcher) { f.launchWith(l, f.cudaEpilogue) }

func (f fused) cudaWorkspace() int {
	if w, ok := f.cudaFinisher.(cudaWorkspacer); ok {
		return w.cudaWorkspace()
	}
	return 0
}

// testUnfused, where it is set, keeps every operation by itself.
var testUnfused bool

// fuseCUDA returns operations as CUDA runs them.
func fuseCUDA(ops []Op) ([]cudaOp, error) {
	var list []cudaOp
	taken := make([]bool, len(ops)) // by an operation before
	for i, o := range ops {
		if _, discard := o.(Discard); discard || taken[i] {
			continue
		}
		op, ok := o.(cudaOp)
		if _, host := o.(HostFunc); host {
			return nil, fmt.Errorf("kernels: %s is a Go function, which no CUDA device can run: use the CPU", o.Name())
		} else if !ok {
			return nil, fmt.Errorf("kernels: operation %s has no CUDA kernel", o.Name())
		}
		if e, ok := op.(cudaFinisher); ok && e.result().N > 0 && !testUnfused {
			op = fuse(e, ops[i+1:], taken[i+1:])
		}
		list = append(list, op)
	}
	return list, nil
}

// fuse takes along what it can of next, the operations after op, and marks it as taken.
func fuse(op cudaFinisher, next []Op, taken []bool) cudaOp {
	f := fused{op, cudaEpilogue{y: op.result()}}
	made := []Buf{f.y} // the results so far
	for i := range f.steps {
		s, at := f.nextStep(made, next, taken)
		if at < 0 {
			break
		}
		f.steps[i], taken[at] = s, true
		made = append(made, s.to)
	}
	if len(made) == 1 {
		return op
	}
	// What nobody needs is not stored. The last result is: it is what the operations were for.
	for i, b := range made[:len(made)-1] {
		if slices.Contains(made[i+1:], b) || overwritten(b, next, taken) {
			if i == 0 {
				f.y = Buf{}
			} else {
				f.steps[i-1].to = Buf{}
			}
		}
	}
	return f
}

// nextStep finds the next operation on the last of the results made, and its place in next: -1 if there is none.
func (f fused) nextStep(made []Buf, next []Op, taken []bool) (step, int) {
	value := made[len(made)-1]
	var passed []Op // that the operation would be moved past
	for i, op := range next {
		if taken[i] {
			continue
		}
		if s, ok := asStep(op, value); ok && movable(op, passed) && f.allows(s, made) {
			return s, i
		}
		passed = append(passed, op)
		if _, writes := op.Operands(); anyOverlap(value, writes, false) {
			break
		}
	}
	return step{}, -1
}

// asStep returns op as a step on a value.
func asStep(op Op, value Buf) (s step, ok bool) {
	switch o := op.(type) {
	case Add:
		switch {
		case o.A == value && o.B != value:
			s = step{stepAdd, o.B, o.Dst, op}
		case o.B == value && o.A != value:
			s = step{stepAdd, o.A, o.Dst, op}
		}
	case Activate:
		if o.F == ELU && o.X == value {
			s = step{stepELU, Buf{}, o.Y, op}
		}
	case ActivateGrad:
		if o.F == ELU && o.DY == value && o.Y != value {
			s = step{stepELUGrad, o.Y, o.DX, op}
		}
	}
	for _, b := range present(s.with, s.to) {
		if b.N != value.N || b.Element != value.Element {
			return step{}, false
		}
	}
	return s, s.kind != 0
}

// movable says whether op may run before the operations in passed: they neither touch what it writes nor write what it
// reads.
func movable(op Op, passed []Op) bool {
	reads, writes := op.Operands()
	for _, p := range passed {
		r, w := p.Operands()
		for _, b := range writes {
			if anyOverlap(b, r, false) || anyOverlap(b, w, false) {
				return false
			}
		}
		for _, b := range reads {
			if anyOverlap(b, w, false) {
				return false
			}
		}
	}
	return true
}

// allows says whether the kernel may do a step after those before it. Blocks run in any order, so what the kernel reads
// must stay as it is while it runs, unless the thread that reads a value is the one that stores a result in its place.
func (f fused) allows(s step, made []Buf) bool {
	reads, writes := f.cudaFinisher.Operands()
	var own []Buf // in whose place the result may lie
	if p, ok := f.cudaFinisher.(InPlacer); ok {
		for _, pair := range p.InPlace() {
			own = append(own, pair[1])
		}
	}
	for _, r := range reads {
		if s.to.overlaps(r) && !(s.to == r && slices.Contains(own, r)) {
			return false
		}
	}
	for _, w := range without(writes, made[:1]) { // statistics
		if s.to.overlaps(w) || s.with.overlaps(w) {
			return false
		}
	}
	for _, m := range made {
		if s.with.overlaps(m) || s.to.overlaps(m) && s.to != m {
			return false
		}
	}
	with := []Buf{s.with}
	for _, before := range f.steps {
		with = append(with, before.with)
	}
	return !anyOverlap(s.to, present(with...), true)
}

// overwritten says whether the operations that are left write or discard all of b before any of them reads a part of it.
func overwritten(b Buf, next []Op, taken []bool) bool {
	for i, op := range next {
		if taken[i] {
			continue
		}
		reads, writes := op.Operands()
		if anyOverlap(b, reads, false) {
			return false
		}
		for _, w := range writes {
			if w.Off <= b.Off && b.Off+b.Words() <= w.Off+w.Words() {
				return true
			}
		}
	}
	return false
}
