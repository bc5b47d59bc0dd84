// Convolutions on tensor cores: every tile, and sums in parts.

//go:build cgo && !nocuda

package kernels

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"sigmaz/internal/approx"
)

// kinds are the operands of tensor cores.
var kinds = []struct {
	Element
	Precision
	tiles []cudaTile
}{
	{Words, TF32, []cudaTile{tile128x128tf32, tile128x64tf32, tile64x64tf32, tile128x32tf32, tile32x128tf32}},
	{BFloat16, BF16, []cudaTile{tile128x128bf16, tile128x64bf16, tile64x64bf16, tile128x32bf16, tile32x128bf16}},
}

// tileNames returns the names of a tile's kernels.
func tileNames(tile cudaTile) (conv, gradInput, gradWeight string) {
	if k, ok := bf16Kernels[tile]; ok {
		return k.conv.name, k.gradInput.name, k.gradWeight.name
	}
	k := tileKernels[tile]
	return tf32Kernels[tile].name, k.gradInput.name, k.gradWeight.name
}

// Every tile computes forward convolutions and input gradients, with the same bits.
func TestTensorTiles(t *testing.T) {
	b := openCUDA(t)
	for _, g := range []ConvShape{
		{N: 1, H: 9, W: 15, Cin: 32, Cout: 64, K: 3, Dilation: 2},
		{N: 1, H: 5, W: 9, Cin: 32, Cout: 160, K: 1, Dilation: 1},
		{N: 2, H: 3, W: 7, Cin: 160, Cout: 32, K: 1, Dilation: 1},
		{N: 150, H: 1, W: 1, Cin: 32, Cout: 64, K: 1, Dilation: 1},
	} {
		px, nx, nw := g.N*g.H*g.W, g.N*g.H*g.W*g.Cin, g.Cout*g.K*g.K*g.Cin
		for _, kind := range kinds {
			bits := map[string][]float32{}
			for k := range 2 * len(kind.tiles) {
				tile, e, p := kind.tiles[k/2], kind.Element, kind.Precision
				if name, _, _ := tileNames(tile); name == "" {
					continue
				}
				t.Run(fmt.Sprintf("%dx%dx%d-%d/%s/%d", g.H, g.W, g.Cin, g.Cout, tile.name, k%2), func(t *testing.T) {
					var o operands
					x, dy, y, dx := o.of(e, nx), o.of(e, px*g.Cout), o.of(e, px*g.Cout), o.of(e, nx)
					o.out(k % 2) // weights need not be aligned
					w := o.of(e, nw)
					ops := []Op{Conv{ConvShape: g, X: x, Weight: w, Bias: o.normals(g.Cout), Y: y, Precision: p},
						ConvGradInput{ConvShape: g, DY: dy, Weight: w, DX: dx, Precision: p}}
					got := o.run(t, b, inTile(tile, ops...)...)
					for _, op := range ops {
						Reference(op, o.mem)
					}
					tol := approx.RelMax(2e-6)
					if e == BFloat16 { // rounded on both sides of a tie
						tol.Rel = 1. / 128
					}
					for name, w := range map[string]Buf{"y": y, "dx": dx} {
						if err := approx.Compare(name, w.Load(got), w.Load(o.mem), tol); err != nil {
							t.Error(err)
						}
						if bits[name] == nil {
							bits[name] = w.Load(got)
						}
						for i, v := range w.Load(got) {
							if math.Float32bits(v) != math.Float32bits(bits[name][i]) {
								t.Fatalf("%s, value %d: %x, with another tile %x",
									name, i, math.Float32bits(v), math.Float32bits(bits[name][i]))
							}
						}
					}
				})
			}
		}
	}
}

// The gradient of the weights in parts, of which the last is shorter, with every tile that its shapes lead to.
func TestTensorSplits(t *testing.T) {
	b := openCUDA(t)
	tiles := map[string]bool{}
	for _, c := range []struct {
		ConvShape
		multiprocessors int
	}{
		{ConvShape{N: 3, H: 14, W: 15, Cin: 32, Cout: 32, K: 3, Dilation: 1}, 4},
		{ConvShape{N: 2, H: 24, W: 15, Cin: 32, Cout: 64, K: 1, Dilation: 1}, 132},
		{ConvShape{N: 777, H: 1, W: 1, Cin: 64, Cout: 96, K: 1, Dilation: 1}, 0},
		{ConvShape{N: 3001, H: 1, W: 1, Cin: 128, Cout: 128, K: 1, Dilation: 1}, 1},
	} {
		for _, kind := range kinds {
			var o operands
			g := c.ConvShape
			px := g.N * g.H * g.W
			op := ConvGradWeight{ConvShape: g, X: o.of(kind.Element, px*g.Cin), DY: o.of(kind.Element, px*g.Cout),
				DWeight: o.out(g.Cout * g.K * g.K * g.Cin), DBias: o.out(g.Cout), Precision: kind.Precision,
				Multiprocessors: c.multiprocessors}
			s := op.cudaSplit()
			if s.parts < 2 || s.parts*s.part == px {
				t.Errorf("%+v in %s: %d parts of %d pixels", g, kind.Precision, s.parts, s.part)
			}
			tiles[s.tile.name] = true
			got := o.run(t, b, op)
			Reference(op, o.mem)
			for _, w := range []Buf{op.DWeight, op.DBias} {
				if err := approx.Compare(fmt.Sprint(g, s.tile.name), w.Of(got), w.Of(o.mem), approx.RelMax(2e-6)); err != nil {
					t.Error(err)
				}
			}
		}
	}
	for _, kind := range kinds {
		for _, tile := range kind.tiles {
			if _, _, name := tileNames(tile); name != "" && !tiles[tile.name] {
				t.Errorf("no shape has tile %s", tile.name)
			}
		}
	}
}

// Each tile has the kernels with its name, where it has any.
func TestTensorTileKernels(t *testing.T) {
	for _, kind := range kinds {
		for _, tile := range kind.tiles {
			conv, gradInput, gradWeight := tileNames(tile)
			for prefix, name := range map[string]string{
				"conv_": conv, "conv_grad_input_": gradInput, "conv_grad_weight_": gradWeight,
			} {
				if name != "" && name != prefix+tile.name {
					t.Errorf("tile %s has kernel %s, expected %s", tile.name, name, prefix+tile.name)
				}
			}
			if conv == "" && gradWeight == "" || (conv == "") != (gradInput == "") {
				t.Errorf("tile %s lacks kernels", tile.name)
			}
		}
	}
}

// allMoments has programs in TF32 take moments too.
func allMoments(t *testing.T) {
	momentsIn[TF32] = true
	t.Cleanup(func() { delete(momentsIn, TF32) })
}

// The moments that a convolution makes have the same bits in every tile, and those of norm_moments; with them a norm is as
// accurate as by itself, for channels far from 0 too.
func TestMadeMoments(t *testing.T) {
	b := openCUDA(t)
	allMoments(t)
	t.Cleanup(func() { testUnfused = false })
	for _, c := range []struct {
		ConvShape
		mean float32
	}{
		{ConvShape{N: 3, H: 8, W: 24, Cin: 32, Cout: 160, K: 1, Dilation: 1}, 0}, // the last tiles are not full
		{ConvShape{N: 1, H: 8, W: 8, Cin: 64, Cout: 32, K: 3, Dilation: 1}, 1000},
		{ConvShape{N: 5, H: 8, W: 8, Cin: 32, Cout: 96, K: 1, Dilation: 1}, -1000},
	} {
		g := c.ConvShape
		n, words := g.H*g.W, g.N*g.H*g.W*g.Cout
		for _, kind := range kinds {
			var want []float32
			for _, tile := range kind.tiles {
				if name, _, _ := tileNames(tile); name == "" {
					continue
				}
				var o operands
				x, y, w, bias := o.of(kind.Element, g.N*n*g.Cin), o.of(kind.Element, words),
					o.of(kind.Element, g.Cout*g.K*g.K*g.Cin), o.normals(g.Cout)
				for i := range bias.Of(o.mem) {
					bias.Of(o.mem)[i] += c.mean
				}
				out := func() Buf { return o.out(g.N * g.Cout) }
				norm := Norm{NormShape: NormShape{g.N, n, g.Cout}, X: y, Y: o.of(kind.Element, words),
					NormStats: NormStats{Mean: out(), Rstd: out(), MuHat: out(), Q: o.out(g.N)}}
				sum := Add{N: g.N, A: y, B: o.of(kind.Element, words), Dst: y}
				ops := append(inTile(tile, Conv{ConvShape: g, X: x, Weight: w, Bias: bias, Y: y, Precision: kind.Precision}), sum, norm)
				for _, testUnfused = range []bool{true, false} {
					got := RunTraced(t, b, o.mem, ops...)
					if want == nil {
						want = got
						mem := append([]float32(nil), got...)
						Reference(norm, mem)
						// The means may differ by a unit in the last place: with a large mean, that shows in y.
						mean := approx.RelMax(2e-6)
						largest := 2 * max(1, float32(math.Abs(float64(c.mean))))
						last, tol := math.Nextafter32(largest, math.MaxFloat32)-largest, approx.RelMax(2e-6)
						tol.Abs = float64(last) * float64(slices.Max(norm.Rstd.Load(mem)))
						if c.mean != 0 {
							mean = approx.Abs(float64(last))
						}
						if kind.Element == BFloat16 {
							tol.Rel = 1. / 128
						}
						for name, c := range map[string]struct {
							Buf
							approx.Tol
						}{"mean": {norm.Mean, mean}, "rstd": {norm.Rstd, approx.Rel(1e-6)}, "y": {norm.Y, tol}} {
							if err := approx.Compare(name, c.Load(got), c.Load(mem), c.Tol); err != nil {
								t.Errorf("%+v in %s: %v", g, kind.Precision, err)
							}
						}
					}
					for i := range got {
						if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
							t.Fatalf("%+v in %s, tile %s, by itself %t: word %d is %g, expected %g", g, kind.Precision, tile.name, testUnfused, i,
								got[i], want[i])
						}
					}
				}
				list, err := fuseCUDA(ops)
				if err != nil {
					t.Fatal(err)
				}
				if f := list[len(list)-1].(fused); f.sums != madeMoments {
					t.Errorf("%+v in %s, tile %s: the norm has sums %d", g, kind.Precision, tile.name, f.sums)
				}
			}
		}
	}
}
