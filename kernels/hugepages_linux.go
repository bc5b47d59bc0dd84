// Large pages on Linux, see hugepages.go.

package kernels

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// hugePages asks the system for large pages behind mem, which should not have been touched yet, and returns mem.
// Where the system has none, nothing changes.
func hugePages(mem []float32) []float32 {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(mem))), 4*len(mem))
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(mem))) % hugePage)
	if whole := (len(bytes) - skip) / hugePage * hugePage; whole > 0 {
		_ = unix.Madvise(bytes[skip:skip+whole], unix.MADV_HUGEPAGE)
	}
	return mem
}
