// How many worker goroutines a CPU backend may be asked for.

package kernels

import "sigmaz/internal/setting"

// maxWorkers is far above any machine's cores; a million goroutines would only wait for each other.
const maxWorkers = 1 << 12

// CheckWorkers judges a number of worker goroutines; 0 is one a core. The error is a [*setting.Error].
func CheckWorkers(n int) error {
	if n < 0 || n > maxWorkers {
		return setting.Errorf("workers", "is %d: expected a number of goroutines up to %d, or 0 for one a core", n,
			maxWorkers)
	}
	return nil
}
