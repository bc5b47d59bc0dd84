//go:build linux

// The report: as text (report.md), as numbers (bench.json), and in short on the terminal.

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// How a part ended.
const (
	passed  = "ok"
	failed  = "FAILED"
	cutOff  = "cut off" // by the end of the call
	skipped = "skipped" // this machine cannot do it
	notRun  = "not run"
)

// partResult is how a part ended.
type partResult struct {
	Name    string
	Must    bool // the check is not done without it
	Result  string
	Detail  string
	Seconds float64 `json:",omitempty"` // 0 on the stand-in
}

// bad tells whether the part makes the check fail. Without a GPU nothing could be run, which is a failure only where
// one is promised.
func (r partResult) bad(required bool) bool {
	switch r.Result {
	case failed:
		return true
	case skipped:
		return r.Must && required
	case cutOff, notRun:
		return r.Must && r.Detail != "there is no GPU to use"
	}
	return false
}

// report is what bench.json holds.
type report struct {
	Finished bool // false: the call was ended before, and this is what it had
	Started  string
	Command  string
	Built    []string // commit and compiler of the programs
	Budget   int      // seconds
	Spent    float64  // seconds

	Device    string // as sigmaz names it
	Standin   bool   // it stands in for a GPU: nothing was timed
	Driver    string `json:",omitempty"`
	MemoryMiB int    `json:",omitempty"`

	Precisions []string // that this build knows
	Unknown    []string `json:",omitempty"` // that it does not

	Notes   []string
	Parts   []partResult
	Monitor *summary `json:",omitempty"`

	PyTorch string                     `json:",omitempty"` // version and device
	Turns   []turn                     `json:",omitempty"` // sigmaz and PyTorch in turns
	Peaks   []peak                     `json:",omitempty"` // what PyTorch reaches at most
	Bench   map[string]json.RawMessage `json:",omitempty"` // what bench -json wrote, by precision
	Tune    map[string]json.RawMessage `json:",omitempty"` // what bench -tables tune -json wrote
	LeftOut []string                   `json:",omitempty"` // of the results, and why

	text []section // of report.md
}

// section is a part of report.md below a heading.
type section struct{ title, text string }

// section adds text to the report, or replaces that of the same title.
func (r *report) section(title, text string) {
	for i := range r.text {
		if r.text[i].title == title {
			r.text[i].text = text
			return
		}
	}
	r.text = append(r.text, section{title, text})
}

// numbersOf reads the files that benches of the work folder have written so far.
func numbersOf(work, prefix string, precisions []string) map[string]json.RawMessage {
	all := map[string]json.RawMessage{}
	for _, p := range precisions {
		if text, err := os.ReadFile(filepath.Join(work, prefix+p+".json")); err == nil && json.Valid(text) {
			all[p] = text
		}
	}
	return all
}

// save writes everything that there is.
func (c *check) save() error {
	c.saving.Lock()
	defer c.saving.Unlock()
	c.mu.Lock()
	r := &c.report
	r.Spent = time.Since(c.start).Round(time.Millisecond).Seconds()
	r.Device, r.Standin, r.Driver, r.MemoryMiB = c.found.name, c.found.standin, c.found.driver, c.found.memory
	r.Bench = numbersOf(c.work, "bench-", r.Precisions)
	r.Tune = numbersOf(c.work, "tune-", r.Precisions)
	csv, sum := c.monitor.result(c.results.room(monitorFile))
	r.Monitor = sum
	log := shorten(c.log.text(), int(c.results.room(logFile)))
	// The first files first: should the disk be full, they are there.
	r.LeftOut = c.results.leftOut
	numbers := r.json(c.results)
	text := r.markdown(c.results)
	c.mu.Unlock()
	for _, f := range []struct {
		name string
		data []byte
	}{{reportFile, []byte(text)}, {numbersFile, numbers}, {logFile, []byte(log)}, {monitorFile, csv}} {
		if f.data == nil {
			continue
		}
		if err := c.results.put(f.name, f.data); err != nil {
			return err
		}
	}
	return nil
}

// json makes the numbers: in lines, in one line where they would be too long, and without the longest lists where that
// is still too long.
func (r *report) json(f *folder) []byte {
	room := f.room(numbersFile)
	fits := func(text []byte, err error) bool { return err == nil && int64(len(text)) < room }
	if text, err := json.MarshalIndent(r, "", " "); fits(text, err) {
		return append(text, '\n')
	}
	short := *r
	short.Parts = slices.Clone(r.Parts)
	for i := range short.Parts {
		short.Parts[i].Detail = fit(short.Parts[i].Detail, 200)
	}
	for _, drop := range []func(){func() {}, func() { short.Tune = nil }, func() { short.Bench = nil },
		func() { short.Turns, short.Peaks, short.Built = nil, nil, nil }, func() { short.Notes, short.Monitor = nil, nil }} {
		drop()
		text, err := json.Marshal(&short)
		if fits(text, err) {
			return append(text, '\n')
		}
		f.leaveOut(numbersFile, fmt.Sprintf("some of its lists, as %d bytes are for it", room))
		short.LeftOut = f.leftOut
	}
	return []byte(`{"Finished": false}` + "\n")
}

func (r *report) markdown(f *folder) string {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	p("# GPU check\n")
	if r.Standin {
		p("**The device is the stand-in driver of cuda/sim, not a GPU. Nothing here says how fast anything is.**\n")
	}
	if !r.Finished {
		p("**Not finished: this is what there was after %.0f s.**\n", r.Spent)
	}
	device := r.Device
	if device == "" {
		device = "not found yet"
	}
	if r.Driver != "" {
		device += fmt.Sprintf("; driver %s, %d MiB", r.Driver, r.MemoryMiB)
	}
	p("Device: %s. %s.", device, r.Started)
	p("Command: `%s`, %.0f of %d s. Built from %s.\n", r.Command, r.Spent, r.Budget, strings.Join(r.Built, ", "))
	p("| part | result | |\n|---|---|---|")
	for _, part := range r.Parts {
		seconds := ""
		if part.Seconds > 0 {
			seconds = fmt.Sprintf(" (%.0f s)", part.Seconds)
		}
		name := part.Name
		if part.Must {
			name += " *"
		}
		p("| %s | %s | %s%s |", name, part.Result, strings.ReplaceAll(fit(part.Detail, 400), "|", "/"), seconds)
	}
	if len(r.Notes) > 0 {
		p("")
	}
	for _, n := range r.Notes {
		p("- %s", n)
	}
	if r.Monitor != nil {
		p("\n## The card meanwhile\n\n%s", indent(r.Monitor.text()))
	}
	if len(r.Turns) > 0 {
		p("\n## sigmaz and PyTorch in turns\n\n%s", indent(turnTable(r.PyTorch, r.Turns, r.Peaks)))
	}
	for _, s := range r.text {
		p("\n## %s\n\n%s", s.title, indent(s.text))
	}
	for _, name := range []string{previewFile, sampleFile} {
		if _, err := os.Stat(f.path(name)); err == nil {
			p("\n![%s](%s)", strings.TrimSuffix(name, ".png"), name)
		}
	}
	if len(f.leftOut) > 0 {
		p("\nLeft out of the results:\n")
		for _, line := range f.leftOut {
			p("- %s", line)
		}
	}
	return shorten(b.String(), int(f.room(reportFile)))
}

// indent makes text a block of code.
func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		b.WriteString(strings.TrimRight("    "+strings.TrimRight(line, " \n"), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// summary is the end of the output: what each part gave, and the ratios, in lines of at most 80 characters.
func (r *report) summary(f *folder) string {
	var b strings.Builder
	for _, part := range r.Parts {
		fmt.Fprintf(&b, "%-11s %-8s %s\n", part.Name, part.Result, fit(part.Detail, 80-21))
	}
	if len(r.Turns) > 0 {
		fmt.Fprintf(&b, "\n%s\n", turnTable(r.PyTorch, r.Turns, r.Peaks))
	}
	for _, line := range f.leftOut {
		fmt.Fprintf(&b, "left out: %s\n", line)
	}
	fmt.Fprintf(&b, "%s\n", f.path(reportFile))
	return b.String()
}

// journal is the log: what each command has said.
type journal struct {
	mu       sync.Mutex
	finished strings.Builder
	title    string // of the command that runs, "" for none
	path     string // of its output
}

// ofCommand is how much of one command's output is kept, half of it from the end.
const ofCommand = 64 << 10

func (j *journal) begin(title, path string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.title, j.path = title, path
}

// end keeps the output of the command that runs, with a last line.
func (j *journal) end(last string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	fmt.Fprintf(&j.finished, "== %s\n%s%s\n", j.title, said(j.path), last)
	j.title = ""
}

func (j *journal) text() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	text := j.finished.String()
	if j.title != "" {
		text += fmt.Sprintf("== %s\n%s== it is running\n", j.title, said(j.path))
	}
	return text
}

// said is a file of output without what go test says of tests that begin and of subtests that pass.
func said(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "=== ") && !strings.HasPrefix(line, "    --- PASS") &&
			!strings.HasPrefix(line, "        --- PASS") {
			b.WriteString(line)
		}
	}
	if b.Len() > 0 && !strings.HasSuffix(b.String(), "\n") {
		b.WriteByte('\n')
	}
	return shorten(b.String(), ofCommand)
}
