// State_dicts: a network's weights alone, in one safetensors file. What is written here is for
//
//	net.load_state_dict(safetensors.torch.load_file(FILE), strict=True)
//
// with the original class: its names, its shapes (O, I, kH, kW), and its buffer of the ladder where it has one.

package checkpoint

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"

	"sigmaz/internal/float16"
	"sigmaz/model"
)

// StateFile is what [WriteStateDict], [WriteDiffusers] and [WriteHuggingFace] write.
type StateFile struct {
	Network model.Config
	Sigmas  model.Ladder
	Prefix  string // before every name of a state_dict: "" or "module."
	// Half asks [WriteStateDict] for weights in float16, which keeps 11 bits of each in half the space.
	Half bool
	// Begin and End are the ladder's ends as they were given, for the folders.
	Begin, End float64
	// Config is the run's configuration, YAML, and Step the step of the weights, where Stepped says that it is known. They
	// stand in the file's metadata, which PyTorch passes over.
	Config  string
	Step    uint64
	Stepped bool
}

// meta is the metadata of the file.
func (f StateFile) meta() map[string]string {
	meta := map[string]string{formatKey: "pt"} // as PyTorch's own writer has it
	if f.Config != "" {
		meta[programKey] = formatVersion
		meta[configKey] = f.Config
		if f.Stepped {
			meta[stepKey] = strconv.FormatUint(f.Step, 10)
		}
	}
	return meta
}

// WriteStateDict writes the weights called prefix+NAME in set, bit for bit where they are float32, or rounded to
// float16. It holds one tensor at a time.
func WriteStateDict(w io.Writer, f StateFile, set model.TensorSet, prefix string) error {
	dict, err := f.Network.StateDict(len(f.Sigmas))
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
	var entries []stateEntry
	for _, e := range dict {
		entry := stateEntry{name: f.Prefix + e.Name, shape: e.Shape, half: f.Half,
			read: func(dst []float32) error { return set.ReadTensor(prefix+e.Name, dst) }}
		if e.Name == sigmasBuffer {
			entry.read, entry.half = func(dst []float32) error { copy(dst, f.Sigmas); return nil }, false
		}
		entries = append(entries, entry)
	}
	return writeState(w, entries, f.meta())
}

// stateEntry is a tensor to be written.
type stateEntry struct {
	name  string
	shape tensor.Shape
	read  func(dst []float32) error
	half  bool // in float16, not float32
}

// writeState writes tensors as a safetensors file, one at a time.
func writeState(w io.Writer, entries []stateEntry, meta map[string]string) error {
	views := make(map[string]lazyView, len(entries))
	for _, e := range entries {
		v := lazyView{name: e.name, dtype: safetensors.F32, shape: []uint64{}, count: e.shape.TotalSize(), read: e.read,
			err: new(error)}
		if e.half {
			v.dtype = safetensors.F16
		}
		for _, d := range e.shape {
			v.shape = append(v.shape, uint64(d))
		}
		views[e.name] = v
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
	name  string
	dtype safetensors.DType // F32 or F16
	shape []uint64
	count int
	read  func(dst []float32) error
	err   *error // of reading it: Data cannot return one
}

func (v lazyView) DType() safetensors.DType { return v.dtype }
func (v lazyView) Shape() []uint64          { return v.shape }
func (v lazyView) DataLen() uint64          { return uint64(v.count) * v.dtype.Size() }

func (v lazyView) Data() []byte {
	values := make([]float32, v.count)
	*v.err = v.read(values)
	if v.dtype == safetensors.F32 {
		return view{dtype: v.dtype, values: values, count: v.count}.Data()
	}
	out := make([]byte, 0, v.DataLen())
	for _, x := range values {
		h := float16.FromFloat32(x)
		if math.IsInf(float64(float16.ToFloat32(h)), 0) && !math.IsInf(float64(x), 0) {
			*v.err = fmt.Errorf("tensor %s holds %g: float16 ends at 65504; write it in float32", v.name, x)
		}
		out = binary.LittleEndian.AppendUint16(out, h)
	}
	return out
}

// addStateDict adds the tensors of a state_dict in safetensors, whose header is h, and what this program keeps in the
// metadata of its own.
func (w *Weights) addStateDict(f io.ReaderAt, h *header) error {
	if isOurs(h.meta) {
		w.Config = h.meta[configKey]
		if _, err := fmt.Sscan(h.meta[stepKey], &w.Step); err == nil {
			w.Stepped = true
		}
	} else if _, ok := h.meta[configKey]; ok {
		w.PassedOver = append(w.PassedOver, "its metadata's "+configKey+", of another program")
	}
	names := make([]string, len(h.infos))
	for i, info := range h.infos {
		names[i] = info.name
	}
	cut := wrapperOf(names)
	for _, i := range h.infos {
		read := func(dst []float32) error {
			t, err := h.tensor(f, io.Discard, i, make([]byte, min(i.e-i.s, 1<<20)))
			if err != nil {
				return err
			}
			return model.NamedSet{{Name: i.name, T: t}}.ReadTensor(i.name, dst)
		}
		if _, err := w.addOf(ParamPrefix, strings.TrimPrefix(i.name, cut), dtypeNames[i.dtype], i.shape, read); err != nil {
			return err
		}
	}
	return nil
}

// isOurs says whether this program wrote the metadata of a state_dict. Files of before programKey are told by the step
// beside a configuration with the parts of a run's.
func isOurs(meta map[string]string) bool {
	if strings.HasPrefix(meta[programKey], formatPrefix) {
		return true
	}
	config := "\n" + meta[configKey]
	return meta[stepKey] != "" && strings.Contains(config, "\nnetwork:") && strings.Contains(config, "\nsigma:")
}

// dtypeNames are PyTorch's names of the types in safetensors.
var dtypeNames = map[safetensors.DType]string{safetensors.BOOL: "bool", safetensors.U8: "uint8",
	safetensors.I8: "int8", safetensors.I16: "int16", safetensors.U16: "uint16", safetensors.F16: "float16",
	safetensors.BF16: "bfloat16", safetensors.I32: "int32", safetensors.U32: "uint32", safetensors.F32: "float32",
	safetensors.F64: "float64", safetensors.I64: "int64", safetensors.U64: "uint64"}
