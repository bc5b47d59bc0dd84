// What a page shows of a run: its metrics and pictures so far, of this process and of those before it, and where it is.
//
// Memory and pages stay small however long a run is: beyond maxPoints lines about training, neighbours are brought
// together two by two, a mean in place of each pair.
//
// The goroutine that trains adds, any number of readers look, and none of them waits for another: a reader takes what
// is there under a lock that is held for moments, and writes it out after it has let go.

package watch

import (
	"bytes"
	"fmt"
	"image/png"
	"math"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sigmaz/cmd/internal/cli"
	"sigmaz/cmd/internal/progress"
	"sigmaz/internal/memory"
	"sigmaz/train"
)

const (
	maxPoints   = 800 // lines about training, or means of them
	maxHeldOut  = 800 // held-out losses
	maxPictures = 200
	maxNotes    = 50
)

// point is one line about training, or the mean of several.
type point struct {
	Step  uint64  `json:"step"`
	Lines int     `json:"lines"`
	Loss  number  `json:"loss"`
	Rate  number  `json:"rate"`
	First int     `json:"first"` // level or bin of Levels[0]
	Means numbers `json:"levels"`
	count []int64 // images in each of Means
}

// heldOut is one held-out loss.
type heldOut struct {
	Step uint64 `json:"step"`
	Loss number `json:"loss"`
}

// shot is a preview.
type shot struct {
	Step   uint64 `json:"step"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	URL    string `json:"url"`
	path   string
}

// position is where the run is: numbers for those who compute, and the same as the terminal has them.
type position struct {
	Phase    string `json:"phase"` // "training", "done", ...
	Over     bool   `json:"over"`  // nothing more will come
	Step     uint64 `json:"step"`
	Steps    uint64 `json:"steps"`
	Loss     string `json:"loss"`
	HeldOut  string `json:"heldOut"`
	Rate     string `json:"rate"`
	Left     string `json:"left"`
	Memory   string `json:"memory"`
	progress train.Progress
	held     train.HeldOut
	levels   *point // the last line's
	resident float64
	free     int64 // on the device, -1 where it has no memory of its own
}

// about is what does not change in a run.
type about struct {
	Name   string      `json:"name"`
	Folder string      `json:"folder"`
	Lines  [][2]string `json:"lines"` // what the run is, name and text
	Rows   string      `json:"rows"`
	Sigmas numbers     `json:"sigmas"`
	Bins   bool        `json:"bins"` // the losses are of bins of ln sigma
	Width  float64     `json:"binWidth"`
}

// history is all of it.
type history struct {
	mu       sync.Mutex
	changed  chan struct{} // closed at a change, and replaced
	whole    int           // counts the times that points were replaced
	lists    int           // counts the changes of pictures and notes
	about    about
	now      position
	points   []*point
	heldOut  []heldOut
	perLevel numbers // of the last held-out loss
	pictures []shot
	notes    []string
	folder   string
	free     func() (int64, bool)
}

// training is the phase of a run between its steps.
const training = "training"

func newHistory() *history {
	return &history{changed: make(chan struct{}), now: position{Phase: "starting", free: -1}}
}

// change makes a change and wakes the readers.
func (h *history) change(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

// begin says which run it is.
func (h *history) begin(r Run) {
	h.change(func() {
		h.whole++
		h.folder, h.free = r.Folder, r.FreeMemory
		h.about = about{Name: filepath.Base(filepath.Clean(r.Folder)), Folder: r.Folder, Lines: r.About, Rows: r.Config.Rows(),
			Bins: r.Config.Noise.Continuous(), Width: train.BinWidth}
		for _, s := range r.Sigmas {
			h.about.Sigmas = append(h.about.Sigmas, float32(s))
		}
	})
}

// end says how the run ended.
func (h *history) end(phase string) {
	h.change(func() { h.now.Phase, h.now.Over, h.now.Left = phase, true, "" })
}

// event takes an event of the run in.
func (h *history) event(e train.Event) {
	switch e := e.(type) {
	case train.Warning:
		h.note(cli.Flags(e.Text))
	case train.Opening:
		h.phase("reading the data")
	case train.Comparing:
		h.phase("distances between all pairs")
	case train.Training:
		earlier, pictures := h.earlier(e.Step)
		h.change(func() {
			h.whole++
			for _, l := range earlier {
				h.add(l)
			}
			h.pictures = pictures
			h.now.Phase, h.now.Step, h.now.Steps = training, e.Step, e.Steps
		})
	case train.Progress:
		resident, free := memory.Used(), int64(-1)
		if h.free != nil {
			if f, own := h.free(); own {
				free = f
			}
		}
		h.change(func() {
			n := &h.now
			n.progress, n.resident, n.free = e, resident, free
			n.Phase, n.Step, n.Steps = training, e.Step, e.Steps
			n.Loss = fmt.Sprintf("%s (%.3f of %s)", progress.Number(e.Loss), e.Relative, e.Unit)
			n.Rate = fmt.Sprintf("%s %s/s", progress.Number(e.ImagesPerS), e.Rows)
			n.Left = progress.Duration(e.Left)
			n.Memory = cli.Bytes(resident)
			if free >= 0 {
				n.Memory += fmt.Sprintf(", %s free on the device", cli.Bytes(float64(free)))
			}
		})
	case train.Wrote:
		if l, err := train.ParseLine(e.Line); err == nil {
			h.change(func() { h.add(l) })
		}
	case train.Evaluating:
		h.phase("held-out loss ...")
	case train.HeldOut:
		h.change(func() {
			h.now.Phase = training
			h.now.held = e
			h.now.HeldOut = fmt.Sprintf("%s (%.3f of %s)", progress.Number(e.Loss), e.Relative, e.Unit)
		})
	case train.Measuring:
		h.phase(e.Metric + " ...")
	case train.Measured:
		h.phase(training)
	case train.Drawing:
		h.phase("preview ...")
	case train.Picture:
		if s, ok := shotOf(e); ok {
			h.change(func() {
				h.pictures = append(slices.DeleteFunc(slices.Clone(h.pictures), func(o shot) bool { return o.Step == s.Step }), s)
				if len(h.pictures) > maxPictures {
					h.pictures = everySecond(h.pictures)
				}
				h.lists++
				h.now.Phase = training
			})
		}
	}
}

func (h *history) phase(text string) { h.change(func() { h.now.Phase = text }) }

func (h *history) note(text string) {
	h.change(func() {
		if len(h.notes) < maxNotes {
			h.notes = append(h.notes, text)
			h.lists++
		}
	})
}

// earlier reads what earlier processes left in the run's folder, up to a step.
func (h *history) earlier(step uint64) (lines []*train.Line, pictures []shot) {
	if err := train.ReadMetrics(h.folder, func(l *train.Line) {
		if l.Step <= step {
			lines = append(lines, l)
		}
	}); err != nil {
		h.note(err.Error())
	}
	for _, p := range train.Previews(h.folder) {
		if s, ok := shotOf(p); ok && p.Step <= step {
			pictures = append(pictures, s)
		}
	}
	for len(pictures) > maxPictures {
		pictures = everySecond(pictures)
	}
	return lines, pictures
}

// shotOf looks at a preview; ok is false where it cannot be read.
func shotOf(p train.Picture) (s shot, ok bool) {
	b, err := readFile(p.Path)
	if err != nil {
		return s, false
	}
	c, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return s, false
	}
	return shot{Step: p.Step, Width: c.Width, Height: c.Height, URL: "samples/" + filepath.Base(p.Path), path: p.Path}, true
}

// add takes a line in; the lock is held.
func (h *history) add(l *train.Line) {
	if l.HeldOutLoss != nil {
		h.heldOut = append(h.heldOut, heldOut{l.Step, number(*l.HeldOutLoss)})
		h.perLevel = make(numbers, len(l.HeldOutPerLevel))
		for i, v := range l.HeldOutPerLevel {
			h.perLevel[i] = float32(v)
		}
		if len(h.heldOut) > maxHeldOut {
			h.heldOut = everySecond(h.heldOut)
			h.whole++
		}
	}
	if l.Loss == nil {
		return
	}
	p := &point{Step: l.Step, Lines: 1, Loss: number(*l.Loss), Rate: number(l.ImagesPerS)}
	p.setLevels(l, len(h.about.Sigmas))
	h.now.levels = p
	h.points = append(h.points, p)
	if len(h.points) > maxPoints {
		h.points = halve(h.points)
		h.whole++
	}
}

// mostBins bounds the bins of ln sigma on either side of 0: e^100 is more than any sigma.
const mostBins = 200

// setLevels takes the losses of the levels of a line, of a ladder of the given length, or of its bins.
func (p *point) setLevels(l *train.Line, levels int) {
	m, at := l.LossPerLevel, []int(nil)
	if m != nil {
		at = m.Level
	} else if m = l.LossPerBin; m != nil {
		for _, x := range m.LnSigma {
			at = append(at, int(max(-mostBins, min(math.Round(x/train.BinWidth), mostBins))))
		}
	}
	if len(at) == 0 {
		return
	}
	low, high := slices.Min(at), slices.Max(at)
	if l.LossPerLevel != nil && (low < 0 || high >= levels) {
		return // a line of another ladder
	}
	p.First, p.Means, p.count = low, make(numbers, high-low+1), make([]int64, high-low+1)
	for i := range p.Means {
		p.Means[i] = float32(math.NaN())
	}
	for i, a := range at {
		p.Means[a-low], p.count[a-low] = float32(m.Loss[i]), m.Count[i]
	}
}

// halve brings neighbours together. Points are never changed, since a reader may be writing them out.
func halve(all []*point) (half []*point) {
	for ; len(all) > 1; all = all[2:] {
		half = append(half, merge(all[0], all[1]))
	}
	return append(half, all...)
}

// merge returns the mean of two points, each loss weighted by what it is the mean of.
func merge(a, b *point) *point {
	n, m := float64(a.Lines), float64(b.Lines)
	mean := func(x, y number) number { return number((n*float64(x) + m*float64(y)) / (n + m)) }
	p := &point{Step: b.Step, Lines: a.Lines + b.Lines, Loss: mean(a.Loss, b.Loss), Rate: mean(a.Rate, b.Rate)}
	if len(a.Means)+len(b.Means) == 0 {
		return p
	}
	ends := []int{a.First, a.First + len(a.Means), b.First, b.First + len(b.Means)}
	if len(a.Means) == 0 {
		ends = ends[2:]
	} else if len(b.Means) == 0 {
		ends = ends[:2]
	}
	p.First = slices.Min(ends)
	size := slices.Max(ends) - p.First
	p.Means, p.count = make(numbers, size), make([]int64, size)
	sums := make([]float64, size)
	for _, from := range []*point{a, b} {
		for i, c := range from.count {
			if c > 0 {
				at := from.First - p.First + i
				sums[at] += float64(c) * float64(from.Means[i])
				p.count[at] += c
			}
		}
	}
	for i, c := range p.count {
		p.Means[i] = float32(sums[i] / float64(c)) // NaN where there is none
	}
	return p
}

// everySecond keeps every second of a list, the last among them.
func everySecond[T any](all []T) (half []T) {
	for i := (len(all) - 1) % 2; i < len(all); i += 2 {
		half = append(half, all[i])
	}
	return half
}

// update is what a reader gets: all, or what came since the update before.
type update struct {
	Whole    bool      `json:"whole"`
	About    *about    `json:"about,omitempty"` // with Whole
	Now      position  `json:"now"`
	Points   []*point  `json:"points"`
	HeldOut  []heldOut `json:"heldOut"`
	PerLevel numbers   `json:"heldOutPerLevel,omitempty"` // of the last of HeldOut
	Lists    bool      `json:"lists"`                     // Pictures and Notes are there, and replace those before
	Pictures []shot    `json:"pictures,omitempty"`
	Notes    []string  `json:"notes,omitempty"`
	Time     string    `json:"time"`
}

// cursor is how far a reader has come. The zero value has seen nothing.
type cursor struct {
	began           bool
	whole, lists    int
	points, heldOut int
}

// since returns what came since a cursor, and what is closed when there is more.
func (h *history) since(c *cursor) (u update, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	u = update{Now: h.now, Time: time.Now().UTC().Format(time.RFC3339)}
	if !c.began || c.whole != h.whole {
		a := h.about
		u.Whole, u.About = true, &a
		*c = cursor{began: true, whole: h.whole, lists: -1}
	}
	if c.lists != h.lists {
		u.Lists, u.Pictures, u.Notes = true, h.pictures, h.notes[:len(h.notes):len(h.notes)]
		c.lists = h.lists
	}
	// Capacities are cut, so that whatever is appended later lies elsewhere.
	u.Points = h.points[c.points:len(h.points):len(h.points)]
	u.HeldOut = h.heldOut[c.heldOut:len(h.heldOut):len(h.heldOut)]
	if len(u.HeldOut) > 0 {
		u.PerLevel = h.perLevel
	}
	c.points, c.heldOut = len(h.points), len(h.heldOut)
	return u, h.changed
}

// picture returns the path of a preview by the end of its URL.
func (h *history) picture(name string) (path string, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	i := slices.IndexFunc(h.pictures, func(s shot) bool { return filepath.Base(s.path) == name })
	if i < 0 {
		return "", false
	}
	return h.pictures[i].path, true
}
