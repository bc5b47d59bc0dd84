// Softmax of rows.

package vec

import "math"

// Softmax computes y = exp(x - m) / sum of exp(x - m), with m = max of x, for rows of n values. y may be x.
func Softmax(y, x []float32, n int) {
	checkLen("Softmax: x", len(x), len(y))
	checkRowsOf("Softmax", len(y), n)
	if isa == plainGo {
		softmaxGo(y, x, n)
		return
	}
	rowPieces(len(y), n, func(i, values int) { softmaxKernel(&y[i], &x[i], values/n, n) })
}

// SoftmaxBackward computes dx = y (dy - sum of dy y) for rows of n values, from Softmax' output y. dx may be dy or y.
func SoftmaxBackward(dx, dy, y []float32, n int) {
	checkLen("SoftmaxBackward: dy", len(dy), len(dx))
	checkLen("SoftmaxBackward: y", len(y), len(dx))
	checkRowsOf("SoftmaxBackward", len(dx), n)
	if isa == plainGo {
		softmaxBackwardGo(dx, dy, y, n)
		return
	}
	rowPieces(len(dx), n, func(i, values int) { softmaxBackwardKernel(&dx[i], &dy[i], &y[i], values/n, n) })
}

func checkRowsOf(what string, values, n int) {
	if n < 1 || values%n != 0 {
		panic("vec: " + what + ": not whole rows")
	}
}

func softmaxGo(y, x []float32, n int) {
	for at := 0; at < len(x); at += n {
		from, to := x[at:at+n], y[at:at+n]
		largest, sum := from[0], 0.0
		for _, v := range from {
			largest = max(largest, v)
		}
		for i, v := range from {
			to[i] = float32(math.Exp(float64(v - largest)))
			sum += float64(to[i])
		}
		for i, v := range to {
			to[i] = float32(float64(v) / sum)
		}
	}
}

func softmaxBackwardGo(dx, dy, y []float32, n int) {
	for at := 0; at < len(y); at += n {
		dot := 0.0
		for i, v := range y[at : at+n] {
			dot += float64(v) * float64(dy[at+i])
		}
		for i, v := range y[at : at+n] {
			dx[at+i] = float32(float64(v) * (float64(dy[at+i]) - dot))
		}
	}
}
