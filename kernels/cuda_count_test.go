//go:build cgo && !nocuda

package kernels

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// What an operation does with steps is counted at the kernel that takes them, and factors with the bytes that they have.
func TestCountedSteps(t *testing.T) {
	allMoments(t)
	const n, h, w, c = 2, 16, 16, 64 // 512 pixels, 32,768 values
	for _, e := range []Element{Words, BFloat16} {
		at := func(i int) Buf { return Buf{Off: i * n * h * w * c, N: n * h * w * c, Element: e} }
		precision := TF32
		if e == BFloat16 {
			precision = BF16
		}
		s := ConvShape{N: n, H: h, W: w, Cin: c, Cout: c, K: 1, Dilation: 1}
		stats := Buf{Off: 10 * at(0).N, N: n * c}
		counts, err := CountLaunches([]Op{
			Conv{ConvShape: s, X: at(0), Y: at(1), Weight: Buf{Off: 9 * at(0).N, N: c * c, Element: e}, Precision: precision},
			Add{N: n, Dst: at(2), A: at(1), B: at(3)},
			Norm{NormShape: NormShape{n, h * w, c}, X: at(2), Y: at(4), NormStats: NormStats{Mean: stats, Rstd: stats,
				MuHat: stats, Q: Buf{Off: 11 * at(0).N, N: n}}},
			Activate{F: ELU, N: n, Y: at(5), X: at(4)},
		}, 8)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range counts {
			got = append(got, fmt.Sprintf("%s %d %d", l.Kernel, l.FLOP, l.Asked))
		}
		// 2 x 512 x 64 x 64, a sum of 32,768 and its moments, 4 x 32,768; 8 blocks x 64 terms x (64 + 64) factors and the
		// sum's other operand. The norm's 6 x 32,768, and 2 x 32,768 for the ELU; it reads its moments, 8 x 2 x 64 words.
		want := map[Element]string{
			Words:    "conv_64x64_tf32 4358144 393216, norm_apply 262144 135168",
			BFloat16: "conv_bf16_64x64 4358144 196608, norm_apply_bf16 262144 69632",
		}[e]
		if got := strings.Join(got, ", "); got != want {
			t.Errorf("%v: %s, expected %s", e, got, want)
		}
	}
}

// flopless lists the kernels that count as nothing: they copy, or work on a few values of each channel or image.
var flopless = []string{"concat", "split", "fill", "narrow", "nearest2", "patches", "mlp_input", "mlp_input_grad",
	"norm_grad_params",
	"grad_norm_finish", "loss_mean", "record", "sampler_sigma", "tick", "lookup", "twin_rows", "draw_classes",
	"precondition", "ode_accept", "pulse"}

// Every kernel is counted: by its values, as a product of matrices, or as one that computes next to nothing.
func TestEveryKernelIsCounted(t *testing.T) {
	known := map[string]bool{}
	for _, name := range AllKernels() {
		name = strings.TrimSuffix(name, "_bf16")
		known[name] = true
		ways := 0
		for _, counted := range []bool{flopOfValue[name] > 0, slices.Contains(flopless, name),
			name != "conv_grad_weight_sum" && strings.HasPrefix(name, "conv"),
			strings.HasPrefix(name, "attention_"), strings.HasPrefix(name, "pair_extremes")} {
			if counted {
				ways++
			}
		}
		if ways != 1 {
			t.Errorf("kernel %s is counted in %d ways", name, ways)
		}
	}
	for _, name := range slices.Concat(flopless, stepless, slices.Collect(maps.Keys(flopOfValue))) {
		if !known[name] {
			t.Errorf("there is no kernel %s", name)
		}
	}
}
