// What the host can do at best, for benchmarks.

package kernels

import (
	"sync"
	"time"

	"sigmaz/kernels/internal/vec"
)

// PeakFLOPS measures how many floating-point operations a second the host does in fused multiply-adds in registers
// (two operations for each lane), on the given number of goroutines at once for the time d. Whatever shares the cores
// meanwhile lowers it, so 10 ms of it before and after a measurement tell whether the measurement had the machine to
// itself.
func PeakFLOPS(workers int, d time.Duration) float64 {
	return rate(workers, d, func(int) float64 { return vec.PeakFMA() })
}

// PeakBytes measures memory bandwidth in bytes a second: the larger of reading and copying (bytes read and written),
// each on the given number of goroutines at once for the time d. A goroutine works on 64 MiB: d should be long enough
// for some passes over them.
func PeakBytes(workers int, d time.Duration) float64 {
	const floats = 16 << 20
	pieces := make([]struct{ a, b []float32 }, workers)
	for i := range pieces {
		all := make([]float32, floats)
		for j := range all {
			all[j] = 1
		}
		pieces[i].a, pieces[i].b = all[:floats/2], all[floats/2:]
	}
	const part = 1 << 18 // floats between two looks at the clock
	next := make([]int, workers)
	at := func(w int) int {
		next[w] = (next[w] + part) % (floats / 2)
		return next[w]
	}
	read := rate(workers, d, func(w int) float64 {
		from := at(w)
		vec.PeakRead(pieces[w].a[from:][:part])
		vec.PeakRead(pieces[w].b[from:][:part])
		return 2 * 4 * part
	})
	copied := rate(workers, d, func(w int) float64 {
		from := at(w)
		copy(pieces[w].b[from:][:part], pieces[w].a[from:][:part])
		return 2 * 4 * part
	})
	return max(read, copied)
}

// rate runs piece on every worker until d has passed and returns the work done a second. piece returns how much it
// did.
func rate(workers int, d time.Duration, piece func(worker int) float64) float64 {
	done := make([]float64, workers)
	var wg, ready sync.WaitGroup
	var start time.Time
	ready.Add(workers)
	begin := make(chan struct{})
	for w := range workers {
		wg.Go(func() {
			piece(w) // wakes the core
			ready.Done()
			<-begin
			for {
				done[w] += piece(w)
				if time.Since(start) >= d {
					return
				}
			}
		})
	}
	ready.Wait()
	start = time.Now()
	close(begin)
	wg.Wait()
	took := time.Since(start)
	total := 0.0
	for _, v := range done {
		total += v
	}
	return total / took.Seconds()
}
