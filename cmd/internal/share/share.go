// Batches of rows, each done by the next device that is free: one is begun in order, done beside others, and ended in
// order where its rows go to a file one after the other.

package share

import (
	"context"
	"fmt"
	"sync"

	"sigmaz/kernels"
)

// Working returns those of the devices that n rows give work to.
func Working[D ~[]kernels.Backend](devices D, n int) D { return devices[:max(1, min(len(devices), n))] }

// Size returns the rows of a batch: so many as are asked for, or fewer where some of the devices would go without.
func Size(batch, n, devices int) int { return max(1, min(batch, (n+devices-1)/devices)) }

// OnEach makes something on each of the devices.
func OnEach[T any](devices []kernels.Backend, one func(b kernels.Backend) (T, error)) ([]T, error) {
	var all []T
	for i, b := range devices {
		made, err := one(b)
		if err != nil {
			return nil, OnDevice(i, len(devices), err)
		}
		all = append(all, made)
	}
	return all, nil
}

// OnDevice names the device that an error comes from, where there are several.
func OnDevice(i, of int, err error) error {
	if of == 1 || err == nil {
		return err
	}
	return fmt.Errorf("GPU %d of -gpus %d: %w", i, of, err)
}

// Batch is the rows First to First+Rows-1, on a device. N counts batches.
type Batch struct{ N, First, Rows, Device int }

// Work is what is done with each batch. Begin and End, which may be nil, are called in the order of the batches, one call
// at a time; Do beside others. All three of a batch are done before its device has another.
type Work struct {
	Begin func(Batch) error
	// Do ends early where ctx does, with its cause, which is the first error of another batch.
	Do  func(ctx context.Context, b Batch) error
	End func(Batch) error
}

// Share does n rows in batches of the given size. When ctx ends or a call fails, no other batch is begun, and Share returns
// how many rows are done before the first that is not, with the first error.
func (w Work) Share(ctx context.Context, devices, n, size int) (rows int, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	done := make([]bool, (n+size-1)/size)
	last := make(chan struct{}) // closed when the batch that was begun last has ended
	close(last)
	begun := 0
	var beginning sync.Mutex // of begun, last and Begin
	begin := func(device int) (b Batch, before <-chan struct{}, ended chan<- struct{}, ok bool) {
		beginning.Lock()
		defer beginning.Unlock()
		if begun == len(done) || ctx.Err() != nil {
			return b, nil, nil, false
		}
		b = Batch{N: begun, First: begun * size, Rows: min(size, n-begun*size), Device: device}
		if w.Begin != nil {
			if err := w.Begin(b); err != nil {
				stop(err)
				return b, nil, nil, false
			}
		}
		own := make(chan struct{})
		before, last = last, own
		begun++
		return b, before, own, true
	}
	end := func(b Batch, before <-chan struct{}, ended chan<- struct{}) error {
		if w.End != nil {
			select {
			case <-before:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if err := w.End(b); err != nil {
				return err
			}
		}
		done[b.N] = true
		close(ended)
		return nil
	}
	work := func(device int) {
		for {
			b, before, ended, ok := begin(device)
			if !ok {
				return
			}
			err := w.Do(ctx, b)
			if err == nil {
				err = end(b, before, ended)
			}
			if err != nil {
				stop(err)
				return
			}
		}
	}
	var all sync.WaitGroup
	for device := range devices {
		all.Go(func() { work(device) })
	}
	all.Wait()
	whole := 0
	for whole < len(done) && done[whole] {
		whole++
	}
	if whole == len(done) {
		return n, nil
	}
	return whole * size, context.Cause(ctx)
}
