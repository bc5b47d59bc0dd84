// Command gen writes the assembly of package vec with avo, its Go declarations, and the Go code that chooses between
// kernels. go generate runs it in the folder of package vec, once for each part:
//
//	go run ./gen -part conv -dispatch conv_dispatch -out conv_amd64.s -stubs conv_stubs_amd64.go -pkg vec
//
// Its output is committed. The same generator always writes the same bytes.
//
// Two instruction sets share every kernel's body: AVX-512 (F, VL, BW, DQ), whose vectors have 16 lanes of float32, and
// AVX2 with FMA, whose vectors have 8. What differs between them (masks, rounding, how a scalar is spread over the
// lanes) is in main.go, where reading begins; peak.go is the smallest part, elementwise.go the most typical.
package main
