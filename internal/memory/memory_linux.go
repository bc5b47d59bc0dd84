package memory

import (
	"fmt"
	"os"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"golang.org/x/sys/unix"
)

// Host returns how many bytes of memory this process may use: the machine's memory, or less where a limit says so: of
// its control group or of one above it (version 1 or 2), or of the process itself ([Limit]). It returns 0 where that is
// not known.
func Host() float64 {
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) != nil {
		return 0
	}
	host := float64(info.Totalram) * float64(info.Unit)
	if limit, err := memlimit.FromCgroup(); err == nil { // an error is no limit, or no control group
		host = min(host, float64(limit))
	}
	if _, left, ok := Limit(); ok {
		host = min(host, left)
	}
	return host
}

// Limit returns the limit of the process's address space or of its data, as ulimit -v and -d set it, whichever leaves
// less, and what is left of it. ok is false without such a limit.
func Limit() (limit, left float64, ok bool) {
	var pages [7]float64 // size, resident, shared, text, library, data, dirty: proc(5)
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, 0, false
	}
	fmt.Sscan(string(b), &pages[0], &pages[1], &pages[2], &pages[3], &pages[4], &pages[5], &pages[6])
	for _, r := range []struct {
		resource int
		used     float64
	}{{unix.RLIMIT_AS, pages[0]}, {unix.RLIMIT_DATA, pages[5]}} {
		var rlimit unix.Rlimit
		if unix.Getrlimit(r.resource, &rlimit) != nil || rlimit.Cur == unix.RLIM_INFINITY {
			continue
		}
		l := float64(rlimit.Cur)
		rest := max(0, l-r.used*float64(os.Getpagesize()))
		if !ok || rest < left {
			limit, left, ok = l, rest, true
		}
	}
	return limit, left, ok
}

// Used returns how many bytes of memory this process occupies.
func Used() float64 {
	var size, resident float64
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		fmt.Sscan(string(b), &size, &resident)
	}
	return resident * float64(os.Getpagesize())
}
