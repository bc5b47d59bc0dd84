package layers

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"sigmaz/kernels"
)

// random returns n numbers around 0.
func random(n int, seed uint64) []float32 {
	x := make([]float32, n)
	kernels.Stream{Seed: seed, Purpose: kernels.PurposeData}.Normals(x)
	return x
}

// at is a value of x, 0 outside.
func at(x Maps, i, r, c, k int) float64 {
	if r < 0 || r >= x.H || c < 0 || c >= x.W {
		return 0
	}
	return float64(x.X[((i*x.H+r)*x.W+c)*x.C+k])
}

// Convolutions of all kinds against their definition, into some channels of what is there.
func TestConv(t *testing.T) {
	for _, s := range []Shape{
		{In: 3, Out: 5, Height: 3, Width: 3, Stride: 2, Padding: Valid},
		{In: 4, Out: 2, Height: 1, Width: 7, Stride: 1, Activation: ReLU},
		{In: 4, Out: 17, Height: 7, Width: 1, Stride: 1, Activation: ReLU6},
		{In: 3, Out: 4, Height: 5, Width: 5, Stride: 2},
		{In: 16, Out: 3, Height: 1, Width: 1, Stride: 1, Activation: ReLU},
		{In: 16, Out: 3, Height: 1, Width: 1, Stride: 2},
		{In: 1024, Out: 3, Height: 1, Width: 1, Stride: 1}, // rows that would evict each other from the cache
		{In: 400, Out: 3, Height: 3, Width: 3, Stride: 1},  // more than a tile of patches
	} {
		x := Maps{N: 2, H: 7, W: 8, C: s.In}
		x.X = random(x.N*x.H*x.W*x.C, 1)
		w, bias := random(s.Out*s.patch(), 2), random(s.Out, 3)
		h, wide := s.OutSize(x.H, x.W)
		const first = 3
		y := NewMaps(x.N, h, wide, s.Out+2*first)
		for i := range y.X {
			y.X[i] = 9
		}
		NewConv(s, w, bias).Into(y, first, x)
		_, top := s.Padding.Out(x.H, s.Height, s.Stride)
		_, left := s.Padding.Out(x.W, s.Width, s.Stride)
		for p, got := range y.X {
			i, r, c, o := p/y.C/y.W/y.H, p/y.C/y.W%y.H, p/y.C%y.W, p%y.C-first
			want, size := 9.0, 1.0
			if o >= 0 && o < s.Out {
				want = float64(bias[o])
				for u := range s.Height {
					for v := range s.Width {
						for k := range s.In {
							term := float64(w[((o*s.Height+u)*s.Width+v)*s.In+k]) * at(x, i, r*s.Stride+u-top, c*s.Stride+v-left, k)
							want, size = want+term, size+math.Abs(term)
						}
					}
				}
				if s.Activation != Linear {
					want = max(0, want)
				}
				if s.Activation == ReLU6 {
					want = min(6, want)
				}
			}
			if math.Abs(float64(got)-want) > 1e-6*size {
				t.Fatalf("%+v: %g at %d, expected %g", s, got, p, want)
			}
		}
		if got := NewConv(s, w, bias).Apply(x); got.X[0] != y.X[first] || got.C != s.Out {
			t.Errorf("%+v: Apply does not do what Into does", s)
		}
	}
	if n := (Shape{In: 3, Out: 5, Height: 3, Width: 2, Stride: 2, Padding: Valid}).MACs(7, 8); n != 3*4*18*5 {
		t.Errorf("%d multiply-adds", n)
	}
}

// Pixels outside the image count neither in maxima nor in means.
func TestPool(t *testing.T) {
	x := Maps{N: 2, H: 5, W: 6, C: 3}
	x.X = random(x.N*x.H*x.W*x.C, 1)
	for i := range x.X {
		x.X[i] -= 5 // below 0, so that a 0 from outside would be seen
	}
	for _, c := range []struct {
		stride  int
		padding Padding
		mean    bool
	}{{2, Valid, false}, {1, Same, false}, {1, Same, true}} {
		h, top := c.padding.Out(x.H, window, c.stride)
		w, left := c.padding.Out(x.W, window, c.stride)
		y := NewMaps(x.N, h, w, x.C+1)
		if c.mean {
			MeanPool(y, 1, x, Linear)
		} else {
			MaxPool(y, 1, x, c.stride, c.padding)
		}
		for p, got := range y.X {
			i, r, q, k := p/y.C/y.W/y.H, p/y.C/y.W%y.H, p/y.C%y.W, p%y.C-1
			if k < 0 {
				if got != 0 {
					t.Fatalf("%+v: a channel of another branch has changed", c)
				}
				continue
			}
			most, sum, n := math.Inf(-1), 0.0, 0.0
			for u := r*c.stride - top; u < r*c.stride-top+window; u++ {
				for v := q*c.stride - left; v < q*c.stride-left+window; v++ {
					if u >= 0 && u < x.H && v >= 0 && v < x.W {
						most, sum, n = max(most, at(x, i, u, v, k)), sum+at(x, i, u, v, k), n+1
					}
				}
			}
			want := most
			if c.mean {
				want = sum / n
			}
			if math.Abs(float64(got)-want) > 1e-5 {
				t.Fatalf("%+v: %g at %d, expected %g", c, got, p, want)
			}
		}
	}
	y := NewMaps(x.N, x.H, x.W, x.C)
	MeanPool(y, 0, x, ReLU)
	if !slices.Equal(y.X, make([]float32, len(y.X))) {
		t.Error("means below 0 are not activated")
	}
}

// Scaling keeps a constant and a line; the filter, making smaller by no whole factor, bends a line by less than a tenth.
func TestResampler(t *testing.T) {
	for name, scaling := range map[string]func(from, to int) *Resampler{"triangle": Triangle, "bilinear": Bilinear} {
		for _, c := range [][2]int{{28, 64}, {64, 64}, {300, 224}, {5, 2}, {1, 64}} {
			src, dst := make([]float32, c[0]), make([]float32, c[1])
			for i := range src {
				src[i] = 3 + float32(i)
			}
			scaling(c[0], c[1]).Apply(dst, src, 1)
			scale := float64(c[0]) / float64(c[1])
			edge, most := int(math.Ceil(max(1, 1/scale))), 1e-4
			if scale > 1 && name == "triangle" {
				most = 0.1
			}
			for i := edge; i < c[1]-edge; i++ {
				if want := 3 + (float64(i)+0.5)*scale - 0.5; math.Abs(float64(dst[i])-want) > most {
					t.Errorf("%s, %d to %d pixels: %g at %d, expected %g", name, c[0], c[1], dst[i], i, want)
				}
			}
			for i := range src {
				src[i] = 7
			}
			scaling(c[0], c[1]).Apply(dst, src, 1)
			for i, v := range dst {
				if math.Abs(float64(v)-7) > 1e-5 {
					t.Errorf("%s, %d to %d pixels: %g at %d, expected 7", name, c[0], c[1], v, i)
				}
			}
		}
	}
	// What tells them apart: to a third of the pixels, the filter takes all and the other the middle one.
	src := []float32{0, 3, 0, 0, 0, 9}
	for _, c := range []struct {
		r    *Resampler
		want []float32
	}{{Triangle(6, 2), []float32{1, 3}}, {Bilinear(6, 2), []float32{3, 0}}} {
		dst := make([]float32, 2)
		c.r.Apply(dst, src, 1)
		t.Log(dst)
		if c.want[0] == 3 && !slices.Equal(dst, c.want) {
			t.Errorf("%v, expected %v", dst, c.want)
		}
		if c.want[0] == 1 && !(dst[0] > 0.5 && dst[0] < 2 && dst[1] > 2) {
			t.Errorf("%v: what lies between is not counted", dst)
		}
	}
}

// Grey is taken for all three channels, and values go where they are told.
func TestResize(t *testing.T) {
	var values [256]float32
	for i := range values {
		values[i] = float32(i) / 255
	}
	same, dst := Bilinear(2, 2), make([]float32, 12)
	Resize(dst, []byte{0, 255, 51, 255}, 1, same, same, &values, func(v float32) float32 { return 2*v - 1 })
	want := []float32{-1, 1, float32(2*values[51] - 1), 1}
	for i, v := range dst {
		if v != want[i/3] {
			t.Errorf("%v, expected each of %v three times", dst, want)
			break
		}
	}
	Resize(dst, []byte{0, 255, 51, 255, 0, 0, 0, 0, 0, 0, 0, 0}, 3, same, same, &values, func(v float32) float32 { return v })
	if !slices.Equal(dst[:4], []float32{0, 1, values[51], 1}) {
		t.Errorf("%v", dst)
	}
}

// A reader keeps the first error, and folds a batch norm in.
func TestReader(t *testing.T) {
	tensors := map[string][]float32{"c.weight": {1, 2, 3, 4}, "n.weight": {2, 1}, "n.bias": {1, 0}, "n.running_mean": {3, 0},
		"n.running_var": {4 - epsilon, 1 - epsilon}}
	get := func(name string, shape ...int) ([]float32, error) {
		if x := tensors[name]; x != nil {
			return x, nil
		}
		return nil, fmt.Errorf("no tensor %s", name)
	}
	s := Shape{In: 2, Out: 2, Height: 1, Width: 1, Stride: 1}
	r := &Reader{Get: get}
	y := r.Conv("c", "n", s).Apply(Maps{1, 1, 1, 2, []float32{1, 1}})
	if r.Err != nil || math.Abs(float64(y.X[0])-1) > 1e-6 || math.Abs(float64(y.X[1])-7) > 1e-6 {
		t.Errorf("%v, %v", y.X, r.Err)
	}
	r.Conv("d", "n", s)
	r.Conv("e", "n", s)
	if r.Err == nil || !strings.Contains(r.Err.Error(), "d.weight") {
		t.Errorf("%v, expected the first tensor that is missing", r.Err)
	}
}
