// What operations and backends have in common: windows of memory, operations, programs, backends.

package kernels

import "fmt"

// Buf is a window of an arena: N values from word Off on. The words of an arena have four bytes, and so has a value
// unless Element says otherwise: it is a float32, or where the operation says so a uint32, which is then stored by its
// bit pattern (math.Float32frombits). Windows of one operation must not overlap unless its contract allows it. The zero
// Buf means "absent" where an operand is optional.
type Buf struct {
	Off, N  int
	Element Element
}

// Words returns the number of words that the window lies in.
func (b Buf) Words() int { return (b.N*b.Element.Size() + 3) / 4 }

// Of returns the window of b in mem, capped so that an append or an index past its end cannot reach a neighbour. It
// must consist of words.
func (b Buf) Of(mem []float32) []float32 {
	if b.Element != Words {
		panic(fmt.Sprintf("kernels: a window of %v is no window of words", b.Element))
	}
	return mem[b.Off : b.Off+b.N : b.Off+b.N]
}

// Slice returns the n values of b from value off on, which must begin a word.
func (b Buf) Slice(off, n int) Buf {
	at := off * b.Element.Size()
	if off < 0 || n < 0 || off+n > b.N || at%4 != 0 {
		panic("kernels: Slice outside its Buf")
	}
	return Buf{b.Off + at/4, n, b.Element}
}

// overlaps says whether two windows share words.
func (b Buf) overlaps(o Buf) bool { return b.Off < o.Off+o.Words() && o.Off < b.Off+b.Words() }

// Op is one call of one kernel. [Operations] lists them all.
type Op interface {
	// Name is the kernel's name, the same in its Go, assembly and CUDA files.
	Name() string
	// Operands lists the windows that the call reads and those that it writes. A window that is read and written is in
	// both lists. Absent operands are left out.
	Operands() (reads, writes []Buf)
	// Ref runs the call on host memory in plain Go: the reference that every other implementation must agree with. It
	// panics when lengths do not match the shapes, which is a mistake of the caller. All windows must be of words:
	// [Reference] runs it on others.
	Ref(mem []float32)
}

// InPlacer is an [Op] whose result may take the place of an operand.
type InPlacer interface {
	// InPlace lists such pairs (written, read): the kernels read an element of the operand for the last time before
	// they write the same element of the result.
	InPlace() [][2]Buf
}

// Backend runs programs on one device.
type Backend interface {
	// Name says what runs, for logs: "cpu (avx512, 2 workers)".
	Name() string
	// Arithmetic names what the bits of results depend on: "avx512", "avx2", "go on arm64", "gpu".
	Arithmetic() string
	// Multiprocessors is the number that the device has, 0 where it is no GPU: what a run that starts on it records,
	// see [ConvGradWeight].
	Multiprocessors() int
	// FreeMemory is the number of bytes that are free of the memory that the device has of its own; own is false where
	// it works in the host's.
	FreeMemory() (free int64, own bool)
	// Alloc reserves an arena of the given number of words, all zero, and with it, in one piece, what programs of
	// these ops need beside it. Other programs may run on it too; they take more memory when they are compiled.
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
	// Memory returns the bytes that were needed and those that were free.
	Memory() (need, free int64)
}

// Arena is the memory of one backend that a program runs on.
type Arena interface {
	// Words is the arena's size.
	Words() int
	// Read copies window b, of words, to dst, which has b.N values, after every program started before has ended.
	Read(dst []float32, b Buf) error
	// Write copies src, of b.N values, to window b, of words.
	Write(b Buf, src []float32) error
	// Host returns the memory itself where the host can address it (on the CPU), nil elsewhere.
	Host() []float32
}

// Program is a compiled list of operations.
type Program interface {
	// Run runs every operation once, in order.
	Run() error
}
