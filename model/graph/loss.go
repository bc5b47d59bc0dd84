// The loss.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Loss is the weighted denoising score matching loss of the score s and the noise z (N, ...) at sigma (N), a scalar:
//
//	1/N sum_n  1/2 lambda(sigma_n) |s_n + z_n/sigma_n|^2
//
// Further inputs are the factors (N) of a weight that has some, and the mask of one that is masked, like s. Its hidden
// buffer 0 is the loss of each row (N).
type Loss struct{ Weight kernels.Weight }

func (l Loss) String() string {
	text := fmt.Sprintf("loss sigma^%g", l.Weight.Power)
	if l.Weight.SD != 0 {
		text += fmt.Sprintf(" (1 + (sigma/%g)^2)", l.Weight.SD)
	}
	if l.Weight.Scale != 0 {
		text += fmt.Sprintf(" %g", l.Weight.Scale)
	}
	if l.Weight.Factors {
		text += " factors"
	}
	if l.Weight.Masked {
		text += " masked"
	}
	return text
}

func (l Loss) output(in shapes) (tensor.Shape, error) {
	if !in[0].Eq(in[1]) {
		return nil, fmt.Errorf("score %v and noise %v differ", in[0], in[1])
	}
	return tensor.ScalarShape(), nil
}

func (l Loss) hidden(in shapes) []hidden { return []hidden{{words: in.rows(), kept: true}} }

func (l Loss) gradients() []gradient {
	list := []gradient{computed, none, none}
	for _, has := range []bool{l.Weight.Factors, l.Weight.Masked} {
		if has {
			list = append(list, none)
		}
	}
	return list
}

// optional returns the windows of the factors and of the mask, absent where there are none.
func (l Loss) optional(w windows) (factor, mask kernels.Buf) {
	rest := w.in[3:]
	if l.Weight.Factors {
		factor, rest = rest[0], rest[1:]
	}
	if l.Weight.Masked {
		mask = rest[0]
	}
	return factor, mask
}

func (l Loss) forward(in shapes, w windows) []kernels.Op {
	factor, mask := l.optional(w)
	return []kernels.Op{kernels.Loss{N: in.rows(), Mean: w.out, PerRow: w.hidden[0], S: w.in[0], Z: w.in[1],
		Sigma: w.in[2], Factor: factor, Mask: mask, Weight: l.Weight}}
}

func (l Loss) backward(in shapes, w windows) []kernels.Op {
	factor, mask := l.optional(w)
	return []kernels.Op{kernels.LossGrad{N: in.rows(), DS: w.din[0], S: w.in[0], Z: w.in[1], Sigma: w.in[2],
		DMean: w.dout, Factor: factor, Mask: mask, Weight: l.Weight}}
}
