// Resampling with a filter on the CPU, see fir.go: one axis after the other.

package kernels

import "sigmaz/kernels/internal/vec"

func (o FIR) lower(mem []float32) stage {
	axis := func(outputs, inputs int) *vec.Taps {
		return vec.NewTaps(outputs, inputs, func(i int) (list []vec.Tap) {
			o.taps(i, inputs, func(from int, w float32) { list = append(list, vec.Tap{Row: from, Weight: w}) })
			return list
		})
	}
	between := ResizeShape{N: o.N, H: o.H, W: o.W, HOut: o.HOut, WOut: o.WOut, C: o.C}
	return alongAxes(mem, between, o.Y, o.X, axis(o.WOut, o.W), axis(o.HOut, o.H))
}
