package kernels

import (
	"testing"
	"time"
)

func TestPeaks(t *testing.T) {
	const d = time.Millisecond
	for workers := 1; workers <= 3; workers++ {
		if f := PeakFLOPS(workers, d); !(f > 1e6 && f < 1e15) {
			t.Errorf("%d workers: %g FLOP/s", workers, f)
		}
	}
	if b := PeakBytes(1, d); !(b > 1e6 && b < 1e15) {
		t.Errorf("%g B/s", b)
	}
}
