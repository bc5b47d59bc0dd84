// Self-attention.

package graph

import (
	"fmt"
	"math"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Attention is self-attention of one head over the pixels of each image: its inputs are queries, keys and values, all
// (N, H, W, C), and pixel i of its output is the sum of the values with the weights
//
//	softmax over j of (query i . key j) C^-1/2
type Attention struct{}

func (Attention) String() string        { return "attention" }
func (Attention) gradients() []gradient { return []gradient{computed, computed, computed} }

func (Attention) output(in shapes) (tensor.Shape, error) {
	for _, s := range in[1:] {
		if !s.Eq(in[0]) {
			return nil, fmt.Errorf("attention needs queries, keys and values of one shape, got %v, %v and %v", in[0], in[1], in[2])
		}
	}
	return in[0], nil
}

func (Attention) shape(in shapes) kernels.AttentionShape {
	x := in[0]
	return kernels.AttentionShape{N: x[0], P: x[1] * x[2], C: x[3]}
}

func (Attention) scale(s kernels.AttentionShape) float32 { return float32(1 / math.Sqrt(float64(s.C))) }

// hidden lists the weights, and room for their gradient.
func (l Attention) hidden(in shapes) []hidden {
	s := l.shape(in)
	return []hidden{{words: s.N * s.P * s.P}, {words: s.N * s.P * s.P, forBackward: true}}
}

func (l Attention) forward(in shapes, w windows) []kernels.Op {
	s, weights := l.shape(in), w.hidden[0]
	return []kernels.Op{
		kernels.AttentionScores{AttentionShape: s, S: weights, A: w.in[0], B: w.in[1], Scale: l.scale(s)},
		kernels.Softmax{N: s.N, D: s.P, Y: weights, X: weights},
		kernels.AttentionMix{AttentionShape: s, Y: w.out, S: weights, X: w.in[2], Scale: 1},
	}
}

// backward computes the gradients that are asked for.
func (l Attention) backward(in shapes, w windows) (ops []kernels.Op) {
	s, weights, grad := l.shape(in), w.hidden[0], w.hidden[1]
	q, k, v := w.in[0], w.in[1], w.in[2]
	if w.din[2].N > 0 {
		ops = append(ops, kernels.AttentionMix{AttentionShape: s, Y: w.din[2], S: weights, X: w.dout, Transposed: true, Scale: 1})
	}
	if w.din[0].N+w.din[1].N == 0 {
		return ops
	}
	ops = append(ops,
		kernels.AttentionScores{AttentionShape: s, S: grad, A: w.dout, B: v, Scale: 1},
		kernels.SoftmaxGrad{N: s.N, D: s.P, DX: grad, DY: grad, Y: weights})
	if w.din[0].N > 0 {
		ops = append(ops, kernels.AttentionMix{AttentionShape: s, Y: w.din[0], S: grad, X: k, Scale: l.scale(s)})
	}
	if w.din[1].N > 0 {
		ops = append(ops, kernels.AttentionMix{AttentionShape: s, Y: w.din[1], S: grad, X: q, Transposed: true,
			Scale: l.scale(s)})
	}
	return ops
}
