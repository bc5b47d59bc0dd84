// Patches on the CPU, see patches.go: three pixels of a row lie side by side in the image and in the patch.

package kernels

import "sigmaz/kernels/internal/vec"

func (o Patches) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
}

func (o PatchesGrad) lower(mem []float32) stage {
	if patchSide*o.C <= shortRow {
		return byRows(o.N, nil, func(lo, hi int) { o.RefRows(mem, lo, hi) })
	}
	return byRows(o.N, nil, func(lo, hi int) {
		o.addUp(mem, lo, hi, func(dst, src []float32) { vec.Add(dst, dst, src) })
	})
}
