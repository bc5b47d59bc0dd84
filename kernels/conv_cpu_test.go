package kernels

import (
	"fmt"
	"math"
	"runtime"
	"testing"

	"sigmaz/kernels/internal/vec"
)

// windows hands out windows of memory, a few words apart.
type windows struct{ end int }

func (w *windows) take(n int) Buf { w.end += n + 3; return Buf{Off: w.end - n, N: n} }

// runCPU runs programs one after the other on n words of normals and returns the memory.
func runCPU(t *testing.T, n, workers int, programs ...[]Op) []float32 {
	t.Helper()
	b := NewCPU(workers)
	a, err := b.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	Stream{Seed: 8, Purpose: PurposeData}.Normals(a.Host())
	for _, ops := range programs {
		p, err := b.Compile(a, ops)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
	}
	return a.Host()
}

// A convolution does what follows it in its last transform, with the bits of one operation after the other, for any
// number of workers, also for more workers than images.
func TestConvolutionsAreFused(t *testing.T) {
	g := ConvShape{N: 2, H: 9, W: 7, Cin: 33, Cout: 40, K: 3, Dilation: 1}
	in, out, nw := g.N*g.H*g.W*g.Cin, g.N*g.H*g.W*g.Cout, g.Cout*9*g.Cin
	var m windows
	x, y, w, bias := m.take(in), m.take(out), m.take(nw), m.take(g.Cout)
	r, r2, z := m.take(out), m.take(out), m.take(out)
	dx, act, dact := m.take(in), m.take(in), m.take(in)
	conv := Conv{ConvShape: g, X: x, Y: y, Weight: w, Bias: bias}
	grad := ConvGradInput{ConvShape: g, DX: dx, DY: y, Weight: w}
	square := Conv{ConvShape: g, X: x, Y: dx, Weight: w.Slice(0, 33*33*9)}
	square.Cout = square.Cin
	elu := func(n int, x, y Buf) Op { return Activate{F: ELU, N: n, X: x, Y: y} }
	slope := func(dx, dy, y Buf) Op { return ActivateGrad{F: ELU, N: g.N, DX: dx, DY: dy, Y: y} }
	add := func(dst, a, b Buf) Op { return Add{N: g.N, Dst: dst, A: a, B: b} }
	fill := func(b Buf) Op { return Fill{Dst: b, Value: 2} }
	for name, c := range map[string]struct {
		n   int // operations that become one
		ops []Op
	}{
		"ELU in place":                {2, []Op{conv, elu(g.N, y, y)}},
		"ELU beside":                  {2, []Op{conv, elu(g.N, y, z)}},
		"sum":                         {2, []Op{conv, add(y, r, y)}},
		"sum in place of the addend":  {2, []Op{conv, add(r, y, r), fill(y)}},
		"sum and ELU beside":          {3, []Op{conv, add(r, y, r), elu(g.N, r, z), fill(y)}},
		"sum and ELU over the addend": {3, []Op{conv, add(y, y, r), elu(g.N, y, r)}},
		"two sums":                    {2, []Op{conv, add(y, y, r), add(y, y, r2)}},
		"result is read later":        {1, []Op{conv, add(r, y, r), add(r2, r2, y), fill(y)}},
		"result may be read later":    {1, []Op{conv, add(r, y, r)}},
		"twice the result":            {1, []Op{conv, add(y, y, y)}},
		"softplus":                    {1, []Op{conv, Activate{F: Softplus, N: g.N, X: y, Y: y}}},
		"ELU's slope":                 {2, []Op{grad, slope(dx, dx, act)}},
		"slope over the activated":    {2, []Op{grad, slope(act, dx, act), fill(dx)}},
		"slope and sum":               {3, []Op{grad, slope(dx, dx, act), add(dact, dact, dx), fill(dx)}},
		"no slope after a sum":        {2, []Op{grad, add(dx, dx, dact), slope(dx, dx, act)}},
		"no ELU after a slope":        {2, []Op{grad, slope(dx, dx, act), elu(g.N, dx, dx)}},
		"over what others still need": {1, []Op{square, add(x, dx, dact), fill(dx)}},
	} {
		t.Run(name, func(t *testing.T) {
			if _, n := fuseCPU(c.ops); n != c.n {
				t.Errorf("%d operations became one, expected %d", n, c.n)
			}
			for _, isa := range vec.Available() {
				t.Run(isa, func(t *testing.T) {
					defer vec.SetISA(isa)()
					var apart [][]Op
					for _, op := range c.ops {
						apart = append(apart, []Op{op})
					}
					want := runCPU(t, m.end, 1, apart...)
					for _, workers := range []int{1, 5} {
						got := runCPU(t, m.end, workers, c.ops)
						for i := range got {
							if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
								t.Fatalf("%d workers: word %d is %g, one operation after the other gives %g",
									workers, i, got[i], want[i])
							}
						}
					}
				})
			}
		})
	}
}

// Convolutions and their gradients have the same bits for any number of workers; and an image has them in any batch.
func TestWinogradSharesOut(t *testing.T) {
	for _, g := range []ConvShape{
		{N: 5, H: 14, W: 14, Cin: 64, Cout: 96, K: 3, Dilation: 2},
		{N: 1, H: 28, W: 28, Cin: 33, Cout: 32, K: 3, Dilation: 1},
		{N: 40, H: 5, W: 3, Cin: 33, Cout: 130, K: 3, Dilation: 1},
	} {
		t.Run(fmt.Sprintf("%+v", g), func(t *testing.T) {
			if !g.winograd() {
				t.Fatal("is computed directly")
			}
			var m windows
			in, out, nw := g.N*g.H*g.W*g.Cin, g.N*g.H*g.W*g.Cout, g.Cout*9*g.Cin
			x, y, w, bias, dx, dw := m.take(in), m.take(out), m.take(nw), m.take(g.Cout), m.take(in), m.take(nw)
			ops := []Op{
				Conv{ConvShape: g, X: x, Y: y, Weight: w, Bias: bias},
				ConvGradWeight{ConvShape: g, X: x, DY: y, DWeight: dw, DBias: bias},
				ConvGradInput{ConvShape: g, DX: dx, DY: y, Weight: w},
			}
			want := runCPU(t, m.end, 1, ops)
			for _, workers := range []int{2, 16} {
				got := runCPU(t, m.end, workers, ops)
				for i := range got {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
						t.Fatalf("%d workers: word %d is %g, with one it is %g", workers, i, got[i], want[i])
					}
				}
			}
			// The last image alone.
			one := g
			one.N = 1
			last := func(b Buf) Buf { return b.Slice(b.N-b.N/g.N, b.N/g.N) }
			got := runCPU(t, m.end, 2, []Op{Conv{ConvShape: one, X: last(x), Y: last(y), Weight: w, Bias: bias}})
			for i, v := range last(y).Of(got) {
				if math.Float32bits(v) != math.Float32bits(last(y).Of(want)[i]) {
					t.Fatalf("value %d of the last image is %g, in its batch %g", i, v, last(y).Of(want)[i])
				}
			}
		})
	}
}

// Sums over a batch of fewer images than workers are shared out as with one worker, also beside convolutions whose
// tiles are shared out.
func TestSumsBesideTiles(t *testing.T) {
	g := ConvShape{N: 4, H: 7, W: 7, Cin: 64, Cout: 64, K: 3, Dilation: 1}
	one := ConvShape{N: 4, H: 7, W: 7, Cin: 64, Cout: 64, K: 1, Dilation: 1}
	var m windows
	n := g.N * g.H * g.W * 64
	x, y, z, w, dx, dw, db := m.take(n), m.take(n), m.take(n), m.take(64*9*64), m.take(n), m.take(64*64), m.take(64)
	ops := []Op{
		Activate{F: ELU, N: g.N, X: z, Y: z},
		ConvGradInput{ConvShape: g, DX: dx, DY: y, Weight: w},
		ConvGradWeight{ConvShape: one, X: x, DY: dx, DWeight: dw, DBias: db},
		Conv{ConvShape: g, X: dx, Y: y, Weight: w},
	}
	for _, isa := range vec.Available() {
		t.Run(isa, func(t *testing.T) {
			defer vec.SetISA(isa)()
			want := runCPU(t, m.end, 1, ops)
			for _, workers := range []int{4, 5, 16} {
				got := runCPU(t, m.end, workers, ops)
				for i := range got {
					if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
						t.Fatalf("%d workers: word %d is %g, with one it is %g", workers, i, got[i], want[i])
					}
				}
			}
		})
	}
}

// A program takes the memory that Workspace says.
func TestWorkspaceIsTrue(t *testing.T) {
	g := ConvShape{N: 2, H: 14, W: 14, Cin: 64, Cout: 64, K: 3, Dilation: 1}
	small := ConvShape{N: 2, H: 14, W: 14, Cin: 64, Cout: 8, K: 1, Dilation: 1}
	var m windows
	n := g.N * g.H * g.W * 64
	x, y, w, dw := m.take(n), m.take(n), m.take(64*9*64), m.take(64*9*64)
	z, v := m.take(n/8), m.take(8*64)
	ops := []Op{Conv{ConvShape: g, X: x, Y: y, Weight: w}, Conv{ConvShape: small, X: y, Y: z, Weight: v},
		ConvGradWeight{ConvShape: g, X: x, DY: y, DWeight: dw}, ConvGradInput{ConvShape: g, DX: x, DY: y, Weight: w}}
	b := NewCPU(3)
	a, err := b.Alloc(m.end)
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.Compile(a, ops)
	if err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	taken := float64(after.TotalAlloc-before.TotalAlloc) / 4
	if says := float64(b.Workspace(ops)); !(taken >= says && taken < 1.05*says) {
		t.Errorf("Workspace says %g words, the program takes %g", says, taken)
	}
}
