// The stopwatch, and what counts memory.

package benchcmd

import (
	"runtime"
	"slices"
	"time"

	"sigmaz/kernels"
)

// stopwatch times something that a device may finish long after the call that starts it.
type stopwatch struct {
	reps   int
	target time.Duration // how long a repetition is to take at least
	dry    bool          // run everything once, time nothing
}

var (
	thorough = stopwatch{reps: 5, target: 300 * time.Millisecond}
	quick    = stopwatch{reps: 3, target: 50 * time.Millisecond}
	brief    = stopwatch{reps: 5, target: 60 * time.Millisecond}
)

// seconds are the seconds of one run: median, fastest and slowest repetition. All are 0 where nothing was timed.
type seconds struct{ median, fastest, slowest float64 }

// time runs something often. wait returns when all runs that were started have ended.
func (s stopwatch) time(run, wait func() error) (seconds, error) {
	repetition := func(n int) (time.Duration, error) {
		start := time.Now()
		for range n {
			if err := run(); err != nil {
				return 0, err
			}
		}
		err := wait()
		return time.Since(start), err
	}
	// The first run pays for what is made once.
	if _, err := repetition(1); err != nil || s.dry {
		return seconds{}, err
	}
	n := 1
	for {
		took, err := repetition(n)
		if err != nil {
			return seconds{}, err
		}
		if took >= s.target/4 {
			n = max(1, int(float64(n)*float64(s.target)/float64(took)+0.5))
			break
		}
		n *= 4
	}
	var each []float64
	for range s.reps {
		took, err := repetition(n)
		if err != nil {
			return seconds{}, err
		}
		each = append(each, took.Seconds()/float64(n))
	}
	slices.Sort(each)
	return seconds{each[len(each)/2], each[0], each[len(each)-1]}, nil
}

// time times a program on an arena.
func (b *bench) time(a kernels.Arena, p kernels.Program) (seconds, error) {
	return b.watch.time(p.Run, waitFor(a))
}

// briefly is the stopwatch for many programs of one kernel each. A GPU has no other jobs between two repetitions, as the
// cores of a CPU may have: it needs less time for the same certainty.
func (b *bench) briefly() stopwatch {
	if b.device.GPU && !b.watch.dry && !b.quick {
		return brief
	}
	return b.watch
}

// waitFor returns what waits until all that was started on an arena has ended.
func waitFor(a kernels.Arena) func() error {
	var word [1]float32
	return func() error { return a.Read(word[:], kernels.Buf{Off: 0, N: 1}) }
}

// value makes a rate of the work in each run.
func (s seconds) value(name, unit string, work float64) Value {
	v := Value{Name: name, Unit: unit}
	if s.median > 0 {
		v.Median, v.Low, v.High = work/s.median, work/s.slowest, work/s.fastest
	}
	return v
}

// counting is a backend that counts the words asked of it and remembers the longest program, which is the training step
// where a trainer asks.
type counting struct {
	kernels.Backend
	arenas    int // words of all arenas
	workspace int // words that programs take beside them
	arena     kernels.Arena
	longest   []kernels.Op
}

func (c *counting) Alloc(words int, programs ...[]kernels.Op) (kernels.Arena, error) {
	c.arenas += words
	c.workspace = max(c.workspace, c.Backend.Workspace(programs...))
	return c.Backend.Alloc(words, programs...)
}

func (c *counting) Compile(a kernels.Arena, ops []kernels.Op) (kernels.Program, error) {
	c.workspace = max(c.workspace, c.Backend.Workspace(ops))
	if len(ops) > len(c.longest) {
		c.arena, c.longest = a, ops
	}
	return c.Backend.Compile(a, ops)
}

// reset starts counting anew. What was allocated before and is not used any more goes back to the device.
func (c *counting) reset() {
	c.arenas, c.workspace = 0, 0
	c.arena, c.longest = nil, nil
	runtime.GC()
}

// bytes returns what was counted.
func (c *counting) bytes() int64 { return 4 * int64(c.arenas+c.workspace) }
