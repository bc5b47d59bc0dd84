// Checkpoints that torch.save wrote: trees of dicts, lists and tensors. These are known:
//
//	NCSN                 [model state_dict, Adam state_dict]
//	NCSNv2               [model state_dict, Adam state_dict, epoch, step, EMA dict]      the EMA only where it was on
//	score_sde_pytorch    {model: state_dict, optimizer: Adam state_dict, ema: {shadow_params: [...]}, step}
//	PyTorch's tutorial   {model_state_dict, optimizer_state_dict, epoch, loss}
//	Lightning            {state_dict, optimizer_states: [Adam state_dict], global_step, ...}
//	others               a dict with such parts under the names of partKeys, or a state_dict alone
//
// The names of the first two's models begin with "module." (DataParallel), those of their EMA do not. Adam's state goes
// by a parameter's place in the order of the state_dict, buffers left out. A Fourier embedding's frequencies are a
// parameter that is not trained: it has a place but no state, and none in a list of averages.

package checkpoint

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sigmaz/internal/pytorch"
)

// openPyTorch opens what torch.save wrote.
func openPyTorch(path string) (*Weights, error) {
	f, err := pytorch.Open(path)
	if err != nil {
		return nil, err
	}
	w := &Weights{Path: path, Kind: KindPyTorch, close: f.Close}
	if err := w.addTree(f.Root); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return w, nil
}

// errTree is the error for a tree that is none of those that are known.
func errTree(root any) error {
	found := pytorch.Kind(root)
	switch v := root.(type) {
	case *pytorch.Opaque:
		return fmt.Errorf("holds %s, which is code and not weights: save its state_dict() instead", found)
	case *pytorch.Dict:
		found = "a dict without weights"
		if len(v.Keys) > 0 {
			found += ", with the keys " + keysText(v)
		}
	}
	return fmt.Errorf("holds no checkpoint that is known (it is %s): expected a state_dict, the list [model, Adam, "+
		"epoch, step, EMA] of ncsn and ncsnv2, or a dict with a state_dict under %s", found,
		strings.Join(partKeys[weightsPart], ", "))
}

// mostKeys bounds how many keys a sentence lists.
const mostKeys = 8

// keysText lists the keys of a dict, and what stands under them.
func keysText(d *pytorch.Dict) string {
	var list []string
	for i, k := range d.Keys {
		if i == mostKeys {
			list = append(list, fmt.Sprintf("and %d more", len(d.Keys)-i))
			break
		}
		list = append(list, fmt.Sprintf("%.60s (%s)", fmt.Sprint(k), pytorch.Kind(d.Values[i])))
	}
	return strings.Join(list, ", ")
}

// part is one part of a checkpoint.
type part int

const (
	weightsPart part = iota
	adamPart
	emaPart
	stepPart
	parts
)

// partKeys are the keys under which dicts hold the parts, the most usual first.
var partKeys = [parts][]string{
	weightsPart: {"model", "state_dict", "model_state_dict", "model_state", "net", "network", "params", "weights",
		"score_model", "score_net"},
	adamPart: {"optimizer", "optimizer_state_dict", "optimizer_state", "optimizer_states", "optim", "opt", "adam"},
	emaPart: {"ema", "ema_state_dict", "model_ema", "ema_model", "ema_params", "params_ema", "ema_weights",
		"ema_model_state_dict", "state_dict_ema"},
	stepPart: {"step", "global_step", "iteration", "iter", "n_iter"},
}

// fits says whether a value can be that part.
func (p part) fits(v any) bool {
	switch p {
	case weightsPart:
		return hasTensors(v)
	case adamPart:
		d, ok := v.(*pytorch.Dict)
		if !ok {
			return false
		}
		_, ok = d.Get("param_groups")
		return ok
	case emaPart:
		if d, ok := v.(*pytorch.Dict); ok {
			if _, ok := d.Get("shadow_params"); ok {
				return true
			}
		}
		return hasTensors(v)
	}
	_, ok := wholeNumber(v)
	return ok
}

// tree is the parts of a checkpoint, nil where it has none, and the keys of what is no part.
type tree struct {
	of    [parts]any
	other []string
	alone bool // a state_dict and nothing else
}

// partsOf finds the parts of a checkpoint in what was saved.
func partsOf(root any) (t tree) {
	switch root := root.(type) {
	case *pytorch.Dict:
		return partsOfDict(root)
	case *pytorch.List:
		return partsOfList(root.Items)
	case pytorch.Tuple:
		return partsOfList(root)
	}
	return t
}

// partsOfDict finds the parts by their keys. Where no key tells the weights, the only dict of tensors has them; where
// there is none, root itself is the state_dict.
func partsOfDict(root *pytorch.Dict) (t tree) {
	if isTensors(root) {
		t.of[weightsPart], t.alone = root, true
		return t
	}
	var used [parts]any // keys
	for p, keys := range partKeys {
		for _, key := range keys {
			v, _ := root.Get(key)
			if list, ok := v.(*pytorch.List); ok && len(list.Items) == 1 { // Lightning's optimisers
				v = list.Items[0]
			}
			if part(p).fits(v) {
				t.of[p], used[p] = v, key
				break
			}
		}
	}
	if t.of[weightsPart] == nil {
		for i, v := range root.Values {
			if hasTensors(v) && root.Keys[i] != used[emaPart] {
				if t.of[weightsPart] != nil { // two of them: which is not known
					t.of[weightsPart], used[weightsPart] = nil, nil
					break
				}
				t.of[weightsPart], used[weightsPart] = v, root.Keys[i]
			}
		}
	}
	if t.of[weightsPart] == nil && hasTensors(t.of[emaPart]) { // released without the weights it is the average of
		t.of[weightsPart], t.of[emaPart] = t.of[emaPart], nil
	}
	if t.of[weightsPart] == nil && hasTensors(root) {
		t.of[weightsPart], t.alone = root, true
		return t
	}
	for i, key := range root.Keys {
		if slices.Contains(used[:], key) {
			continue
		}
		text := fmt.Sprintf("%.60s", fmt.Sprint(key))
		if o, ok := root.Values[i].(*pytorch.Opaque); ok {
			text += fmt.Sprintf(" (%s)", pytorch.Kind(o))
		}
		t.other = append(t.other, text)
	}
	return t
}

// partsOfList finds the parts in the list of ncsn and ncsnv2, whose second half is not always there.
func partsOfList(items []any) (t tree) {
	items = append(append([]any(nil), items...), make([]any, 5)...)
	t.of = [parts]any{weightsPart: items[0], adamPart: items[1], stepPart: items[3], emaPart: items[4]}
	return t
}

// addTree adds the tensors of what was saved.
func (w *Weights) addTree(root any) error {
	t := partsOf(root)
	weights, ok := t.of[weightsPart].(*pytorch.Dict)
	if !ok || !hasTensors(weights) {
		return errTree(root)
	}
	if t.alone {
		w.Kind = KindStateDict
	}
	names, err := w.addDict(weights, ParamPrefix)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("holds no weights: its tensors are empty or of whole numbers: %s", ListPassedOver(w.PassedOver))
	}
	w.PassedOver = append(w.PassedOver, t.other...)
	if n, ok := wholeNumber(t.of[stepPart]); ok {
		w.Step, w.Stepped = n, true
	}
	if err := w.addEMA(t.of[emaPart], names); err != nil {
		return err
	}
	return w.addAdam(t.of[adamPart], names)
}

// isTensors says whether a dict is a state_dict and nothing else: tensors by name, at least one.
func isTensors(d *pytorch.Dict) bool {
	for i, v := range d.Values {
		_, tensor := v.(*pytorch.Tensor)
		if _, text := d.Keys[i].(string); !tensor || !text {
			return false
		}
	}
	return len(d.Values) > 0
}

// hasTensors says whether a value is a dict with a tensor of more than one value under a name: a state_dict may have
// numbers beside its tensors, and a tensor of one value is a loss or a rate.
func hasTensors(v any) bool {
	d, ok := v.(*pytorch.Dict)
	if !ok {
		return false
	}
	for i, v := range d.Values {
		t, tensor := v.(*pytorch.Tensor)
		if _, text := d.Keys[i].(string); tensor && text && t.Count() > 1 {
			return true
		}
	}
	return isTensors(d)
}

// addDict adds the tensors of a state_dict and returns the names of the parameters among them.
func (w *Weights) addDict(d *pytorch.Dict, prefix string) (names []string, err error) {
	var tensors []*pytorch.Tensor
	var all []string
	for i, v := range d.Values {
		t, ok := v.(*pytorch.Tensor)
		name, text := d.Keys[i].(string)
		if !ok || !text {
			if prefix == ParamPrefix {
				w.PassedOver = append(w.PassedOver, fmt.Sprintf("%.60s (%s)", fmt.Sprint(d.Keys[i]), pytorch.Kind(v)))
			}
			continue
		}
		tensors, all = append(tensors, t), append(all, name)
	}
	cut := wrapperOf(all)
	for i, t := range tensors {
		name := strings.TrimPrefix(all[i], cut)
		param, err := w.addOf(prefix, name, t.DType.Name, t.Shape,
			func(dst []float32) error { return pytorch.Read(t, dst) })
		if err != nil {
			return nil, err
		}
		if param {
			names = append(names, name)
		}
	}
	return names, nil
}

// isFrozen says whether a parameter is the frequencies of a Fourier embedding: the only W of one dimension.
func (w *Weights) isFrozen(name string) bool {
	return strings.HasSuffix(name, ".W") && len(w.tensors[w.index[ParamPrefix+name]].Shape) == 1
}

// addEMA adds the moving average: a dict of tensors, or a list of them in the order of the parameters.
func (w *Weights) addEMA(v any, names []string) error {
	if v == nil {
		return nil
	}
	d, ok := v.(*pytorch.Dict)
	if ok {
		if shadow, found := d.Get("shadow_params"); found {
			list, _ := shadow.(*pytorch.List)
			if trained := slices.DeleteFunc(slices.Clone(names), w.isFrozen); list != nil && len(list.Items) == len(trained) {
				for _, name := range names {
					if !w.isFrozen(name) {
						continue
					}
					t := w.tensors[w.index[ParamPrefix+name]]
					if err := w.add(EMAPrefix+name, t.DType, t.Shape, t.read); err != nil {
						return err
					}
				}
				names = trained
			}
			if list == nil || len(list.Items) != len(names) {
				return fmt.Errorf("has a moving average of other tensors than its %d parameters", len(names))
			}
			for i, item := range list.Items {
				t, ok := item.(*pytorch.Tensor)
				if !ok {
					return fmt.Errorf("has %s in its moving average: expected tensors", pytorch.Kind(item))
				}
				if err := w.add(EMAPrefix+names[i], t.DType.Name, t.Shape,
					func(dst []float32) error { return pytorch.Read(t, dst) }); err != nil {
					return err
				}
			}
			return nil
		}
		if hasTensors(d) {
			_, err := w.addDict(d, EMAPrefix)
			return err
		}
	}
	return errors.New("has a moving average (EMA) that is neither a dict of tensors nor a list of them")
}

// addAdam adds Adam's moments. What is wrong with them is kept for [Weights.CheckAdam], because the weights are good
// without them.
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
	a.err = w.addMoments(a, states, list.Items, names)
	return nil
}

// addMoments adds the moments of the parameters called names, and reads Adam's settings and step.
func (w *Weights) addMoments(a *AdamState, states *pytorch.Dict, groups []any, names []string) error {
	// The moments of parameter i go by the i-th of all "params": i itself, and before PyTorch 1.5 the number of an
	// object.
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
			if err := a.read(group); err != nil {
				return err
			}
			continue
		}
		if err := a.compare(group, len(groups)); err != nil {
			return err
		}
	}
	if len(keys) != len(names) {
		return fmt.Errorf("its optimiser has %d parameters, its model %d", len(keys), len(names))
	}
	step, stepped := uint64(0), false
	for i, key := range keys {
		v, ok := states.Get(key)
		if !ok && w.isFrozen(names[i]) {
			continue
		}
		state, isDict := v.(*pytorch.Dict)
		if !ok || !isDict {
			return fmt.Errorf("its optimiser holds no state of parameter %d, %s", i, names[i])
		}
		for prefix, name := range map[string]string{AdamMPrefix: "exp_avg", AdamVPrefix: "exp_avg_sq"} {
			v, _ := state.Get(name)
			t, ok := v.(*pytorch.Tensor)
			if !ok {
				return fmt.Errorf("its optimiser is not Adam: it holds no %s of parameter %d, %s", name, i, names[i])
			}
			if err := w.add(prefix+names[i], t.DType.Name, t.Shape,
				func(dst []float32) error { return pytorch.Read(t, dst) }); err != nil {
				return err
			}
		}
		v, _ = state.Get("step")
		n, ok := wholeNumber(v)
		if !ok {
			return fmt.Errorf("its optimiser has no step of parameter %d, %s", i, names[i])
		}
		if stepped && n != step {
			return fmt.Errorf("its optimiser is at step %d with some parameters and at %d with others", step, n)
		}
		step, stepped = n, true
	}
	if stepped {
		w.Step, w.Stepped = step, true
	}
	return nil
}

// read reads Adam's settings from a group of its parameters. Those that are not there are listed; one that is no
// number is an error.
func (a *AdamState) read(group *pytorch.Dict) error {
	for _, s := range []struct {
		key string
		to  []*float64
	}{{"lr", []*float64{&a.LR}}, {"betas", []*float64{&a.Beta1, &a.Beta2}}, {"eps", []*float64{&a.Eps}}} {
		v, ok := group.Get(s.key)
		if !ok {
			a.Absent = append(a.Absent, s.key)
			continue
		}
		values := []any{v}
		if s.key == "betas" {
			switch v := v.(type) {
			case pytorch.Tuple:
				values = v
			case *pytorch.List:
				values = v.Items
			}
		}
		if len(values) != len(s.to) {
			return fmt.Errorf("its optimiser has %d %s: expected %d", len(values), s.key, len(s.to))
		}
		for i, v := range values {
			if *s.to[i], ok = number(v); !ok {
				return fmt.Errorf("its optimiser has %s as %s: expected a number", pytorch.Kind(v), s.key)
			}
		}
	}
	for _, key := range []string{"amsgrad", "maximize", "weight_decay"} {
		v, _ := group.Get(key)
		if n, ok := number(v); v == true || ok && n != 0 {
			a.Unsupported = strings.ReplaceAll(key, "_", " ")
			if n != 0 && n != 1 {
				a.Unsupported += fmt.Sprintf(" %g", n)
			}
			break
		}
	}
	return nil
}

// compare reads the settings of a further group of parameters, of n, and notes where they differ.
func (a *AdamState) compare(group *pytorch.Dict, n int) error {
	other := &AdamState{}
	if err := other.read(group); err != nil || a.Unsupported != "" {
		return err
	}
	for _, s := range []struct {
		name        string
		mine, other float64
	}{{"lr", a.LR, other.LR}, {"beta1", a.Beta1, other.Beta1}, {"beta2", a.Beta2, other.Beta2}, {"eps", a.Eps, other.Eps}} {
		if s.mine != s.other {
			a.Unsupported = fmt.Sprintf("%d groups of parameters of different %s (%g and %g)", n, s.name, s.mine, s.other)
			return nil
		}
	}
	a.Unsupported = other.Unsupported
	return nil
}

// number reads a number: Python's, a tensor of one value, or NumPy's. A float32 becomes the shortest decimal that rounds
// to it, 1e-4 and not 9.99999974e-5, so that it reads as it was set.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case *pytorch.Tensor:
		if v.Count() == 1 {
			var x [1]float64
			if err := pytorch.Read(v, x[:]); err != nil {
				return 0, false
			}
			if v.DType.Name == "float32" {
				x[0], _ = strconv.ParseFloat(strconv.FormatFloat(x[0], 'g', -1, 32), 64)
			}
			return x[0], true
		}
	case *pytorch.Opaque:
		return v.Number()
	}
	return 0, false
}

// wholeNumber reads a step: a number, or since PyTorch 1.12 a tensor of one.
func wholeNumber(v any) (uint64, bool) {
	f, ok := number(v)
	if !ok || !(f >= 0 && f <= 1<<53) || f != math.Trunc(f) {
		return 0, false
	}
	return uint64(f), true
}
