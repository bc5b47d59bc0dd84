//go:build linux

// Gpucheck checks and measures a GPU with the programs that cuda/gpucheck/build.sh packs, where there is no Go:
// cuda/gpucheck/run.sh unpacks and starts it. cuda/gpucheck/README.md says how it is used and what it writes.
//
// It is a program and not a script because it has to end in time, whatever hangs: every part has a limit and the call a
// budget, children are killed with all that they started, and the report is whole at every moment.
//
// Begin reading at [check.run] in check.go. parts.go has the parts, process.go starts and ends children, turns.go
// compares with PyTorch, monitor.go watches the card, report.go and folder.go write the results.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/internal/nearest"
)

// options is what the command line sets.
type options struct {
	out, only, from    string
	required, quick    bool
	keepGoing          bool
	budget, partLimit  int // seconds
	maxBytes, maxFiles int
}

// The least that a report needs, see folder.go.
const (
	leastBytes = 64 << 10
	leastFiles = 3
)

func main() {
	start := time.Now()
	out := os.Getenv("OUT")
	if out == "" {
		out = "gpucheck-out"
	}
	o := options{out: out, budget: 540, maxBytes: 16 << 20, maxFiles: 8}
	c := &cli.Command{
		Name:  "gpucheck",
		About: "Checks and measures a GPU, and writes a report. What matters first runs first.",
		Groups: []cli.Group{
			{Name: "What is done", Flags: []cli.Flag{
				{Name: "required", Help: "a GPU is promised: fail when there is none", Value: &o.required},
				{Name: "only", Arg: "PART,...", Help: "these parts alone", Default: "all", Value: &o.only, Known: partNames()},
				{Name: "from", Arg: "PART", Help: "this part and those after it", Value: &o.from, Known: partNames()},
				{Name: "keep-going", Help: "measure even where results were wrong", Value: &o.keepGoing},
				{Name: "quick", Help: "little of each part, to see that it works", Value: &o.quick},
			}},
			{Name: "Limits", Flags: []cli.Flag{
				{Name: "budget", Arg: "SECONDS", Help: "for everything together; what is left then is not run", Value: &o.budget},
				{Name: "part-limit", Arg: "SECONDS", Help: "for each part, where that is less than its own limit",
					Value: &o.partLimit, Default: "by the part"},
				{Name: "max-bytes", Arg: "BYTES", Help: "that the results may have together", Value: &o.maxBytes},
				{Name: "max-files", Arg: "N", Help: "that the results may be", Value: &o.maxFiles},
			}},
			{Name: "Folders", Flags: []cli.Flag{
				{Name: "out", Arg: "DIR", Help: "where the results go: an empty folder, or one of a call before", Value: &o.out},
			}},
		},
		Lists: []cli.List{partList()},
		Notes: []string{"Exit codes: 0 done; 1 a part failed, or the budget did not last for a part marked *; " +
			"2 wrong usage; 130 stopped. The report is there in every case but 2."},
		Stopping: cli.Stops,
		Unread:   cli.GoesOn,
		Notice:   "ending what runs and writing the report",
	}
	c.Check = func() error { return o.check(c) }
	c.Run = func(ctx context.Context, s cli.Streams) error { return run(ctx, &o, s, start) }
	err := c.Parse(os.Args[1:])
	if err == nil {
		err = c.Check()
	}
	if err != nil { // it says so, or helps, and is done
		tidy()
	}
	c.Main(os.Args[1:])
}

// workFolder is where build.sh's archive is unpacked: where this program is.
func workFolder() (string, error) {
	program, err := os.Executable()
	return filepath.Dir(program), err
}

// tidy removes that folder, where run.sh has made it for this call.
func tidy() {
	if work, err := workFolder(); err == nil && work == os.Getenv("GPUCHECK_UNPACKED") {
		os.RemoveAll(work)
	}
}

// check refuses limits below what a report needs, and parts that there are not.
func (o *options) check(c *cli.Command) error {
	for _, n := range []struct {
		flag     string
		n, least int
	}{{"budget", o.budget, 10}, {"max-bytes", o.maxBytes, leastBytes}, {"max-files", o.maxFiles, leastFiles}} {
		if n.n < n.least {
			return cli.Usagef("-%s is %d: expected %d or more", n.flag, n.n, n.least)
		}
	}
	if o.partLimit < 0 || c.Given("part-limit") && o.partLimit < 1 {
		return cli.Usagef("-part-limit is %d: expected 1 or more", o.partLimit)
	}
	if o.only != "" && o.from != "" {
		return cli.Usagef("-only and -from are both given: expected one of them")
	}
	for _, f := range []struct{ flag, names string }{{"only", o.only}, {"from", o.from}} {
		for _, name := range strings.Split(f.names, ",") {
			if f.names != "" && !slices.Contains(partNames(), name) {
				return cli.Usagef("-%s: there is no part %q: expected %s%s", f.flag, name, strings.Join(partNames(), ", "),
					nearest.DidYouMean(name, partNames()))
			}
		}
	}
	return nil
}

// wants tells whether a part is asked for. What is found out about the device is needed by all.
func (o *options) wants(name string) bool {
	names := partNames()
	switch {
	case name == names[0]:
		return true
	case o.only != "":
		return slices.Contains(strings.Split(o.only, ","), name)
	case o.from != "":
		return slices.Index(names, name) >= slices.Index(names, o.from)
	}
	return true
}

func run(ctx context.Context, o *options, s cli.Streams, start time.Time) error {
	defer tidy()
	work, err := workFolder()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(work, "sigmaz")); err != nil {
		return fmt.Errorf("%s holds no program sigmaz: start cuda/gpucheck/run.sh, which unpacks it", work)
	}
	results, err := openFolder(o.out, int64(o.maxBytes), o.maxFiles)
	if err != nil {
		return err
	}
	c := newCheck(o, work, results, s.Out, start)
	if err := c.run(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return &cli.StoppedError{Text: "stopped; " + results.path(reportFile) + " has what was done"}
	}
	if names := c.failures(); len(names) > 0 {
		return errors.New(strings.Join(names, ", ") + ": see " + results.path(reportFile))
	}
	return nil
}
