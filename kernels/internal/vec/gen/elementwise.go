// Element-wise kernels: one vector of each operand in, one vector out. Operands that have one value a channel
// ("patterns") repeat with a period of several pixels, so that an image of few channels is still processed in whole
// vectors.

package main

import (
	"fmt"
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// kernel is a kernel being built: its instruction set, and the registers of its constants.
type kernel struct {
	isa
	consts map[string]int
}

// floats lists the constants by name. Those of exp and log1p are for
//
//	exp(x)   = 2^n exp(r)                       n = round(x/ln 2), |r| <= ln(2)/2
//	exp(r)-1 = r + r^2 (1/2 + r/6 + ... + r^5/5040)
//	log1p(e) = 2 atanh(s) = 2s (1 + s^2/3 + s^4/5 + ...)     s = e/(2+e) <= 1/3
//
// ln 2 is split so that n*ln2Hi is exact for |n| < 2^9. The first term that exp(r)-1 leaves out is below 2e-8 of the
// result.
var floats = map[string]float64{
	"zero": 0, "one": 1, "two": 2,
	"log2e": math.Log2E,
	"ln2Hi": 355.0 / 512,
	"ln2Lo": math.Ln2 - 355.0/512,
	"ln2":   math.Ln2,
	"exp2":  1.0 / 2, "exp3": 1.0 / 6, "exp4": 1.0 / 24, "exp5": 1.0 / 120, "exp6": 1.0 / 720, "exp7": 1.0 / 5040,
	"magic":    3 << 22, // added to a small number it leaves its nearest integer in the last bits
	"leak":     0.2,
	"expm1Low": -18,  // expm1 rounds to -1 from -17.33 down
	"expLow":   -104, // exp rounds to 0 from -103.98 down
	"log3":     1.0 / 3, "log5": 1.0 / 5, "log7": 1.0 / 7, "log9": 1.0 / 9, "log11": 1.0 / 11, "log13": 1.0 / 13,
	"log15": 1.0 / 15, "log17": 1.0 / 17,
}

// use puts the constants that a kernel needs into registers: with AVX-512 all of them, from Z31 down; with AVX2 only
// those in inRegisters, from Y14 down. The others are read from memory where they are used.
func (k *kernel) use(inRegisters []string, others ...string) {
	k.consts = map[string]int{}
	next := 14
	names := inRegisters
	if k.wide() {
		next = 31
		names = append(append([]string(nil), inRegisters...), others...)
	}
	for _, name := range names {
		VMOVUPS(floatConstant(name), k.vec(next))
		k.consts[name] = next
		next--
	}
}

func floatConstant(name string) Mem {
	if name == "signBit" {
		return constant(name, 1<<31)
	}
	return constantF(name, floats[name])
}

// c returns a constant as an operand, a register or memory.
func (k *kernel) c(name string) Op {
	if r, ok := k.consts[name]; ok {
		return k.vec(r)
	}
	return floatConstant(name)
}

// r returns the register of a constant.
func (k *kernel) r(name string) Op {
	r, ok := k.consts[name]
	if !ok {
		panic("gen: constant not in a register: " + name)
	}
	return k.vec(r)
}

var (
	expInRegisters   = []string{"one", "log2e", "ln2Hi", "ln2Lo"}
	expm1InRegisters = []string{"one", "log2e", "ln2", "magic", "expm1Low"}
	expOthers        = []string{"exp2", "exp3", "exp4", "exp5", "exp6", "exp7"}
)

// expReduced computes exp(r)-1 in register p from r in register x; it uses q.
func (k *kernel) expReduced(x, p, q int) {
	v := k.vec
	VMOVUPS(k.c("exp7"), v(q))
	for _, c := range []string{"exp6", "exp5", "exp4", "exp3", "exp2"} {
		VFMADD213PS(k.c(c), v(x), v(q))
	}
	VMULPS(v(x), v(x), v(p))
	VFMADD213PS(v(x), v(q), v(p)) // r^2 q + r
}

// expParts computes n in register n and exp(r)-1 in register p, from x in register x, which it overwrites; it uses q.
// NaN stays NaN.
func (k *kernel) expParts(x, n, p, q int) {
	v := k.vec
	VMULPS(k.c("log2e"), v(x), v(n))
	k.roundNearest(n, n)
	VFNMADD231PS(k.c("ln2Hi"), v(n), v(x))
	VFNMADD231PS(k.c("ln2Lo"), v(n), v(x)) // r
	k.expReduced(x, p, q)
	VCVTPS2DQ(v(n), v(n))
}

// expm1 computes exp(x)-1 in register dst from x <= 0 in register x; it uses the registers n, p, q. The result is good
// to one unit in its last place: for n = 0 it is p, otherwise 2^n - 1 is exact. ln 2 need not be split: |n| is at most
// 26, and the error that its rounding adds to exp(x) is small against 1 - exp(x).
func (k *kernel) expm1(x, dst, n, p, q int) {
	VMAXPS(k.vec(x), k.r("expm1Low"), k.vec(x)) // NaN in the first operand is kept
	k.expm1Clamped(x, dst, n, p, q)
}

// expm1Clamped does the same for x >= expm1Low.
func (k *kernel) expm1Clamped(x, dst, n, p, q int) {
	v := k.vec
	VMOVUPS(k.c("magic"), v(n))
	VFMADD231PS(k.c("log2e"), v(x), v(n))
	VSUBPS(k.c("magic"), v(n), v(q))
	VFNMADD231PS(k.c("ln2"), v(q), v(x)) // r
	k.expReduced(x, p, q)
	VPSLLD(U8(23), v(n), v(n))     // n is in the last bits; the others are shifted out
	VPADDD(k.c("one"), v(n), v(n)) // 2^n: n is added to the exponent of 1
	VSUBPS(k.c("one"), v(n), v(dst))
	VFMADD231PS(v(n), v(p), v(dst))
}

// expNegative computes exp(x) in register 4 from x <= 0 in register 1; it uses 3 and 5.
func (k *kernel) expNegative() {
	v := k.vec
	VMAXPS(v(1), k.r("expLow"), v(1))
	k.expParts(1, 3, 4, 5)
	// 2^n (1 + p) with n down to -150. 2^n is two factors: as one it would be 0 where the result is not.
	VPSRAD(U8(1), v(3), v(5))
	VPSUBD(v(5), v(3), v(3))
	VPSLLD(U8(23), v(3), v(3))
	VPADDD(k.c("one"), v(3), v(3))
	VPSLLD(U8(23), v(5), v(5))
	VPADDD(k.c("one"), v(5), v(5))
	VFMADD213PS(v(3), v(3), v(4))
	VMULPS(v(5), v(4), v(4))
}

// sigmoid computes 1/(1 + exp(-x)) in register dst from register x, as exp(min(x, 0)) / (1 + exp(-|x|)); it uses 1 to
// 5.
func (k *kernel) sigmoid(x, dst int) {
	v := k.vec
	VORPS(k.c("signBit"), v(x), v(1))
	k.expNegative()
	VADDPS(k.c("one"), v(4), v(1))
	if k.wide() {
		VPMOVD2M(v(x), reg.K7) // the sign
		VMOVAPS(k.r("one"), v(2))
		VMOVAPS(v(4), reg.K7, v(2))
		VDIVPS(v(1), v(2), v(dst))
		return
	}
	VBLENDVPS(v(x), v(4), k.r("one"), v(4))
	VDIVPS(v(1), v(4), v(dst))
}

// swishSlope computes the sigmoid s of register x in register 1, and (1 - s) x + 1 in register dst: their product is the
// derivative of swish. It uses 1 to 5.
func (k *kernel) swishSlope(x, dst int) {
	v := k.vec
	k.sigmoid(x, 1)
	VMOVAPS(k.r("one"), v(dst))
	VSUBPS(v(1), v(dst), v(dst))
	VFMADD213PS(k.c("one"), v(x), v(dst))
}

// positive makes the mask of the lanes of register r that are above 0, with AVX-512 in K7, with AVX2 in register mask.
func (k *kernel) positive(r, mask int) {
	if k.wide() {
		VCMPPS(U8(14), k.c("zero"), k.vec(r), reg.K7)
	} else {
		VCMPPS(U8(14), k.c("zero"), k.vec(r), k.vec(mask))
	}
}

var sigmoidInRegisters = append([]string{"expLow", "signBit"}, expInRegisters...)

// elu computes ELU in register 0 from register 0; it uses 1 to 5. The result is max(expm1(min(x, 0)), x): for x <= 0,
// expm1(x) >= x, and for x > 0 the first is 0.
func (k *kernel) elu() {
	v := k.vec
	VMINPS(v(0), k.r("zero"), v(1)) // NaN in the first operand is kept
	k.expm1(1, 2, 3, 4, 5)
	VMAXPS(v(2), v(0), v(0))
}

var eluInRegisters = append([]string{"zero"}, expm1InRegisters...)

// elementwise describes a kernel. When its body runs, flat operands and then patterns are in registers 0, 1, ..., and
// scalars in registers 6 and 7 (scalar(0), scalar(1)). It leaves its result in register 0.
type elementwise struct {
	name     string
	doc      string
	flat     []string // operands read at the destination's index
	patterns []string // operands read at the index modulo period
	scalars  []string // operands that are the same for all
	use      func(k *kernel)
	body     func(k *kernel)
}

// elementwiseKernels lists the kernels. The operands of VMINPS, VMAXPS and VSUBPS stand in the reverse of Intel's
// order.
var elementwiseKernels = []elementwise{
	{name: "elu", doc: "y = x > 0 ? x : exp(x)-1", flat: []string{"x"},
		use:  func(k *kernel) { k.use(eluInRegisters, expOthers...) },
		body: func(k *kernel) { k.elu() }},
	{name: "eluBackward", doc: "dst = dy * (min(y, 0) + 1)", flat: []string{"dy", "y"},
		use: func(k *kernel) { k.use([]string{"zero", "one"}) },
		body: func(k *kernel) {
			v := k.vec
			VMINPS(v(1), k.r("zero"), v(1))
			VADDPS(k.c("one"), v(1), v(1))
			VMULPS(v(1), v(0), v(0))
		}},
	{name: "relu", doc: "dst = max(x, 0)", flat: []string{"x"},
		use:  func(k *kernel) { k.use([]string{"zero"}) },
		body: func(k *kernel) { VMAXPS(k.vec(0), k.r("zero"), k.vec(0)) }},
	{name: "reluBackward", doc: "dst = y > 0 ? dy : 0", flat: []string{"dy", "y"},
		use: func(k *kernel) { k.use([]string{"zero"}) },
		body: func(k *kernel) {
			k.positive(1, 1)
			if k.wide() {
				VMOVAPS_Z(k.vec(0), reg.K7, k.vec(0))
			} else {
				VANDPS(k.vec(1), k.vec(0), k.vec(0))
			}
		}},
	{name: "lrelu", doc: "dst = max(x, 0.2 x)", flat: []string{"x"},
		use: func(k *kernel) { k.use([]string{"leak"}) },
		body: func(k *kernel) {
			VMULPS(k.c("leak"), k.vec(0), k.vec(1))
			VMAXPS(k.vec(0), k.vec(1), k.vec(0))
		}},
	{name: "lreluBackward", doc: "dst = y > 0 ? dy : 0.2 dy", flat: []string{"dy", "y"},
		use: func(k *kernel) { k.use([]string{"zero", "leak"}) },
		body: func(k *kernel) {
			k.positive(1, 1)
			VMULPS(k.c("leak"), k.vec(0), k.vec(2))
			if k.wide() {
				VMOVAPS(k.vec(0), reg.K7, k.vec(2))
				VMOVAPS(k.vec(2), k.vec(0))
			} else {
				VBLENDVPS(k.vec(1), k.vec(0), k.vec(2), k.vec(0))
			}
		}},
	{name: "swish", doc: "dst = x / (1 + exp(-x))", flat: []string{"x"},
		use: func(k *kernel) { k.use(sigmoidInRegisters, expOthers...) },
		body: func(k *kernel) {
			k.sigmoid(0, 1)
			VMULPS(k.vec(1), k.vec(0), k.vec(0))
		}},
	{name: "swishBackward", doc: "dst = dy s (1 + x (1 - s)), s = 1 / (1 + exp(-x))", flat: []string{"dy", "x"},
		use: func(k *kernel) { k.use(sigmoidInRegisters, expOthers...) },
		body: func(k *kernel) {
			v := k.vec
			VMOVAPS(v(1), v(6))
			k.swishSlope(6, 2)
			VMULPS(v(1), v(0), v(0))
			VMULPS(v(2), v(0), v(0))
		}},
	{name: "softplus", doc: "dst = max(x, 0) + log1p(exp(-|x|))", flat: []string{"x"},
		use: func(k *kernel) {
			k.use(append([]string{"zero", "expLow", "signBit", "two"}, expInRegisters...),
				append([]string{"log3", "log5", "log7", "log9", "log11", "log13", "log15", "log17"}, expOthers...)...)
		},
		body: func(k *kernel) {
			v := k.vec
			VORPS(k.c("signBit"), v(0), v(1))
			VMAXPS(v(0), k.r("zero"), v(0))
			k.expNegative()
			// s = e / (2 + e), z = s^2
			VADDPS(k.c("two"), v(4), v(1))
			VDIVPS(v(1), v(4), v(4))
			VMULPS(v(4), v(4), v(1))
			VMOVUPS(k.c("log17"), v(2))
			for _, c := range []string{"log15", "log13", "log11", "log9", "log7", "log5", "log3"} {
				VFMADD213PS(k.c(c), v(1), v(2))
			}
			VMULPS(v(1), v(2), v(2))
			VADDPS(v(4), v(4), v(4))
			VFMADD213PS(v(4), v(4), v(2)) // 2s z (...) + 2s
			VADDPS(v(2), v(0), v(0))
		}},
	{name: "softplusBackward", doc: "dst = dy * (1 - exp(-y)), y >= 0", flat: []string{"dy", "y"},
		use: func(k *kernel) { k.use(append([]string{"signBit"}, expm1InRegisters...), expOthers...) },
		body: func(k *kernel) {
			v := k.vec
			VXORPS(k.c("signBit"), v(1), v(1))
			k.expm1(1, 2, 3, 4, 5)
			VXORPS(k.c("signBit"), v(2), v(2))
			VMULPS(v(2), v(0), v(0))
		}},
	{name: "add", doc: "dst = a + b", flat: []string{"a", "b"},
		body: func(k *kernel) { VADDPS(k.vec(1), k.vec(0), k.vec(0)) }},
	{name: "divide", doc: "dst = x / a", flat: []string{"x"}, scalars: []string{"a"},
		body: func(k *kernel) { VDIVPS(k.scalar(0), k.vec(0), k.vec(0)) }},
	// The next three round each product before they add it, as their references do.
	{name: "affine", doc: "dst = a x + b", flat: []string{"x"}, scalars: []string{"a", "b"},
		body: func(k *kernel) {
			VMULPS(k.scalar(0), k.vec(0), k.vec(0))
			VADDPS(k.scalar(1), k.vec(0), k.vec(0))
		}},
	{name: "addScaled", doc: "dst = x + a y", flat: []string{"x", "y"}, scalars: []string{"a"},
		body: func(k *kernel) {
			VMULPS(k.scalar(0), k.vec(1), k.vec(1))
			VADDPS(k.vec(1), k.vec(0), k.vec(0))
		}},
	{name: "scaledSum", doc: "dst = b (x + a y)", flat: []string{"x", "y"}, scalars: []string{"a", "b"},
		body: func(k *kernel) {
			VMULPS(k.scalar(0), k.vec(1), k.vec(1))
			VADDPS(k.vec(1), k.vec(0), k.vec(0))
			VMULPS(k.scalar(1), k.vec(0), k.vec(0))
		}},
	// x - mean is rounded by itself. The mean is not folded into shift, because scale is large for a channel that
	// hardly varies, and the rounding of mean * scale would show.
	{name: "normalize", doc: "dst = (x - mean) * scale + shift",
		flat: []string{"x"}, patterns: []string{"mean", "scale", "shift"},
		body: func(k *kernel) {
			VSUBPS(k.vec(1), k.vec(0), k.vec(0))
			VFMADD213PS(k.vec(3), k.vec(2), k.vec(0))
		}},
	{name: "normalizeELU", doc: "dst = ELU((x - mean) * scale + shift)",
		flat: []string{"x"}, patterns: []string{"mean", "scale", "shift"},
		use: func(k *kernel) { k.use(eluInRegisters, expOthers...) },
		body: func(k *kernel) {
			VSUBPS(k.vec(1), k.vec(0), k.vec(0))
			VFMADD213PS(k.vec(3), k.vec(2), k.vec(0))
			k.elu()
		}},
	{name: "normalizeSwish", doc: "dst = h / (1 + exp(-h)), h = (x - mean) * scale + shift",
		flat: []string{"x"}, patterns: []string{"mean", "scale", "shift"},
		use: func(k *kernel) { k.use(sigmoidInRegisters, expOthers...) },
		body: func(k *kernel) {
			VSUBPS(k.vec(1), k.vec(0), k.vec(0))
			VFMADD213PS(k.vec(3), k.vec(2), k.vec(0))
			k.sigmoid(0, 1)
			VMULPS(k.vec(1), k.vec(0), k.vec(0))
		}},
	{name: "normalizeSwishBackward", doc: "dst = dy s (1 + h (1 - s)), s = 1 / (1 + exp(-h)), h = (x - mean) * scale + shift",
		flat: []string{"dy", "x"}, patterns: []string{"mean", "scale", "shift"},
		use: func(k *kernel) { k.use(sigmoidInRegisters, expOthers...) },
		body: func(k *kernel) {
			v := k.vec
			VSUBPS(v(2), v(1), v(6))
			VFMADD213PS(v(4), v(3), v(6))
			k.swishSlope(6, 2)
			VMULPS(v(1), v(0), v(0))
			VMULPS(v(2), v(0), v(0))
		}},
	{name: "groupNormBackward", doc: "dst = rstd * (gamma * dh - m1 - k * (x - mean))", flat: []string{"dh", "x"},
		patterns: []string{"gamma", "m1", "mean", "k", "rstd"},
		body: func(k *kernel) {
			VSUBPS(k.vec(4), k.vec(1), k.vec(1))
			VFMSUB213PS(k.vec(3), k.vec(2), k.vec(0))
			VFNMADD231PS(k.vec(5), k.vec(1), k.vec(0))
			VMULPS(k.vec(6), k.vec(0), k.vec(0))
		}},
	{name: "normBackward", doc: "dst = ka * (dy - meanDY) + kb * (x - mean) + kc", flat: []string{"dy", "x"},
		patterns: []string{"meanDY", "mean", "ka", "kb", "kc"},
		body: func(k *kernel) {
			VSUBPS(k.vec(2), k.vec(0), k.vec(0))
			VSUBPS(k.vec(3), k.vec(1), k.vec(1))
			VFMADD213PS(k.vec(6), k.vec(5), k.vec(1))
			VFMADD213PS(k.vec(1), k.vec(4), k.vec(0))
		}},
}

const firstScalar = 6

func (k *kernel) scalar(i int) reg.VecPhysical { return k.vec(firstScalar + i) }

func (e elementwise) params() (list []string) {
	list = append(list, "dst")
	list = append(list, e.flat...)
	return append(list, e.patterns...)
}

// signature returns the kernel's parameters and their types.
func (e elementwise) signature() string {
	s := "("
	for i, p := range e.params() {
		if i > 0 {
			s += ", "
		}
		s += p
	}
	s += " *float32"
	s += ", n"
	if len(e.patterns) > 0 {
		s += ", period"
	}
	s += " int"
	for _, name := range e.scalars {
		s += ", " + name + " float32"
	}
	return s + ")"
}

func genElementwise() {
	for _, s := range isas {
		for _, e := range elementwiseKernels {
			e.build(&kernel{isa: s})
			declare(s, e.name, e.signature())
		}
		buildSumSquares(&kernel{isa: s})
		declare(s, "sumSquares", sumSquaresSignature)
		buildPadRows(s)
		declare(s, "padRows", padRowsSignature)
	}
}

func (e elementwise) build(k *kernel) {
	TEXT(e.name+k.name, NOSPLIT, "func"+e.signature())
	Pragma("noescape")
	doc := fmt.Sprintf("%s computes %s for n values", e.name+k.name, e.doc)
	if len(e.patterns) > 0 {
		doc += "; the last operands repeat after period values"
	}
	Doc(doc + ".")

	dst := reg.RDI
	flat := []reg.GPPhysical{reg.RSI, reg.RDX}[:len(e.flat)]
	patterns := []reg.GPPhysical{reg.R8, reg.R9, reg.R10, reg.R13, reg.R15}[:len(e.patterns)]
	n, period, left, i, tmp := reg.RCX, reg.R11, reg.RBX, reg.RAX, reg.R12
	loadParam("dst", dst)
	for j, name := range e.flat {
		loadParam(name, flat[j])
	}
	for j, name := range e.patterns {
		loadParam(name, patterns[j])
	}
	loadParam("n", n)
	if e.use != nil {
		e.use(k)
	}
	for j, name := range e.scalars {
		loadScalar(name, k.scalar(j))
	}
	body := func(masked bool) {
		r := 0
		sources := append(append([]reg.GPPhysical(nil), flat...), patterns...)
		for _, p := range sources {
			k.load(Mem{Base: p, Index: i, Scale: 1}, r, masked)
			r++
		}
		e.body(k)
		k.store(0, Mem{Base: dst, Index: i, Scale: 1}, masked)
	}
	if len(e.patterns) > 0 {
		loadParam("period", period)
		Label("repeat")
		MOVQ(period, left)
		CMPQ(n, left)
		CMOVQLT(n, left)
		SUBQ(left, n)
	} else {
		left = n
	}
	XORQ(i, i)
	SUBQ(U8(k.lanes), left)
	JLT(LabelRef("tail"))
	Label("whole")
	body(false)
	ADDQ(U8(k.bytes()), i)
	SUBQ(U8(k.lanes), left)
	JGE(LabelRef("whole"))
	Label("tail")
	ADDQ(U8(k.lanes), left)
	JEQ(LabelRef("next"))
	k.tailMask(left, tmp)
	body(true)
	Label("next")
	if len(e.patterns) > 0 {
		for _, p := range append([]reg.GPPhysical{dst}, flat...) {
			LEAQ(Mem{Base: p, Index: period, Scale: 4}, p)
		}
		TESTQ(n, n)
		JNE(LabelRef("repeat"))
	}
	VZEROUPPER()
	RET()
}

const padRowsSignature = "(dst, src *float32, rows, n, gap int)"

// buildPadRows copies rows and writes zeros after each.
func buildPadRows(s isa) {
	TEXT("padRows"+s.name, NOSPLIT, "func"+padRowsSignature)
	Pragma("noescape")
	Doc("padRows" + s.name + " copies rows of n values and writes gap zeros after each.")
	dst, src, rows, n, gap := reg.RDI, reg.RSI, reg.RCX, reg.RDX, reg.R8
	left, tmp, cutRow, cutGap := reg.RAX, reg.RBX, reg.R9, reg.R10
	loadParam("dst", dst)
	loadParam("src", src)
	loadParam("rows", rows)
	loadParam("n", n)
	loadParam("gap", gap)
	const zero, value, rowMask, gapMask = 0, 1, 2, 3
	for _, c := range []struct {
		n, cut reg.GPPhysical
		opmask reg.OpmaskPhysical
		vector int
	}{{n, cutRow, reg.K2, rowMask}, {gap, cutGap, reg.K3, gapMask}} {
		MOVQ(c.n, c.cut)
		ANDQ(U8(s.lanes-1), c.cut)
		MOVQ(c.cut, left)
		s.tailMask(left, tmp) // meaningless if nothing is cut off, but then not used
		if s.wide() {
			KMOVW(reg.K1, c.opmask)
		} else {
			VMOVAPS(ymm[maskReg], ymm[c.vector])
		}
	}
	s.zero(zero)
	masked := func(opmask reg.OpmaskPhysical, vector int) {
		if s.wide() {
			KMOVW(opmask, reg.K1)
		} else {
			VMOVAPS(ymm[vector], ymm[maskReg])
		}
	}
	Label("row")
	MOVQ(n, left)
	SUBQ(U8(s.lanes), left)
	JLT(LabelRef("rowTail"))
	Label("rowWhole")
	s.load(Mem{Base: src}, value, false)
	s.store(value, Mem{Base: dst}, false)
	ADDQ(U8(s.bytes()), src)
	ADDQ(U8(s.bytes()), dst)
	SUBQ(U8(s.lanes), left)
	JGE(LabelRef("rowWhole"))
	Label("rowTail")
	TESTQ(cutRow, cutRow)
	JEQ(LabelRef("gap"))
	masked(reg.K2, rowMask)
	s.load(Mem{Base: src}, value, true)
	s.store(value, Mem{Base: dst}, true)
	LEAQ(Mem{Base: src, Index: cutRow, Scale: 4}, src)
	LEAQ(Mem{Base: dst, Index: cutRow, Scale: 4}, dst)
	Label("gap")
	MOVQ(gap, left)
	SUBQ(U8(s.lanes), left)
	JLT(LabelRef("gapTail"))
	Label("gapWhole")
	s.store(zero, Mem{Base: dst}, false)
	ADDQ(U8(s.bytes()), dst)
	SUBQ(U8(s.lanes), left)
	JGE(LabelRef("gapWhole"))
	Label("gapTail")
	TESTQ(cutGap, cutGap)
	JEQ(LabelRef("next"))
	masked(reg.K3, gapMask)
	s.store(zero, Mem{Base: dst}, true)
	LEAQ(Mem{Base: dst, Index: cutGap, Scale: 4}, dst)
	Label("next")
	DECQ(rows)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

const sumSquaresSignature = "(sums *float64, x, y *float32, n int, a float32)"

// buildSumSquares adds the square of value i to sum i mod 16, in float64. The square of a float32 is exact there, so a
// fused multiply-add gives the bits of plain Go.
func buildSumSquares(k *kernel) {
	TEXT("sumSquares"+k.name, NOSPLIT, "func"+sumSquaresSignature)
	Pragma("noescape")
	Doc("sumSquares" + k.name + " computes sums[i mod 16] += (x + a y)^2 for n values.")
	sums, x, y, left, i, tmp := reg.RDI, reg.RSI, reg.RDX, reg.RCX, reg.RAX, reg.RBX
	loadParam("sums", sums)
	loadParam("x", x)
	loadParam("y", y)
	loadParam("n", left)
	loadScalar("a", k.scalar(0))
	v := k.vec
	const first = 8 // sum registers
	perSum := k.lanes / 2
	for j := 0; j < 16/perSum; j++ {
		VMOVUPD(Mem{Base: sums, Disp: 8 * perSum * j}, v(first+j))
	}
	// The lanes of a vector go to two registers of sums: sum and the next.
	body := func(at, sum int, masked bool) {
		k.load(Mem{Base: x, Index: i, Scale: 1, Disp: at}, 0, masked)
		k.load(Mem{Base: y, Index: i, Scale: 1, Disp: at}, 1, masked)
		VMULPS(k.scalar(0), v(1), v(1))
		VADDPS(v(1), v(0), v(0))
		if k.wide() {
			VEXTRACTF64X4(U8(1), zmm[0], ymm[1])
			VCVTPS2PD(ymm[0], zmm[2])
			VCVTPS2PD(ymm[1], zmm[3])
		} else {
			VEXTRACTF128(U8(1), ymm[0], xmm[1])
			VCVTPS2PD(xmm[0], ymm[2])
			VCVTPS2PD(xmm[1], ymm[3])
		}
		VFMADD231PD(v(2), v(2), v(sum))
		VFMADD231PD(v(3), v(3), v(sum+1))
	}
	XORQ(i, i)
	SUBQ(U8(16), left)
	JLT(LabelRef("tail"))
	Label("whole")
	for at := 0; at < 64; at += k.bytes() {
		body(at, first+at/k.bytes()*2, false)
	}
	ADDQ(U8(64), i)
	SUBQ(U8(16), left)
	JGE(LabelRef("whole"))
	Label("tail")
	ADDQ(U8(16), left)
	JEQ(LabelRef("done"))
	if !k.wide() { // a whole vector first, if there is one
		sum := first
		CMPQ(left, U8(8))
		JLT(LabelRef("low"))
		body(0, sum, false)
		ADDQ(U8(32), i)
		SUBQ(U8(8), left)
		JEQ(LabelRef("done"))
		k.tailMask(left, tmp)
		body(0, sum+2, true)
		JMP(LabelRef("done"))
		Label("low")
	}
	k.tailMask(left, tmp)
	body(0, first, true)
	Label("done")
	for j := 0; j < 16/perSum; j++ {
		VMOVUPD(v(first+j), Mem{Base: sums, Disp: 8 * perSum * j})
	}
	VZEROUPPER()
	RET()
}
