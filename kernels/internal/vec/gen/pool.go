// Pools. The 5x5 maximum walks down one vector of values (pixels and channels of an image row, which are neighbours in
// memory). Tap kw of a value lies (kw-2)*C values away. The parameter masks is six times 16 words of 0 or -1: for each
// of the five taps, the lanes whose tap lies in the image row; and sixth, the lanes that have a value at all.
//
// The gradient goes row by row, in two steps. If several windows around column j have their maximum in row r, they
// have it at the same tap: that of row r's own maximum of five. So the first kernel adds their dy, and the second
// gives the sum to that tap.

package main

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
		buildMaxPoolRow(k)
		declare(s, "maxPool5Row", maxPoolRowSignature)
		buildMaxPoolTaps(k)
		declare(s, "maxPool5Taps", maxPoolTapsSignature)
		buildMeanPool(k, false)
		declare(s, "meanPool2", meanPoolSignature)
		buildMeanPool(k, true)
		declare(s, "meanPool2Backward", meanPoolBackwardSignature)
	}
}

const (
	maxPoolSignature = "(y *float32, index *uint32, x *float32, masks *int32, h, from, to, rowStride, " +
		"pixelStride int) int"
	maxPoolRowSignature  = "(sum *float32, tap *uint32, dy *float32, index *uint32, rowStride, from, to, n int)"
	maxPoolTapsSignature = "(dx, sum *float32, tap *uint32, pixelStride, n int)"
)

func intConstant(i int) Mem { return constant(fmt.Sprintf("int%d", i), uint32(i)) }

// loadMasks loads masks into K1 to K6 (AVX-512).
func (k *kernel) loadMasks(masks reg.GPPhysical, order []int) {
	for i, j := range order {
		VMOVDQU32(Mem{Base: masks, Disp: 64 * j}, zmm[0])
		VPMOVD2M(zmm[0], opmasks[i])
	}
}

// lowestReg is the register that holds minus infinity (AVX-512).
const lowestReg = 23

var opmasks = []reg.OpmaskPhysical{reg.K1, reg.K2, reg.K3, reg.K4, reg.K5, reg.K6, reg.K7}

// tapMem returns the memory of the value (kw-2) pixels to the right of p.
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

// buildMaxPool writes the 5x5 maximum. It finds the maximum of an input row's five taps once and keeps it in registers
// for the five output rows that use it. y, index and x point at the vector in row 0; the kernel writes rows [from, to)
// of y. Its result is not 0 if x held a NaN or a maximum is -infinity: then the caller has to compute the pool by
// other means.
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
	// Registers of maxima, and of the taps where they lie: of the row before; of the pairs of rows that end one, two
	// and three rows ago; and work space.
	const before, beforeAt, best, bestAt, other, tmpVec, tmpAt = 0, 1, 8, 9, 10, 11, 12
	pair := func(ago int) int { return 2 * ago }
	lowest := constant("negativeInfinity", 0xff800000)
	// place returns the number of a tap in all lanes, in a register if there are enough.
	place := func(i int) Op { return intConstant(i) }
	if k.wide() {
		resident := map[int]int{1: 16, 2: 17, 3: 18, 4: 19, 5: 20, 10: 21, 20: 22}
		for _, i := range []int{1, 2, 3, 4, 5, 10, 20} {
			VMOVDQU32(intConstant(i), v(resident[i]))
		}
		place = func(i int) Op { return v(resident[i]) }
		VMOVUPS(lowest, v(lowestReg))
	}

	// row is the input row, from from-2 to to+1. start is the first row whose arrival completes a window.
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

	// larger computes in dst the larger of a and b, and its tap; a if they are equal. dst may be a or b.
	larger := func(a, aAt, b int, bAt Op, dst, dstAt int) {
		if k.wide() {
			VCMPPS(U8(14), v(a), v(b), reg.K7) // b > a
			VMAXPS(v(b), v(a), v(dst))
			if withIndex {
				VPBLENDMD(bAt, v(aAt), reg.K7, v(dstAt))
			}
			return
		}
		if withIndex {
			VCMPPS(U8(14), v(a), v(b), v(tmpVec))
			VBLENDVPS(v(tmpVec), bAt, v(aAt), v(dstAt))
		}
		VMAXPS(v(b), v(a), v(dst))
	}
	// below computes in tmpAt the number of a tap that is a number of rows further down.
	below := func(at, rows int) Op {
		if withIndex {
			VPADDD(place(5*rows), v(at), v(tmpAt))
		}
		return v(tmpAt)
	}

	Label("row")
	CMPQ(row, h)
	JCC(LabelRef("outside")) // unsigned, so rows above the image are outside, too
	for kw := 0; kw < 5; kw++ {
		dst := other
		if kw == 0 {
			dst = best
		}
		m := tapMem(x, pixel, negative, kw)
		if k.wide() {
			VMOVAPS(v(lowestReg), v(dst))
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
		if kw > 0 {
			larger(best, bestAt, other, place(kw), best, bestAt)
		} else if withIndex {
			k.zero(bestAt)
		}
	}
	JMP(LabelRef("window"))
	Label("outside")
	VMOVUPS(lowest, v(best))
	if withIndex {
		k.zero(bestAt)
	}
	Label("window")
	CMPQ(row, start)
	JLT(LabelRef("pairs"))
	// The five rows: the pair that ended three rows ago, the one that ended with the row before, this one.
	larger(pair(3), pair(3)+1, pair(1), below(pair(1)+1, 2), pair(3), pair(3)+1)
	larger(pair(3), pair(3)+1, best, below(bestAt, 4), pair(3), pair(3)+1)
	if k.wide() {
		VCMPPS(U8(0), v(lowestReg), v(pair(3)), reg.K6, reg.K7) // equal, of the lanes in K6
		KMOVW(reg.K7, tmp.As32())
		VMOVUPS(v(pair(3)), reg.K6, Mem{Base: y})
		if withIndex {
			VMOVDQU32(v(pair(3)+1), reg.K6, Mem{Base: index})
		}
	} else {
		VMOVUPS(Mem{Base: masks, Disp: 64 * 5}, v(tmpVec))
		VCMPPS(U8(0), lowest, v(pair(3)), v(other))
		VANDPS(v(tmpVec), v(other), v(other))
		VMOVMSKPS(v(other), tmp.As32())
		VMASKMOVPS(v(pair(3)), v(tmpVec), Mem{Base: y})
		if withIndex {
			VMASKMOVPS(v(pair(3)+1), v(tmpVec), Mem{Base: index})
		}
	}
	ORQ(tmp, seen)
	Label("pairs")
	for _, ago := range []int{3, 2} {
		VMOVAPS(v(pair(ago-1)), v(pair(ago)))
		if withIndex {
			VMOVAPS(v(pair(ago-1)+1), v(pair(ago)+1))
		}
	}
	larger(before, beforeAt, best, below(bestAt, 1), pair(1), pair(1)+1)
	VMOVAPS(v(best), v(before))
	if withIndex {
		VMOVAPS(v(bestAt), v(beforeAt))
	}
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

// rowLoop writes the loop of a kernel over n values, whole vectors and then the rest; i is the offset in bytes.
func (k *kernel) rowLoop(n, i, tmp reg.GPPhysical, body func(label string, masked bool)) {
	XORQ(i, i)
	SUBQ(U8(k.lanes), n)
	JLT(LabelRef("tail"))
	Label("whole")
	body("whole", false)
	ADDQ(U8(k.bytes()), i)
	SUBQ(U8(k.lanes), n)
	JGE(LabelRef("whole"))
	Label("tail")
	ADDQ(U8(k.lanes), n)
	JEQ(LabelRef("done"))
	k.tailMask(n, tmp)
	body("tail", true)
	Label("done")
	VZEROUPPER()
	RET()
}

// buildMaxPoolRow writes the first step of the gradient: for n values of input row r, the sum of dy over the windows
// whose maximum lies in row r, and the tap at which it lies there. Row r is row u of the windows around row r-u+2, for
// u in [from, to]; dy and index point at row r-from+2.
func buildMaxPoolRow(k *kernel) {
	TEXT("maxPool5Row"+k.name, NOSPLIT, "func"+maxPoolRowSignature)
	Pragma("noescape")
	Doc("maxPool5Row" + k.name +
		" adds the dy whose maximum lies in one row of the image, and finds the tap of that maximum.")
	sum, tap, dy, index, stride, from, to, n := reg.RDI, reg.RSI, reg.RDX, reg.R8, reg.R9, reg.R10, reg.R11, reg.RCX
	i, tmp, dyRow, indexRow, u := reg.RAX, reg.RBX, reg.R12, reg.R13, reg.R15
	loadParam("sum", sum)
	loadParam("tap", tap)
	loadParam("dy", dy)
	loadParam("index", index)
	loadParam("rowStride", stride)
	loadParam("from", from)
	loadParam("to", to)
	loadParam("n", n)
	v := k.vec
	const total, at, first, place, grad, mask, five, firstOfAll = 0, 1, 2, 3, 4, 5, 6, 7
	VMOVUPS(intConstant(5), v(five))
	// The index of a window's first tap in its row u is 5u.
	LEAQ(Mem{Base: from, Index: from, Scale: 4}, tmp)
	if k.wide() {
		VPBROADCASTD(tmp.As32(), v(firstOfAll))
	} else {
		VMOVD(tmp.As32(), xmm[firstOfAll])
		VPBROADCASTD(xmm[firstOfAll], v(firstOfAll))
	}
	k.rowLoop(n, i, tmp, func(label string, masked bool) {
		k.zero(total)
		k.zero(at)
		VMOVAPS(v(firstOfAll), v(first))
		MOVQ(dy, dyRow)
		MOVQ(index, indexRow)
		MOVQ(from, u)
		Label(label + "Window")
		k.load(Mem{Base: indexRow, Index: i, Scale: 1}, place, masked)
		k.load(Mem{Base: dyRow, Index: i, Scale: 1}, grad, masked)
		VPSUBD(v(first), v(place), v(place))
		if k.wide() {
			VPCMPUD(U8(1), v(five), v(place), reg.K7) // place < 5, unsigned
			VADDPS(v(grad), v(total), reg.K7, v(total))
			VMOVDQA32(v(place), reg.K7, v(at))
		} else {
			VPMINUD(intConstant(4), v(place), v(mask))
			VPCMPEQD(v(mask), v(place), v(mask))
			VANDPS(v(mask), v(grad), v(grad))
			VADDPS(v(grad), v(total), v(total))
			VBLENDVPS(v(mask), v(place), v(at), v(at))
		}
		VPADDD(v(five), v(first), v(first))
		SUBQ(stride, dyRow)
		SUBQ(stride, indexRow)
		INCQ(u)
		CMPQ(u, to)
		JLE(LabelRef(label + "Window"))
		k.store(total, Mem{Base: sum, Index: i, Scale: 1}, masked)
		k.store(at, Mem{Base: tap, Index: i, Scale: 1}, masked)
	})
}

// buildMaxPoolTaps writes the second step: each value gets, of the sums of the five columns whose windows reach it,
// those whose tap is the value. Beyond the row's ends sum is 0, and sum and tap may be read.
func buildMaxPoolTaps(k *kernel) {
	TEXT("maxPool5Taps"+k.name, NOSPLIT, "func"+maxPoolTapsSignature)
	Pragma("noescape")
	Doc("maxPool5Taps" + k.name + " gives each of n values of a row the sums whose tap it is.")
	dx, sum, tap, pixel, n := reg.RDI, reg.RSI, reg.RDX, reg.R8, reg.RCX
	i, tmp, negative, sumAt, tapAt := reg.RAX, reg.RBX, reg.R9, reg.R10, reg.R11
	loadParam("dx", dx)
	loadParam("sum", sum)
	loadParam("tap", tap)
	loadParam("pixelStride", pixel)
	loadParam("n", n)
	MOVQ(pixel, negative)
	NEGQ(negative)
	v := k.vec
	const total, mask = 0, 1
	place := func(kw int) Op { return intConstant(kw) }
	if k.wide() {
		for kw := 0; kw < 5; kw++ {
			VMOVDQU32(intConstant(kw), v(10+kw))
		}
		place = func(kw int) Op { return v(10 + kw) }
	}
	k.rowLoop(n, i, tmp, func(_ string, masked bool) {
		k.zero(total)
		LEAQ(Mem{Base: sum, Index: i, Scale: 1}, sumAt)
		LEAQ(Mem{Base: tap, Index: i, Scale: 1}, tapAt)
		for kw := 0; kw < 5; kw++ { // window column j + (2-kw) has j as its tap kw
			s, t := tapMem(sumAt, pixel, negative, 4-kw), tapMem(tapAt, pixel, negative, 4-kw)
			if k.wide() {
				VPCMPEQD(t, place(kw), reg.K7)
				VADDPS(s, v(total), reg.K7, v(total))
			} else {
				VMOVUPS(place(kw), v(mask))
				VPCMPEQD(t, v(mask), v(mask))
				VANDPS(s, v(mask), v(mask))
				VADDPS(v(mask), v(total), v(total))
			}
		}
		k.store(total, Mem{Base: dx, Index: i, Scale: 1}, masked)
	})
}

const (
	meanPoolSignature         = "(y, x *float32, pixels, channels, rowStride int)"
	meanPoolBackwardSignature = "(dx, dy *float32, pixels, channels, rowStride int)"
)

// buildMeanPool writes the 2x2 mean for one output row, or with backward its gradient, which spreads a row of dy.
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
	// A pixel's right neighbour is `next` bytes further on.
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
