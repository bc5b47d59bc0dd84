// Training: what package train reports, in words.

package progress

import (
	"fmt"
	"time"

	"github.com/schollz/progressbar/v3"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/terminal"
	"sigmaz/model/checkpoint"
	"sigmaz/train"
)

// pairsTime is the time between two lines about pairs of images.
const pairsTime = 5 * time.Second

// Event shows an event of a run.
func (d *Display) Event(event train.Event) {
	switch e := event.(type) {
	case train.Warning:
		d.line("warning  %s", cli.Flags(e.Text))

	case train.Opening:
		d.wait()
	case train.Reading:
		if e.Total == 0 {
			d.text("looking  at file %d", e.Done)
		} else {
			d.text("reading  %d %% of %d, %s left", 100*e.Done/e.Total, e.Total, Duration(e.Left))
		}
	case train.DataNote:
		d.line("%s", cli.Flags(e.Text))
	case train.Opened:
		mapped := ""
		if e.Mapped {
			mapped = ", mapped from the cache"
		}
		d.line("data     %s%s", e.Name, mapped)

	case train.Comparing:
		d.pairs = time.Now()
		d.line("sigma    distances between all pairs of %d ...", e.N)
	case train.Compared:
		if time.Since(d.pairs) > pairsTime {
			d.pairs = time.Now()
			d.line("         %d %% of the pairs, %s left", 100*e.Done/e.Total, Duration(e.Left))
		}
	case train.Diameter:
		d.line("sigma    sigma-begin data = %.6g: d_max, the largest distance between two of %d", e.Max, e.N)
	case train.PairDistances:
		d.line("         sigma-begin data = %.6g: d_max, the largest distance between two of them", e.Max)
		bounded := ""
		if e.End != e.Touch {
			bounded = fmt.Sprintf("; that is %.4g, kept within 0.004 and 0.03 of the images' range", e.Touch)
		}
		d.line("         sigma-end data = %.6g: d_min/(2 sqrt D), where noise about the two nearest (d_min = "+
			"%.6g, over distinct ones; %d duplicates) just touches%s", e.End, e.Min, e.Duplicates, bounded)
		d.line("         sigma-end data-literal = %.6g: d_min itself, a distance used as a deviation per value", e.Min)

	case train.DataOnHost:
		d.line("data     %s", PlacementText(e.Placement))
	case train.StartedFrom:
		d.startedFrom(e)
	case train.SetAside:
		d.line("aside    later checkpoints (%d) and a copy of the metrics now end in %s", e.Checkpoints, e.Ext)

	case train.Training:
		d.startBar(int64(e.Steps), progressbar.OptionShowDescriptionAtLineEnd(),
			progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false))
	case train.Progress:
		if d.bar == nil {
			d.text("%s", stepText(e))
			return
		}
		d.describe(progressText(e, terminal.Width(d.out)))
		d.bar.Set64(int64(e.Step))
	case train.Logged:
		if d.bar == nil {
			d.line("%s", stepText(e.Progress))
		}
	case train.Evaluating:
		d.describe("held-out loss ...")
	case train.HeldOut:
		d.line("step %d  held-out loss %s (%.3f of %s)", e.Step, Number(e.Loss), e.Relative, e.Unit)
	case train.Measuring:
		d.describe(e.Metric + " ...")
	case train.Measured:
		d.line("step %d  %s %s +- %s, of %s against %d (%s)", e.Step, e.Metric, Number(e.Value), Number(e.SE),
			cli.Count(e.Samples, "sample"), e.Reference, e.Split)
	case train.Drawing:
		d.describe("preview ...")
	case train.Picture:
		d.line("step %d  %s", e.Step, e.Path)
	case train.Saved: // checkpoints are many, and the last one is named at the end
	}
}

func (d *Display) startedFrom(e train.StartedFrom) {
	if text := checkpoint.ListPassedOver(e.PassedOver); text != "" {
		defer d.line("         passed over in it: %s", cli.Line(text))
	}
	at := ""
	if e.Stepped {
		at = fmt.Sprintf(", step %d", e.Step)
	}
	average := map[train.AverageStart]string{
		train.AverageFromAverage: "; the moving average from its own",
		train.AverageFromWeights: "; the moving average starts at the weights",
	}[e.Average]
	if e.GoesOn {
		d.line("continue %s (%s%s) with Adam's moments%s", e.Path, e.Kind, at, average)
		return
	}
	d.line("init     weights of %s (%s%s)%s", e.Path, e.Kind, at, average)
}

// PlacementText says where the data lies while a device with memory of its own trains.
func PlacementText(p train.Placement) string {
	bytes := func(n int64) string { return cli.Bytes(float64(max(n, 0))) }
	if !p.Host {
		return fmt.Sprintf("on the device: %s of the %s that are free for it", bytes(p.Data), bytes(p.Free))
	}
	return fmt.Sprintf("stays on the host: %s, and the device has %s free for it; %s a step are copied ahead, through %s there",
		bytes(p.Data), bytes(p.Free), bytes(p.Step), bytes(p.Window))
}

// stepText writes a line about the progress of training, where there is no bar.
func stepText(p train.Progress) string {
	return fmt.Sprintf("step %d/%d  %s", p.Step, p.Steps, progressText(p, 100))
}

// progressText writes the progress of training in words, short enough to leave room for a bar in a window of cols
// columns.
func progressText(p train.Progress, cols int) string {
	if cols < 80 {
		return fmt.Sprintf("%s %.2f %s/s %s", Number(p.Loss), p.Relative, Number(p.ImagesPerS), Duration(p.Left))
	}
	text := fmt.Sprintf("loss %s (%.3f of %s)  %s %s/s  %s left",
		Number(p.Loss), p.Relative, p.Unit, Number(p.ImagesPerS), p.Rows, Duration(p.Left))
	if p.Waiting > 0 {
		text += fmt.Sprintf("  %.0f %% of it waiting for rank %d", 100*p.Waiting, p.Slowest)
	}
	return text
}

// Number writes v in three digits or, from 1,000 on, in all of them.
func Number(v float64) string {
	switch {
	case v >= 1e7 || v <= -1e7 || v != v:
		return fmt.Sprintf("%.2e", v)
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Duration writes a duration in its two largest units: 1d02h, 3h05m, 2m10s, 8s.
func Duration(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case s >= 86400:
		return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}
