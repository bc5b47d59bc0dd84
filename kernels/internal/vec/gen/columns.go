// Sums down the columns of a matrix, several vectors of columns at a time. Blocks of 64 rows are summed in float32 and
// then added to sums in float64 in memory, so that long columns lose nothing.

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	blockRows     = 64
	secondSum     = 64 * 8 // the second sums start 64 float64 after the first
	columnVectors = 4
)

// columnKernels lists what can be summed: the values a of a column, and with them their squares or products with b.
var columnKernels = []struct {
	name, doc string
	second    bool // has a second sum
}{
	{"columnSum", "sums[c] += sum a[p, c]", false},
	{"columnMoments", "with d = a[p, c] - shift[c]: sums[c] += sum d, sums[64+c] += sum d^2", true},
	{"columnDots", "sums[c] += sum a[p, c], sums[64+c] += sum a[p, c] (b[p, c] - shift[c])", true},
}

func genColumns() {
	for _, s := range isas {
		for kind := range columnKernels {
			for vectors := 1; vectors <= columnVectors; vectors++ {
				buildColumns(&kernel{isa: s}, kind, vectors)
			}
			declareSized(s, columnKernels[kind].name, columnsSignature, columnVectors)
		}
	}
}

const columnsSignature = "(sums *float64, a, b, shift *float32, rows, stride, last int)"

func buildColumns(k *kernel, kind, vectors int) {
	c := columnKernels[kind]
	name := fmt.Sprintf("%s%sx%d", c.name, k.name, vectors)
	TEXT(name, NOSPLIT, "func"+columnsSignature)
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes %s,", name, c.doc),
		fmt.Sprintf("for %d vectors of columns, last columns in the last. stride is in bytes.", vectors))
	sums, a, b, shift := reg.RDI, reg.RSI, reg.RDX, reg.R10
	rows, stride, last, block, tmp := reg.RCX, reg.R8, reg.R9, reg.RBX, reg.RAX
	loadParam("sums", sums)
	loadParam("a", a)
	loadParam("b", b)
	loadParam("shift", shift)
	loadParam("rows", rows)
	loadParam("stride", stride)
	loadParam("last", last)
	k.tailMask(last, tmp)
	v := k.vec
	first := func(i int) int { return i }
	second := func(i int) int { return vectors + i }
	x, y := 2*vectors, 2*vectors+1

	Label("block")
	MOVQ(U32(blockRows), block)
	CMPQ(rows, block)
	CMOVQLT(rows, block)
	SUBQ(block, rows)
	for i := 0; i < vectors; i++ {
		k.zero(first(i))
		if c.second {
			k.zero(second(i))
		}
	}
	Label("row")
	for i := 0; i < vectors; i++ {
		masked := i == vectors-1
		k.load(Mem{Base: a, Disp: i * k.bytes()}, x, masked)
		switch c.name {
		case "columnSum":
			VADDPS(v(x), v(first(i)), v(first(i)))
		case "columnMoments": // shift is zero past the last column
			VSUBPS(Mem{Base: shift, Disp: i * k.bytes()}, v(x), v(x))
			VADDPS(v(x), v(first(i)), v(first(i)))
			VFMADD231PS(v(x), v(x), v(second(i)))
		case "columnDots":
			k.load(Mem{Base: b, Disp: i * k.bytes()}, y, masked)
			VSUBPS(Mem{Base: shift, Disp: i * k.bytes()}, v(y), v(y))
			VADDPS(v(x), v(first(i)), v(first(i)))
			VFMADD231PS(v(x), v(y), v(second(i)))
		}
	}
	ADDQ(stride, a)
	if c.name == "columnDots" {
		ADDQ(stride, b)
	}
	DECQ(block)
	JNE(LabelRef("row"))
	for i := 0; i < vectors; i++ {
		k.addWidened(first(i), x, Mem{Base: sums, Disp: 2 * i * k.bytes()})
		if c.second {
			k.addWidened(second(i), x, Mem{Base: sums, Disp: secondSum + 2*i*k.bytes()})
		}
	}
	TESTQ(rows, rows)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// addWidened adds the lanes of register r to as many float64 at m, through register tmp.
func (k *kernel) addWidened(r, tmp int, m Mem) {
	half := m
	half.Disp += k.bytes()
	if k.wide() {
		VCVTPS2PD(ymm[r], zmm[tmp])
		VADDPD(m, zmm[tmp], zmm[tmp])
		VMOVUPD(zmm[tmp], m)
		VEXTRACTF64X4(U8(1), zmm[r], ymm[r])
		VCVTPS2PD(ymm[r], zmm[tmp])
		VADDPD(half, zmm[tmp], zmm[tmp])
		VMOVUPD(zmm[tmp], half)
		return
	}
	VCVTPS2PD(xmm[r], ymm[tmp])
	VADDPD(m, ymm[tmp], ymm[tmp])
	VMOVUPD(ymm[tmp], m)
	VEXTRACTF128(U8(1), ymm[r], xmm[r])
	VCVTPS2PD(xmm[r], ymm[tmp])
	VADDPD(half, ymm[tmp], ymm[tmp])
	VMOVUPD(ymm[tmp], half)
}
