package kernels_test

import (
	"math"
	"testing"

	"sigmaz/internal/approx"
	"sigmaz/kernels"
)

// Small cases with known answers, from PyTorch unless the comment says otherwise. They check the references, by which
// the conformance suite checks everything else.
func TestKnownAnswers(t *testing.T) {
	buf := func(off, n int) kernels.Buf { return kernels.Buf{Off: off, N: n} }
	run := func(name string, op kernels.Op, mem []float32, at kernels.Buf, want ...float32) {
		t.Helper()
		op.Ref(mem)
		if err := approx.Compare(name, at.Of(mem), want, approx.Abs(2e-6)); err != nil {
			t.Error(err)
		}
	}

	// Instance norm++ of the 2x2 images 1..4 and 2,4,6,8: biased variance over pixels, unbiased over channels. With
	// the biased one muhat would be -+0.9999968.
	mem := make([]float32, 8+8+6+7)
	copy(mem, []float32{1, 2, 2, 4, 3, 6, 4, 8})
	copy(mem[16:], []float32{1, 1, 1, 1, 0, 0})
	run("norm", kernels.Norm{NormShape: kernels.NormShape{N: 1, P: 4, C: 2}, X: buf(0, 8), Y: buf(8, 8),
		Alpha: buf(16, 2), Gamma: buf(18, 2), Beta: buf(20, 2),
		NormStats: kernels.NormStats{Mean: buf(22, 2), Rstd: buf(24, 2), MuHat: buf(26, 2), Q: buf(28, 1)}},
		mem, buf(8, 8),
		-2.0487411, -0.6345338, -1.1543175, 0.2598925, -0.2598938, 1.1543188, 0.6345298, 2.0487451)
	if err := approx.Compare("muhat", mem[26:28], []float32{-0.70710565, 0.70710565}, approx.Abs(1e-6)); err != nil {
		t.Error(err)
	}

	// Bilinear with aligned corners, 2 -> 4.
	stretch := kernels.ResizeShape{N: 1, H: 1, W: 2, HOut: 1, WOut: 4, C: 1}
	run("resize", kernels.Resize{ResizeShape: stretch, X: buf(0, 2), Y: buf(2, 4)},
		[]float32{0, 1, 0, 0, 0, 0}, buf(2, 4), 0, 1./3, 2./3, 1)

	// Max pooling of 1..9 (3x3): every window holds the last pixel. Its index is where it lies in each window.
	mem = append([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, make([]float32, 18)...)
	small := kernels.PoolShape{N: 1, H: 3, W: 3, C: 1}
	run("maxpool5", kernels.MaxPool5{PoolShape: small, X: buf(0, 9), Y: buf(9, 9), Index: buf(18, 9)},
		mem, buf(9, 9), 9, 9, 9, 9, 9, 9, 9, 9, 9)
	for p, v := range mem[18:27] {
		if want := uint32(5*(4-p/3) + 4 - p%3); math.Float32bits(v) != want {
			t.Errorf("index of pixel %d is %d, expected %d", p, math.Float32bits(v), want)
		}
	}
	// Its gradient gathers everything there.
	copy(mem[9:18], []float32{1, 2, 3, 4, 5, 6, 7, 8, 9})
	run("maxpool5_grad", kernels.MaxPool5Grad{PoolShape: small, DX: buf(0, 9), DY: buf(9, 9), Index: buf(18, 9)},
		mem, buf(0, 9), 0, 0, 0, 0, 0, 0, 0, 0, 45)

	run("meanpool2",
		kernels.MeanPool2{PoolShape: kernels.PoolShape{N: 1, H: 2, W: 4, C: 1}, X: buf(0, 8), Y: buf(8, 2)},
		[]float32{1, 2, 3, 4, 5, 6, 7, 9, 0, 0}, buf(8, 2), 3.5, 5.75)

	// A 3x3 kernel of ones with dilation 2 on the 3x3 image 1..9: corners meet only corners.
	mem = append([]float32{1, 2, 3, 4, 5, 6, 7, 8, 9}, make([]float32, 19)...)
	for i := 9; i < 18; i++ {
		mem[i] = 1
	}
	mem[27] = 0.5
	dilated := kernels.ConvShape{N: 1, H: 3, W: 3, Cin: 1, Cout: 1, K: 3, Dilation: 2}
	run("conv", kernels.Conv{ConvShape: dilated, X: buf(0, 9), Weight: buf(9, 9), Y: buf(18, 9), Bias: buf(27, 1)},
		mem, buf(18, 9), 20.5, 10.5, 20.5, 10.5, 5.5, 10.5, 20.5, 10.5, 20.5)

	run("elu", kernels.Activate{F: kernels.ELU, N: 1, X: buf(0, 3), Y: buf(3, 3)},
		[]float32{-1, 0, 2, 0, 0, 0}, buf(3, 3), -0.63212056, 0, 2)
	run("softplus", kernels.Activate{F: kernels.Softplus, N: 1, X: buf(0, 3), Y: buf(3, 3)},
		[]float32{-1, 0, 50, 0, 0, 0}, buf(3, 3), 0.31326169, 0.69314718, 50)

	// Two steps of torch.optim.Adam(lr=0.1) on theta = 1 with the gradients 0.5 and -0.25, and an average with rate
	// 0.9: m = 0.05, 0.02; v = 2.5e-4, 3.1225e-4.
	mem = []float32{1, 0.5, 0, 0, 1, 0, 0, 0, 0}
	adam := kernels.Adam{Param: buf(0, 1), Grad: buf(1, 1), M: buf(2, 1), V: buf(3, 1), EMA: buf(4, 1),
		State: buf(5, 4), LR: 0.1, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Rate: 0.9}
	run("adam, first step", adam, mem, buf(0, 5), 0.9, 0.5, 0.05, 2.5e-4, 0.99)
	kernels.Tick{State: buf(5, 4)}.Ref(mem)
	mem[1] = -0.25
	theta := 0.9 - 0.1*(0.02/0.19)/math.Sqrt(3.1225e-4/(1-0.999*0.999))
	run("adam, second step", adam, mem, buf(0, 5), float32(theta), -0.25, 0.02, 3.1225e-4, float32(0.9*0.99+0.1*theta))
	// With warm-up the average of the second step has the rate (1+2)/(10+2).
	adam.Warmup = true
	mem = []float32{1, 0, 0, 0, 5, math.Float32frombits(1), 0, 0, 0}
	run("ema warm-up", adam, mem, buf(4, 1), 0.25*5+0.75*1)
}
