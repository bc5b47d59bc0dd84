// The display: a bar or a text on the terminal's last line, and lines above it.

package progress

import (
	"fmt"
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"sigmaz/internal/terminal"
)

const (
	quietTime  = 15 * time.Second       // without a terminal, between two lines about what changes all the time
	patience   = time.Second            // on a terminal, before anything is said: most things are done by then
	redrawTime = 100 * time.Millisecond // on a terminal, between two states of its line
)

// Display shows progress on one output.
type Display struct {
	out     io.Writer // below that of [terminal.Text], since a line is redrawn by codes
	redraws bool      // out is a terminal on which a line can be written over

	bar   *progressbar.ProgressBar // on the terminal's last line; nil: none
	shown int                      // characters of the text on that line; 0: none
	next  time.Time                // before which no text is shown

	pairs time.Time // when the last line about pairs of images was printed
	total int       // steps of sampling
	start time.Time // of sampling
}

// New returns a display on out, on which nothing is shown yet.
func New(out io.Writer) *Display {
	return &Display{out: terminal.Raw(out), redraws: terminal.Redraws(out)}
}

// Close takes away what is kept up to date. The display can be used again.
func (d *Display) Close() {
	d.clear()
	d.bar = nil
}

// wait begins something that takes time. [Display.text] says nothing about it at first.
func (d *Display) wait() {
	d.next = time.Now().Add(quietTime)
	if d.redraws {
		d.next = time.Now().Add(patience)
	}
}

// text shows how far something is, when it is time to.
func (d *Display) text(format string, a ...any) {
	if time.Now().Before(d.next) {
		return
	}
	if !d.redraws {
		d.line(format, a...)
		return
	}
	text := terminal.Line(fmt.Sprintf(format, a...))
	fmt.Fprintf(d.out, "\r%-*s", d.shown, text)
	d.shown, d.next = len(text), time.Now().Add(redrawTime)
}

// line prints a line that stays.
func (d *Display) line(format string, a ...any) {
	d.clear()
	fmt.Fprintln(d.out, terminal.Line(fmt.Sprintf(format, a...)))
	if !d.redraws {
		d.next = time.Now().Add(quietTime)
	}
	if d.bar != nil {
		d.bar.RenderBlank()
	}
}

// clear empties the terminal's last line.
func (d *Display) clear() {
	if d.bar != nil {
		d.bar.Clear()
	}
	if d.shown > 0 {
		fmt.Fprintf(d.out, "\r%*s\r", d.shown, "")
		d.shown = 0
	}
}

// startBar shows a bar of the given number of steps on a terminal.
func (d *Display) startBar(steps int64, look ...progressbar.Option) {
	d.wait()
	if !d.redraws {
		return
	}
	d.clear()
	d.bar = progressbar.NewOptions64(steps, append(look,
		progressbar.OptionSetWriter(d.out), progressbar.OptionFullWidth(), progressbar.OptionThrottle(redrawTime))...)
}

// describe changes the text of the bar, if there is one.
func (d *Display) describe(text string) {
	if d.bar != nil && d.bar.State().Description != text {
		d.bar.Describe(text)
	}
}
