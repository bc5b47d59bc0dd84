// Kernels of the convolution: a tile of the output, and a tile of the weight gradient.
//
// Both keep up to 28 accumulators, vectors of 16 lanes, in registers (AVX2: 6 rows of two halves of 8 lanes). Each is
// fed from a scalar of its own, which the fused multiply-add itself spreads over the lanes, and a vector that all
// share. Two fused multiply-adds can start in a cycle and each takes four, so at least eight accumulators are needed
// to keep both units busy; 28 is what the 32 registers allow. Every number of rows has its own kernel, so no row is
// ever masked out.

package main

import (
	"bytes"
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of tileArgs and gradArgs in package vec, eight bytes each, in order.
var (
	tileFields = []string{"a", "b", "y", "bias", "lda", "ldy", "tiles", "aTile", "bTile", "yTile", "nKh", "aKh", "nKw",
		"aKw", "k", "bPanel", "accumulate", "mask", "maskLast", "maskWords", "lastWords",
		"tileA", "tileB", "tileY", "leftTiles", "tapKh", "leftKh", "tapKw"}
	gradFields = []string{"x", "dy", "acc", "rows", "groups", "tail", "xRow", "dyRow", "xStep", "dyStep", "accPanel",
		"times", "xTime", "dyTime", "accTime", "mask", "maskTail", "maskWords", "tailWords", "rowX", "rowDy", "leftRows",
		"leftTimes"}
)

func field(fields []string, name string) Mem {
	for i, f := range fields {
		if f == name {
			return Mem{Base: reg.RDI, Disp: 8 * i}
		}
	}
	panic("gen: no field " + name)
}

// shape is the tile that one kernel keeps in registers: rows high, panels of 16 lanes wide.
type shape struct {
	isa
	rows, panels int
}

// maxRows returns the most rows of a tile, as maxRows in package vec.
func maxRows(s isa, panels int) int {
	switch {
	case s.wide() && panels == 1:
		return 28
	case s.wide():
		return 14
	}
	return 6
}

func shapes() (list []shape) {
	for _, p := range []int{1, 2} {
		for r := 1; r <= maxRows(avx512, p); r++ {
			list = append(list, shape{avx512, r, p})
		}
	}
	for r := 1; r <= maxRows(avx2, 1); r++ {
		list = append(list, shape{avx2, r, 1})
	}
	return list
}

func (t shape) name(kind string) string {
	return fmt.Sprintf("%s%sx%dr%d", kind, t.isa.name, t.panels, t.rows)
}

// vectors returns the number of vectors across a row: one a panel, or with AVX2 the two halves of the one panel.
func (t shape) vectors() int {
	if t.wide() {
		return t.panels
	}
	return 2
}

// acc returns the register of the accumulator of row r, vector v.
func (t shape) acc(r, v int) int { return r*t.vectors() + v }

// shared returns the register of the vector v that all rows share; it lies above the accumulators.
func (t shape) shared(v int) int {
	if t.wide() {
		return 30 + v
	}
	return 12 + v
}

// scalar returns the register for the spread scalar of row r, which is needed if a row has more than one vector.
func (t shape) scalar(r int) int {
	if t.wide() {
		return 28 + r%2
	}
	return 14
}

// multiply adds scalar(m) * shared to the accumulators of row r.
func (t shape) multiply(m Mem, r int) {
	if t.vectors() == 1 {
		VFMADD231PS_BCST(m, t.vec(t.shared(0)), t.vec(t.acc(r, 0)))
		return
	}
	VBROADCASTSS(m, t.vec(t.scalar(r)))
	for v := 0; v < t.vectors(); v++ {
		VFMADD231PS(t.vec(t.shared(v)), t.vec(t.scalar(r)), t.vec(t.acc(r, v)))
	}
}

func genConv() {
	for _, t := range shapes() {
		tileKernel(t)
	}
	for _, t := range shapes() {
		gradKernel(t)
	}
}

// strided addresses rows whose stride s is known only at run time: nine rows from each base register, by index
// registers that hold s, 3s, 5s and 7s, and their scales.
type strided struct {
	bases         []reg.GPPhysical
	s, s3, s5, s7 reg.GPPhysical
}

func (p strided) row(r, disp int) Mem {
	m := Mem{Base: p.bases[r/9], Disp: disp}
	switch r % 9 {
	case 1:
		m.Index, m.Scale = p.s, 1
	case 2:
		m.Index, m.Scale = p.s, 2
	case 3:
		m.Index, m.Scale = p.s3, 1
	case 4:
		m.Index, m.Scale = p.s, 4
	case 5:
		m.Index, m.Scale = p.s5, 1
	case 6:
		m.Index, m.Scale = p.s3, 2
	case 7:
		m.Index, m.Scale = p.s7, 1
	case 8:
		m.Index, m.Scale = p.s, 8
	}
	return m
}

// tileKernel computes, for each of args.tiles tiles of rows x panels*16 outputs,
//
//	y[r, lane] = bias[lane] (+ y[r, lane])  +  sum over kh, kw, k of a[kh, kw, r, k] * b[kh, kw, k, lane]
//
// with a's rows args.lda bytes apart, its taps args.aKh and args.aKw apart, and b read straight through.
func tileKernel(t shape) {
	TEXT(t.name("convTile"), NOSPLIT, "func(args *uint64)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds up tiles of %d rows and %d lanes; args is a tileArgs.", t.name("convTile"), t.rows,
		16*t.panels))
	f := func(name string) Mem { return field(tileFields, name) }
	p := strided{bases: []reg.GPPhysical{reg.RSI, reg.R8, reg.R9, reg.R10},
		s: reg.R11, s3: reg.R12, s5: reg.R13, s7: reg.RBX}
	bases := (t.rows + 8) / 9
	b, k, tmp, kw, panel := reg.RDX, reg.RCX, reg.RAX, reg.R14, reg.R15

	Load(Param("args"), reg.RDI)
	MOVQ(f("lda"), p.s)
	LEAQ(Mem{Base: p.s, Index: p.s, Scale: 2}, p.s3)
	LEAQ(Mem{Base: p.s, Index: p.s, Scale: 4}, p.s5)
	LEAQ(Mem{Base: p.s3, Index: p.s, Scale: 4}, p.s7)
	if t.panels == 2 {
		MOVQ(f("bPanel"), panel)
	}
	if t.wide() {
		KMOVW(f("mask"), reg.K1)
		KMOVW(f("maskLast"), reg.K2)
	}

	for _, copied := range [][2]string{{"a", "tileA"}, {"b", "tileB"}, {"y", "tileY"}, {"tiles", "leftTiles"}} {
		MOVQ(f(copied[0]), tmp)
		MOVQ(tmp, f(copied[1]))
	}

	Label("tile")
	t.startRows(f, k, tmp)
	MOVQ(f("tileB"), b)
	MOVQ(f("tileA"), tmp)
	MOVQ(tmp, f("tapKh"))
	MOVQ(f("nKh"), k)
	MOVQ(k, f("leftKh"))

	Label("rowOfTaps")
	MOVQ(f("tapKh"), tmp)
	MOVQ(tmp, f("tapKw"))
	MOVQ(f("nKw"), kw)

	Label("tap")
	MOVQ(f("tapKw"), p.bases[0])
	for i := 1; i < bases; i++ {
		LEAQ(Mem{Base: p.bases[i-1], Index: p.s, Scale: 8}, p.bases[i])
		ADDQ(p.s, p.bases[i])
	}
	step := func(u int) {
		for v := 0; v < t.vectors(); v++ {
			m := Mem{Base: b, Disp: 64*u + v*t.bytes()}
			if t.panels == 2 && v == 1 {
				m = Mem{Base: b, Index: panel, Scale: 1, Disp: 64 * u}
			}
			VMOVUPS(m, t.vec(t.shared(v)))
		}
		for r := 0; r < t.rows; r++ {
			t.multiply(p.row(r, 4*u), r)
		}
	}
	advance := func(n int) {
		ADDQ(I32(int32(64*n)), b)
		for i := 0; i < bases; i++ {
			ADDQ(U8(4*n), p.bases[i])
		}
	}
	const unroll = 2
	MOVQ(f("k"), k)
	SUBQ(U8(unroll), k)
	JLT(LabelRef("rest"))
	Label("two")
	for u := 0; u < unroll; u++ {
		step(u)
	}
	advance(unroll)
	SUBQ(U8(unroll), k)
	JGE(LabelRef("two"))
	Label("rest")
	ADDQ(U8(unroll), k)
	JEQ(LabelRef("tapDone"))
	Label("one")
	step(0)
	advance(1)
	DECQ(k)
	JNE(LabelRef("one"))

	Label("tapDone")
	MOVQ(f("aKw"), tmp)
	ADDQ(tmp, f("tapKw"))
	DECQ(kw)
	JNE(LabelRef("tap"))
	MOVQ(f("aKh"), tmp)
	ADDQ(tmp, f("tapKh"))
	DECQ(f("leftKh"))
	JNE(LabelRef("rowOfTaps"))

	t.storeRows(f, k, tmp)
	MOVQ(f("aTile"), tmp)
	ADDQ(tmp, f("tileA"))
	MOVQ(f("bTile"), tmp)
	ADDQ(tmp, f("tileB"))
	MOVQ(f("yTile"), tmp)
	ADDQ(tmp, f("tileY"))
	DECQ(f("leftTiles"))
	JNE(LabelRef("tile"))
	VZEROUPPER()
	RET()
}

// startRows sets the accumulators to bias, or to bias + y.
func (t shape) startRows(f func(string) Mem, ldy, y reg.GPPhysical) {
	MOVQ(f("bias"), y)
	for v := 0; v < t.vectors(); v++ {
		VMOVUPS(Mem{Base: y, Disp: v * t.bytes()}, t.vec(t.shared(v)))
	}
	CMPQ(f("accumulate"), U8(0))
	JNE(LabelRef("fromOutput"))
	for r := 0; r < t.rows; r++ {
		for v := 0; v < t.vectors(); v++ {
			VMOVAPS(t.vec(t.shared(v)), t.vec(t.acc(r, v)))
		}
	}
	JMP(LabelRef("started"))
	Label("fromOutput")
	MOVQ(f("tileY"), y)
	MOVQ(f("ldy"), ldy)
	for r := 0; r < t.rows; r++ {
		last := r == t.rows-1
		for v := 0; v < t.vectors(); v++ {
			m, acc := Mem{Base: y, Disp: v * t.bytes()}, t.vec(t.acc(r, v))
			if t.wide() {
				if t.panels == 2 && v == 0 {
					VMOVUPS(m, acc)
				} else {
					VMOVUPS_Z(m, t.opmask(last), acc)
				}
			} else {
				t.maskVector(f, last, v)
				VMASKMOVPS(m, ymm[14], acc)
			}
			VADDPS(t.vec(t.shared(v)), acc, acc)
		}
		if !last {
			ADDQ(ldy, y)
		}
	}
	Label("started")
}

// storeRows writes the accumulators.
func (t shape) storeRows(f func(string) Mem, ldy, y reg.GPPhysical) {
	MOVQ(f("tileY"), y)
	MOVQ(f("ldy"), ldy)
	for r := 0; r < t.rows; r++ {
		last := r == t.rows-1
		for v := 0; v < t.vectors(); v++ {
			m, acc := Mem{Base: y, Disp: v * t.bytes()}, t.vec(t.acc(r, v))
			switch {
			case t.panels == 2 && v == 0:
				VMOVUPS(acc, m)
			case t.wide():
				VMOVUPS(acc, t.opmask(last), m)
			default:
				t.maskVector(f, last, v)
				VMASKMOVPS(acc, ymm[14], m)
			}
		}
		if !last {
			ADDQ(ldy, y)
		}
	}
}

// opmask returns the mask of the lanes of a row. With two panels only the second can be cut, and in every row alike.
func (t shape) opmask(last bool) reg.OpmaskPhysical {
	if last && t.panels == 1 {
		return reg.K2
	}
	return reg.K1
}

// maskVector loads the mask of a row's half v (AVX2) into Y14.
func (t shape) maskVector(f func(string) Mem, last bool, v int) {
	words := "maskWords"
	if last {
		words = "lastWords"
	}
	MOVQ(f(words), reg.RDX)
	VMOVUPS(Mem{Base: reg.RDX, Disp: 32 * v}, ymm[14])
}

// gradKernel adds to a tile of the weight gradient
//
//	acc[r, lane] += sum over image rows i and pixels g of x[i, g, r] * dy[i, g, lane]
//
// where rows r are consecutive input values (channels, or taps and channels) and lanes are output channels. It does so
// args.times times; in between, x, dy and acc move on by xTime, dyTime and accTime.
func gradKernel(t shape) {
	TEXT(t.name("convGrad"), NOSPLIT, "func(args *uint64)")
	Pragma("noescape")
	Doc(fmt.Sprintf("%s adds up the gradient of %d inputs and %d lanes; args is a gradArgs.", t.name("convGrad"), t.rows,
		16*t.panels))
	f := func(name string) Mem { return field(gradFields, name) }
	x, dy, left, xStep, dyStep, tmp := reg.RSI, reg.RDX, reg.RCX, reg.R8, reg.R9, reg.RAX
	words, wordsTail := reg.R10, reg.R11

	Load(Param("args"), reg.RDI)
	MOVQ(f("xStep"), xStep)
	MOVQ(f("dyStep"), dyStep)
	if t.wide() {
		KMOVW(f("mask"), reg.K1)
		KMOVW(f("maskTail"), reg.K2)
	} else {
		MOVQ(f("maskWords"), words)
		MOVQ(f("tailWords"), wordsTail)
	}
	copyFields := func(pairs ...[2]string) {
		for _, copied := range pairs {
			MOVQ(f(copied[0]), tmp)
			MOVQ(tmp, f(copied[1]))
		}
	}
	copyFields([2]string{"times", "leftTimes"})
	Label("again")
	copyFields([2]string{"x", "rowX"}, [2]string{"dy", "rowDy"}, [2]string{"rows", "leftRows"})
	for r := 0; r < t.rows; r++ {
		for v := 0; v < t.vectors(); v++ {
			t.zero(t.acc(r, v))
		}
	}

	// pixel adds the products of group u, 0 or 1 groups from the current one.
	pixel := func(u int, k reg.OpmaskPhysical, w reg.GPPhysical) {
		for v := 0; v < t.vectors(); v++ {
			m := Mem{Base: dy, Disp: v * t.bytes()}
			if u == 1 {
				m.Index, m.Scale = dyStep, 1
			}
			switch {
			case t.panels == 2 && v == 0:
				VMOVUPS(m, t.vec(t.shared(v)))
			case t.wide():
				VMOVUPS_Z(m, k, t.vec(t.shared(v)))
			default:
				VMOVUPS(Mem{Base: w, Disp: 32 * v}, ymm[14])
				VMASKMOVPS(m, ymm[14], t.vec(t.shared(v)))
			}
		}
		for r := 0; r < t.rows; r++ {
			m := Mem{Base: x, Disp: 4 * r}
			if u == 1 {
				m.Index, m.Scale = xStep, 1
			}
			t.multiply(m, r)
		}
	}
	Label("row")
	MOVQ(f("rowX"), x)
	MOVQ(f("rowDy"), dy)
	MOVQ(f("groups"), left)
	SUBQ(U8(2), left)
	JLT(LabelRef("oddGroup"))
	Label("twoGroups")
	pixel(0, reg.K1, words)
	pixel(1, reg.K1, words)
	LEAQ(Mem{Base: x, Index: xStep, Scale: 2}, x)
	LEAQ(Mem{Base: dy, Index: dyStep, Scale: 2}, dy)
	SUBQ(U8(2), left)
	JGE(LabelRef("twoGroups"))
	Label("oddGroup")
	ADDQ(U8(2), left)
	JEQ(LabelRef("cutGroup"))
	pixel(0, reg.K1, words)
	ADDQ(xStep, x)
	ADDQ(dyStep, dy)
	Label("cutGroup")
	CMPQ(f("tail"), U8(0))
	JEQ(LabelRef("rowDone"))
	pixel(0, reg.K2, wordsTail)
	Label("rowDone")
	MOVQ(f("xRow"), tmp)
	ADDQ(tmp, f("rowX"))
	MOVQ(f("dyRow"), tmp)
	ADDQ(tmp, f("rowDy"))
	DECQ(f("leftRows"))
	JNE(LabelRef("row"))

	MOVQ(f("acc"), tmp)
	if t.panels == 2 {
		MOVQ(f("accPanel"), left)
	}
	for r := 0; r < t.rows; r++ {
		for v := 0; v < t.vectors(); v++ {
			m := Mem{Base: tmp, Disp: 64*r + v*t.bytes()}
			if t.panels == 2 && v == 1 {
				m = Mem{Base: tmp, Index: left, Scale: 1, Disp: 64 * r}
			}
			acc := t.vec(t.acc(r, v))
			VADDPS(m, acc, acc)
			VMOVUPS(acc, m)
		}
	}
	DECQ(f("leftTimes"))
	JEQ(LabelRef("done"))
	for _, moved := range [][2]string{{"x", "xTime"}, {"dy", "dyTime"}, {"acc", "accTime"}} {
		MOVQ(f(moved[1]), tmp)
		ADDQ(tmp, f(moved[0]))
	}
	JMP(LabelRef("again"))
	Label("done")
	VZEROUPPER()
	RET()
}

// writeConvDispatch writes the switches from a number of rows to its kernel, and the checks that fields have the
// offsets that the assembly assumes. The switches make direct calls, so that the argument block can stay on the
// caller's stack.
func writeConvDispatch(path string) {
	if path == "" {
		return
	}
	var b bytes.Buffer
	b.WriteString("// Code generated by command: go run ./gen. DO NOT EDIT.\n\npackage vec\n\nimport \"unsafe\"\n\n")
	b.WriteString("// The assembly reads the argument blocks by these offsets.\nvar (\n")
	for i, f := range tileFields {
		fmt.Fprintf(&b, "_ [%d]byte = [unsafe.Offsetof(tileArgs{}.%s)]byte{}\n", 8*i, f)
	}
	for i, f := range gradFields {
		fmt.Fprintf(&b, "_ [%d]byte = [unsafe.Offsetof(gradArgs{}.%s)]byte{}\n", 8*i, f)
	}
	b.WriteString(")\n")
	for _, kind := range []string{"Tile", "Grad"} {
		args := map[string]string{"Tile": "tileArgs", "Grad": "gradArgs"}[kind]
		for _, s := range isas {
			for panels := 1; panels <= 2; panels++ {
				if !s.wide() && panels == 2 {
					continue
				}
				fmt.Fprintf(&b, "\nfunc conv%s%sx%d(rows int, args *%s) {\np := (*uint64)(unsafe.Pointer(args))\nswitch rows {\n",
					kind, s.name, panels, args)
				for r := 1; r <= maxRows(s, panels); r++ {
					fmt.Fprintf(&b, "case %d:\n%s(p)\n", r, shape{s, r, panels}.name("conv"+kind))
				}
				b.WriteString("default:\npanic(\"vec: no kernel for this row count\")\n}\n}\n")
			}
		}
	}
	write(path+"_amd64.go", b.Bytes())
}
