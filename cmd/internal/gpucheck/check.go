//go:build linux

// A check: its parts one after the other, within their limits and the budget.

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// spare is the end of the budget that is kept for the report and for ending what runs.
const spare = 5 * time.Second

// beat is how often the report is written while a part runs.
const beat = 3 * time.Second

// check is one call.
type check struct {
	*options
	work    string // where the archive is unpacked
	out     io.Writer
	env     []string // of children
	results *folder
	start   time.Time
	part    string // that runs
	log     journal
	found   device
	monitor *monitor
	warm    *asked // PyTorch, which compiles beside the tests, nil where it does not

	saving sync.Mutex // one report is written at a time
	mu     sync.Mutex // report is changed by parts, and read by what writes it
	report report
}

func newCheck(o *options, work string, results *folder, out io.Writer, start time.Time) *check {
	return &check{options: o, work: work, out: out, env: os.Environ(), results: results, start: start,
		monitor: &monitor{start: start}}
}

// update changes the report.
func (c *check) update(change func(r *report)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
}

// note adds a line to what the report says about the machine.
func (c *check) note(format string, a ...any) {
	line := fmt.Sprintf(format, a...)
	c.update(func(r *report) { r.Notes = append(r.Notes, line) })
	fmt.Fprintln(c.out, line)
}

// run runs every part that is wanted, and writes the report all the while. It returns only what keeps the report from
// being written.
func (c *check) run(ctx context.Context) error {
	if err := adopt(); err != nil {
		c.note("%v: what a child leaves running in a session of its own may outlive it", err)
	}
	asked := ctx // to stop
	ctx, stopAll := context.WithCancelCause(context.Background())
	defer stopAll(nil)
	defer context.AfterFunc(asked, func() { stopAll(errStop) })()
	deadline := c.start.Add(time.Duration(c.budget)*time.Second - spare)
	ctx, cancel := context.WithDeadlineCause(ctx, deadline, errEnd)
	defer cancel()
	c.update(func(r *report) {
		r.Started, r.Budget = c.start.UTC().Format(time.RFC3339), c.budget
		r.Command = "bash cuda/gpucheck/run.sh " + strings.Join(os.Args[1:], " ")
		r.Built = lines(c.work, "version")
	})
	if err := c.save(); err != nil {
		return err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(beat):
				c.save() // the last one tells of errors
			}
		}
	}()
	for _, p := range parts {
		if c.wants(p.name) {
			c.runPart(ctx, p)
		}
	}
	c.coolDown()
	close(stop)
	<-stopped
	c.monitor.stop()
	c.otherUsers("after the parts")
	c.update(func(r *report) { r.Finished = ctx.Err() == nil })
	err := c.save()
	fmt.Fprintf(c.out, "\n%s", c.report.summary(c.results))
	return err
}

// runPart runs one part, unless what it needs has failed or the time is over.
func (c *check) runPart(ctx context.Context, p part) {
	say := func(r partResult) {
		c.update(func(rep *report) { rep.Parts = append(rep.Parts, r) })
		fmt.Fprintf(c.out, "%-11s %-8s %s\n", r.Name, r.Result, fit(r.Detail, 200))
		c.save()
	}
	limit := p.limit
	if c.partLimit > 0 {
		limit = min(limit, time.Duration(c.partLimit)*time.Second)
	}
	if why := c.hinders(ctx, p); why != "" {
		say(partResult{Name: p.name, Result: notRun, Detail: why, Must: p.must})
		return
	}
	if p.name == right[0] {
		c.warmUp()
	} else if len(p.needs) > 0 { // it measures
		c.coolDown()
	}
	c.part = p.name
	c.monitor.part(p.name)
	inTime, cancel := context.WithTimeoutCause(ctx, limit, errLimit)
	start := time.Now()
	r := p.run(c, inTime)
	took := time.Since(start)
	r.Name, r.Must = p.name, p.must
	switch cause := context.Cause(inTime); {
	case cause == nil || r.Result == passed:
	case ctx.Err() != nil:
		r.Result, r.Detail = cutOff, fmt.Sprintf("%v after %.0f s of it", cause, took.Seconds())
	default:
		r.Result, r.Detail = failed, fmt.Sprintf("stopped after %.0f s, its limit; %s", limit.Seconds(), r.Detail)
	}
	cancel()
	sweep()
	c.part = ""
	c.monitor.part("")
	if !c.found.standin {
		r.Seconds = took.Seconds()
	}
	say(r)
}

// hinders says why a part cannot be run, "" where it can.
func (c *check) hinders(ctx context.Context, p part) string {
	if ctx.Err() != nil {
		return context.Cause(ctx).Error()
	}
	if p.name != parts[0].name && !c.found.gpu {
		return "there is no GPU to use"
	}
	for _, r := range c.report.Parts {
		if slices.Contains(p.needs, r.Name) && r.Result != passed && !c.keepGoing {
			return fmt.Sprintf("it needs part %s", r.Name)
		}
	}
	return ""
}

// failures names the parts that make the exit code 1.
func (c *check) failures() (names []string) {
	for _, r := range c.report.Parts {
		if r.bad(c.required) {
			names = append(names, fmt.Sprintf("%s: %s", r.Name, r.Result))
		}
	}
	return names
}

// lines reads a file of the archive.
func lines(work, name string) []string {
	text, err := os.ReadFile(filepath.Join(work, name))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// fit shortens a line to n characters.
func fit(line string, n int) string {
	line = strings.Join(strings.Fields(line), " ")
	if r := []rune(line); len(r) > n {
		return string(r[:n-3]) + "..."
	}
	return line
}
