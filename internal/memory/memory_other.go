//go:build !linux

package memory

// Host returns 0: how much memory this process may use is not known here.
func Host() float64 { return 0 }

// Limit returns ok = false: limits of a process are not looked for here.
func Limit() (limit, left float64, ok bool) { return 0, 0, false }
