// Progress of sampling: a bar on a terminal, a line now and then elsewhere.

package samplecmd

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"sigmaz/internal/terminal"
)

// progress counts steps of all batches.
type progress struct {
	out   io.Writer
	total int
	start time.Time
	last  time.Time                // of the last plain line
	bar   *progressbar.ProgressBar // nil where out is no terminal
}

// quiet is how long plain output stays silent.
const quiet = 15 * time.Second

func newProgress(out io.Writer, total int) *progress {
	now := time.Now()
	p := &progress{out: out, total: total, start: now, last: now}
	if terminal.Redraws(out) {
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(out), progressbar.OptionFullWidth(),
			progressbar.OptionSetDescription("sampling"), progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	return p
}

// show says that done steps are done.
func (p *progress) show(done int) {
	if p.bar != nil {
		p.bar.Set(done)
		return
	}
	now := time.Now()
	if now.Sub(p.last) < quiet || done == 0 {
		return
	}
	p.last = now
	left := time.Duration(float64(now.Sub(p.start)) * float64(p.total-done) / float64(done))
	fmt.Fprintf(p.out, "step %d/%d  %s left\n", done, p.total, left.Round(time.Second))
}

// close takes the bar away.
func (p *progress) close() {
	if p.bar != nil {
		p.bar.Clear()
	}
}
