//go:build !linux

package memory

// Host is the memory in bytes that this process may use, or 0 where that is not known.
func Host() float64 { return 0 }
