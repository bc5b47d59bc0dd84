// Where sigma enters a network.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// DivSigma divides each row of x by its sigma; its inputs are x (N, ...) and sigma (N).
type DivSigma struct {
	sameShape
	noHidden
}

func (DivSigma) String() string        { return "div_sigma" }
func (DivSigma) gradients() []gradient { return []gradient{computed, none} }

func (DivSigma) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.DivSigma{N: in.rows(), Y: w.out, X: w.in[0], Sigma: w.in[1]}}
}

func (DivSigma) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.DivSigma{N: in.rows(), Y: w.din[0], X: w.dout, Sigma: w.in[1]}}
}

// MLPInput is what a network for vectors sees of x (N, D) and sigma (N): (N, D+1),
//
//	h = [x / sqrt(sigma^2 + SD^2), ln sigma]
//
// Nothing upstream is trained: its gradient by x is for vector-Jacobian products.
type MLPInput struct {
	SD float64

	noHidden
}

func (l MLPInput) String() string      { return fmt.Sprintf("mlp_input sd=%g", l.SD) }
func (MLPInput) gradients() []gradient { return []gradient{computed, none} }

func (MLPInput) output(in shapes) (tensor.Shape, error) {
	return tensor.Shape{in[0][0], in[0][1] + 1}, nil
}

func (l MLPInput) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.MLPInput{N: in.rows(), Y: w.out, X: w.in[0], Sigma: w.in[1], SD: l.SD}}
}

func (l MLPInput) backward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.MLPInputGrad{N: in.rows(), DX: w.din[0], DY: w.dout, Sigma: w.in[1], SD: l.SD}}
}

// Embedding is the sines and cosines of the phases of a noise level; its inputs are the level, a number for each row (N),
// and the frequencies (F), which are not trained either. See [kernels.Embedding] for the phases.
type Embedding struct {
	Fourier bool // else positional
	Values  int  // of a row: 2F, or 2F+1 of which the last is 0

	noHidden
	noBackward
}

func (l Embedding) String() string {
	return fmt.Sprintf("embedding fourier=%t values=%d", l.Fourier, l.Values)
}
func (Embedding) gradients() []gradient { return []gradient{none, none} }

func (l Embedding) output(in shapes) (tensor.Shape, error) {
	if f := in[1][0]; l.Values/2 != f {
		return nil, fmt.Errorf("%d frequencies do not make %d values", f, l.Values)
	}
	return tensor.Shape{in[0][0], l.Values}, nil
}

func (l Embedding) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.Embedding{N: in.rows(), Y: w.out, Cond: w.in[0], Freq: w.in[1], Fourier: l.Fourier}}
}
