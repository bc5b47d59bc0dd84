// What the limits mean for Go's heap.

package memory

import (
	"math"
	"runtime/debug"
)

// Heed makes the collector work harder as the heap nears nine tenths of what this process may use, so that garbage is
// not what a limit ends it for. A limit that was set by GOMEMLIMIT stays.
func Heed() {
	if host := Host(); host > 0 && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(int64(0.9 * host))
	}
}
