// Precision: what the convolutions of a run compute in.

package train

import (
	"slices"
	"strings"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
	"sigmaz/model"
)

// DefaultPrecision returns what a network computes in where nobody says: TF32 on a GPU if it has convolutions for
// tensor cores, as PyTorch's do, else float32.
func DefaultPrecision(c model.Config, gpu bool) (kernels.Precision, error) {
	if !gpu {
		return kernels.Float32, nil
	}
	info, err := model.Describe(c)
	if err != nil || info.TensorMACs == 0 {
		return kernels.Float32, err
	}
	return kernels.TF32, nil
}

// CheckPrecision refuses what the device does not compute in. The error is a [*setting.Error].
func CheckPrecision(p kernels.Precision, gpu bool) error {
	if !gpu && p != "" && p != kernels.Float32 {
		return setting.Errorf("precision", "is %s, which takes a GPU: give `gpu`, or `precision` float32", p)
	}
	return nil
}

// ChoosePrecision completes the configuration by its precision, once the network is known. What is stored is only what
// is not float32.
func (c *Config) ChoosePrecision(gpu bool) (err error) {
	if c.Precision == "" {
		if c.Precision, err = DefaultPrecision(c.Network, gpu); err != nil {
			return err
		}
	}
	if err := CheckPrecision(c.Precision, gpu); err != nil {
		return err
	}
	if c.Precision == kernels.Float32 {
		c.Precision = ""
	}
	return nil
}

// StoredPrecision returns the precision of a stored configuration, which names only what is not float32.
func (c *Config) StoredPrecision() kernels.Precision {
	if c.Precision == "" {
		return kernels.Float32
	}
	return c.Precision
}

// validatePrecision judges the word.
func (c *Config) validatePrecision() error {
	if c.Precision == "" || slices.Contains(kernels.Precisions, c.Precision) {
		return nil
	}
	return setting.Errorf("precision", "is %q: expected %s", c.Precision,
		strings.Join(kernels.PrecisionNames(), " or "))
}
