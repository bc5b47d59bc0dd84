//go:build cgo && !nocuda

// Launches and their arguments.

package kernels

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"sigmaz/cuda"
)

// launcher collects the launches of a program. For each kernel, cuda_launches.go has a method that adds a launch:
//
//	l.fill(grid, block, fillArgs{dst: o.Dst, value: o.Value, n: uint64(o.Dst.N)})
//
// It needs no device: addresses are what it is given, and the kernels are looked up later.
type launcher struct {
	multiprocessors int
	arena           uint64 // addresses
	workspace       uint64
	// data returns the address of a data set, or that of the slots to which its rows are streamed, with their number.
	data func(Perturb) (at address, slots int, err error)
	tile *cudaTile // that convolutions take in place of the rule's, if there is one

	launches []launch
	err      error // the first one

	// The operation at hand and what it may touch. A kernel may read what one before it wrote.
	op            cudaOp
	reads, writes []Buf

	pointers []pointerArg // of the launch at hand
}

// pointerArg is memory that a launch is given.
type pointerArg struct {
	window Buf // in the arena; absent for working memory
	values int
	bytes  int
	writes bool
}

// gridDim is the number of blocks of a launch, blockDim the number of threads of a block, in three dimensions.
type (
	gridDim  [3]int
	blockDim [3]int
)

// pointer is an argument that points to device memory: a window of the arena, absent if empty, or an address.
type pointer interface{ isPointer() }

// address is a place in device memory that is neither in the arena nor in the working memory; 0 is absent.
type address uint64

// work is a window of the working memory.
type work struct{ off, words int }

// some is a window of which a kernel reads only so many values.
type some struct {
	Buf
	values int
}

func (Buf) isPointer()     {}
func (address) isPointer() {}
func (work) isPointer()    {}

// launch adds a launch of a kernel.
func (l *launcher) launch(kernel string, grid gridDim, block blockDim, args *cuda.Args) {
	if !kernelNames()[kernel] {
		l.fail("there is no CUDA kernel %q", kernel)
	}
	if l.err == nil {
		l.launches = append(l.launches, launch{kernel: kernel, grid: grid, block: block, args: args, op: l.op,
			traffic: l.traffic()})
	}
	l.pointers = nil
}

// kernelNames is the set of all kernels.
var kernelNames = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	for _, k := range kernelList {
		names[k.name] = true
	}
	return names
})

// twin returns the kernel, or its twin, for windows that all hold the same: what that is, it says too.
func (l *launcher) twin(kernel string, windows ...pointer) (name string, e Element) {
	first := true
	for _, p := range windows {
		if s, ok := p.(some); ok {
			p = s.Buf
		}
		b, ok := p.(Buf)
		switch {
		case !ok:
			l.fail("kernel %s takes windows of the arena, and is given %v", kernel, p)
		case b.N > 0 && first:
			first, e = false, b.Element
		case b.N > 0 && b.Element != e:
			l.fail("kernel %s is given windows of %v and of %v", kernel, e, b.Element)
		}
	}
	if e == BFloat16 {
		kernel += "_bf16"
	}
	return kernel, e
}

// read returns the address of what a kernel only reads.
func (l *launcher) read(kernel, param string, e Element, p pointer) uint64 {
	return l.address(kernel, param, e, p, false)
}

// write returns the address of what a kernel writes.
func (l *launcher) write(kernel, param string, e Element, p pointer) uint64 {
	return l.address(kernel, param, e, p, true)
}

// address returns the address of an argument. A window must hold what the kernel takes, and lie in one that the
// operation lists as read or written: this finds arguments in each other's place, and operands that are not listed,
// whose memory a plan would give away.
func (l *launcher) address(kernel, param string, e Element, p pointer, writes bool) uint64 {
	does, listed := "writes", l.writes
	if !writes {
		does, listed = "reads", slices.Concat(l.reads, l.writes)
	}
	switch p := p.(type) {
	case address:
		return uint64(p)
	case work:
		l.pointers = append(l.pointers, pointerArg{values: p.words, bytes: 4 * p.words, writes: writes})
		return l.workspace + 4*uint64(p.off)
	case some:
		at := l.address(kernel, param, e, p.Buf, writes)
		if n := len(l.pointers); n > 0 {
			l.pointers[n-1].values, l.pointers[n-1].bytes = p.values, p.Element.Size()*p.values
		}
		return at
	case Buf:
		if p.N == 0 {
			return 0
		}
		if p.Element != e {
			l.fail("kernel %s %s %s of %v, and is given a window of %v", kernel, does, param, e, p.Element)
			return 0
		}
		for _, w := range listed {
			if w.Off <= p.Off && p.Off+p.Words() <= w.Off+w.Words() {
				l.pointers = append(l.pointers, pointerArg{window: p, values: p.N, bytes: p.Element.Size() * p.N, writes: writes})
				return l.arena + 4*uint64(p.Off)
			}
		}
		l.fail("kernel %s %s %s, words %d to %d, and the operation does not say so", kernel, does, param, p.Off, p.Off+p.Words())
	default:
		l.fail("kernel %s is given no %s", kernel, param)
	}
	return 0
}

// int32 checks an argument that the kernel takes as an int.
func (l *launcher) int32(kernel, param string, v int) int32 {
	if v != int(int32(v)) {
		l.fail("kernel %s takes %s with 32 bits: %d is too large", kernel, param, v)
	}
	return int32(v)
}

// flag turns a bool into the int that a kernel takes for it.
func flag(v bool) int {
	if v {
		return 1
	}
	return 0
}

// fail keeps the first error.
func (l *launcher) fail(format string, args ...any) {
	if l.err == nil {
		l.err = fmt.Errorf(format, args...)
	}
}

// small checks that images and weights have fewer words than the kernels' int counts.
func (l *launcher) small(words ...int) {
	for _, n := range words {
		if n >= math.MaxInt32 {
			l.fail("an image or the weights have %d values: the CUDA kernels take fewer than %d",
				n, math.MaxInt32)
		}
	}
}
