// What ranks say to each other.

package ranks

import (
	"time"

	"sigmaz/internal/rendezvous"
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

// Group is a transport with a count of what it carries, and with what this rank is at. The zero value around a transport is one.
type Group struct {
	Transport
	Sent   int64         // bytes of windows that this rank sent to others
	Waited time.Duration // in calls of the transport, most of it for others

	busy time.Duration // of the host, in steps less what it waited
	work work
}

// clock begins to measure a call in a phase; the function that it returns ends that.
func (g *Group) clock(p phase) func() {
	begun, before := time.Now(), g.work.turn(p)
	return func() {
		g.Waited += time.Since(begun)
		g.work.turn(before)
	}
}

// Step does a step of the training: what this rank does of it by itself is work in which it may be found to hang. Between steps,
// where one rank writes and draws while others wait, it is not.
func (g *Group) Step(step func() error) error {
	begun, waited := time.Now(), g.Waited
	defer g.work.stepped(g.work.turn(stepping))
	err := step()
	g.busy += time.Since(begun) - (g.Waited - waited)
	return err
}

// Follow has the rank be where its device is, which the host does not wait for, until Release. A pulse that is nil is none.
func (g *Group) Follow(p kernels.Pulse) { g.work.follow(p) }

// Release is that of [Transport].
func (g *Group) Release() {
	g.work.follow(nil)
	g.Transport.Release()
}

// Busy is how long this rank was at its own part of steps, up to now or to a little before: of a device, what that has done.
func (g *Group) Busy() time.Duration {
	if worked, ok := g.work.worked(); ok {
		return worked
	}
	return g.busy
}

// Await is for what waits for what ranks do together, such as reading what a device has done.
func (g *Group) Await(f func() error) error {
	defer g.clock(awaiting)()
	return f()
}

// State is what the rank says of itself with a beat; see work.
func (g *Group) State() rendezvous.State { return g.work.beat() }

// Agree is that of [Transport].
func (g *Group) Agree(own []byte) ([][]byte, error) {
	defer g.clock(waiting)()
	return g.Transport.Agree(own)
}

// Exchange is that of [Transport].
func (g *Group) Exchange(a kernels.Arena, send, recv kernels.Buf) error {
	defer g.clock(waiting)()
	g.Sent += g.toOthers(send)
	return g.Transport.Exchange(a, send, recv)
}

// AllGather is that of [Transport]. The own part counts once for each rank that gets it.
func (g *Group) AllGather(a kernels.Arena, all kernels.Buf) error {
	defer g.clock(waiting)()
	g.Sent += g.toOthers(all)
	return g.Transport.AllGather(a, all)
}

// toOthers is the bytes of all parts of a window but one.
func (g *Group) toOthers(b kernels.Buf) int64 { return 4 * int64(b.N/g.Size()) * int64(g.Size()-1) }
