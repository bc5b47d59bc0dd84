package vec

import (
	"testing"
	"unsafe"
)

func BenchmarkWinoTransforms(b *testing.B) {
	for _, c := range []Conv{{28, 28, 64, 64, 3, 1}, {14, 14, 128, 128, 3, 1}} {
		w := NewWino(c)
		x, zeros := normals(1, c.H*c.W*c.Cin), make([]float32, 17*256)
		v, _ := newMatrix(aligned(make([]float32, 16+matrixLen(winoChunk, c.Cin))), winoChunk, c.Cin)
		n := min(24, w.Tiles)
		per := float64(n * c.Cin / 16)
		report := func(name string, f func()) {
			b.Run(c.String()+"/"+name, func(b *testing.B) { b.ReportMetric(bestTime(b, f)*1e9/per, "ns/tilevector") })
		}
		report("input", func() { w.transformInput(v, 0, x, zeros, c.Cin, 0, c.Cin, 0, n) })
		report("outputGrad", func() { w.transformOutputGrad(v, 0, x, zeros, c.Cin, 0, c.Cin, 0, n) })
		report("output", func() { w.transformOutput(x, v, 0, zeros[:c.Cout], zeros[:17*c.Cout], Epilogue{}, 0, n) })
		report("outputELU", func() { w.transformOutput(x, v, 0, zeros[:c.Cout], zeros[:17*c.Cout], Epilogue{ELU: x}, 0, n) })
		y := append([]float32(nil), x...)
		report("outputAdd", func() { w.transformOutput(x, v, 0, zeros[:c.Cout], zeros[:17*c.Cout], Epilogue{Addend: y}, 0, n) })
		clear(x)
	}
	var sum float32
	b.Run("peak", func(b *testing.B) {
		x := make([]float32, 14*64)
		packed := make([]float32, 32*64)
		y := make([]float32, 14*32)
		t := tileArgs{bias: ptr(&zeroLanes[0]), lda: 256, ldy: 128, nKh: 1, nKw: 1, k: 64, bPanel: 64 * 64, tiles: 20, a: ptr(&x[0]), b: ptr(&packed[0]), y: ptr(&y[0])}
		t.setMasks(16, 16)
		b.ReportMetric(2*14*32*64*20/bestTime(b, func() { convTile(14, 2, &t) })/1e9, "GFLOP/s")
	})
	_ = sum
}

func ptr(p *float32) unsafe.Pointer { return unsafe.Pointer(p) }
