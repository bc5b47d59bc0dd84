package graph

import (
	"fmt"
	"testing"

	"gorgonia.org/gorgonia"

	"sigmaz/kernels"
)

// bf16Plan plans the gradients of the loss of a network: 3 channels in, 32 between three convolutions whose weights have
// the given places, 3 channels out.
func bf16Plan(t *testing.T, at ...int) (*Plan, []kernels.Buf) {
	t.Helper()
	g := gorgonia.NewGraph()
	x, z, sigma := input(g, "x", 2, 4, 4, 3), input(g, "z", 2, 4, 4, 3), input(g, "sigma", 2)
	first, last := input(g, "first", 32, 1, 1, 3), input(g, "last", 3, 1, 1, 32)
	placed := map[*gorgonia.Node]kernels.Buf{}
	h := apply(t, Conv{K: 1}, "first", apply(t, Affine{Scale: 2, Shift: -1}, "affine", x), first)
	wrt := gorgonia.Nodes{first, last}
	var weights []kernels.Buf
	for i, off := range at {
		w := input(g, fmt.Sprintf("w%d", i), 32, 1, 1, 32)
		placed[w] = kernels.Buf{Off: off, N: 1024}
		weights = append(weights, placed[w])
		h = apply(t, Activation{F: kernels.ELU}, fmt.Sprintf("elu%d", i), apply(t, Conv{K: 1}, fmt.Sprintf("conv%d", i), h, w))
		wrt = append(wrt, w)
	}
	score := apply(t, DivSigma{}, "score", apply(t, Conv{K: 1}, "last", h, last), sigma)
	grads, err := Gradients(apply(t, Loss{}, "loss", score, z, sigma), wrt)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(append(grads, score), placed, 1<<20, kernels.BF16)
	if err != nil {
		t.Fatal(err)
	}
	return plan, weights
}

// Activations of 32 channels and their gradients are bf16, and nothing else but the weights between them.
func TestPlanInBF16(t *testing.T) {
	plan, _ := bf16Plan(t, 0, 1024)
	got := map[string]int{}
	for _, op := range plan.Ops {
		reads, writes := op.Operands()
		name := op.Name()
		for _, w := range reads {
			name += " " + w.Element.String()
		}
		name += " ->"
		for _, w := range writes {
			name += " " + w.Element.String()
		}
		got[name]++
	}
	want := map[string]int{
		"narrow float32 -> bf16":                                 1,
		"affine float32 -> float32":                              1,
		"conv float32 float32 -> bf16":                           1,
		"conv bf16 bf16 -> bf16":                                 2,
		"elu bf16 -> bf16":                                       2,
		"conv bf16 float32 -> float32":                           1,
		"div_sigma float32 float32 -> float32":                   2,
		"loss_grad float32 float32 float32 float32 -> float32":   1,
		"loss float32 float32 float32 -> float32 float32":        1,
		"fill -> float32":                                        1,
		"conv_grad_input float32 float32 -> bf16":                1,
		"conv_grad_input bf16 bf16 -> bf16":                      2,
		"elu_grad bf16 bf16 -> bf16":                             2,
		"conv_grad_weight bf16 float32 -> float32":               1,
		"conv_grad_weight bf16 bf16 -> float32":                  2,
		"conv_grad_weight float32 bf16 -> float32":               1,
		"discard -> float32 bf16 bf16 bf16 float32 float32 bf16": 1,
	}
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%d times %s, expected %d", got[name], name, n)
		}
	}
	for name, n := range got {
		if want[name] == 0 {
			t.Errorf("%d times %s", n, name)
		}
	}
}

// Weights that lie side by side are rounded together; a convolution's copy begins 16 bytes, holds its weights, and shares
// no word with memory that is used while it is needed.
func TestWeightsInBF16(t *testing.T) {
	for _, c := range []struct {
		at   []int
		runs int
	}{
		{[]int{0, 1024, 2048}, 1},
		{[]int{2048, 0, 1024}, 1}, // in another order
		{[]int{0, 1032, 4096}, 1}, // with biases between them
		{[]int{0, 1027, 2051}, 2}, // behind a bias of three
		{[]int{0, 1024, 1024 + longestGap + 1032}, 2},
	} {
		plan, weights := bf16Plan(t, c.at...)
		var narrows []kernels.Narrow
		copyOf := map[kernels.Buf]bool{}
		for _, op := range plan.Ops {
			switch o := op.(type) {
			case kernels.Narrow:
				narrows = append(narrows, o)
			case kernels.Conv:
				if o.Weight.Element == kernels.BFloat16 {
					copyOf[o.Weight] = true
				}
			case kernels.ConvGradInput:
				if o.Weight.Element == kernels.BFloat16 && !copyOf[o.Weight] {
					t.Errorf("%v: a gradient reads other weights than the forward: %v", c.at, o.Weight)
				}
			}
			if _, writes := op.Operands(); len(narrows) > 0 && len(copyOf) > 0 {
				for _, n := range narrows {
					for _, w := range writes {
						if w.Off < n.Dst.Off+n.Dst.Words() && n.Dst.Off < w.Off+w.Words() {
							t.Errorf("%v: %s writes to the weights", c.at, op.Name())
						}
					}
				}
			}
		}
		if len(narrows) != c.runs || len(copyOf) != len(weights) {
			t.Errorf("%v: %d launches for %d weights, expected %d for %d", c.at, len(narrows), len(copyOf), c.runs, len(weights))
		}
		// Each source gets a number of its own, which must be found in the copy.
		mem := make([]float32, plan.End)
		for i, w := range weights {
			for k := range w.Of(mem) {
				w.Of(mem)[k] = float32(i + 1)
			}
		}
		for _, n := range narrows {
			kernels.Reference(n, mem)
		}
		found := map[float32]bool{}
		for w := range copyOf {
			values := w.Load(mem)
			for _, v := range values {
				if v != values[0] {
					t.Fatalf("%v: the copy %v is of several weights", c.at, w)
				}
			}
			if w.Off%4 != 0 {
				t.Errorf("%v: the copy %v does not begin 16 bytes", c.at, w)
			}
			found[values[0]] = true
		}
		if len(found) != len(weights) || found[0] {
			t.Errorf("%v: the copies are of %v", c.at, found)
		}
	}
}
