// What the hardware can do at most, measured in the same run.

package benchcmd

import (
	"fmt"
	"time"

	"sigmaz/kernels"
)

// Peaks are the best rates of the device, measured before everything else. Percentages in the tables are fractions of
// them.
type Peaks struct {
	Core, FLOPS float64 // fused multiply-adds of one core and of all that are used, FLOP/s; 0 on a GPU
	Bytes       float64 // memory, B/s; on a GPU those of its driver's copy, once it was measured
}

// measurePeaks measures a CPU: the best of short windows, as the cores may be shared.
func (b *bench) measurePeaks() {
	if b.device.GPU || b.watch.dry {
		return
	}
	p := &b.report.Peaks
	for range 10 {
		p.Core = max(p.Core, kernels.PeakFLOPS(1, 10*time.Millisecond))
		p.FLOPS = max(p.FLOPS, kernels.PeakFLOPS(b.cores(), 10*time.Millisecond))
	}
	for range 2 {
		p.Bytes = max(p.Bytes, kernels.PeakBytes(b.cores(), 100*time.Millisecond))
	}
	fmt.Fprintf(b.out, "peak     %.0f GFLOP/s on one core, %.0f on %d; memory %.1f GB/s\n", p.Core/1e9, p.FLOPS/1e9,
		b.cores(), p.Bytes/1e9)
}

// flops and bytes make a rate of the work in each run, with its fraction of the peak.
func (b *bench) flops(s seconds, name string, work float64) Value {
	return s.value(name, "FLOP/s", work).of(b.report.Peaks.FLOPS)
}

func (b *bench) bytes(s seconds, name string, work float64) Value {
	return s.value(name, "B/s", work).of(b.report.Peaks.Bytes)
}

// of adds to v its fraction of a peak, in percent, where that is known.
func (v Value) of(peak float64) Value {
	if peak > 0 {
		v.OfPeak = 100 * v.Median / peak
	}
	return v
}
