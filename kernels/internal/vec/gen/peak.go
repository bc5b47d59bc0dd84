// Kernels that do nothing but reach a limit of the machine: the fused multiply-adds that its units can start, or the
// bytes that its memory can deliver.

package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// peakFMAs is the number of fused multiply-adds in a round: enough that none waits for the one before it in its
// register.
const peakFMAs = 12

func genPeak() {
	for _, s := range isas {
		buildPeakFMA(s)
		declare(s, "peakFMA", "(rounds int)")
		buildPeakRead(s)
		declare(s, "peakRead", "(x *float32, blocks int)")
	}
}

// buildPeakFMA keeps every register near 1: on zeros, the units of some machines are faster.
func buildPeakFMA(s isa) {
	TEXT("peakFMA"+s.name, NOSPLIT, "func(rounds int)")
	Doc("peakFMA" + s.name + " runs 12 independent fused multiply-adds of registers in each round.")
	left, a, b := reg.RCX, s.vec(13), s.vec(14)
	loadParam("rounds", left)
	VMOVUPS(constantF("peakA", 0.75), a)
	VMOVUPS(constantF("peakB", 0.25), b)
	for i := 0; i < peakFMAs; i++ {
		VMOVAPS(a, s.vec(i))
	}
	Label("round")
	for i := 0; i < peakFMAs; i++ {
		VFMADD213PS(b, a, s.vec(i)) // r = a r + b
	}
	DECQ(left)
	JNE(LabelRef("round"))
	VZEROUPPER()
	RET()
}

func buildPeakRead(s isa) {
	TEXT("peakRead"+s.name, NOSPLIT, "func(x *float32, blocks int)")
	Pragma("noescape")
	Doc("peakRead" + s.name + " reads blocks of 512 bytes.")
	x, left := reg.RSI, reg.RCX
	loadParam("x", x)
	loadParam("blocks", left)
	Label("block")
	for i := 0; i < 512/s.bytes(); i++ {
		m := Mem{Base: x, Disp: i * s.bytes()}
		if s.wide() {
			VORPS(m, zmm[i%4], zmm[i%4])
		} else {
			VORPS(m, ymm[i%4], ymm[i%4])
		}
	}
	ADDQ(I32(512), x)
	DECQ(left)
	JNE(LabelRef("block"))
	VZEROUPPER()
	RET()
}
