package vec

import (
	"fmt"
	"math"
	"testing"
)

var lengths = []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 100, 1023, 4095, 4096, 4097, 10007}

// unary checks a block against a float64 formula at every length.
func unary(t *testing.T, what string, inputs int, block func(dst []float32, in [][]float32),
	want func(v []float64) float64) {
	for _, n := range lengths {
		var in [][]float32
		for i := range inputs {
			in = append(in, normals(uint64(n+i), n))
		}
		expect := make([]float64, n)
		for i := range expect {
			v := make([]float64, inputs)
			for j := range v {
				v[j] = float64(in[j][i])
			}
			expect[i] = want(v)
		}
		dst := guard(what, n, float32(math.NaN()))
		block(dst.v, in)
		closeTo(t, fmt.Sprintf("%s, n=%d", what, n), dst.v, expect, 3e-7)
		dst.check(t)
		for alias := range in { // in place
			dst := guardCopy(what, in[alias])
			other := append([][]float32(nil), in...)
			other[alias] = dst.v
			block(dst.v, other)
			closeTo(t, fmt.Sprintf("%s in place, n=%d", what, n), dst.v, expect, 3e-7)
			dst.check(t)
		}
	}
}

func elu64(x float64) float64 {
	if x > 0 {
		return x
	}
	return math.Expm1(x)
}

func softplus64(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func TestElementwise(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		unary(t, "ELU", 1, func(dst []float32, in [][]float32) { ELU(dst, in[0]) },
			func(v []float64) float64 { return elu64(v[0]) })
		unary(t, "ELUBackward", 2, func(dst []float32, in [][]float32) { ELUBackward(dst, in[0], in[1]) },
			func(v []float64) float64 { return v[0] * (min(v[1], 0) + 1) })
		unary(t, "ReLU", 1, func(dst []float32, in [][]float32) { ReLU(dst, in[0]) },
			func(v []float64) float64 { return max(v[0], 0) })
		unary(t, "LReLU", 1, func(dst []float32, in [][]float32) { LReLU(dst, in[0]) },
			func(v []float64) float64 { return max(v[0], 0.2*v[0]) })
		unary(t, "Swish", 1, func(dst []float32, in [][]float32) { Swish(dst, in[0]) },
			func(v []float64) float64 { return v[0] / (1 + math.Exp(-v[0])) })
		slope := func(v, leak float64) float64 {
			if v > 0 {
				return 1
			}
			return leak
		}
		unary(t, "ReLUBackward", 2, func(dst []float32, in [][]float32) { ReLUBackward(dst, in[0], in[1]) },
			func(v []float64) float64 { return v[0] * slope(v[1], 0) })
		unary(t, "LReLUBackward", 2, func(dst []float32, in [][]float32) { LReLUBackward(dst, in[0], in[1]) },
			func(v []float64) float64 { return v[0] * slope(v[1], 0.2) })
		unary(t, "SwishBackward", 2, func(dst []float32, in [][]float32) { SwishBackward(dst, in[0], in[1]) },
			func(v []float64) float64 {
				s := 1 / (1 + math.Exp(-v[1]))
				return v[0] * s * (1 + v[1]*(1-s))
			})
		unary(t, "Softplus", 1, func(dst []float32, in [][]float32) { Softplus(dst, in[0]) },
			func(v []float64) float64 { return softplus64(v[0]) })
		unary(t, "Add", 2, func(dst []float32, in [][]float32) { Add(dst, in[0], in[1]) },
			func(v []float64) float64 { return v[0] + v[1] })
		// Softplus' output is positive.
		for _, n := range lengths {
			y, dy := normals(3, n), normals(4, n)
			want := make([]float64, n)
			for i := range y {
				y[i] = y[i] * y[i]
				want[i] = float64(dy[i]) * -math.Expm1(-float64(y[i]))
			}
			dx := guard("SoftplusBackward", n, 0)
			SoftplusBackward(dx.v, dy, y)
			closeTo(t, "SoftplusBackward", dx.v, want, 3e-7)
			dx.check(t)
		}
	})
}

// Blocks that have the bits of plain Go on every instruction set.
func TestExactElementwise(t *testing.T) {
	const a, b = 0.37, -1.3
	eachISA(t, func(t *testing.T) {
		for _, n := range lengths {
			name := fmt.Sprintf("n=%d", n)
			x, y := normals(1, n), normals(2, n)
			if n > 30 {
				x[3], y[4], x[n-1], y[n-2] = float32(math.Inf(1)), float32(math.NaN()), float32(math.NaN()), float32(math.Inf(-1))
			}
			got, want := guard(name, n, 0), make([]float32, n)
			for _, c := range []struct {
				name   string
				do, in func(dst, x []float32)
			}{
				{"Divide", func(d, x []float32) { Divide(d, x, a) }, func(d, x []float32) { divideGo(d, x, a) }},
				{"Affine", func(d, x []float32) { Affine(d, x, a, b) }, func(d, x []float32) { affineGo(d, x, a, b) }},
				{"AddScaled", func(d, x []float32) { AddScaled(d, x, y, a) }, func(d, x []float32) { addScaledGo(d, x, y, a) }},
				{"ScaledSum", func(d, x []float32) { ScaledSum(d, x, y, a, b) }, func(d, x []float32) { scaledSumGo(d, x, y, a, b) }},
			} {
				c.in(want, x)
				c.do(got.v, x)
				closeTo(t, c.name+", "+name, got.v, float64s(want), 0)
				copy(got.v, x)
				c.do(got.v, got.v)
				closeTo(t, c.name+" in place, "+name, got.v, float64s(want), 0)
				got.check(t)
			}
			var sums [16]float64
			sumSquaresGo(&sums, x, y, a)
			total := 0.0
			for _, s := range sums {
				total += s
			}
			if got := SumSquares(x, y, a); got != total && !(math.IsNaN(got) && math.IsNaN(total)) {
				t.Errorf("SumSquares, %s: %g, want %g", name, got, total)
			}
			for i := range min(n, 30) { // finite
				sums = [16]float64{}
				sumSquaresGo(&sums, normals(3, i), normals(4, i), a)
				total = 0
				for _, s := range sums {
					total += s
				}
				if got := SumSquares(normals(3, i), normals(4, i), a); got != total {
					t.Errorf("SumSquares, n=%d: %g, want %g", i, got, total)
				}
			}
		}
	})
}

// ulps is the distance of got from want in units of the last place of want.
func ulps(got float32, want float64) float64 {
	w := float32(math.Abs(want))
	unit := float64(math.Nextafter32(w, math.MaxFloat32)) - float64(w)
	return math.Abs(float64(got)-want) / unit
}

// The activations and their derivatives are good to a few units in the last place over their whole range.
func TestActivationAccuracy(t *testing.T) {
	var x []float32
	for e := -40.0; e < 7; e += 0.0007 {
		x = append(x, float32(math.Exp2(e)), float32(-math.Exp2(e)))
	}
	eachISA(t, func(t *testing.T) {
		y := make([]float32, len(x))
		dx := make([]float32, len(x))
		ones := make([]float32, len(x))
		for i := range ones {
			ones[i] = 1
		}
		for _, c := range []struct {
			name  string
			run   func()
			want  func(float64) float64
			got   []float32
			limit float64
		}{
			{"ELU", func() { ELU(y, x) }, elu64, y, 2},
			{"Softplus", func() { Softplus(y, x) }, softplus64, y, 3},
			{"Swish", func() { Swish(y, x) }, func(v float64) float64 { return v / (1 + math.Exp(-v)) }, y, 3},
			{"SoftplusBackward", func() { SoftplusBackward(dx, ones, x) }, func(v float64) float64 { return -math.Expm1(-v) }, dx, 2},
		} {
			c.run()
			worst, at := 0.0, 0
			for i, v := range x {
				if c.name == "SoftplusBackward" && v < 0 || c.name == "Swish" && v < -87 { // there the sigmoid has lost bits
					continue
				}
				if u := ulps(c.got[i], c.want(float64(v))); !(u <= worst) {
					worst, at = u, i
				}
			}
			t.Logf("%s: at most %.2f units in the last place, at %g", c.name, worst, x[at])
			if !(worst <= c.limit) {
				t.Errorf("%s(%g) = %g, want %g: %.2f units in the last place", c.name, x[at], c.got[at],
					c.want(float64(x[at])), worst)
			}
		}
	})
}

func TestActivationSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	negZero := float32(math.Copysign(0, -1))
	eachISA(t, func(t *testing.T) {
		x := []float32{inf, -inf, nan, -nan, 0, negZero, -1e30, 1e30, -1e-40, 1e-40, -17, -18, -19, -87, -104, -103}
		var elu, softplus []float64
		for _, v := range x {
			elu = append(elu, elu64(float64(v)))
			softplus = append(softplus, softplus64(float64(v)))
		}
		elu[8] = 0
		y := make([]float32, len(x))
		tiny := 2e-45
		check := func(what string, want []float64) {
			for i, w := range want {
				if g := float64(y[i]); math.IsNaN(w) != math.IsNaN(g) || math.Abs(g-w) > 1e-6*math.Abs(w)+tiny && g != w {
					t.Errorf("%s(%g) = %g, want %g", what, x[i], g, w)
				}
			}
		}
		ELU(y, x)
		elu[8] = float64(x[8])
		check("ELU", elu)
		Softplus(y, x)
		check("Softplus", softplus)

		tiny = 1e-43 // swish is x times a sigmoid that is hardly representable
		for _, c := range []struct {
			name     string
			do, want func(y, x []float32)
		}{{"ReLU", ReLU, reluGo}, {"LReLU", LReLU, lreluGo}, {"Swish", Swish, swishGo}} {
			want := make([]float32, len(x))
			c.want(want, x)
			c.do(y, x)
			check(c.name, float64s(want))
		}
		ones := make([]float32, len(x))
		for i := range ones {
			ones[i] = 1
		}
		for _, c := range []struct {
			name     string
			do, want func(dx, dy, y []float32)
		}{{"ReLUBackward", ReLUBackward, reluBackwardGo}, {"LReLUBackward", LReLUBackward, lreluBackwardGo},
			{"SwishBackward", SwishBackward, swishBackwardGo}} {
			want := make([]float32, len(x))
			c.want(want, ones, x)
			c.do(y, ones, x)
			check(c.name, float64s(want))
		}

		y = []float32{inf, nan, -1, 0, 2}
		dx := make([]float32, len(y))
		ELUBackward(dx, []float32{1, 1, 1, 1, nan}, y)
		closeTo(t, "ELUBackward", dx, []float64{1, math.NaN(), 0, 1, math.NaN()}, 0)
		SoftplusBackward(dx, []float32{1, 1, 1, 1, 1}, []float32{inf, nan, 0, 1, 2})
		closeTo(t, "SoftplusBackward", dx, []float64{1, math.NaN(), 0, 1 - math.Exp(-1), 1 - math.Exp(-2)}, 3e-7)
	})
}

var channelCounts = []int{1, 2, 3, 6, 8, 15, 16, 17, 24, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 255, 256}
var rowCounts = []int{0, 1, 2, 3, 5, 17, 63, 64, 65, 400}

func TestRows(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, c := range channelCounts {
			ka, kb, kc, mean, meanDY := normals(1, c), normals(2, c), normals(3, c), normals(6, c), normals(7, c)
			rstd := normals(8, c)
			for _, rows := range rowCounts {
				n := rows * c
				x, dy := normals(4, n), normals(5, n)
				normal, activated, grad := make([]float64, n), make([]float64, n), make([]float64, n)
				swished, slope, group := make([]float64, n), make([]float64, n), make([]float64, n)
				for i := range n {
					j := i % c
					centred := float64(x[i] - mean[j])
					normal[i] = centred*float64(ka[j]) + float64(kb[j])
					activated[i] = elu64(normal[i])
					grad[i] = float64(ka[j])*float64(dy[i]-meanDY[j]) + float64(kb[j])*centred + float64(kc[j])
					s := 1 / (1 + math.Exp(-normal[i]))
					swished[i] = normal[i] * s
					slope[i] = float64(dy[i]) * s * (1 + normal[i]*(1-s))
					group[i] = float64(rstd[j]) * (float64(ka[j])*float64(dy[i]) - float64(kb[j]) - float64(kc[j])*centred)
				}
				name := fmt.Sprintf("%d rows of %d", rows, c)
				y := guard(name, n, float32(math.NaN()))
				Normalize(y.v, x, mean, ka, kb)
				closeTo(t, "Normalize "+name, y.v, normal, 3e-7)
				NormalizeELU(y.v, x, mean, ka, kb)
				closeTo(t, "NormalizeELU "+name, y.v, activated, 3e-7)
				NormBackward(y.v, dy, x, meanDY, mean, ka, kb, kc)
				closeTo(t, "NormBackward "+name, y.v, grad, 3e-7)
				NormalizeSwish(y.v, x, mean, ka, kb)
				closeTo(t, "NormalizeSwish "+name, y.v, swished, 3e-7)
				NormalizeSwishBackward(y.v, dy, x, mean, ka, kb)
				closeTo(t, "NormalizeSwishBackward "+name, y.v, slope, 5e-7)
				GroupNormBackward(y.v, dy, x, ka, kb, mean, kc, rstd)
				closeTo(t, "GroupNormBackward "+name, y.v, group, 3e-7)
				y.check(t)
				copy(y.v, x)
				NormalizeELU(y.v, y.v, mean, ka, kb)
				closeTo(t, "NormalizeELU in place "+name, y.v, activated, 3e-7)
				copy(y.v, dy)
				NormBackward(y.v, y.v, x, meanDY, mean, ka, kb, kc)
				closeTo(t, "NormBackward in place "+name, y.v, grad, 3e-7)
				copy(y.v, dy)
				NormalizeSwishBackward(y.v, y.v, x, mean, ka, kb)
				closeTo(t, "NormalizeSwishBackward in place "+name, y.v, slope, 5e-7)
				copy(y.v, dy)
				GroupNormBackward(y.v, y.v, x, ka, kb, mean, kc, rstd)
				closeTo(t, "GroupNormBackward in place "+name, y.v, group, 3e-7)
				y.check(t)
			}
		}
	})
}

func TestColumns(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, c := range channelCounts {
			shift := normals(1, c)
			for _, rows := range append(rowCounts, 1000) {
				a, b := normals(2, rows*c), normals(3, rows*c)
				for i := range a {
					a[i] += 1 // or the sums would be small against their terms
				}
				sum, mom, sq, raw := make([]float64, c), make([]float64, c), make([]float64, c), make([]float64, c)
				dot, shifted := make([]float64, c), make([]float64, c)
				for i, v := range float64s(a) {
					d := v - float64(shift[i%c])
					sum[i%c] += v
					mom[i%c] += d
					sq[i%c] += d * d
					raw[i%c] += v * v
					dot[i%c] += v * float64(b[i])
					shifted[i%c] += v * (float64(b[i]) - float64(shift[i%c]))
				}
				name := fmt.Sprintf("%d rows of %d", rows, c)
				first, second := guard(name, c, float32(math.NaN())), guard(name, c, float32(math.NaN()))
				const tol = 1e-6
				ColumnSum(first.v, a)
				closeTo(t, "ColumnSum "+name, first.v, sum, tol)
				ColumnMoments(first.v, second.v, a, shift)
				closeTo(t, "ColumnMoments "+name, first.v, mom, tol)
				closeTo(t, "ColumnMoments squares "+name, second.v, sq, tol)
				ColumnMoments(first.v, second.v, a, nil)
				closeTo(t, "ColumnMoments without shift "+name, first.v, sum, tol)
				closeTo(t, "ColumnMoments squares without shift "+name, second.v, raw, tol)
				ColumnDots(first.v, second.v, a, b, shift)
				closeTo(t, "ColumnDots "+name, first.v, sum, tol)
				closeTo(t, "ColumnDots products "+name, second.v, shifted, 3e-6)
				ColumnDots(first.v, second.v, a, b, nil)
				closeTo(t, "ColumnDots without shift products "+name, second.v, dot, 3e-6)
				first.check(t)
				second.check(t)
			}
		}
	})
}

// 65k rows of a large mean: plain float32 sums would be off by 1e-4.
func TestColumnMomentsOfLongColumns(t *testing.T) {
	const rows, c = 256 * 256, 3
	x := normals(1, rows*c)
	sum, sq := make([]float64, c), make([]float64, c)
	for i := range x {
		x[i] += 10
		sum[i%c] += float64(x[i])
		sq[i%c] += float64(x[i]) * float64(x[i])
	}
	eachISA(t, func(t *testing.T) {
		first, second := make([]float32, c), make([]float32, c)
		ColumnMoments(first, second, x, nil)
		closeTo(t, "sum", first, sum, 1.5e-7)
		closeTo(t, "squares", second, sq, 1.5e-7)
	})
}

// The blocks that run for every image allocate nothing.
func TestElementwiseAllocatesNothing(t *testing.T) {
	const h, w, c = 14, 14, 8
	const n = h * w * c
	x, y, bytes, mirrored := normals(1, n), make([]float32, n), make([]byte, n), make([]byte, n)
	sum, sq, index := make([]float32, c), make([]float32, c), make([]uint32, n)
	blocks, s := make([][4]uint32, 21), noiseStreams[1]
	scratch := make([]float32, MaxPool5BackwardScratch(w, c))
	taps := NewTaps(7, h, func(i int) []Tap { return []Tap{{i, 0.5}, {i + 7, 0.5}} })
	eachISA(t, func(t *testing.T) {
		allocs := testing.AllocsPerRun(3, func() {
			ELU(y, x)
			SwishBackward(y, x, x)
			ScaledSum(y, x, x, 2, 3)
			SumSquares(y, x, 2)
			NormalizeELU(y, x, sum, sq, sum)
			NormBackward(y, x, x, sum, sq, sq, sum, sum)
			NormalizeSwishBackward(y, x, x, sum, sq, sq)
			GroupNormBackward(y, x, x, sum, sq, sq, sum, sum)
			ColumnMoments(sum, sq, x, sum)
			ColumnDots(sum, sq, x, x, sum)
			MaxPool5(y, index, x, h, w, c)
			MaxPool5Backward(y, x, index, h, w, c, scratch)
			taps.Apply(y[:n/2], x, w*c)
			Adam(y, x, y, y, y, &adamTest)
			Uniforms(y, s)
			Normals(y, s)
			Perturb(x, y, 1, s)
			Langevin(x, y, 1, 1, s)
			Dequantize(y, bytes, s)
			Bytes(x, bytes)
			Mirror(mirrored, bytes, w, c)
			Words(blocks, s.Key)
			Normals4(blocks, s.Key)
		})
		if allocs != 0 {
			t.Errorf("%g allocations", allocs)
		}
	})
}

func BenchmarkElementwise(b *testing.B) {
	const n, c = 28 * 28 * 8, 8
	x, dy, y := normals(1, n), normals(2, n), make([]float32, n)
	for i := range dy {
		dy[i] = max(dy[i], -0.9)
	}
	ka, kb, kc, sum, sq := normals(3, c), normals(4, c), normals(5, c), make([]float32, c), make([]float32, c)
	index := make([]uint32, n)
	MaxPool5(y, index, x, 28, 28, c)
	small, scratch := make([]float32, n/4), make([]float32, MaxPool5BackwardScratch(28, c))
	up := NewTaps(28, 14, func(i int) []Tap {
		return []Tap{{min(i/2, 13), 0.75}, {min(i/2+1, 13), 0.25}}
	})
	down := up.Transposed()
	for _, name := range Available() {
		for _, k := range []struct {
			name  string
			words int // read and written
			run   func()
		}{
			{"ELU", 2 * n, func() { ELU(y, x) }},
			{"ELUBackward", 3 * n, func() { ELUBackward(y, x, dy) }},
			{"Softplus", 2 * n, func() { Softplus(y, x) }},
			{"Add", 3 * n, func() { Add(y, x, dy) }},
			{"Divide", 2 * n, func() { Divide(y, x, 3) }},
			{"Affine", 2 * n, func() { Affine(y, x, 2, -1) }},
			{"AddScaled", 3 * n, func() { AddScaled(y, x, dy, 0.5) }},
			{"ScaledSum", 3 * n, func() { ScaledSum(y, x, dy, 0.5, 3) }},
			{"SumSquares", 2 * n, func() { SumSquares(x, dy, 0.5) }},
			{"Normalize", 2 * n, func() { Normalize(y, x, ka, kb, kc) }},
			{"NormalizeELU", 2 * n, func() { NormalizeELU(y, x, ka, kb, kc) }},
			{"NormBackward", 3 * n, func() { NormBackward(y, dy, x, ka, kb, kc, ka, kb) }},
			{"NormalizeSwish", 2 * n, func() { NormalizeSwish(y, x, ka, kb, kc) }},
			{"NormalizeSwishBackward", 3 * n, func() { NormalizeSwishBackward(y, dy, x, ka, kb, kc) }},
			{"GroupNormBackward", 3 * n, func() { GroupNormBackward(y, dy, x, ka, kb, kc, ka, kb) }},
			{"ReLU", 2 * n, func() { ReLU(y, x) }},
			{"LReLUBackward", 3 * n, func() { LReLUBackward(y, x, dy) }},
			{"Swish", 2 * n, func() { Swish(y, x) }},
			{"SwishBackward", 3 * n, func() { SwishBackward(y, x, dy) }},
			{"ColumnSum", n, func() { ColumnSum(sum, x) }},
			{"ColumnMoments", n, func() { ColumnMoments(sum, sq, x, ka) }},
			{"ColumnDots", 2 * n, func() { ColumnDots(sum, sq, x, dy, ka) }},
			{"MaxPool5", 2 * n, func() { MaxPool5(y, nil, x, 28, 28, c) }},
			{"MaxPool5Index", 3 * n, func() { MaxPool5(y, index, x, 28, 28, c) }},
			{"MaxPool5Backward", 3 * n, func() { MaxPool5Backward(y, dy, index, 28, 28, c, scratch) }},
			{"Taps, pixels", n + n/2, func() {
				for h := range 28 {
					up.Apply(y[h*28*c:][:28*c], x[h*14*c:][:14*c], c)
				}
			}},
			{"Taps, pixels back", n + n/2, func() {
				for h := range 28 {
					down.Apply(y[h*14*c:][:14*c], x[h*28*c:][:28*c], c)
				}
			}},
			{"Taps, rows", n + n/2, func() { up.Apply(y, x[:n/2], 28*c) }},
			{"Taps, rows back", n + n/2, func() { down.Apply(y[:n/2], x, 28*c) }},
			{"MeanPool2", n + n/4, func() { MeanPool2(small, x, 28, 28, c) }},
			{"MeanPool2Backward", n + n/4, func() { MeanPool2Backward(y, small, 28, 28, c) }},
		} {
			b.Run(name+"/"+k.name, func(b *testing.B) {
				defer SetISA(name)()
				t := bestTime(b, k.run)
				b.ReportMetric(t*1e6, "us/image")
				b.ReportMetric(4*float64(k.words)/t/1e9, "GB/s")
			})
		}
	}
}
