// Work on all processors.

package dataset

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"

	"sigmaz/internal/mapped"
)

// inParallel calls f(0), ..., f(n-1) on all processors. Of several errors it returns that of the smallest i, so that
// the same one is told every time.
func inParallel(ctx context.Context, n int, f func(i int) error) error {
	var next, failed atomic.Int64
	failed.Store(int64(n))
	var mu sync.Mutex
	var first error
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), n) {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= failed.Load() || ctx.Err() != nil {
					return
				}
				if err := guarded(func() error { return f(int(i)) }); err != nil {
					mu.Lock()
					if i < failed.Load() {
						failed.Store(i)
						first = err
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if first != nil {
		return first
	}
	return ctx.Err()
}

// guarded calls f, which may read a mapped file.
func guarded(f func() error) (err error) {
	defer mapped.Guard(&err)()
	return f()
}

// runTasks calls run for each of some tasks, in about their order. Each worker has a goroutine, which hands its
// worker to run: memory that calls of one goroutine may share.
func runTasks[W any](ctx context.Context, workers []W, tasks int, run func(w *W, task int)) error {
	var taken atomic.Int64
	var fault atomic.Pointer[error]
	var wg sync.WaitGroup
	for i := range min(len(workers), tasks) {
		wg.Go(func() {
			for {
				task := int(taken.Add(1)) - 1
				if task >= tasks || ctx.Err() != nil || fault.Load() != nil {
					return
				}
				if err := guarded(func() error { run(&workers[i], task); return nil }); err != nil {
					fault.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := fault.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}
