// What a file says about Adam beside its moments.

package checkpoint

import "fmt"

// AdamSettings are the constants of Adam: theta <- theta - LR mhat / (sqrt(vhat) + Eps).
type AdamSettings struct{ LR, Beta1, Beta2, Eps float64 }

// AdamState is what a file says about the optimiser beside its moments.
type AdamState struct {
	AdamSettings
	Absent      []string // the settings that the file does not name, by their keys in PyTorch: lr, betas, eps
	Unsupported string   // what it does that this program's Adam does not; "" for nothing
	err         error    // why its settings cannot be read, or its moments given names; nil when they can
}

// CheckAdam says in one sentence why training cannot go on with the file's Adam, nil when it can.
func (w *Weights) CheckAdam() error {
	switch {
	case w.Adam == nil && !w.Has(AdamMPrefix):
		return fmt.Errorf("%s holds no state of Adam to go on with: start a new run from its weights with `init`",
			w.Path)
	case w.Adam != nil && w.Adam.err != nil:
		return fmt.Errorf("%s: %w; start a new run from its weights with `init`", w.Path, w.Adam.err)
	case w.Adam != nil && w.Adam.Unsupported != "":
		return fmt.Errorf("%s was trained by Adam with %s, which this program has not: start a new run from its "+
			"weights with `init`", w.Path, w.Adam.Unsupported)
	}
	return nil
}
