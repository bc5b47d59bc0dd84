// Package cuda reaches one NVIDIA GPU through the driver API: device memory, kernels from PTX, captured graphs.
//
// It stands on gorgonia.org/cu, and on a few calls of its own where cu has none: stream capture and graph launches,
// pinned memory, function attributes. Every driver call of a [Device] is made by one operating system thread, which is
// locked to the device's context, and all of its work goes to one stream, so launches run in the order they were made in.
//
// Built with -tags nocuda, or without cgo, the package has the same surface and every call returns [ErrNotBuilt]; no
// CUDA package is then linked. Built with CUDA, a program starts on any machine that has a libcuda.so.1, with or
// without a GPU; [Available] tells which.
package cuda

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrNotBuilt is what every call returns in a program built without CUDA.
var ErrNotBuilt = errors.New("this program was built without CUDA: build it without -tags nocuda, with cgo and the CUDA headers, or leave -gpu away")

// minDriver is the least driver that takes the PTX of this module (ISA 7.8), as cuDriverGetVersion counts: 1000 major + 10 minor.
const minDriver = 11080

// Results of driver calls (CUresult) that are told apart here.
const (
	codeOutOfMemory = 2
	codeStubLibrary = 34
	codeNoDevice    = 100
	codeMismatch    = 803 // CUDA_ERROR_SYSTEM_DRIVER_MISMATCH
)

// Error is a driver call that failed.
type Error struct {
	Call string // the call: "cuMemAlloc"
	Code int    // its CUresult: 2
	Name string // the result's name: "CUDA_ERROR_OUT_OF_MEMORY"; empty where the driver knows none
	Doc  string // the driver's words for it: "out of memory"
}

// Error is one sentence: "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory".
func (e *Error) Error() string {
	s := e.short()
	if e.Doc != "" {
		s += ": " + e.Doc
	}
	if e.Lost() {
		s += "; the device is lost to this process, start it again from the last checkpoint"
	}
	return s
}

// short is the error without the driver's words: "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)".
func (e *Error) short() string {
	name := e.Name
	if name == "" {
		name = "CUresult"
	}
	return fmt.Sprintf("%s: %s (%d)", e.Call, name, e.Code)
}

// Lost says that the device's context is gone: a kernel failed or the GPU fell off, and every later call fails too. As
// kernels run asynchronously, Call may be one that only met the failure of a launch before it.
func (e *Error) Lost() bool {
	switch e.Code {
	case 46, // device unavailable
		214, // uncorrectable ECC error
		220, // uncorrectable NVLink error
		700, // illegal address
		702, // launch timeout
		709, // context is destroyed
		710, // assert
		714, // hardware stack error
		715, // illegal instruction
		716, // misaligned address
		717, // invalid address space
		718, // invalid program counter
		719, // launch failed
		999: // unknown, which is what a GPU that fell off the bus gives
		return true
	}
	return false
}

// OutOfMemory is an allocation that did not fit on the device. Sizes are in bytes.
type OutOfMemory struct {
	Need        int64  // of the allocation
	Free, Total int64  // of the device, when it failed
	Owner       string // what the memory was for
}

func (e *OutOfMemory) Error() string {
	return fmt.Sprintf("out of device memory: %s needs %s, and of the device's %s only %s are free", e.Owner, size(e.Need), size(e.Total), size(e.Free))
}

// Memory is what was needed and what was free, in bytes.
func (e *OutOfMemory) Memory() (need, free int64) { return e.Need, e.Free }

// size writes a number of bytes: "3.25 GiB".
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}

// versionText writes a version as cuDriverGetVersion counts: 11080 is "11.8".
func versionText(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// initError puts the failure of cuInit into words that say what to do.
func initError(e *Error) error {
	switch e.Code {
	case codeNoDevice:
		return fmt.Errorf("no CUDA device: the driver finds no GPU on this machine (%s); see what nvidia-smi and CUDA_VISIBLE_DEVICES say, or leave -gpu away", e.short())
	case codeStubLibrary:
		return fmt.Errorf("no CUDA driver: the libcuda.so.1 that was loaded is the stub of a build machine (%s); install the NVIDIA driver, or leave -gpu away", e.short())
	case codeMismatch:
		return fmt.Errorf("the NVIDIA driver's library and its kernel module are of different versions (%s); restart the machine or install the driver again, or leave -gpu away", e.short())
	}
	return fmt.Errorf("no CUDA driver answers (%s); install the NVIDIA driver, or leave -gpu away", e.short())
}

// checkDriver refuses a driver older than minDriver.
func checkDriver(version int) error {
	if version >= minDriver {
		return nil
	}
	return fmt.Errorf("the NVIDIA driver is too old: it is for CUDA %s, and CUDA %s (driver 520) or newer is needed; update it, or leave -gpu away", versionText(version), versionText(minDriver))
}

// checkOrdinal refuses a device that count devices do not have.
func checkOrdinal(ordinal, count int) error {
	switch {
	case ordinal >= 0 && ordinal < count:
		return nil
	case count == 1:
		return fmt.Errorf("device %d is not there: this machine has 1 device, numbered from 0", ordinal)
	}
	return fmt.Errorf("device %d is not there: this machine has %d devices, numbered from 0", ordinal, count)
}

// ptxNeeds reads what a PTX file asks for from its head: the driver of `.version 7.8`, as cuDriverGetVersion counts,
// and the compute capability of `.target sm_80`, as 80. What it cannot find is 0.
func ptxNeeds(ptx []byte) (isa string, driver, capability int) {
	for line := range bytes.Lines(ptx) {
		field := strings.Fields(string(line))
		if len(field) < 2 {
			continue
		}
		switch field[0] {
		case ".version":
			isa = field[1]
			driver = driverOf(isa)
		case ".target":
			fmt.Sscanf(field[1], "sm_%d", &capability) // sm_90a and "sm_80,debug" say more after the number
			return isa, driver, capability
		}
	}
	return isa, driver, capability
}

// driverOf is the first CUDA version that took a PTX ISA: 7.n came with 11.n, 8.0 to 8.5 with 12.0 to 12.5, 8.6 to 8.8
// with 12.7 to 12.9, 9.n with 13.n. 0 where there is no need to know.
func driverOf(isa string) int {
	first, second, _ := strings.Cut(isa, ".")
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil || major < 7 {
		return 0
	}
	if major == 8 && minor >= 6 {
		minor++
	}
	return 1000*(major+4) + 10*minor
}

// checkPTX refuses a module that the device cannot run: its driver is older than the PTX, or its capability less.
func checkPTX(module string, ptx []byte, driver, major, minor int, device string) error {
	isa, needDriver, needCapability := ptxNeeds(ptx)
	if driver < needDriver {
		return fmt.Errorf("the NVIDIA driver is too old: it is for CUDA %s, and the kernels of %s are PTX %s, which CUDA %s brought; update it, or leave -gpu away", versionText(driver), module, isa, versionText(needDriver))
	}
	if 10*major+minor < needCapability {
		return fmt.Errorf("%s has compute capability %d.%d, and the kernels of %s need %d.%d or more; use a newer GPU, or leave -gpu away", device, major, minor, module, needCapability/10, needCapability%10)
	}
	return nil
}
