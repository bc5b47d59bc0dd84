package share

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sigmaz/kernels"
)

// Every row is done once, batches begin and end in order, and no device has two at a time, however long each takes.
func TestShare(t *testing.T) {
	for _, c := range []struct{ devices, n, size int }{{1, 1, 1}, {1, 10, 3}, {3, 10, 3}, {2, 7, 7}, {5, 100, 1}, {4, 0, 2}} {
		var begun, ended []int
		rows := make([]atomic.Int32, c.n)
		busy := make([]atomic.Bool, c.devices)
		second := make(chan struct{}) // has been done: the first is done after it where there are devices for both
		whole, err := Work{
			Begin: func(b Batch) error {
				begun = append(begun, b.N)
				if busy[b.Device].Swap(true) {
					t.Errorf("%+v: device %d has two batches", c, b.Device)
				}
				return nil
			},
			Do: func(ctx context.Context, b Batch) error {
				for i := range b.Rows {
					rows[b.First+i].Add(1)
				}
				switch {
				case b.N == 1:
					close(second)
				case b.N == 0 && c.devices > 1 && c.n > c.size:
					<-second
				}
				return nil
			},
			End: func(b Batch) error {
				ended = append(ended, b.N)
				busy[b.Device].Store(false)
				return nil
			},
		}.Share(context.Background(), c.devices, c.n, c.size)
		if whole != c.n || err != nil {
			t.Errorf("%+v: %d rows, %v", c, whole, err)
		}
		for i := range rows {
			if rows[i].Load() != 1 {
				t.Errorf("%+v: row %d is done %d times", c, i, rows[i].Load())
			}
		}
		if batches := (c.n + c.size - 1) / c.size; len(begun) != batches || !slices.Equal(begun, ended) || !slices.IsSorted(begun) {
			t.Errorf("%+v: batches %v begin, %v end", c, begun, ended)
		}
	}
}

// All devices work at the same time: each waits here for the others.
func TestShareAtOnce(t *testing.T) {
	var together sync.WaitGroup
	together.Add(3)
	seen := make([]bool, 3)
	_, err := Work{Do: func(_ context.Context, b Batch) error {
		seen[b.Device] = true
		together.Done()
		together.Wait()
		return nil
	}}.Share(context.Background(), 3, 3, 1)
	if err != nil || slices.Contains(seen, false) {
		t.Errorf("devices %v, %v", seen, err)
	}
}

// The first error ends all: what is on its way elsewhere learns it, nothing is begun after it, and the rows before it count.
func TestShareFails(t *testing.T) {
	broken := errors.New("broken")
	for _, where := range []string{"begin", "do", "end", "context"} {
		for devices := 1; devices <= 3; devices++ {
			ctx, cancel := context.WithCancel(context.Background())
			want := broken
			fails := func(place string, b Batch) error {
				if place != where || b.N < 5 {
					return nil
				}
				if b.N > 5 {
					t.Errorf("%s: batch %d is begun after the error", where, b.N)
				}
				return broken
			}
			rows, err := Work{
				Begin: func(b Batch) error { return fails("begin", b) },
				Do: func(ctx context.Context, b Batch) error {
					if b.N == 5 && where == "context" {
						cancel()
					}
					if b.N > 5 { // it goes on until it is told
						<-ctx.Done()
						return context.Cause(ctx)
					}
					return fails("do", b)
				},
				End: func(b Batch) error { return fails("end", b) },
			}.Share(ctx, devices, 20, 2)
			if where == "context" {
				want = context.Canceled
			}
			// Rows before the error may be on their way elsewhere, and where the context ends, batch 5 may still have ended.
			exact := rows == 10 || rows == 12 && where == "context"
			if early := devices > 1 && rows < 10 && rows%2 == 0; !(exact || early) || !errors.Is(err, want) {
				t.Errorf("%s, %d devices: %d rows, %v", where, devices, rows, err)
			}
			cancel()
		}
	}
}

func TestDevices(t *testing.T) {
	list := make([]kernels.Backend, 3)
	for n, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 3, 9: 3} {
		if got := len(Working(list, n)); got != want {
			t.Errorf("%d rows are for %d devices", n, got)
		}
	}
	for _, c := range []struct{ batch, n, devices, want int }{{64, 100, 1, 64}, {64, 100, 3, 34}, {64, 2, 2, 1}, {64, 0, 1, 1}, {8, 100, 3, 8}} {
		if got := Size(c.batch, c.n, c.devices); got != c.want {
			t.Errorf("%+v: %d rows", c, got)
		}
	}
	calls := 0
	_, err := OnEach(list, func(kernels.Backend) (int, error) {
		if calls++; calls == 2 {
			return 0, fmt.Errorf("no memory")
		}
		return calls, nil
	})
	if err == nil || err.Error() != "GPU 1 of -gpus 3: no memory" {
		t.Errorf("%v", err)
	}
	if err := OnDevice(0, 1, errors.New("no memory")); strings.Contains(err.Error(), "GPU") {
		t.Errorf("the one device is named: %v", err)
	}
}
