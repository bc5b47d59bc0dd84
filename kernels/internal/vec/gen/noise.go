// Random numbers, with the bits of package philox: Philox4x32-10 in every lane, normals from its words, and the blocks
// that use them on the spot.
//
// A multiplication of 32-bit words with a 64-bit product works on the even lanes only. So the words of the odd lanes
// are kept in other registers, moved down by a lane. The odd lanes of both hold anything.
//
// The four words of a block are neighbours in memory, but while they are computed they lie in one lane of four
// registers. Transposing four words by four within every 128 bits turns one into the other, in either direction, if
// lane 4g+j works on block G j + g of the G = lanes/4 blocks that a register stores.
//
// Every product is rounded before it is added: no multiply-add here is fused.

package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

const (
	philoxM0, philoxM1 = 0xD2511F53, 0xCD9E8D57
	philoxRounds       = 10
)

// noiseKernel describes a kernel. Its parameter state holds the keys of the rounds, two words each, then the counter
// of the first block.
type noiseKernel struct {
	name, doc, signature string
	blocks               bool // the counter of each block is read from src
	// finish turns the words in registers 0 to 3 into the result and writes it.
	finish func(k *noise)
}

// noise is a kernel being built.
type noise struct{ *kernel }

var noiseKernels = []noiseKernel{
	{name: "philoxWords", doc: "dst = Philox(keys, src), a counter of four words for each block", blocks: true,
		signature: "(dst, src, state *uint32, groups int)",
		finish:    func(k *noise) { k.transpose(); k.storeAll(noiseDst) }},
	{name: "philoxNormals", doc: "dst = the normals of Philox(keys, src), a counter of four words for each block",
		blocks:    true,
		signature: "(dst *float32, src, state *uint32, groups int)",
		finish:    func(k *noise) { k.normals(); k.storeAll(noiseDst) }},
	{name: "uniforms", doc: "dst = uniforms in (0, 1]", signature: "(dst *float32, state *uint32, groups int)",
		finish: func(k *noise) {
			k.transpose()
			for j := 0; j < 4; j++ {
				k.uniform(j)
			}
			k.storeAll(noiseDst)
		}},
	{name: "normals", doc: "dst = z", signature: "(dst *float32, state *uint32, groups int)",
		finish: func(k *noise) { k.normals(); k.storeAll(noiseDst) }},
	{name: "perturb", doc: "src = z, dst += a z", signature: "(dst, src *float32, state *uint32, groups int, a float32)",
		finish: func(k *noise) {
			k.normals()
			k.storeAll(noiseSrc)
			for j := 0; j < 4; j++ {
				VMULPS(k.vec(noiseA), k.vec(j), k.vec(j))
				VADDPS(k.at(noiseDst, j), k.vec(j), k.vec(j))
			}
			k.storeAll(noiseDst)
		}},
	{name: "langevin", doc: "dst = (dst + a src) + b z",
		signature: "(dst, src *float32, state *uint32, groups int, a, b float32)",
		finish: func(k *noise) {
			k.normals()
			for j := 0; j < 4; j++ {
				VMOVUPS(k.at(noiseSrc, j), k.vec(4))
				VMULPS(k.vec(noiseA), k.vec(4), k.vec(4))
				VADDPS(k.at(noiseDst, j), k.vec(4), k.vec(4))
				VMULPS(k.vec(noiseB), k.vec(j), k.vec(j))
				VADDPS(k.vec(j), k.vec(4), k.vec(j))
			}
			k.storeAll(noiseDst)
		}},
	{name: "dequantize", doc: "dst = (src + uniforms in [0, 1)) / 256",
		signature: "(dst *float32, src *byte, state *uint32, groups int)",
		finish: func(k *noise) {
			k.transpose()
			for j := 0; j < 4; j++ {
				VPSRLD(U8(9), k.vec(j), k.vec(j))
				VCVTDQ2PS(k.vec(j), k.vec(j))
				VMULPS(constantF("ulp23", 1.0/(1<<23)), k.vec(j), k.vec(j))
				VPMOVZXBD(Mem{Base: noiseSrc, Disp: j * k.lanes}, k.vec(4))
				VCVTDQ2PS(k.vec(4), k.vec(4))
				VADDPS(k.vec(j), k.vec(4), k.vec(j))
				VMULPS(constantF("ulp8", 1.0/256), k.vec(j), k.vec(j))
			}
			k.storeAll(noiseDst)
		}},
}

// The registers of the parameters. Vector registers 0 to 3 hold a group's words and then its results, 4 to 13 are work
// space.
var noiseDst, noiseSrc, noiseState, noiseGroups = reg.RDI, reg.RSI, reg.RDX, reg.RCX

const noiseA, noiseB = 14, 15 // the factors a and b

func genNoise() {
	for _, s := range isas {
		for _, n := range noiseKernels {
			n.build(&noise{&kernel{isa: s}})
			declare(s, n.name, n.signature)
		}
		buildBytes(&kernel{isa: s})
		declare(s, "bytes", bytesSignature)
		buildMirror(s)
		declare(s, "mirror", mirrorSignature)
	}
}

func (n noiseKernel) build(k *noise) {
	TEXT(n.name+k.name, NOSPLIT, "func"+n.signature)
	Pragma("noescape")
	Doc(fmt.Sprintf("%s computes %s, for groups of %d values.", n.name+k.name, n.doc, 4*k.lanes))
	args, _ := arguments(n.signature)
	has := func(param string) bool { return slices.Contains(strings.Split(args, ", "), param) }
	loadParam("dst", noiseDst)
	if has("src") {
		loadParam("src", noiseSrc)
	}
	loadParam("state", noiseState)
	loadParam("groups", noiseGroups)
	block, tmp := reg.RAX, reg.RBX
	state := func(word int) Mem { return Mem{Base: noiseState, Disp: 4 * word} }
	if !n.blocks {
		MOVL(state(2*philoxRounds+3), block.As32())
	}
	for i, param := range []string{"a", "b"} {
		if has(param) {
			loadScalar(param, k.vec(noiseA+i))
		}
	}
	if k.wide() {
		MOVL(U32(0xaaaa), tmp.As32())
		KMOVW(tmp.As32(), reg.K2)
	}
	Label("group")
	// Words 0 to 3 of the even lanes are in registers even, those of the odd lanes in odd.
	even, odd := [4]int{0, 1, 2, 3}, [4]int{4, 5, 6, 7}
	v := k.vec
	if n.blocks {
		for j := range even {
			VMOVUPS(k.at(noiseSrc, j), v(j))
		}
		k.transpose()
		for j := range even {
			VPSRLQ(U8(32), v(even[j]), v(odd[j]))
		}
	} else {
		for j := range 3 {
			VPBROADCASTD(state(2*philoxRounds+j), v(even[j]))
			VMOVAPS(v(even[j]), v(odd[j]))
		}
		if k.wide() {
			VPBROADCASTD(block.As32(), v(even[3]))
		} else {
			VMOVD(block.As32(), xmm[even[3]])
			VPBROADCASTD(xmm[even[3]], v(even[3]))
		}
		VPADDD(k.blockOrder(), v(even[3]), v(even[3]))
		VPSRLQ(U8(32), v(even[3]), v(odd[3]))
		ADDL(U8(k.lanes), block.As32())
	}
	k.philox(&even, &odd)
	// Together again, in registers 0 to 3: the even ones may lie anywhere in 0 to 11.
	var words [4]int
	for j := range words {
		VPSLLQ(U8(32), v(odd[j]), v(odd[j]))
		if k.wide() {
			VMOVDQA32(v(odd[j]), reg.K2, v(even[j]))
		} else {
			VPBLENDD(U8(0xaa), v(odd[j]), v(even[j]), v(even[j]))
		}
		words[j] = even[j]
	}
	k.gather(words)
	n.finish(k)
	ADDQ(U32(4*k.bytes()), noiseDst)
	switch {
	case strings.Contains(n.signature, "src *byte"):
		ADDQ(U8(4*k.lanes), noiseSrc)
	case has("src"):
		ADDQ(U32(4*k.bytes()), noiseSrc)
	}
	DECQ(noiseGroups)
	JNE(LabelRef("group"))
	VZEROUPPER()
	RET()
}

// at returns the memory of vector j of the group that p points at.
func (k *noise) at(p reg.GPPhysical, j int) Mem { return Mem{Base: p, Disp: j * k.bytes()} }

func (k *noise) storeAll(p reg.GPPhysical) {
	for j := 0; j < 4; j++ {
		VMOVUPS(k.vec(j), k.at(p, j))
	}
}

// blockOrder returns the memory of the block of each lane, counted from the group's first.
func (k *noise) blockOrder() Mem {
	return table("blockOrder"+k.name, func(lane int) uint32 { return uint32(lane%4*(k.lanes/4) + lane/4) })
}

// philox computes the rounds. To save moves, words change registers: afterwards even and odd say where they are. It
// uses registers 8 to 13, too.
func (k *noise) philox(even, odd *[4]int) {
	v := k.vec
	const m0, m1 = 12, 13
	VMOVUPS(constant("philoxM0", philoxM0), v(m0))
	VMOVUPS(constant("philoxM1", philoxM1), v(m1))
	free := [2][2]int{{8, 9}, {10, 11}}
	for round := 0; round < philoxRounds; round++ {
		key := func(i int) Mem { return Mem{Base: noiseState, Disp: 4 * (2*round + i)} }
		for i, c := range []*[4]int{even, odd} {
			p0, p1 := free[i][0], free[i][1]
			VPMULUDQ(v(m0), v(c[0]), v(p0))
			VPMULUDQ(v(m1), v(c[2]), v(p1))
			VPSRLQ(U8(32), v(p1), v(c[0]))
			VPSRLQ(U8(32), v(p0), v(c[2]))
			if k.wide() {
				VPTERNLOGD_BCST(U8(0x96), key(0), v(c[1]), v(c[0])) // the exclusive or of three
				VPTERNLOGD_BCST(U8(0x96), key(1), v(c[3]), v(c[2]))
				free[i] = [2]int{c[1], c[3]}
			} else {
				VPXOR(v(c[1]), v(c[0]), v(c[0]))
				VPXOR(v(c[3]), v(c[2]), v(c[2]))
				free[i] = [2]int{c[1], c[3]}
				for j, x := range []int{c[0], c[2]} {
					VPBROADCASTD(key(j), v(free[i][j]))
					VPXOR(v(free[i][j]), v(x), v(x))
				}
			}
			c[1], c[3] = p1, p0
		}
	}
}

// gather moves the words to registers 0 to 3. After the rounds, which are even in number, they lie in four different
// registers.
func (k *noise) gather(words [4]int) {
	for j, w := range words {
		if w == j {
			continue
		}
		for later := j + 1; later < 4; later++ {
			if words[later] == j { // in the way
				VMOVAPS(k.vec(j), k.vec(12))
				words[later] = 12
			}
		}
		VMOVAPS(k.vec(words[j]), k.vec(j))
	}
}

// transpose transposes registers 0 to 3 against the four words of every 128 bits; it uses 4 to 7.
func (k *noise) transpose() {
	v := k.vec
	VUNPCKLPS(v(1), v(0), v(4))
	VUNPCKHPS(v(1), v(0), v(5))
	VUNPCKLPS(v(3), v(2), v(6))
	VUNPCKHPS(v(3), v(2), v(7))
	VUNPCKLPD(v(6), v(4), v(0))
	VUNPCKHPD(v(6), v(4), v(1))
	VUNPCKLPD(v(7), v(5), v(2))
	VUNPCKHPD(v(7), v(5), v(3))
}

// uniform turns the word in register r into ((word >> 8) + 1) 2^-24.
func (k *noise) uniform(r int) {
	v := k.vec
	VPSRLD(U8(8), v(r), v(r))
	VPADDD(intConstant(1), v(r), v(r))
	VCVTDQ2PS(v(r), v(r))
	VMULPS(constantF("ulp24", 1.0/(1<<24)), v(r), v(r))
}

// normals turns the words in registers 0 to 3 into normals, in the order of memory, by Box-Muller as in package
// philox.
func (k *noise) normals() {
	for _, p := range []int{0, 2} {
		k.radius(p)
		k.sinCosTurn(p+1, 4, 5)
		k.mul(p, 4, p+1)
		k.mul(p, 5, p)
	}
	k.transpose()
}

// mul computes dst = a b.
func (k *noise) mul(a, b, dst int) { VMULPS(k.vec(a), k.vec(b), k.vec(dst)) }

// horner computes p = p x + c for each of the constants.
func (k *noise) horner(p, x int, name string, c ...float64) {
	for i, value := range c {
		m := constantF(fmt.Sprintf("%s%d", name, i), value)
		if i == 0 {
			VMOVUPS(m, k.vec(p))
			continue
		}
		k.mul(p, x, p)
		VADDPS(m, k.vec(p), k.vec(p))
	}
}

// radius turns the word in register r into sqrt(-2 ln u), with u = m 2^e, f = m-1, ln u = e ln 2 + ln(1+f). It uses 4
// to 9.
func (k *noise) radius(r int) {
	v := k.vec
	const e, f, p, f2, t = 4, 5, 6, 7, 8
	one := constantF("one", 1)
	k.uniform(r)
	VPSRLD(U8(23), v(r), v(e))
	VPSUBD(intConstant(126), v(e), v(e))
	k.and(constant("mantissa", 0x007fffff), r)
	k.or(constant("halfBits", 0x3f000000), r) // m in [1/2, 1)
	low := constantF("sqrtHalf", 0.70710678)
	if k.wide() {
		VCMPPS(U8(1), low, v(r), reg.K1)
		VADDPS(v(r), v(r), reg.K1, v(r))
		VPSUBD(intConstant(1), v(e), reg.K1, v(e))
	} else {
		VCMPPS(U8(1), low, v(r), v(t))
		VPADDD(v(t), v(e), v(e))
		VPAND(v(r), v(t), v(t))
		VADDPS(v(t), v(r), v(r))
	}
	VSUBPS(one, v(r), v(f))
	k.horner(p, f, "log", 7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1,
		-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1)
	k.mul(f, f, f2)
	VCVTDQ2PS(v(e), v(e))
	k.mul(p, f, p)
	k.mul(p, f2, p) // y
	VMULPS(constantF("ln2Tail", -2.12194440e-4), v(e), v(t))
	VADDPS(v(t), v(p), v(p))
	VMULPS(constantF("half", 0.5), v(f2), v(t))
	VSUBPS(v(t), v(p), v(p))
	VADDPS(v(f), v(p), v(p))
	VMULPS(constantF("ln2Head", 0.693359375), v(e), v(t))
	VADDPS(v(t), v(p), v(p))
	VMULPS(constantF("minusTwo", -2), v(p), v(p))
	VSQRTPS(v(p), v(r))
}

// sinCosTurn computes sin and cos of 2 pi u from the word in register r, with u = q/4 + t. It uses registers 6 to 9,
// too.
func (k *noise) sinCosTurn(r, sin, cos int) {
	v := k.vec
	const q, a, b, t = 6, 7, 8, 9
	VPSRLD(U8(8), v(r), v(r))
	VPADDD(intConstant(1), v(r), v(r))
	VPADDD(constant("eighthTurn", 1<<21), v(r), v(q))
	VPSRLD(U8(22), v(q), v(q))
	VPSLLD(U8(22), v(q), v(t))
	VPSUBD(v(t), v(r), v(t))
	VCVTDQ2PS(v(t), v(t))
	VMULPS(constantF("ulp24", 1.0/(1<<24)), v(t), v(t))
	VMULPS(constantF("turn", 2*math.Pi), v(t), v(a))
	k.mul(a, a, b)
	k.horner(sin, b, "sin", -1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
	k.mul(sin, b, sin)
	k.mul(sin, a, sin)
	VADDPS(v(a), v(sin), v(sin))
	k.horner(cos, b, "cos", 2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
	k.mul(cos, b, cos)
	k.mul(cos, b, cos)
	VMULPS(constantF("half", 0.5), v(b), v(t))
	VSUBPS(v(t), v(cos), v(cos))
	VADDPS(constantF("one", 1), v(cos), v(cos))
	// Odd quarters swap the two; then sin is negative in quarters 2 and 3, cos in 1 and 2.
	if k.wide() {
		VPTESTMD(intConstant(1), v(q), reg.K1)
		VMOVAPS(v(sin), v(a))
		VMOVAPS(v(cos), reg.K1, v(sin))
		VMOVAPS(v(a), reg.K1, v(cos))
	} else {
		VPSLLD(U8(31), v(q), v(t))
		VMOVAPS(v(sin), v(a))
		VBLENDVPS(v(t), v(cos), v(sin), v(sin))
		VBLENDVPS(v(t), v(a), v(cos), v(cos))
	}
	sign := constant("signBit", 1<<31)
	for _, x := range []int{sin, cos} {
		VPSLLD(U8(30), v(q), v(t))
		k.and(sign, t)
		if k.wide() {
			VPXORD(v(t), v(x), v(x))
		} else {
			VPXOR(v(t), v(x), v(x))
		}
		if x == sin {
			VPADDD(intConstant(1), v(q), v(q))
		}
	}
}

// and computes r &= m, or computes r |= m.
func (k *noise) and(m Mem, r int) {
	if k.wide() {
		VPANDD(m, k.vec(r), k.vec(r))
	} else {
		VPAND(m, k.vec(r), k.vec(r))
	}
}

func (k *noise) or(m Mem, r int) {
	if k.wide() {
		VPORD(m, k.vec(r), k.vec(r))
	} else {
		VPOR(m, k.vec(r), k.vec(r))
	}
}

const bytesSignature = "(dst *float32, src *byte, groups int)"

// buildBytes turns bytes into float32: dst = src / 255.
func buildBytes(k *kernel) {
	TEXT("bytes"+k.name, NOSPLIT, "func"+bytesSignature)
	Pragma("noescape")
	Doc(fmt.Sprintf("bytes%s computes dst = src / 255, for groups of %d values.", k.name, k.lanes))
	loadParam("dst", noiseDst)
	loadParam("src", noiseSrc)
	loadParam("groups", noiseGroups)
	v := k.vec
	VMOVUPS(constantF("bytes255", 255), v(1))
	Label("group")
	VPMOVZXBD(Mem{Base: noiseSrc}, v(0))
	VCVTDQ2PS(v(0), v(0))
	VDIVPS(v(1), v(0), v(0))
	VMOVUPS(v(0), Mem{Base: noiseDst})
	ADDQ(U8(k.lanes), noiseSrc)
	ADDQ(U8(k.bytes()), noiseDst)
	DECQ(noiseGroups)
	JNE(LabelRef("group"))
	VZEROUPPER()
	RET()
}

const mirrorSignature = "(dst, src, order *byte, steps, step int)"

// buildMirror reverses the order of pixels. Each step writes 16 bytes; steps go forwards in dst and backwards in src.
func buildMirror(s isa) {
	TEXT("mirror"+s.name, NOSPLIT, "func"+mirrorSignature)
	Pragma("noescape")
	Doc("mirror" + s.name +
		" writes src[order[i]] to dst[i] for 16 bytes, steps times: dst moves on by step bytes, src back.")
	steps, step := reg.RCX, reg.R8
	loadParam("dst", noiseDst)
	loadParam("src", noiseSrc)
	loadParam("order", noiseState)
	loadParam("steps", steps)
	loadParam("step", step)
	VMOVDQU(Mem{Base: noiseState}, reg.X1)
	Label("step")
	VMOVDQU(Mem{Base: noiseSrc}, reg.X0)
	VPSHUFB(reg.X1, reg.X0, reg.X0)
	VMOVDQU(reg.X0, Mem{Base: noiseDst})
	ADDQ(step, noiseDst)
	SUBQ(step, noiseSrc)
	DECQ(steps)
	JNE(LabelRef("step"))
	RET()
}
