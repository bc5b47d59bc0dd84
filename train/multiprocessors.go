// Multiprocessors: what a run takes over from the GPU that it starts on.

package train

import (
	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// RecordMultiprocessors completes the configuration of a new run by the device that it starts on. A number that is
// there already stays: with it the run has the bits of another one.
func (c *Config) RecordMultiprocessors(b kernels.Backend) {
	if c.Multiprocessors == 0 {
		c.Multiprocessors = b.Multiprocessors()
	}
}

// maxMultiprocessors is far above what any device has.
const maxMultiprocessors = 1 << 16

func (c *Config) validateMultiprocessors() error {
	if c.Multiprocessors < 0 || c.Multiprocessors > maxMultiprocessors {
		return setting.Errorf("multiprocessors", "is %d: expected the number of a GPU's multiprocessors, at most %d; "+
			"leave it out to record those of the GPU that the run starts on", c.Multiprocessors, maxMultiprocessors)
	}
	return nil
}
