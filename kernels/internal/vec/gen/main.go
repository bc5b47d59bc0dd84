// The two instruction sets, and what differs between them.

package main

import (
	"flag"
	"fmt"
	"math"
	"os"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	part := flag.String("part", "", "which family of kernels to write")
	dispatch := flag.String("dispatch", "", "files for the Go side of the kernels, without _amd64.go and _other.go")
	flag.Parse() // avo's Generate parses the flags, too, but the kernels are built before it
	ConstraintExpr("amd64")
	switch *part {
	case "conv":
		genConv()
		writeConvDispatch(*dispatch)
		*dispatch = ""
	case "elementwise":
		genElementwise()
	case "columns":
		genColumns()
	case "pool":
		genPool()
	case "noise":
		genNoise()
	case "adam":
		genAdam()
	case "wino":
		genWino()
		writeWinoDispatch(*dispatch)
	case "softmax":
		genSoftmax()
	case "taps":
		genTaps()
	case "matmul":
		genMatMul()
	case "peak":
		genPeak()
	default:
		fmt.Fprintf(os.Stderr, "gen: unknown part %q\n", *part)
		os.Exit(2)
	}
	writeDispatch(*dispatch)
	Generate()
}

// isa is one instruction set: its suffix in function names and its lanes of float32.
type isa struct {
	name  string
	lanes int
}

var (
	avx512 = isa{"AVX512", 16}
	avx2   = isa{"AVX2", 8}
	isas   = []isa{avx512, avx2}
)

func (s isa) wide() bool { return s.lanes == 16 }
func (s isa) bytes() int { return 4 * s.lanes }

// vec returns vector register i.
func (s isa) vec(i int) reg.VecPhysical {
	if s.wide() {
		return zmm[i]
	}
	return ymm[i]
}

var (
	ymm = []reg.VecPhysical{reg.Y0, reg.Y1, reg.Y2, reg.Y3, reg.Y4, reg.Y5, reg.Y6, reg.Y7,
		reg.Y8, reg.Y9, reg.Y10, reg.Y11, reg.Y12, reg.Y13, reg.Y14, reg.Y15}
	zmm = []reg.VecPhysical{reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7,
		reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
		reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23,
		reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31}
	// The lower halves, for widening to float64.
	xmm = []reg.VecPhysical{reg.X0, reg.X1, reg.X2, reg.X3, reg.X4, reg.X5, reg.X6, reg.X7,
		reg.X8, reg.X9, reg.X10, reg.X11, reg.X12, reg.X13, reg.X14, reg.X15}
)

// zero clears register r.
func (s isa) zero(r int) {
	if s.wide() {
		VPXORD(zmm[r], zmm[r], zmm[r])
	} else {
		VXORPS(ymm[r], ymm[r], ymm[r])
	}
}

// tailMask makes the mask of the first n lanes, with AVX-512 in K1, with AVX2 in register maskReg (Y15). n is a 64-bit
// register that holds 1 to lanes-1; it is overwritten.
func (s isa) tailMask(n, tmp reg.GPPhysical) {
	if s.wide() {
		MOVQ(I32(-1), tmp)
		BZHIQ(n, tmp, tmp)
		KMOVW(tmp.As32(), reg.K1)
		return
	}
	// A window of eight -1 and eight 0 that starts 8-n words in.
	NEGQ(n)
	LEAQ(slidingMask(), tmp)
	VMOVUPS(Mem{Base: tmp, Index: n, Scale: 4, Disp: 32}, ymm[maskReg])
}

const maskReg = 15

// load reads a vector at m into register r. A masked load leaves zero in the lanes past the tail and does not touch
// their memory.
func (s isa) load(m Mem, r int, masked bool) {
	switch {
	case !masked:
		VMOVUPS(m, s.vec(r))
	case s.wide():
		VMOVUPS_Z(m, reg.K1, zmm[r])
	default:
		VMASKMOVPS(m, ymm[maskReg], ymm[r])
	}
}

// store writes register r to m, only the lanes of the tail if masked.
func (s isa) store(r int, m Mem, masked bool) {
	switch {
	case !masked:
		VMOVUPS(s.vec(r), m)
	case s.wide():
		VMOVUPS(zmm[r], reg.K1, m)
	default:
		VMASKMOVPS(ymm[r], ymm[maskReg], m)
	}
}

// roundNearest rounds to an integer, ties to even, without raising inexact.
func (s isa) roundNearest(src, dst int) {
	if s.wide() {
		VRNDSCALEPS(U8(8), zmm[src], zmm[dst])
	} else {
		VROUNDPS(U8(8), ymm[src], ymm[dst])
	}
}

// constants are the tables in read-only memory, by name. Each is a full AVX-512 vector, so that either width can load
// it.
var constants = map[string]Mem{}

// table returns the memory of 16 words, which it makes once.
func table(name string, word func(i int) uint32) Mem {
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, RODATA|NOPTR)
	for i := 0; i < 16; i++ {
		DATA(4*i, U32(word(i)))
	}
	constants[name] = m
	return m
}

// constant returns the memory of a vector whose lanes all hold bits.
func constant(name string, bits uint32) Mem {
	return table(name, func(int) uint32 { return bits })
}

func constantF(name string, v float64) Mem { return constant(name, math.Float32bits(float32(v))) }

// slidingMask returns the memory of eight words of ones and then eight of zeros.
func slidingMask() Mem {
	return table("slidingMask", func(i int) uint32 {
		if i < 8 {
			return math.MaxUint32
		}
		return 0
	})
}

// loadParam loads a parameter of the function being built into a fixed register.
func loadParam(name string, r reg.Register) { Load(Param(name), r) }

// loadScalar spreads a float32 parameter over the lanes of a register.
func loadScalar(name string, r reg.VecPhysical) {
	b, err := Param(name).Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(b.Addr, r)
}
