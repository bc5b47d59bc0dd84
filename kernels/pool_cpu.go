// Pooling on the CPU, see pool.go.

package kernels

import "sigmaz/kernels/internal/vec"

func (o MaxPool5) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		for n := lo; n < hi; n++ {
			var index []uint32
			if o.Index.N > 0 {
				index = words(row(mem, o.Index, o.N, n))
			}
			vec.MaxPool5(row(mem, o.Y, o.N, n), index, row(mem, o.X, o.N, n), o.H, o.W, o.C)
		}
	})
}

func (o MaxPool5Grad) lower(mem []float32) stage {
	scratch := vec.MaxPool5BackwardScratch(o.W, o.C)
	return stage{rows: o.N, scratch: scratch, run: func(lo, hi, _ int, _ bool, w *worker) {
		for n := lo; n < hi; n++ {
			dx, dy, index := row(mem, o.DX, o.N, n), row(mem, o.DY, o.N, n), words(row(mem, o.Index, o.N, n))
			vec.MaxPool5Backward(dx, dy, index, o.H, o.W, o.C, w.scratch[:scratch])
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
