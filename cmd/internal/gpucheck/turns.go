//go:build linux

// sigmaz and PyTorch in turns: both are processes that are held open, and each is given a window of time after the
// other, in an order that changes. What a card's clock does meanwhile happens to both.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// turn is one comparison: a task at a size and in a precision, against one form of PyTorch.
type turn struct {
	Size, Task, Precision string
	Form                  string     // of PyTorch: eager, compile
	Sigmaz, PyTorch       [3]float64 // images/s: lowest, median, highest window; 0 where there was none
	Ratio                 [3]float64 // of neighbouring windows; above 1 sigmaz is faster
	Memory                int64      `json:",omitempty"` // bytes that PyTorch took at most
	Why                   string     `json:",omitempty"` // there are no numbers
}

// peak is what PyTorch reaches at most on this card.
type peak struct {
	What string
	Unit string
	Rate [3]float64
}

// asked is a process that answers requests, a line each.
type asked struct {
	*process
	in, out *os.File
	answers chan string // closed when it writes no more
	errors  string      // file of its standard error
	why     error       // it answers no more
}

// open starts a process that answers requests.
func (c *check) open(name string, args ...string) (*asked, error) {
	name, args = c.injected(name, args)
	read, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	out, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer write.Close()
	said, err := os.CreateTemp(c.work, "errors")
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.work, c.env, read, write, said
	p, err := spawn(cmd)
	if err != nil {
		return nil, err
	}
	a := &asked{process: p, in: in, out: out, answers: make(chan string, 1), errors: said.Name()}
	go func() {
		defer close(a.answers)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			a.answers <- lines.Text()
		}
	}()
	return a, nil
}

// answer is a line of JSON.
type answer struct {
	Rate   float64
	Memory int64
	Error  string
	// of PyTorch's first line
	Torch   string
	Device  string
	Compile bool
}

// next waits for a line. A process that does not answer in time, or that ends, is not asked again.
func (a *asked) next(ctx context.Context) (got answer, err error) {
	if a.why != nil {
		return got, a.why
	}
	select {
	case line, ok := <-a.answers:
		if !ok {
			select {
			case <-a.done:
			case <-time.After(patience):
				a.end()
			}
			text, _ := os.ReadFile(a.errors)
			out := output{text: string(text), code: 1}
			a.why = errors.New(out.why())
		} else if err := json.Unmarshal([]byte(line), &got); err != nil {
			a.why = fmt.Errorf("it answered %q", fit(line, 100))
		}
	case <-ctx.Done():
		a.why = context.Cause(ctx)
	}
	if a.why != nil {
		a.end()
		return got, a.why
	}
	if got.Error != "" {
		return got, errors.New(got.Error)
	}
	return got, nil
}

// ask asks for something.
func (a *asked) ask(ctx context.Context, request string) (answer, error) {
	if a.why != nil {
		return answer{}, a.why
	}
	a.in.WriteString(request + "\n") // where that fails it has ended, and next says why
	return a.next(ctx)
}

func (a *asked) close() {
	if a == nil {
		return
	}
	a.in.Close()
	a.end()
	a.out.Close()
	go func() {
		for range a.answers { // so that its reader ends
		}
	}()
}

// hung is after how long a process that was to answer within a second is given up.
const hung = 30 * time.Second

// plan is how long and how often is measured.
type plan struct {
	device  string // PyTorch's
	sizes   []string
	windows int
	seconds float64       // of a window
	start   time.Duration // a compiler may take
}

func (c *check) plan() plan {
	switch {
	case c.found.standin: // to see that both answer
		return plan{"cpu", []string{"4 12 1 2"}, 1, 0.01, 60 * time.Second}
	case c.quick:
		return plan{"cuda", []string{"8 28 1 32"}, 2, 0.1, 60 * time.Second}
	}
	// The most telling sizes come first, in case time runs out.
	return plan{"cuda", []string{"128 32 3 128", "64 28 1 32", "128 32 3 16"}, 5, 0.4, 120 * time.Second}
}

// sizeName is a size as bench's tables have it.
func sizeName(size string) string {
	var ngf, side, channels, batch int
	fmt.Sscan(size, &ngf, &side, &channels, &batch)
	return fmt.Sprintf("ngf %d %dx%dx%d b%d", ngf, side, side, channels, batch)
}

// python is the interpreter that PyTorch is looked for in.
func python() string {
	if p := os.Getenv("SIGMAZ_PYTHON"); p != "" {
		return p
	}
	return "python3"
}

// pytorch compares at the first size in every precision, and then at the others in the default one.
func (c *check) pytorch(ctx context.Context) partResult {
	p := c.plan()
	out := c.command(ctx, ".", python(), "-c", "import sys, torch\nif sys.argv[1] == 'cuda' and not "+
		"torch.cuda.is_available(): sys.exit('PyTorch ' + torch.__version__ + ' sees no GPU')", p.device)
	if !out.ok() {
		if out.ended != nil {
			return partResult{Result: failed, Detail: out.why()}
		}
		last := strings.Split(strings.TrimSpace(out.text), "\n")
		return partResult{Result: skipped, Detail: "no PyTorch with CUDA: " + fit(last[len(last)-1], 120)}
	}
	torch := &torch{open: func() (*asked, error) { return c.openTorch(p) }}
	defer func() { torch.asked.close() }()
	about, err := torch.start(ctx)
	if err != nil {
		return partResult{Result: failed, Detail: "PyTorch: " + err.Error()}
	}
	version := "PyTorch " + about.Torch + " on " + about.Device
	c.update(func(r *report) { r.PyTorch = version })
	forms := []string{"eager"}
	if about.Compile && !c.found.standin {
		forms = append(forms, "compile")
	}
	type job struct{ size, precision string }
	var jobs []job
	known := c.byGoal()
	for _, precision := range append(known, c.report.Unknown...) {
		jobs = append(jobs, job{p.sizes[0], precision})
	}
	for _, size := range p.sizes[1:] {
		jobs = append(jobs, job{size, c.report.Precisions[0]})
	}
	done := 0
	for i, j := range jobs {
		if ctx.Err() != nil {
			c.update(func(r *report) {
				for _, j := range jobs[i:] {
					late := turn{Size: sizeName(j.size), Precision: j.precision, Why: "the time was over"}
					r.Turns = append(r.Turns, late)
				}
			})
			break
		}
		done += c.compare(ctx, torch, p, forms, j.size, j.precision, i < len(known)+len(c.report.Unknown))
	}
	if done == 0 {
		return partResult{Result: failed, Detail: version + "; nothing could be compared"}
	}
	detail := fmt.Sprintf("%s; %d comparisons", version, done)
	if !about.Compile {
		detail += "; it has no torch.compile"
	}
	return partResult{Result: passed, Detail: detail}
}

// byGoal lists the precisions that this build knows. bf16 is first: its goal is the one that is hardest to reach.
func (c *check) byGoal() []string {
	rank := map[string]int{"bf16": -2, "tf32": -1}
	return slices.SortedStableFunc(slices.Values(c.report.Precisions), func(a, b string) int { return rank[a] - rank[b] })
}

func (c *check) openTorch(p plan) (*asked, error) {
	return c.open(python(), filepath.Join(c.work, "ncsnv2.py"), "--device", p.device)
}

// roomForTwo is the memory in MiB of a card on which PyTorch may train beside the tests.
const roomForTwo = 40_000

// warmUp lets PyTorch compile its networks while the tests of results run, which need little of the card: it takes
// minutes. What is compiled stays in the folders of prepare, and the process that is measured later finds it there.
func (c *check) warmUp() {
	if !c.wants("pytorch") || c.found.standin || c.found.memory < roomForTwo {
		return
	}
	p := c.plan()
	a, err := c.openTorch(p)
	if err != nil {
		return // the part pytorch will say it
	}
	for _, precision := range append(c.byGoal(), c.report.Unknown...) {
		fmt.Fprintf(a.in, "way compile %s\ntrain %s 0.001\nscore %[2]s 0.001\n", precision, p.sizes[0])
	}
	c.warm = a
}

// coolDown ends it before anything is measured.
func (c *check) coolDown() {
	c.warm.close()
	c.warm = nil
}

// torch is PyTorch's process, which is started again when it has ended.
type torch struct {
	*asked
	open func() (*asked, error)
	lost map[string]error // forms that have ended it, in the precision at hand: they are not tried again
}

// start starts the process and returns what it says of itself.
func (t *torch) start(ctx context.Context) (about answer, err error) {
	t.asked.close()
	if t.asked, err = t.open(); err != nil {
		return about, err
	}
	return t.next(ctx)
}

// ask asks a form of PyTorch.
func (t *torch) ask(ctx context.Context, form, precision, request string) (got answer, err error) {
	if err := t.lost[form]; err != nil {
		return got, err
	}
	if t.why != nil && ctx.Err() == nil {
		if _, err := t.start(ctx); err != nil {
			return got, err
		}
	}
	if _, err = t.asked.ask(ctx, "way "+form+" "+precision); err == nil {
		got, err = t.asked.ask(ctx, request)
	}
	if t.why != nil {
		t.lost[form] = t.why
	}
	return got, err
}

// compare measures one size in one precision: training, and the score. It returns how many comparisons there are.
func (c *check) compare(ctx context.Context, torch *torch, p plan, forms []string, size, precision string,
	first bool) (done int) {
	torch.lost = map[string]error{}
	var ours *asked
	why := ""
	if slices.Contains(c.report.Precisions, precision) {
		var err error
		if ours, err = c.open(c.sigmaz(), "bench", "-gpu", "-precision", precision, "-stdin"); err != nil {
			why = err.Error()
		}
		defer ours.close()
	} else {
		why = "this build does not know " + precision
	}
	if first {
		c.peaks(ctx, torch, p, precision)
	}
	for _, task := range []string{"train", "score"} {
		// asks asks participant i, which is one of PyTorch's forms or else sigmaz.
		asks := func(i int, seconds float64, patience time.Duration) (answer, error) {
			ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no answer in %v", patience))
			defer cancel()
			request := fmt.Sprintf("%s %s %g", task, size, seconds)
			switch {
			case i < len(forms):
				return torch.ask(ctx, forms[i], precision, request)
			case ours == nil:
				return answer{}, errors.New(why)
			}
			return ours.ask(ctx, request)
		}
		turns := make([]turn, len(forms))
		windows := make([][]float64, len(forms)+1)
		// What is done once: compiling, choosing algorithms.
		_, mine := asks(len(forms), 0.001, p.start)
		for i, form := range forms {
			t := turn{Size: sizeName(size), Task: task, Precision: precision, Form: form}
			if mine != nil {
				t.Why = mine.Error()
			}
			if _, err := asks(i, 0.001, p.start); err != nil {
				t.Why = strings.TrimPrefix(t.Why+"; PyTorch: "+err.Error(), "; ")
			}
			turns[i] = t
		}
		for w := range p.windows {
			for k := range windows {
				i := (w + k) % len(windows) // each begins in turn
				got, err := asks(i, p.seconds, hung)
				if err != nil {
					got.Rate = 0
				}
				windows[i] = append(windows[i], got.Rate)
				if i < len(forms) {
					turns[i].Memory = max(turns[i].Memory, got.Memory)
				}
			}
		}
		for i := range turns {
			t := &turns[i]
			t.fill(windows[len(forms)], windows[i], c.found.standin)
			if t.Ratio[1] > 0 || c.found.standin && t.Why == "" {
				done++
			}
		}
		c.update(func(r *report) { r.Turns = append(r.Turns, turns...) })
		c.save()
	}
	return done
}

// fill computes the rates and their ratios from the windows of both: 0 is one that failed. Of the stand-in no
// rate is kept.
func (t *turn) fill(ours, theirs []float64, standin bool) {
	good := func(rates []float64) (all []float64) {
		for _, r := range rates {
			if r > 0 {
				all = append(all, r)
			}
		}
		return all
	}
	var ratios []float64
	for i := range min(len(ours), len(theirs)) {
		if ours[i] > 0 && theirs[i] > 0 {
			ratios = append(ratios, ours[i]/theirs[i])
		}
	}
	if len(ratios) == 0 && t.Why == "" {
		t.Why = "no window of both was measured"
	}
	if standin {
		return
	}
	t.Sigmaz, t.PyTorch, t.Ratio = spread(good(ours)), spread(good(theirs)), spread(ratios)
}

// peaks measures a copy, once, and a product of matrices in the precision.
func (c *check) peaks(ctx context.Context, torch *torch, p plan, precision string) {
	measure := func(what, unit, request string) {
		if slices.ContainsFunc(c.report.Peaks, func(k peak) bool { return k.What == what }) {
			return
		}
		var rates []float64
		for range p.windows {
			ctx, cancel := context.WithTimeoutCause(ctx, hung, fmt.Errorf("no answer in %v", hung))
			a, err := torch.ask(ctx, "eager", precision, fmt.Sprintf("%s %g", request, p.seconds/2))
			if cancel(); err == nil {
				rates = append(rates, a.Rate)
			}
		}
		if len(rates) > 0 && !c.found.standin {
			c.update(func(r *report) { r.Peaks = append(r.Peaks, peak{what, unit, spread(rates)}) })
		}
	}
	measure("copy in the card's memory", "TB/s", "copy")
	measure("matrix product, "+precision, "TFLOP/s", "matmul")
}

// turnTable is the comparisons as text, in lines of at most 80 characters.
func turnTable(version string, turns []turn, peaks []peak) string {
	var b strings.Builder
	rate := func(r [3]float64) string {
		if r[1] == 0 {
			return "-"
		}
		return fmt.Sprintf("%.4g", r[1])
	}
	fmt.Fprintf(&b, "%s\n", fit(version+"; ratio above 1: sigmaz is faster", 80))
	size := ""
	for _, t := range turns {
		if t.Size != size {
			size = t.Size
			fmt.Fprintf(&b, "%s, images/s\n%-24s %9s %9s   %s\n", size, "", "sigmaz", "PyTorch", "ratio (range)")
		}
		ratio := "-"
		switch {
		case t.Ratio[1] > 0:
			ratio = fmt.Sprintf("%.2f (%.2f to %.2f)", t.Ratio[1], t.Ratio[0], t.Ratio[2])
		case t.Why != "":
			ratio = t.Why
		}
		name := strings.TrimSpace(t.Task + " " + t.Precision + " " + t.Form)
		line := fmt.Sprintf("  %-22s %9s %9s   %s", name, rate(t.Sigmaz), rate(t.PyTorch), ratio)
		if r := []rune(line); len(r) > 80 {
			line = string(r[:77]) + "..."
		}
		fmt.Fprintln(&b, line)
	}
	for _, p := range peaks {
		fmt.Fprintf(&b, "PyTorch's %s: %.3g %s (%.3g to %.3g)\n", p.What, p.Rate[1]/1e12, p.Unit, p.Rate[0]/1e12,
			p.Rate[2]/1e12)
	}
	return b.String()
}
