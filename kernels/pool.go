// Pooling.
//
//	maxpool5   y[i,j,c] = max of x over the 5x5 window around (i,j), stride 1, outside counts as minus infinity
//	avgpool5   y[i,j,c] = sum of x over the same window / 25, outside counts as 0
//	meanpool2  y[i,j,c] = mean of x[2i,2j,c], x[2i+1,2j,c], x[2i,2j+1,c], x[2i+1,2j+1,c]
//	nearest2   y[i,j,c] = x[i/2,j/2,c]: each pixel twice along both axes
//
// (torch.nn.MaxPool2d(5, 1, 2) of NCSNv2 and AvgPool2d(5, 1, 2) of NCSN; the mean of the four 2x2 phases of
// ConvMeanPool; torch.nn.functional.interpolate, mode nearest.) The gradient of a maximum goes to the first largest value
// of the window in row-major order, as in PyTorch; a NaN counts as largest.

package kernels

import "math"

// PoolShape is the geometry of the input: N images (H, W, C).
type PoolShape struct{ N, H, W, C int }

// IndexWords returns the words of MaxPool5's Index: a byte for each value where four channels make a word, else a uint32.
func (s PoolShape) IndexWords() int {
	if s.C%4 == 0 {
		return s.N * s.H * s.W * s.C / 4
	}
	return s.N * s.H * s.W * s.C
}

// places returns the places of the maxima of image n in the index, as words or as bytes: the other is nil.
func (s PoolShape) places(mem []float32, index Buf, n int) (wide []uint32, packed []byte) {
	if s.C%4 == 0 {
		return nil, bytesOf(row(mem, index, s.N, n))
	}
	return words(row(mem, index, s.N, n)), nil
}

// MaxPool5 writes Y and, where present, Index: the place 5u+v of each maximum in its window. Y must not overlap X.
type MaxPool5 struct {
	PoolShape
	Y, X  Buf // (N, H, W, C)
	Index Buf // (IndexWords), may be absent
}

func (o MaxPool5) Name() string                    { return "maxpool5" }
func (o MaxPool5) Operands() (reads, writes []Buf) { return []Buf{o.X}, present(o.Y, o.Index) }
func (o MaxPool5) Rows() int                       { return o.N }
func (o MaxPool5) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o MaxPool5) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		for i := range o.H {
			for j := range o.W {
				for c := range o.C {
					best, at := float32(math.Inf(-1)), uint32(0)
					first := true
					o.window(i, j, func(t uint32, q int) {
						if v := x[q*o.C+c]; first || v > best || v != v {
							best, at, first = v, t, false
						}
					})
					p := (i*o.W+j)*o.C + c
					y[p] = best
					if o.Index.N == 0 {
						continue
					}
					if wide, packed := o.places(mem, o.Index, n); packed != nil {
						packed[p] = byte(at)
					} else {
						wide[p] = at
					}
				}
			}
		}
	}
}

// window calls f for every pixel q inside the image of the window around (i,j), t = 5u+v its position.
func (s PoolShape) window(i, j int, f func(t uint32, q int)) {
	for u := max(0, 2-i); u < min(5, s.H+2-i); u++ {
		for v := max(0, 2-j); v < min(5, s.W+2-j); v++ {
			f(uint32(5*u+v), (i+u-2)*s.W+j+v-2)
		}
	}
}

// MaxPool5Grad adds DY up where the maxima were. DX must not overlap DY.
type MaxPool5Grad struct {
	PoolShape
	DX, DY Buf // (N, H, W, C)
	Index  Buf // (IndexWords), see MaxPool5
}

func (o MaxPool5Grad) Name() string                    { return "maxpool5_grad" }
func (o MaxPool5Grad) Operands() (reads, writes []Buf) { return []Buf{o.DY, o.Index}, []Buf{o.DX} }
func (o MaxPool5Grad) Rows() int                       { return o.N }
func (o MaxPool5Grad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o MaxPool5Grad) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		dx, dy := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n)
		wide, packed := o.places(mem, o.Index, n)
		clear(dx)
		for p, g := range dy {
			var t int
			if packed != nil {
				t = int(packed[p])
			} else {
				t = int(wide[p])
			}
			i, j, c := p/o.C/o.W, p/o.C%o.W, p%o.C
			dx[((i+t/5-2)*o.W+j+t%5-2)*o.C+c] += g
		}
	}
}

// AvgPool5 is the average pooling. It is its own gradient, since the window is symmetric and the divisor the same
// everywhere. Y must not overlap X.
type AvgPool5 struct {
	PoolShape
	Y, X Buf // (N, H, W, C)
}

func (o AvgPool5) Name() string                    { return "avgpool5" }
func (o AvgPool5) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o AvgPool5) Rows() int                       { return o.N }
func (o AvgPool5) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o AvgPool5) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		for i := range o.H {
			for j := range o.W {
				for c := range o.C {
					var sum float64
					o.window(i, j, func(_ uint32, q int) { sum += float64(x[q*o.C+c]) })
					y[(i*o.W+j)*o.C+c] = float32(sum / 25)
				}
			}
		}
	}
}

// MeanPool2 halves height and width, which must be even.
type MeanPool2 struct {
	PoolShape
	Y Buf // (N, H/2, W/2, C)
	X Buf // (N, H, W, C)
}

func (o MeanPool2) Name() string                    { return "meanpool2" }
func (o MeanPool2) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o MeanPool2) Rows() int                       { return o.N }
func (o MeanPool2) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o MeanPool2) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		for p := range y {
			c := p % o.C
			i, j := p/o.C/(o.W/2), p/o.C%(o.W/2)
			at := func(u, v int) float32 { return x[((2*i+u)*o.W+2*j+v)*o.C+c] }
			y[p] = (at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)) * 0.25
		}
	}
}

// MeanPool2Grad spreads a quarter of DY over each of its four pixels.
type MeanPool2Grad struct {
	PoolShape
	DX Buf // (N, H, W, C)
	DY Buf // (N, H/2, W/2, C)
}

func (o MeanPool2Grad) Name() string                    { return "meanpool2_grad" }
func (o MeanPool2Grad) Operands() (reads, writes []Buf) { return []Buf{o.DY}, []Buf{o.DX} }
func (o MeanPool2Grad) Rows() int                       { return o.N }
func (o MeanPool2Grad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o MeanPool2Grad) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		dx, dy := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n)
		for p := range dx {
			c := p % o.C
			i, j := p/o.C/o.W, p/o.C%o.W
			dx[p] = dy[((i/2)*(o.W/2)+j/2)*o.C+c] * 0.25
		}
	}
}

// Nearest2 doubles height and width.
type Nearest2 struct {
	PoolShape
	Y Buf // (N, 2H, 2W, C)
	X Buf // (N, H, W, C)
}

func (o Nearest2) Name() string                    { return "nearest2" }
func (o Nearest2) Operands() (reads, writes []Buf) { return []Buf{o.X}, []Buf{o.Y} }
func (o Nearest2) Rows() int                       { return o.N }
func (o Nearest2) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Nearest2) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
		for p := range y {
			c := p % o.C
			i, j := p/o.C/(2*o.W), p/o.C%(2*o.W)
			y[p] = x[((i/2)*o.W+j/2)*o.C+c]
		}
	}
}

// Nearest2Grad sums DY over the four pixels that each pixel became.
type Nearest2Grad struct {
	PoolShape
	DX Buf // (N, H, W, C)
	DY Buf // (N, 2H, 2W, C)
}

func (o Nearest2Grad) Name() string                    { return "nearest2_grad" }
func (o Nearest2Grad) Operands() (reads, writes []Buf) { return []Buf{o.DY}, []Buf{o.DX} }
func (o Nearest2Grad) Rows() int                       { return o.N }
func (o Nearest2Grad) Ref(mem []float32)               { o.RefRows(mem, 0, o.N) }
func (o Nearest2Grad) RefRows(mem []float32, lo, hi int) {
	for n := lo; n < hi; n++ {
		dx, dy := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n)
		for p := range dx {
			c := p % o.C
			i, j := p/o.C/o.W, p/o.C%o.W
			at := func(u, v int) float32 { return dy[((2*i+u)*2*o.W+2*j+v)*o.C+c] }
			dx[p] = at(0, 0) + at(1, 0) + at(0, 1) + at(1, 1)
		}
	}
}
