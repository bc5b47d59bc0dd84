package vec

import (
	"fmt"
	"math"
	"testing"
)

var adamTest = AdamFactors{Beta1: 0.9, Rest1: 0.1, Beta2: 0.999, Rest2: 0.001, Size: 1e-3, Root: 1.7, Eps: 1e-8,
	Rate: 0.99, RestRate: 0.01}

// Several steps have the bits of plain Go, with and without an average, and write nothing else.
func TestAdam(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, n := range lengths {
			for _, average := range []bool{true, false} {
				name := fmt.Sprintf("n=%d, average %v", n, average)
				var got, want [5][]float32
				var guards []guarded
				for i := range got {
					want[i] = normals(uint64(i), n)
					if i == 3 { // the second moment
						for j, v := range want[i] {
							want[i][j] = v * v
						}
					}
					g := guardCopy(name, want[i])
					guards, got[i] = append(guards, g), g.v
				}
				if !average {
					got[4], want[4] = nil, nil
				}
				for range 3 {
					Adam(got[0], got[1], got[2], got[3], got[4], &adamTest)
					adamGo(want[0], want[1], want[2], want[3], want[4], &adamTest)
				}
				for i, what := range []string{"p", "g", "m", "v", "ema"} {
					sameBits(t, what+", "+name, got[i], want[i])
					guards[i].check(t)
				}
			}
		}
	})
}

func TestAdamSpecialValues(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachISA(t, func(t *testing.T) {
		g := []float32{0, nan, inf, -inf, 1e-30, 1e30, -1e-45, 1, 2, 3, 4, 5, 6, 7, 8, 9, nan}
		p, m, v, ema := make([]float32, len(g)), make([]float32, len(g)), make([]float32, len(g)), make([]float32, len(g))
		v[7] = -1 // never happens
		wp, wm, wv, we := append([]float32(nil), p...), append([]float32(nil), m...), append([]float32(nil), v...),
			append([]float32(nil), ema...)
		Adam(p, g, m, v, ema, &adamTest)
		adamGo(wp, g, wm, wv, we, &adamTest)
		for _, c := range [][2][]float32{{p, wp}, {m, wm}, {v, wv}, {ema, we}} {
			closeTo(t, "Adam", c[0], float64s(c[1]), 0)
		}
	})
}

func BenchmarkAdam(b *testing.B) {
	for _, n := range []int{1 << 14, 1 << 23} { // in cache and in memory
		p, g, m, v, ema := normals(1, n), normals(2, n), normals(3, n), make([]float32, n), make([]float32, n)
		for _, name := range Available() {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				defer SetISA(name)()
				t := bestTime(b, func() { Adam(p, g, m, v, ema, &adamTest) })
				b.ReportMetric(36*float64(n)/t/1e9, "GB/s")
			})
		}
	}
}
