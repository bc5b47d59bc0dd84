// Weights of a network in a file of any kind: a checkpoint of this program, a state_dict in safetensors, or what
// torch.save wrote. Whatever the file, its tensors have the names of a checkpoint (param.NAME, ema.NAME, adam_m.NAME,
// adam_v.NAME), and they stay in the file until they are read.

package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"gorgonia.org/tensor"

	"sigmaz/internal/pytorch"
	"sigmaz/model"
)

// Weights is an open file with a network's weights. It is a [model.TensorSet].
type Weights struct {
	Path string
	File string // where the weights lie: Path, or a file in that folder
	Kind string // one of the Kind constants, for messages

	Config string // the run's configuration, YAML; "" where the file has none
	// Step is the number of optimiser steps behind the weights, by Adam's own count where the file has it. Stepped says
	// whether anything in the file tells the step.
	Step    uint64
	Stepped bool
	// Ladder is what the file keeps as the buffer "sigmas".
	Ladder model.KeptLadder
	// Adam is the settings of Adam in the file, nil where it has none.
	Adam *AdamState
	// Network is the network, where the file says so and is none of this program's; nil otherwise.
	Network *model.Config
	// PassedOver names what the file holds beside all this: keys, and tensors that can be no weights, because they are
	// empty or of whole numbers.
	PassedOver []string

	tensors []lazyTensor
	index   map[string]int // of a name in tensors
	close   func() error
}

// The kinds of files.
const (
	KindCheckpoint = "checkpoint"         // of this program
	KindStateDict  = "state_dict"         // weights alone, of either program
	KindPyTorch    = "PyTorch checkpoint" // of the original repositories
	KindDiffusers  = "diffusers folder"   // weights alone, in the form of that library
)

// lazyTensor is a tensor that is read when its values are asked for.
type lazyTensor struct {
	model.Described
	read func(dst []float32) error
}

// floats are the number formats that weights may have, by PyTorch's names, with the bits of their significands.
var floats = map[string]int{"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}

// sigmasBuffer is the name of the ladder in the state_dict of NCSNv2's classes.
const sigmasBuffer = "sigmas"

// OpenWeights opens a file of any kind, or a folder of diffusers or of Hugging Face's hub; it tells them apart by their
// content. An error is one sentence that names the file; about the content of a safetensors file it is a [*FileError].
func OpenWeights(path string) (*Weights, error) {
	w, err := openWeights(path)
	if err == nil && w.File == "" {
		w.File = path
	}
	return w, err
}

// ReadWeights opens a safetensors file of that size that need not be a file of the system; name stands for its path.
func ReadWeights(name string, file io.ReaderAt, size int64) (*Weights, error) {
	w, err := openSafetensors(name, file, size)
	if err != nil {
		return nil, err
	}
	w.File, w.close = name, func() error { return nil }
	return w, nil
}

func openWeights(path string) (*Weights, error) {
	if IsDiffusers(path) {
		return openDiffusers(path)
	}
	if isHub(path) {
		return OpenWeights(filepath.Join(path, hubWeights))
	}
	f, size, err := open(path)
	if err != nil {
		return nil, err
	}
	start := make([]byte, min(size, 64))
	if _, err := f.ReadAt(start, 0); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot read %s: %w", path, err)
	}
	if pytorch.Is(start) {
		f.Close()
		return openPyTorch(path)
	}
	w, err := openSafetensors(path, f, size)
	if err != nil {
		f.Close()
		return nil, err
	}
	w.close = f.Close
	return w, nil
}

// Close closes the file. Nothing can be read after it.
func (w *Weights) Close() error { return w.close() }

// Has says whether there are tensors whose names start with prefix.
func (w *Weights) Has(prefix string) bool { return len(w.Described(prefix)) > 0 }

// ListPassedOver writes [Weights.PassedOver] on one line, "" where nothing was passed over.
func ListPassedOver(names []string) string {
	const most = 8
	if n := len(names); n > most {
		return fmt.Sprintf("%s, and %d more", strings.Join(names[:most], ", "), n-most)
	}
	return strings.Join(names, ", ")
}

// Described lists the tensors whose names start with prefix.
func (w *Weights) Described(prefix string) []model.Described {
	var list []model.Described
	for _, t := range w.tensors {
		if strings.HasPrefix(t.Name, prefix) {
			list = append(list, t.Described)
		}
	}
	return list
}

// ReadTensor fills dst with the values of the tensor of that full name.
func (w *Weights) ReadTensor(name string, dst []float32) error {
	i, ok := w.index[name]
	if !ok {
		return fmt.Errorf("%s has no tensor %s", w.Path, name)
	}
	t := w.tensors[i]
	if n := t.Shape.TotalSize(); n != len(dst) {
		return fmt.Errorf("%s: tensor %s has %d values, %d were asked for", w.Path, name, n, len(dst))
	}
	return t.read(dst)
}

// Tensors reads the tensors whose names start with one of the prefixes, as float32.
func (w *Weights) Tensors(prefixes ...string) ([]model.Named, error) {
	var list []model.Named
	for _, prefix := range prefixes {
		for _, d := range w.Described(prefix) {
			values := make([]float32, d.Shape.TotalSize())
			if err := w.ReadTensor(d.Name, values); err != nil {
				return nil, err
			}
			t := tensor.New(tensor.WithShape(d.Shape...), tensor.WithBacking(values))
			if len(d.Shape) == 0 {
				t = tensor.New(tensor.FromScalar(values[0]))
			}
			list = append(list, model.Named{Name: d.Name, T: t})
		}
	}
	return list, nil
}

// add adds a tensor by its name in a checkpoint.
func (w *Weights) add(name, dtype string, shape []int, read func([]float32) error) error {
	if _, twice := w.index[name]; twice {
		return fmt.Errorf("has two tensors named %s", name)
	}
	if w.index == nil {
		w.index = map[string]int{}
	}
	w.index[name] = len(w.tensors)
	w.tensors = append(w.tensors, lazyTensor{model.Described{Name: name, Shape: append(tensor.Shape{}, shape...),
		DType: dtype}, read})
	return nil
}

// openSafetensors opens a checkpoint of sigmaz, or a state_dict: the size bytes of f.
func openSafetensors(path string, f io.ReaderAt, size int64) (*Weights, error) {
	h, err := readHeader(path, f, size)
	if errors.Is(err, ErrNotSafetensors) {
		return nil, &FileError{path, ErrNotSafetensors,
			"is neither a .safetensors file nor a .pth file of torch.save: give a checkpoint from a run's " +
				"checkpoints folder, or a state_dict"}
	}
	if err != nil {
		return nil, err
	}
	w := &Weights{Path: path, Kind: KindStateDict}
	if strings.HasPrefix(h.meta[formatKey], formatPrefix) || h.meta[checksumKey] != "" {
		c, err := decodeCheckpoint(path, f, size)
		if err != nil {
			return nil, err
		}
		w.Kind, w.Config, w.Step, w.Stepped = KindCheckpoint, c.Config, c.Step, true
		for _, nt := range c.Tensors {
			read := func(dst []float32) error { return model.NamedSet{nt}.ReadTensor(nt.Name, dst) }
			if err := w.add(nt.Name, nt.T.Dtype().String(), nt.T.Shape(), read); err != nil {
				return nil, fmt.Errorf("%s %w", path, err)
			}
		}
		return w, nil
	}
	if err := w.addStateDict(f, h); err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return w, nil
}

// addOf adds a tensor of a state_dict under prefix+name: a parameter or its moving average, or the buffer with the
// ladder, which is none. It says whether the tensor can be a parameter.
func (w *Weights) addOf(prefix, name, dtype string, shape []int, read func([]float32) error) (param bool, err error) {
	empty := slices.Contains(shape, 0)
	if beside := empty || floats[dtype] == 0; beside && prefix == ParamPrefix {
		w.PassedOver = append(w.PassedOver, fmt.Sprintf("%s (%s %s)", name, dtype, model.ShapeText(shape)))
	}
	switch {
	case empty:
		return false, nil
	case floats[dtype] == 0: // where the network wants one of that name, the error says what it is
		return false, w.add(prefix+name, dtype, shape, read)
	case name != sigmasBuffer || len(shape) != 1:
		return true, w.add(prefix+name, dtype, shape, read)
	case prefix != ParamPrefix:
		return false, nil
	}
	sigmas := make([]float32, shape[0])
	if err := read(sigmas); err != nil {
		return false, err
	}
	w.Ladder = model.KeptLadder{Sigmas: make([]float64, len(sigmas)), Bits: min(floats[dtype], model.SingleBits)}
	for i, s := range sigmas {
		w.Ladder.Sigmas[i] = float64(s)
	}
	return false, nil
}

// wrappers are the prefixes that programs put before all names of a network: DataParallel, torch.compile, Lightning and
// others by the name of the attribute that holds the network.
var wrappers = []string{"module.", "_orig_mod.", "model.", "net.", "network.", "score.", "score_model.", "score_net."}

// wrapperOf returns what stands before all names: some of the wrappers, one after the other, or "".
func wrapperOf(names []string) (prefix string) {
	for len(names) > 0 {
		i := slices.IndexFunc(wrappers, func(more string) bool {
			return !slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix+more) })
		})
		if i < 0 {
			break
		}
		prefix += wrappers[i]
	}
	return prefix
}
