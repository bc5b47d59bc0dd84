// Errors of the driver, and its refusals put into words that say what to do.

package cuda

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrNotBuilt is what every call returns in a program built without CUDA.
var ErrNotBuilt = errors.New("this program was built without CUDA: build it without -tags nocuda, " +
	"with cgo and the CUDA headers, or leave -gpu out")

// minDriver is the oldest driver that takes the PTX of package kernels (ISA 7.8). As in cuDriverGetVersion, a version
// is 1000 major + 10 minor.
const minDriver = 11080

// Results of driver calls (CUresult) that have an error text of their own.
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

// Error returns one sentence: "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): out of memory".
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

// short returns the error without the driver's words: "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2)".
func (e *Error) short() string {
	name := e.Name
	if name == "" {
		name = "CUresult"
	}
	return fmt.Sprintf("%s: %s (%d)", e.Call, name, e.Code)
}

// Lost reports whether the device's context is gone: a kernel failed or the GPU fell off the bus, and every later call
// fails, too. Kernels run asynchronously, so Call may only have met the failure of an earlier launch.
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
		999: // unknown: a GPU that fell off the bus
		return true
	}
	return false
}

// OutOfMemory is the error of an allocation that did not fit on the device. Sizes are in bytes.
type OutOfMemory struct {
	Need        int64  // size of the allocation
	Free, Total int64  // memory of the device at that moment
	Owner       string // what the memory was for
}

func (e *OutOfMemory) Error() string {
	return fmt.Sprintf("out of device memory: %s needs %s, and of the device's %s only %s are free",
		e.Owner, size(e.Need), size(e.Total), size(e.Free))
}

// Memory returns the bytes that were needed and the bytes that were free.
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

// versionText writes a version of cuDriverGetVersion: "11.8" for 11080.
func versionText(v int) string { return fmt.Sprintf("%d.%d", v/1000, v%1000/10) }

// initError puts the failure of cuInit into words that say what to do.
func initError(e *Error) error {
	switch e.Code {
	case codeNoDevice:
		return fmt.Errorf("no CUDA device: the driver finds no GPU on this machine (%s); "+
			"see what nvidia-smi and CUDA_VISIBLE_DEVICES say, or leave -gpu out", e.short())
	case codeStubLibrary:
		return fmt.Errorf("no CUDA driver: the libcuda.so.1 that was loaded is the stub of a build machine (%s); "+
			"install the NVIDIA driver, or leave -gpu out", e.short())
	case codeMismatch:
		return fmt.Errorf("the NVIDIA driver's library and its kernel module are of different versions (%s); "+
			"restart the machine or install the driver again, or leave -gpu out", e.short())
	}
	return fmt.Errorf("no CUDA driver answers (%s); install the NVIDIA driver, or leave -gpu out", e.short())
}

// checkDriver refuses a driver older than minDriver.
func checkDriver(version int) error {
	if version >= minDriver {
		return nil
	}
	return fmt.Errorf("the NVIDIA driver is too old: it is for CUDA %s, and CUDA %s (driver 520) or newer is needed; "+
		"update it, or leave -gpu out", versionText(version), versionText(minDriver))
}

// checkOrdinal refuses the number of a device on a machine with count devices, if it is not one of theirs.
func checkOrdinal(ordinal, count int) error {
	switch {
	case ordinal >= 0 && ordinal < count:
		return nil
	case count == 1:
		return fmt.Errorf("device %d is not there: this machine has 1 device, numbered from 0", ordinal)
	}
	return fmt.Errorf("device %d is not there: this machine has %d devices, numbered from 0", ordinal, count)
}

// A ptxHead is what a PTX file asks for in its first lines, such as
//
//	.version 7.8
//	.target sm_80
//
// What is not found there is 0, which asks for nothing.
type ptxHead struct {
	isa        string // of .version
	driver     int    // first driver that takes it, as in cuDriverGetVersion
	capability int    // of .target: 80
	// bound is the letter after the number, 0 if there is none. It makes the code run on fewer devices: 'a' on those
	// of exactly this capability, 'f' on newer ones of the same major number, too.
	bound byte
}

func readPTXHead(ptx []byte) (h ptxHead) {
	for line := range bytes.Lines(ptx) {
		field := strings.Fields(string(line))
		if len(field) < 2 {
			continue
		}
		switch field[0] {
		case ".version":
			h.isa = field[1]
			h.driver = driverOf(h.isa)
		case ".target":
			// "sm_80,debug" has more after a comma.
			fmt.Sscanf(field[1], "sm_%d%c", &h.capability, &h.bound)
			if h.bound != 'a' && h.bound != 'f' {
				h.bound = 0
			}
			return h
		}
	}
	return h
}

// runsOn reports whether a device of this compute capability can run the code.
func (h ptxHead) runsOn(capability int) bool {
	switch h.bound {
	case 'a':
		return capability == h.capability
	case 'f':
		return capability >= h.capability && capability/10 == h.capability/10
	}
	return capability >= h.capability
}

// driverOf returns the first CUDA version that took a PTX ISA, or 0 if the ISA is too old to matter:
//
//	PTX 7.n           CUDA 11.n
//	PTX 8.0 to 8.5    CUDA 12.0 to 12.5
//	PTX 8.6 to 8.8    CUDA 12.7 to 12.9
//	PTX 9.n           CUDA 13.n
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

// checkPTX refuses a module that the device cannot run: the driver is older than the PTX, or the PTX is for devices of
// another compute capability.
func checkPTX(module string, ptx []byte, driver, major, minor int, device string) error {
	head := readPTXHead(ptx)
	if driver < head.driver {
		return fmt.Errorf("the NVIDIA driver is too old: it is for CUDA %s, and the kernels of %s are PTX %s, "+
			"which CUDA %s brought; update it, or leave -gpu out",
			versionText(driver), module, head.isa, versionText(head.driver))
	}
	if head.runsOn(10*major + minor) {
		return nil
	}
	need, instead := fmt.Sprintf("%d.%d", head.capability/10, head.capability%10), "use a newer GPU"
	switch head.bound {
	case 'a':
		need, instead = need+" and no other", "use such a GPU"
	case 'f':
		need, instead = fmt.Sprintf("%s or a later %d.x", need, head.capability/10), "use such a GPU"
	default:
		need += " or more"
	}
	return fmt.Errorf("%s has compute capability %d.%d, and the kernels of %s need %s; %s, or leave -gpu out",
		device, major, minor, module, need, instead)
}
