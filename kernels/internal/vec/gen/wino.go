package main

// Kernels of Winograd's convolution F(4x4,3x3) with the points 0, 1, -1, 2, -2 and infinity: the transforms of tiles
// (input, output, output gradient) and of filters (filter, filter gradient). wino.go in package vec has the formulas.
//
// A kernel takes one vector of channels of one tile at a time: first all columns of the tile, then its rows. AVX-512
// keeps what is between in registers; AVX2 has room for two rows only and reads the tile once for each pair of them.
//
// Where the pixels of a tile lie is data: a table of their numbers in the image, negative outside of it. So edges,
// cut tiles and the phases of a dilated convolution need no code of their own.

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// The fields of winoArgs in package vec, eight bytes each, in order; pointers is the last.
var winoFields = []string{"src", "dst", "index", "outside", "pixel", "tiles", "tile", "freq", "vectors", "tail",
	"bias", "addend", "addendAt", "activated", "activateAt", "elu", "accumulate", "pointers"}

func winoField(name string) Mem { return field(winoFields, name) }

// Pixels of a tile in the table: the input's 6x6 and some that fill a vector, the output's 4x4.
const (
	inputIndices  = 40
	outputIndices = 16
)

func init() {
	for name, v := range map[string]float64{"root": math.Sqrt2, "halfRoot": math.Sqrt2 / 2, "doubleRoot": 2 * math.Sqrt2, "quarterRoot": math.Sqrt2 / 4,
		"half": 1.0 / 2, "fiveHalves": 5.0 / 2, "minus2Thirds": -2.0 / 3, "minusThird": -1.0 / 3, "third": 1.0 / 3, "sixth": 1.0 / 6,
		"minusRootThird": -math.Sqrt2 / 3, "rootSixth": math.Sqrt2 / 6} {
		floats[name] = v
	}
}

func genWino() {
	for _, s := range isas {
		for _, w := range []struct {
			name, doc string
			build     func(w *wino)
		}{
			{"winoInput", "transforms the 6x6 pixels of tiles", (*wino).input},
			{"winoOutput", "transforms products back to the 4x4 pixels of tiles", (*wino).output},
			{"winoOutputGrad", "transforms the gradient of the 4x4 pixels of tiles", (*wino).outputGrad},
			{"winoFilter", "transforms 3x3 filters", (*wino).filter},
			{"winoFilterGrad", "transforms the gradient of filters back to 3x3", (*wino).filterGrad},
		} {
			TEXT(w.name+s.name, NOSPLIT, "func(args *uint64)")
			Pragma("noescape")
			Doc(w.name + s.name + " " + w.doc + "; args is a winoArgs.")
			Load(Param("args"), reg.RDI)
			w.build(&wino{kernel: kernel{isa: s}})
			VZEROUPPER()
			RET()
		}
		buildTranspose(s)
		declare(s, "transpose", transposeSignature)
	}
}

// wino is a transform being built. Registers of vectors are taken from a pool and given back.
type wino struct {
	kernel
	free   []int
	masked bool // the tail of the channels
}

// fill makes the pool of the registers that hold no constant.
func (w *wino) fill(mask bool) {
	taken := map[int]bool{}
	for _, r := range w.consts {
		taken[r] = true
	}
	if mask && !w.wide() {
		taken[maskReg] = true
	}
	w.free = nil
	for r := w.lanes*2 - 1; r >= 0; r-- { // 16 registers of 8 lanes, 32 of 16
		if !taken[r] {
			w.free = append(w.free, r)
		}
	}
}

func (w *wino) take() int {
	r := w.free[len(w.free)-1]
	w.free = w.free[:len(w.free)-1]
	return r
}

func (w *wino) give(regs ...int) { w.free = append(w.free, regs...) }

func (w *wino) copyOf(r int) int {
	c := w.take()
	VMOVAPS(w.vec(r), w.vec(c))
	return c
}

// add and sub are new registers a + b and a - b.
func (w *wino) add(a, b int) int {
	c := w.take()
	VADDPS(w.vec(b), w.vec(a), w.vec(c))
	return c
}

func (w *wino) sub(a, b int) int {
	c := w.take()
	VSUBPS(w.vec(b), w.vec(a), w.vec(c))
	return c
}

// plus and minus are acc +- c*x in the register acc.
func (w *wino) plus(acc int, c string, x int) int {
	VFMADD231PS(w.c(c), w.vec(x), w.vec(acc))
	return acc
}

func (w *wino) minus(acc int, c string, x int) int {
	VFNMADD231PS(w.c(c), w.vec(x), w.vec(acc))
	return acc
}

// times scales register x.
func (w *wino) times(x int, c string) int {
	VMULPS(w.c(c), w.vec(x), w.vec(x))
	return x
}

// line is one row or column of a tile. With keep the registers of its values stay as they are; else a value is read
// into a register each time it is asked for, and the register given back when it has been used.
type line struct {
	w    *wino
	keep bool
	get  func(i int) int
}

// used says that value i, in register r, is not needed for now.
func (l line) used(r int) {
	if !l.keep {
		l.w.give(r)
	}
}

// own is value i in a register that may be changed.
func (l line) own(i int) int {
	if l.keep {
		return l.w.copyOf(l.get(i))
	}
	return l.get(i)
}

// plus and minus are acc +- c * value i in the register acc.
func (l line) plus(acc int, c string, i int) int {
	r := l.get(i)
	VFMADD231PS(l.w.c(c), l.w.vec(r), l.w.vec(acc))
	l.used(r)
	return acc
}

func (l line) minus(acc int, c string, i int) int {
	r := l.get(i)
	VFNMADD231PS(l.w.c(c), l.w.vec(r), l.w.vec(acc))
	l.used(r)
	return acc
}

// sum and difference of values i and j in a new register; both the two of them.
func (l line) sum(i, j int) int {
	a, b := l.get(i), l.get(j)
	c := l.w.add(a, b)
	l.used(a)
	l.used(b)
	return c
}

func (l line) difference(i, j int) int {
	a, b := l.get(i), l.get(j)
	c := l.w.sub(a, b)
	l.used(a)
	l.used(b)
	return c
}

func (l line) both(i, j int) (sum, difference int) {
	a, b := l.get(i), l.get(j)
	sum, difference = l.w.add(a, b), l.w.sub(a, b)
	l.used(a)
	l.used(b)
	return sum, difference
}

// twice are t + c u and t - c u, in a new register and in t's; u's is given back.
func (w *wino) twice(t int, c string, u int) []int {
	r := w.plus(w.copyOf(t), c, u)
	w.minus(t, c, u)
	w.give(u)
	return []int{r, t}
}

// transform computes some results of a transform of a line in new registers.
type transform func(w *wino, l line, results []int) []int

// inputLine is B^T d.
func inputLine(w *wino, d line, results []int) (out []int) {
	outer := func(i, j, k int) int { return d.minus(d.sum(i, k), "fiveHalves", j) }
	pair := func(inner, point string) []int {
		t := d.minus(d.own(4), inner, 2)
		return w.twice(t, point, d.minus(d.own(3), inner, 1))
	}
	for i := 0; i < len(results); i++ {
		switch results[i] {
		case 0:
			out = append(out, outer(0, 2, 4))
		case 1: // and 2
			out = append(out, pair("two", "halfRoot")...)
			i++
		case 3: // and 4
			out = append(out, pair("half", "root")...)
			i++
		case 5:
			out = append(out, outer(1, 3, 5))
		}
	}
	return out
}

// only keeps the results asked for of those that were computed.
func (w *wino) only(results []int, number, registers []int) (out []int) {
	for i, r := range registers {
		if slices.Contains(results, number[i]) {
			out = append(out, r)
		} else {
			w.give(r)
		}
	}
	return out
}

// outputLine is A^T m; results are {0, 2} or {1, 3} or one of them.
func outputLine(w *wino, m line, results []int) []int {
	if results[0]%2 == 0 {
		s := m.sum(1, 2)
		t := m.sum(3, 4)
		m0 := m.get(0)
		r := w.add(m0, s)
		m.used(m0)
		VADDPS(w.vec(t), w.vec(r), w.vec(r))
		w.times(s, "half")
		w.plus(s, "two", t)
		w.give(t)
		return w.only(results, []int{0, 2}, []int{r, s})
	}
	d := m.difference(1, 2)
	e := m.difference(3, 4)
	r := m.own(5)
	w.plus(r, "quarterRoot", d)
	w.plus(r, "doubleRoot", e)
	w.times(d, "halfRoot")
	w.plus(d, "root", e)
	w.give(e)
	return w.only(results, []int{1, 3}, []int{d, r})
}

// outputGradLine is A y; results are {0, 5}, {1, 2} or {3, 4}.
func outputGradLine(w *wino, y line, results []int) []int {
	inner, point := "half", "halfRoot"
	switch results[0] {
	case 0:
		return []int{y.own(0), y.own(3)}
	case 3:
		inner, point = "two", "root"
	}
	t := y.plus(y.own(0), inner, 2)
	return w.twice(t, point, y.plus(y.own(1), inner, 3))
}

// filterLine is G g; results as those of outputGradLine.
func filterLine(w *wino, g line, results []int) []int {
	switch results[0] {
	case 0:
		return []int{g.own(0), g.own(2)}
	case 1:
		t := g.plus(w.times(g.own(0), "minus2Thirds"), "minusThird", 2)
		return w.twice(t, "minusRootThird", g.own(1))
	}
	t := g.plus(w.times(g.own(0), "sixth"), "third", 2)
	return w.twice(t, "rootSixth", g.own(1))
}

// filterGradLine is G^T x.
func filterGradLine(w *wino, x line, results []int) []int {
	s, d := x.both(1, 2)
	t, u := x.both(3, 4)
	w.times(d, "minusRootThird")
	w.plus(d, "rootSixth", u)
	w.give(u)
	x0 := x.get(0)
	r := w.copyOf(x0)
	x.used(x0)
	w.plus(r, "minus2Thirds", s)
	w.plus(r, "sixth", t)
	x5 := x.get(5)
	w.times(s, "minusThird")
	VADDPS(w.vec(x5), w.vec(s), w.vec(s))
	x.used(x5)
	w.plus(s, "third", t)
	w.give(t)
	return w.only(results, []int{0, 1, 2}, []int{r, d, s})
}

// plane transforms a plane of columns x from values: for each of the groups of its rows first the columns, whose values
// load(row, column) reads into a register, and then each row, of which emit stores result (row, column).
func (w *wino) plane(t transform, columns int, groups [][]int, rowGroups [][]int, load func(row, column, r int), emit func(row, column, r int)) {
	for _, group := range groups {
		between := make([][]int, len(group)) // [result][column]
		for column := 0; column < columns; column++ {
			loaded := map[int]int{}
			read := func(i int) int {
				r, ok := loaded[i]
				if !ok {
					r = w.take()
					load(i, column, r)
				}
				if w.wide() {
					loaded[i] = r
				}
				return r
			}
			for i, r := range t(w, line{w, w.wide(), read}, group) {
				between[i] = append(between[i], r)
			}
			for i := 0; i < 6; i++ { // in order: the output must not depend on a map's
				if r, ok := loaded[i]; ok {
					w.give(r)
				}
			}
		}
		for i, row := range group {
			for _, rowGroup := range rowGroups {
				for j, r := range t(w, line{w, true, func(c int) int { return between[i][c] }}, rowGroup) {
					emit(row, rowGroup[j], r)
					w.give(r)
				}
			}
			w.give(between[i]...)
		}
	}
}

// Groups of results that fit the registers together.
var (
	pairsOf6 = [][]int{{0, 5}, {1, 2}, {3, 4}}
	pairsOf4 = [][]int{{0, 2}, {1, 3}}
	inOrder  = [][]int{{0}, {1, 2}, {3, 4}, {5}}
)

// pointersOf writes the addresses of a tile's pixels, of which there are n, to the field pointers: base + number * pixel,
// or the field outside where the number is negative. The table's next tile is at index after it.
func (w *wino) pointersOf(base string, index reg.GPPhysical, n int) {
	v, per := w.vec, w.lanes/2
	b, size, outside, number, at := v(0), v(1), v(2), v(3), v(4)
	broadcast := func(name string, r reg.VecPhysical) { VPBROADCASTQ(winoField(name), r) }
	broadcast(base, b)
	broadcast("pixel", size)
	broadcast("outside", outside)
	for i := 0; i < n; i += per {
		VPMOVSXDQ(Mem{Base: index, Disp: 4 * i}, number)
		VPMULDQ(size, number, at)
		VPADDQ(b, at, at)
		to := winoField("pointers")
		to.Disp += 8 * i
		if w.wide() {
			VPMOVQ2M(number, reg.K2)
			VPBLENDMQ(outside, at, reg.K2, at)
			VMOVDQU64(at, to)
		} else {
			VBLENDVPD(number, outside, at, at)
			VMOVDQU(at, to)
		}
	}
	ADDQ(U8(4*n), index)
}

func pointer(i int) Mem {
	m := winoField("pointers")
	m.Disp += 8 * i
	return m
}

// freqs addresses the 36 values of a transformed tile, freq bytes apart.
type freqs struct{ base, row, f, f3, f5, f6 reg.GPPhysical }

// start loads the registers.
func (p freqs) start() {
	MOVQ(winoField("freq"), p.f)
	LEAQ(Mem{Base: p.f, Index: p.f, Scale: 2}, p.f3)
	LEAQ(Mem{Base: p.f, Index: p.f, Scale: 4}, p.f5)
	LEAQ(Mem{Base: p.f3, Index: p.f3, Scale: 1}, p.f6)
}

// at is value (row, column), in the register row.
func (p freqs) at(row, column int) Mem {
	MOVQ(p.base, p.row)
	switch row {
	case 1, 2, 4:
		LEAQ(Mem{Base: p.row, Index: p.f6, Scale: uint8(row)}, p.row)
	case 3, 5:
		LEAQ(Mem{Base: p.row, Index: p.f6, Scale: uint8(row - 1)}, p.row)
		ADDQ(p.f6, p.row)
	}
	m := Mem{Base: p.row}
	switch column {
	case 1, 2, 4:
		m.Index, m.Scale = p.f, uint8(column)
	case 3:
		m.Index, m.Scale = p.f3, 1
	case 5:
		m.Index, m.Scale = p.f5, 1
	}
	return m
}

// channels runs body for all vectors of channels: c is the offset of the vector in bytes, and each of moved is advanced
// along with it.
func (w *wino) channels(label string, c reg.GPPhysical, tmp reg.GPPhysical, moved []reg.GPPhysical, body func(label string)) {
	left := reg.RCX
	XORQ(c, c)
	MOVQ(winoField("vectors"), left)
	TESTQ(left, left)
	JEQ(LabelRef(label + "Tail"))
	Label(label + "Vector")
	w.masked = false
	w.fill(false)
	body(label + "Whole")
	ADDQ(I32(int32(w.bytes())), c)
	for _, r := range moved {
		ADDQ(I32(int32(w.bytes())), r)
	}
	DECQ(left)
	JNE(LabelRef(label + "Vector"))
	Label(label + "Tail")
	MOVQ(winoField("tail"), left)
	TESTQ(left, left)
	JEQ(LabelRef(label + "Done"))
	w.tailMask(left, tmp)
	w.masked = true
	w.fill(true)
	body(label + "Cut")
	Label(label + "Done")
}

// eachTile runs body for all tiles with the addresses of their pixels made.
func (w *wino) eachTile(base string, pixels int, body func()) {
	index := reg.RSI
	MOVQ(winoField("index"), index)
	Label("tile")
	w.pointersOf(base, index, pixels)
	body()
	DECQ(winoField("tiles"))
	JNE(LabelRef("tile"))
}

// input is V = B^T d B.
func (w *wino) input() {
	w.toFreqs(inputLine, "src", inputIndices, 6, inOrder, []string{"fiveHalves", "two", "half", "root", "halfRoot"}, [][]int{{0, 1, 2}, {3, 4, 5}})
}

// outputGrad is A y A^T.
func (w *wino) outputGrad() {
	w.toFreqs(outputGradLine, "src", outputIndices, 4, pairsOf6, []string{"two", "half", "root", "halfRoot"}, pairsOf6)
}

// toFreqs transforms pixels.
func (w *wino) toFreqs(t transform, base string, pixels, size int, rowGroups [][]int, consts []string, wideGroups [][]int) {
	c, p, out, tmp := reg.RAX, reg.RBX, reg.RDX, reg.R8
	f := freqs{base: out, row: reg.R9, f: reg.R10, f3: reg.R11, f5: reg.R12, f6: reg.R13}
	f.start()
	groups := pairsOf6
	if w.wide() {
		w.use(consts)
		groups = wideGroups
	}
	w.eachTile(base, pixels, func() {
		MOVQ(winoField("dst"), out)
		w.channels("channels", c, tmp, []reg.GPPhysical{out}, func(string) {
			w.plane(t, size, groups, rowGroups,
				func(row, column, r int) {
					MOVQ(pointer(row*size+column), p)
					w.load(Mem{Base: p, Index: c, Scale: 1}, r, w.masked)
				},
				// Past the tail the loads left zeros, whose transform is zero.
				func(row, column, r int) { w.store(r, f.at(row, column), false) })
		})
		MOVQ(winoField("tile"), tmp)
		ADDQ(tmp, winoField("dst"))
	})
}

// output is A^T M A and what follows, in this order and the last three only where the field is set: + bias,
// * ELU'(activated), + addend, ELU. The two operands have the shape of the output; addendAt and activateAt are how far they
// lie from it.
func (w *wino) output() {
	c, p, in, tmp := reg.RAX, reg.RBX, reg.RDX, reg.R8
	f := freqs{base: in, row: reg.R9, f: reg.R10, f3: reg.R11, f5: reg.R12, f6: reg.R13}
	bias, at := reg.R14, reg.R15
	f.start()
	if w.wide() {
		w.use([]string{"two", "half", "root", "halfRoot", "doubleRoot", "quarterRoot"})
	}
	rowGroups := pairsOf4
	if !w.wide() { // the epilogue needs room
		rowGroups = [][]int{{0}, {2}, {1}, {3}}
	}
	w.eachTile("dst", outputIndices, func() {
		MOVQ(winoField("src"), in)
		MOVQ(winoField("bias"), bias)
		w.channels("channels", c, tmp, []reg.GPPhysical{in}, func(label string) {
			w.plane(outputLine, 6, pairsOf4, rowGroups,
				func(row, column, r int) { w.load(f.at(row, column), r, false) },
				func(row, column, r int) {
					here := fmt.Sprintf("%s%d%d", label, row, column)
					MOVQ(pointer(row*4+column), p)
					TESTQ(p, p)
					JEQ(LabelRef(here + "Outside"))
					ADDQ(c, p)
					w.epilogue(here, r, p, c, bias, at)
					w.store(r, Mem{Base: p}, w.masked)
					Label(here + "Outside")
				})
			CMPQ(winoField("elu"), U8(0))
			JEQ(LabelRef(label + "NoELU"))
			MOVQ(I32(outputIndices), at)
			Label(label + "ELU")
			last := winoField("pointers")
			last.Disp -= 8
			last.Index, last.Scale = at, 8
			MOVQ(last, p)
			TESTQ(p, p)
			JEQ(LabelRef(label + "ELUOutside"))
			w.load(Mem{Base: p, Index: c, Scale: 1}, 0, w.masked)
			w.elu(0, 1, 2, 3, 4, 5)
			w.store(0, Mem{Base: p, Index: c, Scale: 1}, w.masked)
			Label(label + "ELUOutside")
			DECQ(at)
			JNE(LabelRef(label + "ELU"))
			Label(label + "NoELU")
		})
		MOVQ(winoField("tile"), tmp)
		ADDQ(tmp, winoField("src"))
	})
}

// epilogue finishes the output in register r, whose address is p.
func (w *wino) epilogue(here string, r int, p, c, bias, at reg.GPPhysical) {
	v := w.vec
	x := w.take()
	when := func(name, place string, body func(m Mem)) {
		CMPQ(winoField(name), U8(0))
		JEQ(LabelRef(here + "No" + name))
		MOVQ(winoField(place), at)
		body(Mem{Base: p, Index: at, Scale: 1})
		Label(here + "No" + name)
	}
	w.load(Mem{Base: bias, Index: c, Scale: 1}, x, w.masked)
	VADDPS(v(x), v(r), v(r))
	when("activated", "activateAt", func(m Mem) {
		zero := w.take()
		w.load(m, x, w.masked)
		w.zero(zero)
		VMINPS(v(x), v(zero), v(x)) // NaN in the first operand is kept
		w.give(zero)
		VADDPS(w.c("one"), v(x), v(x))
		VMULPS(v(x), v(r), v(r))
	})
	when("addend", "addendAt", func(m Mem) {
		w.load(m, x, w.masked)
		VADDPS(v(x), v(r), v(r))
	})
	w.give(x)
}

// elu turns r into ELU(r) like kernel.elu, in any registers; the others are overwritten. (Operands of VMINPS and VMAXPS
// that keep a NaN have to be registers.)
func (w *wino) elu(r, x, y, n, q, tmp int) {
	v := w.vec
	VMOVUPS(w.c("zero"), v(tmp))
	VMINPS(v(r), v(tmp), v(x))
	VMOVUPS(w.c("expm1Low"), v(tmp))
	VMAXPS(v(x), v(tmp), v(x))
	w.expm1Clamped(x, tmp, n, y, q)
	VMAXPS(v(tmp), v(r), v(r))
}

// filter is U = G g G^T, of vectors of filters whose taps lie pixel bytes apart; src and dst move on by tile and by 64
// bytes from one of the tiles to the next.
func (w *wino) filter() {
	src, out, step := reg.RSI, reg.RDX, reg.R8
	tap, tap3, row := reg.RAX, reg.RBX, reg.RCX
	f := freqs{base: out, row: reg.R9, f: reg.R10, f3: reg.R11, f5: reg.R12, f6: reg.R13}
	f.start()
	MOVQ(winoField("src"), src)
	MOVQ(winoField("dst"), out)
	MOVQ(winoField("tile"), step)
	MOVQ(winoField("pixel"), tap)
	LEAQ(Mem{Base: tap, Index: tap, Scale: 2}, tap3)
	if w.wide() {
		w.use([]string{"minus2Thirds", "minusThird", "third", "sixth", "minusRootThird", "rootSixth"})
	}
	Label("filter")
	vector := func() {
		w.fill(false)
		w.plane(filterLine, 3, pairsOf6, pairsOf6,
			func(i, j, r int) {
				LEAQ(Mem{Base: src, Index: tap3, Scale: uint8(max(1, i))}, row)
				if i == 0 {
					MOVQ(src, row)
				}
				m := Mem{Base: row}
				if j > 0 {
					m.Index, m.Scale = tap, uint8(j)
				}
				w.load(m, r, false)
			},
			func(i, j, r int) { w.store(r, f.at(i, j), false) })
	}
	vector()
	if !w.wide() {
		ADDQ(U8(32), src)
		ADDQ(U8(32), out)
		vector()
		SUBQ(U8(32), src)
		SUBQ(U8(32), out)
	}
	ADDQ(step, src)
	ADDQ(U8(64), out)
	DECQ(winoField("tiles"))
	JNE(LabelRef("filter"))
}

// filterGrad is G^T X G, of vectors of filters 64 bytes apart, to taps that lie pixel bytes apart; dst moves on by tile.
// With accumulate it is added to what is there. The first vectors lanes of dst are written (fewer than all: tail).
func (w *wino) filterGrad() {
	src, out := reg.RSI, reg.RDX
	tap, tap3, row, tmp := reg.RAX, reg.RBX, reg.R15, reg.R8
	f := freqs{base: src, row: reg.R9, f: reg.R10, f3: reg.R11, f5: reg.R12, f6: reg.R13}
	f.start()
	MOVQ(winoField("src"), src)
	MOVQ(winoField("dst"), out)
	MOVQ(winoField("pixel"), tap)
	LEAQ(Mem{Base: tap, Index: tap, Scale: 2}, tap3)
	groups := [][]int{{0}, {1}, {2}}
	if w.wide() {
		w.use([]string{"minus2Thirds", "minusThird", "third", "sixth", "minusRootThird", "rootSixth"})
		groups = [][]int{{0, 1, 2}}
	}
	vector := func(label string) {
		w.plane(filterGradLine, 6, groups, [][]int{{0, 1, 2}},
			func(i, j, r int) { w.load(f.at(i, j), r, false) },
			func(i, j, r int) {
				LEAQ(Mem{Base: out, Index: tap3, Scale: uint8(max(1, i))}, row)
				if i == 0 {
					MOVQ(out, row)
				}
				m := Mem{Base: row}
				if j > 0 {
					m.Index, m.Scale = tap, uint8(j)
				}
				here := fmt.Sprintf("%s%d%d", label, i, j)
				CMPQ(winoField("accumulate"), U8(0))
				JEQ(LabelRef(here))
				x := w.take()
				w.load(m, x, w.masked)
				VADDPS(w.vec(x), w.vec(r), w.vec(r))
				w.give(x)
				Label(here)
				w.store(r, m, w.masked)
			})
	}
	Label("filter")
	w.channels("lanes", reg.R14, tmp, []reg.GPPhysical{src, out}, vector)
	SUBQ(reg.R14, src)
	SUBQ(reg.R14, out)
	ADDQ(U8(64), src)
	ADDQ(winoField("tile"), out)
	DECQ(winoField("tiles"))
	JNE(LabelRef("filter"))
}

const transposeSignature = "(dst, src *float32, rows, columns, stride int)"

// buildTranspose is dst[c, r] = src[r, c] for up to 16 rows stride bytes apart, to rows of 16 values of which the last
// 16-rows are zero. Columns are taken lanes at a time: a multiple of that.
func buildTranspose(s isa) {
	name := "transpose" + s.name
	TEXT(name, NOSPLIT, "func"+transposeSignature)
	Pragma("noescape")
	Doc(name + " turns rows, 1 to 16 and stride bytes apart, into columns of 16; columns is a multiple of the lanes.")
	dst, src, rows, columns, stride, p, left := reg.RDI, reg.RSI, reg.RDX, reg.RCX, reg.R8, reg.R9, reg.R10
	loadParam("dst", dst)
	loadParam("src", src)
	loadParam("rows", rows)
	loadParam("columns", columns)
	loadParam("stride", stride)
	v := s.vec
	n := s.lanes
	Label("block")
	for half := 0; half < 16; half += n { // with 8 lanes, 8 rows at a time
		MOVQ(rows, left)
		MOVQ(src, p)
		if half > 0 {
			SUBQ(U8(half), left)
			LEAQ(Mem{Base: p, Index: stride, Scale: 8}, p)
		}
		for r := 0; r < n; r++ {
			here := fmt.Sprintf("row%d", half+r)
			s.zero(r)
			CMPQ(left, I8(int8(r)))
			JLE(LabelRef(here))
			VMOVUPS(Mem{Base: p}, v(r))
			ADDQ(stride, p)
			Label(here)
		}
		if s.wide() {
			// Pairs, then quadruples of rows, then quarters of vectors.
			for i := 0; i < 16; i += 2 {
				VUNPCKLPS(v(i+1), v(i), v(16+i))
				VUNPCKHPS(v(i+1), v(i), v(17+i))
			}
			for i := 0; i < 16; i += 4 {
				VUNPCKLPD(v(18+i), v(16+i), v(i))
				VUNPCKHPD(v(18+i), v(16+i), v(i+1))
				VUNPCKLPD(v(19+i), v(17+i), v(i+2))
				VUNPCKHPD(v(19+i), v(17+i), v(i+3))
			}
			for i := 0; i < 4; i++ {
				VSHUFF32X4(U8(0x88), v(4+i), v(i), v(16+i))
				VSHUFF32X4(U8(0xdd), v(4+i), v(i), v(20+i))
				VSHUFF32X4(U8(0x88), v(12+i), v(8+i), v(24+i))
				VSHUFF32X4(U8(0xdd), v(12+i), v(8+i), v(28+i))
			}
			for i := 0; i < 4; i++ {
				VSHUFF32X4(U8(0x88), v(24+i), v(16+i), v(i))
				VSHUFF32X4(U8(0x88), v(28+i), v(20+i), v(4+i))
				VSHUFF32X4(U8(0xdd), v(24+i), v(16+i), v(8+i))
				VSHUFF32X4(U8(0xdd), v(28+i), v(20+i), v(12+i))
			}
		} else {
			for i := 0; i < 8; i += 2 {
				VUNPCKLPS(v(i+1), v(i), v(8+i))
				VUNPCKHPS(v(i+1), v(i), v(9+i))
			}
			for i := 0; i < 8; i += 4 {
				VUNPCKLPD(v(10+i), v(8+i), v(i))
				VUNPCKHPD(v(10+i), v(8+i), v(i+1))
				VUNPCKLPD(v(11+i), v(9+i), v(i+2))
				VUNPCKHPD(v(11+i), v(9+i), v(i+3))
			}
			for i := 0; i < 4; i++ {
				VPERM2F128(U8(0x20), v(4+i), v(i), v(8+i))
				VPERM2F128(U8(0x31), v(4+i), v(i), v(12+i))
			}
			for i := 0; i < 8; i++ {
				VMOVAPS(v(8+i), v(i))
			}
		}
		for c := 0; c < n; c++ {
			VMOVUPS(v(c), Mem{Base: dst, Disp: 64*c + 4*half})
		}
	}
	ADDQ(I32(int32(4*n)), src)
	ADDQ(I32(int32(64*n)), dst)
	SUBQ(U8(n), columns)
	JG(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// writeWinoDispatch appends to a dispatch file's Go side the calls with an argument block and the checks of its layout.
func writeWinoDispatch(path string) {
	if path == "" {
		return
	}
	var b bytes.Buffer
	b.WriteString("// Code generated by command: go run ./gen. DO NOT EDIT.\n\npackage vec\n\nimport \"unsafe\"\n\n")
	b.WriteString("// The assembly reads the argument block by these offsets.\nvar (\n")
	for i, f := range winoFields {
		fmt.Fprintf(&b, "_ [%d]byte = [unsafe.Offsetof(winoArgs{}.%s)]byte{}\n", 8*i, f)
	}
	fmt.Fprintf(&b, "_ [%d]byte = [unsafe.Sizeof(winoArgs{}.pointers)]byte{}\n", 8*inputIndices)
	b.WriteString(")\n")
	for _, name := range []string{"winoInput", "winoOutput", "winoOutputGrad", "winoFilter", "winoFilterGrad"} {
		fmt.Fprintf(&b, "\nfunc %sKernel(args *winoArgs) {\np := (*uint64)(unsafe.Pointer(args))\nif isa == avx512 {\n%sAVX512(p)\n} else {\n%sAVX2(p)\n}\n}\n", name, name, name)
	}
	write(path+"_args_amd64.go", b.Bytes())
}
