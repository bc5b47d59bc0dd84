// Links between the devices of several processes, by which windows of their arenas go from each to each other.

package kernels

import (
	"time"

	"sigmaz/cuda/nccl"
)

// Link is this process's end of a link. What it carries is queued behind the programs that were started before and comes
// before those that are started later; a call returns before it is done. The windows have a part for each rank, all of one
// length, and all ranks make the same calls in the same order.
type Link interface {
	// Ready waits until all ranks have joined, for so long at most.
	Ready(most time.Duration) error
	// Exchange sends part i of send to each other rank i, and what that sends comes to part i of recv.
	Exchange(a Arena, send, recv Buf) error
	// AllGather sends this rank's part of a window to all, and theirs come to the other parts.
	AllGather(a Arena, all Buf) error
	// Check returns why the link is lost, nil while it is not. Any goroutine may call it.
	Check() error
	// Abort ends what waits for other ranks, and every later call fails with why. What was to come is not there then. Any
	// goroutine may call it.
	Abort(why error)
	// Close leaves the others, after what is queued or after Abort: it waits so long at most.
	Close(most time.Duration) error
}

// LinkVersion returns the version of the library that links need, which it loads.
func LinkVersion() (int, error) { return nccl.Open() }

// LinkVersionText returns a version as people write it.
func LinkVersionText(version int) string { return nccl.VersionText(version) }

// NewLinkID returns the name of a new link, which all its ranks are to be given.
func NewLinkID() ([]byte, error) { return nccl.NewID() }
