// Adam and the moving average of the parameters, in one pass over memory.

package vec

import "math"

// AdamFactors are the numbers of one step of [Adam]. The assembly reads them in this order.
type AdamFactors struct {
	Beta1, Rest1   float32 // first moment: b1, 1-b1
	Beta2, Rest2   float32 // second moment: b2, 1-b2
	Size           float32 // lr/(1-b1^t)
	Root           float32 // 1/sqrt(1-b2^t)
	Eps            float32
	Rate, RestRate float32 // average: r, 1-r
}

// adamPiece is the number of parameters of one assembly call. It is less than piece: Adam reads five values and writes
// four for each.
const adamPiece = 2048

// Adam updates parameters p, moments m and v and, unless it is empty, the moving average ema from the gradient g:
//
//	m <- b1 m + (1-b1) g        v <- b2 v + (1-b2) g^2
//	p <- p - Size m / (sqrt(v) Root + eps)        ema <- r ema + (1-r) p
//
// All instruction sets give the same bits: every product is rounded before it is added.
func Adam(p, g, m, v, ema []float32, f *AdamFactors) {
	n := len(p)
	checkLen("Adam: g", len(g), n)
	checkLen("Adam: m", len(m), n)
	checkLen("Adam: v", len(v), n)
	if len(ema) > 0 {
		checkLen("Adam: ema", len(ema), n)
	}
	if isa == plainGo {
		adamGo(p, g, m, v, ema, f)
		return
	}
	for i := 0; i < n; i += adamPiece {
		if k := min(adamPiece, n-i); len(ema) > 0 {
			adamEMAKernel(&p[i], &g[i], &m[i], &v[i], &ema[i], &f.Beta1, k)
		} else {
			adamKernel(&p[i], &g[i], &m[i], &v[i], nil, &f.Beta1, k)
		}
	}
}

func adamGo(p, g, m, v, ema []float32, f *AdamFactors) {
	for i := range p {
		m[i] = float32(f.Beta1*m[i]) + float32(f.Rest1*g[i])
		v[i] = float32(f.Beta2*v[i]) + float32(f.Rest2*float32(g[i]*g[i]))
		p[i] -= float32(f.Size*m[i]) / (float32(float32(math.Sqrt(float64(v[i])))*f.Root) + f.Eps)
	}
	for i := range ema {
		ema[i] = float32(f.Rate*ema[i]) + float32(f.RestRate*p[i])
	}
}
