// Metrics: the loss over a window of steps, and the lines of metrics.jsonl.
//
// The loss of a step is the mean over its images of 0.5 sigma^p |s + z/sigma|^2, in row order and in float64; a
// window's loss is the mean over its steps. Zero weights would give D/2 at every level when p = 2, so the loss is
// shown beside that number. Window sums are stored in every checkpoint: a run that was stopped anywhere and resumed
// writes the lines that an unbroken one writes, but for time, images_per_s and crc.

package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"strings"

	"gorgonia.org/tensor"

	"sigmaz/internal/atomicfile"
	"sigmaz/internal/ownfile"
	"sigmaz/model"
)

// lossWindow is the losses since the last line of metrics.jsonl. Where sigma is drawn by a density, bins of ln sigma stand
// in place of the levels.
type lossWindow struct {
	lossSum    float64      // of the steps' losses
	lossSteps  int64        // steps in it
	levelSum   []float64    // (L) of the images' losses at each level
	levelCount []int64      // (L) images at each level
	sigmas     model.Ladder // (L); nil with bins
	firstBin   int          // with bins: that of levelSum[0], see binOf
}

func newLossWindow(n model.Noise, sde model.SDE, sigmas model.Ladder) *lossWindow {
	w := &lossWindow{sigmas: sigmas}
	levels := len(sigmas)
	if n.Continuous() {
		least, most := n.Range(sde.On(sigmas))
		w.sigmas, w.firstBin = nil, binOf(least)
		levels = binOf(most) - w.firstBin + 1
	}
	w.levelSum, w.levelCount = make([]float64, levels), make([]int64, levels)
	return w
}

// BinWidth is the width of the bins of a [Line] in ln sigma.
const BinWidth = 0.5

// binOf returns the bin of sigma: bin b is of ln sigma from b BinWidth on.
func binOf(sigma float64) int { return int(math.Floor(math.Log(sigma) / BinWidth)) }

// place returns where the loss of row i is added, and the row's level, -1 with bins, and sigma.
func (w *lossWindow) place(r LossRecord, i int) (at, level int, sigma float64) {
	if w.sigmas != nil {
		level = int(r.Level[i])
		return level, level, float64(w.sigmas[level])
	}
	sigma = float64(r.Sigma[i])
	return min(max(binOf(sigma)-w.firstBin, 0), len(w.levelSum)-1), -1, sigma
}

// NonFiniteError is a loss that is NaN or infinite, or a number beyond it that such a step made.
type NonFiniteError struct {
	Step  uint64
	What  string  // "loss", "held-out loss" or the name of a tensor
	Level int     // noise level of the image; -1 for a tensor, and where there are none
	Sigma float64 // of the image; 0 for a tensor
	Value float64
}

func (e *NonFiniteError) Error() string {
	switch {
	case e.Sigma == 0:
		return fmt.Sprintf("%s is %v after step %d", e.What, e.Value, e.Step)
	case e.Level < 0:
		return fmt.Sprintf("the %s is %v at step %d, sigma %.4g", e.What, e.Value, e.Step, e.Sigma)
	}
	return fmt.Sprintf("the %s is %v at step %d, level %d (sigma %.4g)", e.What, e.Value, e.Step, e.Level, e.Sigma)
}

// add takes in one step and returns its loss.
func (w *lossWindow) add(r LossRecord) (float64, error) {
	sum := 0.0
	for i, l := range r.Loss {
		at, level, sigma := w.place(r, i)
		v := float64(l)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return 0, &NonFiniteError{r.Step, "loss", level, sigma, v}
		}
		sum += v
		w.levelSum[at] += v
		w.levelCount[at]++
	}
	loss := sum / float64(len(r.Loss))
	w.lossSum += loss
	w.lossSteps++
	return loss, nil
}

func (w *lossWindow) reset() {
	w.lossSum, w.lossSteps = 0, 0
	clear(w.levelSum)
	clear(w.levelCount)
}

// loss returns the mean over the window's steps.
func (w *lossWindow) loss() float64 { return w.lossSum / float64(w.lossSteps) }

// The names of the window's tensors in a checkpoint.
const (
	metricsPrefix  = "metrics."
	nameLossSum    = metricsPrefix + "loss_sum"
	nameLossSteps  = metricsPrefix + "loss_steps"
	nameLevelSum   = metricsPrefix + "level_sum"
	nameLevelCount = metricsPrefix + "level_count"
)

// tensors is the window as a checkpoint holds it.
func (w *lossWindow) tensors() []model.Named {
	vector := func(name string, n int, backing any) model.Named {
		return model.Named{Name: name, T: tensor.New(tensor.WithShape(n), tensor.WithBacking(backing))}
	}
	return []model.Named{
		vector(nameLossSum, 1, []float64{w.lossSum}),
		vector(nameLossSteps, 1, []int64{w.lossSteps}),
		vector(nameLevelSum, len(w.levelSum), append([]float64(nil), w.levelSum...)),
		vector(nameLevelCount, len(w.levelCount), append([]int64(nil), w.levelCount...)),
	}
}

// restore takes the window's tensors out of a checkpoint's and returns the others.
func (w *lossWindow) restore(all []model.Named) (rest []model.Named, err error) {
	found := map[string]*tensor.Dense{}
	for _, t := range all {
		if strings.HasPrefix(t.Name, metricsPrefix) {
			found[t.Name] = t.T
		} else {
			rest = append(rest, t)
		}
	}
	floats := func(name string, dst []float64) {
		t := found[name]
		if t == nil {
			err = fmt.Errorf("tensor %s is missing", name)
		} else if v, ok := t.Data().([]float64); !ok || len(v) != len(dst) {
			err = fmt.Errorf("tensor %s is %v %v: expected float64 (%d)", name, t.Dtype(), t.Shape(), len(dst))
		} else {
			copy(dst, v)
		}
	}
	ints := func(name string, dst []int64) {
		t := found[name]
		if t == nil {
			err = fmt.Errorf("tensor %s is missing", name)
		} else if v, ok := t.Data().([]int64); !ok || len(v) != len(dst) {
			err = fmt.Errorf("tensor %s is %v %v: expected int64 (%d)", name, t.Dtype(), t.Shape(), len(dst))
		} else {
			copy(dst, v)
		}
	}
	var sum [1]float64
	var steps [1]int64
	floats(nameLossSum, sum[:])
	ints(nameLossSteps, steps[:])
	floats(nameLevelSum, w.levelSum)
	ints(nameLevelCount, w.levelCount)
	w.lossSum, w.lossSteps = sum[0], steps[0]
	return rest, err
}

// LevelMeans is the loss of each level that a window met, or of each bin of ln sigma, as columns.
type LevelMeans struct {
	Level   []int     `json:"level,omitempty"`
	LnSigma []float64 `json:"ln_sigma,omitempty"` // where a bin of BinWidth begins
	Count   []int64   `json:"count"`
	Loss    []float64 `json:"loss"`
}

func (w *lossWindow) levels() *LevelMeans {
	m := &LevelMeans{}
	for i, n := range w.levelCount {
		if n > 0 {
			if w.sigmas != nil {
				m.Level = append(m.Level, i)
			} else {
				m.LnSigma = append(m.LnSigma, BinWidth*float64(w.firstBin+i))
			}
			m.Count = append(m.Count, n)
			m.Loss = append(m.Loss, w.levelSum[i]/float64(n))
		}
	}
	return m
}

// lossLine is a line of metrics.jsonl about training. End marks the line that a run adds at its last step when no line
// was due there; it goes when the run is resumed with more steps.
type lossLine struct {
	Step         uint64      `json:"step"`
	Loss         float64     `json:"loss"`
	LossRelative float64     `json:"loss_relative"` // to the loss of zero weights, D/2 for p = 2
	LossPerLevel *LevelMeans `json:"loss_per_level,omitempty"`
	LossPerBin   *LevelMeans `json:"loss_per_bin,omitempty"` // in its place where sigma is drawn by a density
	ImagesPerS   float64     `json:"images_per_s"`
	SlowestRank  *int        `json:"slowest_rank,omitempty"` // of several: the one that the others wait for
	Waiting      *float64    `json:"waiting,omitempty"`      // the share of a step that the one in the middle waits for it
	Time         string      `json:"time"`
	End          bool        `json:"end,omitempty"`
}

// evalLine is a line of metrics.jsonl about the held-out images.
type evalLine struct {
	Step            uint64    `json:"step"`
	HeldOutLoss     float64   `json:"held_out_loss"`      // (1/L) sum over the levels, fixed z
	HeldOutPerLevel []float64 `json:"held_out_per_level"` // (L)
	Time            string    `json:"time"`
	End             bool      `json:"end,omitempty"`
}

// A line ends in a check of its own: "crc", the CRC-32C of the line as it would be without it. Lines of earlier versions
// have none.
const (
	crcKey  = `,"crc":"`
	crcTail = len(crcKey) + 8 + len(`"}`)
)

// castagnoli is the polynomial of CRC-32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// withCRC completes a line, a JSON object, with its check and its end.
func withCRC(object []byte) []byte {
	return fmt.Appendf(object[:len(object)-1:len(object)-1], `%s%08x"}`+"\n", crcKey, crc32.Checksum(object, castagnoli))
}

// checkCRC tells whether a line without its end has a check, and whether that is right.
func checkCRC(line []byte) (has, right bool) {
	at := len(line) - crcTail
	if at < 1 || !bytes.HasPrefix(line[at:], []byte(crcKey)) {
		return false, false
	}
	sum := crc32.Update(crc32.Checksum(line[:at], castagnoli), castagnoli, []byte("}"))
	return true, string(line[at+len(crcKey):at+len(crcKey)+8]) == fmt.Sprintf("%08x", sum)
}

// anyLine is what the cut-back reads of a line.
type anyLine struct {
	Step        *uint64  `json:"step"`
	Loss        *float64 `json:"loss"`
	HeldOutLoss *float64 `json:"held_out_loss"`
	Metric      *string  `json:"metric"`
	End         bool     `json:"end"`
}

// maxLine is more than a line of metrics.jsonl has: about 60 bytes for each level.
const maxLine = 16 << 20

// cut is what cutting the metrics back found.
type cut struct {
	logged, evaluated, measured bool // the step's own lines are there
	windowEnds                  bool // the line about training was due at the step: a new window begins after it
	damaged                     int  // lines that are no metrics, another one following
	changed                     bool // there is something to cut
}

// cutBack makes metrics.jsonl end where a checkpoint of that step was written: later lines go, because the resumed
// run writes them again, and so do lines that were not finished when a run was killed, lines that fail their check and,
// without keepEnd, lines marked End. Where damaged lines go, keep is called before.
func cutBack(path string, step uint64, keepEnd bool, keep func() error) (c cut, err error) {
	f, err := ownfile.OpenPlain(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, fmt.Errorf("cannot read the metrics: %w", err)
	}
	defer f.Close()
	if c, err = scanMetrics(f, step, keepEnd, io.Discard); err != nil {
		return c, fmt.Errorf("cannot read the metrics: %w", err)
	}
	if c.damaged > 0 {
		if err := keep(); err != nil {
			return c, err
		}
	}
	if !c.changed {
		return c, nil
	}
	_, err = f.Seek(0, io.SeekStart)
	if err == nil {
		err = atomicfile.Write(path, func(to *os.File) error {
			w := bufio.NewWriter(to)
			if _, err := scanMetrics(f, step, keepEnd, w); err != nil {
				return err
			}
			return w.Flush()
		})
	}
	if err != nil {
		return c, fmt.Errorf("cannot cut the metrics back to step %d: %w", step, err)
	}
	return c, nil
}

// scanMetrics writes the lines that cutBack keeps to w.
func scanMetrics(r io.Reader, step uint64, keepEnd bool, w io.Writer) (c cut, err error) {
	b := bufio.NewReaderSize(r, 1<<16)
	checked := false // a line with a check was there: those of earlier versions come before
	bad := 0
	for {
		line, err := readLine(b)
		if err == io.EOF && len(line) == 0 {
			return c, nil
		}
		if err != nil && err != io.EOF {
			return c, err
		}
		object, whole := bytes.CutSuffix(line, []byte("\n"))
		has, right := checkCRC(object)
		var l anyLine
		if !whole || has && !right || checked && !has || json.Unmarshal(object, &l) != nil || l.Step == nil {
			c.changed = true
			bad++
			continue
		}
		c.damaged, checked = bad, checked || has // what nothing follows was being written when the run was killed
		if *l.Step > step || l.End && !keepEnd {
			c.changed = true
			continue
		}
		if _, err := w.Write(line); err != nil {
			return c, err
		}
		if *l.Step == step {
			c.logged = c.logged || l.Loss != nil
			c.evaluated = c.evaluated || l.HeldOutLoss != nil
			c.measured = c.measured || l.Metric != nil
			c.windowEnds = c.windowEnds || l.Loss != nil && !l.End
		}
	}
}

// readLine reads a line with its end. What is longer than maxLine comes in pieces without one.
func readLine(b *bufio.Reader) (line []byte, err error) {
	for {
		part, err := b.ReadSlice('\n')
		line = append(line, part...)
		if err != bufio.ErrBufferFull || len(line) > maxLine {
			if err == bufio.ErrBufferFull {
				err = nil
			}
			return line, err
		}
	}
}
