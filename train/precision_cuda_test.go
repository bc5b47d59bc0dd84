//go:build cgo && !nocuda

package train

import (
	"math"
	"testing"

	"sigmaz/kernels"
	"sigmaz/kernels/kerneltest"
)

// The losses of two steps on tensor cores are those that the CPU makes of rounded factors. The gradients point where
// those of float32 do; between one TF32 and another they do not agree better, because a last bit decides how a value
// of the next layer is rounded. The memory of the plans is the same.
func TestTF32OnCUDA(t *testing.T) {
	const batch, steps = 2, 2
	b, cpu := kerneltest.OpenCUDA(t), kernels.NewCPU(0)
	losses, tr := tensorTraining(t, b, kernels.TF32, batch, steps)
	rounded, _ := tensorTraining(t, roundingCPU{cpu}, kernels.TF32, batch, steps)
	_, exact := tensorTraining(t, cpu, kernels.Float32, batch, steps)
	for i, l := range losses {
		if e := math.Abs(l/rounded[i] - 1); !(e <= 1e-4) {
			t.Errorf("step %d: loss %g, with factors rounded on the CPU %g", i+1, l, rounded[i])
		}
	}
	t.Logf("least cosine of a gradient 1 - %.1e", 1-sameDirection(t, tr, exact, 0.999))
	if a, b := tr.layout.words, exact.layout.words; a != b {
		t.Errorf("the arena has %d words, in float32 %d", a, b)
	}
}
