package kernels

import "sigmaz/kernels/internal/vec"

// ISA names the instruction set that the kernels of the CPU use: "avx512", "avx2" or "go", which is none.
func ISA() string { return vec.ISA() }
