// What NCCL is called in errors, with it or without.

package nccl

import (
	"errors"
	"fmt"
)

// Oldest is the oldest version that will do: the first whose calls do not block for ever where a rank is missing. A version
// is 10000 major + 100 minor + patch.
const Oldest = 21400

// IDBytes is the size of the name that a communicator has.
const IDBytes = 128

// where says where the library is to be had.
const where = "install the Python wheel nvidia-nccl-cu12 (or -cu13, as the driver is) or NVIDIA's package libnccl2, and set " +
	"LD_LIBRARY_PATH to the folder that libnccl.so.2 lies in"

// ErrClosed is the error of a call on a communicator that was closed.
var ErrClosed = errors.New("NCCL: the communicator is closed")

// VersionText returns a version as NVIDIA writes it: "2.20.5".
func VersionText(version int) string {
	if version < 10000 { // before 2.9 it was 1000 major + 100 minor + patch
		return fmt.Sprintf("%d.%d.%d", version/1000, version%1000/100, version%100)
	}
	return fmt.Sprintf("%d.%d.%d", version/10000, version%10000/100, version%100)
}

// checkVersion refuses a library that is too old.
func checkVersion(version int) error {
	if version >= Oldest {
		return nil
	}
	return fmt.Errorf("libnccl.so.2 is NCCL %s, and several GPUs need %s or newer: %s", VersionText(version), VersionText(Oldest), where)
}

// missing is the error of a library that is not there, or is another; why is the loader's sentence.
func missing(why string) error {
	return fmt.Errorf("several GPUs need NVIDIA's NCCL, %s or newer, and it cannot be loaded (%s): %s", VersionText(Oldest), why, where)
}
