// Group norm.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// GroupNorm is a norm over each image's pixels and groups of successive channels, with Swish the swish of its result.
// Its inputs are x (N, H, W, C), gamma and beta (C).
type GroupNorm struct {
	Groups int // 0: [Groups] of the channels
	Swish  bool
}

// Groups is the number of groups that NCSN++ divides so many channels into: 32, and fewer below 128 channels. They must
// divide the channels.
func Groups(channels int) int { return min(channels/4, 32) }

func (l GroupNorm) String() string {
	return fmt.Sprintf("group_norm groups=%d swish=%t", l.Groups, l.Swish)
}

func (l GroupNorm) shape(in shapes) kernels.GroupNormShape {
	x, groups := in[0], l.Groups
	if groups == 0 {
		groups = Groups(x[3])
	}
	return kernels.GroupNormShape{N: x[0], P: x[1] * x[2], C: x[3], Groups: groups}
}

func (l GroupNorm) output(in shapes) (tensor.Shape, error) {
	if s := l.shape(in); s.Groups < 1 || s.C%s.Groups != 0 {
		return nil, fmt.Errorf("a group norm of %d channels has %d groups, which must be at least 1 and divide the channels",
			s.C, s.Groups)
	}
	return in[0], nil
}

// hidden lists the statistics. The forward reads them again itself, so they are there without a backward too.
func (l GroupNorm) hidden(in shapes) []hidden {
	s := l.shape(in)
	return []hidden{{words: s.N * s.Groups}, {words: s.N * s.Groups}}
}

func (GroupNorm) gradients() []gradient { return []gradient{computed, computed, computed} }

func (l GroupNorm) forward(in shapes, w windows) []kernels.Op {
	return []kernels.Op{kernels.GroupNorm{GroupNormShape: l.shape(in), Swish: l.Swish, Y: w.out, X: w.in[0],
		Gamma: w.in[1], Beta: w.in[2], GroupStats: kernels.GroupStats{Mean: w.hidden[0], Rstd: w.hidden[1]}}}
}

func (l GroupNorm) backward(in shapes, w windows) []kernels.Op {
	op := kernels.GroupNormGrad{GroupNormShape: l.shape(in), Swish: l.Swish, DX: w.din[0], DGamma: w.din[1],
		DBeta: w.din[2], X: w.in[0], DY: w.dout, Gamma: w.in[1],
		GroupStats: kernels.GroupStats{Mean: w.hidden[0], Rstd: w.hidden[1]}}
	if l.Swish {
		op.Beta = w.in[2]
	}
	return []kernels.Op{op}
}
