// A network's weights as PyTorch's state_dict in one safetensors file, for
//
//	net.load_state_dict(safetensors.torch.load_file(FILE), strict=True)
//
// with the original class: its names, its shapes (O, I, kH, kW), and its buffer of the ladder where it has one.
package checkpoint

import (
	"fmt"
	"io"
	"sigmaz/model"
	"slices"
	"strconv"
	"strings"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"
)

// StateFile is what [WriteStateDict] writes.
type StateFile struct {
	Network model.Config
	Sigmas  model.Ladder
	Prefix  string // before every name: "" or "module."
	// What this program keeps in the file's metadata, which PyTorch passes over: the run's configuration, YAML, and the step
	// of the weights.
	Config string
	Step   uint64
}

// WriteStateDict writes the weights called prefix+NAME in set, bit for bit where they are float32. Beside the largest tensor
// nothing is held.
func WriteStateDict(w io.Writer, f StateFile, set model.TensorSet, prefix string) error {
	entries, err := f.Network.StateDict(len(f.Sigmas))
	if err != nil {
		return err
	}
	params, err := f.Network.Params()
	if err != nil {
		return err
	}
	if err := model.Fit(params, set, prefix); err != nil {
		return err
	}
	views := make(map[string]lazyView, len(entries))
	for _, e := range entries {
		v := lazyView{shape: []uint64{}, count: e.Shape.TotalSize(), read: func(dst []float32) error { return set.ReadTensor(prefix+e.Name, dst) }}
		for _, d := range e.Shape {
			v.shape = append(v.shape, uint64(d))
		}
		if e.Name == sigmasBuffer {
			v.read = func(dst []float32) error { copy(dst, f.Sigmas); return nil }
		}
		v.err = new(error)
		views[f.Prefix+e.Name] = v
	}
	meta := map[string]string{formatKey: "pt"} // as PyTorch's own writer has it
	if f.Config != "" {
		meta[configKey], meta[stepKey] = f.Config, strconv.FormatUint(f.Step, 10)
	}
	if err := safetensors.SerializeToWriter(views, meta, w); err != nil {
		return err
	}
	for _, v := range views {
		if *v.err != nil {
			return *v.err
		}
	}
	return nil
}

// lazyView is one tensor as safetensors' writer asks for it, read when it is about to be written.
type lazyView struct {
	shape []uint64
	count int
	read  func(dst []float32) error
	err   *error // of reading it: Data cannot return one
}

func (v lazyView) DType() safetensors.DType { return safetensors.F32 }
func (v lazyView) Shape() []uint64          { return v.shape }
func (v lazyView) DataLen() uint64          { return 4 * uint64(v.count) }

func (v lazyView) Data() []byte {
	values := make([]float32, v.count)
	*v.err = v.read(values)
	return view{dtype: safetensors.F32, values: values, count: v.count}.Data()
}

// Infer finds the network that the tensors called prefix+NAME are the parameters of: which one, unless net says so, its
// channels, width and norm. levels is the number of noise levels where it is known, or 0. The image's size, the
// nonlinearity and the range of the data leave no mark on parameters; they are not set.
func Infer(set model.TensorSet, prefix, net string, levels int) (model.Config, error) {
	shapes := map[string]tensor.Shape{}
	for _, d := range set.Described(prefix) {
		shapes[strings.TrimPrefix(d.Name, prefix)] = d.Shape
	}
	first, ok := shapes["begin_conv.weight"]
	if !ok || len(first) != 4 {
		return model.Config{}, fmt.Errorf("the tensors are of no network that is known: they have no begin_conv.weight of four dimensions, with which all of them begin (%s)", strings.Join(model.ImageNetworks(), ", "))
	}
	if embed, ok := shapes["normalizer.embed.weight"]; ok && len(embed) == 2 {
		levels = embed[0]
	}
	nets := model.ImageNetworks()
	if net != "" && !slices.Contains(nets, net) {
		return model.Config{}, fmt.Errorf("network %q is none for images: expected one of %s", net, strings.Join(nets, ", "))
	}
	var best model.Config // the network asked for, or that with the fewest names amiss
	fewest := -1
	for _, n := range nets {
		for _, norm := range model.Normalizations() {
			c := model.Config{Net: n, NGF: first[0], Channels: first[1], Height: 64, Width: 64, Normalization: norm, Levels: max(levels, 1)}
			params, err := c.Params()
			if err != nil {
				return model.Config{}, err
			}
			wrong := len(shapes)
			for _, p := range params {
				if _, ok := shapes[p.Name]; ok {
					wrong--
				} else {
					wrong++
				}
			}
			switch {
			case net != "" && n != net && wrong == 0:
				return model.Config{}, fmt.Errorf("the tensors are not those of network %s but those of %s: give -net %[2]s, or leave it out", net, n)
			case net != "" && n != net:
			case fewest < 0 || wrong < fewest:
				best, fewest = c, wrong
			}
		}
	}
	params, err := best.Params()
	if err != nil {
		return model.Config{}, err
	}
	if err := model.Fit(params, set, prefix); err != nil {
		if net == "" {
			return model.Config{}, fmt.Errorf("network %s is nearest, but %w", best.Net, err)
		}
		return model.Config{}, fmt.Errorf("network %s: %w", best.Net, err)
	}
	best.Height, best.Width = 0, 0
	if best.Levels = levels; !best.NeedsLevels() {
		best.Levels = 0
	}
	return best, nil
}
