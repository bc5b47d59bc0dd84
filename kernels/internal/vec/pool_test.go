package vec

import (
	"fmt"
	"math"
	"testing"
)

var poolShapes = [][3]int{{1, 1, 1}, {1, 1, 17}, {2, 2, 3}, {1, 9, 5}, {9, 1, 5}, {3, 4, 1}, {5, 5, 8}, {28, 28, 8}, {7, 14, 16},
	{6, 31, 1}, {33, 47, 6}, {4, 9, 33}, {3, 3, 96}, {2, 5, 256}, {300, 3, 3}}

// maxPoolDefinition is the plainest loop: every window position in row-major order.
func maxPoolDefinition(x []float32, h, w, c int) (y []float64, index []uint32) {
	for i := range h {
		for j := range w {
			for k := range c {
				best, at := math.Inf(-1), -1
				for place := range 25 {
					r, s := i+place/5-2, j+place%5-2
					if r < 0 || r >= h || s < 0 || s >= w {
						continue
					}
					if v := float64(x[(r*w+s)*c+k]); v > best || math.IsNaN(v) || at < 0 {
						best, at = v, place
					}
				}
				y, index = append(y, best), append(index, uint32(at))
			}
		}
	}
	return y, index
}

func TestMaxPool5(t *testing.T) {
	for _, s := range poolShapes {
		h, w, c := s[0], s[1], s[2]
		n := h * w * c
		for _, kind := range []string{"normal", "ties", "nan", "-inf"} {
			x, dy := normals(uint64(n), n), normals(7, n)
			for i := range x {
				switch {
				case kind == "ties":
					x[i] = float32(math.Round(float64(x[i])))
				case kind == "nan" && (i%11 == 3 || n == 1):
					x[i] = float32(math.NaN())
				case kind == "-inf" && i/c%w < max(1, w/2):
					x[i] = float32(math.Inf(-1))
				}
			}
			want, wantIndex := maxPoolDefinition(x, h, w, c)
			grad := make([]float64, n)
			for i, at := range wantIndex {
				grad[i+((int(at)/5-2)*w+int(at)%5-2)*c] += float64(dy[i])
			}
			t.Run(fmt.Sprintf("%dx%dx%d %s", h, w, c, kind), func(t *testing.T) {
				eachISA(t, func(t *testing.T) {
					y := guard("y", n, 0)
					index := make([]uint32, n+2)
					index[0], index[n+1] = 77, 77
					MaxPool5(y.v, index[1:n+1], x, h, w, c)
					closeTo(t, "maximum", y.v, want, 0)
					y.check(t)
					for i, at := range wantIndex {
						if index[1+i] != at {
							t.Fatalf("index %d is %d, want %d", i, index[1+i], at)
						}
					}
					if index[0] != 77 || index[n+1] != 77 {
						t.Fatal("index: wrote outside")
					}
					clear(y.v)
					MaxPool5(y.v, nil, x, h, w, c)
					closeTo(t, "maximum without index", y.v, want, 0)
					y.check(t)
					dx := guard("dx", n, float32(math.NaN()))
					MaxPool5Backward(dx.v, dy, index[1:n+1], h, w, c, garbage(MaxPool5BackwardScratch(w, c)).v)
					closeTo(t, "gradient", dx.v, grad, 1e-6)
					dx.check(t)
				})
			})
		}
	}
}

func TestMeanPool2(t *testing.T) {
	for _, s := range poolShapes {
		h, w, c := 2*s[0], 2*s[1], s[2]
		x, dy := normals(1, h*w*c), normals(2, h*w*c/4)
		want, grad := make([]float64, len(dy)), make([]float64, len(x))
		for i := range h {
			for j := range w {
				for k := range c {
					in, out := (i*w+j)*c+k, (i/2*(w/2)+j/2)*c+k
					want[out] += float64(x[in]) / 4
					grad[in] = float64(dy[out]) / 4
				}
			}
		}
		eachISA(t, func(t *testing.T) {
			y, dx := guard("y", len(dy), 0), guard("dx", len(x), 0)
			MeanPool2(y.v, x, h, w, c)
			closeTo(t, "MeanPool2", y.v, want, 3e-7)
			MeanPool2Backward(dx.v, dy, h, w, c)
			closeTo(t, "MeanPool2Backward", dx.v, grad, 3e-7)
			y.check(t)
			dx.check(t)
		})
	}
}
