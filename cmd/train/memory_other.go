//go:build !linux

package main

// hostMemory is the memory in bytes that this process may use, or 0 where that is not known.
func hostMemory() float64 { return 0 }
