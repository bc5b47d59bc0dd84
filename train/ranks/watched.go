// A transport beside which a room knows who lives: where the transport fails, or waits for one that is gone, the room says who it is.

package ranks

import (
	"time"

	"sigmaz/kernels"
)

// Watched returns the transport, whose errors name the rank that is lost where the room knows it.
func Watched(t Transport, room Room) Transport { return watched{t, room} }

type watched struct {
	Transport
	room Room
}

func (w watched) Exchange(a kernels.Arena, send, recv kernels.Buf) error {
	return blame(w.room, w.Transport.Exchange(a, send, recv))
}

func (w watched) AllGather(a kernels.Arena, all kernels.Buf) error {
	return blame(w.room, w.Transport.AllGather(a, all))
}

func (w watched) Agree(own []byte) ([][]byte, error) {
	all, err := w.Transport.Agree(own)
	return all, blame(w.room, err)
}

func (w watched) Err() error { return w.room.Err() }

// blame returns the room's word on a failure. A transport may break before the room knows which rank has broken it.
func blame(room Room, err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-room.Lost():
		return room.Err()
	case <-time.After(roomTime):
		return err
	}
}

// Close takes leave in the room first: it says why, and notices who dies meanwhile.
func (w watched) Close(failed error) error {
	left := w.room.Close(failed)
	if failed == nil {
		failed = left
	}
	if err := w.Transport.Close(failed); left == nil {
		return err
	}
	return left
}
