// Settings of annealed Langevin dynamics that a run's configuration and a sampler both hold. Packages train and
// sample do not know each other, so what both must judge alike is judged here.

package model

import (
	"math"

	"sigmaz/internal/setting"
)

// Langevin is the name of annealed Langevin dynamics among the samplers.
const Langevin = "langevin"

// CheckSampler judges the sampler that a run names. The error is a [*setting.Error].
func CheckSampler(name string) error {
	if name != "" && name != Langevin {
		return setting.Errorf("sampler", "is %q: expected %s, or none for the network's usual one; command sample takes others",
			name, Langevin)
	}
	return nil
}

// CheckT judges T, the Langevin steps at each level. The error is a [*setting.Error].
func CheckT(t int) error {
	if t < 1 {
		return setting.Errorf("T", "is %d: expected at least 1 Langevin step a level", t)
	}
	return nil
}

// CheckEpsilon judges the step size at the last level as somebody may ask for it: 0 leaves it to Technique 4. The
// error is a [*setting.Error].
func CheckEpsilon(epsilon float64) error {
	if !(epsilon >= 0) || math.IsInf(epsilon, 0) {
		return setting.Errorf("epsilon", "is %g: expected a positive step size, or 0 to choose it by Technique 4",
			epsilon)
	}
	return nil
}
