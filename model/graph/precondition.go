// What a network is given of its input and of the noise, and how its output becomes the score: see [kernels.Precondition].

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Precondition is the numbers of each row, (kernels.PreconditionRows, N); its inputs are sigma (N) and, where the noise is told
// as a level, the level (N), or where it is a step of a table, the table's sigmas.
type Precondition struct {
	Betas    kernels.Betas
	SD       float64
	Root     bool // see [kernels.Precondition], as all of these
	Weighted bool
	Level    bool // the second input is the level
	Table    bool // the second input is the table

	noHidden
	noBackward
}

func (l Precondition) String() string {
	return fmt.Sprintf("precondition betas=%v sd=%g root=%t weighted=%t level=%t table=%t", l.Betas, l.SD, l.Root, l.Weighted,
		l.Level, l.Table)
}

func (l Precondition) gradients() []gradient {
	if l.Level || l.Table {
		return []gradient{none, none}
	}
	return []gradient{none}
}

func (Precondition) output(in shapes) (tensor.Shape, error) {
	return tensor.Shape{kernels.PreconditionRows, in.rows()}, nil
}

func (l Precondition) forward(in shapes, w windows) []kernels.Op {
	o := kernels.Precondition{N: in.rows(), Y: w.out, Sigma: w.in[0], Betas: l.Betas, SD: l.SD, Root: l.Root, Weighted: l.Weighted}
	switch {
	case l.Level:
		o.Level = w.in[1]
	case l.Table:
		o.Table = w.in[1]
	}
	return []kernels.Op{o}
}

// rowOf returns the window of one of the numbers of all rows.
func rowOf(numbers kernels.Buf, which int) kernels.Buf {
	n := numbers.N / kernels.PreconditionRows
	return numbers.Slice(which*n, n)
}

// PreconditionRow is one of the numbers that [Precondition] has, for all rows (N).
type PreconditionRow struct {
	Which int

	noHidden
	noBackward
}

func (l PreconditionRow) String() string      { return fmt.Sprintf("precondition_row %d", l.Which) }
func (PreconditionRow) gradients() []gradient { return []gradient{none} }

func (PreconditionRow) output(in shapes) (tensor.Shape, error) { return tensor.Shape{in[0][1]}, nil }

func (l PreconditionRow) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Affine{N: in[0][1], Y: w.out, X: rowOf(w.in[0], l.Which), Scale: 1}}
}

// PreconditionInput is c_in x; its inputs are x (N, ...) and the numbers.
type PreconditionInput struct {
	sameShape
	noHidden
}

func (PreconditionInput) String() string        { return "precondition_input" }
func (PreconditionInput) gradients() []gradient { return []gradient{computed, none} }

func (PreconditionInput) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.RowMix{N: in.rows(), Y: w.out, X: w.in[0], A: rowOf(w.in[1], kernels.PreconditionIn)}}
}

func (PreconditionInput) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.RowMix{N: in.rows(), Y: w.din[0], X: w.dout, A: rowOf(w.in[1], kernels.PreconditionIn)}}
}

// PreconditionScore is a x + b F; its inputs are x and the network's output F, both (N, ...), and the numbers.
type PreconditionScore struct {
	sameShape
	noHidden
}

func (PreconditionScore) String() string        { return "precondition_score" }
func (PreconditionScore) gradients() []gradient { return []gradient{computed, computed, none} }

func (PreconditionScore) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.RowMix{N: in.rows(), Y: w.out, X: w.in[0], A: rowOf(w.in[2], kernels.PreconditionX),
		F: w.in[1], B: rowOf(w.in[2], kernels.PreconditionF)}}
}

func (PreconditionScore) backward(in shapes, w windows) (ops []kernels.Op) {
	for i, which := range []int{kernels.PreconditionX, kernels.PreconditionF} {
		if d := w.din[i]; d.N > 0 {
			ops = append(ops, kernels.RowMix{N: in.rows(), Y: d, X: w.dout, A: rowOf(w.in[2], which)})
		}
	}
	return ops
}
