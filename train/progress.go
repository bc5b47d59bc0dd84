// Progress: a bar on a terminal, plain lines elsewhere.
package train

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"sigmaz/internal/terminal"
)

// progress shows how far a run is. On a terminal it keeps one line up to date; elsewhere it prints a line each time it
// is told to, and between these at least every quietTime.
type progress struct {
	out  io.Writer
	bar  *progressbar.ProgressBar // nil when out is no terminal
	cols func() int               // width of the terminal
	last time.Time                // of the last plain line
}

// quietTime is how long a run without a terminal stays silent at most.
const quietTime = 15 * time.Second

// status is what progress shows.
type status struct {
	step, steps uint64
	loss        float64 // over the last steps
	relative    float64 // loss relative to that of zero weights
	unit        string  // what that loss is called
	imagesPerS  float64
	left        time.Duration
}

func newProgress(out io.Writer, steps uint64) *progress {
	p := &progress{out: out, last: time.Now()}
	if terminal.Redraws(out) {
		p.cols = func() int { return terminal.Width(out) }
		p.bar = newBar(out, steps)
	}
	return p
}

func newBar(out io.Writer, steps uint64) *progressbar.ProgressBar {
	return progressbar.NewOptions64(int64(steps), progressbar.OptionSetWriter(out), progressbar.OptionFullWidth(),
		progressbar.OptionShowDescriptionAtLineEnd(), progressbar.OptionSetPredictTime(false), progressbar.OptionSetElapsedTime(false),
		progressbar.OptionThrottle(100*time.Millisecond))
}

// show brings the bar up to date, or prints a line when the last one is long ago.
func (p *progress) show(s status) {
	if p.bar == nil {
		if time.Since(p.last) >= quietTime {
			p.log(s)
		}
		return
	}
	if text := s.text(p.cols()); p.bar.State().Description != text {
		p.bar.Describe(text)
	}
	p.bar.Set64(int64(s.step))
}

// log prints a status line where there is no bar.
func (p *progress) log(s status) {
	if p.bar == nil {
		p.last = time.Now()
		fmt.Fprintf(p.out, "step %d/%d  %s\n", s.step, s.steps, s.text(100))
	}
}

// line prints a line that stays, above the bar.
func (p *progress) line(format string, a ...any) {
	if p.bar != nil {
		p.bar.Clear()
	}
	fmt.Fprintf(p.out, format+"\n", a...)
	p.last = time.Now()
	if p.bar != nil {
		p.bar.RenderBlank()
	}
}

// busy says on the bar what else is going on.
func (p *progress) busy(text string) {
	if p.bar != nil {
		p.bar.Describe(text)
	}
}

// close takes the bar away.
func (p *progress) close() {
	if p.bar != nil {
		p.bar.Clear()
		p.bar = nil
	}
}

// text is the status in words, short enough to leave room for a bar in a window of that many columns.
func (s status) text(cols int) string {
	if cols < 80 {
		return fmt.Sprintf("%s %.2f %s/s %s", digits3(s.loss), s.relative, digits3(s.imagesPerS), shortTime(s.left))
	}
	return fmt.Sprintf("loss %s (%.3f of %s)  %s images/s  %s left", digits3(s.loss), s.relative, s.unit, digits3(s.imagesPerS), shortTime(s.left))
}

// digits3 is v in three digits or, from 1,000 on, in all of them.
func digits3(v float64) string {
	switch {
	case v >= 1e7 || v <= -1e7 || v != v:
		return fmt.Sprintf("%.2e", v)
	case v >= 100 || v <= -100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// shortTime is a duration in its two largest units: 1d02h, 3h05m, 2m10s, 8s.
func shortTime(d time.Duration) string {
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

// statusLine tells how far something is that happens before training: on a terminal in one line that is kept up to date,
// elsewhere in a line every quietTime. It says nothing of what takes less than a second.
type statusLine struct {
	out      io.Writer
	terminal bool
	shown    int // characters on the terminal's line
	next     time.Time
}

func newStatus(out io.Writer) *statusLine {
	l := &statusLine{out: out, terminal: terminal.Redraws(out), next: time.Now().Add(time.Second)}
	if !l.terminal {
		l.next = time.Now().Add(quietTime)
	}
	return l
}

// show replaces the line, when it is time.
func (l *statusLine) show(text string) {
	now := time.Now()
	if now.Before(l.next) {
		return
	}
	if !l.terminal {
		fmt.Fprintln(l.out, text)
		l.next = now.Add(quietTime)
		return
	}
	fmt.Fprintf(l.out, "\r%-*s", l.shown, text)
	l.shown, l.next = len(text), now.Add(100*time.Millisecond)
}

// say prints a line that stays.
func (l *statusLine) say(text string) {
	l.close()
	fmt.Fprintln(l.out, text)
}

// close takes the line away.
func (l *statusLine) close() {
	if l.shown > 0 {
		fmt.Fprintf(l.out, "\r%*s\r", l.shown, "")
		l.shown = 0
	}
}
