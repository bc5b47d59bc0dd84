//go:build !linux

package memory

import "runtime/metrics"

// Host returns 0: how much memory this process may use is not known here.
func Host() float64 { return 0 }

// Limit returns ok = false: limits of a process are not looked for here.
func Limit() (limit, left float64, ok bool) { return 0, 0, false }

// Used returns how many bytes of memory this process occupies, as far as Go's runtime has asked for them.
func Used() float64 {
	all := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(all)
	return float64(all[0].Value.Uint64() - all[1].Value.Uint64())
}
