// Package kernels holds every numeric operation of sigmaz: its contract, its plain Go reference, and the backends
// that run sequences of them.
//
// An operation is a value: a struct such as [Conv] or [Langevin] that names the windows of memory it reads and writes
// and the constants it needs. A list of operations is a program. A [Backend] compiles a program once and runs it many
// times; the CPU backend splits it over goroutines, a CUDA backend captures it as one graph. Because everything that
// changes from run to run (the step, the level) lives in memory as well, a compiled program never has to be rebuilt.
//
// An operation's files carry its name: conv.go has the contract and the plain Go reference (always compiled), conv.cu and
// conv_cuda.go the CUDA kernels and how they are launched. What the CPU does faster than the reference is in cpu_ops.go
// and its neighbours cpu_*.go, on the assembly of internal/vec.
//
// Conventions, once for all files:
//
//	N rows (images) of a batch, H, W height and width, C channels, D = H*W*C values of one image, L noise levels
//
// Activations are NHWC, weights (Cout, kH, kW, Cin), all float32. Sigma runs from the largest (level 0) to the
// smallest (level L-1). A Langevin step of size a is x + a s + sqrt(2a) z (the convention of NCSNv2; the paper of 2019
// writes a/2 and sqrt(a)).
package kernels

// Buf is a window of an arena: N four-byte words from word Off on. A word is a float32 unless the operation says that
// it is a uint32, which is then stored by its bit pattern (math.Float32frombits). Windows of one operation must not
// overlap unless its contract allows it. The zero Buf means "absent" where an operand is optional.
type Buf struct{ Off, N int }

// Of returns the window of b in mem, capped so that an append or an index past its end cannot reach a neighbour.
func (b Buf) Of(mem []float32) []float32 { return mem[b.Off : b.Off+b.N : b.Off+b.N] }

// Slice returns the n words of b from word off on.
func (b Buf) Slice(off, n int) Buf {
	if off < 0 || n < 0 || off+n > b.N {
		panic("kernels: Slice outside its Buf")
	}
	return Buf{b.Off + off, n}
}

// Op is one call of one kernel.
type Op interface {
	// Name is the kernel's name, the same in its Go, assembly and CUDA files.
	Name() string
	// Operands lists the windows that the call reads and those that it writes. A window that is read and written is in
	// both lists. Absent operands are left out.
	Operands() (reads, writes []Buf)
	// Ref runs the call on host memory in plain Go: the reference that every other implementation must agree with. It
	// panics when lengths do not match the shapes, which is a mistake of the caller.
	Ref(mem []float32)
}

// Backend runs programs on one device.
type Backend interface {
	// Name says what runs, for logs: "cpu (avx512, 2 workers)".
	Name() string
	// Alloc reserves an arena of the given number of words, all zero, and with it, in one piece, what programs of these
	// ops on it need beside it. Other programs may run on it too; they take more memory when they are compiled.
	Alloc(words int, programs ...[]Op) (Arena, error)
	// Workspace is the number of words that programs of these ops take beside their arena.
	Workspace(programs ...[]Op) int
	// Compile prepares ops, in this order, to run on arena a. The ops must not be changed afterwards.
	Compile(a Arena, ops []Op) (Program, error)
	// Close releases the device. Arenas and programs of the backend must not be used afterwards.
	Close() error
}

// OutOfMemory is the error of a device whose memory does not suffice.
type OutOfMemory interface {
	error
	// Memory is what was needed and what was free, in bytes.
	Memory() (need, free int64)
}

// Arena is the memory of one backend that a program runs on.
type Arena interface {
	// Words is the arena's size.
	Words() int
	// Read copies window b to dst, which has b.N values, after every program started before has ended.
	Read(dst []float32, b Buf) error
	// Write copies src, of b.N values, to window b.
	Write(b Buf, src []float32) error
	// Host is the memory itself where the host can address it (on the CPU), nil elsewhere.
	Host() []float32
}

// Program is a compiled list of operations.
type Program interface {
	// Run runs every operation once, in order.
	Run() error
}

// The words of a state block: what changes from one run of a program to the next. All are uint32 by bit pattern.
const (
	StateStep   = 0 // low word of the step: optimiser steps done (training), level*T + t (sampling), batch (evaluation)
	StateStepHi = 1 // high word of the step
	StateImage  = 2 // index of the first image of the batch (sampling)
	StateWords  = 4
)

// InPlacer is an [Op] some of whose results may take the place of an operand: pairs (written, read).
type InPlacer interface {
	InPlace() [][2]Buf
}
