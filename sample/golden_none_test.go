//go:build !cgo || nocuda

package sample

import "testing"

// onDevices runs a test on the CPU.
func onDevices(t *testing.T, run func(t *testing.T, on device)) { run(t, cpu) }
