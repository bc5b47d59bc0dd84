//go:build !cgo || nocuda

// A build without CUDA.

package kernels

import "sigmaz/cuda"

// NewCUDA opens the CUDA device with the given number, counted from 0. This program was built without CUDA.
func NewCUDA(int) (Backend, error) {
	return nil, cuda.ErrNotBuilt
}

// NewLink begins to join the devices of other ranks.
func NewLink(b Backend, id []byte, rank, size int) (Link, error) { return nil, cuda.ErrNotBuilt }
