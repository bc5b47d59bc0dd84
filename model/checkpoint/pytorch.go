// Checkpoints that torch.save wrote: trees of dicts, lists and tensors. These are known:
//
//	NCSN                 [model state_dict, Adam state_dict]
//	NCSNv2               [model state_dict, Adam state_dict, epoch, step, EMA dict]      the EMA only where it was on
//	score_sde_pytorch    {model: state_dict, optimizer: Adam state_dict, ema: {shadow_params: [...]}, step}
//	others               a state_dict alone
//
// The names of the first two's models begin with "module." (DataParallel), those of their EMA do not. Adam's state goes
// by a parameter's place in the order of the state_dict, buffers left out.

package checkpoint

import (
	"errors"
	"fmt"
	"math"
	"strings"

	"sigmaz/internal/pytorch"
	"sigmaz/model"
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
var errTree = errors.New("holds no checkpoint that is known: expected a state_dict, the list [model, Adam, epoch, " +
	"step, EMA] of ncsn and ncsnv2, or a dict with model, optimizer, ema and step")

// tree is the parts of a checkpoint, nil where it has none.
type tree struct{ weights, adam, ema, step any }

// partsOf finds the parts of a checkpoint in what was saved.
func partsOf(root any) (t tree) {
	switch root := root.(type) {
	case *pytorch.Dict:
		for _, key := range []string{"model", "state_dict"} {
			if v, ok := root.Get(key); ok && t.weights == nil {
				t.weights = v
			}
		}
		t.adam, _ = root.Get("optimizer")
		t.ema, _ = root.Get("ema")
		t.step, _ = root.Get("step")
	case *pytorch.List:
		return partsOfList(root.Items)
	case pytorch.Tuple:
		return partsOfList(root)
	}
	return t
}

// partsOfList finds the parts in the list of ncsn and ncsnv2, whose second half is not always there.
func partsOfList(items []any) tree {
	items = append(append([]any(nil), items...), make([]any, 5)...)
	return tree{weights: items[0], adam: items[1], step: items[3], ema: items[4]}
}

// addTree adds the tensors of what was saved.
func (w *Weights) addTree(root any) error {
	t := partsOf(root)
	if d, ok := root.(*pytorch.Dict); ok && isTensors(d) {
		w.Kind, t = KindStateDict, tree{weights: d}
	}
	weights, ok := t.weights.(*pytorch.Dict)
	if !ok || !isTensors(weights) {
		return errTree
	}
	names, err := w.addDict(weights, ParamPrefix)
	if err != nil {
		return err
	}
	if n, ok := wholeNumber(t.step); ok {
		w.Step, w.Stepped = n, true
	}
	if err := w.addEMA(t.ema, names); err != nil {
		return err
	}
	return w.addAdam(t.adam, names)
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

// addDict adds the tensors of a state_dict and returns the names of the parameters among them.
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
		if err := add(name, t.DType.Name, t.Shape,
			func(dst []float32) error { return pytorch.Read(t, dst) }); err != nil {
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
				if err := w.add(EMAPrefix+names[i], t.DType.Name, t.Shape,
					func(dst []float32) error { return pytorch.Read(t, dst) }); err != nil {
					return err
				}
			}
			return nil
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
			a.read(group)
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

// read reads Adam's settings from a group of its parameters.
func (a *AdamState) read(group *pytorch.Dict) {
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

// wholeNumber reads a step: a number, or since PyTorch 1.12 a tensor of one.
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
