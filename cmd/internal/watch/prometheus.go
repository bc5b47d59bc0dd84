// Numbers in Prometheus' text format, version 0.0.4.

package watch

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// writeMetrics writes where a run is.
func writeMetrics(w io.Writer, u update) {
	sample := func(name, labels string, v float64) {
		if !math.IsNaN(v) {
			fmt.Fprintf(w, "sigmaz_%s%s %s\n", name, labels, strconv.FormatFloat(v, 'g', -1, 64))
		}
	}
	head := func(name, help string) {
		fmt.Fprintf(w, "# HELP sigmaz_%s %s\n# TYPE sigmaz_%[1]s gauge\n", name, help)
	}
	gauge := func(name, help string, v float64) {
		head(name, help)
		sample(name, "", v)
	}
	quote := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
	head("run_info", "The run and what it does.")
	sample("run_info", fmt.Sprintf(`{run="%s",phase="%s"}`, quote.Replace(u.About.Folder), quote.Replace(u.Now.Phase)), 1)
	n := u.Now
	gauge("step", "Optimiser steps done.", float64(n.Step))
	gauge("steps", "Optimiser steps of the whole run.", float64(n.Steps))
	if p := n.progress; p.Step > 0 {
		gauge("loss", "Training loss, a running mean over the last steps.", p.Loss)
		gauge("loss_relative", "Training loss relative to that of zero weights.", p.Relative)
		gauge(p.Rows+"_per_second", "Speed of the training.", p.ImagesPerS)
		gauge("left_seconds", "Time that the rest will take.", p.Left.Seconds())
		gauge("memory_bytes", "Memory that the process occupies.", n.resident)
		if n.free >= 0 {
			gauge("device_free_bytes", "Memory that is free on the device.", float64(n.free))
		}
	}
	if n.held.Step > 0 {
		gauge("held_out_loss", "Loss on the held-out data.", n.held.Loss)
	}
	if p := n.levels; p != nil && len(p.Means) > 0 {
		name, help := "level_loss", "Loss of each noise level, over the last window."
		if u.About.Bins {
			name, help = "bin_loss", "Loss of each bin of ln sigma, over the last window."
		}
		head(name, help)
		for i, v := range p.Means {
			label := fmt.Sprintf(`{level="%d"}`, p.First+i)
			if u.About.Bins {
				label = fmt.Sprintf(`{ln_sigma="%g"}`, u.About.Width*float64(p.First+i))
			}
			sample(name, label, float64(v))
		}
	}
}
