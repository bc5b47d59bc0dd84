package vec

import "testing"

// Peaks have no result but the work they say they did: they must end, and stay inside what they read.
func TestPeak(t *testing.T) {
	eachISA(t, func(t *testing.T) {
		if flop := PeakFMA(); flop < 1e4 {
			t.Errorf("%g operations", flop)
		}
		for _, n := range []int{0, 128, 256 * 128, 300 * 128} {
			x := guard("x", n, 1)
			PeakRead(x.v)
			x.check(t)
		}
	})
}
