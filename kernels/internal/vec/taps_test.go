package vec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// Sums of up to seven rows, forwards and transposed, against float64.
func TestTaps(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, c := range append([]int{200, 1000}, channelCounts...) {
		for _, size := range [][2]int{{1, 1}, {5, 3}, {2, 9}, {28, 14}, {47, 33}} {
			outputs, inputs := size[0], size[1]
			dense := make([]float64, outputs*inputs)
			taps := NewTaps(outputs, inputs, func(i int) (list []Tap) {
				for range r.IntN(8) {
					j, w := r.IntN(inputs), float32(r.NormFloat64())
					if r.IntN(5) == 0 {
						w = 0
					}
					list = append(list, Tap{j, w})
					dense[i*inputs+j] += float64(w)
				}
				return list
			})
			src, dy := normals(1, inputs*c), normals(2, outputs*c)
			want, grad := make([]float64, outputs*c), make([]float64, inputs*c)
			for i := range outputs {
				for j := range inputs {
					for k := range c {
						want[i*c+k] += dense[i*inputs+j] * float64(src[j*c+k])
						grad[j*c+k] += dense[i*inputs+j] * float64(dy[i*c+k])
					}
				}
			}
			t.Run(fmt.Sprintf("%d of %d rows of %d", outputs, inputs, c), func(t *testing.T) {
				eachISA(t, func(t *testing.T) {
					y, dx := guard("y", outputs*c, float32(math.NaN())), guard("dx", inputs*c, float32(math.NaN()))
					taps.Apply(y.v, src, c)
					closeTo(t, "Taps", y.v, want, 1e-6)
					taps.Transposed().Apply(dx.v, dy, c)
					closeTo(t, "Taps transposed", dx.v, grad, 1e-6)
					y.check(t)
					dx.check(t)
				})
			})
		}
	}
}
