package kernels

import "fmt"

// Open is the backend that the flags -gpu, -device and -workers of every command ask for: the CUDA device of that number,
// or the CPU with that many workers (0: one for each core). Who asks for a GPU gets a GPU or an error that says why,
// never a CPU without a word.
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
