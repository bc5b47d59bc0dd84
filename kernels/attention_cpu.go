// Attention on the CPU, see attention.go: the matrix products of package vec, one image at a time. The right factor is
// packed in the worker's scratch.

package kernels

import "sigmaz/kernels/internal/vec"

func (o AttentionScores) lower(mem []float32) stage {
	return stage{rows: o.N, scratch: vec.PackedWords(o.P, o.C), run: func(lo, hi, _ int, _ bool, w *worker) {
		var keys vec.Packed
		keys.Lend(w.scratch)
		for n := lo; n < hi; n++ {
			s := row(mem, o.S, o.N, n)
			keys.Pack(row(mem, o.B, o.N, n), o.C, o.P, o.C)
			keys.MatMulT(s, o.P, row(mem, o.A, o.N, n), o.C, o.P)
			scaleBy(s, o.Scale)
		}
	}}
}

// The rows of S, or of its transpose, which is made first, are the rows of the left factor. They lie apart as it suits
// the cache.
func (o AttentionMix) lower(mem []float32) stage {
	packed := vec.PackedWords(o.C, o.P)
	stride, turned, scratch := o.P, 0, 0
	if o.Transposed {
		stride = vec.RowStride(o.P)
		turned, scratch = o.P*stride, vec.TransposeScratch(o.P)
	}
	return stage{rows: o.N, scratch: packed + turned + scratch, run: func(lo, hi, _ int, _ bool, w *worker) {
		var values vec.Packed
		values.Lend(w.scratch[:packed])
		t, scratch := w.scratch[packed:][:turned], w.scratch[packed+turned:]
		for n := lo; n < hi; n++ {
			y, s := row(mem, o.Y, o.N, n), row(mem, o.S, o.N, n)
			values.PackTransposed(row(mem, o.X, o.N, n), o.C, o.C, o.P)
			if o.Transposed {
				vec.Transpose(t, stride, s, o.P, o.P, o.P, scratch)
				s = t
			}
			values.MatMulT(y, o.C, s, stride, o.P)
			scaleBy(y, o.Scale)
		}
	}}
}

// scaleBy multiplies values, which are still in the cache.
func scaleBy(v []float32, scale float32) {
	if scale != 1 {
		vec.Affine(v, v, scale, 0)
	}
}

func (o Softmax) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		vec.Softmax(rowsOf(mem, o.Y, o.N, lo, hi), rowsOf(mem, o.X, o.N, lo, hi), o.D)
	})
}

func (o SoftmaxGrad) lower(mem []float32) stage {
	return byRows(o.N, nil, func(lo, hi int) {
		vec.SoftmaxBackward(rowsOf(mem, o.DX, o.N, lo, hi), rowsOf(mem, o.DY, o.N, lo, hi), rowsOf(mem, o.Y, o.N, lo, hi), o.D)
	})
}
