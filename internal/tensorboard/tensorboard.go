// Event files. TensorBoard reads those of a folder in the order of their names,
//
//	events.out.tfevents.SECONDS.HOST
//
// and goes on to the next one for good when it has read one to its end. So a process that goes on with a run begins a
// file whose name comes after all others, even where the clock was set back. Its first event is a session start at the
// step that comes next: TensorBoard drops what earlier files have from that step on.

package tensorboard

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sigmaz/internal/ownfile"
)

const prefix = "events.out.tfevents."

// Writer writes an event file.
type Writer struct{ file *os.File }

// Scalar is a number with its tag. Tags with a slash are shown under its first part.
type Scalar struct {
	Tag   string
	Value float64
}

// last returns the seconds in the name of the newest event file in a folder; ok is false where there is none.
func last(dir string) (seconds int64, ok bool) {
	entries, _ := os.ReadDir(dir) // where it cannot be listed, no file can be made either
	for _, e := range entries {
		digits, _, found := strings.Cut(strings.TrimPrefix(e.Name(), prefix), ".")
		if s, err := strconv.ParseInt(digits, 10, 64); found && err == nil && strings.HasPrefix(e.Name(), prefix) {
			seconds, ok = max(seconds, s), true
		}
	}
	return seconds, ok
}

// Exists tells whether a folder has event files.
func Exists(dir string) bool {
	_, ok := last(dir)
	return ok
}

// Create makes a new event file in a folder for events from a step on.
func Create(dir string, step uint64, now time.Time) (*Writer, error) {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "localhost"
	}
	host = strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == ':' {
			return '-'
		}
		return r
	}, host)
	seconds := now.Unix()
	if newest, ok := last(dir); ok {
		seconds = max(seconds, newest+1)
	}
	var f *os.File
	for {
		f, err = ownfile.Open(filepath.Join(dir, fmt.Sprintf("%s%010d.%s", prefix, seconds, host)),
			os.O_WRONLY|os.O_CREATE|os.O_EXCL)
		if !errors.Is(err, fs.ErrExist) {
			break
		}
		seconds++
	}
	if err != nil {
		return nil, err
	}
	w := &Writer{f}
	err = w.write(event(now, 0, fieldFileVersion, []byte("brain.Event:2")))
	if err == nil {
		err = w.write(event(now, step, fieldSessionLog, sessionStart()))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return w, nil
}

// write appends a record in one call, so that a process that is killed leaves whole ones, as far as the system goes.
func (w *Writer) write(event []byte) error {
	_, err := w.file.Write(record(event))
	return err
}

// Scalars writes numbers of a step.
func (w *Writer) Scalars(step uint64, at time.Time, scalars ...Scalar) error {
	values := make([][]byte, len(scalars))
	for i, s := range scalars {
		values[i] = scalarValue(s.Tag, s.Value)
	}
	return w.write(event(at, step, fieldSummary, summary(values...)))
}

// PNG writes a picture of a step.
func (w *Writer) PNG(step uint64, at time.Time, tag string, picture []byte) error {
	c, err := png.DecodeConfig(bytes.NewReader(picture))
	if err != nil {
		return err
	}
	return w.write(event(at, step, fieldSummary, summary(imageValue(tag, c.Width, c.Height, picture))))
}

// Close ends the file.
func (w *Writer) Close() error { return w.file.Close() }
