package memory

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// Host returns how many bytes of memory this process may use: the machine's memory, or a container's limit (control
// groups, version 2) where that is less. It returns 0 where that is not known.
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
