// Pooling on the CPU, see pool.go.

package kernels

import "sigmaz/kernels/internal/vec"

// The assembly keeps a place in a word; it is packed for the index, and unpacked from it, one image at a time.
func (o MaxPool5) lower(mem []float32) stage {
	scratch := 0
	if o.Index.N > 0 && o.C%4 == 0 {
		scratch = o.H * o.W * o.C
	}
	return stage{rows: o.N, scratch: scratch, run: func(lo, hi, _ int, _ bool, w *worker) {
		for n := lo; n < hi; n++ {
			var wide []uint32
			var packed []byte
			if o.Index.N > 0 {
				wide, packed = o.places(mem, o.Index, n)
			}
			if packed != nil {
				wide = words(w.scratch[:scratch])
			}
			vec.MaxPool5(row(mem, o.Y, o.N, n), wide, row(mem, o.X, o.N, n), o.H, o.W, o.C)
			for i := range packed {
				packed[i] = byte(wide[i])
			}
		}
	}}
}

func (o MaxPool5Grad) lower(mem []float32) stage {
	sums := vec.MaxPool5BackwardScratch(o.W, o.C)
	return stage{rows: o.N, scratch: sums + o.H*o.W*o.C, run: func(lo, hi, _ int, _ bool, w *worker) {
		for n := lo; n < hi; n++ {
			wide, packed := o.places(mem, o.Index, n)
			if packed != nil {
				wide = words(w.scratch[sums:][:len(packed)])
				for i, t := range packed {
					wide[i] = uint32(t)
				}
			}
			vec.MaxPool5Backward(row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n), wide, o.H, o.W, o.C, w.scratch[:sums])
		}
	}}
}

// The average sums five pixels of a row, then five rows.
func (o AvgPool5) lower(mem []float32) stage {
	window := func(n int, weight float32) *vec.Taps {
		return vec.NewTaps(n, n, func(i int) (list []vec.Tap) {
			for j := max(0, i-2); j < min(n, i+3); j++ {
				list = append(list, vec.Tap{Row: j, Weight: weight})
			}
			return list
		})
	}
	same := ResizeShape{N: o.N, H: o.H, W: o.W, HOut: o.H, WOut: o.W, C: o.C}
	return alongAxes(mem, same, o.Y, o.X, window(o.W, 1), window(o.H, 1.0/25))
}

func (o MeanPool2) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			vec.MeanPool2(row(mem, o.Y, o.N, n), row(mem, o.X, o.N, n), o.H, o.W, o.C)
		}
	})
}

func (o MeanPool2Grad) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			vec.MeanPool2Backward(row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n), o.H, o.W, o.C)
		}
	})
}

// A row of the image becomes two: the second is a copy of the first.
func (o Nearest2) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			x, y := row(mem, o.X, o.N, n), row(mem, o.Y, o.N, n)
			for i := range o.H {
				from, to := part(x, i, o.H), part(y, i, o.H)
				first, second := part(to, 0, 2), part(to, 1, 2)
				for j := range o.W {
					pixel := part(from, j, o.W)
					copy(part(first, 2*j, 2*o.W), pixel)
					copy(part(first, 2*j+1, 2*o.W), pixel)
				}
				copy(second, first)
			}
		}
	})
}

// The sum is four times the mean.
func (o Nearest2Grad) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			dx := row(mem, o.DX, o.N, n)
			vec.MeanPool2(dx, row(mem, o.DY, o.N, n), 2*o.H, 2*o.W, o.C)
			vec.Affine(dx, dx, 4, 0)
		}
	})
}
