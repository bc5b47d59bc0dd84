//go:build cgo && !nocuda

package kernels

import (
	"fmt"
	"hash/fnv"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"sigmaz/internal/approx"
)

func openCUDA(t *testing.T) *cudaBackend {
	t.Helper()
	b, err := NewCUDA(0)
	if err != nil {
		if os.Getenv("SIGMAZ_GPU") == "required" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	t.Cleanup(func() { b.Close() })
	return b.(*cudaBackend)
}

// operands lays out windows in one memory, the first on a multiple of 16 bytes and the others too if sizes are.
type operands struct {
	mem []float32
	n   uint64
}

func (o *operands) normals(n int) Buf {
	w := Buf{Off: len(o.mem), N: n}
	o.mem = append(o.mem, make([]float32, n)...)
	o.n++
	Stream{Seed: 3, Purpose: PurposeData, N: o.n}.Normals(w.Of(o.mem))
	return w
}

func (o *operands) out(n int) Buf {
	w := Buf{Off: len(o.mem), N: n}
	for range n {
		o.mem = append(o.mem, float32(math.NaN()))
	}
	return w
}

// run runs a program on the device and gives the memory after it.
func (o *operands) run(t *testing.T, b *cudaBackend, ops ...Op) []float32 {
	t.Helper()
	return RunTraced(t, b, o.mem, ops...)
}

// Trace collects what RunTraced runs.
var Trace struct {
	Hash    uint64         // of all results: the sum of each program's, whatever their order
	Kernels map[string]int // launches of each
}

// AllKernels lists the kernels of all PTX files.
func AllKernels() (names []string) {
	for _, k := range kernelList {
		names = append(names, k.name)
	}
	return names
}

// RunTraced runs a program in an arena that starts as init and gives the arena after it.
func RunTraced(t *testing.T, b Backend, init []float32, ops ...Op) []float32 {
	t.Helper()
	a, err := b.Alloc(len(init))
	if err != nil {
		t.Fatal(err)
	}
	all := Buf{Off: 0, N: len(init)}
	if err := a.Write(all, init); err != nil {
		t.Fatal(err)
	}
	p, err := b.Compile(a, ops)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, all.N)
	if err := a.Read(got, all); err != nil {
		t.Fatal(err)
	}
	h := fnv.New64a()
	if Trace.Kernels == nil {
		Trace.Kernels = map[string]int{}
	}
	for _, l := range p.(*cudaProgram).launches {
		Trace.Kernels[l.kernel]++
	}
	h.Write(bytesOf(got))
	Trace.Hash += h.Sum64()
	return got
}

// inTile returns convolutions in the given tile, where it has a kernel for them.
func inTile(tile cudaTile, ops ...Op) (list []Op) {
	for _, op := range ops {
		if slices.Contains(allTiles(op), tile) {
			op = tuned{op, tile}
		}
		list = append(list, op)
	}
	return list
}

// Small convolutions are given small tiles; here every tile computes every kind of convolution, with the same bits.
func TestTiles(t *testing.T) {
	b := openCUDA(t)
	for _, g := range []ConvShape{
		{N: 2, H: 9, W: 15, Cin: 36, Cout: 132, K: 3, Dilation: 2},
		{N: 3, H: 1, W: 1, Cin: 8, Cout: 4, K: 1, Dilation: 1},
		{N: 150, H: 1, W: 1, Cin: 20, Cout: 68, K: 1, Dilation: 1},
	} {
		px, nx, nw := g.N*g.H*g.W, g.N*g.H*g.W*g.Cin, g.Cout*g.K*g.K*g.Cin
		var bits map[string][]float32
		tiles := []cudaTile{tile128x128, tile128x64, tile64x64, tile128x32, tile32x32, tile64x64n, tile32x32n}
		for k := range 2 * len(tiles) {
			tile := tiles[k/2]
			t.Run(fmt.Sprintf("%dx%dx%d/%s/%d", g.H, g.W, g.Cin, tile.name, k%2), func(t *testing.T) {
				var o operands
				x, y := o.normals(nx), o.out(px*g.Cout)
				dx := o.out(nx)
				o.out(k % 2) // weights need not be aligned
				forward := Conv{ConvShape: g, X: x, Weight: o.normals(nw), Bias: o.normals(g.Cout), Y: y}
				input := ConvGradInput{ConvShape: g, DY: forward.Y, Weight: forward.Weight, DX: dx}
				weight := ConvGradWeight{ConvShape: g, X: forward.X, DY: forward.Y, DWeight: o.out(nw), DBias: o.out(g.Cout)}
				got := o.run(t, b, inTile(tile, forward, input, weight)...)
				for _, op := range []Op{forward, input, weight} {
					op.Ref(o.mem)
				}
				first := bits == nil
				if first {
					bits = map[string][]float32{}
				}
				for name, w := range map[string]Buf{"y": forward.Y, "dx": input.DX, "dw": weight.DWeight, "db": weight.DBias} {
					if err := approx.Compare(name, w.Of(got), w.Of(o.mem), approx.RelMax(2e-5)); err != nil {
						t.Error(err)
					}
					if first {
						bits[name] = w.Of(got)
					}
				}
				for _, name := range []string{"y", "dx", "dw", "db"} {
					w := map[string]Buf{"y": forward.Y, "dx": input.DX, "dw": weight.DWeight, "db": weight.DBias}[name]
					for i, v := range w.Of(got) {
						if math.Float32bits(v) != math.Float32bits(bits[name][i]) {
							t.Fatalf("%s, word %d: %x, with another tile %x", name, i, math.Float32bits(v), math.Float32bits(bits[name][i]))
						}
					}
				}
			})
		}
	}
}

// At the ends of a network in bf16, every tile has the bits of a convolution of words that were bf16, with its results
// rounded to what memory holds.
func TestEndTiles(t *testing.T) {
	b := openCUDA(t)
	for _, g := range []ConvShape{
		{N: 2, H: 9, W: 15, Cin: 36, Cout: 132, K: 3, Dilation: 2},
		{N: 2, H: 24, W: 15, Cin: 32, Cout: 3, K: 3, Dilation: 1}, // gradients of weights in parts
		{N: 2, H: 24, W: 15, Cin: 3, Cout: 32, K: 3, Dilation: 1},
		{N: 150, H: 1, W: 1, Cin: 20, Cout: 68, K: 1, Dilation: 1},
	} {
		px, nw := g.N*g.H*g.W, g.Cout*g.K*g.K*g.Cin
		for ends, tiles := range anyEndTiles {
			for k, tile := range slices.Concat(tiles, tiles, wideEndTiles[ends]) {
				unaligned := k / len(tiles) % 2
				t.Run(fmt.Sprintf("%dx%dx%d-%d/%s/%d", g.H, g.W, g.Cin, g.Cout, tile.name, unaligned), func(t *testing.T) {
					if slices.Contains(wideEndTiles[ends], tile) && g.Cin%4 != 0 {
						t.Skip("this tile reads channels by 4")
					}
					// The same operations on windows of these kinds, and on windows of words with what these hold.
					var o operands
					program := func(in, out Element, p Precision) (ops []Op, results []Buf) {
						o.n = 0 // the same values
						if rest := len(o.mem) % 4; rest > 0 {
							o.out(4 - rest)
						}
						x, dy := o.of(in, px*g.Cin), o.of(out, px*g.Cout)
						x.Store(o.mem, inBF16(x.Load(o.mem)))
						dy.Store(o.mem, inBF16(dy.Load(o.mem)))
						results = []Buf{o.of(out, px*g.Cout), o.of(in, px*g.Cin), o.out(nw), o.out(g.Cout)}
						o.out(unaligned)
						w := o.normals(nw)
						return []Op{
							Conv{ConvShape: g, X: x, Weight: w, Bias: o.normals(g.Cout), Y: results[0], Precision: p},
							ConvGradInput{ConvShape: g, DY: dy, Weight: w, DX: results[1], Precision: p},
							ConvGradWeight{ConvShape: g, X: x, DY: dy, DWeight: results[2], DBias: results[3], Precision: p},
						}, results
					}
					exact, want := program(Words, Words, Float32)
					ops, got := program(ends.in, ends.out, BF16)
					mem := o.run(t, b, append(exact, inTile(tile, ops...)...)...)
					for i, name := range []string{"y", "dx", "dw", "db"} {
						w := want[i].Load(mem)
						if got[i].Element == BFloat16 {
							w = inBF16(w)
						}
						for k, v := range got[i].Load(mem) {
							if math.Float32bits(v) != math.Float32bits(w[k]) {
								t.Fatalf("%s, value %d: %g, expected %g", name, k, v, w[k])
							}
						}
					}
				})
			}
		}
	}
}

// inBF16 returns values as bf16 holds them.
func inBF16(values []float32) []float32 {
	w := Buf{N: len(values), Element: BFloat16}
	mem := make([]float32, w.Words())
	w.Store(mem, values)
	return w.Load(mem)
}

// A convolution on windows that no kernel takes is refused in a sentence.
func TestElementsOfConvolutions(t *testing.T) {
	s := ConvShape{N: 1, H: 2, W: 2, Cin: 36, Cout: 32, K: 1, Dilation: 1}
	half := func(b Buf) Buf { b.Element = BFloat16; return b }
	x, y, w := Buf{N: 4 * 36}, Buf{Off: 200, N: 4 * 32}, Buf{Off: 400, N: 32 * 36}
	const shape = "kernels: conv {N:1 H:2 W:2 Cin:36 Cout:32 K:1 Dilation:1}: "
	for _, c := range []struct {
		x, y, w   Buf
		precision Precision
		want      string
	}{
		{x, y, w, Float32, ""},
		{half(x), y, w, BF16, ""},
		{half(x), half(y), w, Float32, shape + "x is of bf16 and y of bf16, which takes precision bf16"},
		{half(x), y, w, TF32, shape + "x is of bf16 and y of float32, which takes precision bf16"},
		{half(x), half(y), half(w), BF16, shape + "x and y are of bf16, which takes channels by 32"},
		{x, half(y), half(w), BF16, shape + "weights are of bf16 and biases of float32, expected float32 and float32"},
	} {
		for _, op := range []Op{
			Conv{ConvShape: s, X: c.x, Y: c.y, Weight: c.w, Precision: c.precision},
			ConvGradInput{ConvShape: s, DX: c.x, DY: c.y, Weight: c.w, Precision: c.precision},
			ConvGradWeight{ConvShape: s, X: c.x, DY: c.y, DWeight: c.w, Precision: c.precision, Multiprocessors: 4},
		} {
			got := func() (said string) {
				defer func() {
					if p := recover(); p != nil {
						said = fmt.Sprint(p)
					}
				}()
				if _, err := CountLaunches([]Op{op}, 4); err != nil {
					return err.Error()
				}
				return ""
			}()
			if got != c.want {
				t.Errorf("%s: %q, expected %q", op.Name(), got, c.want)
			}
		}
	}
}

// The gradient of the weights with more than one part, for every tile that its shapes lead to.
func TestSplitSums(t *testing.T) {
	b := openCUDA(t)
	tiles := map[string]bool{}
	for _, g := range []ConvShape{
		{N: 3, H: 24, W: 25, Cin: 4, Cout: 8, K: 3, Dilation: 1},
		{N: 2, H: 24, W: 16, Cin: 8, Cout: 36, K: 3, Dilation: 2},
		{N: 1, H: 24, W: 24, Cin: 16, Cout: 68, K: 1, Dilation: 1},
		{N: 1, H: 24, W: 24, Cin: 12, Cout: 68, K: 3, Dilation: 1},
		{N: 1, H: 24, W: 25, Cin: 5, Cout: 35, K: 3, Dilation: 1},
		{N: 777, H: 1, W: 1, Cin: 5, Cout: 3, K: 1, Dilation: 1},
	} {
		var o operands
		px := g.N * g.H * g.W
		op := ConvGradWeight{ConvShape: g, X: o.normals(px * g.Cin), DY: o.normals(4 * ceil(px*g.Cout, 4)),
			DWeight: o.out(g.Cout * g.K * g.K * g.Cin), DBias: o.out(g.Cout)}
		op.DY.N = px * g.Cout
		s := op.cudaSplit()
		if s.parts < 2 {
			t.Errorf("%+v: %d parts", g, s.parts)
		}
		tiles[s.tile.name] = true
		got := o.run(t, b, op)
		op.Ref(o.mem)
		for _, w := range []Buf{op.DWeight, op.DBias} {
			if err := approx.Compare(fmt.Sprint(g, s.tile.name), w.Of(got), w.Of(o.mem), approx.RelMax(1e-5)); err != nil {
				t.Error(err)
			}
		}
	}
	for _, name := range []string{"128x128", "128x64", "64x64", "32x32", "64x64_any", "32x32_any"} {
		if !tiles[name] {
			t.Errorf("no shape has tile %s", name)
		}
	}
}

// A norm and the ELU in its place run as one pass, with the same values.
func TestNormELU(t *testing.T) {
	b := openCUDA(t)
	for _, s := range []NormShape{{N: 2, P: 35, C: 3}, {N: 3, P: 300, C: 32}} {
		var o operands
		n := s.N * s.P * s.C
		norm := Norm{NormShape: s, X: o.normals(n), Alpha: o.normals(s.C), Gamma: o.normals(s.C), Beta: o.normals(s.C),
			Y:         o.out(n),
			NormStats: NormStats{Mean: o.out(s.N * s.C), Rstd: o.out(s.N * s.C), MuHat: o.out(s.N * s.C), Q: o.out(s.N)}}
		elu := Activate{F: ELU, N: s.N, X: norm.Y, Y: norm.Y}
		if !norm.fuses(elu) {
			t.Fatal("they are not fused")
		}
		if other := (Activate{F: ELU, N: s.N, X: norm.Y, Y: norm.X}); norm.fuses(other) || norm.fuses(norm) {
			t.Error("what is no ELU in place is fused")
		}
		got := o.run(t, b, norm, elu)
		norm.Ref(o.mem)
		elu.Ref(o.mem)
		if err := approx.Compare("y", norm.Y.Of(got), norm.Y.Of(o.mem), approx.RelMax(1e-5)); err != nil {
			t.Error(err)
		}
	}
}

// A channel that hardly varies about a large mean: nothing may cancel.
func TestNormCancellation(t *testing.T) {
	b := openCUDA(t)
	var o operands
	s := NormShape{N: 1, P: 1000, C: 4}
	norm := Norm{NormShape: s, X: o.normals(s.P * s.C), Alpha: o.normals(s.C), Gamma: o.normals(s.C), Beta: o.normals(s.C),
		Y:         o.out(s.P * s.C),
		NormStats: NormStats{Mean: o.out(s.C), Rstd: o.out(s.C), MuHat: o.out(s.C), Q: o.out(1)}}
	for i := range norm.X.Of(o.mem) {
		norm.X.Of(o.mem)[i] = 50 + norm.X.Of(o.mem)[i]*0.01
	}
	got := o.run(t, b, norm)
	norm.Ref(o.mem)
	for name, w := range map[string]Buf{"y": norm.Y, "rstd": norm.Rstd, "muhat": norm.MuHat} {
		if err := approx.Compare(name, w.Of(got), w.Of(o.mem), approx.RelMax(3e-5)); err != nil {
			t.Error(err)
		}
	}
}

// An image's bits do not depend on the batch around it.
func TestBatchSize(t *testing.T) {
	b := openCUDA(t)
	run := func(n int) []float32 {
		var o operands
		g := ConvShape{N: n, H: 6, W: 8, Cin: 8, Cout: 12, K: 3, Dilation: 1}
		s := NormShape{N: n, P: 48, C: 12}
		weight, bias, alpha, gamma, beta := o.normals(12*9*8), o.normals(12), o.normals(12), o.normals(12), o.normals(12)
		x := o.normals(n * 48 * 8) // the first image is the same for all n
		conv := Conv{ConvShape: g, X: x, Weight: weight, Bias: bias, Y: o.out(n * 48 * 12)}
		norm := Norm{NormShape: s, X: conv.Y, Alpha: alpha, Gamma: gamma, Beta: beta, Y: conv.Y,
			NormStats: NormStats{Mean: o.out(n * 12), Rstd: o.out(n * 12), MuHat: o.out(n * 12), Q: o.out(n)}}
		back := ConvGradInput{ConvShape: g, DY: norm.Y, Weight: weight, DX: o.out(n * 48 * 8)}
		got := o.run(t, b, conv, norm, back)
		return append(norm.Y.Slice(0, 48*12).Of(got), back.DX.Slice(0, 48*8).Of(got)...)
	}
	one := run(1)
	for _, n := range []int{2, 64, 300} {
		for i, v := range run(n) {
			if math.Float32bits(v) != math.Float32bits(one[i]) {
				t.Fatalf("word %d of the first image is %x alone, %x in a batch of %d", i, math.Float32bits(one[i]),
					math.Float32bits(v), n)
			}
		}
	}
}

// Programs are refused with a sentence that says why.
func TestCompileErrors(t *testing.T) {
	b := openCUDA(t)
	a, err := b.Alloc(16)
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(a Arena, want string, ops ...Op) {
		t.Helper()
		if _, err := b.Compile(a, ops); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected ... %s ...", err, want)
		}
	}
	refuse(a, "score is a Go function", HostFunc{Label: "score"})
	refuse(a, "window of words 8 to 24 in an arena of 16", Fill{Dst: Buf{Off: 8, N: 16}})
	cpu, _ := NewCPU(1).Alloc(16)
	refuse(cpu, "another backend's arena")
	if err := a.Read(make([]float32, 3), Buf{Off: 0, N: 4}); err == nil {
		t.Error("a read of another length than its window was taken")
	}
	empty, err := b.Compile(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := empty.Run(); err != nil {
		t.Error(err)
	}
}

// launchOp is an operation of tests: it reads x, writes y, and launches what it is told to.
type launchOp struct {
	x, y Buf
	run  func(l *launcher)
}

func (o launchOp) Name() string                    { return "test" }
func (o launchOp) Operands() (reads, writes []Buf) { return []Buf{o.x}, []Buf{o.y} }
func (o launchOp) Ref([]float32)                   {}
func (o launchOp) launch(l *launcher)              { o.run(l) }

// Launches whose arguments cannot be meant are refused when a program is compiled, before anything runs.
func TestLaunchErrors(t *testing.T) {
	b := openCUDA(t)
	a, err := b.Alloc(64)
	if err != nil {
		t.Fatal(err)
	}
	x, y := Buf{Off: 0, N: 16}, Buf{Off: 32, N: 16}
	half := func(b Buf) Buf { b.Element = BFloat16; return b }
	grid, block := flat(16)
	for _, c := range []struct {
		want string
		run  func(l *launcher)
	}{
		{"", func(l *launcher) {
			l.affine(grid, block, affineArgs{y: y.Slice(4, 12), x: x, scale: 1, shift: 0, n: 12})
		}},
		{"", func(l *launcher) { l.affine(grid, block, affineArgs{y: y, x: y, scale: 1, shift: 0, n: 16}) }},
		{"kernels: test: kernel affine writes y, words 0 to 16, and the operation does not say so", func(l *launcher) {
			l.affine(grid, block, affineArgs{y: x, x: y, scale: 1, shift: 0, n: 16})
		}},
		{"kernels: test: kernel affine reads x, words 48 to 64, and the operation does not say so", func(l *launcher) {
			l.affine(grid, block, affineArgs{y: y, x: Buf{Off: 48, N: 16}, scale: 1, shift: 0, n: 16})
		}},
		{"kernels: test: kernel affine reads x of float32, and is given a window of bf16", func(l *launcher) {
			l.affine(grid, block, affineArgs{y: y, x: half(x), scale: 1, shift: 0, n: 16})
		}},
		{"kernels: test: kernel narrow writes dst of bf16, and is given a window of float32", func(l *launcher) {
			l.narrow(grid, block, narrowArgs{dst: y, src: x, n: 16})
		}},
		{"kernels: test: kernel conv_bf16in_32x32 reads x of bf16, and is given a window of float32", func(l *launcher) {
			l.inConv(inConv32x32, grid, block, inConvArgs(convArgs{y: y, x: x, weight: x, bias: x, row: Buf{}, pixels: 1, h: 1, w: 1,
				cin: 4, cout: 4, k: 1, dilation: 1, with1: Buf{}, to1: Buf{}, with2: Buf{}, to2: Buf{},
				kinds: 0, inner1: 0, outer1: 0, inner2: 0, outer2: 0}))
		}},
		{"kernels: test: kernel add is given windows of float32 and of bf16", func(l *launcher) {
			l.add(grid, block, addArgs{dst: y, a: x, b: half(x), n: 16})
		}},
		{"kernels: test: kernel add takes windows of the arena, and is given 0", func(l *launcher) {
			l.add(grid, block, addArgs{dst: y, a: x, b: address(0), n: 16})
		}},
		{"kernels: test: kernel affine is given no x", func(l *launcher) {
			l.affine(grid, block, affineArgs{y: y, x: nil, scale: 1, shift: 0, n: 16})
		}},
		{"kernels: test: kernel div_sigma takes rows with 32 bits: 2147483648 is too large", func(l *launcher) {
			l.divSigma(grid, block, divSigmaArgs{y: y, x: x, sigma: x, rows: 1 << 31, d: 1})
		}},
		{`kernels: test: there is no CUDA kernel ""`, func(l *launcher) {
			l.activate(activationKernels["gelu"].forward, grid, block, activateArgs{y: y, x: x, n: 16})
		}},
	} {
		got := ""
		if _, err := b.Compile(a, []Op{launchOp{x, y, c.run}}); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, expected %q", got, c.want)
		}
	}
}

// PTX that does not fit the launches is refused before a driver sees it.
func TestStalePTX(t *testing.T) {
	text, err := ptxFiles.ReadFile("ptx/sum.ptx")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, from, to, want string }{
		{"sum", "", "", ""},
		{"sum", ".param .f32 affine_param_3,\n", "", "kernels: kernel affine of ptx/sum.ptx takes (u64 u64 f32 u64), " +
			"and cuda_launches.go gives it (u64 u64 f32 f32 u64): run go generate ./kernels and build again"},
		{"sum", ".f32 fill_param_1", ".u32 fill_param_1", "kernels: kernel fill of ptx/sum.ptx takes (u64 u32 u64), " +
			"and cuda_launches.go gives it (u64 f32 u64): run go generate ./kernels and build again"},
		{"sum", ".entry add(", ".entry plus(", "kernels: ptx/sum.ptx has no kernel add, " +
			"which cuda_launches.go launches: run go generate ./kernels and build again"},
		{"sum", ".u64 add_param_0", ".align 8 .b8 add_param_0[16]",
			`kernels: ptx/sum.ptx: kernel add: its parameter ".param .align 8 .b8 add_param_0[16]" is no single number`},
	} {
		stale := strings.Replace(string(text), c.from, c.to, 1)
		if c.from != "" && stale == string(text) {
			t.Fatalf("the PTX has no %q", c.from)
		}
		got := ""
		if err := checkEntries(c.file, []byte(stale)); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got %q, expected %q", got, c.want)
		}
	}
}

// Each tile has the kernels with its name.
func TestTileKernels(t *testing.T) {
	for _, tile := range []cudaTile{tile128x128, tile128x64, tile64x64, tile128x32, tile32x32, tile64x64n, tile32x32n} {
		k := tileKernels[tile]
		got := []string{k.conv.name, k.gradInput.name, k.gradWeight.name}
		want := []string{"conv_" + tile.name, "conv_grad_input_" + tile.name, "conv_grad_weight_" + tile.name}
		if tile == tile128x32 {
			want[2] = ""
		}
		if !slices.Equal(got, want) {
			t.Errorf("tile %s has kernels %q, expected %q", tile.name, got, want)
		}
	}
}

// A quarter of a million normals have the CPU's bits: with the factors 0, 0, 0 and 1 the samplers' update is z itself.
func TestNormalsCUDA(t *testing.T) {
	b := openCUDA(t)
	const rows, d = 4, 1 << 16
	var o operands
	op := SamplerUpdate{SamplerStep: SamplerStep{Table: o.out(StepWords), State: o.out(StateWords), Repeat: 1},
		X: o.out(rows * d), S: o.out(rows * d), D: d, Seed: 0x0123456789abcdef}
	clear(o.mem)
	op.Table.Of(o.mem)[StepX+3] = 1
	SetWord(o.mem, op.State, StateImage, 42)
	got := o.run(t, b, op)
	op.Ref(o.mem)
	for i, want := range op.X.Of(o.mem) {
		if v := op.X.Of(got)[i]; math.Float32bits(v) != math.Float32bits(want) {
			t.Fatalf("normal %d is %x (%g), expected %x (%g)", i, math.Float32bits(v), v, math.Float32bits(want), want)
		}
	}
}
