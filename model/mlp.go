// The score network for vectors: a multilayer perceptron that sees the noise level,
//
//	h = [x / sqrt(sigma^2 + sd^2), ln sigma]        s(x, sigma) = f(h) / sigma
//
// f has three hidden layers with softplus between them. The input keeps unit size at every level; sd is the standard
// deviation of the data. (Song and Ermon 2019 use such a network, without the level, for their toy data; one that does
// not see sigma cannot learn two-dimensional data, where the noise does not show its size.)

package model

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model/graph"
)

const mlpHiddenLayers = 3

func validateMLP(c Config) error {
	switch {
	case c.Hidden < 1:
		return setting.Errorf("hidden", "is %d: expected at least 1 unit a layer", c.Hidden)
	case c.D() == 0:
		return nil
	case c.Height != 1 || c.Width != 1:
		return fmt.Errorf("network mlp is for vectors, but the data are images of %d x %d: use `net` ncsnv2",
			c.Height, c.Width)
	case !(c.DataSD > 0):
		return fmt.Errorf("data_sd is %g: expected the positive standard deviation of the data", c.DataSD)
	}
	return nil
}

func mlpLayer(i int) string { return fmt.Sprintf("layers.%d", i) }

func paramsMLP(c Config) []*Param {
	var l paramList
	in := c.D() + 1
	for i := range mlpHiddenLayers {
		l.linear(mlpLayer(i), in, c.Hidden)
		in = c.Hidden
	}
	l.linear(mlpLayer(mlpHiddenLayers), in, c.D())
	return l.list
}

func scoreMLP(b *builder, c Config, x *gorgonia.Node) *gorgonia.Node {
	h := b.node(graph.MLPInput{SD: c.DataSD}, "input", x, b.sigma())
	for i := range mlpHiddenLayers {
		h = b.conv(mlpLayer(i), 1, h)
		h = b.node(graph.Activation{F: kernels.Softplus}, fmt.Sprintf("act.%d", i), h)
	}
	h = b.conv(mlpLayer(mlpHiddenLayers), 1, h)
	return b.divSigma(c, h)
}
