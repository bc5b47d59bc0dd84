// Loops that run at the machine's limits, fused multiply-adds and reads, for benchmarks that quote a fraction of the
// peak.

package vec

import (
	"runtime"
	"unsafe"
)

const (
	peakRounds = 3000 // of peakFMAs multiply-adds in one call: some 5 microseconds at two a cycle
	peakFMAs   = 12
)

// PeakFMA runs fused multiply-adds of vectors in registers, for some microseconds on the calling goroutine. It returns
// the number of floating-point operations: two for each lane of each. In plain Go they are scalar.
func PeakFMA() (flop float64) {
	if isa == plainGo {
		var s [8]float32
		for range peakRounds {
			for i := range s {
				s[i] = s[i]*0.75 + 0.25
			}
		}
		runtime.KeepAlive(s)
		return 2 * 8 * peakRounds
	}
	peakFMAKernel(peakRounds)
	return 2 * peakFMAs * peakRounds * float64(lanes) / float64(vectorsPerPanel())
}

// PeakRead reads x and does nothing with it. The length of x is a multiple of 128.
func PeakRead(x []float32) {
	const block, blocks = 128, 256 // floats; blocks a call
	if isa == plainGo {
		s := float32(0)
		for i := 0; i < len(x); i += 16 {
			s += x[i]
		}
		runtime.KeepAlive(s)
		return
	}
	for n := len(x) / block; n > 0; n -= blocks {
		from := (len(x)/block - n) * block
		peakReadKernel((*float32)(unsafe.Pointer(&x[from])), min(n, blocks))
	}
}
