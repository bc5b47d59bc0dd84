// A training as others see it, from its first event to its end.

package watch

import (
	"fmt"
	"io"

	"sigmaz/cmd/internal/httpd"
	"sigmaz/model"
	"sigmaz/train"
)

// Options are what somebody asked for. The zero value watches nothing.
type Options struct {
	TensorBoard bool          // event files in the run folder
	Listen      httpd.Address // where the page is served; "" for nowhere
	Report      bool          // the page is written into the run folder, as Listen does, too
}

// Run is the run that is watched.
type Run struct {
	Folder     string
	Config     *train.Config
	Sigmas     model.Ladder
	About      [][2]string          // what the run is, name and text
	FreeMemory func() (int64, bool) // of a device with memory of its own, see kernels.Backend
}

// Watch watches one run. Its methods are called by the goroutine that trains.
type Watch struct {
	o       Options
	files   *eventFiles // nil before [Watch.Begin], and where none are asked for
	history *history    // nil where there is no page
	server  *server     // nil where it is not served
	began   bool        // the run folder holds a run
}

// Start begins to watch, and says on out where the page is. An address that cannot be had is known here, before anything
// is read or written.
func Start(o Options, out io.Writer) (*Watch, error) {
	w := &Watch{o: o}
	if o.Listen != "" || o.Report {
		w.history = newHistory()
	}
	if o.Listen == "" {
		return w, nil
	}
	l, err := o.Listen.Listen("-listen")
	if err != nil {
		return nil, err
	}
	if w.server, err = serve(w.history, o.Listen, l); err != nil {
		l.Close()
		return nil, err
	}
	fmt.Fprintf(out, "page     %s\n", httpd.URLOf(l))
	if !httpd.IsLoopback(l) {
		fmt.Fprintf(out, "warning  the page has no password: whoever reaches this machine at %s sees the run; %s:PORT is for this "+
			"machine alone\n", l.Addr(), httpd.Loopback)
	}
	return w, nil
}

// Events returns events that are handed on to next and watched.
func (w *Watch) Events(next train.Events) train.Events {
	return func(e train.Event) {
		next(e)
		if _, ok := e.(train.Training); ok {
			w.began = true
		}
		if w.files != nil {
			w.files.event(e, func(e train.Event) { w.warn(e, next) })
		}
		if w.history != nil {
			w.history.event(e)
		}
	}
}

// warn tells everybody of what went wrong with a file.
func (w *Watch) warn(e train.Event, next train.Events) {
	next(e)
	if w.history != nil {
		w.history.event(e)
	}
}

// Begin says which run it is, before it trains.
func (w *Watch) Begin(r Run) {
	if w.o.TensorBoard {
		w.files = &eventFiles{run: r}
	}
	if w.history != nil {
		w.history.begin(r)
	}
}

// End says how the run ended. It writes the report, whose path it returns, "" where there is none.
func (w *Watch) End(phase string) (report string, err error) {
	if w.files != nil {
		w.files.close()
	}
	if w.history != nil {
		w.history.end(phase)
		if w.began {
			report, err = writeReport(w.history)
		}
	}
	w.Close()
	return report, err
}

// Close ends the page. It can be called again.
func (w *Watch) Close() {
	if w.server != nil {
		w.server.close()
		w.server = nil
	}
}
