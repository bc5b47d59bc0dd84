// A rank whose process beats while its trainer hangs, and one that takes its time where it may.

package train

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sigmaz/internal/rendezvous"
	"sigmaz/kernels"
	"sigmaz/train/ranks"
	"sigmaz/train/ranks/rankstest"
)

// stuck is a backend of which a program does not end before it is freed, after so many that did.
type stuck struct {
	kernels.Backend
	after *atomic.Int64
	freed chan struct{}
}

type stuckProgram struct {
	kernels.Program
	b stuck
}

func (b stuck) Compile(a kernels.Arena, ops []kernels.Op) (kernels.Program, error) {
	p, err := b.Backend.Compile(a, ops)
	return stuckProgram{p, b}, err
}

func (p stuckProgram) Run() error {
	if p.b.after.Add(-1) == 0 {
		<-p.b.freed
	}
	return p.Program.Run()
}

// stuckMark is one that the device does not come to, after so many times.
type stuckMark struct {
	after *atomic.Int64
	freed chan struct{}
}

func (m stuckMark) Set() error { return nil }

func (m stuckMark) Wait() error {
	if m.after.Add(-1) == 0 {
		<-m.freed
	}
	return nil
}

// A rank that hangs in a step is lost, and named by all; one that takes as long to write a checkpoint is not.
func TestHang(t *testing.T) {
	const size = 2
	for _, test := range []struct {
		name   string
		hangs  int // the rank that does; -1: none
		device bool
	}{{"rank 0", 0, false}, {"rank 1", 1, false}, {"device 0", 0, true}, {"device 1", 1, true}, {"checkpoint", -1, false}} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			folder, freed := t.TempDir(), make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			free := sync.OnceFunc(func() { cancel(); close(freed) })
			lost := make([]error, size)
			var all sync.WaitGroup
			for rank, transport := range rankstest.Local(size) {
				all.Go(func() {
					// A beat is a tenth of a second: a rank that has not come on for two seconds hangs.
					c := rendezvous.Config{Rank: rank, Size: size, Address: l.Addr().String(), Run: t.Name(), Silence: 1500 * time.Millisecond}
					if rank == 0 {
						c.Listener = l
					}
					room, err := rendezvous.Join(ctx, c)
					if err != nil {
						t.Error(err)
						return
					}
					config, d := tiny("mlp")
					config.Batch, config.Shards, config.Steps, config.CheckpointEvery, config.PreviewN, config.EvalEvery = 8, 2, 40, 10, 0, 0
					var b kernels.Backend = kernels.NewCPU(1)
					defer b.Close()
					if rank == test.hangs && !test.device {
						b = stuck{b, new(atomic.Int64), freed}
						b.(stuck).after.Store(60)
					}
					o := Options{Backend: b, Ranks: &ranks.Group{Transport: ranks.Watched(transport, room)}}
					room.Watch(o.Ranks.State)
					if rank == 0 {
						o.Folder = folder
						o.Events = func(e Event) {
							if s, ok := e.(Saved); ok && s.Step == 10 && test.hangs < 0 {
								time.Sleep(4 * time.Second)
							}
						}
					}
					ended := make(chan error, 1)
					go func() {
						r, err := openRun(config, d, o)
						if err == nil {
							defer r.close()
							if rank == test.hangs && test.device {
								r.trainer.arrival.mark = stuckMark{new(atomic.Int64), freed}
								r.trainer.arrival.mark.(stuckMark).after.Store(10) // whose end a checkpoint waits for
							}
							_, err = r.train(ctx)
						}
						ended <- err
					}()
					select {
					case err = <-ended:
					case <-room.Lost(): // by which a process ends that waits for others
						transport.Close(room.Err())
						free()
						<-ended
					}
					lost[rank] = errors.Join(room.Err(), err)
					room.Close(err)
				})
			}
			all.Wait()
			for rank, err := range lost {
				want := ""
				if test.hangs >= 0 {
					want = fmt.Sprintf("rank %d on ", test.hangs)
				}
				if said := fmt.Sprint(err); want == "" && err != nil || want != "" && (!strings.Contains(said, want) ||
					!strings.Contains(said, " hangs: it beats, but has not come on in a step")) {
					t.Errorf("rank %d says %s", rank, said)
				}
			}
		})
	}
}
