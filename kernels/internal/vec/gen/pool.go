package main

// Pools. The 5x5 maximum and its gradient walk down one vector of values (pixels and channels of an image row, which are
// neighbours in memory); the tap kw of a value lies (kw-2)*C values away. A mask for each of the five keeps the lanes
// whose tap lies in the image row: masks is six times 16 words of 0 or -1, the sixth for the lanes there are at all.

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func genPool() {
	for _, s := range isas {
		k := &kernel{isa: s}
		buildMaxPool(k, true)
		declare(s, "maxPool5Index", maxPoolSignature)
		buildMaxPool(k, false)
		declare(s, "maxPool5", maxPoolSignature)
		buildMaxPoolBackward(k)
		declare(s, "maxPool5Backward", maxPoolBackwardSignature)
		buildMeanPool(k, false)
		declare(s, "meanPool2", meanPoolSignature)
		buildMeanPool(k, true)
		declare(s, "meanPool2Backward", meanPoolBackwardSignature)
	}
}

const (
	maxPoolSignature         = "(y *float32, index *uint32, x *float32, masks *int32, h, from, to, rowStride, pixelStride int) int"
	maxPoolBackwardSignature = "(dx, dy *float32, index *uint32, masks *int32, h, from, to, rowStride, pixelStride int)"
)

func intConstant(i int) Mem { return constant(fmt.Sprintf("int%d", i), uint32(i)) }

// loadMasks sets K1 to K6 (AVX-512).
func (k *kernel) loadMasks(masks reg.GPPhysical, order []int) {
	for i, j := range order {
		VMOVDQU32(Mem{Base: masks, Disp: 64 * j}, zmm[0])
		VPMOVD2M(zmm[0], opmasks[i])
	}
}

var opmasks = []reg.OpmaskPhysical{reg.K1, reg.K2, reg.K3, reg.K4, reg.K5, reg.K6, reg.K7}

// tapMem is the memory of the value (kw-2) pixels to the right of p.
func tapMem(p, pixel, negative reg.GPPhysical, kw int) Mem {
	switch kw {
	case 0:
		return Mem{Base: p, Index: negative, Scale: 2}
	case 1:
		return Mem{Base: p, Index: negative, Scale: 1}
	case 3:
		return Mem{Base: p, Index: pixel, Scale: 1}
	case 4:
		return Mem{Base: p, Index: pixel, Scale: 2}
	}
	return Mem{Base: p}
}

// buildMaxPool: the maximum of each row's five taps is found once and rests in registers while the five rows that use
// it go by. y, index and x point at the vector in row 0; rows [from, to) of y are written. The result is not 0 if x held
// a NaN or a maximum is -infinity, where the caller has to look for itself.
func buildMaxPool(k *kernel, withIndex bool) {
	name := "maxPool5"
	if withIndex {
		name = "maxPool5Index"
	}
	TEXT(name+k.name, NOSPLIT, "func"+maxPoolSignature)
	Pragma("noescape")
	Doc(name + k.name + " computes rows [from, to) of one vector of columns of a 5x5 maximum.")
	y, index, x, masks, h, row, to := reg.RDI, reg.R8, reg.RSI, reg.RDX, reg.RCX, reg.RBX, reg.R9
	stride, pixel, negative, start, seen, tmp := reg.R10, reg.R11, reg.R12, reg.R13, reg.R15, reg.RAX
	loadParam("y", y)
	if withIndex {
		loadParam("index", index)
	}
	loadParam("x", x)
	loadParam("masks", masks)
	loadParam("h", h)
	loadParam("from", start)
	loadParam("to", to)
	loadParam("rowStride", stride)
	loadParam("pixelStride", pixel)
	MOVQ(pixel, negative)
	NEGQ(negative)
	XORQ(seen, seen)
	if k.wide() {
		k.loadMasks(masks, []int{0, 1, 2, 3, 4, 5})
	}
	v := k.vec
	// Registers: maxima of rows 0 to 4 and the taps they came from, then work space.
	value := func(r int) int { return r }
	where := func(r int) int { return 5 + r }
	const best, bestAt, other, tmpVec = 10, 11, 12, 13
	lowest := constant("negativeInfinity", 0xff800000)

	// row runs from from-2 to to+1 (as input row); start is then the first row whose arrival completes a window.
	LEAQ(Mem{Base: start, Disp: -2}, row)
	ADDQ(U8(2), start)
	ADDQ(U8(2), to)
	MOVQ(row, tmp)
	IMULQ(stride, tmp)
	ADDQ(tmp, x)
	ADDQ(tmp, y)
	SUBQ(stride, y)
	SUBQ(stride, y) // y and index lag two rows behind x
	if withIndex {
		ADDQ(tmp, index)
		SUBQ(stride, index)
		SUBQ(stride, index)
	}

	// larger keeps the larger of best and other, and its place.
	larger := func(at Op) {
		if k.wide() {
			VCMPPS(U8(14), v(best), v(other), reg.K7) // other > best
			VMAXPS(v(other), v(best), v(best))
			if withIndex {
				VMOVDQU32(at, reg.K7, v(bestAt))
			}
			return
		}
		if withIndex {
			VCMPPS(U8(14), v(best), v(other), v(tmpVec))
			VBLENDVPS(v(tmpVec), at, v(bestAt), v(bestAt))
		}
		VMAXPS(v(other), v(best), v(best))
	}

	Label("row")
	CMPQ(row, h)
	JCC(LabelRef("outside")) // unsigned, so above the image as well
	for kw := 0; kw < 5; kw++ {
		dst := other
		if kw == 0 {
			dst = best
		}
		m := tapMem(x, pixel, negative, kw)
		if k.wide() {
			VMOVUPS(lowest, v(dst))
			VMOVUPS(m, opmasks[kw], v(dst))
		} else {
			VMOVUPS(Mem{Base: masks, Disp: 64 * kw}, v(tmpVec))
			VMASKMOVPS(m, v(tmpVec), v(dst))
			VANDNPS(lowest, v(tmpVec), v(tmpVec))
			VORPS(v(tmpVec), v(dst), v(dst))
		}
		if kw == 2 {
			if k.wide() {
				VCMPPS(U8(3), v(dst), v(dst), reg.K7)
				KMOVW(reg.K7, tmp.As32())
			} else {
				VCMPPS(U8(3), v(dst), v(dst), v(tmpVec))
				VMOVMSKPS(v(tmpVec), tmp.As32())
			}
			ORQ(tmp, seen)
		}
		if kw == 0 {
			if withIndex {
				k.zero(bestAt)
			}
			continue
		}
		if withIndex && k.wide() {
			VMOVDQU32(intConstant(kw), v(tmpVec))
			larger(v(tmpVec))
		} else {
			larger(intConstant(kw))
		}
	}
	JMP(LabelRef("shift"))
	Label("outside")
	VMOVUPS(lowest, v(best))
	if withIndex {
		k.zero(bestAt)
	}
	Label("shift")
	for r := 0; r < 4; r++ {
		VMOVAPS(v(value(r+1)), v(value(r)))
		if withIndex {
			VMOVAPS(v(where(r+1)), v(where(r)))
		}
	}
	VMOVAPS(v(best), v(value(4)))
	if withIndex {
		VMOVAPS(v(bestAt), v(where(4)))
	}
	CMPQ(row, start)
	JLT(LabelRef("next"))
	VMOVAPS(v(value(0)), v(best))
	if withIndex {
		VMOVAPS(v(where(0)), v(bestAt))
	}
	for r := 1; r < 5; r++ {
		VMOVAPS(v(value(r)), v(other))
		if withIndex {
			at := tmpVec
			if !k.wide() {
				at = 14
			}
			VPADDD(intConstant(5*r), v(where(r)), v(at))
			larger(v(at))
		} else {
			larger(nil)
		}
	}
	if k.wide() {
		VCMPPS(U8(0), lowest, v(best), reg.K6, reg.K7) // equal, of the lanes in K6
		KMOVW(reg.K7, tmp.As32())
		VMOVUPS(v(best), reg.K6, Mem{Base: y})
		if withIndex {
			VMOVDQU32(v(bestAt), reg.K6, Mem{Base: index})
		}
	} else {
		VMOVUPS(Mem{Base: masks, Disp: 64 * 5}, v(tmpVec))
		VCMPPS(U8(0), lowest, v(best), v(other))
		VANDPS(v(tmpVec), v(other), v(other))
		VMOVMSKPS(v(other), tmp.As32())
		VMASKMOVPS(v(best), v(tmpVec), Mem{Base: y})
		if withIndex {
			VMASKMOVPS(v(bestAt), v(tmpVec), Mem{Base: index})
		}
	}
	ORQ(tmp, seen)
	Label("next")
	ADDQ(stride, x)
	ADDQ(stride, y)
	if withIndex {
		ADDQ(stride, index)
	}
	INCQ(row)
	CMPQ(row, to)
	JLT(LabelRef("row"))
	Store(seen, ReturnIndex(0))
	VZEROUPPER()
	RET()
}

// buildMaxPoolBackward gathers: dx is the sum of those of the 25 dy above it whose maximum was here. One sum for each
// kw, so that five additions can be under way, added up in order at the end.
func buildMaxPoolBackward(k *kernel) {
	name := "maxPool5Backward"
	TEXT(name+k.name, NOSPLIT, "func"+maxPoolBackwardSignature)
	Pragma("noescape")
	Doc(name + k.name + " computes rows [from, to) of one vector of columns of the gradient of a 5x5 maximum.")
	dx, dy, index, masks, h, row, to := reg.RDI, reg.RSI, reg.R8, reg.RDX, reg.RCX, reg.RBX, reg.R9
	stride, pixel, negative, source, dyRow, indexRow := reg.R10, reg.R11, reg.R12, reg.RAX, reg.R13, reg.R15
	loadParam("dx", dx)
	loadParam("dy", dy)
	loadParam("index", index)
	loadParam("masks", masks)
	loadParam("h", h)
	loadParam("from", row)
	loadParam("to", to)
	loadParam("rowStride", stride)
	loadParam("pixelStride", pixel)
	MOVQ(pixel, negative)
	NEGQ(negative)
	v := k.vec
	// Output (kh, kw) of a window is at tap 4-kw from here.
	if k.wide() {
		k.loadMasks(masks, []int{4, 3, 2, 1, 0, 5})
		for i := 0; i < 25; i++ {
			VMOVDQU32(intConstant(i), zmm[5+i])
		}
	}
	MOVQ(row, source)
	IMULQ(stride, source)
	ADDQ(source, dx)
	// dy and index point two rows below.
	ADDQ(source, dy)
	ADDQ(source, index)
	LEAQ(Mem{Base: dy, Index: stride, Scale: 2}, dy)
	LEAQ(Mem{Base: index, Index: stride, Scale: 2}, index)

	Label("row")
	for kw := 0; kw < 5; kw++ {
		k.zero(kw)
	}
	LEAQ(Mem{Base: row, Disp: 2}, source)
	MOVQ(dy, dyRow)
	MOVQ(index, indexRow)
	for kh := 0; kh < 5; kh++ {
		skip := fmt.Sprintf("skip%d", kh)
		CMPQ(source, h)
		JCC(LabelRef(skip))
		for kw := 0; kw < 5; kw++ {
			at, grad := tapMem(indexRow, pixel, negative, 4-kw), tapMem(dyRow, pixel, negative, 4-kw)
			tap := kh*5 + kw
			if k.wide() {
				VPCMPEQD(at, zmm[5+tap], opmasks[kw], reg.K7)
				VADDPS(grad, zmm[kw], reg.K7, zmm[kw])
			} else {
				VMOVUPS(Mem{Base: masks, Disp: 64 * (4 - kw)}, v(5))
				VMASKMOVPS(at, v(5), v(6))
				VPCMPEQD(intConstant(tap), v(6), v(6))
				VPAND(v(5), v(6), v(6))
				VMASKMOVPS(grad, v(6), v(7))
				VADDPS(v(7), v(kw), v(kw))
			}
		}
		Label(skip)
		if kh < 4 {
			DECQ(source)
			SUBQ(stride, dyRow)
			SUBQ(stride, indexRow)
		}
	}
	for kw := 1; kw < 5; kw++ {
		VADDPS(v(kw), v(0), v(0))
	}
	if k.wide() {
		VMOVUPS(v(0), reg.K6, Mem{Base: dx})
	} else {
		VMOVUPS(Mem{Base: masks, Disp: 64 * 5}, v(5))
		VMASKMOVPS(v(0), v(5), Mem{Base: dx})
	}
	ADDQ(stride, dx)
	ADDQ(stride, dy)
	ADDQ(stride, index)
	INCQ(row)
	CMPQ(row, to)
	JLT(LabelRef("row"))
	VZEROUPPER()
	RET()
}

const (
	meanPoolSignature         = "(y, x *float32, pixels, channels, rowStride int)"
	meanPoolBackwardSignature = "(dx, dy *float32, pixels, channels, rowStride int)"
)

// buildMeanPool makes the kernels of one output row of the 2x2 mean: with backward the row is dy and is spread.
func buildMeanPool(k *kernel, backward bool) {
	small, big := "y", "x"
	if backward {
		small, big = "dy", "dx"
		TEXT("meanPool2Backward"+k.name, NOSPLIT, "func"+meanPoolBackwardSignature)
		Pragma("noescape")
		Doc("meanPool2Backward" + k.name + " spreads one row of dy over two rows of dx, rowStride bytes apart.")
	} else {
		TEXT("meanPool2"+k.name, NOSPLIT, "func"+meanPoolSignature)
		Pragma("noescape")
		Doc("meanPool2" + k.name + " computes one row of 2x2 means of two rows of x, rowStride bytes apart.")
	}
	p, top, bottom, pixels, channels := reg.RDI, reg.RSI, reg.R8, reg.RCX, reg.RDX
	next, left, cut, i, tmp := reg.R9, reg.RBX, reg.R10, reg.RAX, reg.R11
	loadParam(small, p)
	loadParam(big, top)
	loadParam("pixels", pixels)
	loadParam("channels", channels)
	loadParam("rowStride", bottom)
	ADDQ(top, bottom)
	MOVQ(channels, next)
	SHLQ(U8(2), next) // bytes of a pixel
	MOVQ(channels, cut)
	ANDQ(U8(k.lanes-1), cut)
	JEQ(LabelRef("start"))
	MOVQ(cut, left)
	k.tailMask(left, tmp)
	Label("start")
	v := k.vec
	VMOVUPS(constantF("quarter", 0.25), v(0))
	// A pixel's right neighbour is next bytes on.
	body := func(masked bool) {
		at := func(p, next reg.GPPhysical) Mem { return Mem{Base: p, Index: next, Scale: 1} }
		if backward {
			k.load(at(p, i), 1, masked)
			VMULPS(v(0), v(1), v(1))
			for _, q := range []reg.GPPhysical{top, bottom} {
				k.store(1, at(q, i), masked)
				LEAQ(at(q, next), tmp)
				k.store(1, at(tmp, i), masked)
			}
			return
		}
		for j, q := range []reg.GPPhysical{top, bottom} {
			k.load(at(q, i), 1+j, masked)
			LEAQ(at(q, next), tmp)
			k.load(at(tmp, i), 3, masked)
			VADDPS(v(3), v(1+j), v(1+j))
		}
		VADDPS(v(2), v(1), v(1))
		VMULPS(v(0), v(1), v(1))
		k.store(1, at(p, i), masked)
	}
	Label("pixel")
	XORQ(i, i)
	MOVQ(channels, left)
	SUBQ(U8(k.lanes), left)
	JLT(LabelRef("tail"))
	Label("whole")
	body(false)
	ADDQ(U8(k.bytes()), i)
	SUBQ(U8(k.lanes), left)
	JGE(LabelRef("whole"))
	Label("tail")
	TESTQ(cut, cut)
	JEQ(LabelRef("next"))
	body(true)
	Label("next")
	ADDQ(next, p)
	LEAQ(Mem{Base: top, Index: next, Scale: 2}, top)
	LEAQ(Mem{Base: bottom, Index: next, Scale: 2}, bottom)
	DECQ(pixels)
	JNE(LabelRef("pixel"))
	VZEROUPPER()
	RET()
}
