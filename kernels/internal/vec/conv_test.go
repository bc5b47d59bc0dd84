package vec

import (
	"fmt"
	"math"
	"testing"
	"time"
)

var convCases = []Conv{
	{1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 3, 1}, {1, 1, 3, 6, 3, 2}, {2, 3, 1, 8, 3, 1}, {3, 2, 8, 1, 3, 1},
	{5, 7, 3, 5, 3, 1}, {7, 5, 5, 3, 3, 1}, {6, 6, 2, 2, 3, 1}, {28, 28, 1, 8, 3, 1}, {28, 28, 8, 8, 3, 1},
	{28, 28, 8, 1, 3, 1}, {14, 14, 16, 16, 3, 1}, {14, 14, 16, 16, 3, 2}, {14, 14, 16, 16, 3, 4}, {14, 13, 8, 8, 3, 2},
	{9, 29, 6, 7, 3, 1}, {5, 11, 4, 4, 3, 1}, {4, 4, 8, 8, 3, 4}, {3, 3, 5, 17, 3, 4}, {7, 31, 17, 31, 3, 1},
	{33, 47, 3, 33, 3, 1}, {6, 57, 32, 32, 3, 1}, {8, 8, 33, 17, 3, 2}, {1, 40, 9, 20, 3, 1}, {40, 1, 9, 20, 3, 1},
	{28, 28, 8, 16, 1, 1}, {1, 131, 17, 33, 1, 1}, {1, 512, 16, 8, 1, 1}, {3, 5, 1, 1, 1, 1}, {2, 29, 6, 48, 1, 1},
	{4, 4, 96, 96, 3, 1}, {2, 2, 256, 40, 3, 1}, {3, 30, 530, 33, 3, 1}, {2, 3, 1600, 17, 1, 1}, {2, 3, 3100, 40, 3, 2},
	{64, 67, 3, 6, 3, 1}, {256, 256, 1, 3, 3, 1}, {1, 9000, 6, 31, 1, 1},
}

func (c Conv) String() string {
	return fmt.Sprintf("%dx%d_%d-%d_k%d_d%d", c.H, c.W, c.Cin, c.Cout, c.K, c.Dilation)
}

// eachTap calls f for every (output pixel, input pixel, tap) of c: offsets in pixels and in taps.
func (c Conv) eachTap(f func(out, in, tap int)) {
	for h := range c.H {
		for w := range c.W {
			for kh := range c.K {
				for kw := range c.K {
					hx, wx := h+(kh-c.K/2)*c.Dilation, w+(kw-c.K/2)*c.Dilation
					if hx >= 0 && hx < c.H && wx >= 0 && wx < c.W {
						f(h*c.W+w, hx*c.W+wx, kh*c.K+kw)
					}
				}
			}
		}
	}
}

// convDefinition is the formula at the head of conv.go in float64.
func convDefinition(c Conv, x, w, bias []float32) []float64 {
	y := make([]float64, c.H*c.W*c.Cout)
	for p := range c.H * c.W {
		for o := range c.Cout {
			y[p*c.Cout+o] = float64(bias[o])
		}
	}
	c.eachTap(func(out, in, tap int) {
		for o := range c.Cout {
			s := 0.0
			weights := w[(o*c.K*c.K+tap)*c.Cin:][:c.Cin]
			for i, v := range x[in*c.Cin:][:c.Cin] {
				s += float64(v) * float64(weights[i])
			}
			y[out*c.Cout+o] += s
		}
	})
	return y
}

func weightGradDefinition(c Conv, x, dy []float32) []float64 {
	dw := make([]float64, c.Cout*c.K*c.K*c.Cin)
	c.eachTap(func(out, in, tap int) {
		for o := range c.Cout {
			d := float64(dy[out*c.Cout+o])
			row := dw[(o*c.K*c.K+tap)*c.Cin:][:c.Cin]
			for i, v := range x[in*c.Cin:][:c.Cin] {
				row[i] += d * float64(v)
			}
		}
	})
	return dw
}

// inputGradDefinition is the transposed convolution of dy.
func inputGradDefinition(c Conv, w, dy []float32) []float64 {
	dx := make([]float64, c.H*c.W*c.Cin)
	c.eachTap(func(out, in, tap int) {
		row := dx[in*c.Cin:][:c.Cin]
		for o := range c.Cout {
			d := float64(dy[out*c.Cout+o])
			for i, v := range w[(o*c.K*c.K+tap)*c.Cin:][:c.Cin] {
				row[i] += d * float64(v)
			}
		}
	})
	return dx
}

func garbage(n int) guarded { return guard("scratch", n, float32(math.NaN())) }

func TestConv(t *testing.T) {
	for _, c := range convCases {
		x, w := normals(1, c.H*c.W*c.Cin), normals(2, c.Cout*c.K*c.K*c.Cin)
		bias, dy := normals(3, c.Cout), normals(4, c.H*c.W*c.Cout)
		want := convDefinition(c, x, w, bias)
		wantDw := weightGradDefinition(c, x, dy)
		wantDx := inputGradDefinition(c, w, dy)
		noBias := convDefinition(c, x, w, make([]float32, c.Cout))
		t.Run(c.String(), func(t *testing.T) {
			eachISA(t, func(t *testing.T) {
				const tol = 1e-5
				packed := guard("packed", c.PackedLen(), float32(math.NaN()))
				c.Pack(packed.v, w)
				packed.check(t)
				scratch := garbage(c.ScratchLen())
				y := guard("y", len(dy), float32(math.NaN()))
				c.Forward(y.v, x, packed.v, bias, scratch.v, false)
				closeTo(t, "forward", y.v, want, tol)
				y.check(t)

				// Without bias, and added to what is there.
				c.Forward(y.v, x, packed.v, nil, scratch.v, false)
				closeTo(t, "forward without bias", y.v, noBias, tol)
				c.Forward(y.v, x, packed.v, bias, scratch.v, true)
				sum := make([]float64, len(want))
				for i := range sum {
					sum[i] = want[i] + noBias[i]
				}
				closeTo(t, "accumulated forward", y.v, sum, tol)
				y.check(t)
				scratch.check(t)

				// The input gradient.
				back := c.Transposed()
				c2 := guard("packed", back.PackedLen(), float32(math.NaN()))
				c.PackTransposed(c2.v, w)
				c2.check(t)
				backScratch := garbage(back.ScratchLen())
				dx := guard("dx", len(x), float32(math.NaN()))
				back.Forward(dx.v, dy, c2.v, nil, backScratch.v, false)
				closeTo(t, "input gradient", dx.v, wantDx, tol)
				dx.check(t)
				backScratch.check(t)

				// Adjointness: <conv(x), dy> = <x, transposed(dy)>.
				c.Forward(y.v, x, packed.v, nil, scratch.v, false)
				left, right, scale := 0.0, 0.0, 0.0
				for i, v := range y.v {
					left += float64(v) * float64(dy[i])
					scale += math.Abs(float64(v) * float64(dy[i]))
				}
				for i, v := range dx.v {
					right += float64(v) * float64(x[i])
				}
				if !(math.Abs(left-right) <= 1e-6*scale) {
					t.Errorf("<conv(x), y> = %g but <x, conv'(y)> = %g", left, right)
				}

				// The weight gradient, in two accumulators, unpacked in two parts.
				acc := guard("accumulator", c.WeightGradLen(), 0)
				acc2 := guard("accumulator", c.WeightGradLen(), 0)
				scratch = garbage(c.ScratchLen())
				c.WeightGrad(acc.v, x, dy, scratch.v)
				c.WeightGrad(acc2.v, x, dy, scratch.v)
				c.WeightGrad(acc2.v, x, dy, scratch.v)
				acc.check(t)
				acc2.check(t)
				scratch.check(t)
				dw := guard("dw", len(w), float32(math.NaN()))
				c.UnpackWeightGrad(dw.v, [][]float32{acc.v, acc2.v}, 0, c.Cout/3)
				c.UnpackWeightGrad(dw.v, [][]float32{acc.v, acc2.v}, c.Cout/3, c.Cout)
				dw.check(t)
				thrice := make([]float64, len(wantDw))
				for i, v := range wantDw {
					thrice[i] = 3 * v
				}
				closeTo(t, "weight gradient", dw.v, thrice, tol)
			})
		})
	}
}

var benchConvs = []Conv{
	{28, 28, 8, 8, 3, 1}, {14, 14, 16, 16, 3, 1}, {14, 14, 16, 16, 3, 2}, {14, 14, 16, 16, 3, 4}, {28, 28, 1, 8, 3, 1},
	{28, 28, 8, 1, 3, 1}, {28, 28, 8, 16, 1, 1}, {28, 28, 64, 64, 3, 1}, {32, 32, 128, 128, 3, 1}, {16, 16, 256, 256, 3, 1},
	{14, 14, 128, 128, 3, 1}, {4, 4, 256, 256, 3, 1}, {1, 512, 256, 256, 1, 1},
}

// bestTime runs f again and again for a while and returns the shortest time of a run in seconds: the machine may be
// shared.
func bestTime(b *testing.B, f func()) float64 {
	shortest := math.Inf(1)
	f()
	one := time.Now()
	f()
	n := int(max(1, 50*time.Microsecond/max(1, time.Since(one))))
	for b.Loop() {
		start := time.Now()
		for range n {
			f()
		}
		shortest = min(shortest, time.Since(start).Seconds()/float64(n))
	}
	return shortest
}

func BenchmarkConv(b *testing.B) {
	for _, name := range Available() {
		for _, c := range benchConvs {
			restore := SetISA(name)
			x, w, dy := normals(1, c.H*c.W*c.Cin), normals(2, c.Cout*c.K*c.K*c.Cin), normals(3, c.H*c.W*c.Cout)
			packed, scratch := make([]float32, c.PackedLen()), make([]float32, c.ScratchLen())
			acc, y, bias := make([]float32, c.WeightGradLen()), make([]float32, len(dy)), normals(5, c.Cout)
			c.Pack(packed, w)
			flop := 2 * float64(c.H*c.W*c.Cout*c.K*c.K*c.Cin)
			b.Run(name+"/forward/"+c.String(), func(b *testing.B) {
				b.ReportMetric(flop/bestTime(b, func() { c.Forward(y, x, packed, bias, scratch, false) })/1e9, "GFLOP/s")
			})
			b.Run(name+"/grad/"+c.String(), func(b *testing.B) {
				b.ReportMetric(flop/bestTime(b, func() { c.WeightGrad(acc, x, dy, scratch) })/1e9, "GFLOP/s")
			})
			restore()
		}
	}
}

// The convolutions and products that run for every image allocate nothing.
func TestNoAllocations(t *testing.T) {
	c := Conv{14, 14, 8, 8, 3, 1}
	n := c.H * c.W * c.Cin
	x, y, w := normals(1, n), make([]float32, n), normals(2, 9*8*8)
	packed, scratch, acc := make([]float32, c.PackedLen()), make([]float32, c.ScratchLen()),
		make([]float32, c.WeightGradLen())
	var product Packed
	product.Pack(x, 8*14, 14, 8*14)
	sum := make([]float32, 8)
	eachISA(t, func(t *testing.T) {
		allocs := testing.AllocsPerRun(3, func() {
			c.Pack(packed, w)
			c.Forward(y, x, packed, sum, scratch, false)
			c.WeightGrad(acc, x, y, scratch)
			product.Pack(x, 8*14, 14, 8*14)
			product.MatMulT(y, 14, x, 8*14, 14)
		})
		if allocs != 0 {
			t.Errorf("%g allocations", allocs)
		}
	})
}

// What a tile computes must not depend on what the scratch held before, nor on the call before.
func TestConvIsPure(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, c := range []Conv{{9, 29, 6, 7, 3, 1}, {14, 14, 16, 16, 3, 2}, {1, 77, 5, 40, 1, 1}} {
			x, w := normals(1, c.H*c.W*c.Cin), normals(2, c.Cout*c.K*c.K*c.Cin)
			packed := make([]float32, c.PackedLen())
			c.Pack(packed, w)
			a, b := make([]float32, c.H*c.W*c.Cout), make([]float32, c.H*c.W*c.Cout)
			c.Forward(a, x, packed, nil, make([]float32, c.ScratchLen()), false)
			c.Forward(b, x, packed, nil, garbage(c.ScratchLen()).v, false)
			for i := range a {
				if a[i] != b[i] {
					t.Fatalf("%v: %g and %g at %d", c, a[i], b[i], i)
				}
			}
		}
	})
}

func TestBadArgumentsPanic(t *testing.T) {
	c := Conv{4, 4, 2, 2, 3, 1}
	packed, scratch := make([]float32, c.PackedLen()), make([]float32, c.ScratchLen())
	for name, f := range map[string]func(){
		"short y":        func() { c.Forward(make([]float32, 31), make([]float32, 32), packed, nil, scratch, false) },
		"K 2":            func() { Conv{4, 4, 2, 2, 2, 1}.PackedLen() },
		"no such set":    func() { SetISA("sse") },
		"cut row":        func() { ColumnSum(make([]float32, 3), make([]float32, 4)) },
		"short ELU":      func() { ELU(make([]float32, 3), make([]float32, 2)) },
		"odd pool":       func() { MeanPool2(make([]float32, 2), make([]float32, 6), 3, 2, 1) },
		"small stride":   func() { new(Packed).Pack(make([]float32, 4), 1, 2, 2) },
		"unpack outside": func() { c.UnpackWeightGrad(make([]float32, 36), nil, 0, 3) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}
