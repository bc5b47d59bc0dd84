package vec

import (
	"fmt"
	"math"
	"testing"
)

func TestSoftmax(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		for _, n := range []int{1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 256, 1000, 5000} {
			for _, rows := range []int{0, 1, 3, 20} {
				name := fmt.Sprintf("%d rows of %d", rows, n)
				x, dy := normals(1, rows*n), normals(2, rows*n)
				for i := range x {
					x[i] = 10*x[i] + 40*float32(i/n%3-1) // below 0, around 0, above
				}
				want, slope := make([]float64, rows*n), make([]float64, rows*n)
				y, weights := guard(name, rows*n, float32(math.NaN())), make([]float32, rows*n)
				Softmax(y.v, x, n)
				Softmax(weights, normals(3, rows*n), n) // not 0 and 1, where gradients cancel
				for at := 0; at < rows*n; at += n {
					largest, sum, dot := math.Inf(-1), 0.0, 0.0
					for _, v := range x[at : at+n] {
						largest = max(largest, float64(v))
					}
					for i, v := range x[at : at+n] {
						want[at+i] = math.Exp(float64(v) - largest)
						sum += want[at+i]
					}
					for i := range n {
						want[at+i] /= sum
						dot += float64(weights[at+i]) * float64(dy[at+i])
					}
					for i := range n {
						slope[at+i] = float64(weights[at+i]) * (float64(dy[at+i]) - dot)
					}
				}
				closeTo(t, "Softmax "+name, y.v, want, 1e-6)
				y.check(t)
				dx := guard(name, rows*n, float32(math.NaN()))
				SoftmaxBackward(dx.v, dy, weights, n)
				closeTo(t, "SoftmaxBackward "+name, dx.v, slope, 1e-6)
				copy(dx.v, dy)
				SoftmaxBackward(dx.v, dx.v, weights, n)
				closeTo(t, "SoftmaxBackward in place "+name, dx.v, slope, 1e-6)
				dx.check(t)
				copy(dx.v, x)
				Softmax(dx.v, dx.v, n)
				closeTo(t, "Softmax in place "+name, dx.v, want, 1e-6)
				dx.check(t)
			}
		}
	})
}

// Values far apart give weights of 0 and 1; one that is no number gives no numbers, in its row alone.
func TestSoftmaxSpecialValues(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	eachISA(t, func(t *testing.T) {
		for _, n := range []int{3, 8, 21} {
			x := make([]float32, 4*n)
			x[1], x[n+2], x[2*n+1] = 1e30, nan, inf
			for i := range n {
				x[3*n+i] = -inf
			}
			x[3*n+1] = -1e30
			y := make([]float32, len(x))
			Softmax(y, x, n)
			for i, v := range y {
				switch r := i / n; {
				case r == 0 || r == 3:
					if want := map[bool]float32{true: 1}[i%n == 1]; v != want {
						t.Errorf("row %d of %d: value %d is %g, want %g", r, n, i%n, v, want)
					}
				case v == v:
					t.Errorf("row %d of %d: value %d is %g, want no number", r, n, i%n, v)
				}
			}
		}
	})
}
