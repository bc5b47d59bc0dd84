// Memory in pages of 2 MiB, where the system has them. The transforms of Winograd's method write 36 streams at a
// time, more than a core's first table of small pages holds.

package kernels

import "unsafe"

const hugePage = 2 << 20

// slabWords returns the size of a slab of n words, with what it takes to start it on a page.
func slabWords(n int) int {
	if 4*n < hugePage {
		return n
	}
	return n + hugePage/4
}

// slab returns n words, all zero.
func slab(n int) []float32 {
	mem := hugePages(make([]float32, slabWords(n)))
	if len(mem) > n {
		skip := -uintptr(unsafe.Pointer(unsafe.SliceData(mem))) % hugePage / 4
		mem = mem[skip:]
	}
	return mem[:n:n]
}
