//go:build linux

// Killing a training at a system call by which it changes a file.

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// changing are the system calls that change files; those that write count where their file is one of the trial's.
var changing = map[uint64]struct {
	name   string
	writes bool
}{
	unix.SYS_OPENAT: {"open", false}, unix.SYS_MKDIRAT: {"mkdir", false}, unix.SYS_UNLINKAT: {"unlink", false},
	unix.SYS_RENAMEAT: {"rename", false}, unix.SYS_RENAMEAT2: {"rename", false}, unix.SYS_LINKAT: {"link", false},
	unix.SYS_SYMLINKAT: {"symlink", false}, unix.SYS_UTIMENSAT: {"utimens", false}, unix.SYS_TRUNCATE: {"truncate", false},
	unix.SYS_FCHMODAT: {"chmod", false},
	unix.SYS_WRITE:    {"write", true}, unix.SYS_PWRITE64: {"write", true}, unix.SYS_WRITEV: {"write", true},
	unix.SYS_FSYNC: {"fsync", true}, unix.SYS_FDATASYNC: {"fsync", true}, unix.SYS_FTRUNCATE: {"truncate", true},
	unix.SYS_FALLOCATE: {"allocate", true}, unix.SYS_FCHMOD: {"chmod", true},
}

// syscallInfo is struct ptrace_syscall_info of linux/ptrace.h, as far as an entry fills it.
type syscallInfo struct {
	op     uint8
	_      [3]byte
	arch   uint32
	ip, sp uint64
	number uint64
	args   [6]uint64
	_      [2]uint64
}

const (
	getSyscallInfo = 0x420e // PTRACE_GET_SYSCALL_INFO, Linux 5.3
	atEntry        = 1      // PTRACE_SYSCALL_INFO_ENTRY
)

// trace begins a training and kills it before its nth call that changes a file; 0: never. It returns the names of those
// calls up to there.
func (t *trial) trace(name string, n int) (calls []string, err error) {
	// Only the thread that started a process may trace it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	process, err := os.StartProcess(t.train, append([]string{t.train}, t.arguments(name, true)...), &os.ProcAttr{
		Files: []*os.File{null, null, null}, Env: os.Environ(), Sys: &unix.SysProcAttr{Ptrace: true}})
	if err != nil {
		return nil, fmt.Errorf("cannot trace: %w", err)
	}
	pid := process.Pid
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		return nil, err
	}
	err = unix.PtraceSetOptions(pid, unix.PTRACE_O_TRACESYSGOOD|unix.PTRACE_O_TRACECLONE|unix.PTRACE_O_EXITKILL)
	if err != nil {
		return nil, fmt.Errorf("cannot trace: %w", err)
	}
	known := map[int]bool{pid: true}
	thread, signal := pid, 0
	for {
		if err := unix.PtraceSyscall(thread, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, err
		}
		if thread, err = unix.Wait4(-1, &status, unix.WALL, nil); err != nil {
			return nil, err
		}
		signal = 0
		switch {
		case status.Exited() || status.Signaled():
			if thread == pid {
				if n == 0 && (status.Signaled() || status.ExitStatus() != 0) {
					return nil, fmt.Errorf("a traced training failed: %v", status)
				}
				return calls, nil
			}
			// Another thread is waited for, which goes on by itself.
			thread = -1
			continue
		case status.StopSignal() == unix.SIGTRAP|0x80:
			what, err := call(pid, thread)
			if err != nil {
				return nil, err
			}
			if what == "" {
				continue
			}
			if calls = append(calls, what); len(calls) == n {
				if err := unix.Kill(pid, unix.SIGKILL); err != nil {
					return nil, err
				}
				return calls, reap(pid)
			}
		case status.StopSignal() == unix.SIGTRAP: // a thread begins, or the program does
		case status.StopSignal() == unix.SIGSTOP && !known[thread]:
			known[thread] = true // how a thread begins
		default:
			signal = int(status.StopSignal())
		}
		known[thread] = true
	}
}

// reap waits for the end of a process that was killed, and of its threads.
func reap(pid int) error {
	for {
		var status unix.WaitStatus
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		if err != nil || thread == pid && (status.Exited() || status.Signaled()) {
			return err
		}
	}
}

// call returns the name of the call that a thread is about to make if it changes a file, "" otherwise.
func call(pid, thread int) (string, error) {
	var info syscallInfo
	_, _, e := unix.Syscall6(unix.SYS_PTRACE, getSyscallInfo, uintptr(thread), unsafe.Sizeof(info),
		uintptr(unsafe.Pointer(&info)), 0, 0)
	if e == unix.ESRCH {
		return "", nil // it was killed meanwhile
	}
	if e != 0 {
		return "", fmt.Errorf("cannot read a system call: %w", e)
	}
	c, ok := changing[info.number]
	if !ok || info.op != atEntry {
		return "", nil
	}
	if info.number == unix.SYS_OPENAT && info.args[2]&(unix.O_CREAT|unix.O_TRUNC) == 0 {
		return "", nil
	}
	if c.writes {
		to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", pid, info.args[0]))
		if err != nil || !strings.HasPrefix(to, os.TempDir()) {
			return "", nil
		}
	}
	return c.name, nil
}
