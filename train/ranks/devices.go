// Ranks with a GPU each: NCCL carries windows from device to device, and a room of the hosts whatever is small, and the word
// that a rank is lost.

package ranks

import (
	"encoding/binary"
	"fmt"
	"time"

	"sigmaz/kernels"
)

// Room is where the processes of a run meet, see package rendezvous.
type Room interface {
	Rank() int
	Size() int
	AllGather(own []byte) (all [][]byte, err error)
	// Lost is closed when a rank is lost, which Err then names.
	Lost() <-chan struct{}
	Err() error
	Close(failed error) error
}

const (
	joinTime  = 2 * time.Minute       // that a device has to reach the others; whoever dies meanwhile is noticed sooner
	checkTime = 50 * time.Millisecond // between two looks at the link
	roomTime  = 3 * time.Second       // in which the room may say who is to blame
	leaveTime = 5 * time.Second       // for leaving in order
)

// OnDevices returns the transport between arenas of GPUs whose processes are in a room.
func OnDevices(room Room) Transport { return &devices{Room: room} }

type devices struct {
	Room
	link    kernels.Link // nil where the transport is not bound
	leave   chan struct{}
	watched chan struct{} // closed when nobody watches the link any more
	cause   error         // why the link is lost, set before watched is closed
}

// Agree is the room's.
func (d *devices) Agree(own []byte) ([][]byte, error) {
	all, err := d.Room.AllGather(own)
	if err != nil {
		return nil, d.why(err)
	}
	return all, nil
}

// Bind joins the devices. Rank 0 names the link.
func (d *devices) Bind(b kernels.Backend) error {
	version, err := kernels.LinkVersion()
	if err != nil {
		return err
	}
	own := binary.LittleEndian.AppendUint32(nil, uint32(version))
	if d.Rank() == 0 {
		id, err := kernels.NewLinkID()
		if err != nil {
			return err
		}
		own = append(own, id...)
	}
	all, err := d.Room.AllGather(own)
	if err != nil {
		return err
	}
	for rank, said := range all {
		if v := binary.LittleEndian.Uint32(said); v != binary.LittleEndian.Uint32(all[0]) {
			return fmt.Errorf("rank %d has NCCL %s and rank 0 %s: give all ranks the same libnccl.so.2", rank, kernels.LinkVersionText(int(v)),
				kernels.LinkVersionText(int(binary.LittleEndian.Uint32(all[0]))))
		}
	}
	if d.link, err = kernels.NewLink(b, all[0][4:], d.Rank(), d.Size()); err != nil {
		return err
	}
	d.leave, d.watched, d.cause = make(chan struct{}), make(chan struct{}), nil
	go d.watch()
	if err := d.link.Ready(joinTime); err != nil {
		return d.why(err)
	}
	return nil
}

// watch ends what waits on the device for a rank that is lost: the device itself would wait for ever.
func (d *devices) watch() {
	defer close(d.watched)
	tick := time.NewTicker(checkTime)
	defer tick.Stop()
	for {
		select {
		case <-d.leave:
			return
		case <-d.Lost():
			d.cause = d.Room.Err()
			d.link.Abort(d.cause)
			return
		case <-tick.C:
		}
		err := d.link.Check()
		if err == nil {
			continue
		}
		// A link may break before the room knows which rank has broken it.
		d.cause = fmt.Errorf("rank %d: %w", d.Rank(), err)
		select {
		case <-d.leave:
		case <-d.Lost():
			d.cause = d.Room.Err()
		case <-time.After(roomTime):
			// Only this rank knows. Its own host may wait in the room for others, who wait on their devices for this one.
			d.Room.Close(d.cause)
		}
		return
	}
}

// why returns the cause of a failure of the link.
func (d *devices) why(err error) error {
	if lost := d.Err(); lost != nil {
		return lost
	}
	return err
}

func (d *devices) Exchange(a kernels.Arena, send, recv kernels.Buf) error {
	if err := d.link.Exchange(a, send, recv); err != nil {
		return d.why(err)
	}
	return nil
}

func (d *devices) AllGather(a kernels.Arena, all kernels.Buf) error {
	if err := d.link.AllGather(a, all); err != nil {
		return d.why(err)
	}
	return nil
}

// Err waits until it is clear what broke a link that is broken.
func (d *devices) Err() error {
	if d.link == nil || d.link.Check() == nil {
		return d.Room.Err()
	}
	<-d.watched
	return d.cause
}

// Release leaves the others' devices: in order where all is well.
func (d *devices) Release() {
	if d.link == nil {
		return
	}
	close(d.leave)
	<-d.watched
	d.link.Close(leaveTime) // what is wrong with it is of no more interest
	d.link = nil
}
