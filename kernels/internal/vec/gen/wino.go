// The transforms of Winograd's convolution F(4x4,3x3) with the points 0, a, -a, b, -b and infinity, a = 1/sqrt 2 and b
// = sqrt 2: those of tiles (input, output, output gradient) and of filters (filter, filter gradient). wino.go in
// package vec has the formulas.
//
// A kernel takes one vector of channels of one tile at a time: first all columns of the tile, then its rows. AVX-512
// keeps the result of the columns in registers. AVX2 has room for two rows of it, and reads the tile once for each
// pair of rows.
//
// A table lists where the pixels of a tile lie: their numbers in the image, negative outside of it. So edges, cut
// tiles and the phases of a dilated convolution need no code of their own.

package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// winoFields lists the fields of winoArgs in package vec, eight bytes each, in order; pointers is the last.
var winoFields = []string{"src", "dst", "index", "outside", "pixel", "tiles", "tile", "freq", "vectors", "tail",
	"bias", "addendAt", "activatedAt", "elu", "eluAt", "accumulate", "pointers"}

func winoField(name string) Mem { return field(winoFields, name) }

// The number of pixels of a tile in the table: the input's 6x6 and 4 that fill a vector, and the output's 4x4.
const (
	inputIndices  = 40
	outputIndices = 16
)

func init() {
	for name, v := range map[string]float64{
		"root": math.Sqrt2, "halfRoot": math.Sqrt2 / 2, "doubleRoot": 2 * math.Sqrt2, "quarterRoot": math.Sqrt2 / 4,
		"half": 1.0 / 2, "fiveHalves": 5.0 / 2, "minus2Thirds": -2.0 / 3, "minusThird": -1.0 / 3, "third": 1.0 / 3,
		"sixth": 1.0 / 6, "minusRootThird": -math.Sqrt2 / 3, "rootSixth": math.Sqrt2 / 6,
	} {
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
			{"winoOutput", "transforms products back to the 4x4 pixels of tiles", func(w *wino) { w.output(false, false) }},
			{"winoOutputSum", "does that and adds the addend", func(w *wino) { w.output(false, true) }},
			{"winoOutputSlope", "transforms back and multiplies with ELU' of the activated",
				func(w *wino) { w.output(true, false) }},
			{"winoOutputSlopeSum", "does that and adds the addend", func(w *wino) { w.output(true, true) }},
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

// wino is a transform being built. It takes vector registers from a pool and gives them back.
type wino struct {
	kernel
	free   []int
	masked bool // what is being built is for the tail of the channels
}

// fill puts the registers that hold no constant into the pool.
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

// plus and minus compute acc +- c*x in register acc. x may be memory if c is in a register.
func (w *wino) plus(acc int, c string, x Op) int {
	if _, ok := x.(Mem); ok {
		VFMADD231PS(x, w.r(c), w.vec(acc))
	} else {
		VFMADD231PS(w.c(c), x, w.vec(acc))
	}
	return acc
}

func (w *wino) minus(acc int, c string, x Op) int {
	if _, ok := x.(Mem); ok {
		VFNMADD231PS(x, w.r(c), w.vec(acc))
	} else {
		VFNMADD231PS(w.c(c), x, w.vec(acc))
	}
	return acc
}

// times scales register x.
func (w *wino) times(x int, c string) int {
	VMULPS(w.c(c), w.vec(x), w.vec(x))
	return x
}

// either computes t + u in a new register and t - u in t's, and gives u's back.
func (w *wino) either(t, u int) []int {
	r := w.take()
	VADDPS(w.vec(u), w.vec(t), w.vec(r))
	VSUBPS(w.vec(u), w.vec(t), w.vec(t))
	w.give(u)
	return []int{r, t}
}

// line is one row or column of a tile. Its values are in memory, or in registers that are given back one by one when
// the last results are computed.
type line struct {
	w    *wino
	load func(i, r int)  // reads value i into register r; nil if values are in registers
	mem  func(i int) Mem // the memory of value i
	regs map[int]int     // the registers of values
	last bool            // for values in registers: these are the last results
}

// fresh returns value i in a register that may be changed, for its last use.
func (l line) fresh(i int) int {
	if l.load != nil {
		r := l.w.take()
		l.load(i, r)
		return r
	}
	r := l.regs[i]
	if l.last {
		delete(l.regs, i)
		return r
	}
	c := l.w.take()
	VMOVAPS(l.w.vec(r), l.w.vec(c))
	return c
}

// with calls f with value i as an operand. That is memory only with AVX-512, whose constants are in registers, and
// only if no lanes have to be masked.
func (l line) with(i int, f func(x Op)) {
	switch {
	case l.load == nil:
		f(l.w.vec(l.regs[i]))
	case l.w.wide() && !l.w.masked:
		f(l.mem(i))
	default:
		r := l.w.take()
		l.load(i, r)
		f(l.w.vec(r))
		l.w.give(r)
	}
}

func (l line) plus(acc int, c string, i int) int {
	l.with(i, func(x Op) { l.w.plus(acc, c, x) })
	return acc
}

func (l line) minus(acc int, c string, i int) int {
	l.with(i, func(x Op) { l.w.minus(acc, c, x) })
	return acc
}

// product returns c * value i in a new register.
func (l line) product(c string, i int) int {
	r := l.w.take()
	l.with(i, func(x Op) {
		if _, ok := x.(Mem); ok {
			VMULPS(x, l.w.r(c), l.w.vec(r))
		} else {
			VMULPS(l.w.c(c), x, l.w.vec(r))
		}
	})
	return r
}

// sum and difference return those of values i and j in a new register.
func (l line) sum(i, j int) int        { return l.combine(VADDPS, i, j) }
func (l line) difference(i, j int) int { return l.combine(VSUBPS, i, j) }

func (l line) combine(op func(...Op), i, j int) int {
	if l.load == nil {
		r := l.w.take()
		op(l.w.vec(l.regs[j]), l.w.vec(l.regs[i]), l.w.vec(r))
		return r
	}
	r := l.fresh(i)
	l.with(j, func(x Op) { op(x, l.w.vec(r), l.w.vec(r)) })
	return r
}

// both returns the sum and the difference of values i and j, for their last use.
func (l line) both(i, j int) (sum, difference int) {
	v := l.w.vec
	difference = l.fresh(i)
	sum = l.w.take()
	l.with(j, func(x Op) {
		VADDPS(x, v(difference), v(sum))
		VSUBPS(x, v(difference), v(difference))
	})
	if l.load == nil && l.last {
		l.w.give(l.regs[j])
		delete(l.regs, j)
	}
	return sum, difference
}

// transform computes some of the results of transforming a line, in new registers.
type transform func(w *wino, l line, results []int) []int

// inputLine computes B^T d.
func inputLine(w *wino, d line, results []int) (out []int) {
	// The results at a point and at its negative are t + u and t - u, with the terms that are even in the point in t
	// and the odd ones in u.
	pair := func(inner, point, product string) []int {
		t := d.minus(d.fresh(4), inner, 2)
		return w.either(t, d.minus(d.product(point, 3), product, 1))
	}
	for i := 0; i < len(results); i++ {
		switch results[i] {
		case 0:
			out = append(out, d.minus(d.sum(0, 4), "fiveHalves", 2))
		case 1: // and 2
			out = append(out, pair("two", "halfRoot", "root")...)
			i++
		case 3: // and 4
			out = append(out, pair("half", "root", "halfRoot")...)
			i++
		case 5:
			out = append(out, d.minus(d.sum(1, 5), "fiveHalves", 3))
		}
	}
	return out
}

// outputLine computes A^T m.
func outputLine(w *wino, m line, results []int) []int {
	v := w.vec
	even := slices.Contains(results, 0) || slices.Contains(results, 2)
	odd := slices.Contains(results, 1) || slices.Contains(results, 3)
	var s, t, d, e int
	switch {
	case even && odd:
		s, d = m.both(1, 2)
		t, e = m.both(3, 4)
	case even:
		s = m.sum(1, 2)
		t = m.sum(3, 4)
	default:
		d = m.difference(1, 2)
		e = m.difference(3, 4)
	}
	var y [4]int
	if even {
		y[0] = w.take()
		m.with(0, func(x Op) { VADDPS(x, v(s), v(y[0])) })
		VADDPS(v(t), v(y[0]), v(y[0]))
		w.times(s, "half")
		y[2] = w.plus(s, "two", v(t))
		w.give(t)
	}
	if odd {
		y[3] = w.plus(w.plus(m.fresh(5), "quarterRoot", v(d)), "doubleRoot", v(e))
		w.times(d, "halfRoot")
		y[1] = w.plus(d, "root", v(e))
		w.give(e)
	}
	var out []int
	for i, r := range y {
		switch computed := i%2 == 0 && even || i%2 == 1 && odd; {
		case slices.Contains(results, i):
			out = append(out, r)
		case computed:
			w.give(r)
		}
	}
	return out
}

// outputGradLine computes A y.
func outputGradLine(w *wino, y line, results []int) (out []int) {
	pair := func(inner, point, product string) []int {
		t := y.fresh(0)
		y.plus(t, inner, 2)
		return w.either(t, y.plus(y.product(point, 1), product, 3))
	}
	for _, r := range results {
		switch r {
		case 0:
			out = append(out, y.fresh(0))
		case 5:
			out = append(out, y.fresh(3))
		case 1: // and 2
			out = append(out, pair("half", "halfRoot", "quarterRoot")...)
		case 3: // and 4
			out = append(out, pair("two", "root", "doubleRoot")...)
		}
	}
	return out
}

// filterLine computes G g.
func filterLine(w *wino, g line, results []int) []int {
	switch results[0] {
	case 0:
		return []int{g.fresh(0), g.fresh(2)}
	case 1:
		t := g.plus(g.product("minus2Thirds", 0), "minusThird", 2)
		return w.either(t, g.product("minusRootThird", 1))
	}
	t := g.plus(g.product("sixth", 0), "third", 2)
	return w.either(t, g.product("rootSixth", 1))
}

// filterGradLine computes G^T x.
func filterGradLine(w *wino, x line, results []int) (out []int) {
	v := w.vec
	for _, i := range results {
		switch i {
		case 0:
			s := x.sum(1, 2)
			t := x.sum(3, 4)
			w.times(s, "minus2Thirds")
			w.plus(s, "sixth", v(t))
			x.with(0, func(x Op) { VADDPS(x, v(s), v(s)) })
			w.give(t)
			out = append(out, s)
		case 1:
			d := x.difference(1, 2)
			e := x.difference(3, 4)
			w.times(d, "minusRootThird")
			w.plus(d, "rootSixth", v(e))
			w.give(e)
			out = append(out, d)
		case 2:
			s := x.sum(1, 2)
			t := x.sum(3, 4)
			w.times(s, "minusThird")
			w.plus(s, "third", v(t))
			x.with(5, func(x Op) { VADDPS(x, v(s), v(s)) })
			w.give(t)
			out = append(out, s)
		}
	}
	return out
}

// plane transforms all columns of a plane, and then all rows of the result. It does so for one group of rows after the
// other, because of their registers. It calls start before it reads the values of a column, which are at mem(row,
// column), masked with cut; and emit to store result (row, column) from register r.
func (w *wino) plane(t transform, columns int, groups [][]int, rowGroups [][]int,
	start func(column int), mem func(row, column int) Mem, cut bool, emit func(row, column, r int)) {
	for _, group := range groups {
		between := make([]map[int]int, len(group)) // [result][column]
		for i := range between {
			between[i] = map[int]int{}
		}
		for column := 0; column < columns; column++ {
			start(column)
			at := func(i int) Mem { return mem(i, column) }
			l := line{w: w, mem: at, load: func(i, r int) { w.load(at(i), r, cut) }}
			for i, r := range t(w, l, group) {
				between[i][column] = r
			}
		}
		for i, row := range group {
			for k, rowGroup := range rowGroups {
				for j, r := range t(w, line{w: w, regs: between[i], last: k == len(rowGroups)-1}, rowGroup) {
					emit(row, rowGroup[j], r)
					w.give(r)
				}
			}
			for c := 0; c < columns; c++ { // not in the map's order: the same generator writes the same bytes
				if r, ok := between[i][c]; ok {
					w.give(r)
				}
			}
		}
	}
}

// Groups of results that fit in the registers together: of columns with AVX-512 and with AVX2, and of rows.
var (
	pairsOf6   = [][]int{{0, 5}, {1, 2}, {3, 4}}
	halvesOf6  = [][]int{{0, 1, 2}, {3, 4, 5}}
	mostOf6    = [][]int{{0, 5, 1, 2}, {3, 4}}
	pairsOf4   = [][]int{{0, 2}, {1, 3}}
	allOf4     = [][]int{{0, 1, 2, 3}}
	singlesOf4 = [][]int{{0}, {2}, {1}, {3}}
	allOf3     = [][]int{{0, 1, 2}}
	singlesOf3 = [][]int{{0}, {1}, {2}}

	inputRows = [][]int{{0}, {5}, {1, 2}, {3, 4}}
	gradRows  = [][]int{{1, 2}, {3, 4}, {0, 5}}
)

// columnGroups chooses the groups of columns.
func (w *wino) columnGroups(wide, narrow [][]int) [][]int {
	if w.wide() {
		return wide
	}
	return narrow
}

// pointersOf writes the addresses of a tile's n pixels to the field pointers: base + number * pixel, or the field
// outside if the number is negative. It moves index on to the table's next tile.
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
type freqs struct {
	base, row, f, f3, f5, f6 reg.GPPhysical
	current                  int // the row that the register row points at
}

// start loads the registers of the strides.
func (p *freqs) start() {
	MOVQ(winoField("freq"), p.f)
	LEAQ(Mem{Base: p.f, Index: p.f, Scale: 2}, p.f3)
	LEAQ(Mem{Base: p.f, Index: p.f, Scale: 4}, p.f5)
	LEAQ(Mem{Base: p.f3, Index: p.f3, Scale: 1}, p.f6)
	p.forget()
}

// forget must be called when the register row or base has changed.
func (p *freqs) forget() { p.current = -1 }

// at returns the memory of value (row, column).
func (p *freqs) at(row, column int) Mem {
	if row != p.current {
		switch row {
		case 0:
			MOVQ(p.base, p.row)
		case 1, 2, 4:
			LEAQ(Mem{Base: p.base, Index: p.f6, Scale: uint8(row)}, p.row)
		case 3, 5:
			LEAQ(Mem{Base: p.base, Index: p.f6, Scale: uint8(row - 1)}, p.row)
			ADDQ(p.f6, p.row)
		}
		p.current = row
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

// channels writes the loop over the vectors of channels. Register c is the offset of a vector in bytes; each of moved
// moves on along with it.
func (w *wino) channels(label string, c, tmp reg.GPPhysical, moved []reg.GPPhysical, body func(label string)) {
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

// eachTile writes the loop over the tiles. It makes the addresses of a tile's pixels before body.
func (w *wino) eachTile(base string, pixels int, body func()) {
	index := reg.RSI
	MOVQ(winoField("index"), index)
	Label("tile")
	w.pointersOf(base, index, pixels)
	body()
	DECQ(winoField("tiles"))
	JNE(LabelRef("tile"))
}

// input computes V = B^T d B.
func (w *wino) input() {
	w.toFreqs(inputLine, inputIndices, 6, w.columnGroups(halvesOf6, pairsOf6), inputRows,
		[]string{"fiveHalves", "two", "half", "root", "halfRoot"})
}

// outputGrad computes A y A^T.
func (w *wino) outputGrad() {
	w.toFreqs(outputGradLine, outputIndices, 4, w.columnGroups(mostOf6, pairsOf6), gradRows,
		[]string{"two", "half", "root", "halfRoot", "doubleRoot", "quarterRoot"})
}

// toFreqs computes the transform of a tile's pixels.
func (w *wino) toFreqs(t transform, pixels, size int, groups, rowGroups [][]int, consts []string) {
	c, out, tmp := reg.RAX, reg.RDX, reg.R8
	f := freqs{base: out, row: reg.R9, f: reg.R10, f3: reg.R11, f5: reg.R12, f6: reg.R13}
	// Registers for the addresses of a column's pixels: the latest five.
	pointers := []reg.GPPhysical{reg.RBX, reg.R14, reg.R15, reg.R8, reg.R9}
	f.start()
	if w.wide() {
		w.use(consts)
	}
	w.eachTile("src", pixels, func() {
		MOVQ(winoField("dst"), out)
		w.channels("channels", c, tmp, []reg.GPPhysical{out}, func(string) {
			var held []int // rows, in the order in which their addresses were loaded
			w.plane(t, size, groups, rowGroups,
				func(int) {
					f.forget()
					held = nil
				},
				func(row, column int) Mem {
					at := len(held) - 1
					for at >= max(0, len(held)-len(pointers)) && held[at] != row {
						at--
					}
					if at < max(0, len(held)-len(pointers)) {
						at, held = len(held), append(held, row)
						MOVQ(pointer(row*size+column), pointers[at%len(pointers)])
					}
					return Mem{Base: pointers[at%len(pointers)], Index: c, Scale: 1}
				}, w.masked,
				func(row, column, r int) { w.store(r, f.at(row, column), false) })
		})
		MOVQ(winoField("tile"), tmp)
		ADDQ(tmp, winoField("dst"))
	})
}

// output computes A^T M A + bias; with slope, it multiplies that by ELU'(activated); with sum, it adds addend. If the
// field elu is set, the kernel also writes ELU of the result, to a place of its own or over the result. All of these
// have the shape of the output, and fields say how far from it they lie. Pixels outside the image are written to the
// field outside.
func (w *wino) output(slope, sum bool) {
	c, p, in, tmp := reg.RAX, reg.RBX, reg.RDX, reg.R8
	// Rows 0 to 2 and 3 to 5 of a column of frequencies.
	upper, lower, f, f6 := reg.R9, reg.R11, reg.R10, reg.R13
	addend, activated := reg.R14, reg.R15
	left, outside, eluAt := reg.R14, reg.R15, reg.R12
	MOVQ(winoField("freq"), f)
	LEAQ(Mem{Base: f, Index: f, Scale: 2}, f6)
	ADDQ(f6, f6)
	if sum {
		MOVQ(winoField("addendAt"), addend)
	}
	if slope {
		MOVQ(winoField("activatedAt"), activated)
	}
	rowGroups := allOf4
	if w.wide() {
		w.use([]string{"two", "half", "root", "halfRoot", "doubleRoot", "quarterRoot"})
	} else {
		rowGroups = singlesOf4
	}
	w.eachTile("dst", outputIndices, func() {
		MOVQ(winoField("src"), in)
		w.channels("channels", c, tmp, []reg.GPPhysical{in}, func(label string) {
			masked := w.masked
			w.masked = false // the products have whole vectors
			MOVQ(winoField("bias"), tmp)
			w.plane(outputLine, 6, w.columnGroups(allOf4, pairsOf4), rowGroups,
				func(column int) {
					if column == 0 {
						MOVQ(in, upper)
						LEAQ(Mem{Base: in, Index: f6, Scale: 2}, lower)
						ADDQ(f6, lower)
						return
					}
					ADDQ(f, upper)
					ADDQ(f, lower)
				},
				func(row, column int) Mem {
					m := Mem{Base: upper}
					if row >= 3 {
						m.Base = lower
					}
					if row%3 > 0 {
						m.Index, m.Scale = f6, uint8(row%3)
					}
					return m
				}, false,
				func(row, column, r int) {
					x := w.take()
					v := w.vec
					here := fmt.Sprintf("%s%d%d", label, row, column)
					MOVQ(pointer(row*4+column), p)
					if slope || sum {
						CMPQ(p, winoField("outside"))
						JEQ(LabelRef(here + "Outside"))
					}
					w.load(Mem{Base: tmp, Index: c, Scale: 1}, x, masked)
					VADDPS(v(x), v(r), v(r))
					ADDQ(c, p)
					if slope { // ELU' = min(y, 0) + 1
						w.load(Mem{Base: p, Index: activated, Scale: 1}, x, masked)
						zero := w.take()
						w.zero(zero)
						VMINPS(v(x), v(zero), v(x)) // NaN in the first operand is kept
						w.give(zero)
						VADDPS(w.c("one"), v(x), v(x))
						VMULPS(v(x), v(r), v(r))
					}
					if sum {
						w.load(Mem{Base: p, Index: addend, Scale: 1}, x, masked)
						VADDPS(v(x), v(r), v(r))
					}
					w.store(r, Mem{Base: p}, masked)
					Label(here + "Outside")
					w.give(x)
				})
			w.masked = masked
			if slope {
				return // a gradient is not activated
			}
			CMPQ(winoField("elu"), U8(0))
			JEQ(LabelRef(label + "NoELU"))
			constants := w.consts
			if w.wide() { // the other registers are free now
				w.consts = map[string]int{}
				for i, name := range append(append([]string(nil), eluInRegisters...), expOthers...) {
					VMOVUPS(floatConstant(name), w.vec(6+i))
					w.consts[name] = 6 + i
				}
			}
			MOVQ(winoField("eluAt"), eluAt)
			MOVQ(winoField("outside"), outside)
			MOVQ(I32(outputIndices), left)
			Label(label + "ELU")
			last := winoField("pointers")
			last.Disp -= 8
			last.Index, last.Scale = left, 8
			MOVQ(last, p)
			CMPQ(p, outside)
			JEQ(LabelRef(label + "ELUOutside"))
			ADDQ(c, p)
			w.load(Mem{Base: p}, 0, w.masked)
			ADDQ(eluAt, p)
			w.elu(0, 1, 2, 3, 4, 5)
			w.store(0, Mem{Base: p}, w.masked)
			Label(label + "ELUOutside")
			DECQ(left)
			JNE(LabelRef(label + "ELU"))
			if sum {
				MOVQ(winoField("addendAt"), addend)
			}
			w.consts = constants
			Label(label + "NoELU")
		})
		MOVQ(winoField("tile"), tmp)
		ADDQ(tmp, winoField("src"))
	})
}

// elu computes ELU in register r from register r, as kernel.elu, but with any registers; it overwrites the others.
// (Operands of VMINPS and VMAXPS that keep a NaN have to be registers.)
func (w *wino) elu(r, x, y, n, q, tmp int) {
	v := w.vec
	VMOVUPS(w.c("zero"), v(tmp))
	VMINPS(v(r), v(tmp), v(x))
	VMOVUPS(w.c("expm1Low"), v(tmp))
	VMAXPS(v(x), v(tmp), v(x))
	w.expm1Clamped(x, tmp, n, y, q)
	VMAXPS(v(tmp), v(r), v(r))
}

// filter computes U = G g G^T of vectors of filters whose taps lie pixel bytes apart. From one vector to the next, src
// moves on by tile and dst by 64 bytes.
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
		f.forget()
		w.plane(filterLine, 3, pairsOf6, pairsOf6, func(int) {},
			func(i, j int) Mem {
				if i > 0 {
					LEAQ(Mem{Base: src, Index: tap3, Scale: uint8(i)}, row)
				} else {
					MOVQ(src, row)
				}
				m := Mem{Base: row}
				if j > 0 {
					m.Index, m.Scale = tap, uint8(j)
				}
				return m
			}, false,
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

// filterGrad computes G^T X G of vectors of filters that lie 64 bytes apart, to taps that lie pixel bytes apart; from
// one vector to the next, dst moves on by tile. With the field accumulate it adds to what is there. It writes as many
// lanes of dst as the fields vectors and tail say.
func (w *wino) filterGrad() {
	src, out := reg.RSI, reg.RDX
	tap, tap3, row, tmp := reg.RAX, reg.RBX, reg.R15, reg.R8
	f := freqs{base: src, row: reg.R9, f: reg.R10, f3: reg.R11, f5: reg.R12, f6: reg.R13}
	f.start()
	MOVQ(winoField("src"), src)
	MOVQ(winoField("dst"), out)
	MOVQ(winoField("pixel"), tap)
	LEAQ(Mem{Base: tap, Index: tap, Scale: 2}, tap3)
	if w.wide() {
		w.use([]string{"minus2Thirds", "minusThird", "third", "sixth", "minusRootThird", "rootSixth"})
	}
	vector := func(label string) {
		masked := w.masked
		w.masked = false // the sums have whole vectors
		w.plane(filterGradLine, 6, w.columnGroups(allOf3, singlesOf3), allOf3, func(int) { f.forget() },
			func(i, j int) Mem { return f.at(i, j) }, false,
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
				w.load(m, x, masked)
				VADDPS(w.vec(x), w.vec(r), w.vec(r))
				w.give(x)
				Label(here)
				w.store(r, m, masked)
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

// buildTranspose computes dst[c, r] = src[r, c] for up to 16 rows that lie stride bytes apart. Rows of dst have 16
// values; those past the last row of src are zero. The number of columns is a multiple of the lanes.
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
			// Interleave pairs of rows, then pairs of pairs, then quarters of vectors.
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

// writeWinoDispatch writes the Go side of the kernels that take an argument block, and the checks of its layout.
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
	for _, name := range []string{"winoInput", "winoOutput", "winoOutputSum", "winoOutputSlope", "winoOutputSlopeSum",
		"winoOutputGrad", "winoFilter", "winoFilterGrad"} {
		fmt.Fprintf(&b, "\nfunc %sKernel(args *winoArgs) {\np := (*uint64)(unsafe.Pointer(args))\n"+
			"if isa == avx512 {\n%sAVX512(p)\n} else {\n%sAVX2(p)\n}\n}\n", name, name, name)
	}
	write(path+"_args_amd64.go", b.Bytes())
}
