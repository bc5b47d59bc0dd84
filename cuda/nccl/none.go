//go:build !cgo || nocuda

// The exported names of nccl.go for a program built without CUDA, in which every call fails.

package nccl

import (
	"errors"
	"time"
)

var errNotBuilt = errors.New("NCCL: this program was built without CUDA: build it without -tags nocuda, with cgo and the CUDA headers")

// Open loads the library and returns its version.
func Open() (version int, err error) { return 0, errNotBuilt }

// NewID returns the name of a new communicator.
func NewID() ([]byte, error) { return nil, errNotBuilt }

// Comm is this process's end of a communicator.
type Comm struct{}

// Init begins to join the other ranks of a communicator.
func Init(id []byte, rank, size int) (*Comm, error) { return nil, errNotBuilt }

// Ready waits until all ranks have joined.
func (c *Comm) Ready(most time.Duration) error { return errNotBuilt }

// Exchange queues that windows go to each other rank.
func (c *Comm) Exchange(send, recv uint64, n int, stream uintptr) error { return errNotBuilt }

// AllGather queues that the own window goes to all.
func (c *Comm) AllGather(all uint64, n int, stream uintptr) error { return errNotBuilt }

// Check returns why the communicator is lost.
func (c *Comm) Check() error { return errNotBuilt }

// Abort ends what waits for other ranks.
func (c *Comm) Abort(why error) {}

// Close leaves the communicator.
func (c *Comm) Close(most time.Duration) error { return errNotBuilt }
