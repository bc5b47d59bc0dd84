//go:build cgo && !nocuda

package train

import (
	"math"
	"slices"
	"strings"
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

// The same in BF16, for one step. Which way a value of bfloat16 is rounded near a tie hangs on the order of its sum, and
// what is rounded otherwise moves what comes after it, maxima of pools too: gradients of four rows agree with those that
// the CPU rounds as they do with those of float32 (see TestBF16PoolPlaces). A device takes the batch of
// TestBF16Training, and its bound. A second training has the same bits.
func TestBF16OnCUDA(t *testing.T) {
	b, cpu := kerneltest.OpenCUDA(t), kernels.NewCPU(0)
	batch, cosine := 128, 0.999
	if strings.Contains(b.Name(), "stand-in") { // which takes minutes for that
		batch, cosine = 4, 0.98
	}
	losses, tr := tensorTraining(t, b, kernels.BF16, batch, 1)
	rounded, other := tensorTraining(t, roundingCPU{cpu}, kernels.BF16, batch, 1)
	_, exact := tensorTraining(t, cpu, kernels.Float32, batch, 1)
	if e := math.Abs(losses[0]/rounded[0] - 1); !(e <= 1e-3) {
		t.Errorf("loss %g, rounded on the CPU %g: off by %.1e", losses[0], rounded[0], e)
	}
	for name, with := range map[string]*Trainer{"rounded on the CPU": other, "in float32": exact} {
		t.Logf("%s: least cosine of a gradient 1 - %.1e", name, 1-sameDirection(t, tr, with, cosine))
	}
	_, again := tensorTraining(t, b, kernels.BF16, batch, 1)
	first, err := tr.Named("param.")
	if err != nil {
		t.Fatal(err)
	}
	second, err := again.Named("param.")
	if err != nil {
		t.Fatal(err)
	}
	for i := range first {
		if !slices.Equal(first[i].T.Float32s(), second[i].T.Float32s()) {
			t.Errorf("a second training gives other values of %s", first[i].Name)
		}
	}
}
