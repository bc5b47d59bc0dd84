// A trainer's weights and moments, in and out, under the names of a checkpoint.

package train

import (
	"fmt"

	"gorgonia.org/tensor"

	"sigmaz/kernels"
	"sigmaz/model"
	"sigmaz/model/checkpoint"
)

// gradPrefix is that of the gradients, which no checkpoint keeps.
const gradPrefix = "grad."

// Averaged returns the prefix of the weights to sample with: "ema.", or "param." where no average is kept.
func (t *Trainer) Averaged() string {
	if t.layout.ema.N > 0 {
		return checkpoint.EMAPrefix
	}
	return checkpoint.ParamPrefix
}

// group returns the window of all tensors with a prefix.
func (t *Trainer) group(prefix string) (kernels.Buf, error) {
	if b := t.layout.group(prefix); b.N > 0 {
		return b, nil
	}
	return kernels.Buf{}, fmt.Errorf("trainer: no tensors are called %q", prefix)
}

// isWeights says whether the tensors with a prefix are weights: then there are those of parameters that are not trained, too.
func isWeights(prefix string) bool {
	return prefix == checkpoint.ParamPrefix || prefix == checkpoint.EMAPrefix
}

// Named lists a copy of the tensors of one group, "param.", "ema.", "adam_m.", "adam_v." or "grad.", in PyTorch's names
// and layouts.
func (t *Trainer) Named(prefix string) ([]model.Named, error) {
	b, err := t.group(prefix)
	if err != nil {
		return nil, err
	}
	words, frozen := make([]float32, b.N), make([]float32, t.layout.frozen.N)
	if err := t.fetch(words, b); err != nil {
		return nil, err
	}
	if len(frozen) > 0 {
		if err := t.arena.Read(frozen, t.layout.frozen); err != nil {
			return nil, err
		}
	}
	var list []model.Named
	for i, p := range t.net.Params {
		from := words
		if p.Frozen {
			if from = frozen; !isWeights(prefix) {
				continue
			}
		}
		data := make([]float32, p.Shape.TotalSize())
		p.ToTorch(data, t.layout.param[i].Of(from))
		list = append(list, model.Named{Name: prefix + p.Name,
			T: tensor.New(tensor.WithShape(p.TorchShape()...), tensor.WithBacking(data))})
	}
	return list, nil
}

// kept lists the prefixes that a checkpoint keeps: parameters, moving average if there is one, and moments.
func (t *Trainer) kept() []string {
	if t.layout.ema.N == 0 {
		return []string{checkpoint.ParamPrefix, checkpoint.AdamMPrefix, checkpoint.AdamVPrefix}
	}
	return []string{checkpoint.ParamPrefix, checkpoint.EMAPrefix, checkpoint.AdamMPrefix, checkpoint.AdamVPrefix}
}

// State lists everything that a checkpoint keeps.
func (t *Trainer) State() ([]model.Named, error) {
	var all []model.Named
	for _, prefix := range t.kept() {
		list, err := t.Named(prefix)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

// Restore continues from a checkpoint's tensors at the given step.
func (t *Trainer) Restore(step uint64, tensors []model.Named) error {
	return t.Continue(step, model.NamedSet(tensors), checkpoint.EMAPrefix)
}

// Continue continues from the tensors of a set at the given step. They have the names that [Trainer.State] gives them,
// but the moving average is called ema+NAME.
func (t *Trainer) Continue(step uint64, set model.TensorSet, ema string) error {
	for _, prefix := range t.kept() {
		from := prefix
		if prefix == checkpoint.EMAPrefix {
			from = ema
		}
		if err := t.load(set, from, prefix); err != nil {
			return err
		}
	}
	return t.setStep(step)
}

// Load takes weights from the tensors called prefix+NAME and starts a new run with them.
func (t *Trainer) Load(tensors []model.Named, prefix string) error {
	return t.Start(model.NamedSet(tensors), prefix, prefix)
}

// Start starts a new run with the weights of a set, called param+NAME, and their moving average, called ema+NAME.
func (t *Trainer) Start(set model.TensorSet, param, ema string) error {
	if err := t.Init(t.c.Seed); err != nil {
		return err
	}
	if err := t.load(set, param, checkpoint.ParamPrefix); err != nil || t.layout.ema.N == 0 {
		return err
	}
	return t.load(set, ema, checkpoint.EMAPrefix)
}

// load fills one group from the tensors called from+NAME.
func (t *Trainer) load(set model.TensorSet, from, group string) error {
	b, err := t.group(group)
	if err != nil {
		return err
	}
	var params []*model.Param
	var at []kernels.Buf
	for i, p := range t.net.Params {
		if !p.Frozen || isWeights(group) {
			params, at = append(params, p), append(at, t.layout.at(b, i))
		}
	}
	return model.ReadParams(params, set, from, func(i int, words []float32) error {
		return t.arena.Write(at[i], words)
	})
}
