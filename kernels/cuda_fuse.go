//go:build cgo && !nocuda

// Fusion: element-wise operations that the kernel before them does while it has its results in registers.
//
//	convolution, gradient of its input, norms, their gradients, pools, resize
//	then up to two of   add, scaled_sum, elu, elu_grad
//
// Where the other operand of an addition is a sum itself, both additions are one step.
//
// An operation is taken along if it works on the kernel's result alone, but for one more operand, and can be moved up to
// it past what is between. A result in between is stored only if an operation after it reads it, or if the program ends
// with it in memory that is not discarded. So every word that can be seen afterwards has the bits of the operations one
// after the other; a test compares the whole arena. The kernels' part is epilogue.cuh.

package kernels

import (
	"fmt"
	"slices"
)

// operation is an [Op], or several that are fused.
type operation interface {
	Name() string
	Operands() (reads, writes []Buf)
}

// stepKind has the values of StepKind in epilogue.cuh.
type stepKind int

const (
	stepAdd     stepKind = 1
	stepELU     stepKind = 2
	stepELUGrad stepKind = 3
	stepJoin    stepKind = 4
	stepJoinTo  stepKind = 5
	stepScale   stepKind = 6
	stepAddSum  stepKind = 7
)

// step is an operation that a kernel does on its results.
type step struct {
	kind stepKind
	with Buf // the other operand; of the step after stepAddSum, which has none, that one's second
	to   Buf // absent where nobody needs the result
	op   operation

	inner, outer float32 // of a [ScaledSum]
}

// cudaEpilogue is what a kernel does with its results.
type cudaEpilogue struct {
	y     Buf      // where they are stored; absent where nobody needs them
	steps [2]step  // those with a kind
	sums  normSums // how a norm finds its sums; madeMoments: the convolution makes them
	after int      // steps, after which it does
}

// kinds returns the kinds of both steps as the kernels take them, and the steps before moments are taken.
func (e cudaEpilogue) kinds() int { return int(e.steps[0].kind) | int(e.steps[1].kind)<<4 | e.after<<8 }

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
	var list []operation
	for _, op := range ops {
		list = append(list, op)
	}
	if !testUnfused {
		list = absorb(list)
	}
	// Where a result is not stored any more, an operation that would have written over it can be moved up: again, until
	// nothing more is taken along.
	for again := !testUnfused; again; {
		again = false
		for i := 0; i < len(list); i++ {
			if f, next, ok := fuse(list[i], list[i+1:]); ok {
				list, again = append(append(list[:i:i], f), next...), true
			}
		}
	}
	list = withMoments(list)
	var all []cudaOp
	for _, o := range list {
		if _, discard := o.(Discard); discard {
			continue
		}
		op, ok := o.(cudaOp)
		if _, host := o.(HostFunc); host {
			return nil, fmt.Errorf("kernels: %s is a Go function, which no CUDA device can run: use the CPU", o.Name())
		} else if !ok {
			return nil, fmt.Errorf("kernels: operation %s has no CUDA kernel", o.Name())
		}
		all = append(all, op)
	}
	return all, nil
}

// fuse takes along what op can of next, the operations after it, and returns those that are left. It is not ok where
// there is nothing to take.
func fuse(op operation, next []operation) (f fused, left []operation, ok bool) {
	if f, ok = op.(fused); !ok {
		e, finisher := op.(cudaFinisher)
		if !finisher || e.result().N == 0 {
			return f, nil, false
		}
		f = fused{e, cudaEpilogue{y: e.result()}}
	}
	left, ok = next, false
	for i := range f.steps {
		if f.steps[i].op != nil {
			continue
		}
		s, also, without, found := f.nextStep(left)
		if !found {
			break
		}
		if s.with.N == 0 {
			s.with = f.steps[i].with // the second of a sum before it
		}
		f.steps[i], left, ok = s, without, true
		if s.kind == stepAddSum {
			f.steps[i+1].with = also
		}
	}
	if !ok {
		return f, nil, false
	}
	// What nobody needs is not stored. The last result is: it is what the operations were for.
	made := f.made()
	for i, b := range made[:len(made)-1] {
		if slices.Contains(made[i+1:], b) || overwritten(b, left) {
			if i == 0 {
				f.y = Buf{}
			} else {
				f.steps[i-1].to = Buf{}
			}
		}
	}
	return f, left, true
}

// made lists the kernel's result and those of the steps, absent where they are not stored. The last one is the value
// that the next step works on.
func (f fused) made() []Buf {
	made := []Buf{f.y}
	for _, s := range f.steps {
		if s.op != nil {
			made = append(made, s.to)
		}
	}
	return made
}

// nextStep finds the next operation on the last result, and returns it as a step, with the second operand of a sum, and the
// operations without what it is made of.
func (f fused) nextStep(next []operation) (s step, also Buf, left []operation, found bool) {
	made := f.made()
	value := made[len(made)-1]
	summed := f.steps[0].kind == stepAddSum // both operands are taken
	for i, op := range next {
		passed := next[:i] // that the operation would be moved past
		s, ok := asStep(op, value)
		switch {
		case !ok || summed && s.with.N > 0:
		case movable(op, passed) && f.allows(s):
			return s, Buf{}, slices.Concat(passed, next[i+1:]), true
		case s.kind == stepAdd && f.steps[0].op == nil:
			if s, also, left, ok := f.asSum(s, next, i); ok {
				return s, also, left, true
			}
		}
		if _, writes := op.Operands(); anyOverlap(value, writes, false) {
			break
		}
	}
	return step{}, Buf{}, nil, false
}

// asSum returns addition i of next together with the one that makes its other operand, and the operations without both.
// Nobody else may need that operand.
func (f fused) asSum(s step, next []operation, i int) (both step, also Buf, left []operation, ok bool) {
	for j := i - 1; j >= 0; j-- {
		a, is := next[j].(Add)
		if !is || a.Dst != s.with {
			if touches(next[j], s.with) {
				break
			}
			continue
		}
		left = slices.Concat(next[:j], next[j+1:i], next[i+1:])
		sum := addition{a, s}
		both = step{kind: stepAddSum, with: a.A, to: s.to, op: sum}
		second := both
		second.with = a.B
		ok = (s.to == a.Dst || overwritten(a.Dst, left[j:])) && movable(sum, left[:i-1]) && f.allows(both) && f.allows(second)
		return both, a.B, left, ok
	}
	return step{}, Buf{}, nil, false
}

// addition is the sum of three as an operation: of a value, and of two that are added first.
type addition struct {
	first Add
	then  step
}

func (o addition) Name() string { return o.first.Name() + ", " + o.then.op.Name() }
func (o addition) Operands() (reads, writes []Buf) {
	return []Buf{o.first.A, o.first.B}, []Buf{o.then.to}
}

// asStep returns op as a step on a value.
func asStep(op operation, value Buf) (s step, ok bool) {
	switch o := op.(type) {
	case Add:
		switch {
		case o.A == value && o.B != value:
			s = step{kind: stepAdd, with: o.B, to: o.Dst}
		case o.B == value && o.A != value:
			s = step{kind: stepAdd, with: o.A, to: o.Dst}
		}
	case ScaledSum:
		switch {
		case o.A == value && o.B.N == 0:
			s = step{kind: stepScale, to: o.Dst}
		case o.A == value && o.B != value:
			s = step{kind: stepJoin, with: o.B, to: o.Dst}
		case o.B == value && o.A != value:
			s = step{kind: stepJoinTo, with: o.A, to: o.Dst}
		}
		s.inner, s.outer = o.Inner, o.Outer
	case Activate:
		if o.F == ELU && o.X == value {
			s = step{kind: stepELU, to: o.Y}
		}
	case ActivateGrad:
		if o.F == ELU && o.DY == value && o.Y != value {
			s = step{kind: stepELUGrad, with: o.Y, to: o.DX}
		}
	}
	s.op = op
	for _, b := range present(s.with, s.to) {
		if b.N != value.N || b.Element != value.Element {
			return step{}, false
		}
	}
	return s, s.kind != 0
}

// movable says whether op may run before the operations in passed: they neither touch what it writes nor write what it
// reads.
func movable(op operation, passed []operation) bool {
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
func (f fused) allows(s step) bool {
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
	for _, w := range without(writes, []Buf{f.result()}) { // statistics
		if s.to.overlaps(w) || s.with.overlaps(w) {
			return false
		}
	}
	for _, m := range f.made() {
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
func overwritten(b Buf, next []operation) bool {
	for _, op := range next {
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
