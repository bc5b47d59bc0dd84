// Two kernels around a matrix product: one packs the right factor into panels, one searches the products for large
// differences. (The product itself is that of the convolution's tiles.)

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func genMatMul() {
	for _, s := range isas {
		buildPackPanel(s)
		declare(s, "packPanel", "(to, from *float32, stride, fours int)")
		buildFirstOutside(s)
		declare(s, "firstOutside", "(h, product *float32, below, above float32, n int) int")
	}
}

// buildPackPanel transposes 16 rows. Of register i, the L-th 128 bits start as four values of row 4L+i; transposing
// the four registers within their 128 bits turns register i into value i of 16 rows.
func buildPackPanel(s isa) {
	TEXT("packPanel"+s.name, NOSPLIT, "func(to, from *float32, stride, fours int)")
	Pragma("noescape")
	Doc("packPanel" + s.name + " writes 4*fours values of each of 16 rows, stride bytes apart, as (values, 16).")
	to, from, stride, left := reg.RDI, reg.RSI, reg.RDX, reg.RCX
	stride3, four, row := reg.R8, reg.R9, reg.R10
	loadParam("to", to)
	loadParam("from", from)
	loadParam("stride", stride)
	loadParam("fours", left)
	LEAQ(Mem{Base: stride, Index: stride, Scale: 2}, stride3)
	MOVQ(stride, four)
	SHLQ(U8(2), four)
	at := func(i int) Mem {
		m := Mem{Base: row}
		switch i {
		case 1:
			m.Index, m.Scale = stride, 1
		case 2:
			m.Index, m.Scale = stride, 2
		case 3:
			m.Index, m.Scale = stride3, 1
		}
		return m
	}
	Label("four")
	MOVQ(from, row)
	for half := 0; half < 64/s.bytes(); half++ { // rows of one vector
		for lane := 0; lane < s.lanes/4; lane++ {
			for i := 0; i < 4; i++ {
				switch {
				case lane == 0:
					VMOVUPS(at(i), xmm[i])
				case s.wide():
					VINSERTF32X4(U8(lane), at(i), zmm[i], zmm[i])
				default:
					VINSERTF128(U8(lane), at(i), ymm[i], ymm[i])
				}
			}
			ADDQ(four, row)
		}
		// a0 a1 a2 a3 of four rows -> a0 b0 a1 b1, ... -> a0 b0 c0 d0, ...
		VUNPCKLPS(s.vec(1), s.vec(0), s.vec(4))
		VUNPCKHPS(s.vec(1), s.vec(0), s.vec(5))
		VUNPCKLPS(s.vec(3), s.vec(2), s.vec(6))
		VUNPCKHPS(s.vec(3), s.vec(2), s.vec(7))
		VUNPCKLPD(s.vec(6), s.vec(4), s.vec(0))
		VUNPCKHPD(s.vec(6), s.vec(4), s.vec(1))
		VUNPCKLPD(s.vec(7), s.vec(5), s.vec(2))
		VUNPCKHPD(s.vec(7), s.vec(5), s.vec(3))
		for i := 0; i < 4; i++ {
			VMOVUPS(s.vec(i), Mem{Base: to, Disp: 64*i + half*s.bytes()})
		}
	}
	ADDQ(U8(16), from)
	ADDQ(I32(256), to)
	DECQ(left)
	JNE(LabelRef("four"))
	VZEROUPPER()
	RET()
}

// buildFirstOutside looks at vectors of h - product. n is a multiple of the lanes.
func buildFirstOutside(s isa) {
	TEXT("firstOutside"+s.name, NOSPLIT, "func(h, product *float32, below, above float32, n int) int")
	Pragma("noescape")
	Doc("firstOutside"+s.name+" returns the start of the first vector in which below < h - product < above",
		"is not true of all values, or n if there is none.")
	h, g, n, i, mask := reg.RDI, reg.RSI, reg.RCX, reg.RAX, reg.RDX
	loadParam("h", h)
	loadParam("product", g)
	loadParam("n", n)
	loadParam("below", reg.X1)
	loadParam("above", reg.X2)
	VBROADCASTSS(reg.X1, s.vec(1))
	VBROADCASTSS(reg.X2, s.vec(2))
	XORQ(i, i)
	Label("vector")
	CMPQ(i, n)
	JGE(LabelRef("done"))
	VMOVUPS(Mem{Base: h, Index: i, Scale: 4}, s.vec(0))
	VSUBPS(Mem{Base: g, Index: i, Scale: 4}, s.vec(0), s.vec(0))
	const less, all = 1, 255
	if s.wide() {
		VCMPPS(U8(less), s.vec(2), s.vec(0), reg.K1)         // h - g < above
		VCMPPS(U8(less), s.vec(0), s.vec(1), reg.K1, reg.K2) // and below < h - g
		KORTESTW(reg.K2, reg.K2)
		JCC(LabelRef("done")) // no carry: not all bits are set
	} else {
		VCMPPS(U8(less), s.vec(2), s.vec(0), s.vec(3))
		VCMPPS(U8(less), s.vec(0), s.vec(1), s.vec(4))
		VANDPS(s.vec(3), s.vec(4), s.vec(3))
		VMOVMSKPS(s.vec(3), mask.As32())
		CMPL(mask.As32(), U32(all))
		JNE(LabelRef("done"))
	}
	ADDQ(U8(s.lanes), i)
	JMP(LabelRef("vector"))
	Label("done")
	Store(i, ReturnIndex(0))
	VZEROUPPER()
	RET()
}
