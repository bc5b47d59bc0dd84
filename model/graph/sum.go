// Sums and other affine maps of values.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Sum is the sum of two inputs of one shape. Its gradient is, for both, the gradient that came in.
type Sum struct {
	noHidden
	noBackward
}

func (Sum) String() string        { return "add" }
func (Sum) gradients() []gradient { return []gradient{passed, passed} }

func (Sum) output(in shapes) (tensor.Shape, error) {
	if !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("cannot add %v and %v", in[0], in[1])
	}
	return in[0], nil
}

func (Sum) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Add{N: in.rows(), Dst: w.out, A: w.in[0], B: w.in[1]}}
}

// Join is Scale (a + b), as where a residual block ends with (a + b)/sqrt 2.
type Join struct {
	Scale float32

	noHidden
}

func (l Join) String() string      { return fmt.Sprintf("%g (a + b)", l.Scale) }
func (Join) gradients() []gradient { return []gradient{computed, computed} }

func (Join) output(in shapes) (tensor.Shape, error) { return Sum{}.output(in) }

func (l Join) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.ScaledSum{N: in.rows(), Dst: w.out, A: w.in[0], B: w.in[1], Inner: 1, Outer: l.Scale}}
}

// backward scales the gradient for each input that asks for one.
func (l Join) backward(in shapes, w windows) (ops []kernels.Op) {
	for _, d := range w.din {
		if d.N > 0 {
			ops = append(ops, kernels.ScaledSum{N: in.rows(), Dst: d, A: w.dout, Outer: l.Scale})
		}
	}
	return ops
}

// AddRow adds a row vector for each image to all its pixels; its inputs are x (N, H, W, C) and e (N, C).
type AddRow struct{ noHidden }

func (AddRow) String() string        { return "add_row" }
func (AddRow) gradients() []gradient { return []gradient{passed, computed} }

func (AddRow) output(in shapes) (tensor.Shape, error) {
	if x, e := in[0], in[1]; e[0] != x[0] || e[1] != x[3] {
		return nil, fmt.Errorf("cannot add the rows %v to images %v", e, x)
	}
	return in[0], nil
}

func (AddRow) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.AddRow{NormShape: pixels(in[0]), Y: w.out, X: w.in[0], E: w.in[1]}}
}

func (AddRow) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.AddRowGrad{NormShape: pixels(in[0]), DE: w.din[1], DY: w.dout}}
}

// pixels returns the shape of images as rows of pixels.
func pixels(s tensor.Shape) kernels.NormShape {
	return kernels.NormShape{N: s[0], P: s[1] * s[2], C: s[3]}
}

// Affine is y = Scale x + Shift, of any shape.
type Affine struct {
	Scale, Shift float32

	sameShape
	noHidden
}

func (l Affine) String() string      { return fmt.Sprintf("%gx%+g", l.Scale, l.Shift) }
func (Affine) gradients() []gradient { return []gradient{computed} }

func (l Affine) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: in.rows(), Y: w.out, X: w.in[0], Scale: l.Scale, Shift: l.Shift}}
}

func (l Affine) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: in.rows(), Y: w.din[0], X: w.dout, Scale: l.Scale}}
}
