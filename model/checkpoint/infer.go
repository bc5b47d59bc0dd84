// Which network a file's parameters are of, where the file does not say.

package checkpoint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gorgonia.org/tensor"

	"sigmaz/model"
)

// anySize is a height and width that every network for images takes, of as many levels as there may be: its parameters do
// not depend on them.
const anySize = 1 << 15

// Infer returns the network that a file without a configuration holds, which its weights called prefix+NAME tell where it
// does not say: see [Infer].
func (w *Weights) Infer(prefix, net string) (model.Config, error) {
	switch {
	case w.Network == nil:
		return Infer(w, prefix, net, len(w.Ladder.Sigmas))
	case net != "" && net != w.Network.Net:
		return model.Config{}, fmt.Errorf("it holds network %s, and not %s: leave `net` out", w.Network.Net, net)
	}
	return *w.Network, nil
}

// Infer finds the network that the tensors called prefix+NAME are the parameters of: which one, unless net says so, its
// channels, width and norm. levels is the number of noise levels where it is known, or 0.
//
// The image size, the nonlinearity and the range of the data leave no mark on parameters; they are not set.
func Infer(set model.TensorSet, prefix, net string, levels int) (model.Config, error) {
	shapes := map[string]tensor.Shape{}
	for _, d := range set.Described(prefix) {
		if d.IsFloat() {
			shapes[strings.TrimPrefix(d.Name, prefix)] = d.Shape
		}
	}
	candidates, err := model.Recognise(shapes, levels)
	if err != nil {
		return model.Config{}, err
	}
	if nets := model.ImageNetworks(); net != "" && !slices.Contains(nets, net) {
		return model.Config{}, fmt.Errorf("network %q is none for images: expected one of %s", net,
			strings.Join(nets, ", "))
	}
	// The network asked for, or that with the fewest names amiss.
	var best model.Config
	var params []*model.Param
	var invalid error
	other := "" // a network that was not asked for, and fits
	fewest := -1
	for _, c := range candidates {
		p, err := paramsOf(c)
		if err != nil { // it is not one of these
			invalid = cmp.Or(invalid, err)
			continue
		}
		wrong := len(shapes)
		for _, p := range p {
			if _, ok := shapes[p.Name]; ok {
				wrong--
			} else {
				wrong++
			}
		}
		switch {
		case net != "" && c.Net != net:
			if wrong == 0 {
				other = c.Net
			}
		case fewest < 0 || wrong < fewest:
			best, params, fewest = c, p, wrong
		}
	}
	if fewest != 0 && other != "" {
		return model.Config{}, fmt.Errorf("the tensors are not those of network %s but those of %s: give `net` "+
			"%[2]s, or leave it out", net, other)
	}
	if fewest < 0 && invalid != nil {
		return model.Config{}, invalid
	}
	if err := model.Fit(params, set, prefix); err != nil {
		if net == "" {
			return model.Config{}, fmt.Errorf("network %s is nearest, but %w", best.Net, err)
		}
		return model.Config{}, fmt.Errorf("network %s: %w", best.Net, err)
	}
	return best, nil
}

// paramsOf lists the parameters of a network whose image size, and number of levels where it matters, may be unknown.
func paramsOf(c model.Config) ([]*model.Param, error) {
	if c.Height == 0 {
		c.Height, c.Width = anySize, anySize
	}
	if c.NeedsLevels() {
		c.Levels = max(c.Levels, 1)
	}
	return c.Params()
}
