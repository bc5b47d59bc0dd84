// Sampling and other work of a known number of steps.

package progress

import (
	"time"

	"github.com/schollz/progressbar/v3"
)

// StartSampling shows that sampling begins, and takes the given number of steps.
func (d *Display) StartSampling(steps int) { d.StartWork("sampling", steps) }

// StartWork shows that work begins, and takes the given number of steps.
func (d *Display) StartWork(name string, steps int) {
	d.total, d.start = steps, time.Now()
	d.startBar(int64(steps), progressbar.OptionSetDescription(name), progressbar.OptionSetPredictTime(true),
		progressbar.OptionSetElapsedTime(true), progressbar.OptionClearOnFinish())
}

// Sampled shows how many steps are done by now.
func (d *Display) Sampled(done int) {
	switch {
	case d.bar != nil:
		d.bar.Set(done)
	case done > 0:
		left := time.Duration(float64(time.Since(d.start)) * float64(d.total-done) / float64(done))
		d.text("step %d/%d  %s left", done, d.total, left.Round(time.Second))
	}
}
