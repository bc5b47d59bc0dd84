package memory

import (
	"math"
	"runtime/debug"
	"testing"

	"golang.org/x/sys/unix"
)

// A limit of the process itself is seen, and what it has used already is taken off.
func TestLimits(t *testing.T) {
	unlimited := Host()
	if unlimited <= 0 {
		t.Fatal("the machine's memory is not known")
	}
	for name, resource := range map[string]int{"address space": unix.RLIMIT_AS, "data": unix.RLIMIT_DATA} {
		var before unix.Rlimit
		if err := unix.Getrlimit(resource, &before); err != nil {
			t.Fatal(err)
		}
		const limit = 4 << 30
		if before.Cur < limit || unlimited < 2*limit {
			t.Skip("limits are set already, or the machine is small")
		}
		if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limit, Max: before.Max}); err != nil {
			t.Fatal(err)
		}
		is, left, ok := Limit()
		host := Host()
		if err := unix.Setrlimit(resource, &before); err != nil {
			t.Fatal(err)
		}
		if !ok || is != limit || left >= limit || left < limit/8 || math.Abs(host-left) > 256<<20 {
			t.Errorf("%s: limit %g, %g left, %v; host %g", name, is, left, ok, host)
		}
	}
	if host := Host(); host != unlimited {
		t.Errorf("without limits %g, before %g", host, unlimited)
	}
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for was, want := range map[int64]int64{math.MaxInt64: int64(0.9 * unlimited), 1 << 30: 1 << 30} {
		debug.SetMemoryLimit(was)
		if Heed(); debug.SetMemoryLimit(-1) != want {
			t.Errorf("the heap's limit %d became %d, expected %d", was, debug.SetMemoryLimit(-1), want)
		}
	}
}
