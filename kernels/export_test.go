package kernels

// IsLowered says whether the CPU runs an operation otherwise than by its reference.
func IsLowered(op Op) bool {
	_, ok := op.(cpuOp)
	return ok
}
