package vec

// Element-wise blocks. Unless said otherwise the destination may be the same slice as a source, but must not overlap it
// in another way.

// piece is how many values one assembly call handles: a few microseconds at the speed of memory.
const piece = 4096

// pieces calls f for [0, n) in pieces.
func pieces(n int, f func(from, n int)) {
	for from := 0; from < n; from += piece {
		f(from, min(piece, n-from))
	}
}

// ELU computes y = x for x > 0 and exp(x)-1 for the others.
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

// SumSquares is the sum of (x + a y)^2 in float64, the product rounded. Its bits are the same on every instruction set.
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

// ScaleShift computes y[p,c] = x[p,c] * scale[c] + shift[c], C = len(scale).
func ScaleShift(y, x, scale, shift []float32) {
	checkRows("ScaleShift", len(y), len(x), scale, shift)
	if isa == plainGo {
		scaleShiftGo(y, x, scale, shift)
		return
	}
	var room [2 * patternLen]float32
	patterns, period := repeat(room[:], len(y), scale, shift, nil)
	rowPieces(len(y), period, func(i, n int) {
		scaleShiftKernel(&y[i], &x[i], patterns[0], patterns[1], n, period)
	})
}

// ScaleShiftELU computes y[p,c] = ELU(x[p,c] * scale[c] + shift[c]), C = len(scale): a normalisation and its activation
// in one pass.
func ScaleShiftELU(y, x, scale, shift []float32) {
	checkRows("ScaleShiftELU", len(y), len(x), scale, shift)
	if isa == plainGo {
		scaleShiftGo(y, x, scale, shift)
		eluGo(y, y)
		return
	}
	var room [2 * patternLen]float32
	patterns, period := repeat(room[:], len(y), scale, shift, nil)
	rowPieces(len(y), period, func(i, n int) {
		scaleShiftELUKernel(&y[i], &x[i], patterns[0], patterns[1], n, period)
	})
}

// NormBackwardRow computes dx[p,c] = ka[c] * dy[p,c] + kb[c] * x[p,c] + kc[c], C = len(ka).
func NormBackwardRow(dx, dy, x, ka, kb, kc []float32) {
	checkRows("NormBackwardRow", len(dx), len(dy), ka, kb)
	checkRows("NormBackwardRow", len(dx), len(x), ka, kc)
	if isa == plainGo {
		normBackwardGo(dx, dy, x, ka, kb, kc)
		return
	}
	var room [3 * patternLen]float32
	patterns, period := repeat(room[:], len(dx), ka, kb, kc)
	rowPieces(len(dx), period, func(i, n int) {
		normBackwardKernel(&dx[i], &dy[i], &x[i], patterns[0], patterns[1], patterns[2], n, period)
	})
}

func checkRows(what string, n, m int, a, b []float32) {
	checkLen(what, m, n)
	checkLen(what, len(b), len(a))
	if len(a) == 0 || n%len(a) != 0 {
		panic("vec: " + what + ": not whole rows")
	}
}

// patternLen is how far constants of few channels are repeated.
const patternLen = 128

// repeat writes each of the constants as often as fits in patternLen (n values are needed) into room, so that the
// assembly meets few row ends. The period is that length. Long rows are used as they are.
func repeat(room []float32, n int, a, b, c []float32) (patterns [3]*float32, period int) {
	channels := len(a)
	period = min(patternLen/channels*channels, n)
	for i, v := range [...][]float32{a, b, c} {
		switch {
		case len(v) == 0:
		case 2*channels > patternLen:
			patterns[i], period = &v[0], channels
		default:
			to := room[i*patternLen:][:period]
			for done := copy(to, v); done < period; done *= 2 {
				copy(to[done:], to[:done])
			}
			patterns[i] = &room[i*patternLen]
		}
	}
	return patterns, period
}

// rowPieces is pieces of whole periods.
func rowPieces(n, period int, f func(from, n int)) {
	step := max(1, piece/max(1, period)) * period
	for from := 0; from < n; from += step {
		f(from, min(step, n-from))
	}
}
