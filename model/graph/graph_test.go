// Gorgonia's traps, and what layers ask of the plan.

package graph

import (
	"fmt"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// input adds an input of that shape to g.
func input(g *gorgonia.ExprGraph, name string, shape ...int) *gorgonia.Node {
	return gorgonia.NewTensor(g, gorgonia.Float32, len(shape), gorgonia.WithShape(shape...), gorgonia.WithName(name))
}

// apply is Apply where it works.
func apply(t *testing.T, l Layer, path string, in ...*gorgonia.Node) *gorgonia.Node {
	t.Helper()
	n, err := Apply(l, path, in...)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Gorgonia's element-wise + is told from its other operations, in every number of dimensions that a value here has.
func TestIsSum(t *testing.T) {
	for dims := 1; dims <= 4; dims++ {
		g := gorgonia.NewGraph()
		shape := []int{2, 3, 4, 5}[:dims]
		a, b := input(g, "a", shape...), input(g, "b", shape...)
		for name, f := range map[string]func(a, b *gorgonia.Node) (*gorgonia.Node, error){
			"+": gorgonia.Add, "-": gorgonia.Sub, "*": gorgonia.HadamardProd, "/": gorgonia.HadamardDiv,
		} {
			if n := gorgonia.Must(f(a, b)); isSum(n) != (name == "+") {
				t.Errorf("%d dimensions: %v is a sum: %t", dims, n, isSum(n))
			}
		}
		if n := apply(t, Sum{}, "own", a, b); isSum(n) || isSum(a) {
			t.Errorf("%d dimensions: a layer's sum or an input is one of Gorgonia's", dims)
		}
	}
}

// A value that several layers use has one gradient, summed: of the weights w below, used three times, and of what they
// make.
func TestGradientsAreSummed(t *testing.T) {
	g := gorgonia.NewGraph()
	x, w, z, sigma := input(g, "x", 4, 3), input(g, "w", 3, 3), input(g, "z", 4, 3), input(g, "sigma", 4)
	h := x
	for i := range 3 {
		h = apply(t, Sum{}, fmt.Sprintf("add%d", i), h, apply(t, Conv{K: 1}, fmt.Sprintf("conv%d", i), h, w))
	}
	loss := apply(t, Loss{}, "loss", h, z, sigma)
	if sums, err := sumsExpected(loss, gorgonia.Nodes{w}); err != nil ||
		sums != 2+2 { // of w; of the two sums in the middle
		t.Errorf("%d sums expected (%v), want 4", sums, err)
	}
	grads, err := Gradients(loss, gorgonia.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(grads, nil, 0, kernels.Float32)
	if err != nil {
		t.Fatal(err)
	}
	adds := 0
	for _, op := range plan.Ops {
		if _, ok := op.(kernels.Add); ok {
			adds++
		}
	}
	if adds != 3+4 {
		t.Errorf("%d additions in the plan, expected 3 of the forward and 4 of the gradient", adds)
	}
}

// A second call that Gorgonia takes for the first is an error, not the first one's node.
func TestMergedNodesAreFound(t *testing.T) {
	g := gorgonia.NewGraph()
	a := input(g, "a", 2, 3)
	apply(t, Activation{F: kernels.ELU}, "act", a)
	if _, err := Apply(Activation{F: kernels.ELU}, "act", a); err == nil ||
		!strings.Contains(err.Error(), "act: Gorgonia merged the node") {
		t.Errorf("error %v", err)
	}
}

func TestPlanRefuses(t *testing.T) {
	g := gorgonia.NewGraph()
	a, b := input(g, "a", 2, 3), input(g, "b", 2, 3)
	if _, err := NewPlan(gorgonia.Nodes{gorgonia.Must(gorgonia.Sub(a, b))}, nil, 0, kernels.Float32); err == nil ||
		!strings.Contains(err.Error(), "has no kernel") {
		t.Errorf("a difference of Gorgonia's: error %v", err)
	}
	if _, err := NewPlan(gorgonia.Nodes{a}, map[*gorgonia.Node]kernels.Buf{a: {N: 5}}, 5, kernels.Float32); err == nil ||
		!strings.Contains(err.Error(), "needs 6 words, its window has 5") {
		t.Errorf("a window that is too small: error %v", err)
	}
}

// The places of maxima exist for the backward alone.
func TestHiddenForBackward(t *testing.T) {
	g := gorgonia.NewGraph()
	x, z, sigma := input(g, "x", 2, 4, 6, 1), input(g, "z", 2, 4, 6, 1), input(g, "sigma", 2)
	pool := apply(t, MaxPool{}, "pool", x)
	loss := apply(t, Loss{}, "loss", pool, z, sigma)
	places := func(outputs ...*gorgonia.Node) int {
		plan, err := NewPlan(outputs, nil, 0, kernels.Float32)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Hidden(pool, 0).N
	}
	if n := places(loss); n != 0 {
		t.Errorf("without a backward the places of %d maxima are kept", n)
	}
	grads, err := Gradients(loss, gorgonia.Nodes{x})
	if err != nil {
		t.Fatal(err)
	}
	if n := places(loss, grads[0]); n != 48 {
		t.Errorf("with a backward the places of %d maxima are kept, expected 48", n)
	}
}

// The losses of the rows stay, though the gradient of the score, which comes after, has their size.
func TestHiddenKept(t *testing.T) {
	g := gorgonia.NewGraph()
	x, w, z, sigma := input(g, "x", 2, 1), input(g, "w", 1, 1), input(g, "z", 2, 1), input(g, "sigma", 2)
	score := apply(t, Conv{K: 1}, "conv", x, w)
	loss := apply(t, Loss{}, "loss", score, z, sigma)
	grads, err := Gradients(loss, gorgonia.Nodes{w})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(append(grads, score), nil, 0, kernels.Float32) // the score is kept, so its gradient cannot lie where it does
	if err != nil {
		t.Fatal(err)
	}
	rows, written := plan.Hidden(loss, 0), 0
	for _, op := range plan.Ops {
		_, writes := op.Operands()
		for _, b := range writes {
			if b.Off < rows.Off+rows.N && rows.Off < b.Off+b.N {
				written++
			}
		}
	}
	if rows.N != 2 || written != 1 {
		t.Errorf("the losses of 2 rows lie in %v, where %d operations write", rows, written)
	}
}

// A layer whose output has another shape says what does not fit.
func TestShapesThatDoNotFit(t *testing.T) {
	for want, f := range map[string]func() (tensor.Shape, error){
		"cannot add (2, 3) and (2, 4)": func() (tensor.Shape, error) { return Sum{}.output(shapes{{2, 3}, {2, 4}}) },
		"must both be even": func() (tensor.Shape,
			error) {
			return MeanPool{}.output(shapes{{1, 5, 4, 1}})
		},
		"score (2, 3) and noise (3, 2)": func() (tensor.Shape,
			error) {
			return Loss{}.output(shapes{{2, 3}, {3, 2}, {2}})
		},
		"input (2, 3) does not fit": func() (tensor.Shape, error) { return Conv{}.output(shapes{{2, 3}, {2, 4}}) },
		"needs at least 2 channels": func() (tensor.Shape,
			error) {
			return Norm{Plus: true}.output(shapes{{1, 4, 4, 1}})
		},
	} {
		if _, err := f(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, expected %q", err, want)
		}
	}
}
