// Softmax of rows and its gradient: sums and maxima over a row, then a second and third pass while the row is in the
// first level cache.

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	softmaxSignature         = "(dst, src *float32, rows, n int)"
	softmaxBackwardSignature = "(dst, dy, y *float32, rows, n int)"
)

func genSoftmax() {
	for _, s := range isas {
		buildSoftmax(&kernel{isa: s})
		declare(s, "softmax", softmaxSignature)
		buildSoftmaxBackward(&kernel{isa: s})
		declare(s, "softmaxBackward", softmaxBackwardSignature)
	}
}

// The registers of both kernels.
var rowDst, rowSrc, rowAt, rowCount, rowLength, rowLeft, rowCut, rowIndex, rowTmp = reg.RDI, reg.RSI, reg.RDX, reg.RCX,
	reg.R8, reg.RBX, reg.R9, reg.RAX, reg.R12

// rowMask makes the mask of a row's last vector, where it is cut, and its length in bytes.
func (k *kernel) rowMask() {
	MOVQ(rowLength, rowCut)
	ANDQ(U8(k.lanes-1), rowCut)
	MOVQ(rowCut, rowLeft)
	k.tailMask(rowLeft, rowTmp) // meaningless where nothing is cut off, but then not used
}

// pass goes over the vectors of a row.
func (k *kernel) pass(label string, body func(masked bool)) {
	XORQ(rowIndex, rowIndex)
	MOVQ(rowLength, rowLeft)
	SUBQ(U8(k.lanes), rowLeft)
	JLT(LabelRef(label + "Tail"))
	Label(label)
	body(false)
	ADDQ(U8(k.bytes()), rowIndex)
	SUBQ(U8(k.lanes), rowLeft)
	JGE(LabelRef(label))
	Label(label + "Tail")
	TESTQ(rowCut, rowCut)
	JEQ(LabelRef(label + "End"))
	body(true)
	Label(label + "End")
}

// across folds the lanes of register r with f and spreads the result over them; it uses register tmp.
func (k *kernel) across(r, tmp int, f func(a, b, dst reg.VecPhysical)) {
	if k.wide() {
		VEXTRACTF64X4(U8(1), zmm[r], ymm[tmp])
		f(ymm[tmp], ymm[r], ymm[r])
	}
	VEXTRACTF128(U8(1), ymm[r], xmm[tmp])
	f(xmm[tmp], xmm[r], xmm[r])
	VPERMILPS(U8(0x4e), xmm[r], xmm[tmp])
	f(xmm[tmp], xmm[r], xmm[r])
	VPERMILPS(U8(0xb1), xmm[r], xmm[tmp])
	f(xmm[tmp], xmm[r], xmm[r])
	VBROADCASTSS(xmm[r], k.vec(r))
}

func vmax(a, b, dst reg.VecPhysical) { VMAXPS(a, b, dst) }
func vadd(a, b, dst reg.VecPhysical) { VADDPS(a, b, dst) }

func buildSoftmax(k *kernel) {
	TEXT("softmax"+k.name, NOSPLIT, "func"+softmaxSignature)
	Pragma("noescape")
	Doc("softmax" + k.name + " computes dst = exp(src - m) / sum of exp(src - m), m = max of src, for rows of n values.")
	loadParam("dst", rowDst)
	loadParam("src", rowSrc)
	loadParam("rows", rowCount)
	loadParam("n", rowLength)
	k.use(append([]string{"expLow"}, expInRegisters...), expOthers...)
	v := k.vec
	const value, largest, sum = 0, 6, 7 // 1 to 5 are those of exp
	k.rowMask()
	Label("row")
	VBROADCASTSS(Mem{Base: rowSrc}, v(largest))
	k.pass("largest", func(masked bool) {
		k.load(Mem{Base: rowSrc, Index: rowIndex, Scale: 1}, value, masked)
		switch {
		case masked && k.wide():
			VMAXPS(v(value), v(largest), reg.K1, v(largest))
			return
		case masked:
			VBLENDVPS(ymm[maskReg], v(value), v(largest), v(value))
		}
		VMAXPS(v(value), v(largest), v(largest))
	})
	k.across(largest, value, vmax)
	k.zero(sum)
	k.pass("exp", func(masked bool) {
		k.load(Mem{Base: rowSrc, Index: rowIndex, Scale: 1}, 1, masked)
		VSUBPS(v(largest), v(1), v(1))
		k.expNegative()
		k.store(4, Mem{Base: rowDst, Index: rowIndex, Scale: 1}, masked)
		switch { // lanes past the row hold anything
		case masked && k.wide():
			VADDPS(v(4), v(sum), reg.K1, v(sum))
			return
		case masked:
			VANDPS(ymm[maskReg], v(4), v(4))
		}
		VADDPS(v(4), v(sum), v(sum))
	})
	k.across(sum, value, vadd)
	VDIVPS(v(sum), k.r("one"), v(sum))
	k.pass("scale", func(masked bool) {
		k.load(Mem{Base: rowDst, Index: rowIndex, Scale: 1}, value, masked)
		VMULPS(v(sum), v(value), v(value))
		k.store(value, Mem{Base: rowDst, Index: rowIndex, Scale: 1}, masked)
	})
	LEAQ(Mem{Base: rowSrc, Index: rowLength, Scale: 4}, rowSrc)
	LEAQ(Mem{Base: rowDst, Index: rowLength, Scale: 4}, rowDst)
	DECQ(rowCount)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}

func buildSoftmaxBackward(k *kernel) {
	TEXT("softmaxBackward"+k.name, NOSPLIT, "func"+softmaxBackwardSignature)
	Pragma("noescape")
	Doc("softmaxBackward" + k.name + " computes dst = y (dy - sum of dy y) for rows of n values.")
	loadParam("dst", rowDst)
	loadParam("dy", rowSrc)
	loadParam("y", rowAt)
	loadParam("rows", rowCount)
	loadParam("n", rowLength)
	v := k.vec
	const dy, y, dot = 0, 1, 2
	k.rowMask()
	both := func(masked bool) {
		k.load(Mem{Base: rowSrc, Index: rowIndex, Scale: 1}, dy, masked)
		k.load(Mem{Base: rowAt, Index: rowIndex, Scale: 1}, y, masked)
	}
	Label("row")
	k.zero(dot)
	k.pass("dot", func(masked bool) {
		both(masked)
		VFMADD231PS(v(dy), v(y), v(dot))
	})
	k.across(dot, dy, vadd)
	k.pass("map", func(masked bool) {
		both(masked)
		VSUBPS(v(dot), v(dy), v(dy))
		VMULPS(v(y), v(dy), v(dy))
		k.store(dy, Mem{Base: rowDst, Index: rowIndex, Scale: 1}, masked)
	})
	for _, p := range []reg.GPPhysical{rowSrc, rowAt, rowDst} {
		LEAQ(Mem{Base: p, Index: rowLength, Scale: 4}, p)
	}
	DECQ(rowCount)
	JNE(LabelRef("row"))
	VZEROUPPER()
	RET()
}
