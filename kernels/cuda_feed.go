//go:build cgo && !nocuda

// Data that stays with the host: the rows of the next steps are gathered and copied while a step runs. Step k uses slot
// k mod 3 of the pinned memory and of the device's window, so that at any time
//
//	a goroutine         gathers the rows of step k+2 from the data set into pinned memory
//	a second stream     copies those of step k+1 to the device
//	the launches        of step k read theirs, see perturb.cu
//
// What uses a slot waits for what used it before, by events:
//
//	gathering waits for the copy of step k-3, on the host            (copied)
//	the copy waits for the end of step k-3, on the second stream     (read)
//	the step waits for its copy, on the stream of launches           (copied)
//
// Which rows a step sees is decided where it is for the CPU ([Perturb.draw]), so that the bits are those of data that
// lies on the device. The copies stand outside the program's graph, which has the window's address and finds its slot by
// the step.

package kernels

import (
	"errors"
	"fmt"
	"sync"

	"sigmaz/cuda"
)

// feed brings the rows of one operation to the device.
type feed struct {
	op       Perturb
	launches *cuda.Stream
	copies   *cuda.Stream
	window   *cuda.Buffer // the slots, one after the other
	slots    [StreamedSteps]feedSlot
	once     sync.Once // stop

	// Steps go in to be gathered. In the same order it comes out that their rows lie in pinned memory, or why they do not.
	// There is room for all that are under way, so that neither side ever waits for the other to take something.
	wanted   chan uint64
	gathered chan error
	underWay int    // steps that went in and have not come out
	next     uint64 // the step that comes out next
}

type feedSlot struct {
	pinned       *cuda.Pinned
	copied, read *cuda.Event
}

// newFeed reserves the memory of a feed.
func (b *cudaBackend) newFeed(o Perturb) (*feed, error) {
	copies, err := b.copyStream()
	if err != nil {
		return nil, err
	}
	f := &feed{op: o, launches: b.device.Launches(), copies: copies, wanted: make(chan uint64, StreamedSteps),
		gathered: make(chan error, StreamedSteps)}
	if err := f.reserve(b.device); err != nil {
		return nil, errors.Join(err, f.free())
	}
	go f.work()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.feeds[f] = true
	return f, nil
}

// copyStream returns the stream of all feeds' copies, which it makes once.
func (b *cudaBackend) copyStream() (s *cuda.Stream, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.copies == nil {
		b.copies, err = b.device.NewStream()
	}
	return b.copies, err
}

func (f *feed) reserve(d *cuda.Device) (err error) {
	all := f.op.Data.StreamedSize(f.op.N)
	if f.window, err = d.Alloc(all, "the buffer for the rows of the next steps"); err != nil {
		return err
	}
	for i := range f.slots {
		s := &f.slots[i]
		if s.pinned, err = d.AllocPinned(int(all / StreamedSteps)); err != nil {
			return err
		}
		if s.copied, err = d.NewEvent(); err != nil {
			return err
		}
		if s.read, err = d.NewEvent(); err != nil {
			return err
		}
	}
	return nil
}

// free releases what was reserved. No work that uses it may be under way.
func (f *feed) free() (err error) {
	if f.window != nil {
		err = f.window.Free()
	}
	for _, s := range f.slots {
		if s.pinned != nil {
			s.pinned.Free()
		}
		for _, e := range []*cuda.Event{s.copied, s.read} {
			if e != nil {
				err = errors.Join(err, e.Destroy())
			}
		}
	}
	return err
}

// stop ends the gathering, waits for the copies and releases the memory, once.
func (f *feed) stop(b *cudaBackend) {
	f.once.Do(func() {
		close(f.wanted)
		for range f.gathered { // until work has ended
		}
		for _, s := range f.slots {
			s.copied.Synchronize() // what has failed shows in the next call that needs the device
		}
		f.free()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.feeds, f)
	})
}

// work gathers the steps that are wanted.
func (f *feed) work() {
	defer close(f.gathered)
	for step := range f.wanted {
		s := &f.slots[step%StreamedSteps]
		err := s.copied.Synchronize()
		if err == nil {
			f.op.gather(s.pinned.Bytes(), step)
		}
		f.gathered <- err
	}
}

// gatherers is the number of goroutines that gather: rows of a mapped file may have to come from a disk, which is
// faster when it is asked for several at a time.
const gatherers = 8

// gather writes the data of a step's rows to dst, one after the other.
func (o Perturb) gather(dst []byte, step uint64) {
	size := len(dst) / o.N
	part := (o.N + gatherers - 1) / gatherers
	var all sync.WaitGroup
	for first := 0; first < o.N; first += part {
		all.Go(func() {
			var drawn [drawRows]draw
			last := min(first+part, o.N)
			for lo := first; lo < last; lo += drawRows {
				draws := drawn[:min(drawRows, last-lo)]
				o.drawRows(draws, step, lo)
				for i, d := range draws {
					copy(dst[(lo+i)*size:(lo+i+1)*size], o.Data.raw(d.image))
				}
			}
		})
	}
	all.Wait()
}

// raw returns the bytes of row i.
func (d *Data) raw(i int) []byte {
	if d.F32 != nil {
		return bytesOf(d.Floats(i))
	}
	return d.Bytes(i)
}

// before queues the copy of a step's rows, which the launches that come next wait for.
func (f *feed) before(step uint64) error {
	if f.underWay == 0 || f.next != step { // the first step, or one after a jump: what was gathered is of no use
		for ; f.underWay > 0; f.underWay-- {
			<-f.gathered
		}
		f.next = step
		for i := range uint64(StreamedSteps) {
			f.want(step + i)
		}
	}
	err := <-f.gathered
	f.underWay--
	f.next++
	s := &f.slots[step%StreamedSteps]
	for _, queue := range []func() error{
		func() error { return f.copies.Wait(s.read) },
		func() error {
			return f.copies.Copy(f.window, int64(step%StreamedSteps)*f.window.Bytes()/StreamedSteps, s.pinned)
		},
		func() error { return f.copies.Record(s.copied) },
		func() error { return f.launches.Wait(s.copied) },
	} {
		if err == nil {
			err = queue()
		}
	}
	if err != nil {
		return fmt.Errorf("copying the rows of step %d to the device: %w", step+1, err)
	}
	return nil
}

// after notes that the launches up to now have read the step's rows, and wants those of the step that has its slot next.
func (f *feed) after(step uint64) error {
	err := f.launches.Record(f.slots[step%StreamedSteps].read)
	f.want(step + StreamedSteps)
	return err
}

func (f *feed) want(step uint64) {
	f.wanted <- step
	f.underWay++
}
