//go:build !cgo || nocuda

// A build without CUDA.

package kernels

import "sigmaz/cuda"

// NewCUDA opens the CUDA device with the given number, counted from 0. This program was built without CUDA.
func NewCUDA(int) (Backend, error) {
	return nil, cuda.ErrNotBuilt
}
