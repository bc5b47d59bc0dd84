// Element-wise blocks. Unless a comment says otherwise, the destination may be the same slice as a source, but must
// not overlap it in another way.

package vec

import "unsafe"

// piece is the number of values of one assembly call: a few microseconds at the speed of memory.
const piece = 4096

// pieces cuts [0, n) into pieces and calls f for each.
func pieces(n int, f func(from, n int)) {
	for from := 0; from < n; from += piece {
		f(from, min(piece, n-from))
	}
}

// ELU computes y = x for x > 0, and exp(x)-1 otherwise.
func ELU(y, x []float32) {
	checkLen("ELU: x", len(x), len(y))
	if isa == plainGo {
		eluGo(y, x)
		return
	}
	pieces(len(y), func(i, n int) { eluKernel(&y[i], &x[i], n) })
}

// ELUBackward computes dx = dy * (y > 0 ? 1 : y+1) from ELU's output y.
func ELUBackward(dx, dy, y []float32) {
	checkLen("ELUBackward: dy", len(dy), len(dx))
	checkLen("ELUBackward: y", len(y), len(dx))
	if isa == plainGo {
		eluBackwardGo(dx, dy, y)
		return
	}
	pieces(len(dx), func(i, n int) { eluBackwardKernel(&dx[i], &dy[i], &y[i], n) })
}

// ReLU computes y = max(x, 0).
func ReLU(y, x []float32) {
	checkLen("ReLU: x", len(x), len(y))
	if isa == plainGo {
		reluGo(y, x)
		return
	}
	pieces(len(y), func(i, n int) { reluKernel(&y[i], &x[i], n) })
}

// ReLUBackward computes dx = (y > 0 ? dy : 0) from ReLU's output y.
func ReLUBackward(dx, dy, y []float32) {
	checkLen("ReLUBackward: dy", len(dy), len(dx))
	checkLen("ReLUBackward: y", len(y), len(dx))
	if isa == plainGo {
		reluBackwardGo(dx, dy, y)
		return
	}
	pieces(len(dx), func(i, n int) { reluBackwardKernel(&dx[i], &dy[i], &y[i], n) })
}

// leak is the slope of LReLU below 0.
const leak = 0.2

// LReLU computes y = max(x, 0.2 x).
func LReLU(y, x []float32) {
	checkLen("LReLU: x", len(x), len(y))
	if isa == plainGo {
		lreluGo(y, x)
		return
	}
	pieces(len(y), func(i, n int) { lreluKernel(&y[i], &x[i], n) })
}

// LReLUBackward computes dx = dy (y > 0 ? 1 : 0.2) from LReLU's output y.
func LReLUBackward(dx, dy, y []float32) {
	checkLen("LReLUBackward: dy", len(dy), len(dx))
	checkLen("LReLUBackward: y", len(y), len(dx))
	if isa == plainGo {
		lreluBackwardGo(dx, dy, y)
		return
	}
	pieces(len(dx), func(i, n int) { lreluBackwardKernel(&dx[i], &dy[i], &y[i], n) })
}

// Swish computes y = x s with the sigmoid s = 1/(1 + exp(-x)).
func Swish(y, x []float32) {
	checkLen("Swish: x", len(x), len(y))
	if isa == plainGo {
		swishGo(y, x)
		return
	}
	pieces(len(y), func(i, n int) { swishKernel(&y[i], &x[i], n) })
}

// SwishBackward computes dx = dy s (1 + x (1 - s)) from Swish's input x.
func SwishBackward(dx, dy, x []float32) {
	checkLen("SwishBackward: dy", len(dy), len(dx))
	checkLen("SwishBackward: x", len(x), len(dx))
	if isa == plainGo {
		swishBackwardGo(dx, dy, x)
		return
	}
	pieces(len(dx), func(i, n int) { swishBackwardKernel(&dx[i], &dy[i], &x[i], n) })
}

// Softplus computes y = ln(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)).
func Softplus(y, x []float32) {
	checkLen("Softplus: x", len(x), len(y))
	if isa == plainGo {
		softplusGo(y, x)
		return
	}
	pieces(len(y), func(i, n int) { softplusKernel(&y[i], &x[i], n) })
}

// SoftplusBackward computes dx = dy * (1 - exp(-y)) from Softplus' output y.
func SoftplusBackward(dx, dy, y []float32) {
	checkLen("SoftplusBackward: dy", len(dy), len(dx))
	checkLen("SoftplusBackward: y", len(y), len(dx))
	if isa == plainGo {
		softplusBackwardGo(dx, dy, y)
		return
	}
	pieces(len(dx), func(i, n int) { softplusBackwardKernel(&dx[i], &dy[i], &y[i], n) })
}

// Add computes dst = a + b.
func Add(dst, a, b []float32) {
	checkLen("Add: a", len(a), len(dst))
	checkLen("Add: b", len(b), len(dst))
	if isa == plainGo {
		addGo(dst, a, b)
		return
	}
	pieces(len(dst), func(i, n int) { addKernel(&dst[i], &a[i], &b[i], n) })
}

// Divide computes y = x / a.
func Divide(y, x []float32, a float32) {
	checkLen("Divide: x", len(x), len(y))
	if isa == plainGo {
		divideGo(y, x, a)
		return
	}
	pieces(len(y), func(i, n int) { divideKernel(&y[i], &x[i], n, a) })
}

// Affine computes y = a x + b, the product rounded.
func Affine(y, x []float32, a, b float32) {
	checkLen("Affine: x", len(x), len(y))
	if isa == plainGo {
		affineGo(y, x, a, b)
		return
	}
	pieces(len(y), func(i, n int) { affineKernel(&y[i], &x[i], n, a, b) })
}

// AddScaled computes dst = x + a y, the product rounded.
func AddScaled(dst, x, y []float32, a float32) {
	checkLen("AddScaled: x", len(x), len(dst))
	checkLen("AddScaled: y", len(y), len(dst))
	if isa == plainGo {
		addScaledGo(dst, x, y, a)
		return
	}
	pieces(len(dst), func(i, n int) { addScaledKernel(&dst[i], &x[i], &y[i], n, a) })
}

// ScaledSum computes dst = b (x + a y), each product rounded.
func ScaledSum(dst, x, y []float32, a, b float32) {
	checkLen("ScaledSum: x", len(x), len(dst))
	checkLen("ScaledSum: y", len(y), len(dst))
	if isa == plainGo {
		scaledSumGo(dst, x, y, a, b)
		return
	}
	pieces(len(dst), func(i, n int) { scaledSumKernel(&dst[i], &x[i], &y[i], n, a, b) })
}

// SumSquares returns the sum of (x + a y)^2 in float64, the product rounded. All instruction sets give the same bits.
func SumSquares(x, y []float32, a float32) float64 {
	checkLen("SumSquares: y", len(y), len(x))
	var sums [16]float64
	if isa == plainGo {
		sumSquaresGo(&sums, x, y, a)
	} else {
		pieces(len(x), func(i, n int) { sumSquaresKernel(&sums[0], &x[i], &y[i], n, a) })
	}
	total := 0.0
	for _, s := range sums {
		total += s
	}
	return total
}

// Blocks with one constant per channel, on rows of C channels.

// Normalize computes y[p,c] = (x[p,c] - mean[c]) * scale[c] + shift[c], C = len(mean). The difference is rounded by
// itself. The mean is not folded into shift, because scale is large for a channel that hardly varies, and the rounding
// of mean * scale would show.
func Normalize(y, x, mean, scale, shift []float32) {
	checkRows("Normalize", len(y), len(x), mean, scale, shift)
	if isa == plainGo {
		normalizeGo(y, x, mean, scale, shift)
		return
	}
	var room [3*patternLen + lanes]float32
	k, period := repeat(room[:], len(y), mean, scale, shift)
	rowPieces(len(y), period, func(i, n int) { normalizeKernel(&y[i], &x[i], k[0], k[1], k[2], n, period) })
}

// NormalizeELU computes Normalize and the ELU of its result in one pass.
func NormalizeELU(y, x, mean, scale, shift []float32) {
	checkRows("NormalizeELU", len(y), len(x), mean, scale, shift)
	if isa == plainGo {
		normalizeGo(y, x, mean, scale, shift)
		eluGo(y, y)
		return
	}
	var room [3*patternLen + lanes]float32
	k, period := repeat(room[:], len(y), mean, scale, shift)
	rowPieces(len(y), period, func(i, n int) { normalizeELUKernel(&y[i], &x[i], k[0], k[1], k[2], n, period) })
}

// NormalizeSwish computes Normalize and the swish of its result in one pass.
func NormalizeSwish(y, x, mean, scale, shift []float32) {
	checkRows("NormalizeSwish", len(y), len(x), mean, scale, shift)
	if isa == plainGo {
		normalizeGo(y, x, mean, scale, shift)
		swishGo(y, y)
		return
	}
	var room [3*patternLen + lanes]float32
	k, period := repeat(room[:], len(y), mean, scale, shift)
	rowPieces(len(y), period, func(i, n int) { normalizeSwishKernel(&y[i], &x[i], k[0], k[1], k[2], n, period) })
}

// NormalizeSwishBackward computes dh = dy s (1 + h (1 - s)), s = 1/(1 + exp(-h)), of the h that Normalize makes of x.
func NormalizeSwishBackward(dh, dy, x, mean, scale, shift []float32) {
	checkRows("NormalizeSwishBackward", len(dh), len(dy), mean, scale, shift)
	checkLen("NormalizeSwishBackward: x", len(x), len(dh))
	if isa == plainGo {
		normalizeSwishBackwardGo(dh, dy, x, mean, scale, shift)
		return
	}
	var room [3*patternLen + lanes]float32
	k, period := repeat(room[:], len(dh), mean, scale, shift)
	rowPieces(len(dh), period, func(i, n int) {
		normalizeSwishBackwardKernel(&dh[i], &dy[i], &x[i], k[0], k[1], k[2], n, period)
	})
}

// GroupNormBackward computes dx[p,c] = rstd[c] (gamma[c] dh[p,c] - m1[c] - k[c] (x[p,c] - mean[c])), C = len(gamma).
func GroupNormBackward(dx, dh, x, gamma, m1, mean, k, rstd []float32) {
	checkRows("GroupNormBackward", len(dx), len(dh), gamma, m1, mean, k, rstd)
	checkLen("GroupNormBackward: x", len(x), len(dx))
	if isa == plainGo {
		groupNormBackwardGo(dx, dh, x, gamma, m1, mean, k, rstd)
		return
	}
	var room [5*patternLen + lanes]float32
	p, period := repeat(room[:], len(dx), gamma, m1, mean, k, rstd)
	rowPieces(len(dx), period, func(i, n int) {
		groupNormBackwardKernel(&dx[i], &dh[i], &x[i], p[0], p[1], p[2], p[3], p[4], n, period)
	})
}

// NormBackward computes dx[p,c] = ka[c] * (dy[p,c] - meanDY[c]) + kb[c] * (x[p,c] - mean[c]) + kc[c], C = len(ka).
func NormBackward(dx, dy, x, meanDY, mean, ka, kb, kc []float32) {
	checkRows("NormBackward", len(dx), len(dy), meanDY, mean, ka, kb, kc)
	checkLen("NormBackward: x", len(x), len(dx))
	if isa == plainGo {
		normBackwardGo(dx, dy, x, meanDY, mean, ka, kb, kc)
		return
	}
	var room [5*patternLen + lanes]float32
	k, period := repeat(room[:], len(dx), meanDY, mean, ka, kb, kc)
	rowPieces(len(dx), period, func(i, n int) {
		normBackwardKernel(&dx[i], &dy[i], &x[i], k[0], k[1], k[2], k[3], k[4], n, period)
	})
}

func checkRows(what string, n, m int, constants ...[]float32) {
	checkLen(what, m, n)
	c := len(constants[0])
	for _, k := range constants {
		checkLen(what, len(k), c)
	}
	if c == 0 || n%c != 0 {
		panic("vec: " + what + ": not whole rows")
	}
}

// patternLen is the length up to which the constants of few channels are repeated.
const patternLen = 64

// repeat writes the constants into room, each as often as fits in patternLen (or in n, the number of values), so that
// the assembly meets few ends of rows. Period is the length of the result. Constants of long rows are used as they
// are.
//
// Each pattern starts on a cache line.
func repeat(room []float32, n int, constants ...[]float32) (patterns [5]*float32, period int) {
	channels := len(constants[0])
	if 2*channels > patternLen {
		for i, v := range constants {
			patterns[i] = &v[0]
		}
		return patterns, channels
	}
	room = room[-uintptr(unsafe.Pointer(&room[0]))%64/4:]
	period = min(patternLen/channels*channels, n)
	for i, v := range constants {
		to := room[i*patternLen:][:period]
		for done := copy(to, v); done < period; done *= 2 {
			copy(to[done:], to[:done])
		}
		patterns[i] = &room[i*patternLen]
	}
	return patterns, period
}

// rowPieces cuts [0, n) into pieces of whole periods and calls f for each.
func rowPieces(n, period int, f func(from, n int)) {
	step := max(1, piece/max(1, period)) * period
	for from := 0; from < n; from += step {
		f(from, min(step, n-from))
	}
}
