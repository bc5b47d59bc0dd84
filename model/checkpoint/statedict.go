// State_dicts: a network's weights alone, in one safetensors file. What is written here is for
//
//	net.load_state_dict(safetensors.torch.load_file(FILE), strict=True)
//
// with the original class: its names, its shapes (O, I, kH, kW), and its buffer of the ladder where it has one.

package checkpoint

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/nlpodyssey/safetensors"

	"sigmaz/model"
)

// StateFile is what [WriteStateDict] writes.
type StateFile struct {
	Network model.Config
	Sigmas  model.Ladder
	Prefix  string // before every name: "" or "module."
	// Config is the run's configuration, YAML, and Step the step of the weights. They stand in the file's metadata,
	// which PyTorch passes over.
	Config string
	Step   uint64
}

// WriteStateDict writes the weights called prefix+NAME in set, bit for bit where they are float32. It holds one tensor
// at a time.
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
		v := lazyView{shape: []uint64{}, count: e.Shape.TotalSize(),
			read: func(dst []float32) error { return set.ReadTensor(prefix+e.Name, dst) }}
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

// addStateDict adds the tensors of a state_dict in safetensors, whose header is h, and what this program keeps in the
// metadata of its own.
func (w *Weights) addStateDict(f io.ReaderAt, h *header) error {
	w.Config = h.meta[configKey]
	if _, err := fmt.Sscan(h.meta[stepKey], &w.Step); err == nil {
		w.Stepped = true
	}
	names := make([]string, len(h.infos))
	for i, info := range h.infos {
		names[i] = info.name
	}
	cut := modulePrefix(names)
	dtypes := map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F64: "float64",
		safetensors.I64: "int64"}
	for _, i := range h.infos {
		read := func(dst []float32) error {
			t, err := h.tensor(f, io.Discard, i, make([]byte, min(i.e-i.s, 1<<20)))
			if err != nil {
				return err
			}
			return model.NamedSet{{Name: i.name, T: t}}.ReadTensor(i.name, dst)
		}
		if err := w.addOrSigmas(strings.TrimPrefix(i.name, cut), dtypes[i.dtype], i.shape, read); err != nil {
			return err
		}
	}
	return nil
}
