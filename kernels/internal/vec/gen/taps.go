// Weighted sums of rows, for Taps in package vec: a row of dst is the sum of a few rows of src, each with a weight.

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const tapsSignature = "(dst, src *float32, counts, rows *int32, weights *float32, outputs, n int)"

func genTaps() {
	for _, s := range isas {
		buildTaps(&kernel{isa: s})
		declare(s, "taps", tapsSignature)
	}
}

// buildTaps walks over the outputs, for each over its columns (four vectors at a time, then one), and for these over
// the taps.
func buildTaps(k *kernel) {
	TEXT("taps"+k.name, NOSPLIT, "func"+tapsSignature)
	Pragma("noescape")
	Doc("taps"+k.name+" computes a number (outputs) of rows of n values:",
		"dst[i] = the sum of the next counts[i] weights times src[rows].")
	dst, src, counts, rows, weights, outputs := reg.RDI, reg.RSI, reg.RDX, reg.R8, reg.R9, reg.RCX
	stride, count, tap, i, left, row, tmp := reg.R10, reg.R11, reg.R12, reg.RAX, reg.RBX, reg.R13, reg.R15
	loadParam("dst", dst)
	loadParam("src", src)
	loadParam("counts", counts)
	loadParam("rows", rows)
	loadParam("weights", weights)
	loadParam("outputs", outputs)
	loadParam("n", stride)
	v := k.vec
	const weight, value = 4, 5
	SHLQ(U8(2), stride)
	// sums computes and writes one or four vectors.
	sums := func(label string, vectors int, masked bool) {
		for j := 0; j < vectors; j++ {
			k.zero(j)
		}
		XORQ(tap, tap)
		TESTQ(count, count)
		JEQ(LabelRef(label + "Store"))
		Label(label + "Tap")
		MOVLQSX(Mem{Base: rows, Index: tap, Scale: 4}, row)
		IMULQ(stride, row)
		ADDQ(src, row)
		VBROADCASTSS(Mem{Base: weights, Index: tap, Scale: 4}, v(weight))
		for j := 0; j < vectors; j++ {
			m := Mem{Base: row, Index: i, Scale: 1, Disp: j * k.bytes()}
			if masked {
				k.load(m, value, true)
				VFMADD231PS(v(value), v(weight), v(j))
			} else {
				VFMADD231PS(m, v(weight), v(j))
			}
		}
		INCQ(tap)
		CMPQ(tap, count)
		JLT(LabelRef(label + "Tap"))
		Label(label + "Store")
		for j := 0; j < vectors; j++ {
			k.store(j, Mem{Base: dst, Index: i, Scale: 1, Disp: j * k.bytes()}, masked)
		}
	}
	// The mask of the last vector is the same for all outputs.
	MOVQ(stride, left)
	SHRQ(U8(2), left)
	ANDQ(U8(k.lanes-1), left)
	JEQ(LabelRef("output"))
	k.tailMask(left, tmp)
	Label("output")
	MOVLQSX(Mem{Base: counts}, count)
	XORQ(i, i)
	MOVQ(stride, left)
	SUBQ(U32(4*k.bytes()), left)
	JLT(LabelRef("few"))
	Label("four")
	sums("four", 4, false)
	ADDQ(U32(4*k.bytes()), i)
	SUBQ(U32(4*k.bytes()), left)
	JGE(LabelRef("four"))
	Label("few")
	ADDQ(U32(3*k.bytes()), left) // less than four vectors are left; less than one when negative
	JLT(LabelRef("tail"))
	Label("one")
	sums("one", 1, false)
	ADDQ(U8(k.bytes()), i)
	SUBQ(U8(k.bytes()), left)
	JGE(LabelRef("one"))
	Label("tail")
	ADDQ(U8(k.bytes()), left)
	JEQ(LabelRef("next"))
	sums("tail", 1, true)
	Label("next")
	ADDQ(stride, dst)
	LEAQ(Mem{Base: rows, Index: count, Scale: 4}, rows)
	LEAQ(Mem{Base: weights, Index: count, Scale: 4}, weights)
	ADDQ(U8(4), counts)
	DECQ(outputs)
	JNE(LabelRef("output"))
	VZEROUPPER()
	RET()
}
