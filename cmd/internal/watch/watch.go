// A training as others see it, from its first event to its end.

package watch

import (
	"sigmaz/model"
	"sigmaz/train"
)

// Options are what somebody asked for. The zero value watches nothing.
type Options struct {
	TensorBoard bool // event files in the run folder
}

// Run is the run that is watched.
type Run struct {
	Folder string
	Config *train.Config
	Sigmas model.Ladder
}

// Watch watches one run. Its methods are called by the goroutine that trains.
type Watch struct {
	o     Options
	files *eventFiles // nil before [Watch.Begin], and where none are asked for
}

// Start begins to watch.
func Start(o Options) *Watch { return &Watch{o: o} }

// Events returns events that are handed on to next and watched.
func (w *Watch) Events(next train.Events) train.Events {
	return func(e train.Event) {
		next(e)
		if w.files != nil {
			w.files.event(e, next)
		}
	}
}

// Begin says which run it is, before it trains.
func (w *Watch) Begin(r Run) {
	if w.o.TensorBoard {
		w.files = &eventFiles{run: r}
	}
}

// End ends the watching.
func (w *Watch) End() {
	if w.files != nil {
		w.files.close()
	}
}
