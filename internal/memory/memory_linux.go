// Package memory tells how much memory there is.
package memory

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Host is the memory in bytes that this process may use, or 0 where that is not known: the machine's, or less in
// a container (control groups, version 2).
func Host() float64 {
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) != nil {
		return 0
	}
	total := float64(info.Totalram) * float64(info.Unit)
	if b, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
		if limit, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64); err == nil { // "max" is no limit
			total = min(total, limit)
		}
	}
	return total
}
