// Weights from files: a checkpoint of sigmaz, a state_dict in safetensors, or what torch.save wrote. Whatever the file, its
// tensors go by the names of our checkpoints,
//
//	param.NAME               parameters, by their names in the state_dict
//	ema.NAME                 their moving average
//	adam_m.NAME, adam_v.NAME Adam's moments
//
// and lie in the file until they are read. The checkpoints of the original repositories are lists,
//
//	NCSN     [model state_dict, Adam state_dict]
//	NCSNv2   [model state_dict, Adam state_dict, epoch, step, EMA dict]      EMA only where it was on
//
// in which the model's names begin with "module." (DataParallel) and those of the EMA do not; Adam's state goes by a
// parameter's place in the order of the state_dict, buffers left out. score_sde_pytorch writes a dict {model, optimizer,
// ema, step}, others a state_dict alone.
package checkpoint

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/nlpodyssey/safetensors"
	"gorgonia.org/tensor"

	"sigmaz/internal/pytorch"
	"sigmaz/model"
)

// Weights is an open file with a network's weights. It is a [model.TensorSet].
type Weights struct {
	Path string
	Kind string // one of the kinds below, for messages

	Config string // the run's configuration, YAML; "" where the file has none
	// Step is the number of optimiser steps behind the weights: Adam's own count where the file has it. Stepped says
	// whether anything in the file tells.
	Step    uint64
	Stepped bool
	// Sigmas is the ladder that the file keeps as the buffer "sigmas", nil where it has none.
	Sigmas []float64
	// Adam is the settings of Adam in the file, nil where it has none.
	Adam *AdamState

	tensors []stored
	places  map[string]int // of a name in tensors
	close   func() error
}

// The kinds of files.
const (
	KindCheckpoint = "checkpoint"         // of this program
	KindStateDict  = "state_dict"         // weights alone
	KindPyTorch    = "PyTorch checkpoint" // of the original repositories
)

// AdamSettings are the constants of Adam: theta <- theta - LR mhat / (sqrt(vhat) + Eps).
type AdamSettings struct{ LR, Beta1, Beta2, Eps float64 }

// AdamState is what a file says about the optimiser beside its moments.
type AdamState struct {
	AdamSettings
	Unsupported string // what it does that Adam of this program does not; "" for nothing
	err         error  // why its moments cannot be told by name; nil when they can
}

// stored is one tensor and how it is read.
type stored struct {
	model.Described
	read func(dst []float32) error
}

// The prefixes of a checkpoint's tensors.
const (
	ParamPrefix = "param."
	EMAPrefix   = "ema."
	adamM       = "adam_m."
	adamV       = "adam_v."
)

// sigmasBuffer is the name of the ladder in the state_dict of NCSNv2's classes.
const sigmasBuffer = "sigmas"

// OpenWeights opens a file of any of the three kinds, which it tells by the content. Errors are one sentence.
func OpenWeights(path string) (*Weights, error) {
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

// Described is [model.TensorSet]'s.
func (w *Weights) Described(prefix string) []model.Described {
	var list []model.Described
	for _, t := range w.tensors {
		if strings.HasPrefix(t.Name, prefix) {
			list = append(list, t.Described)
		}
	}
	return list
}

// ReadTensor is [model.TensorSet]'s.
func (w *Weights) ReadTensor(name string, dst []float32) error {
	i, ok := w.places[name]
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

// CheckAdam says in one sentence why training cannot go on with the file's Adam, nil when it can.
func (w *Weights) CheckAdam() error {
	switch {
	case w.Adam == nil && !w.Has(adamM):
		return fmt.Errorf("%s holds no state of Adam to go on with: start a new run from its weights with `init`", w.Path)
	case w.Adam != nil && w.Adam.err != nil:
		return fmt.Errorf("%s: %w; start a new run from its weights with `init`", w.Path, w.Adam.err)
	case w.Adam != nil && w.Adam.Unsupported != "":
		return fmt.Errorf("%s was trained by Adam with %s, which this program has not: start a new run from its weights with `init`", w.Path, w.Adam.Unsupported)
	}
	return nil
}

func (w *Weights) add(name, dtype string, shape []int, read func([]float32) error) error {
	if _, twice := w.places[name]; twice {
		return fmt.Errorf("has two tensors named %s", name)
	}
	if w.places == nil {
		w.places = map[string]int{}
	}
	w.places[name] = len(w.tensors)
	w.tensors = append(w.tensors, stored{model.Described{Name: name, Shape: append(tensor.Shape{}, shape...), DType: dtype}, read})
	return nil
}

// openSafetensors opens a checkpoint of sigmaz, or a state_dict: the size bytes of f.
func openSafetensors(path string, f io.ReaderAt, size int64) (*Weights, error) {
	h, err := readHeader(path, f, size)
	if errors.Is(err, ErrNotSafetensors) {
		return nil, &FileError{path, ErrNotSafetensors, "is neither a .safetensors file nor a .pth file of torch.save: give a checkpoint from a run's checkpoints folder, or a state_dict"}
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
	w.Config = h.meta[configKey]
	if _, err := fmt.Sscan(h.meta[stepKey], &w.Step); err == nil {
		w.Stepped = true
	}
	names := make([]string, len(h.infos))
	for i, info := range h.infos {
		names[i] = info.name
	}
	cut := modulePrefix(names)
	for _, i := range h.infos {
		dtype := map[safetensors.DType]string{safetensors.F32: "float32", safetensors.F64: "float64", safetensors.I64: "int64"}[i.dtype]
		read := func(dst []float32) error {
			t, err := h.tensor(f, io.Discard, i, make([]byte, min(i.e-i.s, 1<<20)))
			if err != nil {
				return err
			}
			return model.NamedSet{{Name: i.name, T: t}}.ReadTensor(i.name, dst)
		}
		if err := w.addOrSigmas(strings.TrimPrefix(i.name, cut), dtype, i.shape, read); err != nil {
			return nil, fmt.Errorf("%s %w", path, err)
		}
	}
	return w, nil
}

// addOrSigmas adds a tensor of a model's state_dict; the buffer of the ladder is no parameter.
func (w *Weights) addOrSigmas(name, dtype string, shape []int, read func([]float32) error) error {
	if name != sigmasBuffer || len(shape) != 1 {
		return w.add(ParamPrefix+name, dtype, shape, read)
	}
	sigmas := make([]float32, shape[0])
	if err := read(sigmas); err != nil {
		return err
	}
	w.Sigmas = make([]float64, len(sigmas))
	for i, s := range sigmas {
		w.Sigmas[i] = float64(s)
	}
	return nil
}

// modulePrefix is "module." where every name begins with it, as those of DataParallel do.
func modulePrefix(names []string) string {
	const prefix = "module."
	for _, name := range names {
		if !strings.HasPrefix(name, prefix) {
			return ""
		}
	}
	return prefix
}

// openPyTorch opens what torch.save wrote.
func openPyTorch(path string) (*Weights, error) {
	f, err := pytorch.Open(path)
	if err != nil {
		return nil, err
	}
	w := &Weights{Path: path, Kind: KindPyTorch, close: f.Close}
	if err := w.fromTree(f.Root); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return w, nil
}

// errTree is the error for a tree that is none of those that are known.
var errTree = errors.New("holds no checkpoint that is known: expected a state_dict, the list [model, Adam, epoch, step, EMA] of ncsn and ncsnv2, or a dict with model, optimizer, ema and step")

// fromTree finds the parts of a checkpoint.
func (w *Weights) fromTree(root any) error {
	var model, adam, ema, step any
	switch root := root.(type) {
	case *pytorch.Dict:
		if isTensors(root) {
			w.Kind, model = KindStateDict, root
			break
		}
		for _, key := range []string{"model", "state_dict"} {
			if v, ok := root.Get(key); ok && model == nil {
				model = v
			}
		}
		adam, _ = root.Get("optimizer")
		ema, _ = root.Get("ema")
		step, _ = root.Get("step")
	case *pytorch.List:
		model, adam, ema, step = parts(root.Items)
	case pytorch.Tuple:
		model, adam, ema, step = parts(root)
	}
	weights, ok := model.(*pytorch.Dict)
	if !ok || !isTensors(weights) {
		return errTree
	}
	names, err := w.addDict(weights, ParamPrefix)
	if err != nil {
		return err
	}
	if n, ok := wholeNumber(step); ok {
		w.Step, w.Stepped = n, true
	}
	if err := w.addEMA(ema, names); err != nil {
		return err
	}
	return w.addAdam(adam, names)
}

// parts are those of the list of ncsn and ncsnv2.
func parts(items []any) (model, adam, ema, step any) {
	at := func(i int) any {
		if i < len(items) {
			return items[i]
		}
		return nil
	}
	return at(0), at(1), at(4), at(3)
}

// isTensors says whether a dict is a state_dict: tensors by name, at least one.
func isTensors(d *pytorch.Dict) bool {
	for i, v := range d.Values {
		_, tensor := v.(*pytorch.Tensor)
		if _, text := d.Keys[i].(string); !tensor || !text {
			return false
		}
	}
	return len(d.Values) > 0
}

// addDict adds the tensors of a state_dict, without the ladder, and returns their names.
func (w *Weights) addDict(d *pytorch.Dict, prefix string) (names []string, err error) {
	all := make([]string, len(d.Keys))
	for i, k := range d.Keys {
		all[i] = k.(string)
	}
	cut := modulePrefix(all)
	for i, v := range d.Values {
		t, name := v.(*pytorch.Tensor), strings.TrimPrefix(all[i], cut)
		if t.Count() == 0 {
			return nil, fmt.Errorf("has an empty tensor %s %s: expected values", name, model.ShapeText(t.Shape))
		}
		add := func(n, dtype string, shape []int, read func([]float32) error) error {
			return w.add(prefix+n, dtype, shape, read)
		}
		if prefix == ParamPrefix {
			add = w.addOrSigmas
		} else if name == sigmasBuffer {
			continue
		}
		if err := add(name, t.DType.Name, t.Shape, func(dst []float32) error { return pytorch.Read(t, dst) }); err != nil {
			return nil, err
		}
		if name != sigmasBuffer {
			names = append(names, name)
		}
	}
	return names, nil
}

// addEMA adds the moving average: a dict of tensors, or a list of them in the order of the parameters.
func (w *Weights) addEMA(v any, names []string) error {
	if v == nil {
		return nil
	}
	d, ok := v.(*pytorch.Dict)
	if ok && isTensors(d) {
		_, err := w.addDict(d, EMAPrefix)
		return err
	}
	if ok {
		if shadow, found := d.Get("shadow_params"); found {
			list, _ := shadow.(*pytorch.List)
			if list == nil || len(list.Items) != len(names) {
				return fmt.Errorf("has a moving average of other tensors than its %d parameters", len(names))
			}
			for i, item := range list.Items {
				t, ok := item.(*pytorch.Tensor)
				if !ok {
					return errTree
				}
				if err := w.add(EMAPrefix+names[i], t.DType.Name, t.Shape, func(dst []float32) error { return pytorch.Read(t, dst) }); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return errors.New("has a moving average (EMA) that is neither a dict of tensors nor a list of them")
}

// addAdam adds Adam's moments. What is wrong with them is kept for [Weights.CheckAdam]: the weights are good without.
func (w *Weights) addAdam(v any, names []string) error {
	d, ok := v.(*pytorch.Dict)
	if !ok {
		return nil
	}
	state, _ := d.Get("state")
	groups, _ := d.Get("param_groups")
	states, ok1 := state.(*pytorch.Dict)
	list, ok2 := groups.(*pytorch.List)
	if !ok1 || !ok2 || len(states.Keys) == 0 {
		return nil
	}
	a := &AdamState{}
	w.Adam = a
	a.err = w.adamOf(a, states, list.Items, names)
	return nil
}

func (w *Weights) adamOf(a *AdamState, states *pytorch.Dict, groups []any, names []string) error {
	// The moments of parameter i go by the i-th of all "params": i itself, and before PyTorch 1.5 the number of an object.
	var keys []any
	for i, g := range groups {
		group, ok := g.(*pytorch.Dict)
		if !ok {
			return errors.New("the optimiser's groups are no dicts")
		}
		params, _ := group.Get("params")
		list, ok := params.(*pytorch.List)
		if !ok {
			return errors.New("the optimiser's group has no list of parameters")
		}
		keys = append(keys, list.Items...)
		if i == 0 {
			a.settings(group)
		}
	}
	if len(keys) != len(names) {
		return fmt.Errorf("its optimiser has %d parameters, its model %d", len(keys), len(names))
	}
	step, stepped := uint64(0), false
	for i, key := range keys {
		v, ok := states.Get(key)
		state, isDict := v.(*pytorch.Dict)
		if !ok || !isDict {
			return fmt.Errorf("its optimiser holds no state of parameter %d, %s", i, names[i])
		}
		for prefix, name := range map[string]string{adamM: "exp_avg", adamV: "exp_avg_sq"} {
			v, _ := state.Get(name)
			t, ok := v.(*pytorch.Tensor)
			if !ok {
				return fmt.Errorf("its optimiser is not Adam: it holds no %s of parameter %d, %s", name, i, names[i])
			}
			if err := w.add(prefix+names[i], t.DType.Name, t.Shape, func(dst []float32) error { return pytorch.Read(t, dst) }); err != nil {
				return err
			}
		}
		v, _ = state.Get("step")
		n, ok := wholeNumber(v)
		if !ok {
			return fmt.Errorf("its optimiser has no step of parameter %d, %s", i, names[i])
		}
		if i > 0 && n != step {
			return fmt.Errorf("its optimiser is at step %d with some parameters and at %d with others", step, n)
		}
		step, stepped = n, true
	}
	if stepped {
		w.Step, w.Stepped = step, true
	}
	return nil
}

// settings reads those of Adam.
func (a *AdamState) settings(group *pytorch.Dict) {
	number := func(v any) float64 {
		switch v := v.(type) {
		case float64:
			return v
		case int64:
			return float64(v)
		}
		return 0
	}
	get := func(key string) any { v, _ := group.Get(key); return v }
	a.LR, a.Eps = number(get("lr")), number(get("eps"))
	if betas, ok := get("betas").(pytorch.Tuple); ok && len(betas) == 2 {
		a.Beta1, a.Beta2 = number(betas[0]), number(betas[1])
	}
	switch {
	case get("amsgrad") == true:
		a.Unsupported = "amsgrad"
	case get("maximize") == true:
		a.Unsupported = "maximize"
	case number(get("weight_decay")) != 0:
		a.Unsupported = fmt.Sprintf("weight decay %g", number(get("weight_decay")))
	}
}

// wholeNumber is a step: a number, or since PyTorch 1.12 a tensor of one.
func wholeNumber(v any) (uint64, bool) {
	f := math.NaN()
	switch v := v.(type) {
	case int64:
		f = float64(v)
	case float64:
		f = v
	case *pytorch.Tensor:
		if v.Count() == 1 {
			var x [1]float64
			if err := pytorch.Read(v, x[:]); err == nil {
				f = x[0]
			}
		}
	}
	if !(f >= 0 && f <= 1<<53) || f != math.Trunc(f) {
		return 0, false
	}
	return uint64(f), true
}
