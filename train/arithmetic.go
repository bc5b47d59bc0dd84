// What a run is computed with: the results of another instruction set, or of a GPU, have other bits.

package train

import "fmt"

// recordArithmetic notes what the run is computed with, where its state is kept, and says so when a run goes on with
// something else than it was computed with until now. It goes on all the same: its results are as good.
func (r *run) recordArithmetic() {
	now, was := r.o.Backend.Arithmetic(), ""
	if r.o.From != nil && r.o.From.Checkpoint != nil { // or nothing was computed yet
		was = r.o.From.computed
	}
	if was != "" && was != now {
		r.o.Events.report(Warning{fmt.Sprintf("the run was computed with %s until now and goes on with %s: its bits are not "+
			"those of a run that was never stopped", was, now)})
	}
	r.c.Computed = now
}
