// Adam and the moving average in one pass (formula at Adam in package vec): five streams in, four out. No multiply-add
// is fused and nothing is approximated, so that the bits are those of plain Go.

package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const adamSignature = "(p, grad, m, v, ema, factors *float32, n int)"

// adamFactors lists the fields of AdamFactors in package vec.
var adamFactors = []string{"beta1", "rest1", "beta2", "rest2", "size", "root", "eps", "rate", "restRate"}

func genAdam() {
	for _, s := range isas {
		buildAdam(&kernel{isa: s}, true)
		declare(s, "adamEMA", adamSignature)
		buildAdam(&kernel{isa: s}, false)
		declare(s, "adam", adamSignature)
	}
}

func buildAdam(k *kernel, average bool) {
	name := "adam"
	if average {
		name = "adamEMA"
	}
	TEXT(name+k.name, NOSPLIT, "func"+adamSignature)
	Pragma("noescape")
	Doc(fmt.Sprintf("%s updates n parameters; factors is an AdamFactors.", name+k.name))
	p, g, m, vv, ema, factors := reg.RDI, reg.RSI, reg.RDX, reg.R8, reg.R9, reg.R10
	left, i, tmp := reg.RCX, reg.RAX, reg.RBX
	loadParam("p", p)
	loadParam("grad", g)
	loadParam("m", m)
	loadParam("v", vv)
	loadParam("ema", ema)
	loadParam("factors", factors)
	loadParam("n", left)
	v := k.vec
	const first = 6 // the factors' first register; AVX2's last one is the mask
	f := map[string]int{}
	for j, name := range adamFactors {
		f[name] = first + j
		VBROADCASTSS(Mem{Base: factors, Disp: 4 * j}, v(first+j))
	}
	at := func(p reg.GPPhysical) Mem { return Mem{Base: p, Index: i, Scale: 1} }
	// decay computes dst = factor old + rest new, where register dst holds new.
	decay := func(old, dst int, factor, rest string) {
		VMULPS(v(f[factor]), v(old), v(old))
		VMULPS(v(f[rest]), v(dst), v(dst))
		VADDPS(v(dst), v(old), v(dst))
	}
	body := func(masked bool) {
		const grad, square, old, param = 0, 1, 2, 3
		k.load(at(g), grad, masked)
		VMULPS(v(grad), v(grad), v(square))
		k.load(at(m), old, masked)
		decay(old, grad, "beta1", "rest1")
		k.store(grad, at(m), masked)
		k.load(at(vv), old, masked)
		decay(old, square, "beta2", "rest2")
		k.store(square, at(vv), masked)
		VSQRTPS(v(square), v(square))
		VMULPS(v(f["root"]), v(square), v(square))
		VADDPS(v(f["eps"]), v(square), v(square))
		VMULPS(v(f["size"]), v(grad), v(grad))
		VDIVPS(v(square), v(grad), v(grad))
		k.load(at(p), param, masked)
		VSUBPS(v(grad), v(param), v(param))
		k.store(param, at(p), masked)
		if average {
			k.load(at(ema), old, masked)
			decay(old, param, "rate", "restRate")
			k.store(param, at(ema), masked)
		}
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
	JEQ(LabelRef("done"))
	k.tailMask(left, tmp)
	body(true)
	Label("done")
	VZEROUPPER()
	RET()
}
