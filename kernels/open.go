// Which backend the flags of a command mean.

package kernels

import "fmt"

// Open opens the backend that the flags -gpu, -device and -workers of every command ask for: the CUDA device with the
// given number, or the CPU with the given number of workers (0: one for each core). Whoever asks for a GPU gets a GPU
// or an error that says why, never silently a CPU.
func Open(gpu bool, device, workers int) (Backend, error) {
	if !gpu {
		return NewCPU(workers), nil
	}
	b, err := NewCUDA(device)
	if err != nil {
		return nil, fmt.Errorf("-gpu: %w", err)
	}
	return b, nil
}
