// Where the data of a run lies while it trains on a device with memory of its own: there, or with the host, which then
// copies the rows of each step while the step before runs. The bits are the same.

package train

import (
	"slices"
	"strings"

	"sigmaz/internal/setting"
	"sigmaz/kernels"
)

// DataMemory says where the data is to lie. It is no part of a configuration, since it changes nothing but the time
// that a run takes.
type DataMemory string

const (
	AutoMemory   DataMemory = "auto"   // on the device where it fits there, which "" means too
	DeviceMemory DataMemory = "device" // on the device
	HostMemory   DataMemory = "host"   // with the host
)

// DataMemories lists the words of [DataMemory].
func DataMemories() []string {
	return []string{string(AutoMemory), string(DeviceMemory), string(HostMemory)}
}

func (m DataMemory) validate() error {
	if m != "" && !slices.Contains(DataMemories(), string(m)) {
		return setting.Errorf("data-memory", "is %q: expected %s", string(m), strings.Join(DataMemories(), ", "))
	}
	return nil
}

// Placement is where the data lies and what that takes, in bytes.
type Placement struct {
	Host bool // with the host
	Data int64
	Free int64 // that the device has for it, beside what training takes
	// Of data with the host, what a step copies and what that takes of the device's memory, and as much of the host's.
	Step, Window int64
}

// Place decides where the data lies on a device of which free bytes are left for it. A part of them is kept for what
// the driver takes as it runs.
func (c *TrainerConfig) Place(free int64) Placement {
	p := Placement{Free: free - free/16}
	for _, d := range []*kernels.Data{c.Data, c.HeldOut} {
		if d != nil {
			p.Data += d.Size()
		}
	}
	if p.Host = c.DataMemory == HostMemory || c.DataMemory != DeviceMemory && p.Data > p.Free; !p.Host {
		return p
	}
	p.Window = c.window()
	if c.Data != nil {
		p.Step = c.Data.StreamedSize(c.Batch) / kernels.StreamedSteps
	}
	return p
}

// window returns the bytes of device memory through which data with the host goes.
func (c *TrainerConfig) window() (bytes int64) {
	for _, d := range []*kernels.Data{c.Data, c.HeldOut} {
		if d != nil {
			bytes += d.StreamedSize(c.rows())
		}
	}
	return bytes
}
