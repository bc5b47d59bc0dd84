//go:build !cgo || nocuda

package kernels

import "sigmaz/cuda"

// NewCUDA is the backend of the CUDA device with a number, counted from 0. This program was built without CUDA.
func NewCUDA(int) (Backend, error) {
	return nil, cuda.ErrNotBuilt
}
