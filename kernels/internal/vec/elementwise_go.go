// The element-wise blocks in plain Go. Those with exp or log compute it in float64.

package vec

import "math"

func eluGo(y, x []float32) {
	for i, v := range x {
		if !(v > 0) {
			v = float32(math.Expm1(float64(v)))
		}
		y[i] = v
	}
}

func eluBackwardGo(dx, dy, y []float32) {
	for i, v := range y {
		d := dy[i]
		if !(v > 0) {
			d *= v + 1
		}
		dx[i] = d
	}
}

func reluGo(y, x []float32) {
	for i, v := range x {
		y[i] = max(v, 0)
	}
}

func reluBackwardGo(dx, dy, y []float32) {
	for i, v := range y {
		d := dy[i]
		if !(v > 0) {
			d = 0
		}
		dx[i] = d
	}
}

func lreluGo(y, x []float32) {
	for i, v := range x {
		y[i] = max(v, leak*v)
	}
}

func lreluBackwardGo(dx, dy, y []float32) {
	for i, v := range y {
		d := dy[i]
		if !(v > 0) {
			d *= leak
		}
		dx[i] = d
	}
}

func swishGo(y, x []float32) {
	for i, v := range x {
		y[i] = float32(float64(v) / (1 + math.Exp(-float64(v))))
	}
}

func swishBackwardGo(dx, dy, x []float32) {
	for i, v := range x {
		s := 1 / (1 + math.Exp(-float64(v)))
		dx[i] = float32(float64(dy[i]) * s * (1 + float64(v)*(1-s)))
	}
}

func softplusGo(y, x []float32) {
	for i, v := range x {
		y[i] = max(v, 0) + float32(math.Log1p(math.Exp(-math.Abs(float64(v)))))
	}
}

func softplusBackwardGo(dx, dy, y []float32) {
	for i, v := range y {
		dx[i] = dy[i] * float32(-math.Expm1(float64(-v)))
	}
}

func addGo(dst, a, b []float32) {
	for i, v := range a {
		dst[i] = v + b[i]
	}
}

func divideGo(y, x []float32, a float32) {
	for i, v := range x {
		y[i] = v / a
	}
}

func affineGo(y, x []float32, a, b float32) {
	for i, v := range x {
		y[i] = float32(a*v) + b
	}
}

func addScaledGo(dst, x, y []float32, a float32) {
	for i, v := range x {
		dst[i] = v + float32(a*y[i])
	}
}

func scaledSumGo(dst, x, y []float32, a, b float32) {
	for i, v := range x {
		dst[i] = b * (v + float32(a*y[i]))
	}
}

func sumSquaresGo(sums *[16]float64, x, y []float32, a float32) {
	for i, v := range x {
		e := float64(v + float32(a*y[i]))
		sums[i%16] += float64(e * e)
	}
}

func normalizeGo(y, x, mean, scale, shift []float32) {
	for p := 0; p < len(x); p += len(mean) {
		for c, m := range mean {
			y[p+c] = (x[p+c]-m)*scale[c] + shift[c]
		}
	}
}

func normalizeSwishBackwardGo(dh, dy, x, mean, scale, shift []float32) {
	for p := 0; p < len(x); p += len(mean) {
		for c, m := range mean {
			h := float64((x[p+c]-m)*scale[c] + shift[c])
			s := 1 / (1 + math.Exp(-h))
			dh[p+c] = float32(float64(dy[p+c]) * s * (1 + h*(1-s)))
		}
	}
}

func groupNormBackwardGo(dx, dh, x, gamma, m1, mean, k, rstd []float32) {
	for p := 0; p < len(dx); p += len(gamma) {
		for c, g := range gamma {
			dx[p+c] = rstd[c] * (g*dh[p+c] - m1[c] - k[c]*(x[p+c]-mean[c]))
		}
	}
}

func normBackwardGo(dx, dy, x, meanDY, mean, ka, kb, kc []float32) {
	for p := 0; p < len(dx); p += len(ka) {
		for c, k := range ka {
			dx[p+c] = k*(dy[p+c]-meanDY[c]) + (kb[c]*(x[p+c]-mean[c]) + kc[c])
		}
	}
}
