// Package kerneltest is the conformance suite of backends: every operation at awkward sizes, against its plain Go
// reference, between sentinels. A backend passes it with
//
//	func TestConformance(t *testing.T) { kerneltest.Run(t, backend, kernels.Float32) }
//
// The cases are in cases.go, a function for each operation; how a case is run is in kerneltest.go.
package kerneltest
