//go:build !cgo || nocuda

// The programs are built without CUDA.

package cmd_test

const withCUDA = false
