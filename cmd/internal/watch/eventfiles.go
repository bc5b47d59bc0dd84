// TensorBoard's event files: every line of metrics.jsonl and every preview of a run.
//
//	loss/train   loss/held-out   loss/level/017   loss/ln_sigma/-0.5   images_per_s   learning_rate   samples
//
// Where a run that has none is gone on with, what its folder holds comes first.

package watch

import (
	"fmt"
	"io"
	"os"
	"time"

	"sigmaz/internal/ownfile"
	"sigmaz/internal/tensorboard"
	"sigmaz/train"
)

// eventFiles writes the event file of one process.
type eventFiles struct {
	run Run
	w   *tensorboard.Writer // nil before the training and after an error
}

// event writes an event of the run. An error ends the file and not the run, and warn hears of it.
func (f *eventFiles) event(e train.Event, warn train.Events) {
	var err error
	switch e := e.(type) {
	case train.Training:
		err = f.open(e.Step)
	case train.Wrote:
		var l *train.Line
		if l, err = train.ParseLine(e.Line); err == nil {
			err = f.line(l)
		}
	case train.Picture:
		err = f.picture(e, time.Now())
	}
	if err != nil {
		f.close()
		warn(train.Warning{Text: fmt.Sprintf("-tensorboard: %v; no more is written for TensorBoard, and the training goes on: "+
			"see that the run folder has room", err)})
	}
}

// open begins the file of a process that goes on after a step.
func (f *eventFiles) open(step uint64) (err error) {
	first := !tensorboard.Exists(f.run.Folder)
	next := step + 1
	if first {
		next = 1
	}
	if f.w, err = tensorboard.Create(f.run.Folder, next, time.Now()); err != nil || !first || step == 0 {
		return err
	}
	var failed error
	err = train.ReadMetrics(f.run.Folder, func(l *train.Line) {
		if failed == nil && l.Step <= step {
			failed = f.line(l)
		}
	})
	if err == nil {
		err = failed
	}
	for _, p := range train.Previews(f.run.Folder) {
		if err != nil || p.Step > step {
			return err
		}
		at := time.Now()
		if info, err := os.Stat(p.Path); err == nil {
			at = info.ModTime()
		}
		err = f.picture(p, at)
	}
	return err
}

// line writes a line of metrics.jsonl.
func (f *eventFiles) line(l *train.Line) error {
	if f.w == nil {
		return nil
	}
	var all []tensorboard.Scalar
	add := func(v float64, format string, a ...any) {
		all = append(all, tensorboard.Scalar{Tag: fmt.Sprintf(format, a...), Value: v})
	}
	if l.HeldOutLoss != nil {
		add(*l.HeldOutLoss, "loss/held-out")
	}
	if l.Loss != nil {
		add(*l.Loss, "loss/train")
		if m := l.LossPerLevel; m != nil {
			for i, level := range m.Level {
				add(m.Loss[i], "loss/level/%03d", level)
			}
		}
		if m := l.LossPerBin; m != nil {
			for i, x := range m.LnSigma {
				add(m.Loss[i], "loss/ln_sigma/%.1f", x)
			}
		}
		add(l.ImagesPerS, "%s_per_s", f.run.Config.Rows())
		add(f.run.Config.Adam.Rate(l.Step), "learning_rate")
	}
	return f.w.Scalars(l.Step, l.Time, all...)
}

// picture writes a preview.
func (f *eventFiles) picture(p train.Picture, at time.Time) error {
	if f.w == nil {
		return nil
	}
	b, err := readFile(p.Path)
	if err != nil {
		return err
	}
	return f.w.PNG(p.Step, at, "samples", b)
}

func (f *eventFiles) close() {
	if f.w != nil {
		f.w.Close()
		f.w = nil
	}
}

// readFile reads a file of the run folder.
func readFile(path string) ([]byte, error) {
	f, err := ownfile.OpenPlain(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
