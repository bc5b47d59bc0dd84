// Instance norms, with their parameters given or looked up by the noise level.

package graph

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
)

// Norm is a norm over each image's pixels, channel by channel; its inputs are x (N, H, W, C) and
//
//	instance norm++      alpha, gamma, beta (C) each
//	conditional          a table (L, 3C), or without alpha (L, 2C), and the level (N) uint32, which picks a row of it
//	instance norm        nothing more
type Norm struct {
	Plus    bool    // instance norm++
	Levels  int     // rows of the table of a conditional norm; 0: unconditional
	Epsilon float64 // 0: 1e-5
}

func (l Norm) String() string {
	return fmt.Sprintf("instance_norm plus=%t levels=%d epsilon=%g", l.Plus, l.Levels, l.Epsilon)
}

func (Norm) shape(in shapes) kernels.NormShape {
	return pixels(in[0])
}

func (l Norm) output(in shapes) (tensor.Shape, error) {
	if l.Plus && in[0][3] < 2 {
		return nil, fmt.Errorf("%v: needs at least 2 channels for the variance over channels, got %d", l, in[0][3])
	}
	return in[0], nil
}

// hidden lists the statistics. The forward reads them again itself, so they are there without a backward too.
func (l Norm) hidden(in shapes) []hidden {
	s := l.shape(in)
	return []hidden{{words: s.N * s.C}, {words: s.N * s.C}, {words: s.N * s.C}, {words: s.N}}
}

func (Norm) stats(h []kernels.Buf) kernels.NormStats {
	return kernels.NormStats{Mean: h[0], Rstd: h[1], MuHat: h[2], Q: h[3]}
}

func (l Norm) gradients() []gradient {
	switch {
	case l.Levels > 0:
		return []gradient{computed, computed, none}
	case l.Plus:
		return []gradient{computed, computed, computed, computed}
	}
	return []gradient{computed}
}

func (l Norm) forward(in shapes, w windows) []kernels.Op {
	op := kernels.Norm{NormShape: l.shape(in), Y: w.out, X: w.in[0], Eps: l.Epsilon, NormStats: l.stats(w.hidden)}
	switch {
	case l.Levels > 0:
		op.Embed, op.Level, op.Levels = w.in[1], w.in[2], l.Levels
	case l.Plus:
		op.Alpha, op.Gamma, op.Beta = w.in[1], w.in[2], w.in[3]
	}
	return []kernels.Op{op}
}

func (l Norm) backward(in shapes, w windows) []kernels.Op {
	op := kernels.NormGrad{NormShape: l.shape(in), DX: w.din[0], X: w.in[0], DY: w.dout, NormStats: l.stats(w.hidden)}
	switch {
	case l.Levels > 0:
		op.DEmbed, op.Embed, op.Level, op.Levels = w.din[1], w.in[1], w.in[2], l.Levels
	case l.Plus:
		op.DAlpha, op.DGamma, op.DBeta, op.Alpha, op.Gamma = w.din[1], w.din[2], w.din[3], w.in[1], w.in[2]
	}
	return []kernels.Op{op}
}
