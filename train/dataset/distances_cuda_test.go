//go:build cgo && !nocuda

package dataset

import "sigmaz/kernels/kerneltest"

func init() { searchBackends = append(searchBackends, kerneltest.OpenCUDA) }
