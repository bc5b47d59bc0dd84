// What ranks say to each other.

package ranks

import (
	"time"

	"sigmaz/kernels"
)

// Transport carries windows of memory between the ranks of a run. All ranks call the same methods in the same order, with
// windows of the same size; a window has a part for each rank, all of one length. A call that fails is the end: a rank is
// lost, and then every later call fails.
//
// What is carried is queued behind what was started on the arena before, and comes before what is started later. Where a rank
// is lost, windows hold what they held: whoever reads the arena asks Err before he believes it.
type Transport interface {
	// Rank is the number of this process, from 0 on, and Size that of all.
	Rank() int
	Size() int
	// Bind makes the transport one between arenas of a backend, and Release ends that. In between the backend stays open.
	Bind(b kernels.Backend) error
	Release()
	// Exchange sends part i of send to each other rank i. What rank i sends comes to part i of recv; the own part is left as
	// it is.
	Exchange(a kernels.Arena, send, recv kernels.Buf) error
	// AllGather sends this rank's part of a window to all, and fills the other parts with theirs.
	AllGather(a kernels.Arena, all kernels.Buf) error
	// Agree returns what each rank has to say, in as many bytes everywhere. It waits for all of them.
	Agree(own []byte) (all [][]byte, err error)
	// Err says which rank is lost, nil as long as none is.
	Err() error
	// Close takes leave of the others: in order where failed is nil, and else so that their calls fail or their processes end.
	Close(failed error) error
}

// Group is a transport with a count of what it carries.
type Group struct {
	Transport
	Sent   int64         // bytes of windows that this rank sent to others
	Waited time.Duration // in calls of the transport, most of it for others
}

// clock begins to measure a call; the function that it returns ends that.
func (g *Group) clock() func() {
	begun := time.Now()
	return func() { g.Waited += time.Since(begun) }
}

// Exchange is that of [Transport].
func (g *Group) Exchange(a kernels.Arena, send, recv kernels.Buf) error {
	defer g.clock()()
	g.Sent += g.toOthers(send)
	return g.Transport.Exchange(a, send, recv)
}

// AllGather is that of [Transport]. The own part counts once for each rank that gets it.
func (g *Group) AllGather(a kernels.Arena, all kernels.Buf) error {
	defer g.clock()()
	g.Sent += g.toOthers(all)
	return g.Transport.AllGather(a, all)
}

// toOthers is the bytes of all parts of a window but one.
func (g *Group) toOthers(b kernels.Buf) int64 { return 4 * int64(b.N/g.Size()) * int64(g.Size()-1) }
