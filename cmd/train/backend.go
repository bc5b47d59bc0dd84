package main

import (
	"errors"

	"sigmaz/kernels"
)

// backend opens the device that trains. Who asks for a GPU gets a GPU or an error, never a CPU without a word.
func backend(gpu bool, device, workers int) (kernels.Backend, error) {
	if gpu {
		return nil, errors.New("-gpu: this binary was built without CUDA support; leave -gpu out to train on the CPU")
	}
	return kernels.NewCPU(workers), nil
}
